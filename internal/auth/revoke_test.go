package auth

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A command and a server are two handles on one data folder. Fails if poll does
// not read what is new, or fresh lets more than a second pass.
func TestRevoke_byAnotherProcessHoldsWithinASecond(t *testing.T) {
	ctx := context.Background()
	server := newRig(t)
	command := server.another(t)
	token, other := server.mint(t, MintRequest{}), server.mint(t, MintRequest{})
	p := server.good(t, token)
	if err := command.RevokeToken(ctx, "default", p.ID); err != nil {
		t.Fatal(err)
	}
	command.refused(t, token, ReasonRevoked) // where it was done: at once
	server.clock.move(pollEvery - time.Microsecond)
	server.good(t, token)
	server.clock.move(time.Microsecond)
	server.refused(t, token, ReasonRevoked)
	if got := ReasonOf(server.Recheck(ctx, p)); got != ReasonRevoked {
		t.Error("its open stream:", got)
	}
	server.good(t, other)
	server.another(t).refused(t, token, ReasonRevoked) // after a restart
}

func TestRevokeSubject_takesWhatWasGivenUntilThen(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, issuerFor(t, algHS256))
	agent, _ := r.key(t, KeyRequest{Name: "ann"}) // a key of that name is not that person
	agentsTicket := func() string { return r.ticket(t, r.good(t, agent), Stream) }
	page, _ := r.key(t, KeyRequest{Role: tandem.Participant, Subject: "ann"})
	bob, elsewhere := r.mint(t, MintRequest{Subject: "bob"}), r.mint(t, MintRequest{Tenant: "acme"})
	operator := r.mint(t, MintRequest{Subject: "Ann", Role: tandem.Operator})
	before := r.mint(t, MintRequest{})
	renewed, err := r.Refresh(ctx, r.good(t, before))
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(iat any) string { return sign(t, algHS256, keys().secret, nil, body(map[string]any{"iat": iat})) }
	r.clock.move(10 * time.Second)
	if err := r.RevokeSubject(ctx, "default", "ANN"); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"token": before, "renewed token": renewed.Token.Reveal(), "key": page, "operator of that name": operator,
		"made at that moment": r.mint(t, MintRequest{}), "foreign": foreign(noon.Unix()), "foreign without iat": foreign(nil),
		"foreign, by a clock that is ahead": foreign(r.clock.read().Add(5 * time.Second).Unix()),
	} {
		t.Run(name, func(t *testing.T) { r.refused(t, token, ReasonRevoked) })
	}
	r.good(t, bob)
	r.good(t, elsewhere)
	r.good(t, agent)
	r.mustUse(t, agentsTicket(), at("ann"), "")
	r.clock.move(time.Microsecond)
	r.good(t, r.mint(t, MintRequest{})) // signed in again
	r.clock.move(time.Second)
	r.good(t, foreign(r.clock.read().Add(5*time.Second).Unix()))
}

func TestRevokeToken_staysInItsTenant(t *testing.T) {
	ctx := context.Background()
	is := issuerFor(t, algHS256)
	is.Tenant, is.Tenants = "", []string{"acme", "globex"}
	r := newRig(t, is)
	r.tenant(t, "acme", "globex")
	acme := sign(t, algHS256, keys().secret, nil, body(map[string]any{"tenant": "acme", "jti": "1"}))
	globex := sign(t, algHS256, keys().secret, nil, body(map[string]any{"tenant": "globex", "jti": "1"}))
	if err := r.RevokeToken(ctx, "acme", "1"); err != nil {
		t.Fatal(err)
	}
	r.refused(t, acme, ReasonRevoked)
	r.good(t, globex)
}

func TestRevoke_refusesWhatCannotBe(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	for _, name := range []string{"", strings.Repeat("a", tandem.MaxName+1), "a\nb", "\xff"} {
		if err := r.RevokeToken(ctx, "default", name); tandem.KindOf(err) != tandem.Invalid {
			t.Errorf("jti %q: %v", name, err)
		}
		if err := r.RevokeSubject(ctx, "default", name); tandem.KindOf(err) != tandem.Invalid {
			t.Errorf("subject %q: %v", name, err)
		}
	}
	if err := r.RevokeToken(ctx, "nobody", "x"); tandem.KindOf(err) != tandem.NotFound {
		t.Error(err)
	}
	if err := r.RevokeKey(ctx, "", "key_x"); tandem.KindOf(err) != tandem.NotFound {
		t.Error(err)
	}
}

// No credential may outlive the memory of its revocation: at the last moment at
// which the longest-lived token could be good, the revocation is still there.
func TestRevoke_isKeptAsLongAsItMatters(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, issuerFor(t, algHS256))
	own := r.mint(t, MintRequest{TTL: MaxAge})
	foreign := sign(t, algHS256, keys().secret, nil, body(map[string]any{"exp": noon.Add(10 * MaxAge).Unix(), "jti": "j2"}))
	for _, p := range []tandem.Principal{r.good(t, own), r.good(t, foreign)} {
		if err := r.RevokeToken(ctx, "default", p.ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		after time.Duration
		want  Reason
	}{
		{MaxAge + 5*time.Second - time.Microsecond, ReasonRevoked},
		{MaxAge + 5*time.Second, ReasonExpired},
		{2 * MaxAge, ReasonExpired},
	} {
		r.clock.set(noon.Add(step.after))
		r.trim(ctx, r.clock.read())
		for _, where := range []*rig{r, r.another(t, issuerFor(t, algHS256))} {
			where.refused(t, own, step.want)
			where.refused(t, foreign, step.want)
		}
	}
	if list, err := r.store.Revocations(ctx, 0); len(list) != 0 || err != nil || len(r.revoked) != 0 {
		t.Error("what cannot matter must go:", list, r.revoked, err)
	}
}

