package api

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/turn"
)

// The whole of the document's flow diagram, byte for byte. Seen to fail by
// leaving the name out of stream-end, and by writing the ack without the lock that
// keeps the answer behind it.
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
	end := c.sees("stream-end")
	c.sends(fmt.Sprintf(`{"type":"feedback","messageId":%q,"feedbackType":"positive","comment":"thanks"}`, end.MessageID))
	c.sees("feedback-confirmation")
	c.sends(`{"type":"human-escalation","reason":"Need human assistance","timestamp":"2025-09-12T10:30:00.000Z"}`)
	c.sees("human-escalation-response")
	c.sees("state")
	c.sends(`{"type":"typing"}`)
	c.sends(fmt.Sprintf(`{"type":"read","messageId":%q}`, end.MessageID))
	c.sends(`{"type":"ping","timestamp":"2025-09-12T10:30:00.000Z"}`)
	c.sees("pong")
	chatGolden(t, "chat_document.txt", c.plain())
}

// An old client is the document's own handler: it makes a message at
// stream-start, appends to it, finalises it, shows sentences, and knows nothing
// else.
type oldClient struct {
	answers map[string]string
	final   map[string]bool
	system  []string
	errors  []string
}

func (o *oldClient) handle(m chatAny) {
	switch m.Type {
	case "connection", "human-escalation-response":
		o.system = append(o.system, m.Message)
	case "stream-start":
		o.answers[m.MessageID] = ""
	case "stream-token":
		if _, started := o.answers[m.MessageID]; started {
			o.answers[m.MessageID] += m.Token
		}
	case "stream-end":
		o.final[m.MessageID] = true
	case "error":
		o.errors = append(o.errors, m.Message)
	}
}

// A client written from the document, which sends no ids and knows no cursors,
// sees answers, pushes and refusals, and nothing of what it does not know harms
// it. Seen to fail by sending pushes as message frames.
func TestChat_servesAClientWrittenFromTheDocument(t *testing.T) {
	h := openChat(t, chatWith{})
	c := h.connects(h.token("ann"), "")
	old := oldClient{answers: map[string]string{}, final: map[string]bool{}}
	until := func(kind string) {
		for {
			var m chatAny
			decodeFrame(t, c.next(), &m)
			old.handle(m)
			if m.Type == kind {
				return
			}
		}
	}
	until("connection")
	c.sends(`{"type":"chat","content":"hello","timestamp":"2025-09-12T10:30:00.000Z"}`)
	q := h.question()
	q.says("Hi ")
	q.says("there")
	q.ends()
	until("stream-end")
	agent := tandem.Principal{Tenant: "default", Subject: "bot", Role: tandem.Agent, Kind: tandem.CredentialKey, ID: "key_1", Name: "Orders"}
	if _, err := h.desk.Push(t.Context(), agent, desk.Push{Address: testAddress, Type: tandem.Chat, Text: "Shipped"}); err != nil {
		t.Fatal(err)
	}
	until("stream-end")
	c.sends(`{"type":"dance"}`)
	until("error")
	c.sends(`{"type":"chat","content":"again"}`)
	h.question().fails(tandem.Errorf(tandem.Invalid, "no"))
	until("error")
	var texts []string
	for id, text := range old.answers {
		if !old.final[id] {
			t.Errorf("%q was not finalised", text)
		}
		texts = append(texts, text)
	}
	if len(texts) != 2 || !strings.Contains(strings.Join(texts, "|"), "Hi there") || !strings.Contains(strings.Join(texts, "|"), "Shipped") {
		t.Errorf("answers %q", texts)
	}
	if want := []string{"Unknown message type", textUnavailable}; fmt.Sprint(old.errors) != fmt.Sprint(want) {
		t.Errorf("errors %q, want %q", old.errors, want)
	}
}

