package desk_test

import (
	"context"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// begins is follows, for who closes the follower before the test ends.
func (o *office) begins(req desk.Follow) *reader {
	o.t.Helper()
	f, err := o.desk.Follow(o.t.Context(), req)
	if err != nil {
		o.t.Fatal(err)
	}
	return &reader{t: o.t, f: f}
}

// runs lets the desk serve its timers until the test ends.
func (o *office) runs() *office {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); o.desk.Run(ctx) }()
	o.t.Cleanup(func() { cancel(); <-done })
	return o
}

// becomes waits until a conversation is as wished.
func (o *office) becomes(id string, as func(tandem.Conversation) bool) tandem.Conversation {
	o.t.Helper()
	r := o.begins(conversationOf(staff("watcher", tandem.Supervisor), id))
	defer r.f.Close()
	for {
		c, err := o.store.Conversation(o.t.Context(), "default", id)
		if err != nil {
			o.t.Fatal(err)
		}
		if as(c) {
			return c
		}
		if b := r.next(); b.Ended != "" && !as(o.again(id)) {
			o.t.Fatalf("ended by %q, and is %+v", b.Ended, o.again(id))
		}
	}
}

func (o *office) again(id string) tandem.Conversation {
	o.t.Helper()
	c, err := o.store.Conversation(o.t.Context(), "default", id)
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

func TestTimer_nobodyPicksUp(t *testing.T) {
	o := open(t, setup{rules: &desk.Rules{PickupAfter: 30 * time.Millisecond}}).runs()
	id := o.openFor("ann")
	c := o.becomes(id, func(c tandem.Conversation) bool { return c.Unanswered })
	if c.Urgency != tandem.UrgencyUrgent || c.Mode != tandem.ModeWaiting || c.Epoch != 0 {
		t.Errorf("%+v", c)
	}
}

func TestTimer_aSilentHolderLosesIt(t *testing.T) {
	o := open(t, setup{rules: &desk.Rules{SilenceAfter: 40 * time.Millisecond, OnSilence: "queue"}}).runs()
	id := o.openFor("ann")
	o.takes("maya", id)
	c := o.becomes(id, func(c tandem.Conversation) bool { return !c.ReturnsAt.IsZero() })
	if c.AdminID != "maya" {
		t.Errorf("%+v", c)
	}
	c = o.becomes(id, func(c tandem.Conversation) bool { return c.AdminID == "" })
	if c.Mode != tandem.ModeWaiting || c.Epoch != 2 || !c.ReturnsAt.IsZero() {
		t.Errorf("%+v", c)
	}
}

func TestTimer_aHolderWhoIsThereKeepsIt(t *testing.T) {
	o := open(t, setup{rules: &desk.Rules{SilenceAfter: 20 * time.Millisecond, OnSilence: "queue"}}).runs()
	id, other := o.openFor("ann"), o.openFor("bob")
	maya := o.begins(conversationOf(operator("maya"), id))
	o.takes("maya", id)
	o.takes("zoe", other) // is not there
	o.becomes(other, func(c tandem.Conversation) bool { return c.AdminID == "" })
	if c := o.again(id); c.AdminID != "maya" || !c.ReturnsAt.IsZero() {
		t.Errorf("%+v", c)
	}
	maya.f.Close()
	o.becomes(id, func(c tandem.Conversation) bool { return c.AdminID == "" })
}

func TestTimer_idleEndsIt(t *testing.T) {
	o := open(t, setup{rules: &desk.Rules{EndAfter: 30 * time.Millisecond}}).runs()
	id := o.openFor("ann")
	call, _, err := o.desk.Open(t.Context(), agentKey(), desk.Opening{Address: addr("caller"), MobileNo: "+4912345", Medium: "Voice"})
	if err != nil {
		t.Fatal(err)
	}
	if c := o.becomes(id, func(c tandem.Conversation) bool { return c.Status == tandem.StatusEnded }); c.EndReason != tandem.EndIdle {
		t.Errorf("%+v", c)
	}
	if c := o.again(call.ID); c.Status != tandem.StatusActive {
		t.Errorf("a call ended by itself: %+v", c)
	}
}

// A timer survives a restart, and one that was armed under another epoch does
// nothing.
func TestTimer_survivesARestart(t *testing.T) {
	o := open(t, setup{rules: &desk.Rules{PickupAfter: time.Millisecond}})
	id, taken := o.openFor("ann"), o.openFor("bob")
	o.takes("maya", taken)
	if _, err := o.desk.Release(t.Context(), operator("maya"), taken, "queue"); err != nil {
		t.Fatal(err)
	}
	o.takes("maya", taken)
	o.close()
	o = open(t, setup{dir: o.dir, rules: &desk.Rules{PickupAfter: time.Millisecond}}).runs()
	o.becomes(id, func(c tandem.Conversation) bool { return c.Unanswered })
	if c := o.again(taken); c.Unanswered || c.Urgency != tandem.UrgencyNormal {
		t.Errorf("%+v", c)
	}
}

func TestAccountDisabled_queuesWhatItHeld(t *testing.T) {
	o := open(t, setup{})
	id, other := o.openFor("ann"), o.openFor("bob")
	o.takes("maya", id)
	o.takes("zoe", other)
	if err := o.desk.AccountDisabled(t.Context(), "default", "maya"); err != nil {
		t.Fatal(err)
	}
	if c := o.again(id); c.AdminID != "" || c.Mode != tandem.ModeWaiting {
		t.Errorf("%+v", c)
	}
	if c := o.again(other); c.AdminID != "zoe" {
		t.Errorf("%+v", c)
	}
}
