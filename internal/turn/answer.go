package turn

import (
	"context"
	"errors"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// run takes a turn from where it stands to its end, or as far as it can come
// before the Runner stops.
func (r *Runner) run(t *turn) {
	if t.isOver() {
		return
	}
	if t.begun() != 0 { // by a process that is no more
		r.close(t, tandem.FinishInterrupted, false)
		return
	}
	if context.Cause(t.ctx) == errHeld { // fenced while it waited
		r.drop(t, "interrupted")
		return
	}
	t.read()
	if !r.answered(t) {
		return
	}
	a := r.agents.Load().closest(t.row.Address.Tenant, t.row.Workflow)
	if a != nil {
		t.name = a.Name
	}
	switch {
	case t.question == nil:
		r.drop(t, "failed")
	case a == nil:
		r.fail(t, codeUnavailable)
	case a.Push:
		r.park(t, a.Total)
	case t.row.Started == putOff:
		r.awaitPush(t, a, t.row.CreatedAt)
	case t.row.Asked: // perhaps answered; not to be asked twice
		r.fail(t, codeUnavailable)
	default:
		r.answer(t, a)
	}
}

// answer asks the agent and brings what it says to its end.
func (r *Runner) answer(t *turn, a *agent) {
	began, later := r.converse(t, a)
	if later {
		r.awaitPush(t, a, began)
	}
}

// converse is one answer's use of the agent. later: it will push.
func (r *Runner) converse(t *turn, a *agent) (began time.Time, later bool) {
	switch err := r.enter(t, a); err {
	case nil:
	case errHeld:
		r.drop(t, "interrupted")
		return
	case errOpen:
		r.fail(t, codeUnavailable)
		return
	default: // over, or not begun
		return
	}
	defer a.leave()
	r.metric.Turn.Running.Inc()
	defer r.metric.Turn.Running.Dec()

	ctx, end := r.metric.Tracer.Continue(t.ctx, t.trace, metric.SpanTurn)
	if p := metric.Traceparent(ctx); p != "" {
		t.trace = p
	}
	q, err := r.ask(ctx, t, a)
	if err != nil {
		end(true)
		return
	}
	c := &call{r: r, t: t, agent: a}
	began = r.clock()
	err = c.through(ctx, q)
	end(err != nil)
	if err == nil && c.later {
		return began, true
	}
	r.finish(t, err)
	return began, false
}

// enter waits for one of the agent's slots, as long as new answers may begin.
func (r *Runner) enter(t *turn, a *agent) error {
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.open, func() { cancel(errHalted) })()
	if r.open.Err() != nil {
		return errHalted
	}
	if !a.breaker.closed() {
		return errOpen
	}
	return a.enter(ctx)
}

// ask marks the turn as asked and makes the question. With an error there is
// nothing more to do. The history is read while the mark is committed: the first
// token waits for both.
func (r *Runner) ask(ctx context.Context, t *turn, a *agent) (tandem.Question, error) {
	var history []tandem.Turn
	var unread error
	read := make(chan struct{})
	r.work.Go(func() {
		defer close(read)
		history, unread = r.history(ctx, t, a.History)
	})
	var on store.Result
	err := r.keep(r.open, t, t.asking(a.Silent), func(res store.Result) { on = res })
	<-read
	if err == errHeld {
		r.drop(t, "interrupted")
	}
	if err != nil {
		return tandem.Question{}, err
	}
	q, err := t.compose(a, on, history)
	if err = errors.Join(unread, err); err != nil {
		r.log.Error("the question cannot be put together", "agent", a.Name, "err", err)
		r.fail(t, codeUnavailable)
	}
	return q, err
}