// Every socket of a participant sees the same conversation; the one that posted
// is not told its own words again. Seen to fail by an Own that never matches, and
// by one that always does.
func TestChat_showsEverySocketTheSame(t *testing.T) {
	h := openChat(t, chatWith{})
	token := h.token("ann")
	one, two := h.connects(token, ""), h.connects(token, "")
	other := h.opens(h.token("bob"), "")
	a, b := one.sees("connection"), two.sees("connection")
	if a.ConversationID != b.ConversationID || a.ConversationID == "" {
		t.Errorf("conversations %q and %q", a.ConversationID, b.ConversationID)
	}
	one.sends(`{"type":"chat","content":"help","clientMessageId":"c-1"}`)
	ack := one.sees("ack")
	if got := two.sees("message"); got.Content != "help" || got.ClientMessageID != "c-1" || got.MessageID != ack.MessageID || got.Role != "user" {
		t.Errorf("the other socket sees %+v", got)
	}
	if got := one.sees("state"); got.ConversationID != a.ConversationID || got.Mode != "agent" {
		t.Errorf("state %+v", got)
	}
	two.sees("state")
	q := h.question()
	q.says("I am here")
	q.ends()
	for _, c := range []*chatClient{one, two} {
		if got := c.sees("stream-start"); got.InReplyTo != ack.MessageID {
			t.Errorf("in reply to %q, want %q", got.InReplyTo, ack.MessageID)
		}
		c.sees("stream-token")
		c.sees("stream-end")
	}
	two.sends(`{"type":"chat","content":"thanks"}`)
	if got := one.sees("message"); got.Content != "thanks" {
		t.Errorf("content %q", got.Content)
	}
	two.quiet() // no ack without an id of the client's own, and no echo
	other.quiet()
}

// Whoever comes in the middle of an answer gets its start, all text so far as one
// token, and then the rest. Seen to fail by a follower that joins at the head.
func TestChat_joinsAnAnswerInItsMiddle(t *testing.T) {
	h := openChat(t, chatWith{})
	token := h.token("ann")
	first := h.opens(token, "")
	first.sends(`{"type":"chat","content":"tell me"}`)
	first.sees("state")
	q := h.question()
	for _, piece := range []string{"one ", "two "} {
		q.says(piece)
	}
	id := first.sees("stream-start").MessageID
	first.sees("stream-token")
	for _, query := range []string{"", "after="} { // an old client, and one that can resume
		c := h.opens(token, query)
		if got := c.sees("stream-start").MessageID; got != id {
			t.Errorf("message %q, want %q", got, id)
		}
		if got := c.sees("stream-token").Token; got != "one two " {
			t.Errorf("so far %q", got)
		}
		if query == "" {
			defer func() {
				if got := c.sees("stream-token").Token + c.sees("stream-end").FinishReason; got != "threestop" {
					t.Errorf("the rest is %q", got)
				}
			}()
		}
	}
	q.says("three")
	q.ends()
}

// The answer goes on when its asker goes, and is there when they come back.
func TestChat_answersWhoeverHasLeft(t *testing.T) {
	h := openChat(t, chatWith{})
	token := h.token("ann")
	c := h.opens(token, "")
	c.sends(`{"type":"chat","content":"tell me"}`)
	c.sees("state")
	q := h.question()
	q.says("Yes")
	c.sees("stream-start")
	c.sees("stream-token")
	c.leaves()
	q.says(", indeed")
	q.ends()
	eventually(t, "the answer is stored", func() bool {
		th, err := h.store.Thread(t.Context(), testAddress)
		return err == nil && th.Answer == 0 && th.Head == 4
	})
	back := h.opens(token, "")
	back.sees("stream-start")
	if got := back.sees("stream-token").Token; got != "Yes, indeed" {
		t.Errorf("got %q", got)
	}
	back.sees("stream-end")
	back.quiet()
}

