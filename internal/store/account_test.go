package store

import (
	"context"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
)

func TestAccounts_areFoundInTheirTenantOnly(t *testing.T) {
	s := open(t, Options{})
	ctx := context.Background()
	if err := s.EnsureTenant(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	maya := Account{Tenant: "default", Username: "Maya", Email: "Maya@example.org", Name: "Maya", Role: tandem.Operator, Workflows: []string{"support"}, Password: "hash"}
	if err := s.AddAccount(ctx, maya); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"maya", "MAYA", "maya@EXAMPLE.org"} {
		if a, err := s.Account(ctx, "default", name); err != nil || a.Username != "maya" || a.Password != "hash" || len(a.Workflows) != 1 || !a.Disabled.IsZero() {
			t.Errorf("%s: %+v %v", name, a, err)
		}
		if _, err := s.Account(ctx, "other", name); tandem.KindOf(err) != tandem.NotFound {
			t.Errorf("%s in another tenant: %v", name, err)
		}
	}
	for what, c := range map[string]struct {
		a    Account
		kind tandem.ErrorKind
	}{
		"same name":      {Account{Tenant: "default", Username: "mAya", Role: tandem.Operator}, tandem.Conflict},
		"same e-mail":    {Account{Tenant: "default", Username: "m2", Email: "maya@example.org", Role: tandem.Operator}, tandem.Conflict},
		"no tenant":      {Account{Tenant: "nobody", Username: "m2", Role: tandem.Operator}, tandem.NotFound},
		"no role":        {Account{Tenant: "default", Username: "m2", Role: "king"}, tandem.Invalid},
		"no name":        {Account{Tenant: "default", Role: tandem.Operator}, tandem.Invalid},
		"line in a name": {Account{Tenant: "default", Username: "a\nb", Role: tandem.Operator}, tandem.Invalid},
	} {
		if err := s.AddAccount(ctx, c.a); tandem.KindOf(err) != c.kind {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, username := range []string{"bare", "bare2"} { // two without an e-mail do not meet
		if err := s.AddAccount(ctx, Account{Tenant: "default", Username: username, Role: tandem.Owner}); err != nil {
			t.Error(err)
		}
	}
	if err := s.DisableAccount(ctx, "default", "Maya"); err != nil {
		t.Fatal(err)
	}
	if err := s.DisableAccount(ctx, "other", "maya"); tandem.KindOf(err) != tandem.NotFound {
		t.Errorf("disabled from another tenant: %v", err)
	}
	list, err := s.Accounts(ctx, "default")
	if err != nil || len(list) != 3 || list[2].Username != "maya" || list[2].Disabled.IsZero() {
		t.Errorf("listed %+v %v", list, err)
	}
}
