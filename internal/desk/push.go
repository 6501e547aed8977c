package desk

import (
	"context"
	"encoding/json"
	"time"
	"unicode/utf8"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Push is what an agent or a back end sends to a participant of its own accord.
type Push struct {
	Address   tandem.Address
	Type      tandem.MessageType
	Text      string
	Data      json.RawMessage
	Hint      string
	Scope     string
	RequestID string
	Key       string // Idempotency-Key
	Name      string // display name; empty: the credential's
}

// mayPush refuses who may not speak for an agent.
func mayPush(p tandem.Principal, a tandem.Address) error {
	if p.Role != tandem.Agent && p.Role != tandem.Owner {
		return errForbidden()
	}
	return mayRead(p, a)
}

// Push stores an Outgoing message. It opens no conversation and starts no turn; a
// Chat that carries the requestId of a question whose agent said that it would
// answer later is that answer. Errors as of Post.
func (d *Desk) Push(ctx context.Context, p tandem.Principal, in Push) (Posted, error) {
	if err := mayPush(p, in.Address); err != nil {
		return Posted{}, err
	}
	if err := d.checkPush(&in); err != nil {
		return Posted{}, err
	}
	if in.Name == "" {
		in.Name = p.Display()
	}
	m := tandem.Message{
		Direction: tandem.Outgoing, Type: in.Type, Role: tandem.RoleAssistant, Name: in.Name,
		Text: in.Text, Data: in.Data, Hint: in.Hint, Scope: in.Scope, RequestID: in.RequestID,
	}
	sum, err := sumOf(m, in.RequestID)
	if err != nil {
		return Posted{}, err
	}
	e := tandem.Event{Kind: tandem.KindMessage, ID: d.NewMessageID(), Meta: metaOf(ctx, p, "")}
	question, answers := int64(0), false
	if in.Type == tandem.Chat && in.RequestID != "" {
		question, answers = d.turns.Waiting(in.Address, in.RequestID)
	}
	res, err := d.store.Append(ctx, store.Append{
		Threads: []tandem.Address{in.Address}, Key: keyOf(p, in.Key), KeySum: sum,
		Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
			w, said, entry := store.Write{Thread: on[0].Thread}, m, e
			if c := on[0].Active; c != nil {
				said.Conversation, said.Medium = c.ID, c.Medium
			}
			if answers {
				w.EndTurns = []int64{question}
			}
			var err error
			entry.Body, err = json.Marshal(said)
			w.Events = []tandem.Event{entry}
			return []store.Write{w}, err
		},
	})
	if err != nil {
		return Posted{}, err
	}
	d.metric.HTTP.Posts.Of(typeLabel(in.Type)).Inc()
	return Posted{Event: res.Events[0][0], RequestID: in.RequestID, Repeat: res.Repeat}, nil
}

func (d *Desk) checkPush(in *Push) error {
	for _, l := range []struct{ what, value string }{
		{"requestId", in.RequestID}, {"scope", in.Scope}, {"hint", in.Hint}, {"Idempotency-Key", in.Key}, {"name", in.Name},
	} {
		if err := tandem.ValidLabel(l.what, l.value); err != nil {
			return err
		}
	}
	if !utf8.ValidString(in.Text) {
		return tandem.Errorf(tandem.Invalid, "text is not valid UTF-8")
	}
	if n := d.limits.Answer; n > 0 && len(in.Text) > n {
		return tandem.Errorf(tandem.TooLarge, "text cannot exceed %d bytes", n)
	}
	data, err := d.checkData(in.Data)
	if err != nil {
		return err
	}
	in.Data = data
	switch {
	case in.Type == tandem.Chat && in.Text == "":
		return tandem.Errorf(tandem.Invalid, "text is required")
	case in.Text == "" && in.Data == nil:
		return tandem.Errorf(tandem.Invalid, "text or data is required")
	}
	return nil
}
