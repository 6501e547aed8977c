package turn

import (
	"cmp"
	"context"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// PushedAnswer is an answer that an outside agent streams to us of its own accord.
type PushedAnswer struct {
	RequestID string      // of the question that it answers, if there is one
	Scope     string      // if it answers none that waits
	Name      string      // who speaks, as readers are shown it
	Meta      tandem.Meta // Principal, Credential and Traceparent of who pushes

	// Begin is called in a transaction, before a word is read, if the answer is to
	// no question that waits for it. It may refuse, and gives the id that the
	// answer will have; what else it changes in w is written.
	Begin func(on store.State, w *store.Write) (answer string, err error)
}

// PushedEnd tells how a pushed answer ended.
type PushedEnd struct {
	Event  tandem.Event // its closing event; zero if it had no text
	Finish tandem.Finish
}

var (
	errGone     = tandem.Errorf(tandem.Unavailable, "who pushed the answer has gone")
	errAnswered = tandem.Errorf(tandem.Conflict, "This question has an answer already.")
)

// A feed says an answer instead of the agent that is asked.
type feed struct {
	PushedAnswer
	say  func(context.Context, func(tandem.Piece) error) error
	ctx  context.Context // of who pushes
	done chan struct{}   // closed once say has returned and its end is stored
	end  PushedEnd
	err  error
}

// Pushed shows what reply says as an answer of the thread: token by token, in
// order with the others, and cut and fenced as they are. It is the answer to the
// oldest question with this requestId that waits for a push, and else one of its
// own. reply is called when it is its turn, and is to [Agent.Reply] as a call of
// an agent is; Pushed returns when reply has and the end is stored.
//
// An error says that nothing was stored: Held if an operator had taken over before
// the first word, what Begin or reply said, Timeout, or Unavailable. A question
// that waited goes on waiting then. An answer that had begun has no error; its
// Finish is Interrupted if it was taken over, Error if reply failed. A crash leaves
// an answer that was interrupted.
func (r *Runner) Pushed(ctx context.Context, a tandem.Address, in PushedAnswer, reply func(context.Context, func(tandem.Piece) error) error) (PushedEnd, error) {
	f := &feed{PushedAnswer: in, say: reply, ctx: ctx, done: make(chan struct{})}
	if t := r.owing(a, in.RequestID, f); t != nil && r.fed(t, f) {
		return f.end, f.err
	}
	if err := ctx.Err(); err != nil {
		return PushedEnd{}, err
	}
	t, err := r.enlist(ctx, a, f)
	if err != nil {
		return PushedEnd{}, err
	}
	if r.fed(t, f) {
		return f.end, f.err
	}
	switch {
	case ctx.Err() != nil:
		return PushedEnd{}, ctx.Err()
	case r.open.Err() != nil:
		return PushedEnd{}, errHalted
	}
	return PushedEnd{}, errHeld // it was taken over while it waited for its turn
}

// fed waits until f was t's answer. false: it was not, and will not be.
func (r *Runner) fed(t *turn, f *feed) bool {
	select {
	case <-f.done:
		return true
	case <-t.done:
	case <-f.ctx.Done():
	case <-r.open.Done():
	}
	select {
	case <-t.feeds: // it is f: nobody has it, nor will
		return false
	case <-f.done:
		return true
	}
}

// owing gives f to the thread's oldest turn with this requestId whose agent pushes
// or may be about to say so; nil if there is none.
func (r *Runner) owing(a tandem.Address, requestID string, f *feed) *turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lines[a]
	if l == nil || requestID == "" {
		return nil
	}
	t := l.find(func(t *turn) bool {
		spec := r.agents.Load().closest(a.Tenant, t.row.Workflow)
		return t.row.RequestID == requestID && t.row.Question > 0 && (t == l.serving || t.parked || spec != nil && spec.Push)
	})
	if t == nil {
		return nil
	}
	select {
	case t.feeds <- f:
		r.unpark(l, t)
		return t
	default:
		return nil // another answers it
	}
}

