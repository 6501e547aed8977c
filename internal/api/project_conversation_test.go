package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
)

// The published document's own conversation.
var (
	documentAddress = tandem.Address{Tenant: "default", Workflow: "emergency", Participant: "worker_919325590143"}
	documentConv    = tandem.Conversation{
		ID: "conv_919325590143_20251003_115804", CallID: "call_919325590143_20251003_115804", Address: documentAddress,
		MobileNo: "+919325590143", Urgency: tandem.UrgencyCritical, Status: tandem.StatusActive, Mode: tandem.ModeAgent, Medium: "Voice",
		Timestamp: "2025-10-03T11:58:04+05:30", Epoch: 3,
	}
	documentView = tandem.View{
		Face: tandem.FaceConversation, Tokens: true, Audience: tandem.Operators, Conversation: documentConv.ID, Medium: "Voice", Offset: 330,
	}
)

// documentMessage is the n-th message of the document's conversation.
func documentMessage(n int64, role tandem.Role, text, at, sources string) *tandem.Event {
	m := tandem.Message{
		Direction: tandem.Outgoing, Type: tandem.Chat, Role: role, Text: text, Conversation: documentConv.ID, Medium: "Voice",
		Timestamp: at, Sources: sources, Spoken: false,
	}
	e := messageEvent(n, m)
	e.ID = fmt.Sprintf("msg_919325590143_20251003_115804_%04d", n)
	return e
}

// documentJSON reads the published document's examples, which are kept as they
// are printed there, without their white space.
func documentJSON(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/conversation_document.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for block := range strings.SplitSeq(string(text), "# ") {
		name, body, _ := strings.Cut(block, "\n")
		var b bytes.Buffer
		if name != "" {
			if err := json.Compact(&b, []byte(body)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all[name] = b.String()
		}
	}
	return all
}

// The document's own data in, the document's own JSON out, byte for byte. Seen to
// fail by admin_id in `initial`, by moving a field, by a medium in each message.
func TestConversationProjection_writesTheDocumentsOwnExamples(t *testing.T) {
	want := documentJSON(t)
	first := documentMessage(1, tandem.RoleUser, "My friend is falling from a floor, what should I do?", "2025-10-03T11:58:04+05:30", "")
	second := documentMessage(2, tandem.RoleAssistant, "Call for help now. Try to break their fall if safe. Clear the area.", "2025-10-03T11:58:04+05:30", "Emergency Procedures Manual, OSHA Safety Standards")
	third := documentMessage(3, tandem.RoleUser, "No, please be more clear.", "2025-10-03T11:58:18+05:30", "")
	fourth := documentMessage(4, tandem.RoleAssistant, "Call emergency services immediately...", "2025-10-03T11:58:18+05:30", "OSHA Safety Standards, Emergency Procedures Manual")

	ended := documentConv
	ended.Status, ended.EndedAt = tandem.StatusEnded, testAt
	noon := time.Date(2025, 10, 3, 12, 0, 0, 0, time.FixedZone("", 19800)).UTC()
	v, start := documentView, documentAddress.Start()
	one := transcriptOf{Conversation: &documentConv, messages: []tandem.Event{*first}, total: 1}
	two := transcriptOf{Conversation: &documentConv, messages: []tandem.Event{*first, *second}, total: 2}

	if got := string(encode(conversationReply{true, snapshotOf(v, two)})); got != want["snapshot"] {
		t.Errorf("the snapshot\n%s", cmp.Diff(want["snapshot"], got))
	}
	denied := conversationError(documentConv.ID, "Access denied. You don't have permission to view this conversation.", 0)
	for name, frame := range map[string][]byte{
		"initial":      conversationBegins(v, one, start),
		"new_messages": Codec().Messages(v, documentAddress, []*tandem.Event{third, fourth}, 4),
		"heartbeat":    conversationBeat(noon, clockOf(&documentConv), tandem.Cursor{}),
		"ended":        Codec().Event(v, documentAddress, kindEvent(9, tandem.KindState, ended), 4),
		"error":        denied,
	} {
		var lines []string
		for line := range strings.SplitSeq(strings.TrimSpace(string(frame)), "\n") {
			if !strings.HasPrefix(line, "id: ") {
				lines = append(lines, line)
			}
		}
		var doc struct {
			Event string
			Data  json.RawMessage
		}
		if err := json.Unmarshal([]byte(want[name]), &doc); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fmt.Sprintf("event: %s\ndata: %s", doc.Event, doc.Data), strings.Join(lines, "\n")); diff != "" {
			t.Errorf("%s (- document + ours)\n%s", name, diff)
		}
	}
}