// A client that cannot resume is shown again what was finished after the mark,
// and only that: the mark moves by the pong that every WebSocket sends. Seen to
// fail by a pong that is not looked at, and by a ping before its frames.
func TestChat_replaysWhatNoSocketHasShown(t *testing.T) {
	h := openChat(t, chatWith{})
	token := h.token("ann")
	c := h.opens(token, "")
	answer := func(text string) {
		q := h.question()
		q.says(text)
		q.ends()
	}
	c.sends(`{"type":"chat","content":"first"}`)
	answer("seen")
	c.sees("state")
	c.sees("stream-start")
	c.sees("stream-token")
	end := c.sees("stream-end")
	marked := func(seq int64) func() bool {
		return func() bool {
			th, err := h.store.Thread(t.Context(), testAddress)
			return err == nil && th.ChatMark >= seq
		}
	}
	eventually(t, "the mark moves", marked(4))
	if !strings.HasPrefix(end.Cursor, "4-") {
		t.Fatalf("the answer ended at %s", end.Cursor)
	}
	c.sends(`{"type":"chat","content":"second"}`)
	q := h.question()
	c.leaves()
	q.says("missed")
	q.ends()
	c = h.connects(token, "")
	if got := c.sees("connection"); !strings.HasPrefix(got.Cursor, "4-") {
		t.Errorf("the stream goes on from %s", got.Cursor)
	}
	c.sees("stream-start")
	if got := c.sees("stream-token").Token; got != "missed" {
		t.Errorf("replayed %q", got)
	}
	c.sees("stream-end")
	eventually(t, "the mark moves again", marked(7)) // also when two answers come within a second
	c.leaves()
	c = h.opens(token, "")
	c.quiet()
	c.leaves()
	h.opens(token, "after=").quiet()
}

// With a cursor a client goes on exactly after it, on any socket; a cursor that is
// none of this log is told, never taken for caught up. Seen to fail by parsing a
// bad cursor as none.
func TestChat_resumesExactly(t *testing.T) {
	h := openChat(t, chatWith{agents: []turn.Spec{}})
	token := h.token("ann")
	c := h.connects(token, "after=")
	start := c.sees("connection").Cursor
	var cursors []string
	for i := range 100 {
		c.sends(fmt.Sprintf(`{"type":"chat","content":"%d","clientMessageId":"c-%d"}`, i, i))
		cursors = append(cursors, c.sees("ack").Cursor)
		if i == 0 {
			c.sees("state")
		}
	}
	rest := func(c *chatClient, from int) {
		t.Helper()
		for i := from; i < 100; i++ {
			m := c.sees("message")
			if m.Content != fmt.Sprint(i) || m.Cursor != cursors[i] {
				t.Fatalf("want message %d at %s, got %q at %s", i, cursors[i], m.Content, m.Cursor)
			}
			if i == 0 {
				c.sees("state")
			}
		}
		c.quiet()
	}
	rest(h.opens(token, "after="+cursors[39]), 40)
	rest(h.opens(token, "after="+start), 0)
	h.opens(token, "after="+cursors[99]).quiet()

	// On an open socket.
	for _, from := range []int{90, 98, 100} {
		c.sends(fmt.Sprintf(`{"type":"resume","after":%q}`, cursors[from-1]))
		rest(c, from)
	}
	c.sends(`{"type":"resume","after":""}`)
	c.quiet()
	c.sends(`{"type":"resume"}`)
	c.quiet()

	for _, place := range []string{"x", "7", "5-abcdefgh", "100000-abcdefgh", "9-aaaaaaa1", "1-%0d%0a"} {
		lost := h.connects(token, "after="+place)
		if got := lost.sees("connection").Cursor; got != start {
			t.Errorf("after=%s goes on from %s", place, got)
		}
		lost.sees("reset")
		rest(lost, 0)
		lost.leaves()
	}
	c.sends(`{"type":"resume","after":"1-abcdefgh"}`)
	if got := c.sees("reset").Cursor; got != start {
		t.Errorf("reset to %s", got)
	}
	rest(c, 0)
	other := h.opens(h.token("bob"), "after="+cursors[5]) // a place on somebody else's thread
	other.sees("reset")
	other.quiet()
}

