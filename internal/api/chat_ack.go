package api

import (
	"net"

	tandem "github.com/seed4677ff1f/tandem"
)

type chatAckFrame struct {
	Type      string   `json:"type"`
	ClientID  string   `json:"clientMessageId"`
	MessageID string   `json:"messageId"`
	Timestamp chatTime `json:"timestamp"`
	Cursor    string   `json:"cursor"`
}

// A chatAck waits until everything before its message was shown: a client that
// goes on from its cursor must not miss what others said before.
type chatAck struct {
	seq   int64
	frame []byte
}

// acknowledge tells the client that its message is stored: at once, and so before
// anything that the message starts, or when show has come to that place. writing
// is held.
func (c *chatSocket) acknowledge(clientID string, e *tandem.Event) {
	ack := chatAck{e.Seq, chatFrame(chatAckFrame{
		Type: "ack", ClientID: clientID, MessageID: e.ID, Timestamp: chatTime(e.At), Cursor: e.Cursor().String(),
	})}
	c.mu.Lock()
	now := c.resume == nil && len(c.acks) == 0 && c.shown.Seq >= e.Seq-1
	if !now {
		c.acks = append(c.acks, ack)
		c.follower.Wake()
	}
	c.mu.Unlock()
	if now {
		_ = c.conn.WriteFrames(net.Buffers{ack.frame}) // if it cannot be written, reading will tell
	}
}

// note is asked by the follower, which has come to a place: it is the acks that
// waited for it. They go out with the next write.
func (c *chatSocket) note(at tandem.Cursor) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var frames []byte
	for c.noted < len(c.acks) && c.acks[c.noted].seq <= at.Seq {
		frames = append(frames, c.acks[c.noted].frame...)
		c.noted++
	}
	return frames
}

// starts reports whether show may write what it has: not if the client wants to
// see something else first. The acks that were noted go out with it, or stay.
func (c *chatSocket) starts() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	noted := c.noted
	c.noted = 0
	if c.resume != nil {
		return false
	}
	if c.acks = c.acks[noted:]; len(c.acks) == 0 {
		c.acks = nil
	}
	return true
}
