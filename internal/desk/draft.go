package desk

import (
	"context"
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// draftGone reads the event that says what became of a draft.
func draftGone(e *tandem.Event) (tandem.DraftGone, bool) {
	var g tandem.DraftGone
	if e.Kind != tandem.KindDraftGone {
		return g, false
	}
	return g, json.Unmarshal(e.Body, &g) == nil
}

// SendDraft makes an agent's draft the words of the operator who holds the
// conversation, once: with content, in place of the agent's text. Errors:
// NotFound; Conflict if it was sent or dropped before, for who does not hold the
// conversation, and if it has ended.
func (d *Desk) SendDraft(ctx context.Context, p tandem.Principal, id, draft string, content *string) (Said, error) {
	c, was, err := d.draft(ctx, p, id, draft)
	if err != nil {
		return Said{}, err
	}
	p = d.known(ctx, p)
	m := tandem.Message{
		Direction: tandem.Outgoing, Type: was.Type, Role: tandem.RoleOperator, Name: p.Display(), Speaker: p.Subject,
		Text: was.Text, Data: was.Data, Sources: was.Sources, RequestID: was.RequestID, Scope: was.Scope, Hint: was.Hint,
		Conversation: c.ID, Medium: was.Medium,
	}
	if content != nil {
		if err := d.checkContent(*content, true); err != nil {
			return Said{}, err
		}
		m.Text = *content
	}
	said := tandem.Event{Kind: tandem.KindMessage, ID: d.NewMessageID(), Meta: metaOf(ctx, p, "")}
	said.Meta.InReplyTo = draft
	state := tandem.NewID("evt_", d.clock())
	res, err := d.settle(ctx, p, c, draft, func(now time.Time, w *store.Write, c *tandem.Conversation) (string, error) {
		is, e := *c, said
		e.ID = messageID(w, c, e.ID)
		if e.Body, err = json.Marshal(m); err != nil {
			return "", err
		}
		w.Events = append(w.Events, e)
		return e.ID, d.heard(now, w, &is, p, state)
	})
	if err != nil {
		return Said{}, err
	}
	return Said{Events: res.Events[0][:1], Conversation: *res.Active[0]}, nil
}

// DropDraft takes a draft away from the operators. Errors: as of SendDraft.
func (d *Desk) DropDraft(ctx context.Context, p tandem.Principal, id, draft string) error {
	c, _, err := d.draft(ctx, p, id, draft)
	if err == nil {
		_, err = d.settle(ctx, p, c, draft, func(time.Time, *store.Write, *tandem.Conversation) (string, error) { return "", nil })
	}
	return err
}

// draft finds a draft of the conversation.
func (d *Desk) draft(ctx context.Context, p tandem.Principal, id, draft string) (c tandem.Conversation, m tandem.Message, err error) {
	if c, err = d.addressed(ctx, p, Say{Conversation: id}); err != nil {
		return c, m, err
	}
	if err := mayControl(p, &c); err != nil {
		return c, m, err
	}
	e, err := d.store.Find(ctx, c.Address, draft)
	if err != nil && tandem.KindOf(err) != tandem.NotFound {
		return c, m, err
	}
	m, ok := messageIn(&e, c.ID)
	if err != nil || !ok || !m.Draft {
		return c, m, tandem.Errorf(tandem.NotFound, "Draft '%s' not found", clip(draft, tandem.MaxName))
	}
	return c, m, nil
}

// settle ends a draft, once: both ways use the same key. say adds what it becomes
// and returns that message's id.
func (d *Desk) settle(ctx context.Context, p tandem.Principal, c tandem.Conversation, draft string,
	say func(time.Time, *store.Write, *tandem.Conversation) (string, error),
) (store.Result, error) {
	gone := tandem.Event{Kind: tandem.KindDraftGone, ID: tandem.NewID("evt_", d.clock()), Audience: tandem.Operators, Meta: metaOf(ctx, p, "")}
	res, err := d.Append(ctx, store.Append{
		Threads: []tandem.Address{c.Address}, Key: "d:" + draft,
		Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
			w, is := store.Write{Thread: on[0].Thread}, on[0].Active
			switch {
			case is == nil || is.ID != c.ID:
				return nil, errEnded()
			case is.AdminID == "":
				return nil, errNotHolding
			case is.AdminID != p.Subject:
				return nil, errTaken(is)
			}
			sent, err := say(now, &w, is)
			if err != nil {
				return nil, err
			}
			e := gone
			if e.Body, err = json.Marshal(tandem.DraftGone{MessageID: draft, Sent: sent, Conversation: c.ID}); err != nil {
				return nil, err
			}
			at := 0
			if sent != "" {
				at = 1
			}
			w.Events = append(w.Events[:at:at], append([]tandem.Event{e}, w.Events[at:]...)...)
			return []store.Write{w}, nil
		},
	})
	if err == nil && res.Repeat {
		err = tandem.Errorf(tandem.Conflict, "This draft was already sent or dropped.")
	}
	return res, err
}
