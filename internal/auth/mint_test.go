package auth

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
)

func TestMint_everyRoleComesBack(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	ids := map[string]bool{}
	for _, role := range []tandem.PrincipalRole{tandem.Participant, tandem.Agent, tandem.Operator, tandem.Supervisor, tandem.Owner} {
		tok, err := r.Mint(ctx, MintRequest{Tenant: "acme", Subject: "Maya", Role: role, Workflow: "acme:support", Session: "S-1", Name: "Maya K", Email: "m@k.example", TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		p := r.good(t, tok.Token.Reveal())
		if !strings.HasPrefix(p.Signer, ownPrefix) || p.Claims["iss"] != "https://chat.example" {
			t.Errorf("signed by %q, iss %v", p.Signer, p.Claims["iss"])
		}
		p.Claims, p.Signer = nil, ""
		want := tandem.Principal{
			Tenant: "acme", Subject: "Maya", Role: role, Workflow: "support", Session: "S-1", Name: "Maya K", Email: "m@k.example",
			Kind: tandem.CredentialJWT, ID: tok.ID, Issued: noon, Expires: noon.Add(time.Minute),
		}
		if role == tandem.Participant {
			want.Subject = "maya"
		}
		if d := cmp.Diff(want, p); d != "" {
			t.Error(d)
		}
		ids[tok.ID] = true
	}
	if len(ids) != 5 {
		t.Error("each token must have its own jti:", ids)
	}
}

func TestMint_defaults(t *testing.T) {
	r := newRig(t)
	tok, err := r.Mint(context.Background(), MintRequest{Subject: "ann", Role: tandem.Participant})
	if err != nil {
		t.Fatal(err)
	}
	if p := r.good(t, tok.Token.Reveal()); p.Tenant != "default" || !tok.Expires.Equal(noon.Add(12*time.Hour)) {
		t.Error(p.Tenant, tok.Expires)
	}
}

// At the limit and one past it; nothing is made on the way.
func TestMint_refusesWhatCannotBe(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	ok := MintRequest{Tenant: "acme", Subject: "ann", Role: tandem.Participant}
	for name, change := range map[string]func(*MintRequest){
		"no subject":        func(m *MintRequest) { m.Subject = "" },
		"long subject":      func(m *MintRequest) { m.Subject = strings.Repeat("a", tandem.MaxName+1) },
		"subject not UTF-8": func(m *MintRequest) { m.Subject = "\xff" },
		"subject with a CR": func(m *MintRequest) { m.Subject = "a\rb" },
		"no role":           func(m *MintRequest) { m.Role = "" },
		"unknown role":      func(m *MintRequest) { m.Role = "admin" },
		"bad tenant":        func(m *MintRequest) { m.Tenant = "ACME" },
		"reserved workflow": func(m *MintRequest) { m.Workflow = "$sessions" },
		"hidden reserved":   func(m *MintRequest) { m.Workflow = "acme:$sessions" },
		"session with a LF": func(m *MintRequest) { m.Session = "a\nb" },
		"name with a NUL":   func(m *MintRequest) { m.Name = "a\x00b" },
		"email not UTF-8":   func(m *MintRequest) { m.Email = "\xff" },
		"negative":          func(m *MintRequest) { m.TTL = -time.Second },
		"too short":         func(m *MintRequest) { m.TTL = time.Second - 1 },
		"too long":          func(m *MintRequest) { m.TTL = MaxAge + 1 },
	} {
		req := ok
		change(&req)
		if tok, err := r.Mint(ctx, req); tandem.KindOf(err) != tandem.Invalid || tok.Token != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if has, err := r.store.HasTenant(ctx, "acme"); has || err != nil {
		t.Error("a refused request made a tenant", err)
	}
	for _, ttl := range []time.Duration{time.Second, MaxAge} {
		req := ok
		req.TTL = ttl
		tok, err := r.Mint(ctx, req)
		if err != nil {
			t.Fatal(ttl, err)
		}
		if p := r.good(t, tok.Token.Reveal()); !p.Expires.Equal(noon.Add(ttl)) {
			t.Error(ttl, p.Expires)
		}
	}
}

// A command makes a token and a tenant; the running server accepts it at once.
func TestMint_byAnotherProcessIsGoodAtOnce(t *testing.T) {
	server := newRig(t)
	server.good(t, server.mint(t, MintRequest{})) // it remembers a secret and a tenant by now
	command := server.another(t)
	command.opt.PublicURL = "http://localhost:8080" // commands may not know the public URL
	if p := server.good(t, command.mint(t, MintRequest{Tenant: "new"})); p.Tenant != "new" {
		t.Error(p.Tenant)
	}
	command.good(t, server.mint(t, MintRequest{}))
}

func TestRefresh_givesTheSameWithANewLife(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	old := r.good(t, r.mint(t, MintRequest{Subject: "maya", Role: tandem.Operator, Workflow: "support", Name: "Maya", TTL: 10 * time.Minute}))
	r.clock.move(9 * time.Minute)
	tok, err := r.Refresh(ctx, old)
	if err != nil {
		t.Fatal(err)
	}
	p := r.good(t, tok.Token.Reveal())
	if want := noon.Add(19 * time.Minute); !p.Expires.Equal(want) || !tok.Expires.Equal(want) {
		t.Errorf("ends at %v, want %v: it lives as long as the old one did", p.Expires, want)
	}
	if p.ID == old.ID || p.ID != tok.ID {
		t.Errorf("jti %q, the old one's was %q", p.ID, old.ID)
	}
	if !p.Issued.Equal(noon) {
		t.Errorf("its bearer came at %v, not %v", p.Issued, noon)
	}
	p.ID, p.Expires, p.Claims, old.Claims = old.ID, old.Expires, nil, nil
	if d := cmp.Diff(old, p); d != "" {
		t.Error(d)
	}
}

func TestRefresh_refusesWhatIsNotAnOwnGoodToken(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, issuerFor(t, algHS256))
	secret, _ := r.key(t, KeyRequest{})
	byKey := r.good(t, secret)
	foreign := r.good(t, sign(t, algHS256, keys().secret, nil, body(nil)))
	own := r.good(t, r.mint(t, MintRequest{TTL: time.Hour}))
	ticket, _, err := r.NewTicket(ctx, own, Stream)
	if err != nil {
		t.Fatal(err)
	}
	byTicket, err := r.Authenticate(ctx, Present(ticket.Reveal(), true), Use{Purpose: Stream})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []tandem.Principal{byKey, foreign, byTicket, {}} {
		if _, err := r.Refresh(ctx, p); tandem.KindOf(err) != tandem.Forbidden {
			t.Errorf("%s: %v", p.Kind, err)
		}
	}
	r.clock.move(time.Hour + 5*time.Second - time.Microsecond)
	if _, err := r.Refresh(ctx, own); err != nil {
		t.Error("within the leeway:", err)
	}
	r.clock.move(time.Microsecond)
	_, err = r.Refresh(ctx, own)
	checkRefusal(t, tandem.Principal{}, err, ReasonExpired)
	own = r.good(t, r.mint(t, MintRequest{}))
	if err := r.RevokeToken(ctx, "default", own.ID); err != nil {
		t.Fatal(err)
	}
	_, err = r.Refresh(ctx, own)
	checkRefusal(t, tandem.Principal{}, err, ReasonRevoked)
}

// However often it is renewed, a token ends MaxAge after its bearer came.
func TestRefresh_endsAtMaxAge(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	const ttl = 100 * 24 * time.Hour
	token := r.mint(t, MintRequest{TTL: ttl})
	for i := 1; i <= 3; i++ {
		r.clock.move(ttl - time.Hour)
		tok, err := r.Refresh(ctx, r.good(t, token))
		if err != nil {
			t.Fatal(err)
		}
		token = tok.Token.Reveal()
	}
	r.clock.set(noon.Add(MaxAge - 3*time.Hour - time.Second))
	tok, err := r.Refresh(ctx, r.good(t, token))
	if err != nil {
		t.Fatal(err)
	}
	if !tok.Expires.Equal(noon.Add(MaxAge)) {
		t.Errorf("ends at %v, %v after its bearer came", tok.Expires, tok.Expires.Sub(noon))
	}
	last := r.good(t, tok.Token.Reveal())
	r.clock.set(noon.Add(MaxAge))
	if _, err := r.Refresh(ctx, last); ReasonOf(err) != ReasonExpired {
		t.Error("at MaxAge:", err)
	}
}

// Renewing must not be a way past a revocation of the subject, however the two
// meet: the new token remembers when its bearer came. Fails without auth_time.
func TestRefresh_isCaughtByARevocationThatWasUnderWay(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	p := r.good(t, r.mint(t, MintRequest{Subject: "ann"}))
	revokedAt := r.clock.read().Add(time.Second) // the revocation has taken its time ...
	r.clock.move(2 * time.Second)
	tok, err := r.Refresh(ctx, p) // ... the token is renewed after that ...
	if err != nil {
		t.Fatal(err)
	}
	r.clock.set(revokedAt) // ... and then the revocation commits
	if err := r.RevokeSubject(ctx, "default", "ann"); err != nil {
		t.Fatal(err)
	}
	r.clock.set(noon.Add(3 * time.Second))
	r.refused(t, tok.Token.Reveal(), ReasonRevoked)
}

func TestRotateSecret_keepsOrEndsWhatItSigned(t *testing.T) {
	ctx := context.Background()
	server := newRig(t)
	command := server.another(t)
	first := server.mint(t, MintRequest{TTL: 48 * time.Hour})
	server.good(t, first)

	kid, err := command.RotateSecret(ctx, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	server.good(t, first)
	server.clock.move(pollEvery) // by now the server knows
	server.good(t, first)        // and has looked at the old one again
	second := server.mint(t, MintRequest{TTL: 48 * time.Hour})
	if got := kidOf(t, second); got != kid {
		t.Errorf("signed by %s, want the new secret %s", got, kid)
	}
	server.good(t, first)
	command.good(t, second)
	server.clock.set(noon.Add(24*time.Hour + 5*time.Second))
	server.refused(t, first, ReasonSignature)
	server.good(t, second)

	if _, err := command.RotateSecret(ctx, 0); err != nil {
		t.Fatal(err)
	}
	command.refused(t, second, ReasonSignature)
	server.clock.move(pollEvery)
	server.refused(t, second, ReasonSignature)
	server.good(t, server.mint(t, MintRequest{}))
	if _, err := server.RotateSecret(ctx, -1); tandem.KindOf(err) != tandem.Invalid {
		t.Error(err)
	}
}

// A secret that was read just before it was given up must not be remembered
// after that was noticed.
func TestRotateSecret_aLateReaderDoesNotBringItBack(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	token := r.mint(t, MintRequest{})
	read, err := r.store.SigningKey(ctx) // a reader has read ...
	if err != nil {
		t.Fatal(err)
	}
	before := r.rev
	if _, err := r.RotateSecret(ctx, 0); err != nil { // ... it is given up ...
		t.Fatal(err)
	}
	r.remember(read, before) // ... and only now the reader comes to remember it
	r.refused(t, token, ReasonSignature)
	if kid := kidOf(t, r.mint(t, MintRequest{})); kid == read.ID {
		t.Error("it signs again")
	}
}

// Tokens, renewals, rotations and checks from many goroutines and two processes.
func TestRotateSecret_underLoad(t *testing.T) {
	ctx := context.Background()
	rigs := []*rig{newRig(t)}
	rigs = append(rigs, rigs[0].another(t))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			a, b := rigs[i%2], rigs[(i+1)%2]
			for range 10 {
				tok, err := a.Mint(ctx, MintRequest{Subject: "ann", Role: tandem.Participant})
				if err != nil {
					t.Error(err)
					return
				}
				p, err := b.judge(tok.Token.Reveal())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := b.Refresh(ctx, p); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 5 {
		if _, err := rigs[i%2].RotateSecret(ctx, time.Hour); err != nil {
			t.Error(err)
		}
		rigs[0].clock.move(pollEvery)
	}
	wg.Wait()
}
