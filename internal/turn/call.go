package turn

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

const (
	checkpointEvery = time.Second            // while the answer grows
	retryAfter      = 250 * time.Millisecond // the first time; twice as long each time
	retryAtMost     = 10 * time.Second
)

// A call is one question's way through its agent. Its fields, but for what the
// turn's lock guards, belong to whoever runs the agent: one goroutine at a time.
type call struct {
	r     *Runner
	t     *turn
	agent *agent // nil: it came by itself

	runes  joiner
	size   int       // bytes of text so far
	began  time.Time // of this attempt
	spoke  bool      // a piece was taken: it is too late to ask again
	later  bool      // the agent put the answer off
	failed error     // why no more pieces are taken
}

// through asks until the agent has said something, and returns how its answer
// ended: nil if it is whole.
func (c *call) through(ctx context.Context, q tandem.Question) error {
	if c.agent.Total > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.agent.Total, errTotal)
		defer cancel()
	}
	wait := retryAfter
	for q.Attempt = 1; ; q.Attempt++ {
		err := c.attempt(ctx, q)
		if err == nil || c.spoke || ctx.Err() != nil || !c.again(err, q.Attempt) {
			return err
		}
		c.r.log.Info("asking the agent again", "agent", c.agent.Name, "attempt", q.Attempt+1, "err", err)
		if !pause(ctx, max(jitter(wait), min(hint(err), retryAtMost))) {
			return context.Cause(ctx)
		}
		if !c.again(err, q.Attempt) {
			return err
		}
		c.agent.metric.Retries.Inc()
		wait = min(2*wait, retryAtMost)
	}
}

// again reports whether the same question may be asked once more. While the
// Runner stops, there are no new calls.
func (c *call) again(err error, attempts int) bool {
	return attempts <= c.agent.Retries && theirs(err) && tandem.KindOf(err).Retryable() && c.r.open.Err() == nil
}

// attempt calls the agent once.
func (c *call) attempt(ctx context.Context, q tandem.Question) error {
	trial, err := c.agent.breaker.allow()
	if err != nil {
		return err
	}
	err = c.listen(ctx, c.agent.Spec, trial.answers, func(ctx context.Context, emit func(tandem.Piece) error) error {
		return c.agent.Agent.Reply(ctx, q, emit)
	})
	trial.ended(err)
	return err
}

// listen takes what say says, within the times that spec gives, and returns how
// it ended; heard is called for each piece. Meanwhile it writes checkpoints, so
// that no token waits for one.
func (c *call) listen(ctx context.Context, spec Spec, heard func(), say speaker) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.began = time.Now()
	w := watch(cancel, spec.FirstToken, spec.Idle)
	result := make(chan error, 1)
	c.r.work.Go(func() { result <- c.reply(ctx, w, heard, say) })
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.r.checkpoint(c.t)
		case err := <-result:
			w.stop()
			return err
		}
	}
}

// A speaker is an agent with its question: see [Agent.Reply].
type speaker func(ctx context.Context, emit func(tandem.Piece) error) error

// reply runs the speaker and judges how it ended.
func (c *call) reply(ctx context.Context, w *watchdog, heard func(), say speaker) (err error) {
	defer func() {
		if p := recover(); p != nil { // one agent's mistake is not everybody's end
			c.r.log.Error("agent panicked", "agent", c.t.name, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = tandem.Errorf(tandem.Internal, "the agent panicked")
		}
	}()
	err = say(ctx, func(p tandem.Piece) error {
		w.pause()
		defer w.goOn()
		heard()
		if c.failed == nil {
			c.failed = c.take(ctx, p)
		}
		return c.failed
	})
	switch {
	case c.failed != nil:
		return c.failed
	case err == nil && !c.later:
		return c.say(ctx, c.runes.rest())
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// hint is how long the agent wants to be left alone.
func hint(err error) time.Duration {
	if e := (*tandem.Error)(nil); errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// checkpoint writes down what the answer has grown by. If that cannot be done
// now it is done with the next.
func (r *Runner) checkpoint(t *turn) {
	if !t.saving.TryAcquire(1) {
		return
	}
	defer t.saving.Release(1)
	var started int64
	var at int
	var text string
	t.set(func() { started, at, text = t.started, t.saved, t.text.String() })
	if started == 0 || at == len(text) {
		return
	}
	err := r.append(t, t.growing(started, at, text[at:]), nil)
	switch err {
	case nil:
		t.set(func() { t.saved = len(text) })
	case errHeld:
		t.cancel(errHeld)
	case errOver:
	default:
		r.log.Warn("checkpoint", "err", err)
	}
}
