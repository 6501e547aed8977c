package desk_test

import (
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/store"
	"github.com/seed4677ff1f/tandem/internal/turn"
)

// The published document's conversation, with its own ids.
func TestOpen_makesTheDocumentsIDs(t *testing.T) {
	o := open(t, setup{})
	in := desk.Opening{
		Address: tandem.Address{Tenant: "default", Workflow: "emergency"}, MobileNo: "+919325590143",
		Timestamp: "2025-10-03T11:58:04+05:30", Medium: "Voice", Urgency: tandem.UrgencyCritical,
	}
	s, opened, err := o.desk.Open(t.Context(), agentKey(), in)
	if err != nil || !opened {
		t.Fatal(opened, err)
	}
	if s.ID != "conv_919325590143_20251003_115804" || s.CallID != "call_919325590143_20251003_115804" || s.Address.Participant != "worker_919325590143" {
		t.Errorf("%+v", s)
	}
	said, err := o.desk.Say(t.Context(), agentKey(), desk.Say{Conversation: s.CallID, Messages: []desk.Saying{
		{Role: tandem.RoleUser, Content: "My friend is falling from a floor, what should I do?", Timestamp: "2025-10-03T11:58:04+05:30"},
		{Content: "Call for help now.", Sources: "Emergency Procedures Manual", Spoken: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"msg_919325590143_20251003_115804_0001", "msg_919325590143_20251003_115804_0002"} {
		if said.Events[i].ID != want {
			t.Errorf("message %d is %s", i, said.Events[i].ID)
		}
	}
	if again, opened, err := o.desk.Open(t.Context(), agentKey(), in); err != nil || opened || again.ID != s.ID {
		t.Errorf("%+v, %v, %v", again, opened, err)
	}
	if _, err := o.desk.End(t.Context(), agentKey(), s.CallID, tandem.EndCall); err != nil {
		t.Fatal(err)
	}
	_, err = o.desk.Snapshot(t.Context(), agentKey(), s.CallID)
	refused(t, err, tandem.NotFound, "Call 'call_919325590143_20251003_115804' not found or no longer active")
	second, _, err := o.desk.Open(t.Context(), agentKey(), in)
	if err != nil || second.ID != s.ID+"_2" || second.CallID != s.CallID+"_2" {
		t.Errorf("the second in the same second: %+v, %v", second, err)
	}
}

func TestOpen_takesNoIDThatIsReserved(t *testing.T) {
	o := open(t, setup{})
	enter, err := o.desk.Enter(t.Context(), participant("ann"), addr("ann"))
	if err != nil {
		t.Fatal(err)
	}
	reserved := desk.ConversationID(enter)
	for _, id := range []string{reserved, ".", "..", "a/b", "call_1"} {
		_, _, err = o.desk.Open(t.Context(), agentKey(), desk.Opening{Address: addr("thief"), ID: id})
		refused(t, err, tandem.Invalid, "conversation_id")
	}
	if s, opened, err := o.desk.Open(t.Context(), agentKey(), desk.Opening{Address: addr("ann"), ID: reserved}); err != nil || !opened || s.ID != reserved {
		t.Errorf("%+v, %v, %v", s, opened, err)
	}
}

func TestTakeover_isUnderTheAccountsName(t *testing.T) {
	o := open(t, setup{})
	if err := o.store.AddAccount(t.Context(), store.Account{Tenant: "default", Username: "maya", Name: "Maya M.", Role: tandem.Operator}, store.Audit{}); err != nil {
		t.Fatal(err)
	}
	id := o.openFor("ann")
	if s := o.takes("maya", id); s.Holder != "Maya M." {
		t.Errorf("held by %q", s.Holder)
	}
	if m, err := o.speaks(operator("maya"), id, "hello").Events[0].Message(); err != nil || m.Name != "Maya M." {
		t.Errorf("said by %q, %v", m.Name, err)
	}
}

func TestSay_judgesRoles(t *testing.T) {
	o := open(t, setup{})
	id := o.openFor("ann")
	say := func(p tandem.Principal, m desk.Saying) error {
		_, err := o.desk.Say(t.Context(), p, desk.Say{Conversation: id, Messages: []desk.Saying{m}})
		return err
	}
	for _, c := range []struct {
		who  tandem.Principal
		m    desk.Saying
		kind tandem.ErrorKind
		text string
	}{
		{participant("ann"), desk.Saying{Content: "x", Role: tandem.RoleAssistant}, tandem.Forbidden, "You may not speak as assistant."},
		{participant("ann"), desk.Saying{Content: "x", Audience: "operators"}, tandem.Forbidden, "another audience"},
		{participant("bob"), desk.Saying{Content: "x"}, tandem.Forbidden, "Access denied"},
		{operator("maya"), desk.Saying{Content: "x"}, tandem.Conflict, "Take the conversation over first."},
		{operator("maya"), desk.Saying{Content: "x", Role: tandem.RoleUser}, tandem.Forbidden, "You may not speak as user."},
		{agentKey(), desk.Saying{Content: " "}, tandem.Invalid, "cannot be empty"},
		{agentKey(), desk.Saying{Content: "x", Role: "robot"}, tandem.Invalid, "role must be"},
		{agentKey(), desk.Saying{Content: "x", Timestamp: "yesterday"}, tandem.Invalid, "timestamp must be"},
		{agentKey(), desk.Saying{Content: "x", Answer: true}, tandem.Invalid, "only a message of the user"},
		{agentKey(), desk.Saying{Content: strings.Repeat("x", 8001), Role: tandem.RoleUser}, tandem.Invalid, "8000 characters"},
		{agentKey(), desk.Saying{Content: strings.Repeat("x", 256<<10+1)}, tandem.TooLarge, "262144 bytes"},
	} {
		refused(t, say(c.who, c.m), c.kind, c.text)
	}
	for _, c := range []struct {
		who tandem.Principal
		m   desk.Saying
	}{
		{participant("ann"), desk.Saying{Content: "x"}},
		{operator("maya"), desk.Saying{Content: "a note", Audience: "operators"}},
		{operator("maya"), desk.Saying{Content: "spoken on the call", Spoken: true}},
		{agentKey(), desk.Saying{Content: strings.Repeat("x", 256<<10)}},
		{agentKey(), desk.Saying{Content: strings.Repeat("x", 8000), Role: tandem.RoleUser}},
	} {
		if err := say(c.who, c.m); err != nil {
			t.Errorf("%s: %v", c.who.Subject, err)
		}
	}
	s, err := o.desk.Snapshot(t.Context(), participant("ann"), id)
	if err != nil || s.Total != 5 || len(s.Notes) != 0 {
		t.Errorf("the participant sees %d messages and %d notes, %v", s.Total, len(s.Notes), err)
	}
	if s, err = o.desk.Snapshot(t.Context(), operator("maya"), id); err != nil || s.Total != 5 || len(s.Notes) != 1 {
		t.Errorf("the operator sees %d messages and %d notes, %v", s.Total, len(s.Notes), err)
	}
}

func TestSay_isAllOrNothing(t *testing.T) {
	o := open(t, setup{})
	id := o.openFor("ann")
	batch := desk.Say{Conversation: id, Messages: []desk.Saying{{ID: "a", Content: "one"}, {ID: "b", Content: "two"}}}
	first, err := o.desk.Say(t.Context(), agentKey(), batch)
	if err != nil {
		t.Fatal(err)
	}
	again, err := o.desk.Say(t.Context(), agentKey(), batch)
	if err != nil || len(again.Events) != 2 || again.Events[1].Seq != first.Events[1].Seq {
		t.Errorf("%+v, %v", again, err)
	}
	batch.Messages[1].Content = "another"
	_, err = o.desk.Say(t.Context(), agentKey(), batch)
	refused(t, err, tandem.Mismatch, "already used")
	batch.Messages[1] = desk.Saying{ID: "c", Content: "three"}
	_, err = o.desk.Say(t.Context(), agentKey(), batch)
	refused(t, err, tandem.Conflict, "")
	if s, err := o.desk.Snapshot(t.Context(), agentKey(), id); err != nil || s.Total != 3 {
		t.Errorf("%d messages, %v", s.Total, err)
	}
}

func TestPush_isFencedAsSpeech(t *testing.T) {
	o := open(t, setup{})
	old, err := o.desk.Post(t.Context(), participant("ann"), desk.Post{Address: addr("ann"), Type: tandem.Chat, Text: "help", RequestID: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	events := o.follows(eventsOf("ann"))
	id := o.conversation("ann").ID
	seen := o.takes("maya", id)
	push := func(in desk.Push) (desk.Posted, error) {
		in.Address, in.Type = addr("ann"), tandem.Chat
		return o.desk.Push(t.Context(), agentKey(), in)
	}
	held, err := push(desk.Push{Text: "while she holds"})
	if err != nil || !held.Draft {
		t.Errorf("%+v, %v", held, err)
	}
	_, err = push(desk.Push{Text: "refuse me", OnHeld: "refuse"})
	refused(t, err, tandem.Held, "")
	if e := (*tandem.Error)(nil); asError(err, &e) && e.Epoch != seen.Epoch {
		t.Errorf("told epoch %d, want %d", e.Epoch, seen.Epoch)
	}
	if _, err := o.desk.Push(t.Context(), agentKey(), desk.Push{Address: addr("ann"), Type: tandem.Data, Text: "a signal"}); err != nil {
		t.Error(err)
	}
	if p, err := push(desk.Push{Text: "was heard", Spoken: true}); err != nil || p.Draft {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := o.desk.Release(t.Context(), operator("maya"), id, "queue"); err != nil {
		t.Fatal(err)
	}
	if p, err := push(desk.Push{Text: "late", RequestID: old.RequestID}); err != nil || !p.Draft {
		t.Errorf("an answer to what was asked before the takeover: %+v, %v", p, err)
	}
	stale := seen.Epoch
	if p, err := push(desk.Push{Text: "of an old epoch", Epoch: &stale}); err != nil || !p.Draft {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := push(desk.Push{Text: "fresh", RequestID: "unknown"}); err != nil || p.Draft {
		t.Errorf("%+v, %v", p, err)
	}
	shown := events.until("fresh")
	for _, hidden := range []string{"while she holds", "refuse me", "late", "old epoch"} {
		if strings.Contains(shown, hidden) {
			t.Errorf("the participant was shown %q in %q", hidden, shown)
		}
	}
	for _, passes := range []string{"a signal", "was heard"} {
		if !strings.Contains(shown, passes) {
			t.Errorf("the participant was not shown %q in %q", passes, shown)
		}
	}
}

func TestSendDraft_isOnce(t *testing.T) {
	o := open(t, setup{})
	id := o.openFor("ann")
	o.takes("maya", id)
	draft, dropped := o.pushes("ann", "the agent's idea"), o.pushes("ann", "a bad idea")
	_, err := o.desk.SendDraft(t.Context(), operator("zoe"), id, draft.Event.ID, nil)
	refused(t, err, tandem.Conflict, "Maya holds")
	said, err := o.desk.SendDraft(t.Context(), operator("maya"), id, draft.Event.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := said.Events[0].Message(); err != nil || m.Text != "the agent's idea" || m.Role != tandem.RoleOperator || m.Name != "Maya" {
		t.Errorf("%+v, %v", m, err)
	}
	_, err = o.desk.SendDraft(t.Context(), operator("maya"), id, draft.Event.ID, nil)
	refused(t, err, tandem.Conflict, "already sent or dropped")
	if err := o.desk.DropDraft(t.Context(), operator("maya"), id, dropped.Event.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, o.desk.DropDraft(t.Context(), operator("maya"), id, draft.Event.ID), tandem.Conflict, "already sent or dropped")
	refused(t, o.desk.DropDraft(t.Context(), operator("maya"), id, "nothing"), tandem.NotFound, "Draft 'nothing' not found")
	s, err := o.desk.Snapshot(t.Context(), operator("maya"), id)
	if err != nil || len(s.Drafts) != 0 || s.Total != 2 {
		t.Errorf("%d drafts, %d messages, %v", len(s.Drafts), s.Total, err)
	}
}

// asked notes what an agent is asked.
type asked struct{ questions chan tandem.Question }

func TestHandoff_isOneConversationOnTwoThreads(t *testing.T) {
	q := asked{make(chan tandem.Question, 4)}
	billing := turn.DefaultSpec("billing-bot", answerer(func(question tandem.Question) string {
		q.questions <- question
		return "billing says " + question.Message
	}))
	billing.Workflow = "billing"
	o := open(t, setup{agents: []turn.Spec{billing}})
	o.says("ann", "I was charged twice")
	there := addr("ann")
	there.Workflow = "billing"
	home := o.follows(eventsOf("ann"))
	away := o.follows(desk.Follow{Principal: participant("ann"), Address: there, View: tandem.View{Face: tandem.FaceEvents, Echo: true}, Heartbeat: eventsOf("ann").Heartbeat})
	if _, err := o.desk.Handoff(t.Context(), agentKey(), desk.Escalation{Address: addr("ann"), Text: "over to billing"}, there); err != nil {
		t.Fatal(err)
	}
	if first := <-q.questions; first.Type != tandem.Handoff || first.Workflow != "billing" || len(first.History) != 1 {
		t.Errorf("%+v", first)
	}
	o.says("ann", "and now?")
	home.until("[")
	if second := <-q.questions; second.Message != "and now?" {
		t.Errorf("%+v", second)
	}
	for i := 0; i < 200 && !strings.Contains(away.seen.String(), "and now?"); i++ {
		away.next()
	}
	o.takes("maya", o.conversation("ann").ID)
	p, err := o.desk.Push(t.Context(), agentKey(), desk.Push{Address: there, Type: tandem.Chat, Text: "pushed by billing"})
	if err != nil || !p.Draft {
		t.Errorf("a push to the other thread is not fenced: %+v, %v", p, err)
	}
	if _, err := o.desk.End(t.Context(), operator("maya"), o.conversation("ann").ID, ""); err != nil {
		t.Fatal(err)
	}
	if th, err := o.store.Thread(t.Context(), there); err != nil || th.Control.Serves != "" {
		t.Errorf("after the end the other thread still serves %q, %v", th.Control.Serves, err)
	}
}
