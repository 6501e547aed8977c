package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/turn"
)

// Asking for a person really does: the conversation waits, with reason and
// urgency, and the thread is told by a Handoff. Asking again changes nothing but
// the urgency. Seen to fail by answering without Escalate.
func TestChat_asksForAPerson(t *testing.T) {
	h := openChat(t, chatWith{})
	c := h.connects(h.token("ann"), "")
	conversation := c.sees("connection").ConversationID
	other := h.connects(h.token("ann"), "")
	other.sees("connection")
	c.sends(`{"type":"human-escalation","reason":"My card is blocked","urgency":"urgent"}`)
	first := c.sees("human-escalation-response")
	if first.Message != "Nobody is on duty now. We keep your message." || !strings.HasPrefix(first.Cursor, "0-") {
		t.Errorf("told %+v", first)
	}
	// The socket that asked has its sentence; the participant's others get the message.
	if m := other.sees("message"); m.MessageType != "Handoff" || !strings.Contains(string(m.Data), `"reason":"My card is blocked"`) {
		t.Errorf("the thread is told %+v", m)
	}
	if s := c.sees("state"); s.Mode != "waiting" || s.Urgency != "URGENT" || s.ConversationID != conversation {
		t.Errorf("state %+v", s)
	}
	list, _, err := h.desk.Conversations(t.Context(), tandem.Principal{Tenant: "default", Role: tandem.Supervisor}, desk.List{Limit: 10})
	if err != nil || len(list) != 1 || list[0].Reason != "My card is blocked" || list[0].Mode != tandem.ModeWaiting || list[0].Urgency != tandem.UrgencyUrgent {
		t.Errorf("on the list: %+v, %v", list, err)
	}
	c.sends(`{"type":"human-escalation","reason":"again"}`)
	c.sees("human-escalation-response")
	c.quiet()
	c.sends(`{"type":"human-escalation","urgency":"CRITICAL"}`)
	if got := c.sees("human-escalation-response"); !strings.HasPrefix(got.Cursor, "2-") {
		t.Errorf("the cursor is %s", got.Cursor)
	}
	if s := c.sees("state"); s.Urgency != "CRITICAL" {
		t.Errorf("state %+v", s)
	}
}

// The sentence is true, and in the participant's language: of the token, of the
// query, of the browser, in this order.
func TestChat_saysWhetherSomebodyIsThere(t *testing.T) {
	texts, err := ParseTexts([]byte("de: {person_soon: Gleich kommt jemand., nobody_on_duty: Niemand ist da.}\npt-BR: {nobody_on_duty: Ninguém está aqui.}\nen: {person_soon: Somebody is coming.}\n"))
	if err != nil {
		t.Fatal(err)
	}
	h := openChat(t, chatWith{agents: []turn.Spec{}, opt: func(o *Options) { o.Texts = texts }})
	said := func(query, language string) string {
		t.Helper()
		c, err := h.tries(h.base+"/?token="+h.token("ann")+"&"+query, http.Header{"Accept-Language": {language}})
		if err != nil {
			t.Fatal(err)
		}
		c.sees("connection")
		c.sends(`{"type":"human-escalation"}`)
		for {
			var f chatAny
			decodeFrame(t, c.next(), &f)
			if f.Type == "human-escalation-response" {
				c.leaves()
				return f.Message
			}
		}
	}
	const nobody = "Nobody is on duty now. We keep your message."
	for _, c := range []struct{ query, language, want string }{
		{"", "", nobody},
		{"", "de-AT,de;q=0.9,en;q=0.8", "Niemand ist da."},
		{"", "fr", nobody},
		{"", "pt_br", "Ninguém está aqui."},
		{"", "pt", nobody},
		{"lang=de", "fr", "Niemand ist da."},
		{"lang=%0d%0a", "de;q=1", "Niemand ist da."},
	} {
		if got := said(c.query, c.language); got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.query, c.language, got, c.want)
		}
	}
	maya := tandem.Principal{Tenant: "default", Subject: "maya", Role: tandem.Supervisor, ID: "jti-maya"}
	w, err := h.desk.Follow(t.Context(), desk.Follow{Principal: maya, Address: testAddress, View: tandem.View{Face: tandem.FaceConversation}})
	if err != nil {
		t.Fatal(err)
	}
	for language, want := range map[string]string{"": "Somebody is coming.", "de": "Gleich kommt jemand.", "pt-BR": "Somebody is coming."} {
		if got := said("", language); got != want {
			t.Errorf("on duty, %q: %q, want %q", language, got, want)
		}
	}
	w.Close()
	if got := said("", ""); got != nobody {
		t.Errorf("off duty: %q", got)
	}
}

func TestParseTexts_refusesWhatItCannotUse(t *testing.T) {
	for _, file := range []string{"de: {person_son: x}", "d e: {person_soon: x}", "de: {person_soon: x}\nDE: {person_soon: y}", "de: [x]", "- de", "'': {person_soon: x}"} {
		if texts, err := ParseTexts([]byte(file)); err == nil || !strings.HasPrefix(err.Error(), "texts: ") {
			t.Errorf("%q: %v, %v", file, texts, err)
		}
	}
	if texts, err := ParseTexts(nil); err != nil || texts.of("de") != defaultSentences() {
		t.Errorf("nothing: %v, %v", texts, err)
	}
	if got := Texts(nil).of("de"); got != defaultSentences() {
		t.Errorf("no file: %v", got)
	}
}

