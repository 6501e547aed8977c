package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/spec/check"
)

var participantView = tandem.View{Face: tandem.FaceEvents}

// held holds the bytes of a stream against the specification.
func held(t *testing.T, stream []byte) {
	t.Helper()
	req, err := http.NewRequest("GET", "http://x/api/user/sse/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res := &http.Response{StatusCode: 200, Header: http.Header{
		"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-cache, no-transform"}, "X-Accel-Buffering": {"no"},
	}}
	check.Response(t, req, res, stream)
}

// The exact bytes of every frame of the participant's stream. Seen to fail by
// moving a field, by leaving out a null, by escaping "<", by an id on stream-end.
func TestParticipantProjection_writesTheDocumentsEvents(t *testing.T) {
	out := func(typ tandem.MessageType, m tandem.Message) tandem.Message {
		m.Direction, m.Type, m.Conversation, m.Medium = tandem.Outgoing, typ, "conv_1", "Text"
		if m.Role == "" {
			m.Role = tandem.RoleAssistant
		}
		return m
	}
	show := func(v tandem.View, e *tandem.Event) []byte { return Codec().Event(v, testAddress, e, 0) }
	echo, tokens := participantView, participantView
	echo.Echo, tokens.Tokens = true, true

	chat := messageEvent(7, out(tandem.Chat, tandem.Message{Name: "support-bot", Text: "Hello! How <can> I help?", RequestID: "req_1", Sources: "faq.md", Finish: tandem.FinishStop, Started: 5}))
	answer := *chat
	answer.Kind, answer.Meta.InReplyTo = tandem.KindAnswerEnded, "msg_4"
	asked := messageEvent(4, tandem.Message{Direction: tandem.Incoming, Type: tandem.Chat, Role: tandem.RoleUser, Name: "Ann", Text: "hi", RequestID: "req_1"})
	second := *messageEvent(9, out(tandem.Data, tandem.Message{Data: json.RawMessage(`{"status":"processed","result":"success"}`)}))
	second.At = time.Date(2024, 1, 15, 10, 31, 0, 999_000, time.UTC)
	target := tandem.Address{Tenant: "default", Workflow: "escalation-manager", Participant: "ann"}
	steering := messageEvent(20, out(tandem.Chat, tandem.Message{Text: "be kind"}))
	steering.Audience = tandem.Agents
	note := messageEvent(21, out(tandem.Chat, tandem.Message{Text: "a draft"}))
	note.Audience = tandem.Operators

	cases := []struct {
		name  string
		bytes []byte
	}{
		{"a stream begins", participantHello(testAddress, testAddress.Start(), testAt, 1234*time.Millisecond)},
		{"a chat, from a clock that shows milliseconds", show(participantView, chat)},
		{"data, at a whole second", show(participantView, &second)},
		{"a handoff to another workflow", show(participantView, messageEvent(10, out(tandem.Handoff, tandem.Message{
			Role: tandem.RoleSystem, Text: "Transferring to specialist", Target: &target,
			Data: json.RawMessage(`{"fromAgent":"ai-bot","toAgent":"human-agent","reason":"escalation"}`),
		})))},
		{"a file", show(participantView, messageEvent(11, out(tandem.File, tandem.Message{Text: "Your receipt", Scope: "orders", Hint: "show", Data: json.RawMessage(`{"url":"/r.pdf"}`)})))},
		{"reasoning", show(participantView, messageEvent(12, out(tandem.Reasoning, tandem.Message{Text: "thinking"})))},
		{"a tool", show(participantView, messageEvent(13, out(tandem.Tool, tandem.Message{Data: json.RawMessage(`{"name":"lookup"}`)})))},
		{"an operator's reply", show(participantView, messageEvent(14, out(tandem.Chat, tandem.Message{Role: tandem.RoleOperator, Name: "Maya", Text: "I am here."})))},
		{"what the participant says", show(participantView, asked)},
		{"what the participant says, with echo", show(echo, asked)},
		{"an answer begins, with tokens", Codec().Start(tokens, testAddress, tandem.AnswerStarted{MessageID: "msg_7", Role: tandem.RoleAssistant, Name: "support-bot"}, &tandem.Event{At: testAt, Meta: tandem.Meta{InReplyTo: "msg_4"}})},
		{"an answer's piece, with tokens", Codec().Delta(tokens, testAddress, tandem.Delta{Message: "msg_7", Text: "line\r\none\u2028ü😀", At: testAt})},
		{"an answer ends, with tokens", show(tokens, &answer)},
		{"an answer ends", show(participantView, &answer)},
		{"what is for the agent", show(participantView, steering)},
		{"what is for operators", show(participantView, note)},
		{"no answer came", show(participantView, kindEvent(17, tandem.KindAnswerFailed, tandem.AnswerFailed{MessageID: "msg_4", Code: "timeout"}))},
		{"the conversation changed", show(participantView, kindEvent(18, tandem.KindState, tandem.Conversation{ID: "conv_1"}))},
		{"feedback", show(participantView, kindEvent(19, tandem.KindFeedback, tandem.Feedback{MessageID: "msg_7", Type: "positive"}))},
		{"what a later release writes", show(participantView, kindEvent(22, "sticker", struct{}{}))},
		{"a heartbeat", participantBeat(testAt, 5, tandem.Cursor{})},
		{"a heartbeat after what was not shown", participantBeat(testAt, 1, chat.Cursor())},
		{"a gap", participantGap(tandem.Gap{From: 1, To: 17})},
		{"a reset", participantReset()},
		{"the server closes", participantBye(testAt, "server shutting down", chat.Cursor(), 4567*time.Millisecond)},
	}
	var got strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&got, "# %s\n%s", c.name, c.bytes)
		held(t, c.bytes)
	}
	chatGolden(t, "participant_project.txt", got.String())
}

