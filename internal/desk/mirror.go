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
	if home.Erase != nil { // the copies here are this thread's own
		w.Thread.Control.Serves = ""
		return w
	}
	for _, e := range home.Events {
		switch e.Kind {
		case tandem.KindAnswerStarted, tandem.KindAnswerFailed, tandem.KindFeedback, tandem.KindErased:
			continue // an answer is shown there when it is whole
		case tandem.KindAnswerEnded:
			e.Kind = tandem.KindMessage
		}
		if t.Control.Holder != "" && saysAgent(&e) {
			continue // an operator holds what the participant began there
		}
		e.Key, e.KeySum = "", tandem.Hash{}
		w.Events = append(w.Events, e)
	}
	if c := home.Conversation; c != nil && mirrorOf(c) != mirror || home.Erase != nil {
		if t.Control.Serves == home.Thread.Address.Workflow {
			w.Thread.Control.Serves = "" // it has ended, or goes to somebody else
		}
	}
	return w
}

// saysAgent reports whether e is an agent's speech, which is fenced.
func saysAgent(e *tandem.Event) bool {
	if e.Kind != tandem.KindMessage || e.Audience != tandem.Everyone {
		return false
	}
	m, err := e.Message()
	return err == nil && m.Role == tandem.RoleAssistant && m.Type != tandem.Data && m.Type != tandem.Handoff && !m.Spoken
}

// place is where what is pushed to a thread takes place.
type place struct {
	home   tandem.Address
	pushed tandem.Address // the thread that it was pushed to
	serves string         // whom that thread served then
}

// place finds it: the thread itself or, while its workflow answers another
// thread's conversation, that one. Where the participant has begun a conversation
// of its own beside, the requestId says which is meant; without one it is that one.
func (d *Desk) place(ctx context.Context, a tandem.Address, requestID string) (place, error) {
	at := place{home: a, pushed: a}
	t, err := d.store.Thread(ctx, a)
	if at.serves = t.Control.Serves; err != nil || at.serves == "" {
		return at, err
	}
	if requestID != "" {
		asked, found, err := d.question(ctx, a, t.Head+1, requestID)
		if err != nil {
			return at, err
		}
		if found {
			c, err := d.store.Conversation(ctx, a.Tenant, asked.Conversation)
			if err == nil && mirrorOf(&c) == a {
				at.home = c.Address
			}
			if tandem.KindOf(err) == tandem.NotFound {
				err = nil
			}
			return at, err
		}
	}
	if t.Control.Conversation != "" {
		return at, nil
	}
	home := tandem.Address{Tenant: a.Tenant, Workflow: at.serves, Participant: a.Participant}
	if t, err = d.store.Thread(ctx, home); err != nil || t.Control.Conversation == "" {
		return at, err // erased meanwhile
	}
	c, err := d.store.Conversation(ctx, a.Tenant, t.Control.Conversation)
	if err == nil && mirrorOf(&c) == a {
		at.home = home
	}
	return at, err
}

// moved reports whether the place is not any more what it was, given its home.
func (at *place) moved(home *store.State) bool {
	if at.home != at.pushed {
		return mirrorOf(home.Active) != at.pushed
	}
	return home.Thread.Control.Serves != at.serves
}