// enlist puts f at the end of its line, with a turn of its own. The turn's row has
// no question, and a number below all questions.
func (r *Runner) enlist(ctx context.Context, a tandem.Address, f *feed) (*turn, error) {
	number := r.pushes.Add(-1)
	res, err := offer(ctx, r.put, store.Append{
		Threads: []tandem.Address{a},
		Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
			w := store.Write{Thread: on[0].Thread}
			id, err := f.Begin(on[0], &w)
			w.Turn = &store.Turn{Question: number, Answer: id, RequestID: f.RequestID, Scope: f.Scope, Workflow: a.Workflow}
			if c := on[0].Active; c != nil {
				w.Turn.Conversation = c.ID
			}
			return []store.Write{w}, err
		},
	})
	if err != nil {
		return nil, err
	}
	t := newTurn(r.life, *res.Turn, nil, res.Threads[0].Control.Epoch)
	if c := res.Active[0]; c != nil {
		t.message.Medium = c.Medium
	}
	t.feeds <- f
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase == stopped { // the row is dropped at the next start
		t.cancel(errHalted)
		return nil, errHalted
	}
	r.enqueue(a, t)
	return t, nil
}

// answered has t answered by who pushes, if somebody has come to do so. goesOn:
// nobody has, or not a word was said, and the question is still owed.
func (r *Runner) answered(t *turn) (goesOn bool) {
	select {
	case f := <-t.feeds:
		return r.feed(t, f)
	default:
		return true
	}
}

// feed makes what f says t's answer. goesOn is as of answered.
func (r *Runner) feed(t *turn, f *feed) (goesOn bool) {
	defer close(f.done)
	if !t.claimBy(f, r.clock()) {
		f.err = errAnswered
		return true
	}
	defer t.set(func() { t.pushing = false })
	r.metric.Turn.Running.Inc()
	defer r.metric.Turn.Running.Dec()
	switch err := r.hear(t, f); {
	case err == nil, err == errHeld, t.isOver(), t.begun() != 0:
		r.finish(t, err)
	case t.row.Question > 0:
		f.err = err
		return true
	default:
		r.drop(t, "failed")
		f.err = err
		return false
	}
	f.end, f.err = r.outcome(t)
	return false
}

// hear lets f speak.
func (r *Runner) hear(t *turn, f *feed) error {
	spec := DefaultSpec(f.Name, nil)
	if a := r.agents.Load().closest(t.row.Address.Tenant, t.row.Workflow); a != nil {
		spec = a.Spec
	}
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	defer context.AfterFunc(f.ctx, func() { cancel(errGone) })()
	if spec.Total > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, spec.Total, errTotal)
		defer stop()
	}
	c := &call{r: r, t: t}
	return c.listen(ctx, spec, func() {}, f.say)
}

// claimBy makes f who speaks. false: a push of the whole answer is on its way.
func (t *turn) claimBy(f *feed, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.claimed.Add(claim).After(now) {
		return false
	}
	t.pushing = true
	t.name, t.by, t.trace = cmp.Or(f.Name, t.name), f.Meta, cmp.Or(f.Meta.Traceparent, t.trace)
	return true
}

// outcome is how the answer of a turn that has been served ended.
func (r *Runner) outcome(t *turn) (PushedEnd, error) {
	if t.saving.Acquire(context.Background(), 1) == nil { // who ended it may not have noted how
		t.saving.Release(1)
	}
	var how string
	t.set(func() { how = t.how })
	end := PushedEnd{Finish: tandem.Finish(how)}
	switch {
	case t.begun() == 0 && end.Finish == tandem.FinishInterrupted:
		return PushedEnd{}, errHeld
	case how == "" && t.isOver():
		return PushedEnd{}, errAnswered
	case how == "":
		return PushedEnd{}, errHalted // its end is stored at the next start
	case t.begun() == 0:
		return end, nil
	}
	var err error
	end.Event, err = r.store.Find(context.Background(), t.row.Address, t.row.Answer)
	if err != nil {
		r.log.Warn("a pushed answer's end cannot be read", "err", err)
	}
	return end, nil
}