// finish ends the turn after the agent's last word, or with what kept it from one.
func (r *Runner) finish(t *turn, err error) {
	started := t.begun() != 0
	if err != nil && theirs(err) {
		r.log.Warn("agent failed", "agent", t.name, "mid_answer", started, "err", err)
	}
	switch {
	case t.isOver():
		if started {
			r.hub.End(t.row.Address, t.begun())
		}
	case err == nil && started:
		r.close(t, tandem.FinishStop, true)
	case err == nil:
		r.drop(t, "stop")
	case started && (err == errHeld || err == errHalted):
		r.close(t, tandem.FinishInterrupted, false)
	case started:
		r.close(t, tandem.FinishError, true)
	case err == errHeld:
		r.drop(t, "interrupted")
	default:
		r.fail(t, codeOf(err))
	}
}

// awaitPush waits for the answer to a question that the agent put off. The line
// waits too: answers come in order. After a stop the turn goes on waiting at the
// next start.
func (r *Runner) awaitPush(t *turn, a *agent, from time.Time) {
	var early bool
	t.set(func() { t.later, early = true, t.early })
	if early {
		r.drop(t, "stop")
		return
	}
	r.metric.Turn.Ended.Of("later").Inc()
	if t.row.Started != putOff {
		switch err := r.keep(r.open, t, t.puttingOff, nil); err {
		case nil:
		case errHeld:
			r.drop(t, "interrupted")
			return
		default:
			return
		}
	}
	var late <-chan time.Time
	if a.Total > 0 {
		timer := time.NewTimer(r.left(from, a.Total))
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case f := <-t.feeds:
			if r.feed(t, f) {
				continue
			}
		case <-t.done:
		case <-r.open.Done():
		case <-t.ctx.Done():
			if context.Cause(t.ctx) == errHeld {
				r.drop(t, "interrupted")
			}
		case <-late:
			if wait := r.claimed(t); wait > 0 {
				late = time.After(wait)
				continue
			}
			r.fail(t, codeTimeout)
		}
		return
	}
}

// close ends an answer that has begun. With fence, one that may not speak any
// more has been interrupted.
func (r *Runner) close(t *turn, finish tandem.Finish, fence bool) {
	var started int64
	var text, sources string
	t.set(func() { started, text, sources = t.started, t.text.String(), t.sources })
	e, err := t.last(finish, started, text, sources)
	if err == nil {
		err = r.keep(r.life, t, t.closing(started, e, fence), func(store.Result) { r.ended(t, string(finish)) })
	}
	switch err {
	case nil, errOver:
	case errHeld:
		r.close(t, tandem.FinishInterrupted, false)
	default:
		r.log.Error("an answer's end could not be stored; it will be at the next start", "err", err)
	}
}

// fail ends a turn that has no token, and says so.
func (r *Runner) fail(t *turn, code string) {
	id := ""
	if t.question != nil {
		id = t.question.ID
	}
	e, err := t.event(tandem.KindAnswerFailed, tandem.NewID("evt_", r.clock()), tandem.AnswerFailed{
		MessageID: id, Code: code, RequestID: t.row.RequestID, Scope: t.row.Scope, Conversation: t.row.Conversation,
	})
	if err == nil {
		err = r.keep(r.life, t, t.failing(e), func(store.Result) { r.ended(t, "failed") })
	}
	switch err {
	case nil, errOver:
	case errHeld:
		r.drop(t, "interrupted")
	default:
		r.log.Error("a turn's end could not be stored; it will be at the next start", "err", err)
	}
}

// drop ends a turn without a word; how is for the metric.
func (r *Runner) drop(t *turn, how string) {
	err := r.keep(r.life, t, t.dropping, func(store.Result) { r.ended(t, how) })
	if err != nil && err != errOver {
		r.log.Error("a turn's end could not be stored; it will be at the next start", "err", err)
	}
}

// ended is what follows the commit of a turn's end. saving is held.
func (r *Runner) ended(t *turn, how string) {
	t.set(func() { t.how = how })
	t.end()
	if seq := t.begun(); seq != 0 {
		r.hub.End(t.row.Address, seq)
	}
	r.metric.Turn.Ended.Of(how).Inc()
}
