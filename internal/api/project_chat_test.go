package api

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/spec/check"
)

// chatView is the view that every chat socket has.
var (
	testChatView = tandem.View{Face: tandem.FaceChat, Echo: true, Tokens: true}
	testAddress  = tandem.Address{Tenant: "default", Workflow: "support", Participant: "ann"}
	testAt       = time.Date(2025, 9, 12, 10, 30, 0, 123999000, time.UTC)
)

// unframe takes server frames apart and fails t unless each is a whole, unmasked
// text frame with the shortest length that there is (RFC 6455, section 5.2).
func unframe(t testing.TB, b []byte) []string {
	t.Helper()
	var texts []string
	for len(b) > 0 {
		if len(b) < 2 || b[0] != 0x81 || b[1]&0x80 != 0 {
			t.Fatalf("no text frame: % x", b[:min(len(b), 16)])
		}
		n, at := int(b[1]), 2
		switch n {
		case 126:
			n, at = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, at = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		if at == 4 && n < 126 || at == 10 && n <= 0xFFFF {
			t.Fatalf("a length of %d in %d bytes", n, at)
		}
		texts = append(texts, string(b[at:at+n]))
		b = b[at+n:]
	}
	return texts
}

func messageEvent(seq int64, m tandem.Message) *tandem.Event {
	body, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return &tandem.Event{Seq: seq, Kind: tandem.KindMessage, ID: fmt.Sprintf("msg_%d", seq), At: testAt, Body: body, Hash: tandem.Hash{byte(seq)}}
}

func kindEvent(seq int64, kind tandem.Kind, body any) *tandem.Event {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return &tandem.Event{Seq: seq, Kind: kind, ID: fmt.Sprintf("evt_%d", seq), At: testAt, Body: b, Hash: tandem.Hash{byte(seq)}}
}

// inConversation is a message of conv_1.
func inConversation(m tandem.Message) tandem.Message {
	m.Conversation, m.Medium, m.RequestID = "conv_1", "Text", "req_1"
	return m
}

// The exact bytes of every frame that comes from the log. Seen to fail by moving
// a field, by escaping "<", and by writing nanoseconds.
func TestChatProjection_writesTheDocumentsFrames(t *testing.T) {
	said := inConversation
	answer := messageEvent(7, said(tandem.Message{
		Direction: tandem.Outgoing, Type: tandem.Chat, Role: tandem.RoleAssistant, Name: "support-bot", Text: "Hello",
		Sources: "faq.md", Finish: tandem.FinishInterrupted, Started: 5,
	}))
	answer.Kind, answer.Meta.InReplyTo = tandem.KindAnswerEnded, "msg_4"
	started := tandem.AnswerStarted{MessageID: "msg_7", Role: tandem.RoleAssistant, Name: "support-bot", Conversation: "conv_1", RequestID: "req_1"}
	startedEvent := kindEvent(5, tandem.KindAnswerStarted, started)
	startedEvent.Meta.InReplyTo = "msg_4"
	steering := messageEvent(20, said(tandem.Message{Direction: tandem.Outgoing, Type: tandem.Chat, Role: tandem.RoleOperator, Text: "be kind"}))
	steering.Audience = tandem.Agents
	event := func(e *tandem.Event) []byte { return chatEvent(testChatView, testAddress, e) }

	cases := []struct {
		name   string
		frames []byte
	}{
		{"an answer begins", chatStart(testChatView, testAddress, started, startedEvent)},
		{"a token", chatDelta(testChatView, testAddress, tandem.Delta{Seq: 5, Message: "msg_7", Offset: 0, Text: "Hel<lo> & \"you\"\r\n\u2028ü😀", At: testAt})},
		{"an answer ends", event(answer)},
		{"an answer begins: its event alone shows nothing", event(startedEvent)},
		{"an agent's push", event(messageEvent(8, said(tandem.Message{Direction: tandem.Outgoing, Type: tandem.Chat, Role: tandem.RoleAssistant, Name: "orders", Text: "Shipped"})))},
		{"a push with data", event(messageEvent(9, said(tandem.Message{
			Direction: tandem.Outgoing, Type: tandem.Chat, Role: tandem.RoleAssistant, Name: "orders", Text: "Shipped", Data: json.RawMessage(`{"order":7}`),
		})))},
		{"an operator's reply", event(messageEvent(10, said(tandem.Message{Direction: tandem.Outgoing, Type: tandem.Chat, Role: tandem.RoleOperator, Name: "Maya", Text: "I am here."})))},
		{"the user on another socket", event(messageEvent(11, said(tandem.Message{
			Direction: tandem.Incoming, Type: tandem.Chat, Role: tandem.RoleUser, Name: "Ann", Text: "help", ClientID: "c-1",
		})))},
		{"data", event(messageEvent(12, tandem.Message{
			Direction: tandem.Outgoing, Type: tandem.Data, Role: tandem.RoleAssistant, Data: json.RawMessage(`{"a":[1,"<b>"]}`), Scope: "orders", Hint: "table",
		}))},
		{"a file", event(messageEvent(13, said(tandem.Message{
			Direction: tandem.Outgoing, Type: tandem.File, Role: tandem.RoleAssistant, Text: "Your receipt",
			Data: json.RawMessage(`{"url":"https://x.example/r.pdf","name":"r.pdf","mime":"application/pdf","size":12}`),
		})))},
		{"reasoning", event(messageEvent(14, said(tandem.Message{Direction: tandem.Outgoing, Type: tandem.Reasoning, Role: tandem.RoleAssistant, Text: "thinking"})))},
		{"a tool", event(messageEvent(15, said(tandem.Message{Direction: tandem.Outgoing, Type: tandem.Tool, Role: tandem.RoleAssistant, Data: json.RawMessage(`{"name":"lookup"}`)})))},
		{"a handoff", event(messageEvent(16, said(tandem.Message{
			Direction: tandem.Outgoing, Type: tandem.Handoff, Role: tandem.RoleSystem, Text: "Transferring to a person",
			Data: json.RawMessage(`{"fromAgent":"ai-bot","toAgent":"human-agent","reason":"escalation","to":"person"}`),
		})))},
		{"no answer came", event(kindEvent(17, tandem.KindAnswerFailed, tandem.AnswerFailed{MessageID: "msg_4", Code: "timeout", Conversation: "conv_1"}))},
		{"a person was asked for", event(kindEvent(18, tandem.KindState, tandem.Conversation{
			ID: "conv_1", Status: tandem.StatusActive, Mode: tandem.ModeWaiting, Urgency: tandem.UrgencyUrgent, Reason: "angry", AdminID: "login-7", MobileNo: "+49",
		}))},
		{"an operator holds", event(kindEvent(19, tandem.KindState, tandem.Conversation{
			ID: "conv_1", Status: tandem.StatusActive, Mode: tandem.ModeOperator, Urgency: tandem.UrgencyNormal, AdminID: "login-7", Holder: "Maya",
		}))},
		{"the conversation ended", event(kindEvent(21, tandem.KindState, tandem.Conversation{ID: "conv_1", Status: tandem.StatusEnded, Mode: tandem.ModeAgent, Urgency: tandem.UrgencyNormal}))},
		{"steering is for the agent alone", event(steering)},
		{"what a later release writes", event(kindEvent(22, "sticker", struct{}{}))},
		{"feedback is for operators", event(kindEvent(23, tandem.KindFeedback, tandem.Feedback{MessageID: "msg_7", Type: "positive"}))},
	}
	var got strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&got, "# %s\n", c.name)
		for _, frame := range unframe(t, c.frames) {
			check.Frame(t, check.ToClient, []byte(frame))
			fmt.Fprintln(&got, frame)
		}
	}
	if s := got.String(); strings.Contains(s, "login-7") || strings.Contains(s, "angry") || strings.Contains(s, "+49") {
		t.Error("a frame tells what is for operators")
	}
	chatGolden(t, "chat_project.txt", got.String())
}

// chatGolden compares with a recorded file; TANDEM_UPDATE=1 writes it.
func chatGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("TANDEM_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("frames differ from %s (TANDEM_UPDATE=1 writes it; - want + got):\n%s", file, diff)
	}
}

// A text of every length around the limits of a frame's header comes whole.
// Seen to fail by capping the 2-byte length at 65,536.
func TestChatProjection_framesLongTexts(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 256 << 10} {
		text := strings.Repeat("x", n)
		frames := unframe(t, chatEvent(testChatView, testAddress, messageEvent(1, tandem.Message{
			Direction: tandem.Outgoing, Type: tandem.Chat, Role: tandem.RoleAssistant, Text: text,
		})))
		joined := ""
		for _, f := range frames {
			check.Frame(t, check.ToClient, []byte(f))
			var token struct{ Token string }
			if err := json.Unmarshal([]byte(f), &token); err != nil {
				t.Fatal(err)
			}
			joined += token.Token
		}
		if joined != text {
			t.Errorf("%d bytes: got %d", n, len(joined))
		}
	}
}
