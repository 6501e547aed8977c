package turn

import (
	"context"
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
// without error no token will ever follow. Errors: NotFound if no such answer
// waits or is under way; Unavailable if the store cannot write, and then the
// answer goes on.
func (r *Runner) Cancel(_ context.Context, a tandem.Address, messageID string) error {
	t := r.turn(a, messageID)
	if t == nil {
		return errNoAnswer()
	}
	return r.freeze(t, tandem.FinishCancelled, nil)
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

// freeze ends a turn at an exact cut, in four steps: nothing more is published;
// one transaction stores what was, as an answer that finished so; if that is
// refused the answer goes on as if nothing had been; otherwise the agent is told
// to stop.
//
// also, if not nil, adds to that transaction and may refuse it: a takeover raises
// the epoch and sets the holder there, and what it appends comes after the
// answer's end.
func (r *Runner) freeze(t *turn, finish tandem.Finish, also func(now time.Time, on store.State, w *store.Write) error) error {
	t.saving.Lock()
	defer t.saving.Unlock()
	c, ok := t.freeze()
	if !ok {
		return errNoAnswer()
	}
	var e tandem.Event
	var err error
	if c.started != 0 {
		e, err = t.last(finish, c.started, c.text, c.sources)
	}
	if err == nil {
		err = r.append(t, t.cutting(c, e, also), func(store.Result) { r.ended(t, string(finish)) })
	}
	if err != nil {
		t.thaw()
		if err == errOver {
			return errNoAnswer()
		}
		return err
	}
	t.cancel(errOver)
	return nil
}

// cutting writes the end of an answer that was cut, and what else is to happen
// in the same moment. It needs no fence: it takes words away.
func (t *turn) cutting(c cut, e tandem.Event, also func(time.Time, store.State, *store.Write) error) decision {
	return func(now time.Time, on store.State) (store.Write, error) {
		w := store.Write{Thread: on.Thread, EndTurns: []int64{t.row.Question}}
		if c.started != 0 {
			if on.Thread.Answer != c.started {
				return store.Write{}, errOver
			}
			w.Events = []tandem.Event{e}
			w.Thread.Answer = 0
		}
		if also != nil {
			if err := also(now, on, &w); err != nil {
				return store.Write{}, err
			}
		}
		return w, nil
	}
}

// freeze stops all publishing. From its return until thaw or end the cut is what
// every reader can have seen.
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