// The agent is told the language.
func TestChat_tellsTheAgentTheLanguage(t *testing.T) {
	h := openChat(t, chatWith{})
	c := h.opens(h.token("ann"), "lang=de-CH")
	c.sends(`{"type":"chat","content":"Grüezi"}`)
	if q := h.question(); q.Locale != "de-CH" || q.User["sub"] != "ann" || q.User["name"] != "Ann" {
		t.Errorf("asked %+v", q.Question)
	}
}

// An answer can be stopped by its own id or by its question's; what was written
// stays, and every socket sees the one end. Seen to fail without Cancel.
func TestChat_cancelsAnAnswer(t *testing.T) {
	h := openChat(t, chatWith{})
	token := h.token("ann")
	c, other := h.opens(token, ""), h.opens(token, "")
	for i, by := range []string{"answer", "question"} {
		c.sends(fmt.Sprintf(`{"type":"chat","content":"tell me %d","clientMessageId":"c-%d"}`, i, i))
		id := c.sees("ack").MessageID
		other.sees("message")
		if i == 0 {
			c.sees("state")
			other.sees("state")
		}
		q := h.question()
		q.says("Once upon")
		start := c.sees("stream-start")
		c.sees("stream-token")
		if by == "answer" {
			id = start.MessageID
		}
		c.sends(fmt.Sprintf(`{"type":"cancel","messageId":%q}`, id))
		<-q.done
		if got := c.sees("stream-end"); got.FinishReason != "cancelled" || got.MessageID != start.MessageID {
			t.Errorf("by its %s: %+v", by, got)
		}
		other.sees("stream-start")
		if got := other.sees("stream-token").Token; got != "Once upon" {
			t.Errorf("kept %q", got)
		}
		other.sees("stream-end")
		c.refused(fmt.Sprintf(`{"type":"cancel","messageId":%q}`, id), "not_found", "There is no such answer under way")
	}
}

// An upstream that dies in the middle gives one end and keeps its text; one that
// says nothing gives the document's sentence.
func TestChat_endsWhatAnAgentDoesNot(t *testing.T) {
	h := openChat(t, chatWith{})
	c := h.opens(h.token("ann"), "")
	c.sends(`{"type":"chat","content":"one","clientMessageId":"c-1"}`)
	c.sees("ack")
	c.sees("state")
	q := h.question()
	q.says("Well, ")
	c.sees("stream-start")
	c.sees("stream-token")
	q.fails(tandem.Errorf(tandem.Unavailable, "the line is dead"))
	if got := c.sees("stream-end").FinishReason; got != "error" {
		t.Errorf("finished by %q", got)
	}
	c.sends(`{"type":"chat","content":"two","clientMessageId":"c-2"}`)
	asked := c.sees("ack").MessageID
	h.question().fails(tandem.Errorf(tandem.Invalid, "no"))
	if got := c.sees("error"); got.Message != textUnavailable || got.MessageID != asked || got.Code != "unavailable" {
		t.Errorf("told %+v", got)
	}
}

// After its end a conversation is opened anew by the next word, under the id that
// the sockets are told.
func TestChat_opensANewConversationAfterTheEnd(t *testing.T) {
	h := openChat(t, chatWith{agents: []turn.Spec{}})
	token := h.token("ann")
	c := h.connects(token, "")
	first := c.sees("connection").ConversationID
	c.sends(`{"type":"chat","content":"hello"}`)
	c.sees("state")
	endConversation(t, h, testAddress)
	if s := c.sees("state"); s.Status != "ENDED" || s.ConversationID != first {
		t.Errorf("state %+v", s)
	}
	d := h.connects(token, "after=")
	second := d.sees("connection").ConversationID
	if second == first {
		t.Error("the same conversation again")
	}
	c.sends(`{"type":"chat","content":"again"}`)
	if s := c.sees("state"); s.Status != "ACTIVE" || s.ConversationID != second || s.Mode != "waiting" {
		t.Errorf("state %+v, want %s", s, second)
	}
}

// What is for others' eyes never comes to a participant's socket.
func TestChat_keepsToItsAudience(t *testing.T) {
	h := openChat(t, chatWith{})
	c := h.opens(h.token("ann", func(m *auth.MintRequest) { m.Name = "" }), "")
	c.sends(`{"type":"chat","content":"hi","clientMessageId":"c-1"}`)
	c.sees("ack")
	c.sees("state")
	q := h.question()
	q.says("hello")
	q.ends()
	c.sees("stream-start")
	c.sees("stream-token")
	end := c.sees("stream-end")
	c.sends(fmt.Sprintf(`{"type":"feedback","messageId":%q,"feedbackType":"negative","comment":"for operators only"}`, end.MessageID))
	c.sees("feedback-confirmation")
	c.quiet()
	th, err := h.store.Thread(t.Context(), testAddress)
	if err != nil || th.Head != 5 {
		t.Errorf("%d events, want 5: %v", th.Head, err)
	}
	late := h.connects(h.token("ann"), "after="+end.Cursor)
	late.sees("connection")
	late.quiet()
}