// What retention has taken away is told.
func TestChat_tellsOfAGap(t *testing.T) {
	h := openChat(t, chatWith{})
	token := h.token("ann")
	c := h.connects(token, "after=")
	start := c.sees("connection").Cursor
	c.sends(`{"type":"chat","content":"old","clientMessageId":"c-1"}`)
	c.sees("ack")
	c.sees("state")
	q := h.question()
	q.says("gone")
	q.ends()
	c.sees("stream-start")
	c.sees("stream-token")
	c.sees("stream-end")
	endConversation(t, h, testAddress)
	c.sees("state")
	if _, err := h.store.Trim(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	late := h.connects(token, "after="+start)
	if at := late.sees("connection").Cursor; !strings.HasPrefix(at, "5-") {
		t.Errorf("goes on from %s", at)
	}
	if got := late.sees("gap"); got.From != 1 || got.To != 5 || !strings.HasPrefix(got.Cursor, "5-") {
		t.Errorf("gap %+v", got)
	}
	late.quiet()
}

// While a client resumes in the middle of an answer, it loses nothing and gets
// nothing twice: the answer begins again with all of its text.
func TestChat_resumesInTheMiddleOfAnAnswer(t *testing.T) {
	h := openChat(t, chatWith{})
	token := h.token("ann")
	c := h.connects(token, "after=")
	start := c.sees("connection").Cursor
	c.sends(`{"type":"chat","content":"tell me","clientMessageId":"c-1"}`)
	c.sees("ack")
	c.sees("state")
	q := h.question()
	q.says("one ")
	c.sees("stream-start")
	c.sees("stream-token")
	c.sends(fmt.Sprintf(`{"type":"resume","after":%q}`, start))
	if m := c.sees("message"); m.ClientMessageID != "c-1" {
		t.Errorf("message %+v", m)
	}
	c.sees("state")
	c.sees("stream-start")
	if got := c.sees("stream-token").Token; got != "one " {
		t.Errorf("so far %q", got)
	}
	q.says("two")
	if got := c.sees("stream-token").Token; got != "two" {
		t.Errorf("then %q", got)
	}
	q.ends()
	c.sees("stream-end")
	c.quiet()
}

// Acks come in their place: whoever goes on from an ack's cursor has seen all that
// was said before, also by others in the same moment; and each event is seen once.
// Seen to fail by acks that are always written at once.
func TestChat_acknowledgesInItsPlace(t *testing.T) {
	h := openChat(t, chatWith{agents: []turn.Spec{}})
	token := h.token("ann")
	const sockets, posts = 4, 100
	var clients []*chatClient
	for range sockets {
		clients = append(clients, h.opens(token, "after="))
	}
	for s, c := range clients {
		go func() {
			for i := range posts {
				_ = c.conn.WriteText(fmt.Appendf(nil, `{"type":"chat","content":"x","clientMessageId":"%d-%d"}`, s, i))
			}
		}()
	}
	for s, c := range clients {
		type frame struct {
			kind string
			seq  int64
		}
		var frames []frame
		own := map[int64]bool{}
		for len(frames) < sockets*posts+1 { // and that the conversation was opened
			var f chatAny
			decodeFrame(t, c.next(), &f)
			cursor, err := tandem.ParseCursor(f.Cursor)
			if err != nil {
				t.Fatalf("socket %d: %+v, %v", s, f, err)
			}
			frames = append(frames, frame{f.Type, cursor.Seq})
			own[cursor.Seq] = f.Type == "ack"
		}
		c.quiet()
		shown := int64(0) // everything up to here, but for its own words, was shown
		for _, f := range frames {
			for own[shown+1] {
				shown++
			}
			if f.kind != "ack" && f.seq != shown+1 || f.kind == "ack" && f.seq > shown {
				t.Fatalf("socket %d: %s at %d, but %d was shown", s, f.kind, f.seq, shown)
			}
			shown = max(shown, f.seq)
		}
	}
}

// Also while a client goes back: its ack waits until it has come to that place
// again. Seen to fail by a restart that forgets that less was shown.
func TestChat_acknowledgesInItsPlaceAfterAResume(t *testing.T) {
	h := openChat(t, chatWith{agents: []turn.Spec{}})
	c := h.connects(h.token("ann"), "after=")
	start := c.sees("connection").Cursor
	for i := range 20 {
		if i > 0 {
			c.sends(fmt.Sprintf(`{"type":"resume","after":%q}`, start))
		}
		c.sends(fmt.Sprintf(`{"type":"chat","content":"%d","clientMessageId":"c-%d"}`, i, i))
		for said := range i {
			if got := c.sees("message").Content; got != fmt.Sprint(said) {
				t.Fatalf("%d. message: %q", said, got)
			}
			if said == 0 {
				c.sees("state")
			}
		}
		if f := c.sees("ack"); f.ClientMessageID != fmt.Sprintf("c-%d", i) {
			t.Fatalf("ack %+v", f)
		}
		if i == 0 {
			c.sees("state")
		}
	}
}

// However often and quickly a client resumes, it ends up with everything after
// the last place it named. Seen to fail by a restart that overlooks a second wish.
func TestChat_resumesAsOftenAsAsked(t *testing.T) {
	h := openChat(t, chatWith{agents: []turn.Spec{}})
	c := h.opens(h.token("ann"), "after=")
	var cursors []string
	for i := range 50 {
		c.sends(fmt.Sprintf(`{"type":"chat","content":"%d","clientMessageId":"c-%d"}`, i, i))
		cursors = append(cursors, c.sees("ack").Cursor)
		if i == 0 {
			c.sees("state")
		}
	}
	for round := range 50 {
		for i := range 10 {
			c.sends(fmt.Sprintf(`{"type":"resume","after":%q}`, cursors[(round+i*7)%50]))
			for began := time.Now(); time.Since(began) < time.Duration(round*i)*time.Microsecond; { // into every moment of a restart
			}
		}
		c.sends(fmt.Sprintf(`{"type":"resume","after":%q}`, cursors[39]))
		c.sends(`{"type":"chat","content":"now","clientMessageId":"now"}`) // a repeat but for the first time
		for got := 0; got < 10; {
			var f chatAny
			decodeFrame(t, c.next(), &f)
			switch f.Type {
			case "message":
				if f.Cursor == cursors[40+got] {
					got++
				} else if f.Cursor == cursors[40] {
					got = 1
				} else {
					got = 0
				}
			case "ack", "state":
			default:
				t.Fatalf("round %d: %+v", round, f)
			}
		}
	}
}

func decodeFrame(t *testing.T, frame string, to *chatAny) {
	t.Helper()
	if err := json.Unmarshal([]byte(frame), to); err != nil {
		t.Fatal(err)
	}
}

// A cursor from the chat is good on the event stream and the other way round: it
// is the same log.
func TestChat_sharesItsCursorsWithTheEventStream(t *testing.T) {
	h := openChat(t, chatWith{agents: []turn.Spec{}})
	c := h.opens(h.token("ann"), "")
	c.sends(`{"type":"chat","content":"one","clientMessageId":"c-1"}`)
	cursor := c.sees("ack").Cursor
	r := httptest.NewRequest("GET", "/api/user/rest/history?workflow=support&participantId=ann&after="+cursor, nil)
	r.Header.Set("Authorization", "Bearer "+h.token("ann"))
	if code, body := h.asks(r); code != 200 || strings.TrimSpace(body) != "[]" {
		t.Errorf("%d %s", code, body)
	}
}
