package turn

import (
	"context"
	"time"
)

// A watchdog ends a call whose agent lets us wait. Its time runs only while the
// agent does: what we take for a piece is not the agent's. Its methods are called
// by who runs the agent.
type watchdog struct {
	cancel context.CancelCauseFunc
	first  *time.Timer // nil: off, or not needed any more
	idle   *time.Timer // nil before the first piece, or off
	every  time.Duration
}

func watch(cancel context.CancelCauseFunc, first, idle time.Duration) *watchdog {
	w := &watchdog{cancel: cancel, every: idle}
	if first > 0 {
		w.first = time.AfterFunc(first, func() { cancel(errFirstToken) })
	}
	return w
}

// pause: a piece came.
func (w *watchdog) pause() {
	if w.first != nil {
		w.first.Stop()
	}
	if w.idle != nil {
		w.idle.Stop()
	}
}

// goOn: the piece is dealt with.
func (w *watchdog) goOn() {
	switch {
	case w.every <= 0:
	case w.idle == nil:
		w.idle = time.AfterFunc(w.every, func() { w.cancel(errIdle) })
	default:
		w.idle.Reset(w.every)
	}
}

// stop: the call has ended.
func (w *watchdog) stop() { w.pause() }
