package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
)

const eventsRoute = "GET /api/user/sse/events"

// at is a stream of a participant of the bearer's tenant.
func at(participant string) Use {
	return Use{Purpose: Stream, Route: eventsRoute, Address: func(p tandem.Principal) (tandem.Address, error) {
		return tandem.NewAddress(p.Tenant, "support", participant)
	}}
}

func (r *rig) ticket(t testing.TB, p tandem.Principal, purpose Purpose) string {
	t.Helper()
	s, _, err := r.NewTicket(context.Background(), p, purpose)
	if err != nil {
		t.Fatal(err)
	}
	return s.Reveal()
}

func (r *rig) use(ticket string, use Use) (tandem.Principal, error) {
	return r.Authenticate(context.Background(), Present(ticket, true), use)
}

// mustUse uses a ticket; empty is good.
func (r *rig) mustUse(t testing.TB, ticket string, use Use, want Reason) tandem.Principal {
	t.Helper()
	p, err := r.use(ticket, use)
	if want == "" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		return p
	}
	checkRefusal(t, p, err, want)
	return p
}

func TestTicket_standsForItsParent(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, issuerFor(t, algES256))
	agent, _ := r.key(t, KeyRequest{Name: "orders", Workflow: "support", Rate: tandem.Rate{N: 3, Per: time.Second}})
	for name, credential := range map[string]string{
		"own token":     r.mint(t, MintRequest{Subject: "Ann", Workflow: "support", Session: "S-1", Name: "Ann", Email: "a@b.example"}),
		"foreign token": sign(t, algES256, keys().ec, nil, body(map[string]any{"n": 9007199254740993})),
		"key":           agent,
	} {
		t.Run(name, func(t *testing.T) {
			parent := r.good(t, credential)
			secret, until, err := r.NewTicket(ctx, parent, Stream)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(secret.Reveal(), "tk-") || len(secret.Reveal()) != 46 || !until.Equal(noon.Add(time.Minute)) {
				t.Errorf("a ticket of %d characters until %v", len(secret.Reveal()), until)
			}
			p := r.mustUse(t, secret.Reveal(), at("ann"), "")
			if p.Kind != tandem.CredentialTicket || p.Parent != parent.ID || p.ID == parent.ID || p.ID == "" {
				t.Errorf("kind %s, id %q, parent %q of %q", p.Kind, p.ID, p.Parent, parent.ID)
			}
			p.Kind, p.ID, p.Parent = parent.Kind, parent.ID, ""
			if d := cmp.Diff(parent, p); d != "" {
				t.Error(d)
			}
		})
	}
}

// The rules of tickets, each as: where and when it was first used, and where and
// when it is used again.
func TestTicket_isGoodWhereAndWhenItMay(t *testing.T) {
	other := at("ann")
	other.Route = "GET /api/conversation/{id}/stream"
	board := Use{Purpose: Stream, Route: eventsRoute}
	socket, request := Use{Purpose: Socket, Route: "GET /ws"}, Use{Purpose: Request, Route: eventsRoute}
	const life = time.Hour
	r := newRig(t)
	for name, c := range map[string]struct {
		purpose     Purpose
		first       Use
		after       time.Duration // from making it to its first use
		want        Reason
		second      Use
		then        time.Duration // from making it to its second use
		wantsSecond Reason
	}{
		"a stream again at once":             {Stream, at("ann"), 0, "", at("ann"), 0, ""},
		"a stream again much later":          {Stream, at("ann"), time.Second, "", at("ANN"), life - time.Second, ""},
		"a stream until its parent's end":    {Stream, at("ann"), 0, "", at("ann"), life + 5*time.Second - time.Microsecond, ""},
		"a stream past its parent's end":     {Stream, at("ann"), 0, "", at("ann"), life + 5*time.Second, ReasonExpired},
		"first used in the last moment":      {Stream, at("ann"), time.Minute, "", at("ann"), 2 * time.Minute, ""},
		"first used too late":                {Stream, at("ann"), time.Minute + time.Microsecond, ReasonTicket, at("ann"), 2 * time.Minute, ReasonTicket},
		"another participant":                {Stream, at("ann"), 0, "", at("bob"), 0, ReasonTicket},
		"another route":                      {Stream, at("ann"), 0, "", other, 0, ReasonTicket},
		"no thread instead of one":           {Stream, at("ann"), 0, "", board, 0, ReasonTicket},
		"one thread instead of none":         {Stream, board, 0, "", at("ann"), 0, ReasonTicket},
		"no thread again":                    {Stream, board, 0, "", board, 0, ""},
		"a stream's on a socket":             {Stream, socket, 0, ReasonTicket, at("ann"), 0, ""},
		"a stream's on a request":            {Stream, request, 0, ReasonTicket, at("ann"), 0, ""},
		"a socket once":                      {Socket, socket, 0, "", socket, 0, ReasonTicket},
		"a socket's on a stream":             {Socket, at("ann"), 0, ReasonTicket, socket, 0, ""},
		"a socket in the last moment":        {Socket, socket, time.Minute, "", socket, time.Minute, ReasonTicket},
		"a socket too late":                  {Socket, socket, time.Minute + time.Microsecond, ReasonTicket, socket, time.Minute, ReasonTicket},
		"nowhere to be, it is not used up":   {Stream, Use{Purpose: "other"}, 0, ReasonTicket, at("ann"), 0, ""},
		"elsewhere, it stays where it is":    {Stream, at("ann"), 0, "", at("ann"), time.Minute, ""},
		"without a purpose it is of no use ": {Stream, Use{}, 0, ReasonTicket, at("ann"), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.clock.set(noon)
			ticket := r.ticket(t, r.good(t, r.mint(t, MintRequest{TTL: life})), c.purpose)
			r.clock.set(noon.Add(c.after))
			r.mustUse(t, ticket, c.first, c.want)
			if c.then > c.after {
				r.clock.set(noon.Add(c.then))
			}
			r.mustUse(t, ticket, c.second, c.wantsSecond)
		})
	}
}