// A conversationCase is one event, and how it looks to one reader.
type conversationCase struct {
	name  string
	bytes []byte
}

func in(c *tandem.Conversation, m tandem.Message) tandem.Message {
	m.Conversation, m.Medium = c.ID, first(m.Medium, c.Medium)
	if m.Type == "" {
		m.Type = tandem.Chat
	}
	return m
}

// heldConversation is the document's conversation after a person took it.
func heldConversation() tandem.Conversation {
	c := documentConv
	c.Mode, c.AdminID, c.Holder, c.Reason, c.Name, c.Epoch = tandem.ModeOperator, "maya", "Maya", "I want a person", "Ravi", 4
	return c
}

// audienceEvent is a message for some only.
func audienceEvent(seq int64, a tandem.Audience, m tandem.Message) *tandem.Event {
	e := messageEvent(seq, in(&documentConv, m))
	e.Audience = a
	return e
}

// The readers of a conversation.
func operatorView() tandem.View { return documentView }

func userView() tandem.View {
	v := documentView
	v.Audience = tandem.Everyone
	return v
}

func agentView() tandem.View {
	v := documentView
	v.Audience = tandem.Agents
	return v
}

func showTo(v tandem.View, e *tandem.Event) []byte { return Codec().Event(v, documentAddress, e, 7) }

// What several cases are about.
func askedEvent() *tandem.Event {
	return audienceEvent(4, 0, tandem.Message{Role: tandem.RoleUser, Name: "Ravi", Text: "Is <anybody> there?"})
}

func replyEvent() *tandem.Event {
	return audienceEvent(8, 0, tandem.Message{Role: tandem.RoleOperator, Name: "Maya", Speaker: "maya", Text: "I am here.", Medium: "Text"})
}

func noteEvent() *tandem.Event {
	return audienceEvent(11, tandem.Operators, tandem.Message{Role: tandem.RoleOperator, Name: "Maya", Speaker: "maya", Text: "He is on the roof."})
}

func steerEvent() *tandem.Event {
	return audienceEvent(12, tandem.Agents, tandem.Message{Role: tandem.RoleOperator, Name: "Maya", Speaker: "maya", Text: "Be short."})
}

func draftEvent() *tandem.Event {
	return audienceEvent(13, tandem.Operators, tandem.Message{Role: tandem.RoleAssistant, Name: "flow", Text: "Your ticket is 7", Draft: true})
}

