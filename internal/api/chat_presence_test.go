package api

import (
	"fmt"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
)

// Typing and reading are seen by the other side, and by nobody for one's own; an
// operator who does not hold the conversation is not seen at all. Seen to fail by
// echoing it, by telling of whoever looks in, and without presence in the view.
func TestChat_showsWhoTypesAndReads(t *testing.T) {
	h := openChat(t, chatWith{})
	ann := h.connects(h.token("ann"), "")
	id := ann.sees("connection").ConversationID
	ann.sends(`{"type":"chat","content":"hi","clientMessageId":"c-1"}`)
	said := ann.sees("ack").MessageID
	ann.sees("state")
	q := h.question()
	q.says("Hello")
	q.ends()
	for _, kind := range []string{"stream-start", "stream-token", "stream-end"} {
		ann.sees(kind)
	}

	maya := tandem.Principal{Tenant: "default", Subject: "maya", Role: tandem.Operator, Name: "Maya"}
	peeps := tandem.Principal{Tenant: "default", Subject: "lead", Role: tandem.Supervisor, Name: "Lea"}
	if _, err := h.desk.Takeover(t.Context(), maya, id, false); err != nil {
		t.Fatal(err)
	}
	ann.sees("state")
	for _, who := range []tandem.Principal{peeps, maya} {
		if err := h.desk.Typing(t.Context(), who, id, false); err != nil {
			t.Fatal(err)
		}
		if err := h.desk.Read(t.Context(), who, id, said, false); err != nil {
			t.Fatal(err)
		}
	}
	if got := ann.sees("typing"); got.Role != "operator" || got.Name != "Maya" || got.ConversationID != id {
		t.Errorf("typing %+v", got)
	}
	if got := ann.sees("read"); got.MessageID != said || got.Name != "Maya" {
		t.Errorf("read %+v", got)
	}
	second := h.connects(h.token("ann"), "?after=")
	second.sees("connection")
	ann.sends(`{"type":"typing","stopped":true}`)
	ann.sends(fmt.Sprintf(`{"type":"read","messageId":%q,"delivered":true}`, said))
	ann.sends(`{"type":"read","messageId":"x"}`)
	if e := ann.sees("error"); e.Code != "not_found" || e.MessageID != "x" {
		t.Errorf("error %+v", e)
	}
	ann.quiet()
	second.quiet()
	if strings.Contains(ann.plain(), "Lea") {
		t.Error("whoever looks in is shown")
	}
}
