package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// audit is what the audit of a tenant has, oldest first, in short.
func (r *rig) audit(t testing.TB, tenant string) []string {
	t.Helper()
	list, _, err := r.Audits(context.Background(), tenant, AuditFilter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	var all []string
	for _, e := range list {
		if e.Tenant != tenant || !e.At.Equal(noon) || e.ID == "" {
			t.Errorf("%+v", e)
		}
		all = append(all, strings.TrimRight(fmt.Sprintf("%s by %s (%s, %s) of %s from %s", e.Action, e.Principal, e.Role, e.Credential, e.Object, e.From), " "))
	}
	return all
}

// Everything that is done with credentials leaves one entry, in the tenant in
// which it was done; what is refused or changes nothing leaves none. Seen to fail
// by leaving out each.
func TestAudit_tellsWhoDidWhat(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	r.account(t, AccountRequest{Username: "root", Role: tandem.Owner})
	in, err := r.login(LoginRequest{Name: "ROOT", From: "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	owner := r.good(t, in.Token.Token.Reveal())
	owner.From = "192.0.2.7"
	r.account(t, AccountRequest{Username: "Maya", By: owner})
	r.account(t, AccountRequest{Tenant: "acme", Username: "kim"})
	for _, name := range []string{"maya", "plum-otter-42"} { // somebody typed the password into the wrong field
		if _, err := r.login(LoginRequest{Name: name, Password: "wrong", From: "192.0.2.8"}); ReasonOf(err) != ReasonPassword {
			t.Fatal(err)
		}
	}
	if _, err := r.login(LoginRequest{Name: "maya", Tenant: "nobody"}); ReasonOf(err) != ReasonPassword {
		t.Fatal(err)
	}
	name, yes, no, supervisor := "Maya", true, false, tandem.Supervisor
	for _, c := range []AccountChange{{Name: &name, By: owner}, {Name: &name, By: owner}, {Disabled: &yes, By: owner}, {Disabled: &no}, {Role: &supervisor, Disabled: &yes}} {
		r.change(t, "maya", c)
	}
	_, k := r.key(t, KeyRequest{By: owner})
	for _, what := range []Revoke{{Key: k.ID, By: owner}, {JTI: "j1", By: owner}, {Subject: "Ann", By: owner}, {Subject: "bob"}} {
		if err := r.Revoke(ctx, "default", what); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Revoke(ctx, "acme", Revoke{Key: k.ID, By: owner}); tandem.KindOf(err) != tandem.NotFound {
		t.Error(err)
	}
	if err := r.Logout(ctx, owner); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"user-add by  (, system) of root from",
		"login by root (owner, password) of  from 192.0.2.7",
		"user-add by root (owner, jwt) of maya from 192.0.2.7",
		"login-failed by maya (operator, password) of  from 192.0.2.8",
		"login-failed by  (, password) of  from 192.0.2.8",
		"user-change by root (owner, jwt) of maya from 192.0.2.7",
		"user-disable by root (owner, jwt) of maya from 192.0.2.7",
		"user-change by  (, system) of maya from",
		"user-disable by  (, system) of maya from",
		"key-create by root (owner, jwt) of " + k.ID + " from 192.0.2.7",
		"key-revoke by root (owner, jwt) of " + k.ID + " from 192.0.2.7",
		"revoke by root (owner, jwt) of j1 from 192.0.2.7",
		"revoke by root (owner, jwt) of ann from 192.0.2.7",
		"revoke by  (, system) of bob from",
		"logout by root (owner, jwt) of " + owner.ID + " from 192.0.2.7",
	}
	if got := r.audit(t, "default"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := r.audit(t, "acme"); !slices.Equal(got, []string{"user-add by  (, system) of kim from"}) {
		t.Errorf("of acme: %v", got)
	}
}

// Page by page, each entry comes once.
func TestAudits_pages(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	for i := range 5 {
		if err := r.RevokeSubject(ctx, "default", fmt.Sprint("s", i)); err != nil {
			t.Fatal(err)
		}
		r.clock.move(time.Second)
	}
	f, got := AuditFilter{Limit: 2, Action: "revoke"}, ""
	for {
		page, next, err := r.Audits(ctx, "default", f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			got += e.Object
		}
		if got += " "; next == "" {
			break
		}
		f.Cursor = next
	}
	if got != "s4s3 s2s1 s0 " {
		t.Error(got)
	}
	for _, bad := range []string{"x", "0", "-1", "99999999999999999999"} {
		if _, _, err := r.Audits(ctx, "default", AuditFilter{Cursor: bad, Limit: 2}); tandem.KindOf(err) != tandem.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
