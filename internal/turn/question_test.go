package turn

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
)

// hears is an agent that tells what it was asked, and answers with as much.
func hears(asked chan tandem.Question) replies {
	return func(_ context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		asked <- q
		return emit(tandem.Piece{Text: "to " + q.Message})
	}
}

func TestQuestion_tellsWhatTheAgentNeeds(t *testing.T) {
	heard := make(chan tandem.Question, 1)
	b := with(t, hears(heard))
	a := who("ann")
	q := b.ask(a, "hi", func(m *tandem.Message, _ *storeTurn) {
		m.Scope, m.Hint, m.Data, m.RequestID = "s", "h", json.RawMessage(`{"n":1}`), "r-1"
	})
	got := <-heard
	want := tandem.Question{
		Tenant: "default", Workflow: "support", Conversation: "conv-ann0", MessageID: q.id, Participant: "ann",
		RequestID: "r-1", Scope: "s", Hint: "h", Type: tandem.Chat, Message: "hi", Data: json.RawMessage(`{"n":1}`), Medium: "Text",
		Urgency: tandem.UrgencyUrgent, Mode: tandem.ModeAgent, Epoch: 0, Locale: "en", Attempt: 1,
		User: map[string]any{"sub": "ann", "name": "Ann"}, History: []tandem.Turn{},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// say appends a message of somebody else's.
func (b *bench) say(a tandem.Address, audience tandem.Audience, change func(*tandem.Message)) {
	b.write(a, func(on storeState, w *storeWrite) {
		m := tandem.Message{Direction: tandem.Outgoing, Type: tandem.Chat, Role: tandem.RoleOperator, Name: "Maya", Text: "?"}
		if on.Active != nil {
			m.Conversation = on.Active.ID
		}
		change(&m)
		w.Events = []tandem.Event{{Kind: tandem.KindMessage, ID: tandem.NewID("msg_", time.Now()), Audience: audience, Body: mustJSON(b.t, m)}}
	})
}

// History is what was said in the same conversation and scope and may be known
// to the agent: oldest first, answers in full, without the message itself. Seen
// to fail by leaving out each condition of remembers.
func TestHistory_isWhatTheAgentMayKnowOfTheConversation(t *testing.T) {
	heard := make(chan tandem.Question, 1)
	b := with(t, hears(heard))
	a := who("ann")
	b.say(a, tandem.Everyone, func(m *tandem.Message) { m.Text, m.Conversation = "another conversation", "conv-0" })
	b.ask(a, "one")
	<-heard
	b.settled(a)
	b.say(a, tandem.Everyone, func(m *tandem.Message) { m.Text = "by a person" })
	b.say(a, tandem.Operators, func(m *tandem.Message) { m.Text = "a note" })
	b.say(a, tandem.Agents, func(m *tandem.Message) { m.Text, m.Role, m.Name = "steer", tandem.RoleSystem, "" })
	b.say(a, tandem.Everyone, func(m *tandem.Message) { m.Text, m.Scope = "another scope", "s" })
	b.say(a, tandem.Everyone, func(m *tandem.Message) { m.Type, m.Text = tandem.Handoff, "handoff" })
	b.say(a, tandem.Everyone, func(m *tandem.Message) { m.Type, m.Text, m.Data = tandem.Data, "", []byte(`1`) })
	b.say(a, tandem.Everyone, func(m *tandem.Message) { m.Type, m.Text = tandem.File, "a photo" })
	b.ask(a, "two")
	want := []tandem.Turn{
		{Role: tandem.RoleUser, Content: "one", Name: "Ann"},
		{Role: tandem.RoleAssistant, Content: "to one", Name: "bot"},
		{Role: tandem.RoleOperator, Content: "by a person", Name: "Maya"},
		{Role: tandem.RoleSystem, Content: "steer"},
		{Role: tandem.RoleOperator, Content: "a photo", Name: "Maya"},
	}
	if d := cmp.Diff(want, (<-heard).History); d != "" {
		t.Error(d)
	}
}

// A question that had to wait is told what was answered meanwhile, and not what
// the participant asked after it.
func TestHistory_hasTheAnswersThatWereWaitedFor(t *testing.T) {
	heard, goOn := make(chan tandem.Question, 3), make(chan struct{})
	b := with(t, replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		<-goOn
		return hears(heard)(ctx, q, emit)
	}))
	a := who("ann")
	for _, text := range []string{"one", "two", "three"} {
		b.ask(a, text)
	}
	close(goOn)
	b.settled(a)
	for _, want := range []string{"", "one, to one", "one, two, to one, to two"} {
		got := ""
		for i, h := range (<-heard).History {
			if i > 0 {
				got += ", "
			}
			got += h.Content
		}
		if got != want {
			t.Errorf("history is %q, want %q", got, want)
		}
	}
}

// A new conversation on an old thread has no history, and does not search the old
// one for it. Seen to fail by not stopping at it.
func TestHistory_beginsWithTheConversation(t *testing.T) {
	heard := make(chan tandem.Question, 1)
	b := with(t, hears(heard))
	a := who("ann")
	for range 2 {
		b.ask(a, "q")
		if h := (<-heard).History; len(h) != 0 {
			t.Errorf("history of a new conversation: %v", h)
		}
		b.settled(a)
		b.write(a, func(on storeState, w *storeWrite) {
			c := *on.Active
			c.Status, w.Thread.Control.Conversation, w.Conversation = tandem.StatusEnded, "", &c
		})
	}
	log := b.log(a)
	m, said := log[0], []tandem.Turn{}
	fresh := newTurn(b.run.life, storeTurn{Address: a, Conversation: "conv-new", Question: 99}, nil, 0)
	if !fresh.remember(&m, &said) || len(said) != 0 {
		t.Error("the search goes on past the beginning of the conversation")
	}
}

// At most so many, the newest of them, however much else is on the thread; 0 is
// none.
func TestHistory_isBounded(t *testing.T) {
	for _, limit := range []int{0, 1, 7, 40} {
		heard := make(chan tandem.Question, 1)
		b := with(t, hears(heard), func(s *Spec) { s.History = limit })
		a := who("ann")
		b.ask(a, "first")
		<-heard
		b.settled(a)
		b.write(a, func(on storeState, w *storeWrite) {
			for i := range 300 {
				m := tandem.Message{Type: tandem.Chat, Role: tandem.RoleOperator, Text: fmt.Sprint(i), Conversation: on.Active.ID}
				if i%5 > 0 {
					m.Scope = "elsewhere"
				}
				w.Events = append(w.Events, tandem.Event{Kind: tandem.KindMessage, ID: tandem.NewID("msg_", time.Now()), Body: mustJSON(t, m)})
			}
		})
		b.ask(a, "last")
		h := (<-heard).History
		if len(h) != limit || limit > 0 && h[len(h)-1].Content != "295" || limit > 1 && h[0].Content != fmt.Sprint(300-5*limit) {
			t.Errorf("limit %d: got %d: %v", limit, len(h), h)
		}
	}
}
