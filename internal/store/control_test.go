package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	tandem "github.com/seed4677ff1f/tandem"
)

// change is an append that stores what the function makes of the thread's ACTIVE
// conversation, or of an empty one, with an event.
func change(a tandem.Address, id string, with func(*Write, *tandem.Conversation)) Append {
	event := tandem.NewID("evt_", time.Now())
	return Append{Threads: []tandem.Address{a}, Conversation: id, Decide: func(now time.Time, on []State) ([]Write, error) {
		w := Write{Thread: on[0].Thread, Events: []tandem.Event{{Kind: tandem.KindState, ID: event, Body: []byte(`{}`)}}}
		c := &tandem.Conversation{ID: id, Status: tandem.StatusActive, Mode: tandem.ModeAgent, OpenedAt: now, FirstSeq: on[0].Thread.Head + 1}
		if on[0].Named != nil {
			was := *on[0].Named
			c = &was
		}
		w.Conversation = c
		with(&w, c)
		w.Thread.Control.Conversation = id
		if c.Status != tandem.StatusActive {
			w.Thread.Control.Conversation = ""
		}
		return []Write{w}, nil
	}}
}

func nothing(*Write, *tandem.Conversation) {}

// Timers survive a restart. Broken by a due row without the kind in its key, by
// inserting without on conflict, and by not deleting.
func TestDues_areReplacedAndRemoved(t *testing.T) {
	dir := t.TempDir()
	var told []Committed
	s := open(t, Options{Dir: dir, Committed: func(c []Committed) { told = append(told, c...) }})
	ann, bob := address(t, "ann"), address(t, "bob")
	arm := func(a tandem.Address, id string, dues ...Due) {
		t.Helper()
		mustAppend(t, s, change(a, id, func(w *Write, _ *tandem.Conversation) { w.Dues = dues }))
	}
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	arm(ann, "conv_a", Due{Conversation: "conv_a", Kind: DuePickup, At: at(5), Epoch: 1}, Due{Conversation: "conv_a", Kind: DueIdle, At: at(60), Epoch: 1})
	arm(bob, "conv_b", Due{Conversation: "conv_b", Kind: DuePickup, At: at(1), Epoch: 7})
	arm(ann, "conv_a", Due{Conversation: "conv_a", Kind: DuePickup, At: at(0), Epoch: 2})
	arm(bob, "conv_b", Due{Conversation: "conv_b", Kind: DuePickup}, Due{Conversation: "conv_b", Kind: DueReturn})
	want := []Due{
		{Tenant: "default", Address: ann, Conversation: "conv_a", Kind: DuePickup, At: at(0), Epoch: 2},
		{Tenant: "default", Address: ann, Conversation: "conv_a", Kind: DueIdle, At: at(60), Epoch: 1},
	}
	got, err := open(t, Options{Dir: dir}).Dues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want[:1], told[2].Dues); d != "" {
		t.Errorf("told after commit: %s", d)
	}
	if d := told[3].Dues; len(d) != 2 || !d[0].At.IsZero() || d[0].Tenant != "default" || d[0].Address != bob {
		t.Errorf("told of what is no longer due: %+v", d)
	}
}

// Broken by taking what is said last instead of the highest.
func TestAcks_neverGoBack(t *testing.T) {
	s := open(t, Options{})
	ann, bob := address(t, "ann"), address(t, "bob")
	for _, acks := range [][]Ack{
		{{"ann", tandem.Participant, 3, 1}, {"op", tandem.Operator, 2, 2}},
		{{"ann", tandem.Participant, 2, 3}},
		{{"ann", tandem.Participant, 5, 0}, {"ann", tandem.Participant, 4, 2}},
	} {
		mustAppend(t, s, change(ann, "conv_a", func(w *Write, _ *tandem.Conversation) { w.Acks = acks }))
	}
	mustAppend(t, s, change(bob, "conv_b", func(w *Write, _ *tandem.Conversation) { w.Acks = []Ack{{"op", tandem.Operator, 9, 9}} }))
	got, err := s.Acks(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Ack{{"ann", tandem.Participant, 5, 3}, {"op", tandem.Operator, 2, 2}}, got); d != "" {
		t.Error(d)
	}
}