func messageCases() []conversationCase {
	operator, user, agent := operatorView(), userView(), agentView()
	asked, reply, note, steer, draft := askedEvent(), replyEvent(), noteEvent(), steerEvent(), draftEvent()
	answer := *audienceEvent(6, 0, tandem.Message{Role: tandem.RoleAssistant, Name: "safety-bot", Text: "Yes", Finish: tandem.FinishStop, Sources: "manual", Started: 5})
	answer.Kind, answer.Meta.InReplyTo = tandem.KindAnswerEnded, "msg_4"
	cut := *audienceEvent(6, 0, tandem.Message{Role: tandem.RoleAssistant, Text: "I will n", Finish: tandem.FinishInterrupted, Started: 5})
	cut.Kind = tandem.KindAnswerEnded
	spoken := audienceEvent(9, 0, tandem.Message{Role: tandem.RoleAssistant, Text: "Hold on", Spoken: true, Held: true, Timestamp: "2025-10-03T11:58:20+05:30"})
	file := audienceEvent(10, 0, tandem.Message{Role: tandem.RoleAssistant, Type: tandem.File, Text: "The map", Data: json.RawMessage(`{"url":"/m.png"}`)})
	signal := audienceEvent(16, 0, tandem.Message{Role: tandem.RoleAssistant, Type: tandem.Data, Data: json.RawMessage(`{"a":1}`)})
	gone := kindEvent(14, tandem.KindDraftGone, tandem.DraftGone{MessageID: "msg_13", Sent: "msg_15", Conversation: documentConv.ID})
	dropped := kindEvent(14, tandem.KindDraftGone, tandem.DraftGone{MessageID: "msg_13", Conversation: documentConv.ID})
	gone.Audience, dropped.Audience = tandem.Operators, tandem.Operators
	started := tandem.AnswerStarted{MessageID: "msg_6", Role: tandem.RoleAssistant, Name: "safety-bot", Conversation: documentConv.ID}
	mixed := []*tandem.Event{asked, note, reply, draft}
	return []conversationCase{
		{"the participant speaks", showTo(operator, asked)},
		{"an answer begins", Codec().Start(operator, documentAddress, started, &tandem.Event{At: testAt, Meta: tandem.Meta{InReplyTo: "msg_4"}})},
		{"an answer's piece", Codec().Delta(operator, documentAddress, tandem.Delta{Message: "msg_6", Text: "line\r\none\u2028ü😀", At: testAt})},
		{"an answer ends", showTo(operator, &answer)},
		{"an answer was cut by a takeover", showTo(operator, &cut)},
		{"an operator replies, as operators see it", showTo(operator, reply)},
		{"an operator replies, as the participant sees it", showTo(user, reply)},
		{"the agent was heard while an operator held", showTo(operator, spoken)},
		{"a file", showTo(operator, file)},
		{"data: nothing", showTo(operator, signal)},
		{"a note, to operators", showTo(operator, note)},
		{"a note, to the participant: nothing", showTo(user, note)},
		{"a note, to the agent: nothing", showTo(agent, note)},
		{"a steer, to operators", showTo(operator, steer)},
		{"a steer, to the agent", showTo(agent, steer)},
		{"a steer, to the participant: nothing", showTo(user, steer)},
		{"a draft", showTo(operator, draft)},
		{"a draft, to the participant: nothing", showTo(user, draft)},
		{"a draft was sent", showTo(operator, gone)},
		{"a draft was dropped", showTo(operator, dropped)},
		{"two messages, a note and a draft in one append", Codec().Messages(operator, documentAddress, mixed, 9)},
		{"the same, to the participant", Codec().Messages(user, documentAddress, mixed, 9)},
		{"a note and a draft in one append", Codec().Messages(operator, documentAddress, []*tandem.Event{note, draft}, 9)},
	}
}

func stateCases() []conversationCase {
	operator := operatorView()
	held := heldConversation()
	waiting, ended, unanswered, returning := documentConv, documentConv, documentConv, held
	waiting.Mode, waiting.Reason, waiting.WaitingSince, waiting.Escalated = tandem.ModeWaiting, "smoke", testAt, true
	unanswered.Mode, unanswered.WaitingSince, unanswered.Unanswered = tandem.ModeWaiting, testAt, true
	ended.Status, ended.EndReason, ended.EndedAt = tandem.StatusEnded, tandem.EndCall, testAt
	returning.ReturnsAt = testAt
	queue := tandem.Notice{Kind: tandem.NoticeQueue, At: testAt, Conversation: waiting.ID, Place: 2, Row: &waiting}
	state := func(c tandem.Conversation) *tandem.Event { return kindEvent(17, tandem.KindState, c) }
	return []conversationCase{
		{"an operator took it, to operators", showTo(operator, state(held))},
		{"an operator took it, to the participant", showTo(userView(), state(held))},
		{"a person was asked for", showTo(operator, state(waiting))},
		{"its place in the queue", Codec().Notice(operator, documentAddress, queue)},
		{"nobody came", showTo(operator, state(unanswered))},
		{"its holder is silent", showTo(operator, state(returning))},
		{"the call ended", showTo(operator, state(ended))},
		{"no answer came: nothing", showTo(operator, kindEvent(20, tandem.KindAnswerFailed, tandem.AnswerFailed{MessageID: "msg_4", Conversation: documentConv.ID}))},
		{"feedback: nothing", showTo(operator, kindEvent(21, tandem.KindFeedback, tandem.Feedback{MessageID: "msg_7", Type: "positive"}))},
		{"what a later release writes: nothing", showTo(operator, kindEvent(22, "sticker", struct{}{}))},
	}
}

