package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

const maysPassword = "plum-otter-42"

// account makes an account with Maya's password.
func (r *rig) account(t testing.TB, req AccountRequest) Account {
	t.Helper()
	if req.Tenant == "" {
		req.Tenant = "default"
	}
	if req.Role == "" {
		req.Role = tandem.Operator
	}
	if req.Password == "" {
		req.Password = maysPassword
	}
	a, err := r.CreateAccount(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// login signs in with Maya's password, unless another is given.
func (r *rig) login(req LoginRequest) (SignedIn, error) {
	if req.Password == "" {
		req.Password = maysPassword
	}
	if req.Try == nil {
		req.Try = func(string, string) error { return nil }
	}
	return r.Login(context.Background(), req)
}

func (r *rig) mustLogin(t testing.TB, name string) SignedIn {
	t.Helper()
	in, err := r.login(LoginRequest{Name: name})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return in
}

func (r *rig) change(t testing.TB, username string, c AccountChange) {
	t.Helper()
	if _, err := r.ChangeAccount(context.Background(), "default", username, c); err != nil {
		t.Fatal(err)
	}
}

func TestLogin_standsForTheAccount(t *testing.T) {
	r := newRig(t)
	r.account(t, AccountRequest{Username: "Maya", Email: "Maya@Example.org", Name: "Maya M.", Workflows: []string{"default:support", "billing", "support"}})
	for _, name := range []string{"maya", "MAYA", "maya@EXAMPLE.org"} {
		in := r.mustLogin(t, name)
		p := r.good(t, in.Token.Token.Reveal())
		if p.Subject != "maya" || p.Role != tandem.Operator || p.Name != "Maya M." || p.Email != "maya@example.org" || p.Tenant != "default" || strings.Join(p.Workflows, " ") != "support billing" || p.Workflow != "" {
			t.Errorf("%s: %+v", name, p)
		}
		if in.Account.Password != "" || in.Account.Username != "maya" || !p.Expires.Equal(in.Expires) || !in.Expires.Equal(noon.Add(12*time.Hour)) {
			t.Errorf("%s: %+v", name, in)
		}
		renewed, err := r.Refresh(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		if q := r.good(t, renewed.Token.Reveal()); strings.Join(q.Workflows, " ") != "support billing" {
			t.Errorf("renewed: %+v", q)
		}
	}
	r.account(t, AccountRequest{Username: "ann", Role: tandem.Participant, Workflows: []string{"support"}})
	if p := r.good(t, r.mustLogin(t, "ann").Token.Token.Reveal()); p.Workflow != "support" || len(p.Workflows) != 0 || p.Role != tandem.Participant {
		t.Errorf("a participant: %+v", p)
	}
}

// Who does not get in learns nothing from the answer. Seen to fail by looking at
// Disabled neither here nor in the store, and by another sentence for a name that
// does not exist.
func TestLogin_failsAlikeForEveryReason(t *testing.T) {
	r := newRig(t)
	r.tenant(t, "acme")
	r.account(t, AccountRequest{Username: "maya", Email: "maya@example.org"})
	r.account(t, AccountRequest{Username: "lee"})
	r.account(t, AccountRequest{Username: "maya", Tenant: "acme", Password: "another password"})
	yes := true
	r.change(t, "lee", AccountChange{Disabled: &yes})
	for what, req := range map[string]LoginRequest{
		"wrong password":            {Name: "maya", Password: "plum-otter-43"},
		"no such name":              {Name: "nobody"},
		"no name":                   {},
		"disabled":                  {Name: "lee"},
		"disabled, wrong password":  {Name: "lee", Password: "wrong"},
		"in another tenant":         {Name: "maya", Tenant: "acme"},
		"the other's password":      {Name: "maya", Password: "another password"},
		"mail of another tenant":    {Name: "maya@example.org", Tenant: "acme"},
		"no such tenant":            {Name: "maya", Tenant: "nobody"},
		"what cannot be a tenant":   {Name: "maya", Tenant: "No Tenant"},
		"what cannot be a name":     {Name: "maya\n"},
		"a name of invalid UTF-8":   {Name: "maya\xff"},
		"a name that is too long":   {Name: strings.Repeat("m", tandem.MaxName+1)},
		"a password that cannot be": {Name: "maya", Password: Secret(strings.Repeat("x", MaxPassword+1))},
	} {
		in, err := r.login(req)
		if e := (*tandem.Error)(nil); !errors.As(err, &e) || e.Kind != tandem.Unauthorized || e.Message != "Invalid username or password" || ReasonOf(err) != ReasonPassword {
			t.Errorf("%s: %v", what, err)
		}
		if in.Token.Token != "" || in.Account.Username != "" {
			t.Errorf("%s: got something", what)
		}
	}
	if in, err := r.login(LoginRequest{Name: "maya", Tenant: "acme", Password: "another password"}); err != nil || in.Account.Tenant != "acme" {
		t.Errorf("of the other tenant: %+v %v", in, err)
	}
	if strings.Contains(r.log.String(), "plum-otter") || strings.Contains(r.log.String(), "maya") {
		t.Errorf("the log tells: %s", r.log)
	}
}

// Whoever counts attempts counts them by account, however it was named, before a
// password is looked at, and by what was said if there is no such account.
func TestLogin_asksBeforeItTries(t *testing.T) {
	r := newRig(t)
	r.account(t, AccountRequest{Username: "maya", Email: "maya@example.org"})
	enough := errors.New("enough")
	for said, want := range map[string]string{
		"Maya": "default/maya", "MAYA@example.org": "default/maya", "Nobody": "default/nobody", strings.Repeat("m", tandem.MaxName+1): "/",
	} {
		got := ""
		_, err := r.login(LoginRequest{Name: said, Try: func(tenant, account string) error { got = tenant + "/" + account; return enough }})
		if err != enough || got != want {
			t.Errorf("%.20s: asked for %q: %v", said, got, err)
		}
	}
}

// Whoever is named, a password is hashed before the answer: the same work for a
// name that does not exist. The test itself gives turns at hashing, so it sees who
// takes one. Seen to fail by answering at once for accounts without a password.
func TestLogin_hashesWhoeverIsNamed(t *testing.T) {
	r := newRig(t)
	r.account(t, AccountRequest{Username: "maya"})
	r.account(t, AccountRequest{Username: "lee"})
	yes := true
	r.change(t, "lee", AccountChange{Disabled: &yes})
	if err := r.store.AddAccount(context.Background(), Account{Tenant: "default", Username: "kim", Role: tandem.Operator}, Audit{}); err != nil {
		t.Fatal(err)
	}
	r.hasher = hasher{make(chan struct{})}
	for what, req := range map[string]LoginRequest{
		"an account": {Name: "maya"}, "disabled": {Name: "lee"}, "without a password": {Name: "kim"}, "no account": {Name: "nobody"},
		"no tenant": {Name: "maya", Tenant: "nobody"}, "no name": {Name: "a\nb"},
	} {
		answered := make(chan error, 1)
		go func() {
			_, err := r.login(req)
			answered <- err
		}()
		select {
		case <-r.hasher.slots: // takes its turn
			r.hasher.slots <- struct{}{} // and gives it back
			if err := <-answered; (err == nil) != (what == "an account") {
				t.Errorf("%s: %v", what, err)
			}
		case err := <-answered:
			t.Errorf("%s: answered without hashing: %v", what, err)
		}
	}
}

// What an account was given ends with each change of it, also when the change
// comes while it signs in: then the token is either refused or taken back. Seen
// to fail by making the token after the store was asked.
func TestLogin_noTokenOutlivesAChange(t *testing.T) {
	r := newRig(t)
	r.account(t, AccountRequest{Username: "maya"})
	first := r.mustLogin(t, "maya")
	page, _ := r.key(t, KeyRequest{Role: tandem.Participant, Subject: "maya"})
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				r.clock.move(time.Microsecond)
			}
		}
	})
	role := map[bool]tandem.PrincipalRole{true: tandem.Supervisor, false: tandem.Operator}
	var tokens []SignedIn
	for i := range 4 {
		var signing sync.WaitGroup
		signing.Go(func() {
			if in, err := r.login(LoginRequest{Name: "maya"}); err == nil {
				tokens = append(tokens, in)
			} else if tandem.KindOf(err) != tandem.Unauthorized {
				t.Error(err)
			}
		})
		to := role[i%2 == 0]
		r.change(t, "maya", AccountChange{Role: &to})
		signing.Wait()
	}
	close(stop)
	ticking.Wait()
	now, err := r.Account(context.Background(), "default", "maya")
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range append(tokens, first) {
		if p, err := r.judge(in.Token.Token.Reveal()); err == nil && p.Role != now.Role {
			t.Errorf("a token of role %s is good while the account is %s", p.Role, now.Role)
		}
	}
	r.refused(t, first.Token.Token.Reveal(), ReasonRevoked)
	r.refused(t, page, ReasonRevoked)
	r.clock.move(time.Second)
	r.good(t, r.mustLogin(t, "maya").Token.Token.Reveal())
}

