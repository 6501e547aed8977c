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
	Epoch     *int64 // the control epoch that the sender knows; another one counts as held
	OnHeld    string // draft or refuse; empty: as the server's rules are
	Spoken    bool   // it was heard already on its medium
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
// answer later is that answer. What an agent says while an operator holds the
// conversation reaches operators only, as a draft, or is refused (WIRE: "Pushes are
// speech and are fenced"). Errors as of Post; Held with the epoch.
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
		Text: in.Text, Data: in.Data, Hint: in.Hint, Scope: in.Scope, RequestID: in.RequestID, Spoken: in.Spoken,
	}
	sum, err := sumOf(m, in.RequestID)
	if err != nil {
		return Posted{}, err
	}
	e := tandem.Event{Kind: tandem.KindMessage, ID: d.NewMessageID(), Meta: metaOf(ctx, p, "")}
	var res store.Result
	for range tries {
		var f fence
		var at place
		if at, err = d.place(ctx, in.Address, in.RequestID); err != nil {
			return Posted{}, err
		}
		if f, err = d.fence(ctx, at.home, in); err != nil {
			return Posted{}, err
		}
		res, err = d.Append(ctx, store.Append{
			Threads: []tandem.Address{at.home}, Key: keyOf(p, in.Key), KeySum: sum,
			Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
				if at.moved(&on[0]) {
					return nil, errMoved // handed on in the same moment
				}
				w, err := d.decidePush(on[0], in, m, e, f)
				w.EndTurns = f.question
				return []store.Write{w}, err
			},
		})
		if err != errMoved {
			break
		}
	}
	if err != nil {
		return Posted{}, err
	}
	d.metric.HTTP.Posts.Of(typeLabel(in.Type)).Inc()
	out := Posted{Event: res.Events[0][0], RequestID: in.RequestID, Repeat: res.Repeat}
	out.Draft = out.Event.Audience == tandem.Operators
	return out, nil
}

// A fence is what is known, before the transaction, of whether a push is late.
type fence struct {
	taken int64 // the thread's Control.Taken that it was judged by
	stale bool  // it answers what was asked before that

	question []int64 // whose answer it is, if an agent said that it would push it
}

// fence judges a push to its home by its requestId.
func (d *Desk) fence(ctx context.Context, home tandem.Address, in Push) (f fence, err error) {
	if in.Type == tandem.Chat && in.RequestID != "" {
		if q, answers := d.turns.Waiting(home, in.RequestID); answers {
			f.question = []int64{q}
		}
	}
	t, err := d.store.Thread(ctx, home)
	if err != nil {
		return f, err
	}
	if f.taken = t.Control.Taken; !in.speaks() {
		return f, nil
	}
	f.stale, err = d.askedBefore(ctx, t, in.RequestID)
	return f, err
}

// speaks reports whether it is speech: data and handoffs are signals.
func (in *Push) speaks() bool {
	return in.Type != tandem.Data && in.Type != tandem.Handoff && !in.Spoken
}

// askedBefore reports whether the requestId is that of a message older than the
// last takeover.
func (d *Desk) askedBefore(ctx context.Context, t tandem.Thread, requestID string) (bool, error) {
	if requestID == "" || t.Control.Taken == 0 {
		return false, nil
	}
	_, found, err := d.question(ctx, t.Address, t.Control.Taken, requestID)
	return found, err
}

// question finds the newest message before seq that asks under this requestId: a
// participant's, or a handoff. It looks at the last few thousand events.
func (d *Desk) question(ctx context.Context, a tandem.Address, before int64, requestID string) (m tandem.Message, found bool, err error) {
	for range tries {
		events, err := d.store.Before(ctx, a, before, 256)
		if err != nil || len(events) == 0 {
			return m, false, err
		}
		for i := range events {
			before = events[i].Seq
			if events[i].Kind != tandem.KindMessage {
				continue
			}
			if m, err := events[i].Message(); err == nil && m.RequestID == requestID && (m.Direction == tandem.Incoming || m.Type == tandem.Handoff) {
				return m, true, nil
			}
		}
	}
	return m, false, nil
}

// decidePush is Push's rule.
func (d *Desk) decidePush(on store.State, in Push, m tandem.Message, e tandem.Event, f fence) (store.Write, error) {
	w, c := store.Write{Thread: on.Thread}, on.Active
	held := on.Thread.Control.Holder != ""
	if c != nil {
		m.Conversation, m.Medium = c.ID, c.Medium
	}
	if in.speaks() {
		if on.Thread.Control.Taken != f.taken {
			return w, errMoved
		}
		if held || f.stale || in.Epoch != nil && *in.Epoch != on.Thread.Control.Epoch {
			if d.refuses(in.OnHeld) {
				return w, errHeld(on.Thread.Control)
			}
			m.Draft, e.Audience = true, tandem.Operators
		}
	}
	m.Held = m.Spoken && held
	if m.Type == tandem.Chat || m.Type == tandem.File {
		e.ID = messageID(&w, c, e.ID)
	}
	var err error
	e.Body, err = json.Marshal(m)
	w.Events = []tandem.Event{e}
	return w, err
}

// refuses reports whether what may not be shown is refused and not kept.
func (d *Desk) refuses(onHeld string) bool {
	return onHeld == "refuse" || onHeld == "" && d.rules.RefuseWhileHeld
}

// checkLabels refuses what no push may have beside what it says.
func checkLabels(in *Push) error {
	for _, l := range []struct{ what, value string }{
		{"requestId", in.RequestID}, {"scope", in.Scope}, {"hint", in.Hint}, {"Idempotency-Key", in.Key}, {"name", in.Name},
	} {
		if err := tandem.ValidLabel(l.what, l.value); err != nil {
			return err
		}
	}
	if in.OnHeld != "" && in.OnHeld != "draft" && in.OnHeld != "refuse" {
		return tandem.Errorf(tandem.Invalid, "onHeld must be draft or refuse")
	}
	return nil
}

func (d *Desk) checkPush(in *Push) error {
	if err := checkLabels(in); err != nil {
		return err
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
