package desk

import (
	"context"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// roleOf is the role in which p speaks.
func roleOf(p tandem.Principal) tandem.Role {
	switch {
	case p.Role == tandem.Participant:
		return tandem.RoleUser
	case p.Staff():
		return tandem.RoleOperator
	}
	return tandem.RoleAssistant
}

// Typing tells who follows the conversation that p types, or has stopped. Nothing
// is stored. Of people who answer only the holder is shown to the participant.
// Errors: NotFound, Forbidden, Conflict if it has ended.
func (d *Desk) Typing(ctx context.Context, p tandem.Principal, id string, stopped bool) error {
	c, err := d.conversation(ctx, p, id)
	if err != nil {
		return err
	}
	if c.Status != tandem.StatusActive {
		return errEnded()
	}
	d.typing(d.known(ctx, p), &c, stopped)
	return nil
}

func (d *Desk) typing(p tandem.Principal, c *tandem.Conversation, stopped bool) {
	n := tandem.Notice{
		Kind: tandem.NoticeTyping, At: d.clock().UTC(), Conversation: c.ID, Subject: p.Subject, Role: roleOf(p), Name: p.Display(), Stopped: stopped,
	}
	if p.Staff() && c.AdminID != p.Subject || p.Role == tandem.Agent && c.AdminID != "" {
		n.Audience = tandem.Operators
	}
	d.hub.Notify(c.Address, n)
}

// TypingAt is Typing of a participant on a thread: without a conversation nobody
// is told.
func (d *Desk) TypingAt(ctx context.Context, p tandem.Principal, a tandem.Address, stopped bool) error {
	if err := maySpeakAs(p, a); err != nil {
		return err
	}
	t, err := d.store.Thread(ctx, a)
	if err != nil || t.Control.Conversation == "" {
		return err
	}
	d.typing(p, &tandem.Conversation{ID: t.Control.Conversation, Address: a}, stopped)
	return nil
}

// Read notes that p has read, or with delivered has got, everything up to a
// message, and tells who follows the conversation: of people who answer, only what
// the holder reads is the participant's business. It never goes back. Errors:
// NotFound for a message that is not one of the conversation's that p may see.
func (d *Desk) Read(ctx context.Context, p tandem.Principal, id, messageID string, delivered bool) error {
	c, err := d.conversation(ctx, p, id)
	if err != nil {
		return err
	}
	told := tandem.Everyone
	if p.Staff() && c.AdminID != p.Subject {
		told = tandem.Operators
	}
	return d.read(ctx, p, c.Address, c.ID, messageID, delivered, told)
}

// ReadAt is Read of a participant on a thread, whatever the conversation.
func (d *Desk) ReadAt(ctx context.Context, p tandem.Principal, a tandem.Address, messageID string, delivered bool) error {
	if err := maySpeakAs(p, a); err != nil {
		return err
	}
	return d.read(ctx, p, a, "", messageID, delivered, tandem.Everyone)
}

func (d *Desk) read(ctx context.Context, p tandem.Principal, a tandem.Address, conversation, messageID string, delivered bool, told tandem.Audience) error {
	p = d.known(ctx, p)
	if strings.TrimSpace(messageID) == "" {
		return tandem.Errorf(tandem.Invalid, "message_id is required")
	}
	e, err := d.store.Find(ctx, a, messageID)
	if err != nil {
		return err
	}
	m, err := e.Message()
	if err != nil || e.Kind != tandem.KindMessage && e.Kind != tandem.KindAnswerEnded || !e.Audience.VisibleTo(p.Audience()) ||
		conversation != "" && m.Conversation != conversation {
		return tandem.Errorf(tandem.NotFound, "Message not found")
	}
	ack := store.Ack{Reader: p.Subject, Role: p.Role, Delivered: e.Seq, Read: e.Seq}
	if delivered {
		ack.Read = 0
	}
	if err := d.ack(ctx, a, ack); err != nil {
		return err
	}
	if p.Staff() {
		d.agenda.reword(a)
	}
	if told == tandem.Everyone { // who may not see the message learns nothing of it
		told = e.Audience
	}
	d.hub.Notify(a, tandem.Notice{
		Kind: tandem.NoticeRead, At: d.clock().UTC(), Audience: told, Conversation: m.Conversation, Subject: p.Subject, Role: roleOf(p), Name: p.Display(),
		MessageID: e.ID, Seq: e.Seq, Delivered: delivered,
	})
	return nil
}

// ack stores how far somebody is. It never goes back.
func (d *Desk) ack(ctx context.Context, a tandem.Address, ack store.Ack) error {
	_, err := d.store.Append(ctx, store.Append{Threads: []tandem.Address{a}, Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
		return []store.Write{{Thread: on[0].Thread, Acks: []store.Ack{ack}}}, nil
	}})
	return err
}

// Steer tells the agent something that the participant does not see: people who
// answer may, without holding the conversation. Errors: as of Say.
func (d *Desk) Steer(ctx context.Context, p tandem.Principal, id, content string) (Said, error) {
	c, err := d.conversation(ctx, p, id)
	if err != nil {
		return Said{}, err
	}
	if err := mayControl(p, &c); err != nil {
		return Said{}, err
	}
	s := &speech{
		desk: d, by: p, conversation: c,
		in: Say{Conversation: c.ID, Messages: []Saying{{Content: content, Role: tandem.RoleOperator, Audience: "agent"}}},
	}
	if err := s.prepare(ctx); err != nil {
		return Said{}, err
	}
	s.audits = []store.Audit{store.AuditOf(p, "steer", c.ID, "")}
	res, err := s.store(ctx)
	if err != nil {
		return Said{}, err
	}
	return s.said(ctx, res)
}