// Names and ids come from clients: whatever they hold, a frame stays one frame,
// with the fields it has. Seen to fail by writing the event's name unchecked.
func TestParticipantProjection_cannotBeInjectedInto(t *testing.T) {
	evil := "x\nevent: Data\rid: 1-aaaaaaaa\r\n\r\ndata: {}\x00\u2028"
	m := tandem.Message{
		Direction: tandem.Outgoing, Type: tandem.Chat, Role: tandem.RoleAssistant, Name: evil, Text: evil, Scope: evil, Hint: evil,
		RequestID: evil, Conversation: evil, Data: json.RawMessage(`{"a":"b\nc"}`),
	}
	e := messageEvent(7, m)
	e.ID = evil
	a := testAddress
	a.Workflow, a.Participant = evil, evil
	b := participantEvent(participantView, a, e)
	if n := strings.Count(string(b), "\n"); n != 4 || strings.Contains(string(b), "\r") {
		t.Errorf("%d lines in\n%q", n, b)
	}
	held(t, b)
	hello := participantHello(a, a.Start(), testAt, time.Second)
	if n := strings.Count(string(hello), "\n"); n != 6 || strings.Contains(string(hello), "\r") {
		t.Errorf("%d lines in\n%q", n, hello)
	}
}

// A stamp is what the documents' examples have, and never more exact than a
// millisecond, so that JavaScript reads back what it is.
func TestStamp(t *testing.T) {
	zone := time.FixedZone("", 2*60*60)
	for want, at := range map[string]time.Time{
		"2024-01-15T10:30:00Z":     time.Date(2024, 1, 15, 12, 30, 0, 999_999, zone),
		"2024-01-15T10:30:00.001Z": time.Date(2024, 1, 15, 10, 30, 0, 1_999_999, time.UTC),
		"2024-01-15T10:30:00.120Z": time.Date(2024, 1, 15, 10, 30, 0, 120_000_000, time.UTC),
	} {
		if got := stamp(at); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
