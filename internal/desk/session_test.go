package desk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// stepping is a clock that goes on when it is told to.
type stepping struct{ at atomic.Int64 }

func (c *stepping) now() time.Time        { return time.UnixMicro(c.at.Load()) }
func (c *stepping) step(by time.Duration) { c.at.Add(by.Microseconds()) }

// steppingOffice is an office with such a clock.
func steppingOffice(t *testing.T, with setup) (*office, *stepping) {
	t.Helper()
	c := &stepping{}
	c.at.Store(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC).UnixMicro())
	with.clock = c.now
	return open(t, with), c
}

func (o *office) connects(p tandem.Principal, id string) *desk.Follower {
	o.t.Helper()
	f, err := o.desk.Connect(o.t.Context(), desk.Connect{Principal: p, Session: id})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(f.Close)
	return f
}

// sends tells a user something and fails unless so many sessions have it.
func (o *office) sends(name string, want int) {
	o.t.Helper()
	n, err := o.desk.Send(o.t.Context(), agentKey(), desk.Send{User: name, Message: []byte(`"x"`)})
	if err != nil || n != want {
		o.t.Fatalf("%d sessions have it, want %d (%v)", n, want, err)
	}
}

// A session ends 24 hours after its last connection has closed, also if the server
// did not see it close, and never while somebody is connected. Seen to fail by not
// renewing it, and by counting from its beginning.
func TestSession_lastsADayAfterItsLastConnection(t *testing.T) {
	o, clock := steppingOffice(t, setup{})
	first, err := o.desk.Connect(t.Context(), desk.Connect{Principal: participant("ann"), Session: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := o.desk.Connect(t.Context(), desk.Connect{Principal: participant("ann"), Session: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		clock.step(9 * time.Hour)
		first.Shown(t.Context())
		o.sends("ann", 1)
	}
	second.Close()
	clock.step(20 * time.Hour)
	first.Shown(t.Context())
	first.Close()
	clock.step(desk.SessionIdle - time.Second)
	o.sends("ann", 1)
	clock.step(time.Second)
	o.sends("ann", 0)

	o.connects(participant("bob"), "s2") // and the server is killed
	clock.step(desk.SessionIdle)
	o.sends("bob", 1)
	clock.step(10 * time.Minute)
	o.sends("bob", 0)
}

// Who comes back a day too late begins a new session, and is told what is missing.
func TestSession_tellsWhatIsMissingOfOneThatExpired(t *testing.T) {
	o, clock := steppingOffice(t, setup{})
	f, err := o.desk.Connect(t.Context(), desk.Connect{Principal: participant("ann"), Session: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	at := f.Cursor()
	f.Close()
	o.sends("ann", 1)
	clock.step(desk.SessionIdle)
	o.sends("ann", 0)
	again, err := o.desk.Connect(t.Context(), desk.Connect{Principal: participant("ann"), Session: "s1", After: &at})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if b, err := again.Next(t.Context()); err != nil || b.Gap == nil || *b.Gap != (tandem.Gap{From: 2, To: 2}) {
		t.Errorf("told %+v %v", b, err)
	}
	third, err := o.desk.Connect(t.Context(), desk.Connect{Principal: participant("bob"), Session: "s1", After: &at})
	if tandem.KindOf(err) != tandem.Unauthorized || err == nil {
		t.Errorf("somebody else gets %v %v", third, err)
	}
}

// A connection that nobody has closed, though its session has expired, sees nothing
// of the next one of that id. Seen to fail by showing on.
func TestSession_showsNothingOfTheNextOne(t *testing.T) {
	o, clock := steppingOffice(t, setup{})
	f := o.connects(participant("ann"), "s1")
	clock.step(desk.SessionIdle + time.Hour) // as if its node had been cut off from the store
	o.connects(participant("bob"), "s1")
	o.sends("bob", 1)
	if b, err := f.Next(t.Context()); err != nil || b.Ended != desk.EndSessionExpired || len(b.Frames) > 0 {
		t.Errorf("told %+v %v", b, err)
	}
	f.Shown(t.Context()) // and moves nothing of it
	if s, err := o.store.Thread(t.Context(), tandem.SessionAddress("default", "s1")); err != nil || s.ChatMark != 0 {
		t.Errorf("mark %d %v", s.ChatMark, err)
	}
}

// A user has at most so many sessions: one more takes the place of the one that
// was not used for the longest time, but of none that is. Seen to fail by one, and
// by ending one that somebody is connected to.
func TestSession_makesRoomForOneMore(t *testing.T) {
	limits := tandem.DefaultLimits()
	limits.Sessions = 3
	o, clock := steppingOffice(t, setup{limits: &limits})
	for i := range 3 {
		f, err := o.desk.Connect(t.Context(), desk.Connect{Principal: participant("ann"), Session: fmt.Sprint("s", i)})
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		clock.step(time.Second)
	}
	o.connects(participant("ann"), "s0")
	o.connects(participant("ann"), "s3")
	o.sends("ann", 3)
	for id, want := range map[string]tandem.ErrorKind{"s0": 0, "s1": tandem.NotFound, "s2": 0, "s3": 0} {
		if _, err := o.desk.Send(t.Context(), agentKey(), desk.Send{Session: id, Message: []byte(`{}`)}); tandem.KindOf(err) != want {
			t.Errorf("%s: %v", id, err)
		}
	}
	o.connects(participant("ann"), "s2")
	_, err := o.desk.Connect(t.Context(), desk.Connect{Principal: participant("ann"), Session: "s4"})
	if tandem.KindOf(err) != tandem.TooMany {
		t.Errorf("one more than may be used: %v", err)
	}
	o.connects(participant("ann"), "s0")
	o.connects(participant("bob"), "s4")
}

// What is kept for a user has a limit; what is too old does not count. Seen to
// fail by one, and by counting all.
func TestSend_keepsSoMuchAndNoMore(t *testing.T) {
	limits := tandem.DefaultLimits()
	limits.Inbox = 3
	o, clock := steppingOffice(t, setup{limits: &limits})
	send := func() error {
		_, err := o.desk.Send(t.Context(), agentKey(), desk.Send{User: "ann", Message: []byte(`"x"`)})
		return err
	}
	for range 3 {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(); tandem.KindOf(err) != tandem.TooMany {
		t.Errorf("the fourth: %v", err)
	}
	clock.step(desk.InboxTTL + time.Microsecond)
	if err := send(); err != nil {
		t.Error(err)
	}
}

// With a key a repeat is answered like the first and is told to nobody, also when
// the first was kept and has been moved meanwhile. Seen to fail by a key that
// leaves with what was kept.
func TestSend_onceWithAKey(t *testing.T) {
	o, clock := steppingOffice(t, setup{})
	send := func(text, key string) (int, error) {
		return o.desk.Send(t.Context(), agentKey(), desk.Send{User: "ann", Message: fmt.Appendf(nil, "%q", text), Key: key})
	}
	heads := func() [2]int64 {
		var h [2]int64
		for i, id := range []string{"s1", "s2"} {
			n, err := o.store.Head(t.Context(), tandem.SessionAddress("default", id))
			if err != nil {
				t.Fatal(err)
			}
			h[i] = n
		}
		return h
	}
	for _, want := range []int{0, 0} {
		if n, err := send("one", "k1"); n != want || err != nil {
			t.Fatal(n, err)
		}
	}
	o.connects(participant("ann"), "s1")
	if n, err := send("one", "k1"); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	for range 2 {
		if n, err := send("two", "k2"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	o.connects(participant("ann"), "s2")
	if n, err := send("two", "k2"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if h := heads(); h != [2]int64{3, 1} { // it began, one, two; it began
		t.Errorf("heads %v", h)
	}
	if _, err := send("other", "k2"); tandem.KindOf(err) != tandem.Mismatch {
		t.Errorf("another text: %v", err)
	}
	for _, in := range []desk.Send{{User: "ann", Session: "s3", Message: []byte(`"kept"`)}, {User: "ann", Message: []byte(`"told"`), Key: "k3"}} {
		if _, err := o.desk.Send(t.Context(), agentKey(), in); err != nil {
			t.Fatal(err)
		}
	}
	o.connects(participant("ann"), "s3")
	if n, err := o.store.Head(t.Context(), tandem.SessionAddress("default", "s3")); n != 2 || err != nil { // it began, what was kept
		t.Errorf("head %d %v", n, err)
	}
	clock.step(23 * time.Hour)
	if _, err := o.desk.TrimSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := send("one", "k1"); n != 0 || err != nil {
		t.Errorf("a day later: %d %v", n, err)
	}
}

// What is over goes, and what is not stays. Seen to fail by trimming at the end of
// a session, when its browser has still to be told.
func TestTrimSessions_afterNobodyIsToldAnyMore(t *testing.T) {
	o, clock := steppingOffice(t, setup{})
	back := func() error {
		f, err := o.desk.Connect(t.Context(), desk.Connect{Principal: participant("ann"), Session: "s1", Unknown: true})
		if err == nil {
			f.Close()
		}
		return err
	}
	trim := func() (n int) {
		n, err := o.desk.TrimSessions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	o.connects(participant("ann"), "s1")
	o.sends("ann", 1)
	if err := o.desk.Disconnect(t.Context(), participant("ann"), "s1"); err != nil {
		t.Fatal(err)
	}
	o.sends("carol", 0)
	clock.step(desk.SessionBuried - time.Second)
	if n, err := trim(), back(); n != 0 || tandem.KindOf(err) != tandem.Gone {
		t.Errorf("%d events went; who comes back is told %v", n, err)
	}
	clock.step(2 * time.Second)
	if n := trim(); n != 4 {
		t.Errorf("%d events went", n)
	}
	if err := back(); err != nil {
		t.Error(err)
	}
}

// A lost bell costs a late word, no more: the log tells that a session is over.
// Seen to fail by a disconnect that is only rung.
func TestSession_endsThoughNobodyRang(t *testing.T) {
	o, clock := steppingOffice(t, setup{lose: func() bool { return true }})
	f, err := o.desk.Connect(t.Context(), desk.Connect{Principal: participant("ann"), Session: "s1", Heartbeat: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := tandem.Event{Kind: tandem.KindSession, ID: "evt_1"}
	e.Body, _ = json.Marshal(tandem.SessionChange{Ended: true})
	_, err = o.store.Append(t.Context(), store.Append{ // as another node does
		Threads: []tandem.Address{tandem.SessionAddress("default", "s1")},
		Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
			return []store.Write{{Thread: on[0].Thread, Events: []tandem.Event{e}}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	clock.step(time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		b, err := f.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if b.Ended != "" {
			if b.Ended != desk.EndDisconnected {
				t.Errorf("ended by %q", b.Ended)
			}
			return
		}
	}
}