func TestTicket_survivesARestart(t *testing.T) {
	r := newRig(t)
	ticket := r.ticket(t, r.good(t, r.mint(t, MintRequest{})), Stream)
	first := r.mustUse(t, ticket, at("ann"), "")
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	again := r.another(t)
	if p := again.mustUse(t, ticket, at("ann"), ""); p.ID != first.ID {
		t.Error("another id:", p.ID)
	}
	again.mustUse(t, ticket, at("bob"), ReasonTicket)
}

// A ticket's thread is of its own tenant whatever the URL says, and its two
// tenants' threads of one name are two.
func TestTicket_isBoundWithItsTenant(t *testing.T) {
	r := newRig(t)
	ticket := r.ticket(t, r.good(t, r.mint(t, MintRequest{Tenant: "acme"})), Stream)
	p := r.mustUse(t, ticket, at("ann"), "")
	if p.Tenant != "acme" {
		t.Error(p.Tenant)
	}
	elsewhere := Use{Purpose: Stream, Route: eventsRoute, Address: func(tandem.Principal) (tandem.Address, error) {
		return tandem.NewAddress("default", "support", "ann")
	}}
	r.mustUse(t, ticket, elsewhere, ReasonTicket)
}

// A request that is wrong in another way does not use the ticket up.
func TestTicket_isNotUsedUpByABadRequest(t *testing.T) {
	r := newRig(t)
	ticket := r.ticket(t, r.good(t, r.mint(t, MintRequest{})), Stream)
	bad := at("")
	want := tandem.Errorf(tandem.Invalid, "workflow and participantId are required")
	bad.Address = func(tandem.Principal) (tandem.Address, error) { return tandem.Address{}, want }
	if _, err := r.use(ticket, bad); !errors.Is(err, want) {
		t.Error(err)
	}
	r.mustUse(t, ticket, at("ann"), "")
}

// Fails if two first uses can both win: in two processes, a socket's ticket
// opens one socket, and a stream's is bound to one thread.
func TestTicket_firstUseIsOne(t *testing.T) {
	rigs := []*rig{newRig(t)}
	rigs = append(rigs, rigs[0].another(t))
	parent := rigs[0].good(t, rigs[0].mint(t, MintRequest{}))
	for _, purpose := range []Purpose{Socket, Stream} {
		ticket := rigs[0].ticket(t, parent, purpose)
		var good atomic.Int32
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				use := at("p" + string(rune('a'+i)))
				use.Purpose = purpose
				_, err := rigs[i%2].use(ticket, use)
				switch {
				case err == nil:
					good.Add(1)
				case ReasonOf(err) != ReasonTicket:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := good.Load(); n != 1 {
			t.Errorf("%s: %d uses of 16 were good", purpose, n)
		}
	}
}

// The same place from two tabs at once: both are good (the second closes the
// first; that is the stream's business).
func TestTicket_reconnectWhileTheOldStreamLooksOpen(t *testing.T) {
	r := newRig(t)
	ticket := r.ticket(t, r.good(t, r.mint(t, MintRequest{})), Stream)
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			p, err := r.use(ticket, at("ann"))
			if err != nil {
				t.Error(err)
			}
			ids[i] = p.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Error("streams of one ticket must have one id:", ids)
		}
	}
}

