package turn

import (
	"cmp"
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// A decision is what a turn has written, given the thread as it is locked.
type decision func(now time.Time, on store.State) (store.Write, error)

// save appends what decide says, once, and runs then before anything else can be
// appended for the turn. errOver: the turn has ended meanwhile.
func (r *Runner) save(t *turn, decide decision, then func(store.Result)) error {
	if err := t.saving.Acquire(context.Background(), 1); err != nil {
		return err
	}
	defer t.saving.Release(1)
	return r.append(t, decide, then)
}

// append is save with saving held. It waits for the commit whatever happens: an
// append that nobody waits for may still be written.
//
// Decide reads whether the turn is over. That stays true once it is, and
// [Runner.Committed] says so before the writer's next batch, so a turn that was
// ended by somebody else's append is not ended again.
func (r *Runner) append(t *turn, decide decision, then func(store.Result)) error {
	res, err := r.put(context.Background(), store.Append{
		Threads: []tandem.Address{t.row.Address},
		Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
			if t.isOver() {
				return nil, errOver
			}
			w, err := decide(now, on[0])
			return []store.Write{w}, err
		},
	})
	if err == nil && then != nil {
		then(res)
	}
	return err
}

// keep saves, and goes on trying while the store cannot write, until ctx ends. It
// tries at least once. The turn can be frozen between two tries.
func (r *Runner) keep(ctx context.Context, t *turn, decide decision, then func(store.Result)) error {
	return r.persist(ctx, "the store cannot be written", func() error { return r.save(t, decide, then) })
}

// persist calls try until it succeeds, is refused, or ctx has ended.
func (r *Runner) persist(ctx context.Context, trouble string, try func() error) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := try()
		if err == nil || !passing(err) || ctx.Err() != nil {
			return err
		}
		r.log.Warn(trouble, "err", err)
		pause(ctx, jitter(wait))
	}
}

// passing reports whether an error of the store may pass: whatever is no refusal.
func passing(err error) bool {
	k := tandem.KindOf(err)
	return k == tandem.Internal || k.Retryable()
}

// pause waits and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// jitter spreads waits, so that what failed together is not tried together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// asking marks the turn as asked. With silent, it is refused while a person is
// asked for.
func (t *turn) asking(silent bool) decision {
	return func(_ time.Time, on store.State) (store.Write, error) {
		if t.fenced(on.Thread, on.Active) || silent && on.Active != nil && on.Active.Mode == tandem.ModeWaiting {
			return store.Write{}, errHeld
		}
		return store.Write{Thread: on.Thread, Asked: t.row.Question}, nil
	}
}

// puttingOff notes that the agent accepted the question and will push.
func (t *turn) puttingOff(_ time.Time, on store.State) (store.Write, error) {
	if t.fenced(on.Thread, on.Active) {
		return store.Write{}, errHeld
	}
	return store.Write{Thread: on.Thread, Started: &store.Turn{Question: t.row.Question, Started: putOff}}, nil
}

// starting begins the answer with its first text.
func (t *turn) starting(e tandem.Event, text string) decision {
	return func(_ time.Time, on store.State) (store.Write, error) {
		if t.fenced(on.Thread, on.Active) {
			return store.Write{}, errHeld
		}
		w := store.Write{
			Thread: on.Thread, Events: []tandem.Event{e},
			Started:    &store.Turn{Question: t.row.Question},
			Checkpoint: &store.Checkpoint{Text: text},
		}
		w.Thread.Answer = on.Thread.Head + 1
		return w, nil
	}
}

// noting appends a message that is no part of the answer's text.
func (t *turn) noting(e tandem.Event) decision {
	return func(_ time.Time, on store.State) (store.Write, error) {
		if t.fenced(on.Thread, on.Active) {
			return store.Write{}, errHeld
		}
		return store.Write{Thread: on.Thread, Events: []tandem.Event{e}}, nil
	}
}

// growing writes down the answer's text from byte at on.
func (t *turn) growing(started int64, at int, text string) decision {
	return func(_ time.Time, on store.State) (store.Write, error) {
		if t.fenced(on.Thread, on.Active) || on.Thread.Answer != started {
			return store.Write{}, errHeld
		}
		return store.Write{Thread: on.Thread, Checkpoint: &store.Checkpoint{Started: started, At: at, Text: text}}, nil
	}
}

// closing ends an answer with its closing event e. With fence it is refused if
// the agent may not speak any more; without, whatever was said is told to have
// ended. An answer that the log says has ended only loses its row.
func (t *turn) closing(started int64, e tandem.Event, fence bool) decision {
	return func(_ time.Time, on store.State) (store.Write, error) {
		if fence && t.fenced(on.Thread, on.Active) {
			return store.Write{}, errHeld
		}
		w := store.Write{Thread: on.Thread, EndTurns: []int64{t.row.Question}}
		if on.Thread.Answer == started {
			w.Events = []tandem.Event{e}
			w.Thread.Answer = 0
		}
		return w, nil
	}
}

// failing ends a turn that never had a token.
func (t *turn) failing(e tandem.Event) decision {
	return func(_ time.Time, on store.State) (store.Write, error) {
		if t.fenced(on.Thread, on.Active) {
			return store.Write{}, errHeld
		}
		return store.Write{Thread: on.Thread, Events: []tandem.Event{e}, EndTurns: []int64{t.row.Question}}, nil
	}
}

// dropping ends a turn without a word.
func (t *turn) dropping(_ time.Time, on store.State) (store.Write, error) {
	return store.Write{Thread: on.Thread, EndTurns: []int64{t.row.Question}}, nil
}

// event makes an event of this turn's agent.
func (t *turn) event(kind tandem.Kind, id string, body any) (tandem.Event, error) {
	b, err := json.Marshal(body)
	e := tandem.Event{
		Kind: kind, ID: id, Body: b,
		Meta: tandem.Meta{Principal: cmp.Or(t.by.Principal, t.name), Credential: cmp.Or(t.by.Credential, "agent"), Traceparent: t.trace},
	}
	if t.question != nil {
		e.Meta.InReplyTo = t.question.ID
	}
	return e, err
}

// said is a message of this turn's agent.
func (t *turn) said(kind tandem.MessageType) tandem.Message {
	return tandem.Message{
		Direction: tandem.Outgoing, Type: kind, Role: tandem.RoleAssistant, Name: t.name,
		RequestID: t.row.RequestID, Scope: t.row.Scope, Conversation: t.row.Conversation, Medium: t.message.Medium,
	}
}

// last makes the closing event of an answer with this text. Its id was made with
// the question.
func (t *turn) last(finish tandem.Finish, started int64, text, sources string) (tandem.Event, error) {
	m := t.said(tandem.Chat)
	m.Text, m.Sources, m.Finish, m.Started = text, sources, finish, started
	return t.event(tandem.KindAnswerEnded, t.row.Answer, m)
}
