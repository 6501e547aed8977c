package api

import (
	"testing"
)

// The whole of the document's flow diagram, byte for byte. Seen to fail by
// writing the ack before the commit's place (cursor 0), and by leaving the name
// out of stream-end.
func TestChat_speaksTheDocument(t *testing.T) {
	h := openChat(t, chatWith{})
	c := h.opens(h.token("ann"), "")
	c.sends(`{"type":"chat","content":"  Your message here ","timestamp":"2025-09-12T10:30:00.000Z","clientMessageId":"c-1"}`)
	c.sees("ack")
	q := h.question()
	if q.Message != "Your message here" || q.Participant != "ann" || q.Workflow != "support" {
		t.Errorf("the agent was asked %+v", q.Question)
	}
	c.sees("state")
	for i, token := range []string{"Hel", "lo ", "🙂\r\n<b>"} {
		q.says(token)
		if i == 0 {
			c.sees("stream-start")
		}
		if got := c.sees("stream-token").Token; got != token {
			t.Errorf("token %q, want %q", got, token)
		}
	}
	q.ends()
	c.sees("stream-end")
	c.sends(`{"type":"human-escalation","reason":"Need human assistance","timestamp":"2025-09-12T10:30:00.000Z"}`)
	c.sees("human-escalation-response")
	c.sees("message")
	c.sees("state")
	c.sends(`{"type":"ping","timestamp":"2025-09-12T10:30:00.000Z"}`)
	c.sees("pong")
	chatGolden(t, "chat_document.txt", c.plain())
}