func TestLogout_takesTheTokenBack(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	r.account(t, AccountRequest{Username: "maya"})
	here, there := r.mustLogin(t, "maya").Token.Token.Reveal(), r.mustLogin(t, "maya").Token.Token.Reveal()
	p := r.good(t, here)
	ticket := r.ticket(t, p, Stream)
	if err := r.Logout(ctx, p); err != nil {
		t.Fatal(err)
	}
	r.refused(t, here, ReasonRevoked)
	r.good(t, there)
	if _, err := r.Authenticate(ctx, Present(ticket, false), Use{Purpose: Stream}); ReasonOf(err) != ReasonRevoked {
		t.Errorf("its ticket: %v", err)
	}
	secret, _ := r.key(t, KeyRequest{})
	if err := r.Logout(ctx, r.good(t, secret)); tandem.KindOf(err) != tandem.Invalid {
		t.Errorf("a key: %v", err)
	}
	r.good(t, secret)
}

// The server learns of each account that is disabled, whoever did it, once; of
// one that is enabled again it does not, also not at its next start.
func TestRun_tellsWhichAccountsWereDisabled(t *testing.T) {
	r := newRig(t)
	command := r.another(t)
	for _, name := range []string{"maya", "lee", "kim"} {
		r.account(t, AccountRequest{Username: name})
	}
	yes, no := true, false
	role := tandem.Supervisor
	run := func(during func(told <-chan string)) {
		t.Helper()
		ctx, cancel := context.WithCancel(context.Background())
		told, done := make(chan string, 16), make(chan struct{})
		r.opt.Disabled = func(_ context.Context, tenant, username string) { told <- tenant + "/" + username }
		go func() { defer close(done); r.Run(ctx, func(func(tandem.Principal) bool, string) {}) }()
		during(told)
		cancel()
		<-done
		if len(told) > 0 {
			t.Errorf("told of %s too", <-told)
		}
	}
	expect := func(told <-chan string, want string) {
		t.Helper()
		select {
		case got := <-told:
			if got != want {
				t.Errorf("told of %s, want %s", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("not told of %s", want)
		}
	}
	command.change(t, "lee", AccountChange{Disabled: &yes})
	run(func(told <-chan string) {
		expect(told, "default/lee") // while no server ran
		command.change(t, "kim", AccountChange{Role: &role})
		command.change(t, "maya", AccountChange{Disabled: &yes})
		expect(told, "default/maya")
		command.change(t, "lee", AccountChange{Disabled: &no})
	})
	r.forget()
	run(func(told <-chan string) { expect(told, "default/maya") })
}
