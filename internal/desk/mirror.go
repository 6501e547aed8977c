package desk

import (
	"context"
	"slices"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// A conversation that was handed to another workflow stays on its thread, its
// home. While the other workflow answers, whatever is written to the home is
// written to the other workflow's thread of the participant in the same append:
// its engine learns of it there, and both threads' readers see the same words. What
// is pushed to that thread goes home, where it is fenced.

// errMirror ends an append that does not write where it has to; it is tried again.
var errMirror error = tandem.Errorf(tandem.Unavailable, "the conversation was handed on in the same moment")

// Append is the store's, with the mirror of a conversation that another workflow
// answers. Everything that is said or decided in a conversation passes here; the
// wiring gives it to the turns. Errors: as of [store.Store.Append].
func (d *Desk) Append(ctx context.Context, ap store.Append) (res store.Result, err error) {
	var mirror tandem.Address
	for range tries {
		var found tandem.Address
		if res, err = d.store.Append(ctx, mirrored(ap, mirror, &found)); err != errMirror {
			return res, err
		}
		mirror = found
	}
	return res, err
}

// mirrorOf is the thread that a conversation is mirrored to; zero: none.
func mirrorOf(c *tandem.Conversation) tandem.Address {
	if c == nil || c.Answering == "" || c.Status != tandem.StatusActive {
		return tandem.Address{}
	}
	return tandem.Address{Tenant: c.Address.Tenant, Workflow: c.Answering, Participant: c.Address.Participant}
}

// mirrored makes ap write to the mirror too. If the conversation has another one,
// it is refused with errMirror and found says which.
func mirrored(ap store.Append, mirror tandem.Address, found *tandem.Address) store.Append {
	decide, n := ap.Decide, len(ap.Threads)
	if !mirror.IsZero() && !slices.Contains(ap.Threads, mirror) {
		ap.Threads = append(slices.Clip(ap.Threads), mirror)
	}
	ap.Decide = func(now time.Time, on []store.State) ([]store.Write, error) {
		if *found = mirrorOf(on[0].Active); *found != mirror {
			return nil, errMirror
		}
		writes, err := decide(now, on[:n])
		if err != nil || len(on) == n {
			return writes, err
		}
		return append(writes, copied(&writes[0], on[n].Thread, mirror)), nil
	}
	return ap
}

// copied is what a write to the home becomes on the mirror.
func copied(home *store.Write, t tandem.Thread, mirror tandem.Address) store.Write {
	w := store.Write{Thread: t}
	for _, e := range home.Events {
		switch e.Kind {
		case tandem.KindAnswerStarted, tandem.KindAnswerFailed, tandem.KindFeedback:
			continue // an answer is shown there when it is whole
		case tandem.KindAnswerEnded:
			e.Kind = tandem.KindMessage
		}
		e.Key, e.KeySum = "", tandem.Hash{}
		w.Events = append(w.Events, e)
	}
	if c := home.Conversation; c != nil && mirrorOf(c) != mirror {
		w.Thread.Control.Serves = "" // it has ended, or goes to somebody else
	}
	return w
}

// home is the thread on which what is pushed to a takes place.
func (d *Desk) home(ctx context.Context, a tandem.Address) (tandem.Address, error) {
	t, err := d.store.Thread(ctx, a)
	if err != nil || t.Control.Serves == "" {
		return a, err
	}
	return tandem.Address{Tenant: a.Tenant, Workflow: t.Control.Serves, Participant: a.Participant}, nil
}
