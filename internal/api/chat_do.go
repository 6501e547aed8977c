package api

import (
	"errors"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// take does what one frame of the client asks for. Whatever is wrong with it is
// told by an error frame; the socket stays open.
func (c *chatSocket) take(text []byte) {
	in, err := decodeChat(text)
	label := in.Type
	if errors.Is(err, errChatFormat) || errors.Is(err, errChatType) {
		label = "invalid"
	}
	c.s.opt.Metric.Chat.Frames.Of(label).Inc()
	if err == nil && in.Type == chatPing { // costs nothing
		_ = c.send(chatPongFrame{Type: "pong", Timestamp: chatTime(c.s.opt.Clock())})
		return
	}
	who, counts := c.principal(), costRequest
	if err == nil && (in.Type == chatSays || in.Type == chatEscalate) {
		counts = costPost
	}
	if over := c.s.charge(who, counts).err(); over != nil {
		err = over
	}
	if err == nil && c.s.open.stopped() && (in.Type == chatSays || in.Type == chatEscalate) {
		err = errStopping() // the client sends it again, to the next server
	}
	if err == nil {
		err = c.do(who, in)
	}
	if err != nil {
		c.refuse(in, err)
	}
}

func (c *chatSocket) do(who tandem.Principal, in chatIn) error {
	switch in.Type {
	case chatSays:
		return c.says(who, in)
	case chatEscalate:
		return c.escalates(who, in)
	case chatCancel:
		return c.s.opt.Desk.Cancel(c.s.base, who, c.address, in.MessageID)
	case chatFeedback:
		return c.rates(who, in)
	case chatResume:
		c.resumes(in.After)
	case chatAuth:
		return c.renews(who, in.Token)
	case chatTyping:
		return c.s.opt.Desk.TypingAt(c.s.base, who, c.address, in.Stopped)
	case chatRead:
		return c.s.opt.Desk.ReadAt(c.s.base, who, c.address, in.MessageID, in.Delivered)
	}
	return nil
}

// says posts what the client says. The ack comes after the commit and before
// anything that the message starts; a repeat is acknowledged as the first was. A
// client that gave the message no id of its own could not tell what an ack is
// about, and gets none. A server that is about to end takes messages to the last:
// what it does not answer any more is answered after its restart.
func (c *chatSocket) says(who tandem.Principal, in chatIn) error {
	d := c.s.opt.Desk
	if err := d.CheckText(in.Content); err != nil {
		return &chatRefusal{"content_too_long", message(err)}
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	id := d.NewMessageID()
	c.expect(id)
	posted, err := d.Post(c.s.base, who, desk.Post{
		Address: c.address, Type: tandem.Chat, Text: in.Content, ClientID: in.ClientID, ClientTime: in.Timestamp, Locale: c.locale, ID: id, Named: true,
	})
	if err != nil || posted.Repeat {
		c.passed(id)
	}
	if err != nil || in.ClientID == "" {
		return err
	}
	c.acknowledge(in.ClientID, &posted.Event)
	return nil
}

func message(err error) string {
	if known := (*tandem.Error)(nil); errors.As(err, &known) {
		return known.Message
	}
	return err.Error()
}

// escalates asks for a person. What the client is told is true: somebody is on
// duty, or nobody is. The cursor is that of what this socket has shown: what the
// wish changes comes after it.
func (c *chatSocket) escalates(who tandem.Principal, in chatIn) error {
	urgency, err := tandem.ParseUrgency(in.Urgency)
	if err != nil {
		return err
	}
	d, texts := c.s.opt.Desk, c.s.opt.Texts.of(c.locale)
	said := texts.NobodyOnDuty
	if d.OnDuty(c.s.base, c.address) {
		said = texts.PersonSoon
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	id := d.NewMessageID()
	c.expect(id) // the response says it: this socket needs not be shown the message
	_, told, err := d.Escalate(c.s.base, who, desk.Escalation{
		Address: c.address, ID: id, Reason: in.Reason, Urgency: urgency, ToAgent: "human-agent", Text: said,
	})
	if !told {
		c.passed(id)
	}
	if err != nil {
		return err
	}
	_ = c.send(chatEscalatedFrame{
		Type: "human-escalation-response", Message: said, Timestamp: chatTime(c.s.opt.Clock()), Cursor: c.shown.String(),
	})
	return nil
}

func (c *chatSocket) rates(who tandem.Principal, in chatIn) error {
	err := c.s.opt.Desk.Rate(c.s.base, who, c.address, tandem.Feedback{MessageID: in.MessageID, Type: in.Feedback, Comment: in.Comment})
	if err != nil {
		return err
	}
	_ = c.send(chatConfirmFrame{Type: "feedback-confirmation", MessageID: in.MessageID, Timestamp: chatTime(c.s.opt.Clock())})
	return nil
}

// resumes makes the follower begin anew after a place. What is not written yet
// will be, in its order.
func (c *chatSocket) resumes(after string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ending {
		c.resume = &after
		c.stop()
	}
}

// renews puts a new credential in the place of the one that the socket stands on:
// of the same participant, and good for the same thread.
func (c *chatSocket) renews(who tandem.Principal, token string) error {
	p, err := c.s.opt.Auth.Authenticate(c.s.base, auth.Present(token, c.page), auth.Use{Purpose: auth.Socket, Route: "GET /ws"})
	if err != nil {
		return err
	}
	if p.Role != who.Role || p.Session != "" || p.Subject != who.Subject || !p.MayRead(c.address) {
		return tandem.Errorf(tandem.Forbidden, "This token is for somebody else. The old one stays.")
	}
	p.From = who.From
	c.mu.Lock()
	c.who = p
	c.follower.Renew(p)
	c.expires()
	c.mu.Unlock()
	// What was taken back while the socket did not stand on it yet.
	if err := c.s.opt.Auth.Recheck(c.s.base, p); err != nil {
		c.refuse(chatIn{}, err)
		_ = c.conn.Close(ws.Expired, chatRevoked)
	}
	return nil
}
