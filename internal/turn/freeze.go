package turn

import (
	"context"
	"slices"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// A cut is where an answer was frozen: text is all of it that was published.
type cut struct {
	started int64 // 0: before the first token
	text    string
	sources string
}

// Cancel ends the answer to a question before its time. messageID is the
// answer's or the question's. What was published is stored as the whole answer;
// before the first token there is none, and nothing is stored. When it returns
// without error no token will ever follow. It goes on when ctx ends. Errors:
// NotFound if no such answer waits or is under way; Unavailable if the store
// cannot write, and then the answer goes on.
func (r *Runner) Cancel(ctx context.Context, a tandem.Address, messageID string) error {
	t := r.turn(a, messageID)
	if t == nil {
		return errNoAnswer()
	}
	ctx = context.WithoutCancel(ctx)
	h, err := freeze(ctx, []*turn{t})
	if err != nil {
		return err
	}
	if len(h.turns) == 0 {
		return errNoAnswer()
	}
	_, err = r.cut(ctx, h, tandem.FinishCancelled, store.Append{Threads: []tandem.Address{a}, Decide: nothingMore})
	if err == errMoved {
		return errNoAnswer()
	}
	return err
}

// nothingMore decides nothing besides the end of turns.
func nothingMore(_ time.Time, on []store.State) ([]store.Write, error) {
	return []store.Write{{Thread: on[0].Thread}}, nil
}

// turn returns the thread's open turn with this question or answer, or nil.
func (r *Runner) turn(a tandem.Address, messageID string) *turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lines[a]
	if l == nil || messageID == "" {
		return nil
	}
	return l.find(func(t *turn) bool {
		return t.row.Answer == messageID || t.question != nil && t.question.ID == messageID
	})
}

func errNoAnswer() error { return tandem.Errorf(tandem.NotFound, "There is no such answer under way") }

// A hold is turns of one thread that are frozen together: nothing of them is
// published, and no append for one of them is under way. It ends by thaw or by
// over; one of them must be called.
//
// While it lasts, the text of the answer under way does not grow, here or in the
// hub, and the hub's text is all that any reader is ever shown before the closing
// event ([hub.Watcher.Live]; there is no queue of tokens for a reader). So nobody
// has to be waited for: no reader, however far behind, can come beyond the cut.
type hold struct {
	turns []*turn // in the order of their questions
	talks *turn   // the one whose answer has begun; nil: none
	cut   cut     // of talks
	all   bool    // they are to be all of the thread's: no other answer may be under way
}

// freeze holds turns of one thread, which are in the order of their questions, so
// that two holds never wait for each other. Turns that have ended are left out.
// The error is errLate if ctx ends.
func freeze(ctx context.Context, turns []*turn) (*hold, error) {
	h := &hold{}
	for _, t := range turns {
		if t.saving.Acquire(ctx, 1) != nil {
			h.thaw()
			return nil, errLate
		}
		c, ok := t.freeze()
		if !ok {
			t.saving.Release(1)
			continue
		}
		h.turns = append(h.turns, t)
		if c.started != 0 {
			h.talks, h.cut = t, c
		}
	}
	return h, nil
}

// thaw lets the turns go on, as if nothing had been.
func (h *hold) thaw() {
	for _, t := range h.turns {
		t.thaw()
		t.saving.Release(1)
	}
}

// over says that the turns have ended: the store has said so. Their agents are
// told to stop.
func (h *hold) over(r *Runner, finish tandem.Finish) {
	for _, t := range h.turns {
		r.ended(t, string(finish))
		t.cancel(errOver)
		t.saving.Release(1)
	}
}

// cut ends the turns of h, in one append with what ap decides, and h. What may
// be the end of an answer comes first; ap decides on the first thread as that
// leaves it. If the append is refused or fails, the turns go on. errMoved: the
// answer under way is not the one that was frozen.
func (r *Runner) cut(ctx context.Context, h *hold, finish tandem.Finish, ap store.Append) (store.Result, error) {
	var ends []tandem.Event
	if h.talks != nil {
		e, err := h.talks.last(finish, h.cut.started, h.cut.text, h.cut.sources)
		if err != nil {
			h.thaw()
			return store.Result{}, err
		}
		ends = append(ends, e)
	}
	ap.Decide = h.deciding(ends, ap.Decide)
	res, err := offer(ctx, r.put, ap)
	if err != nil || res.Repeat {
		h.thaw()
		return res, err
	}
	h.over(r, finish)
	res.Events[0] = res.Events[0][len(ends):]
	return res, nil
}

// deciding puts the end of the turns before what decide wants. It needs no fence:
// it takes words away.
func (h *hold) deciding(ends []tandem.Event, decide func(time.Time, []store.State) ([]store.Write, error)) func(time.Time, []store.State) ([]store.Write, error) {
	return func(now time.Time, on []store.State) ([]store.Write, error) {
		if under := on[0].Thread.Answer; h.stale() || under != h.cut.started && (h.all || h.talks != nil) {
			return nil, errMoved
		}
		after := slices.Clone(on)
		if h.talks != nil {
			after[0].Thread.Answer = 0
			after[0].Thread.Head += int64(len(ends))
		}
		writes, err := decide(now, after)
		if err != nil || len(writes) == 0 {
			return writes, err
		}
		w := &writes[0]
		w.Events, w.Cut = slices.Concat(ends, w.Events), len(ends)
		for _, t := range h.turns {
			w.EndTurns = append(w.EndTurns, t.row.Question)
		}
		return writes, nil
	}
}

// stale reports whether one of the turns has ended by somebody else's append.
func (h *hold) stale() bool {
	return slices.ContainsFunc(h.turns, (*turn).isOver)
}

// freeze stops all publishing. From its return until thaw or end the cut is what
// every reader can have seen. saving is held.
func (t *turn) freeze() (c cut, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return cut{}, false
	}
	t.frozen = true
	return cut{t.started, t.text.String(), t.sources}, true
}

// thaw lets the answer go on.
func (t *turn) thaw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frozen = false
	t.wake.Broadcast()
}