// Broken by asking the database alone (an earlier append of the same batch is
// overlooked) and by leaving the tenant out.
func TestAppend_seesTheConversationThatItNames(t *testing.T) {
	for _, shared := range []bool{false, true} {
		s := open(t, Options{})
		if err := s.EnsureTenant(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		ann, bob := address(t, "ann"), address(t, "bob")
		foreign := tandem.Address{Tenant: "other", Workflow: "support", Participant: "ann"}
		var seen []string
		look := func(a tandem.Address, id, call string) Append {
			look := change(a, id, nothing)
			look.Call = call
			look.Decide = func(_ time.Time, on []State) ([]Write, error) {
				name := func(c *tandem.Conversation) string {
					if c == nil {
						return "none"
					}
					return fmt.Sprint(c.Address.Participant, " ", c.Status)
				}
				seen = append(seen, name(on[0].Named)+", "+name(on[0].Called))
				return []Write{{Thread: on[0].Thread}}, nil
			}
			return look
		}
		appends := []Append{
			look(ann, "conv_a", "call_1"),
			change(ann, "conv_a", func(_ *Write, c *tandem.Conversation) { c.CallID = "call_1" }),
			look(bob, "conv_a", "call_1"),
			look(foreign, "conv_a", "call_1"),
			look(bob, "conv_b", "call_2"),
			change(ann, "conv_a", func(_ *Write, c *tandem.Conversation) { c.Status = tandem.StatusEnded }),
			look(bob, "conv_a", "call_1"),
			change(bob, "conv_b", func(_ *Write, c *tandem.Conversation) { c.CallID = "call_1" }),
			look(ann, "conv_b", "call_1"),
			look(ann, "", ""),
		}
		alone := appends
		if shared {
			alone = appends[:4] // and the rest in one transaction
		}
		for _, a := range alone {
			mustAppend(t, s, a)
		}
		if _, errs := together(t, s, appends[len(alone):]); errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
		want := "none, none | ann ACTIVE, ann ACTIVE | none, none | none, none | ann ENDED, none | bob ACTIVE, bob ACTIVE | none, none"
		if got := strings.Join(seen, " | "); got != want {
			t.Errorf("in a batch %v:\n%s, want\n%s", shared, got, want)
		}
		if c, err := s.Call(t.Context(), "default", "call_1"); err != nil || c.ID != "conv_b" {
			t.Errorf("the call: %v %v", c.ID, err)
		}
		for _, none := range [][2]string{{"other", "call_1"}, {"default", "call_2"}, {"default", ""}} {
			if _, err := s.Call(t.Context(), none[0], none[1]); tandem.KindOf(err) != tandem.NotFound {
				t.Errorf("call %v: %v", none, err)
			}
		}
	}
}

// crowd is the conversations of two tenants: who waits, who is held, by whom.
func crowd(t *testing.T, s *Store) {
	t.Helper()
	for i, c := range []struct {
		tenant, workflow, id string
		mode                 tandem.Mode
		urgency              tandem.Urgency
		waits                int
		holder               string
		ended                bool
	}{
		{"default", "support", "w-late", tandem.ModeWaiting, tandem.UrgencyNormal, 5, "", false},
		{"default", "support", "w-early", tandem.ModeWaiting, tandem.UrgencyNormal, 1, "", false},
		{"default", "support", "w-urgent", tandem.ModeWaiting, tandem.UrgencyUrgent, 9, "", false},
		{"default", "billing", "w-billing", tandem.ModeWaiting, tandem.UrgencyCritical, 1, "", false},
		{"other", "support", "w-other", tandem.ModeWaiting, tandem.UrgencyCritical, 1, "", false},
		{"default", "support", "w-ended", tandem.ModeWaiting, tandem.UrgencyCritical, 1, "", true},
		{"default", "support", "agent", tandem.ModeAgent, tandem.UrgencyCritical, 0, "", false},
		{"default", "support", "held", tandem.ModeOperator, tandem.UrgencyNormal, 0, "op", false},
		{"default", "support", "held-ended", tandem.ModeOperator, tandem.UrgencyNormal, 0, "op", true},
		{"other", "support", "held-other", tandem.ModeOperator, tandem.UrgencyNormal, 0, "op", false},
		{"default", "support", "left", tandem.ModeOperator, tandem.UrgencyNormal, 0, "gone", false},
		{"default", "billing", "left-ended", tandem.ModeOperator, tandem.UrgencyNormal, 0, "gone", true},
		{"other", "support", "left-other", tandem.ModeOperator, tandem.UrgencyNormal, 0, "gone", false},
	} {
		a := tandem.Address{Tenant: c.tenant, Workflow: c.workflow, Participant: fmt.Sprint("p", i)}
		mustAppend(t, s, change(a, c.id, func(_ *Write, conv *tandem.Conversation) {
			conv.Mode, conv.Urgency, conv.AdminID = c.mode, c.urgency, c.holder
			if c.waits > 0 {
				conv.WaitingSince = noon.Add(time.Duration(c.waits))
			}
			if c.ended {
				conv.Status, conv.EndedAt = tandem.StatusEnded, noon
			}
		}))
	}
}

// The queue and who holds what. Broken by leaving status, mode, workflow or tenant
// out of a condition, and by an order by waiting time alone.
func TestConversations_areFoundByHolderAndPlace(t *testing.T) {
	s := open(t, Options{})
	for _, tenant := range []string{"default", "other"} {
		if err := s.EnsureTenant(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"op", "gone"} {
			if err := s.AddAccount(t.Context(), Account{Tenant: tenant, Username: name, Role: tandem.Operator}, AuditOf(boss, "user-add", "", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	disabled := true
	if _, err := s.ChangeAccount(t.Context(), "default", "gone", AccountChange{Disabled: &disabled}); err != nil {
		t.Fatal(err)
	}
	crowd(t, s)
	ids := func(list []tandem.Conversation, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, c := range list {
			ids = append(ids, c.ID)
		}
		return strings.Join(ids, " ")
	}
	waiting, err := s.Waiting(t.Context(), "default", "support")
	if got := strings.Join(waiting, " "); err != nil || got != "w-urgent w-early w-late" {
		t.Errorf("waiting: %s (%v)", got, err)
	}
	if got := ids(s.HeldBy(t.Context(), "default", "op")); got != "held" {
		t.Errorf("held by op: %s", got)
	}
	if got := ids(s.HeldBy(t.Context(), "default", "")); got != "" {
		t.Errorf("held by nobody: %s", got)
	}
	if got := ids(s.HeldByDisabled(t.Context())); got != "left" {
		t.Errorf("held by disabled accounts: %s", got)
	}
	f := ConversationFilter{Tenant: "default", Status: tandem.StatusEnded}
	for want, workflows := range map[string][]string{
		"w-ended held-ended left-ended": nil, "left-ended": {"billing"}, "w-ended held-ended": {"support", "nothing"}, "": {"nothing"},
	} {
		if f.Workflows = workflows; ids(s.Conversations(t.Context(), f)) != want {
			t.Errorf("of the workflows %v: %s, want %s", workflows, ids(s.Conversations(t.Context(), f)), want)
		}
	}
}

// Broken by reading to the head (the next conversation's words) or from the start.
func TestSnapshot_holdsOneConversation(t *testing.T) {
	s := open(t, Options{})
	a := address(t, "ann")
	mustAppend(t, s, say(a, "", `{"before":1}`))
	mustAppend(t, s, change(a, "conv_1", nothing))
	mustAppend(t, s, say(a, "", `{"in":1}`))
	mustAppend(t, s, change(a, "conv_1", func(w *Write, c *tandem.Conversation) {
		c.Status, c.LastSeq = tandem.StatusEnded, w.Thread.Head+1
	}))
	mustAppend(t, s, change(a, "conv_2", nothing))
	mustAppend(t, s, say(a, "", `{"in":2}`))
	for id, want := range map[string][2]int64{"conv_1": {2, 4}, "conv_2": {5, 6}} {
		p, err := s.Snapshot(t.Context(), "default", id)
		if err != nil {
			t.Fatal(err)
		}
		n := len(p.Events)
		if p.Conversation.ID != id || p.Thread.Head != 6 || n != int(want[1]-want[0]+1) || p.Events[0].Seq != want[0] || p.Events[n-1].Seq != want[1] {
			t.Errorf("%s: %d events of head %d, want %v", id, n, p.Thread.Head, want)
		}
		c, err := s.Conversation(t.Context(), "default", id)
		if d := cmp.Diff(c, p.Conversation, cmpopts.EquateEmpty()); d != "" || err != nil {
			t.Error(d, err)
		}
	}
	for _, none := range [][2]string{{"default", "conv_3"}, {"other", "conv_1"}} {
		if _, err := s.Snapshot(t.Context(), none[0], none[1]); tandem.KindOf(err) != tandem.NotFound {
			t.Errorf("%v: %v", none, err)
		}
	}
}
