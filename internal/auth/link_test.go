package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

func (r *rig) link(t testing.TB, req LinkRequest) Secret {
	t.Helper()
	if req.Tenant == "" {
		req.Tenant = "default"
	}
	if req.TTL == 0 {
		req.TTL = time.Hour
	}
	code, err := r.CreateLink(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// follow follows a link from this machine.
func (r *rig) follow(code Secret) (SignedIn, error) {
	return r.FollowLink(context.Background(), code, true, "127.0.0.1")
}

// noLink fails the test unless the code signs nobody in, with the sentence that
// all get.
func (r *rig) noLink(t testing.TB, what string, in SignedIn, err error) {
	t.Helper()
	if e := (*tandem.Error)(nil); !errors.As(err, &e) || e.Kind != tandem.Unauthorized || e.Message != textLink || in.Token.Token != "" {
		t.Errorf("%s: %+v %v", what, in.Account, err)
	}
}

func TestFollowLink_signsTheAccountIn(t *testing.T) {
	r := newRig(t)
	r.account(t, AccountRequest{Username: "Maya", Name: "Maya M.", Workflows: []string{"support"}})
	many, once := r.link(t, LinkRequest{Username: "MAYA"}), r.link(t, LinkRequest{Username: "maya", Once: true})
	for range 3 {
		in, err := r.follow(many)
		if err != nil {
			t.Fatal(err)
		}
		if p := r.good(t, in.Token.Token.Reveal()); p.Subject != "maya" || p.Role != tandem.Operator || p.Name != "Maya M." || len(p.Workflows) != 1 || in.Account.Password != "" {
			t.Errorf("%+v", p)
		}
	}
	var good atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := r.follow(once); err == nil {
				good.Add(1)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 {
		t.Errorf("a link for once signed in %d times", good.Load())
	}
	if got := r.audit(t, "default"); len(got) != 5 || !strings.HasPrefix(got[1], "link by maya (operator, link) of link_") || !strings.HasSuffix(got[1], " from 127.0.0.1") {
		t.Errorf("audit: %q", got)
	}
}

// Seen to fail by leaving out each of the conditions.
func TestFollowLink_refusesAllElseAlike(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	r.account(t, AccountRequest{Username: "maya"})
	r.account(t, AccountRequest{Username: "lee"})
	local, old := r.link(t, LinkRequest{Username: "maya", Local: true}), r.link(t, LinkRequest{Username: "maya", TTL: time.Minute})
	in, err := r.FollowLink(ctx, local, false, "192.0.2.1")
	r.noLink(t, "from elsewhere", in, err)
	if _, err := r.follow(local); err != nil {
		t.Errorf("from here: %v", err)
	}
	for _, code := range []Secret{"", "ln-", "x", local + "x", Secret(r.mint(t, MintRequest{})), Secret("ln-" + strings.Repeat("x", maxCredential))} {
		in, err := r.follow(code)
		r.noLink(t, "no code", in, err)
	}
	r.clock.move(time.Minute - time.Microsecond)
	if _, err := r.follow(old); err != nil {
		t.Errorf("in its last moment: %v", err)
	}
	r.clock.move(time.Microsecond)
	in, err = r.follow(old)
	r.noLink(t, "expired", in, err)

	// What takes all of an account's back takes its links.
	name := "Lee"
	for what, does := range map[string]func() error{
		"revoked": func() error { return r.RevokeSubject(ctx, "default", "Lee") },
		"changed": func() error {
			_, err := r.ChangeAccount(ctx, "default", "lee", AccountChange{Name: &name})
			return err
		},
	} {
		code := r.link(t, LinkRequest{Username: "lee"})
		if err := does(); err != nil {
			t.Fatal(err)
		}
		in, err := r.follow(code)
		r.noLink(t, what, in, err)
	}
	for _, req := range []LinkRequest{{Tenant: "default", Username: "maya"}, {Tenant: "default", Username: "maya", TTL: MaxAge + 1}, {Tenant: "default", Username: "maya", TTL: -1}} {
		if _, err := r.CreateLink(ctx, req); tandem.KindOf(err) != tandem.Invalid {
			t.Errorf("%v: %v", req.TTL, err)
		}
	}
	if _, err := r.CreateLink(ctx, LinkRequest{Tenant: "acme", Username: "maya", TTL: time.Hour}); tandem.KindOf(err) != tandem.NotFound {
		t.Error(err)
	}
	r.trim(ctx, r.clock.read().Add(2*time.Hour))
	if _, err := r.follow(local); ReasonOf(err) != ReasonUnknown {
		t.Errorf("what has expired is kept: %v", err)
	}
}

// The owner's link is for a server without accounts. Seen to fail by looking for
// accounts of the tenant only, and by not looking again when it is followed.
func TestOwnerLink_untilThereIsAnOwner(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	link := func() Secret {
		t.Helper()
		code, err := r.OwnerLink(ctx, "default")
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	first, second := link(), link()
	in, err := r.follow(first)
	r.noLink(t, "the one before", in, err)
	if in, err = r.FollowLink(ctx, second, false, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	p := r.good(t, in.Token.Token.Reveal())
	if p.Role != tandem.Owner || p.Subject != "owner" || p.Tenant != "default" || Administers(p) != nil {
		t.Errorf("%+v", p)
	}
	in, err = r.follow(second)
	r.noLink(t, "a second time", in, err)

	third := link()
	r.clock.move(time.Hour)
	in, err = r.follow(third)
	r.noLink(t, "after an hour", in, err)

	fourth := link()
	r.account(t, AccountRequest{Tenant: "acme", Username: "kim", Role: tandem.Operator})
	if code := link(); code != "" {
		t.Error("made though there is an account")
	}
	r.account(t, AccountRequest{Username: "root", Role: tandem.Owner})
	in, err = r.follow(fourth)
	r.noLink(t, "now that there is an owner", in, err)
	yes := true
	r.change(t, "root", AccountChange{Disabled: &yes})
	if _, err := r.follow(fourth); err != nil {
		t.Errorf("the owner is disabled: %v", err)
	}
}
