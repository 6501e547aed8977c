package store

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
)

// begin is an append that makes a session of its thread with one event.
func begin(s Session) Append {
	id := tandem.NewID("evt_", time.Now())
	return Append{Threads: []tandem.Address{s.Address}, Decide: func(_ time.Time, on []State) ([]Write, error) {
		e := tandem.Event{Kind: tandem.KindSession, ID: id, Body: []byte(`{}`)}
		return []Write{{Thread: on[0].Thread, Events: []tandem.Event{e}, Session: &s}}, nil
	}}
}

func aSession(tenant, id string) Session {
	return Session{Address: tandem.SessionAddress(tenant, id), User: "ann", Created: noon, Expires: noon.Add(time.Hour)}
}

// A decision sees the session as the batch will leave it, not as it is on disk.
// Seen to fail by writing the row without putting it into the batch's rows.
func TestSession_isSeenByTheNextDecision(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	want := aSession("default", "s1")
	want.Ahead, want.Fixed, want.Capability, want.Floor, want.Buried, want.Ended = true, true, true, 3, 2, noon.Add(time.Minute)
	var saw []*Session
	look := begin(want)
	look.Decide = func(_ time.Time, on []State) ([]Write, error) {
		saw = append(saw, on[0].Session)
		return []Write{{Thread: on[0].Thread}}, nil
	}
	if _, errs := together(t, s, []Append{look, begin(want), look}); errs[0] != nil || errs[1] != nil || errs[2] != nil {
		t.Fatal(errs)
	}
	if saw[0] != nil || cmp.Diff(&want, saw[1]) != "" {
		t.Errorf("saw %+v, then %+v", saw[0], saw[1])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	res := mustAppend(t, s, look)
	if d := cmp.Diff([]*Session{&want, &want}, []*Session{saw[2], res.Sessions[0]}); d != "" {
		t.Error(d)
	}
	for _, find := range []func() (*Session, error){
		func() (*Session, error) { return s.Session(t.Context(), want.Address) },
		func() (*Session, error) { return s.Capability(t.Context(), "s1") },
	} {
		if got, err := find(); err != nil || cmp.Diff(&want, got) != "" {
			t.Errorf("%v %v", got, err)
		}
	}
	if got, err := s.Session(t.Context(), tandem.SessionAddress("default", "S1")); got != nil || err != nil {
		t.Errorf("in another letter case: %v %v", got, err)
	}
}

// Two tenants that choose the same credential in the same moment: one gets it,
// and the other's refusal is nobody else's. Seen to fail by leaving out the index.
func TestSession_aCapabilityIsOneTenantsOnly(t *testing.T) {
	s := open(t, Options{})
	if err := s.EnsureTenant(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	first, second, plain := aSession("default", "pay-1"), aSession("other", "pay-1"), aSession("other", "pay-2")
	first.Capability, second.Capability = true, true
	_, errs := together(t, s, []Append{begin(first), begin(second), begin(plain)})
	if errs[0] != nil || tandem.KindOf(errs[1]) != tandem.Conflict || errs[1] == nil || errs[2] != nil {
		t.Error(errs)
	}
	if got, err := s.Capability(t.Context(), "pay-1"); err != nil || got.Address.Tenant != "default" {
		t.Error(got, err)
	}
	if got, err := s.Capability(t.Context(), "pay-2"); err != nil || got != nil {
		t.Error("an ordinary id is a credential", got, err)
	}
}

func TestSessionsOf_areTheUsersThatLive(t *testing.T) {
	clock := &stopped{noon.Add(-20 * time.Minute)}
	s := open(t, Options{Clock: clock.clock})
	if err := s.EnsureTenant(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	inbox := tandem.InboxAddress("default", "Ann")
	for range 2 {
		mustAppend(t, s, say(inbox, "", `{}`))
		clock.now = clock.now.Add(15 * time.Minute)
	}
	later, ended, expired, theirs := aSession("default", "s1"), aSession("default", "s3"), aSession("default", "s4"), aSession("default", "s5")
	later.Expires, ended.Ended, expired.Expires, theirs.User = noon.Add(2*time.Hour), noon, noon, "bob"
	for _, one := range []Session{later, aSession("default", "s2"), ended, expired, theirs, aSession("other", "s6")} {
		mustAppend(t, s, begin(one))
	}
	u, err := s.SessionsOf(t.Context(), "default", "ann", noon, noon.Add(-10*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Session{aSession("default", "s2"), later}, u.Live); d != "" {
		t.Error(d)
	}
	if u.Inbox.Address != inbox || u.Inbox.Head != 2 || u.Stale != 1 {
		t.Errorf("inbox %+v, stale %d", u.Inbox, u.Stale)
	}
	if kept, err := s.Kept(t.Context(), u.Inbox, u.Stale); err != nil || len(kept) != 1 || kept[0].Seq != 2 {
		t.Error(kept, err)
	}
}

// Seen to fail by leaving a thread behind, and by taking the one that lives.
func TestTrimSessions_takesWhatIsOverWithAllOfItsThread(t *testing.T) {
	clock := &stopped{noon}
	s := open(t, Options{Clock: clock.clock})
	lives, ended, expired := aSession("default", "s1"), aSession("default", "s2"), aSession("default", "s3")
	lives.Expires, ended.Expires, ended.Ended = noon.Add(48*time.Hour), noon.Add(48*time.Hour), noon.Add(time.Minute)
	for _, one := range []Session{lives, ended, expired} {
		mustAppend(t, s, begin(one))
	}
	idle, busy, person := tandem.InboxAddress("default", "ann"), tandem.InboxAddress("default", "bob"), address(t, "ann")
	for _, a := range []tandem.Address{idle, busy, person} {
		mustAppend(t, s, say(a, "", `{}`))
	}
	clock.now = noon.Add(20 * time.Hour)
	mustAppend(t, s, say(busy, "", `{}`))
	ctx := context.Background()
	if n, err := s.TrimSessions(ctx, noon); n != 0 || err != nil {
		t.Fatalf("too early: %d %v", n, err)
	}
	if n, err := s.TrimSessions(ctx, noon.Add(2*time.Hour)); n != 4 || err != nil {
		t.Fatalf("%d events went, %v", n, err)
	}
	for a, want := range map[tandem.Address]int64{lives.Address: 1, ended.Address: 0, expired.Address: 0, idle: 0, busy: 2, person: 1} {
		if th, err := s.Thread(ctx, a); err != nil || th.Head != want {
			t.Errorf("%v: head %d, want %d (%v)", a, th.Head, want, err)
		}
	}
	for one, want := range map[*Session]bool{&lives: true, &ended: false, &expired: false} {
		if got, err := s.Session(ctx, one.Address); err != nil || (got != nil) != want {
			t.Errorf("%v %v", got, err)
		}
	}
	if p, err := s.Read(ctx, busy, busy.Start(), 10); err != nil || len(p.Events) != 1 || p.Gap == nil {
		t.Errorf("of the busy inbox %+v %v", p, err)
	}
	var left int
	if err := s.readers.QueryRow(`select count(*) from event`).Scan(&left); err != nil || left != 3 {
		t.Errorf("%d events are left, want 3 (%v)", left, err)
	}
	mustAppend(t, s, begin(expired)) // a new thread of the same id begins anew
	if th, err := s.Thread(ctx, expired.Address); err != nil || th.Head != 1 {
		t.Error(th, err)
	}
}