func TestTicket_endsWithWhatItWasMadeFrom(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		make func(*testing.T, *rig) string
		end  func(*rig, tandem.Principal) error
		want Reason
	}{
		"its token is revoked": {
			func(t *testing.T, r *rig) string { return r.mint(t, MintRequest{}) },
			func(r *rig, p tandem.Principal) error { return r.RevokeToken(ctx, "default", p.ID) }, ReasonRevoked,
		},
		"its subject is revoked": {
			func(t *testing.T, r *rig) string { return r.mint(t, MintRequest{}) },
			func(r *rig, _ tandem.Principal) error { return r.RevokeSubject(ctx, "default", "Ann") }, ReasonRevoked,
		},
		"its key is revoked": {
			func(t *testing.T, r *rig) string { s, _ := r.key(t, KeyRequest{}); return s },
			func(r *rig, p tandem.Principal) error { return r.RevokeKey(ctx, "default", p.ID) }, ReasonRevoked,
		},
		"its key's subject is revoked": {
			func(t *testing.T, r *rig) string {
				s, _ := r.key(t, KeyRequest{Role: tandem.Participant, Subject: "ann"})
				return s
			},
			func(r *rig, _ tandem.Principal) error { return r.RevokeSubject(ctx, "default", "ann") }, ReasonRevoked,
		},
		"the secret is given up": {
			func(t *testing.T, r *rig) string { return r.mint(t, MintRequest{}) },
			func(r *rig, _ tandem.Principal) error { _, err := r.RotateSecret(ctx, 0); return err }, ReasonRevoked,
		},
		"its issuer is gone": {
			func(t *testing.T, _ *rig) string { return sign(t, algHS256, keys().secret, nil, body(nil)) },
			func(r *rig, _ tandem.Principal) error { return r.SetIssuers(nil) }, ReasonIssuer,
		},
		"its key ends": {
			func(t *testing.T, r *rig) string { s, _ := r.key(t, KeyRequest{TTL: time.Minute}); return s },
			func(r *rig, _ tandem.Principal) error { r.clock.move(2 * time.Minute); return nil }, ReasonExpired,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, issuerFor(t, algHS256))
			parent := r.good(t, c.make(t, r))
			used, fresh := r.ticket(t, parent, Stream), r.ticket(t, parent, Socket)
			open := r.mustUse(t, used, at("ann"), "")
			if err := c.end(r, parent); err != nil {
				t.Fatal(err)
			}
			r.mustUse(t, used, at("ann"), c.want)
			r.mustUse(t, fresh, Use{Purpose: Socket}, c.want)
			if got := ReasonOf(r.Recheck(ctx, open)); got != c.want {
				t.Errorf("its open stream: %q, want %q", got, c.want)
			}
		})
	}
}

// The key's own row says that it was revoked: nothing to wait for.
func TestTicket_ofAKeyThatAnotherProcessRevokedIsBadAtOnce(t *testing.T) {
	r := newRig(t)
	secret, k := r.key(t, KeyRequest{})
	ticket := r.ticket(t, r.good(t, secret), Stream)
	r.mustUse(t, ticket, at("ann"), "")
	if err := r.another(t).RevokeKey(context.Background(), "", k.ID); err != nil {
		t.Fatal(err)
	}
	r.mustUse(t, ticket, at("ann"), ReasonRevoked)
}

// A secret that was given up stays given up for tickets, when the note that
// ended the open streams is long gone. Fails if only that note is looked at.
func TestTicket_ofAGivenUpSecretStaysBad(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	ticket := r.ticket(t, r.good(t, r.mint(t, MintRequest{TTL: 48 * time.Hour})), Stream)
	r.mustUse(t, ticket, at("ann"), "")
	if _, err := r.RotateSecret(ctx, 0); err != nil {
		t.Fatal(err)
	}
	r.clock.move(24 * time.Hour)
	if err := r.store.TrimCredentials(ctx, r.clock.read(), noon); err != nil {
		t.Fatal(err)
	}
	r.another(t).mustUse(t, ticket, at("ann"), ReasonRevoked)
}

func TestNewTicket_refusesWhatCannotBe(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	parent := r.good(t, r.mint(t, MintRequest{TTL: 10 * time.Second}))
	for _, purpose := range []Purpose{"", Request, "Stream", "x"} {
		if _, _, err := r.NewTicket(ctx, parent, purpose); tandem.KindOf(err) != tandem.Invalid {
			t.Errorf("for %q: %v", purpose, err)
		}
	}
	s, until, err := r.NewTicket(ctx, parent, Stream)
	if err != nil || !until.Equal(noon.Add(10*time.Second)) {
		t.Errorf("until %v, %v: not longer than what it is made from", until, err)
	}
	p := r.mustUse(t, s.Reveal(), at("ann"), "")
	for _, p := range []tandem.Principal{p, {Kind: tandem.CredentialSystem, Tenant: "default"}, {}} {
		if s, _, err := r.NewTicket(ctx, p, Stream); tandem.KindOf(err) != tandem.Forbidden || s != "" {
			t.Errorf("of a %q: %v", p.Kind, err)
		}
	}
}