// streams stands for whoever holds open streams.
type streams struct {
	mu    sync.Mutex // guards what follows
	open  map[string]tandem.Principal
	ended map[string]string // id to reason
	told  chan struct{}
}

func (s *streams) tell(match func(tandem.Principal) bool, reason string) {
	s.mu.Lock()
	for id, p := range s.open {
		if match(p) {
			delete(s.open, id)
			s.ended[id] = reason
		}
	}
	s.mu.Unlock()
	s.told <- struct{}{}
}

// Everything that takes something back, here or by a command, ends exactly the
// streams that it must. Fails if since or Run misses one, or tells twice.
func TestRun_endsTheStreamsOfWhatWasTakenBack(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r := newRig(t, issuerFor(t, algHS256))
	command := r.another(t)
	revokedBefore := r.good(t, r.mint(t, MintRequest{Subject: "zoe"}))
	if err := command.RevokeToken(ctx, "default", revokedBefore.ID); err != nil {
		t.Fatal(err)
	}
	s := &streams{open: map[string]tandem.Principal{}, ended: map[string]string{}, told: make(chan struct{}, 16)}
	secret, k := r.key(t, KeyRequest{})
	for name, p := range map[string]tandem.Principal{
		"zoe": revokedBefore, "ann": r.good(t, r.mint(t, MintRequest{})), "bob": r.good(t, r.mint(t, MintRequest{Subject: "bob"})), "key": r.good(t, secret),
		"ann of acme": r.good(t, r.mint(t, MintRequest{Tenant: "acme"})),
		"key's":       r.mustUse(t, r.ticket(t, r.good(t, secret), Stream), at("ann"), ""),
		"foreign":     r.good(t, sign(t, algHS256, keys().secret, nil, body(map[string]any{"sub": "cid"}))),
	} {
		s.open[name] = p
	}
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx, s.tell) }()
	defer func() { cancel(); <-done }()

	ends := func(reason string, names ...string) {
		t.Helper()
		select {
		case <-s.told:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was told")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, n := range names {
			if s.ended[n] != reason {
				t.Errorf("%s: ended by %q, want %q", n, s.ended[n], reason)
			}
			delete(s.ended, n)
		}
		for n := range s.ended {
			t.Errorf("%s ended too", n)
		}
	}
	ends("revoked", "zoe") // revoked between its sign-in and the start
	if err := command.RevokeSubject(ctx, "default", "ann"); err != nil {
		t.Fatal(err)
	}
	ends("revoked", "ann") // Run polls: nobody tells it
	if err := r.RevokeKey(ctx, "", k.ID); err != nil {
		t.Fatal(err)
	}
	ends("revoked", "key", "key's")
	if err := r.SetIssuers(nil); err != nil {
		t.Fatal(err)
	}
	ends("access", "foreign")
	if _, err := command.RotateSecret(ctx, time.Hour); err != nil { // ends nothing, tells nothing
		t.Fatal(err)
	}
	if _, err := command.RotateSecret(ctx, 0); err != nil {
		t.Fatal(err)
	}
	ends("revoked", "bob", "ann of acme")
}

// A database from a backup has an earlier revision. Fails if poll only ever
// looks for later ones.
func TestPoll_followsADatabaseThatWentBack(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	for range 3 {
		if err := r.RevokeToken(ctx, "default", "x"); err != nil {
			t.Fatal(err)
		}
	}
	older := newRig(t)
	token := older.mint(t, MintRequest{})
	if err := older.RevokeToken(ctx, "default", older.good(t, token).ID); err != nil {
		t.Fatal(err)
	}
	r.opt.Store = older.store
	r.clock.move(pollEvery)
	r.refused(t, token, ReasonRevoked)
	if found, seen := r.since(3); len(found) != 1 || seen != 1 {
		t.Errorf("told would be %v, revision %d", found, seen)
	}
}

func TestSince_tellsOnlyWhatIsNew(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	for i, jti := range []string{"a", "b", "c"} {
		if err := r.RevokeToken(ctx, "default", jti); err != nil {
			t.Fatal(err)
		}
		found, seen := r.since(int64(i))
		if _, is := found[revocationKey{"jti", "default", jti}]; len(found) != 1 || !is || seen != int64(i+1) {
			t.Errorf("after %q: %v, revision %d", jti, found, seen)
		}
	}
	if found, seen := r.since(3); found != nil || seen != 3 {
		t.Errorf("nothing is new: %v, %d", found, seen)
	}
}

func TestRun_survivesAStoreThatFails(t *testing.T) {
	r := newRig(t)
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx, func(func(tandem.Principal) bool, string) {}) }()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(r.log.String(), "cannot read what was revoked"); {
		if time.Now().After(deadline) {
			t.Fatal("it does not say so")
		}
		r.ring()
	}
	for range 100 {
		r.ring()
	}
	cancel()
	<-done
	if n := strings.Count(r.log.String(), "cannot read what was revoked"); n != 1 {
		t.Errorf("it says so %d times", n)
	}
}
