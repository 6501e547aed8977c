package desk

import (
	"context"
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Enter returns the thread with an id for its conversation: the ACTIVE one's, or
// one that is reserved for the next, the same for every socket. Errors as of Post.
func (d *Desk) Enter(ctx context.Context, p tandem.Principal, a tandem.Address) (tandem.Thread, error) {
	if err := mayRead(p, a); err != nil {
		return tandem.Thread{}, err
	}
	t, err := d.store.Thread(ctx, a)
	if err != nil || t.Control.Conversation != "" || t.Control.Reserved != "" {
		return t, err
	}
	id := tandem.NewID("conv_", d.clock())
	res, err := d.store.Append(ctx, store.Append{Threads: []tandem.Address{a}, Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
		t := on[0].Thread
		if t.Control.Conversation == "" && t.Control.Reserved == "" {
			t.Control.Reserved = id
		}
		return []store.Write{{Thread: t}}, nil
	}})
	if err != nil {
		return tandem.Thread{}, err
	}
	return res.Threads[0], nil
}

// ConversationID is the id that a client is told: of the ACTIVE conversation, or
// the one reserved.
func ConversationID(t tandem.Thread) string {
	if t.Control.Conversation != "" {
		return t.Control.Conversation
	}
	return t.Control.Reserved
}

// Seen moves the thread's chat mark: some chat socket has shown everything up to
// seq and answered a ping after it. The mark never goes back.
func (d *Desk) Seen(ctx context.Context, a tandem.Address, seq int64) error {
	_, err := d.store.Append(ctx, store.Append{Threads: []tandem.Address{a}, Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
		t := on[0].Thread
		t.ChatMark = max(t.ChatMark, min(seq, t.Head))
		got := store.Ack{Reader: a.Participant, Role: tandem.Participant, Delivered: t.ChatMark}
		return []store.Write{{Thread: t, Acks: []store.Ack{got}}}, nil
	}})
	return err
}

// Cancel stops an answer at what has been shown of it. messageID is the answer's
// or the question's. NotFound if no such answer is under way.
func (d *Desk) Cancel(ctx context.Context, p tandem.Principal, a tandem.Address, messageID string) error {
	if err := maySpeakAs(p, a); err != nil {
		return err
	}
	return d.turns.Cancel(ctx, a, messageID)
}

// Rate stores what a participant thinks of an answer, for operators to see.
// Errors: NotFound for a message that is not on the thread, Invalid.
func (d *Desk) Rate(ctx context.Context, p tandem.Principal, a tandem.Address, fb tandem.Feedback) error {
	if err := maySpeakAs(p, a); err != nil {
		return err
	}
	if fb.Type != "positive" && fb.Type != "negative" {
		return tandem.Errorf(tandem.Invalid, "feedbackType must be positive or negative")
	}
	if len([]rune(fb.Comment)) > MaxReason {
		return tandem.Errorf(tandem.Invalid, "comment cannot exceed %d characters", MaxReason)
	}
	target, err := d.store.Find(ctx, a, fb.MessageID)
	if err != nil {
		return err
	}
	if m, err := target.Message(); err != nil || m.Direction != tandem.Outgoing || !target.Audience.VisibleTo(p.Audience()) {
		return tandem.Errorf(tandem.NotFound, "Message not found")
	}
	body, err := json.Marshal(fb)
	if err != nil {
		return err
	}
	meta := metaOf(ctx, p, "")
	meta.InReplyTo = fb.MessageID
	e := tandem.Event{Kind: tandem.KindFeedback, ID: tandem.NewID("evt_", d.clock()), Audience: tandem.Operators, Body: body, Meta: meta}
	_, err = d.store.Append(ctx, store.Append{Threads: []tandem.Address{a}, Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
		return []store.Write{{Thread: on[0].Thread, Events: []tandem.Event{e}}}, nil
	}})
	return err
}

// History asks for messages of a thread.
type History struct {
	Address  tandem.Address
	Page     int // from 1, newest first; not with After
	PageSize int
	Filter   tandem.Filter
	After    string // a cursor or a message id: what follows it, oldest first
}

// History returns messages, both ways, as p may see them. A place that is not of
// this log is Invalid; one that is kept no more is Gone.
func (d *Desk) History(ctx context.Context, p tandem.Principal, h History) ([]tandem.Event, error) {
	if err := mayRead(p, h.Address); err != nil {
		return nil, err
	}
	hidden := int64(0)
	if p.Role == tandem.Participant {
		t, err := d.store.Thread(ctx, h.Address)
		if err != nil {
			return nil, err
		}
		hidden = t.Hidden
	}
	shown := func(e *tandem.Event) bool {
		if e.Seq <= hidden || !e.Audience.VisibleTo(p.Audience()) || e.Kind != tandem.KindMessage && e.Kind != tandem.KindAnswerEnded {
			return false
		}
		m, err := e.Message()
		return err == nil && (m.Type == tandem.Handoff || h.Filter.Shows(m.Scope))
	}
	if h.After != "" {
		return d.historyAfter(ctx, h, shown)
	}
	var out []tandem.Event
	skip, before := (h.Page-1)*h.PageSize, int64(1)<<62
	for {
		events, err := d.store.Before(ctx, h.Address, before, 256)
		if err != nil || len(events) == 0 {
			return out, err
		}
		for i := range events {
			before = events[i].Seq
			if !shown(&events[i]) {
				continue
			}
			if skip > 0 {
				skip--
				continue
			}
			if out = append(out, events[i]); len(out) == h.PageSize {
				return out, nil
			}
		}
	}
}

func (d *Desk) historyAfter(ctx context.Context, h History, shown func(*tandem.Event) bool) ([]tandem.Event, error) {
	after, err := tandem.ParseCursor(h.After)
	if err != nil {
		e, err := d.store.Find(ctx, h.Address, h.After)
		if err != nil {
			return nil, tandem.Errorf(tandem.Invalid, "after is no cursor or message of this thread")
		}
		after = e.Cursor()
	}
	var out []tandem.Event
	for {
		page, err := d.store.Read(ctx, h.Address, after, 256)
		switch {
		case err != nil:
			return nil, err
		case page.Reset:
			return nil, tandem.Errorf(tandem.Invalid, "after is no cursor or message of this thread")
		case page.Gap != nil:
			return nil, tandem.Errorf(tandem.Gone, "messages %d to %d are kept no more", page.Gap.From, page.Gap.To)
		case len(page.Events) == 0:
			return out, nil
		}
		for i := range page.Events {
			after = page.Events[i].Cursor()
			if shown(&page.Events[i]) {
				if out = append(out, page.Events[i]); len(out) == h.PageSize {
					return out, nil
				}
			}
		}
	}
}
