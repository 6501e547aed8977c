package desk

import (
	"context"
	"encoding/json"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// maxQueue is how many places of a queue are told.
const maxQueue = 1000

// tellPlaces tells those who wait for an operator of the workflow their place, if
// it has changed.
func (d *Desk) tellPlaces(ctx context.Context, q queueKey, told map[queueKey]map[string]int) {
	waiting, err := d.store.Conversations(ctx, store.ConversationFilter{
		Tenant: q.tenant, Workflow: q.workflow, Status: tandem.StatusActive, Mode: tandem.ModeWaiting, Limit: maxQueue,
	})
	if err != nil {
		if ctx.Err() == nil {
			d.log.Warn("the places in a queue cannot be read", "err", err)
		}
		return
	}
	now := make(map[string]int, len(waiting))
	for i := range waiting {
		c := &waiting[i]
		now[c.ID] = i + 1
		if told[q][c.ID] != i+1 {
			d.hub.Notify(c.Address, tandem.Notice{Kind: tandem.NoticeQueue, At: d.clock().UTC(), Conversation: c.ID, Place: i + 1, Row: c})
		}
	}
	told[q] = now
	if len(now) == 0 {
		delete(told, q)
	}
}

// tellWords puts a conversation's last words on the board.
func (d *Desk) tellWords(ctx context.Context, a tandem.Address) {
	board := tandem.BoardAddress(a.Tenant)
	if d.hub.Subscribers(board) == 0 {
		return
	}
	t, err := d.store.Thread(ctx, a)
	if err != nil || t.Control.Conversation == "" {
		return
	}
	c, err := d.store.Conversation(ctx, a.Tenant, t.Control.Conversation)
	if err != nil {
		return
	}
	w, err := d.words(ctx, &c)
	if err != nil {
		return
	}
	d.hub.Notify(board, tandem.Notice{
		Kind: tandem.NoticeHint, At: w.At, Audience: tandem.Operators, Conversation: c.ID, Role: w.Role, Text: w.Text, Unread: w.Unread, Row: &c,
	})
}

// The bounds of what a row says of its conversation.
const (
	maxWords  = 200 // code points of the last words
	maxUnread = 100 // messages; more are not counted
)

// words are the last words of a conversation that everyone may see, and how many of
// the participant's messages nobody who answers has read or answered. They are those
// of c as it is given: who may see that row need not see what was said since it has
// changed hands.
func (d *Desk) words(ctx context.Context, c *tandem.Conversation) (Words, error) {
	var w Words
	acks, err := d.store.Acks(ctx, c.Address)
	if err != nil {
		return w, err
	}
	read := c.FirstSeq - 1
	for _, a := range acks {
		if a.Role != tandem.Participant && a.Role != tandem.Agent {
			read = max(read, a.Read)
		}
	}
	acked := read
	before := int64(1) << 62
	if c.LastSeq > 0 {
		before = c.LastSeq + 1
	}
	for before > c.FirstSeq && (w.Text == "" || before > read) {
		events, err := d.store.Before(ctx, c.Address, before, 64)
		if err != nil || len(events) == 0 {
			return w, err
		}
		for i := range events {
			e := &events[i]
			before = e.Seq
			if changedSince(c, e) {
				w, read = Words{}, acked
				continue
			}
			m, ok := messageIn(e, c.ID)
			if e.Seq < c.FirstSeq || !ok || !m.Counts(e.Audience) {
				continue
			}
			if w.At.IsZero() {
				w.Text, w.Role, w.At = clip(m.Text, maxWords), m.Role, e.At
			}
			if m.Role == tandem.RoleOperator {
				read = max(read, e.Seq)
			}
			if m.Role == tandem.RoleUser && e.Seq > read && w.Unread < maxUnread {
				w.Unread++
			}
		}
		if w.Unread >= maxUnread || !w.At.IsZero() && before <= read {
			break
		}
	}
	return w, nil
}

// changedSince reports whether e is a change of control of c that c does not know yet.
func changedSince(c *tandem.Conversation, e *tandem.Event) bool {
	if e.Kind != tandem.KindState {
		return false
	}
	var is tandem.Conversation
	return json.Unmarshal(e.Body, &is) == nil && is.ID == c.ID && is.Epoch > c.Epoch
}
