package desk

import (
	"context"
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

func errNoThread() error { return tandem.Errorf(tandem.NotFound, "Thread not found") }

// Delete is what asking to delete a thread means, by who asks. A participant's ends
// the conversation and hides the history from the participant; operators, audit and
// export keep it. An owner's erases it, see [Desk.Erase]. Others are Forbidden.
// NotFound if there is nothing to delete.
func (d *Desk) Delete(ctx context.Context, p tandem.Principal, a tandem.Address) error {
	if err := mayRead(p, a); err != nil {
		return err
	}
	switch p.Role {
	case tandem.Participant:
		return d.hide(ctx, p, a)
	case tandem.Owner:
		return d.Erase(ctx, p, a)
	}
	return errForbidden()
}

// hide ends a participant's conversation and hides all there is from it.
func (d *Desk) hide(ctx context.Context, p tandem.Principal, a tandem.Address) error {
	event, gone := tandem.NewID("evt_", d.clock()), false
	_, err := d.turns.Seize(ctx, tandem.FinishInterrupted, store.Append{
		Threads: []tandem.Address{a},
		Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
			w := store.Write{Thread: on[0].Thread, Audits: []store.Audit{store.AuditOf(p, "delete-thread", on[0].Thread.Control.Conversation, a.ThreadID())}}
			if gone = on[0].Thread.Head <= on[0].Thread.Hidden; gone {
				return nil, errNoThread()
			}
			if c := on[0].Active; c != nil {
				is := *c
				finished(&is, tandem.EndDeleted)
				if err := d.changed(now, &w, c, &is, event, change{by: p}); err != nil {
					return nil, err
				}
			} else {
				w.Thread.Control.Epoch++
			}
			w.Thread.Control.Reserved = ""
			w.Thread.Hidden = on[0].Thread.Head + int64(len(w.Events))
			return []store.Write{w}, nil
		},
	})
	if err != nil {
		return err
	}
	d.hub.EndReaders(a, func(p tandem.Principal) bool { return p.Role == tandem.Participant }, EndDeleted)
	return nil
}

// Erase removes what was said on a thread, for good: bodies, keys, checkpoints and
// the memory of this node, before it returns. A tombstone and the hashes stay, so
// that the rest can still be verified. Its open streams end with EndDeleted, and old
// places are unknown from then on. Owners may. NotFound if there is nothing.
func (d *Desk) Erase(ctx context.Context, p tandem.Principal, a tandem.Address) error {
	if p.Role != tandem.Owner || p.Tenant != a.Tenant {
		return errForbidden()
	}
	// The answer under way ends first, so that its text is among what is erased.
	_, err := d.turns.Seize(ctx, tandem.FinishInterrupted, store.Append{
		Threads: []tandem.Address{a},
		Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
			w := store.Write{Thread: on[0].Thread}
			w.Thread.Control.Epoch++
			return []store.Write{w}, nil
		},
	})
	if err != nil {
		return err
	}
	_, err = d.Append(ctx, Erasing(p, a, d.clock())) // its commit makes this node forget
	return err
}

// Erasing is the append that erases a thread, for a command that works on the data
// without a desk.
func Erasing(by tandem.Principal, a tandem.Address, now time.Time) store.Append {
	id, meta := tandem.NewID("evt_", now), tandem.Meta{Principal: by.Subject, Credential: string(by.Kind)}
	return store.Append{
		Threads: []tandem.Address{a},
		Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
			t := on[0].Thread
			if t.Head == 0 || t.Erased > 0 && t.Head == t.Erased+1 {
				return nil, errNoThread()
			}
			body, err := json.Marshal(tandem.Erased{By: string(by.Role), At: now})
			if err != nil {
				return nil, err
			}
			was := t.Control.Conversation
			t.Control = tandem.Control{Epoch: t.Control.Epoch + 1}
			t.Answer, t.Counter = 0, 0
			return []store.Write{{
				Thread: t, Events: []tandem.Event{{Kind: tandem.KindErased, ID: id, Body: body, Meta: meta}}, Erase: &store.Erase{},
				Audits: []store.Audit{store.AuditOf(by, "erase", was, a.ThreadID())},
			}}, nil
		},
	}
}

// Erased makes this node forget a thread that was erased, by the number of its row:
// a command on the same data folder may have done it. The wiring calls it when it
// learns of it.
func (d *Desk) Erased(ctx context.Context, thread int64) error {
	a, err := d.store.AddressOf(ctx, thread)
	if err != nil {
		return err
	}
	t, err := d.store.Thread(ctx, a)
	if err != nil || d.agenda.erased(a, t.Erased) { // what this node erased itself it has forgotten already
		return err
	}
	d.turns.Committed(store.Committed{Address: a, Thread: t}) // the answer under way is fenced off
	d.forget(a)
	d.hub.Nudge(tandem.BoardAddress(a.Tenant))
	return nil
}

// forget ends the thread's streams and drops what is in memory of it.
func (d *Desk) forget(a tandem.Address) {
	d.hub.EndThread(a, EndDeleted)
	d.hub.Erase(a)
}
