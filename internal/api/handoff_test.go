package api_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/turn"
)

// answering is the conversation's row, as operators see it.
func (s *site) answering(c crew) (row struct {
	Answering, Reason *string
	Mode, Status      string
},
) {
	s.t.Helper()
	var list struct{ Conversations []json.RawMessage }
	if err := json.Unmarshal([]byte(s.must(200, "GET", "/api/conversations", c.lead, "")), &list); err != nil || len(list.Conversations) == 0 {
		s.t.Fatal("no conversation", err)
	}
	if err := json.Unmarshal(list.Conversations[0], &row); err != nil {
		s.t.Fatal(err)
	}
	return row
}

// handingOn are support's agent, which hands everybody on to billing's.
func handingOn(questions chan<- tandem.Question) []turn.Spec {
	bot := func(name, workflow string, say func(tandem.Question) tandem.Piece) turn.Spec {
		spec := turn.DefaultSpec(name, desktest.AgentFunc(func(_ context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
			questions <- q
			return emit(say(q))
		}))
		spec.Workflow = workflow
		return spec
	}
	return []turn.Spec{
		bot("support-bot", "support", func(tandem.Question) tandem.Piece {
			return tandem.Piece{Handoff: &tandem.HandoffRequest{To: "billing", Reason: "a bill", Urgency: tandem.UrgencyNormal}}
		}),
		bot("billing-bot", "billing", func(q tandem.Question) tandem.Piece {
			if q.Message == "a person please" {
				return tandem.Piece{Handoff: &tandem.HandoffRequest{To: "person", Reason: "wants a person", Urgency: tandem.UrgencyUrgent}}
			}
			return tandem.Piece{Text: "billing: " + q.Message}
		}),
	}
}

// A page follows a person from one workflow to the next, over HTTP: support's agent
// hands on to billing's, which is asked at once, with what was said, and whose
// words are on both streams; who takes over holds both; what its engine pushes
// meanwhile is a draft; and the end is the end on both. Seen to fail by asking
// support's agent what she says next.
func TestHandoff_isFollowedOnBothStreams(t *testing.T) {
	t.Parallel()
	questions := make(chan tandem.Question, 8)
	s := open(t, desktest.Options{Agents: handingOn(questions)})
	c := s.crew()
	here := s.listen(c.ann, annsThread)
	there := s.listen(c.ann, "workflow=billing&participantId=ann&echo=true")
	here.until("connected")
	there.until("connected")
	s.send(c.ann, "ann", "Chat", "I was charged twice", "")
	a, b := here.until("Handoff"), there.until("Handoff")
	if a.data != b.data || !strings.Contains(a.data, `"workflowType":"billing"`) || !strings.Contains(a.data, `"fromAgent":"support-bot"`) {
		t.Errorf("not one message:\n%s\n%s", a.data, b.data)
	}
	for _, l := range []*listener{here, there} {
		if got := l.text("Chat"); got != "billing: Transferring to billing" {
			t.Errorf("the next agent says %q", got)
		}
	}
	<-questions // support's
	q := <-questions
	if q.Workflow != "billing" || q.Type != tandem.Handoff || len(q.History) != 1 || q.History[0].Content != "I was charged twice" || q.RequestID == "" {
		t.Errorf("billing is asked %+v", q)
	}
	if row := s.answering(c); row.Answering == nil || *row.Answering != "billing" || row.Mode != "agent" {
		t.Errorf("the conversation is %+v", row)
	}

	s.send(c.ann, "ann", "Chat", "and now?", "")
	if got := there.text("Chat"); got != "and now?" {
		t.Errorf("the other thread has %q", got)
	}
	for _, l := range []*listener{here, there} {
		if got := l.text("Chat"); got != "billing: and now?" {
			t.Errorf("then %q", got)
		}
	}
	if q := <-questions; q.Workflow != "billing" || len(q.History) != 2 {
		t.Errorf("billing is asked %+v", q)
	}

	s.send(c.ann, "ann", "Chat", "a person please", "")
	there.text("Chat")
	here.until("Handoff")
	there.until("Handoff")
	if row := s.answering(c); row.Mode != "waiting" || row.Reason == nil || *row.Reason != "wants a person" || *row.Answering != "billing" {
		t.Errorf("the conversation is %+v", row)
	}
	s.must(200, "POST", s.annsConversation()+"/takeover", c.maya, "")
	res, _ := s.ask("POST", outboundPath+"chat", c.gateway, `{"workflow":"billing","participantId":"ann","text":"pushed"}`)
	if got := res.Header.Get("Tandem-Delivery"); res.StatusCode != 200 || got != "draft" {
		t.Errorf("a push to the other thread: %d %q", res.StatusCode, got)
	}
	s.must(409, "POST", outboundPath+"chat", c.gateway, `{"workflow":"billing","participantId":"ann","text":"pushed","onHeld":"refuse"}`)
	s.must(201, "POST", s.annsConversation()+"/messages", c.maya, `{"content":"I am here"}`)
	for _, l := range []*listener{here, there} {
		if got := l.text("Chat"); got != "I am here" {
			t.Errorf("a colleague says %q", got)
		}
	}
	s.must(200, "POST", s.annsConversation()+"/end", c.maya, "")
	s.must(200, "POST", outboundPath+"data", c.gateway, `{"workflow":"billing","participantId":"ann","text":"after the end"}`)
	if got := there.text("Data"); got != "after the end" {
		t.Errorf("then %q", got)
	}
	s.push(c.gateway, "ann", "the last")
	if got := here.text("Chat"); got != "the last" { // and not what was pushed to billing
		t.Errorf("the first thread has %q", got)
	}
}
