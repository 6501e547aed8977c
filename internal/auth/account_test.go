package auth

import (
	"context"
	"fmt"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
)

func many(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("w%d", i)
	}
	return list
}

// The limits of an account, at each one and one past it.
func TestCreateAccount_takesWhatCanBe(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	long := strings.Repeat("w", 200)
	for what, req := range map[string]AccountRequest{
		"many workflows":    {Username: "a1", Workflows: many(maxWorkflows)},
		"a long name":       {Username: "a2", Name: strings.Repeat("n", tandem.MaxName)},
		"a long username":   {Username: strings.Repeat("u", tandem.MaxName)},
		"letters of others": {Username: "मया"},
		"an address":        {Username: "maya.m+1@example-2.org"},
		"a supervisor":      {Username: "a3", Role: tandem.Supervisor, Workflows: []string{"x"}},
		"an owner":          {Username: "a4", Role: tandem.Owner},
		"a participant":     {Username: "a5", Role: tandem.Participant, Workflows: []string{"x"}},
	} {
		req.Tenant, req.Password = "default", maysPassword
		if req.Role == "" {
			req.Role = tandem.Operator
		}
		a, err := r.CreateAccount(ctx, req)
		if err != nil || a.Password != "" || a.Username != strings.ToLower(req.Username) || a.Created.IsZero() {
			t.Errorf("%s: %+v %v", what, a, err)
		}
	}
	for what, req := range map[string]AccountRequest{
		"no name":                {},
		"a name with a space":    {Username: "maya m"},
		"a path":                 {Username: "maya/m"},
		"dots":                   {Username: ".."},
		"a name too long":        {Username: strings.Repeat("u", tandem.MaxName+1)},
		"invalid UTF-8":          {Username: "maya\xff"},
		"mail of invalid UTF-8":  {Username: "b", Email: "b@x\xff"},
		"mail without @":         {Username: "b", Email: "b"},
		"mail with a space":      {Username: "b", Email: "b @x"},
		"a display name of rows": {Username: "b", Name: "a\nb"},
		"a name for show":        {Username: "b", Name: strings.Repeat("n", tandem.MaxName+1)},
		"no role":                {Username: "b", Role: "king"},
		"an agent":               {Username: "b", Role: tandem.Agent},
		"too many workflows":     {Username: "b", Workflows: many(maxWorkflows + 1)},
		"too long workflows":     {Username: "b", Workflows: strings.Fields(strings.ReplaceAll(strings.Join(many(22), " "), "w", long))},
		"reserved workflow":      {Username: "b", Workflows: []string{"$sessions"}},
		"empty workflow":         {Username: "b", Workflows: []string{""}},
		"an owner of a part":     {Username: "b", Role: tandem.Owner, Workflows: []string{"x"}},
		"a participant of two":   {Username: "b", Role: tandem.Participant, Workflows: []string{"x", "y"}},
		"a short password":       {Username: "b", Password: "1234567"},
	} {
		req.Tenant = "default"
		if req.Password == "" {
			req.Password = maysPassword
		}
		if req.Role == "" {
			req.Role = tandem.Operator
		}
		if _, err := r.CreateAccount(ctx, req); tandem.KindOf(err) != tandem.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.account(t, AccountRequest{Tenant: "new", Username: "b", Role: tandem.Owner})
	if _, err := r.CreateAccount(ctx, AccountRequest{Tenant: "No Tenant", Username: "b", Role: tandem.Owner, Password: maysPassword}); tandem.KindOf(err) != tandem.Invalid {
		t.Errorf("a bad name of a tenant: %v", err)
	}
}

func TestChangeAccount_holdsItToTheSameRules(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	r.tenant(t, "acme")
	r.account(t, AccountRequest{Username: "maya", Email: "maya@example.org", Workflows: []string{"support"}})
	before := r.mustLogin(t, "maya").Token.Token.Reveal()
	owner, agent, short, mail, name := tandem.Owner, tandem.Agent, Secret("short"), "x\xff@y", "a\nb"
	lists := many(maxWorkflows + 1)
	for what, c := range map[string]AccountChange{
		"an owner of a part": {Role: &owner}, "an agent": {Role: &agent}, "a short password": {Password: &short},
		"mail": {Email: &mail}, "name": {Name: &name}, "workflows": {Workflows: &lists},
	} {
		if _, err := r.ChangeAccount(ctx, "default", "maya", c); tandem.KindOf(err) != tandem.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, who := range [][2]string{{"acme", "maya"}, {"default", "nobody"}, {"default", "maya@example.org"}} {
		if _, err := r.ChangeAccount(ctx, who[0], who[1], AccountChange{}); tandem.KindOf(err) != tandem.NotFound {
			t.Errorf("%v: %v", who, err)
		}
	}
	r.good(t, before) // nothing changed, nothing was taken back
	none, password := []string{}, Secret("another password")
	a, err := r.ChangeAccount(ctx, "default", "MAYA", AccountChange{Role: &owner, Workflows: &none, Password: &password})
	if err != nil || a.Role != tandem.Owner || len(a.Workflows) != 0 || a.Password != "" {
		t.Errorf("%+v %v", a, err)
	}
	r.refused(t, before, ReasonRevoked) // at once, where it was done
	if _, err := r.login(LoginRequest{Name: "maya"}); ReasonOf(err) != ReasonPassword {
		t.Errorf("with the old password: %v", err)
	}
	if _, err := r.login(LoginRequest{Name: "maya", Password: password}); err != nil {
		t.Errorf("with the new one: %v", err)
	}
	if list, err := r.Accounts(ctx, "default"); err != nil || len(list) != 1 || list[0].Password != "" {
		t.Errorf("listed %+v %v", list, err)
	}
	if list, err := r.Accounts(ctx, "acme"); err != nil || len(list) != 0 {
		t.Errorf("of acme %+v %v", list, err)
	}
}

func TestAdministers_onlyWhoHasAllOfTheTenant(t *testing.T) {
	if err := Administers(tandem.Principal{Role: tandem.Owner}); err != nil {
		t.Error(err)
	}
	for _, p := range []tandem.Principal{
		{}, {Role: tandem.Supervisor}, {Role: tandem.Agent}, {Role: tandem.Owner, Workflow: "x"}, {Role: tandem.Owner, Session: "x"}, {Role: tandem.Owner, Workflows: []string{"x"}},
	} {
		if err := Administers(p); tandem.KindOf(err) != tandem.Forbidden {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// The list of workflows in a token is the server's own word, and is held to it.
func TestWorkflows_inATokenMustBeAList(t *testing.T) {
	r := newRig(t)
	for _, bad := range []any{"support", []any{"support", 1}, []any{""}, []any{"a\nb"}, map[string]any{}} {
		if _, err := (claims{"workflows": bad}).list("workflows"); ReasonOf(err) != ReasonMalformed {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if p := r.good(t, r.mint(t, MintRequest{Role: tandem.Operator, Workflows: []string{"a", "b"}})); len(p.Workflows) != 2 || !p.Serves("b") || p.Serves("c") {
		t.Errorf("%+v", p)
	}
	if _, err := r.Mint(context.Background(), MintRequest{Subject: "x", Role: tandem.Operator, Workflows: []string{"$x"}}); tandem.KindOf(err) != tandem.Invalid {
		t.Error(err)
	}
}
