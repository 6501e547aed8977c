package desk_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/store"
	"github.com/seed4677ff1f/tandem/internal/turn"
)

// answers is an agent that gives one piece of text at once.
type answers string

func (a answers) Reply(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
	return emit(tandem.Piece{Text: string(a)})
}

func (o *office) conversation(name string) tandem.Conversation {
	o.t.Helper()
	list, _, err := o.desk.Conversations(o.t.Context(), tandem.Principal{Tenant: "default", Role: tandem.Supervisor}, desk.List{Limit: 50})
	if err != nil {
		o.t.Fatal(err)
	}
	for _, c := range list {
		if c.Address == addr(name) {
			return c.Conversation
		}
	}
	return tandem.Conversation{}
}

func TestPost_opensAConversationUnderTheReservedId(t *testing.T) {
	o := open(t, setup{agents: answeredBy(answers("hello"))})
	ann := participant("ann")
	one, err := o.desk.Enter(t.Context(), ann, addr("ann"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := o.desk.Enter(t.Context(), ann, addr("ann"))
	if err != nil {
		t.Fatal(err)
	}
	id := desk.ConversationID(one)
	if id == "" || id != desk.ConversationID(two) {
		t.Fatalf("two sockets are told %q and %q", id, desk.ConversationID(two))
	}
	if c := o.conversation("ann"); c.ID != "" {
		t.Error("a reserved conversation is in a list")
	}
	if _, err := o.desk.Post(t.Context(), ann, desk.Post{Address: addr("ann"), Type: tandem.Data, Data: json.RawMessage(`{"a": 1}`)}); err != nil {
		t.Fatal(err)
	}
	if c := o.conversation("ann"); c.ID != "" {
		t.Error("Data opened a conversation")
	}
	o.pushes("ann", "news")
	if c := o.conversation("ann"); c.ID != "" {
		t.Error("a push opened a conversation")
	}
	r := o.follows(chatOf("ann"))
	o.says("ann", "hi")
	r.until("<hello[6 stop]")
	if c := o.conversation("ann"); c.ID != id || c.Mode != tandem.ModeAgent || c.Status != tandem.StatusActive {
		t.Errorf("opened %+v", c)
	}
}

func TestPost_waitsForAPersonWhereThereIsNoAgent(t *testing.T) {
	o := open(t, setup{})
	if p := o.says("ann", "hi"); p.Answered {
		t.Error("somebody is said to answer")
	}
	if c := o.conversation("ann"); c.Mode != tandem.ModeWaiting || c.WaitingSince.IsZero() {
		t.Errorf("the conversation is %+v", c)
	}
}

func TestPost_storesARepeatOnce(t *testing.T) {
	o := open(t, setup{agents: answeredBy(answers("once"))})
	post := func(clientID, key, text string) (desk.Posted, error) {
		return o.desk.Post(t.Context(), participant("ann"), desk.Post{Address: addr("ann"), Type: tandem.Chat, Text: text, ClientID: clientID, Key: key})
	}
	first, err := post("m1", "", "hi")
	if err != nil {
		t.Fatal(err)
	}
	again, err := post("m1", "", "hi")
	if err != nil || !again.Repeat || again.Event.ID != first.Event.ID || again.RequestID != first.RequestID {
		t.Errorf("repeat gave %+v, %v; first %+v", again, err, first)
	}
	if _, err := post("m1", "", "other"); tandem.KindOf(err) != tandem.Mismatch {
		t.Errorf("the same id with another text: %v", err)
	}
	if other, err := post("", "m1", "hi"); err != nil || other.Repeat {
		t.Errorf("an Idempotency-Key met a client's id: %+v %v", other, err)
	}
}

func TestPost_keepsAParticipantsKeysApartFromABackEnds(t *testing.T) {
	o := open(t, setup{})
	in := desk.Post{Address: addr("ann"), Type: tandem.Chat, Text: "hi", Key: "order-77-shipped"}
	if _, err := o.desk.Post(t.Context(), participant("ann"), in); err != nil {
		t.Fatal(err)
	}
	push := desk.Push{Address: addr("ann"), Type: tandem.Chat, Text: "Shipped.", Key: "order-77-shipped"}
	if p, err := o.desk.Push(t.Context(), agentKey(), push); err != nil || p.Repeat {
		t.Errorf("the back end's push was taken for the participant's: %+v %v", p, err)
	}
	if p, err := o.desk.Push(t.Context(), agentKey(), push); err != nil || !p.Repeat {
		t.Errorf("its repeat: %+v %v", p, err)
	}
}

func TestPost_refusesWhatIsNoMessage(t *testing.T) {
	limits := tandem.DefaultLimits()
	limits.Text, limits.Depth = 10, 3
	o := open(t, setup{limits: &limits})
	long := strings.Repeat("x", tandem.MaxName+1)
	for name, c := range map[string]struct {
		in   desk.Post
		kind tandem.ErrorKind
		want string
	}{
		"empty":           {desk.Post{Type: tandem.Chat}, tandem.Invalid, "Message content cannot be empty"},
		"white":           {desk.Post{Type: tandem.Chat, Text: " \n\t"}, tandem.Invalid, "Message content cannot be empty"},
		"one too long":    {desk.Post{Type: tandem.Chat, Text: strings.Repeat("ä", 11)}, tandem.Invalid, "Message content cannot exceed 10 characters"},
		"not UTF-8":       {desk.Post{Type: tandem.Chat, Text: "a\xff"}, tandem.Invalid, "Message content must be valid UTF-8"},
		"no data":         {desk.Post{Type: tandem.Data}, tandem.Invalid, "Data is required."},
		"bad data":        {desk.Post{Type: tandem.Data, Data: json.RawMessage(`{"a":`)}, tandem.Invalid, "data is not valid JSON"},
		"deep data":       {desk.Post{Type: tandem.Data, Data: json.RawMessage(`[[[[1]]]]`)}, tandem.Invalid, "data cannot be nested deeper than 3 levels"},
		"another type":    {desk.Post{Type: tandem.Handoff, Text: "x"}, tandem.Invalid, "Invalid message type specified."},
		"long requestId":  {desk.Post{Type: tandem.Chat, Text: "x", RequestID: long}, tandem.Invalid, "requestId cannot exceed 256 bytes"},
		"line in a scope": {desk.Post{Type: tandem.Chat, Text: "x", Scope: "a\nid: 9"}, tandem.Invalid, "scope must not contain control characters"},
		"line in an id":   {desk.Post{Type: tandem.Chat, Text: "x", ClientID: "a\rb"}, tandem.Invalid, "clientMessageId must not contain control characters"},
	} {
		c.in.Address = addr("ann")
		_, err := o.desk.Post(t.Context(), participant("ann"), c.in)
		var refused *tandem.Error
		if !errors.As(err, &refused) || refused.Kind != c.kind || refused.Message != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if head, err := o.store.Head(t.Context(), addr("ann")); err != nil || head != 0 {
		t.Errorf("%d events were stored (%v)", head, err)
	}
	for name, in := range map[string]desk.Post{
		"at the limit":   {Type: tandem.Chat, Text: strings.Repeat("ä", 10)},
		"as deep as may": {Type: tandem.Data, Data: json.RawMessage(`[[["]]]]"]]]`)},
		"long names":     {Type: tandem.Chat, Text: "x", Scope: long[1:], RequestID: long[1:], ClientID: long[1:]},
	} {
		in.Address = addr("ann")
		if _, err := o.desk.Post(t.Context(), participant("ann"), in); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPost_refusesForeignersAndUnknownTenants(t *testing.T) {
	o := open(t, setup{})
	in := desk.Post{Address: addr("ann"), Type: tandem.Chat, Text: "hi"}
	if _, err := o.desk.Post(t.Context(), participant("bob"), in); tandem.KindOf(err) != tandem.Forbidden {
		t.Errorf("bob as ann: %v", err)
	}
	in.Address.Tenant = "nobody"
	p := tandem.Principal{Tenant: "nobody", Role: tandem.Agent}
	if _, err := o.desk.Post(t.Context(), p, in); tandem.KindOf(err) != tandem.NotFound {
		t.Errorf("an unknown tenant: %v", err)
	}
	if _, err := o.desk.Push(t.Context(), participant("ann"), desk.Push{Address: addr("ann"), Type: tandem.Chat, Text: "hi"}); tandem.KindOf(err) != tandem.Forbidden {
		t.Errorf("a participant pushes: %v", err)
	}
}

func TestPush_endsTheQuestionThatItAnswers(t *testing.T) {
	later := turn.Spec{Name: "later", Tenant: "*", Workflow: "*", Push: true, Total: time.Minute, Agent: answers("never called")}
	o := open(t, setup{agents: []turn.Spec{later}})
	asked := o.says("ann", "hi")
	if n := len(o.pending()); n != 1 {
		t.Fatalf("%d questions are open", n)
	}
	if _, err := o.desk.Push(t.Context(), agentKey(), desk.Push{Address: addr("ann"), Type: tandem.Chat, Text: "there", RequestID: asked.RequestID}); err != nil {
		t.Fatal(err)
	}
	for len(o.pending()) != 0 { // a push may be faster than the turn was put aside: it ends then
		if t.Context().Err() != nil {
			t.Fatal("the question stays open")
		}
		runtime.Gosched()
	}
}

func (o *office) pending() []store.Turn {
	o.t.Helper()
	turns, err := o.store.Turns(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return turns
}

func TestEscalate_waitsOnceAndOnlyGetsMoreUrgent(t *testing.T) {
	o := open(t, setup{agents: answeredBy(answers("hello"))})
	r := o.follows(chatOf("ann"))
	o.says("ann", "hi")
	r.until("stop]")
	ask := func(reason string, u tandem.Urgency) tandem.Conversation {
		c, _, err := o.desk.Escalate(t.Context(), participant("ann"), desk.Escalation{Address: addr("ann"), Reason: reason, Urgency: u, Text: "Wait."})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ask("help", tandem.UrgencyNormal)
	r.until("[5 Handoff Wait.][6 state waiting ACTIVE]")
	ask("again", tandem.UrgencyNormal)
	c := ask("now", tandem.UrgencyCritical)
	if c.Mode != tandem.ModeWaiting || c.Reason != "help" || c.Urgency != tandem.UrgencyCritical {
		t.Errorf("afterwards %+v", c)
	}
	r.until("[7 state waiting ACTIVE]")
	o.says("ann", "still there?") // while_waiting: answer
	r.until("<hello[10 stop]")
	if strings.Count(r.seen.String(), "Handoff") != 1 {
		t.Errorf("saw %q", r.seen.String())
	}
}

func TestEscalate_byTheAgentItself(t *testing.T) {
	asks := agentFunc(func(emit func(tandem.Piece) error) error {
		if err := emit(tandem.Piece{Text: "One moment."}); err != nil {
			return err
		}
		return emit(tandem.Piece{Handoff: &tandem.HandoffRequest{To: "person", Reason: "refund", Urgency: tandem.UrgencyUrgent}})
	})
	o := open(t, setup{agents: answeredBy(asks)})
	r := o.follows(chatOf("ann"))
	o.says("ann", "refund!")
	r.until("state waiting ACTIVE]")
	r.until("stop]")
	if c := o.conversation("ann"); c.Reason != "refund" || c.Urgency != tandem.UrgencyUrgent {
		t.Errorf("the conversation is %+v", c)
	}
}

type agentFunc func(emit func(tandem.Piece) error) error

func (f agentFunc) Reply(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
	return f(emit)
}

func TestHandoff_isOneMessageOnBothThreads(t *testing.T) {
	o := open(t, setup{agents: answeredBy(answers("hello"))})
	target := tandem.Address{Tenant: "default", Workflow: "orders", Participant: "ann"}
	here := o.follows(eventsOf("ann"))
	req := eventsOf("ann")
	req.Address, req.Filter.Scope = target, "some"
	there := o.follows(req)
	o.says("ann", "where is my parcel?")
	here.until("stop]")
	if _, err := o.desk.Handoff(t.Context(), agentKey(), desk.Escalation{Address: addr("ann")}, addr("ann")); tandem.KindOf(err) != tandem.Invalid {
		t.Errorf("a handoff to itself: %v", err)
	}
	e, err := o.desk.Handoff(t.Context(), agentKey(), desk.Escalation{Address: addr("ann"), Text: "To the order desk", Scope: "other"}, target)
	if err != nil {
		t.Fatal(err)
	}
	here.until("Handoff To the order desk")
	there.until("Handoff To the order desk") // whatever the scope
	copied, err := o.store.Find(t.Context(), target, e.ID)
	if err != nil || copied.ID != e.ID {
		t.Errorf("the target's copy: %v", err)
	}
	if c := o.conversation("ann"); c.Answering != "orders" {
		t.Errorf("answering is %q", c.Answering)
	}
	foreign := target
	foreign.Tenant = "other"
	if _, err := o.desk.Handoff(t.Context(), agentKey(), desk.Escalation{Address: addr("ann")}, foreign); err == nil {
		t.Error("a handoff to another tenant")
	}
}

func TestConverse_waitsForItsAnswerOrSaysThatNoneCame(t *testing.T) {
	feed := make(scripted)
	o := open(t, setup{agents: answeredBy(feed)})
	in := desk.Post{Address: addr("ann"), Type: tandem.Chat, Text: "hi"}
	o.pushes("ann", "something else")
	go func() { feed <- "the answer"; close(feed) }()
	e, err := o.desk.Converse(t.Context(), participant("ann"), in, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := e.Message(); err != nil || m.RequestID == "" || m.Text != "the answer" {
		t.Errorf("answered %+v %v", m, err)
	}
	failing := agentFunc(func(func(tandem.Piece) error) error { return tandem.Errorf(tandem.Invalid, "no") })
	o.turns.SetAgents(answeredBy(failing))
	if _, err := o.desk.Converse(t.Context(), participant("ann"), in, 20*time.Second); tandem.KindOf(err) != tandem.Unavailable {
		t.Errorf("a failed agent: %v", err)
	}
	o.turns.SetAgents(nil)
	if _, err := o.desk.Converse(t.Context(), participant("ann"), in, 30*time.Millisecond); tandem.KindOf(err) != tandem.Timeout {
		t.Errorf("no answer: %v", err)
	}
}

func TestHistory_pagesBothWaysWithoutGaps(t *testing.T) {
	o := open(t, setup{})
	var ids []string
	for _, text := range []string{"a", "b", "c", "d", "e"} {
		ids = append(ids, o.pushes("ann", text).Event.ID)
	}
	o.says("ann", "f")
	page := func(h desk.History) string {
		h.Address = addr("ann")
		events, err := o.desk.History(t.Context(), participant("ann"), h)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for _, e := range events {
			m, err := e.Message()
			if err != nil {
				t.Fatal(err)
			}
			got += m.Text
		}
		return got
	}
	for _, c := range []struct {
		h    desk.History
		want string
	}{
		{desk.History{Page: 1, PageSize: 2}, "fe"},
		{desk.History{Page: 2, PageSize: 2}, "dc"},
		{desk.History{Page: 3, PageSize: 2}, "ba"},
		{desk.History{Page: 4, PageSize: 2}, ""},
		{desk.History{After: ids[1], PageSize: 2}, "cd"},
		{desk.History{After: ids[4], PageSize: 9}, "f"},
	} {
		if got := page(c.h); got != c.want {
			t.Errorf("%+v gave %q, want %q", c.h, got, c.want)
		}
	}
	if _, err := o.desk.History(t.Context(), participant("ann"), desk.History{Address: addr("ann"), After: "msg_unknown", PageSize: 2}); tandem.KindOf(err) != tandem.Invalid {
		t.Errorf("after an unknown message: %v", err)
	}
	if _, err := o.desk.History(t.Context(), participant("bob"), desk.History{Address: addr("ann"), Page: 1, PageSize: 2}); tandem.KindOf(err) != tandem.Forbidden {
		t.Errorf("bob reads ann's: %v", err)
	}
}

func TestRate_isForOperatorsAndForMessagesOfTheThread(t *testing.T) {
	o := open(t, setup{})
	said := o.pushes("ann", "hello").Event
	r := o.follows(chatOf("ann"))
	if err := o.desk.Rate(t.Context(), participant("ann"), addr("ann"), tandem.Feedback{MessageID: said.ID, Type: "positive"}); err != nil {
		t.Fatal(err)
	}
	for _, fb := range []tandem.Feedback{{MessageID: "msg_none", Type: "positive"}, {MessageID: said.ID, Type: "meh"}, {MessageID: said.ID, Type: "negative", Comment: strings.Repeat("x", desk.MaxReason+1)}} {
		if err := o.desk.Rate(t.Context(), participant("ann"), addr("ann"), fb); err == nil {
			t.Errorf("%.40v was taken", fb)
		}
	}
	o.pushes("ann", "after")
	if got := r.until("after"); got != "[3 Chat after]" {
		t.Errorf("the participant saw %q", got)
	}
}