func noticeCases() []conversationCase {
	operator, user := operatorView(), userView()
	tell := func(v tandem.View, n tandem.Notice) []byte {
		n.At, n.Conversation = testAt, documentConv.ID
		return Codec().Notice(v, documentAddress, n)
	}
	typing := tandem.Notice{Kind: tandem.NoticeTyping, Subject: "maya", Role: tandem.RoleOperator, Name: "Maya"}
	secret := typing
	secret.Audience = tandem.Operators
	present := tandem.Notice{Kind: tandem.NoticePresence, Watching: []tandem.Watching{
		{Role: tandem.RoleUser, Subject: "u"}, {Role: tandem.RoleOperator, Subject: "maya", Name: "Maya"},
	}}
	return []conversationCase{
		{"somebody types", tell(user, typing)},
		{"somebody types no more", tell(operator, tandem.Notice{Kind: tandem.NoticeTyping, Subject: "u", Role: tandem.RoleUser, Stopped: true})},
		{"somebody types a note: nothing", tell(user, secret)},
		{"it was read", tell(user, tandem.Notice{Kind: tandem.NoticeRead, Role: tandem.RoleOperator, Name: "Maya", MessageID: "msg_8", Seq: 8})},
		{"it has arrived", tell(operator, tandem.Notice{Kind: tandem.NoticeRead, Role: tandem.RoleUser, MessageID: "msg_8", Seq: 8, Delivered: true})},
		{"who is there, to operators", tell(operator, present)},
		{"who is there, to the participant", tell(user, present)},
		{"a hint: nothing", tell(operator, tandem.Notice{Kind: tandem.NoticeHint, Text: "x"})},
	}
}

func streamCases() []conversationCase {
	operator, user := operatorView(), userView()
	asked, steer := askedEvent(), steerEvent()
	over := heldConversation()
	over.Status, over.EndedAt = tandem.StatusEnded, testAt
	whole := transcriptOf{
		Conversation: &over, messages: []tandem.Event{*asked, *replyEvent()}, total: 2,
		notes: []tandem.Event{*noteEvent(), *steer}, drafts: []tandem.Event{*draftEvent()},
	}
	bare := tandem.Conversation{ID: "conv_1", Address: testAddress, Urgency: tandem.UrgencyNormal, Status: tandem.StatusActive, Medium: "Text", Timestamp: "2025-09-12T10:30:00Z"}
	line := func(v any) []byte { return append(encode(v), '\n') }
	return []conversationCase{
		{"a stream begins", conversationHello(tandem.Cursor{}, 1234*time.Millisecond)},
		{"a stream goes on", conversationHello(asked.Cursor(), 1234*time.Millisecond)},
		{"the whole of it, to operators", conversationBegins(operator, whole, steer.Cursor())},
		{"the whole of it, to the participant", conversationBegins(user, whole, steer.Cursor())},
		{"a snapshot, to operators", line(snapshotOf(operator, whole))},
		{"a snapshot, to the participant", line(snapshotOf(user, whole))},
		{"a snapshot of what has neither number nor call", line(snapshotOf(operator, transcriptOf{Conversation: &bare}))},
		{"a heartbeat after what was not shown", conversationBeat(testAt, time.UTC, asked.Cursor())},
		{"an error", conversationError(documentConv.ID, "Conversation '"+documentConv.ID+"' not found", time.Minute)},
	}
}

// The exact bytes of every event of a conversation's stream, as an operator and as
// the participant see it. Seen to fail by an id on stream-end, by a note in
// new_messages, by admin_id shown to the participant.
func TestConversationProjection_writesEachEvent(t *testing.T) {
	var got strings.Builder
	for _, cases := range [][]conversationCase{streamCases(), messageCases(), stateCases(), noticeCases()} {
		for _, c := range cases {
			fmt.Fprintf(&got, "# %s\n%s", c.name, c.bytes)
			if bytes.HasPrefix(c.bytes, []byte("event: ")) {
				heldOn(t, "/api/conversation/x/stream", c.bytes)
			}
		}
	}
	chatGolden(t, "conversation_project.txt", got.String())
}
