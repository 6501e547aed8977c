package desk_test

import (
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

func staff(name string, role tandem.PrincipalRole) tandem.Principal {
	return tandem.Principal{
		Tenant: "default", Subject: name, Role: role, Kind: tandem.CredentialJWT, ID: "jti-" + name,
		Name: strings.ToUpper(name[:1]) + name[1:],
	}
}

func operator(name string) tandem.Principal { return staff(name, tandem.Operator) }

// refused checks the kind and a part of the sentence of an error.
func refused(t testing.TB, err error, kind tandem.ErrorKind, sentence string) {
	t.Helper()
	if err == nil || tandem.KindOf(err) != kind || !strings.Contains(err.Error(), sentence) {
		t.Errorf("got %v (kind %d), want kind %d: %s", err, tandem.KindOf(err), kind, sentence)
	}
}

func (o *office) takes(name, id string) desk.Seen {
	o.t.Helper()
	s, err := o.desk.Takeover(o.t.Context(), operator(name), id, false)
	if err != nil {
		o.t.Fatal(err)
	}
	return s
}

func (o *office) speaks(p tandem.Principal, id, text string) desk.Said {
	o.t.Helper()
	said, err := o.desk.Say(o.t.Context(), p, desk.Say{Conversation: id, Messages: []desk.Saying{{Content: text}}})
	if err != nil {
		o.t.Fatal(err)
	}
	return said
}

func TestTakeover_cutsTheAnswer(t *testing.T) {
	feed := make(scripted)
	o := open(t, setup{agents: answeredBy(feed)})
	chat := o.follows(chatOf("ann"))
	o.says("ann", "help")
	feed <- "first words"
	chat.until("first words")
	id := o.conversation("ann").ID
	s := o.takes("maya", id)
	if s.AdminID != "maya" || s.Holder != "Maya" || s.Mode != tandem.ModeOperator || s.Epoch != 1 {
		t.Errorf("%+v", s)
	}
	o.speaks(operator("maya"), id, "I am a person")
	shown := chat.until("I am a person")
	want := "<first words[4 interrupted][5 state operator ACTIVE][6 Chat I am a person]"
	if !strings.HasSuffix(shown, want) {
		t.Errorf("shown %q, want it to end with %q", shown, want)
	}
}

func TestTakeover_isOnes(t *testing.T) {
	o := open(t, setup{})
	o.says("ann", "help")
	id := o.conversation("ann").ID
	first := o.takes("maya", id)
	if again := o.takes("maya", id); again.Epoch != first.Epoch {
		t.Errorf("taking it twice changed the epoch from %d to %d", first.Epoch, again.Epoch)
	}
	_, err := o.desk.Takeover(t.Context(), operator("zoe"), id, true)
	refused(t, err, tandem.Conflict, "Maya holds this conversation.")
	_, err = o.desk.Takeover(t.Context(), staff("lee", tandem.Supervisor), id, false)
	refused(t, err, tandem.Conflict, "Maya holds this conversation.")
	if s, err := o.desk.Takeover(t.Context(), staff("lee", tandem.Supervisor), id, true); err != nil || s.AdminID != "lee" || s.Epoch != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, p := range []tandem.Principal{participant("ann"), agentKey()} {
		_, err = o.desk.Takeover(t.Context(), p, id, true)
		refused(t, err, tandem.Forbidden, "Access denied")
	}
	other := operator("maya")
	other.Workflows = []string{"sales"}
	_, err = o.desk.Takeover(t.Context(), other, id, false)
	refused(t, err, tandem.Forbidden, "Access denied")
	other = operator("maya")
	other.Tenant = "elsewhere"
	_, err = o.desk.Takeover(t.Context(), other, id, false)
	refused(t, err, tandem.NotFound, "Conversation '"+id+"' not found")
}

func TestRelease_givesItBack(t *testing.T) {
	for _, c := range []struct {
		name, to string
		agent    bool
		want     tandem.Mode
	}{
		{"to the agent", "", true, tandem.ModeAgent},
		{"to the queue", "queue", true, tandem.ModeWaiting},
		{"to the queue, without an agent", "", false, tandem.ModeWaiting},
	} {
		t.Run(c.name, func(t *testing.T) {
			with := setup{}
			if c.agent {
				with.agents = answeredBy(make(scripted))
			}
			o := open(t, with)
			o.says("ann", "help")
			id := o.conversation("ann").ID
			o.takes("maya", id)
			_, err := o.desk.Release(t.Context(), operator("zoe"), id, "")
			refused(t, err, tandem.Conflict, "Maya holds")
			s, err := o.desk.Release(t.Context(), operator("maya"), id, c.to)
			if err != nil || s.Mode != c.want || s.AdminID != "" || s.Holder != "" || s.Epoch != 2 {
				t.Errorf("%+v, %v", s, err)
			}
			if waits := c.want == tandem.ModeWaiting; waits != (s.Place == 1) || waits == s.WaitingSince.IsZero() {
				t.Errorf("place %d, waiting since %v", s.Place, s.WaitingSince)
			}
			_, err = o.desk.Release(t.Context(), operator("maya"), id, "")
			refused(t, err, tandem.Conflict, "Take the conversation over first.")
		})
	}
}

func TestTransfer_needsSomebodyWhoCould(t *testing.T) {
	o := open(t, setup{})
	o.says("ann", "help")
	id := o.conversation("ann").ID
	o.takes("maya", id)
	_, err := o.desk.Transfer(t.Context(), operator("maya"), id, "zoe")
	refused(t, err, tandem.NotFound, "no operator 'zoe'")
	o.follows(desk.Follow{Principal: operator("zoe"), Conversation: o.openFor("bob"), View: tandem.View{Face: tandem.FaceConversation}})
	s, err := o.desk.Transfer(t.Context(), operator("maya"), id, "zoe")
	if err != nil || s.AdminID != "zoe" || s.Holder != "Zoe" {
		t.Fatalf("%+v, %v", s, err)
	}
	_, err = o.desk.Transfer(t.Context(), operator("maya"), id, "maya")
	refused(t, err, tandem.NotFound, "no operator 'maya'")
}

// openFor opens a conversation for somebody and returns its id.
func (o *office) openFor(name string) string {
	o.t.Helper()
	o.says(name, "hello")
	return o.conversation(name).ID
}

func TestEnd_refusesWhatComesAfter(t *testing.T) {
	o := open(t, setup{})
	id := o.openFor("ann")
	_, err := o.desk.End(t.Context(), operator("maya"), id, "")
	refused(t, err, tandem.Conflict, "Take the conversation over first.")
	o.takes("maya", id)
	s, err := o.desk.End(t.Context(), operator("maya"), id, "solved")
	if err != nil || s.Status != tandem.StatusEnded || s.EndReason != "solved" || s.EndedAt.IsZero() {
		t.Fatalf("%+v, %v", s, err)
	}
	if again, err := o.desk.End(t.Context(), operator("maya"), id, ""); err != nil || again.EndReason != "solved" {
		t.Errorf("%+v, %v", again, err)
	}
	_, err = o.desk.Say(t.Context(), operator("maya"), desk.Say{Conversation: id, Messages: []desk.Saying{{Content: "one more"}}})
	refused(t, err, tandem.Conflict, "Conversation has ended")
	_, err = o.desk.Takeover(t.Context(), operator("maya"), id, false)
	refused(t, err, tandem.Conflict, "Conversation has ended")
	if o.openFor("ann") == id {
		t.Error("the next message is of the conversation that ended")
	}
}

// WIRE, "What starts an answer": an agent's further handoffs in waiting are no-ops;
// one while a person holds is a signal, and passes.
func TestEscalate_again(t *testing.T) {
	o := open(t, setup{})
	id := o.openFor("ann")
	hands := func(p tandem.Principal, u tandem.Urgency, reason string) bool {
		t.Helper()
		_, told, err := o.desk.Escalate(t.Context(), p, desk.Escalation{Address: addr("ann"), Urgency: u, Reason: reason, Text: "handed on"})
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	if !hands(agentKey(), tandem.UrgencyNormal, "angry") || hands(agentKey(), tandem.UrgencyCritical, "angrier") {
		t.Error("the first is told, and no other")
	}
	if c := o.again(id); c.Urgency != tandem.UrgencyNormal || c.Reason != "angry" {
		t.Errorf("%+v", c)
	}
	if hands(participant("ann"), tandem.UrgencyUrgent, "quick"); o.again(id).Urgency != tandem.UrgencyUrgent {
		t.Error("the participant may press")
	}
	o.takes("maya", id)
	r := o.follows(eventsOf("ann"))
	if !hands(agentKey(), tandem.UrgencyNormal, "still angry") {
		t.Error("a handoff while a person holds does not pass")
	}
	r.until("Handoff handed on")
	if c := o.again(id); c.AdminID != "maya" || c.Mode != tandem.ModeOperator {
		t.Errorf("%+v", c)
	}
}
