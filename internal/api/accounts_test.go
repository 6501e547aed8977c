package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/store"
)

const password = "plum-otter-42"

// account makes an account of the default tenant, unless another is named.
func (s *site) account(r auth.AccountRequest) {
	s.t.Helper()
	if r.Tenant == "" {
		r.Tenant = "default"
	}
	if r.Password == "" {
		r.Password = password
	}
	if err := s.Store.EnsureTenant(s.t.Context(), r.Tenant); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Auth.CreateAccount(s.t.Context(), r); err != nil {
		s.t.Fatal(err)
	}
}

// login signs in and returns the token.
func (s *site) login(username string) string {
	s.t.Helper()
	res, body := s.ask("POST", "/api/auth/login", "", fmt.Sprintf(`{"username":%q,"password":%q}`, username, password))
	var in struct{ Token string }
	if err := json.Unmarshal([]byte(body), &in); err != nil || res.StatusCode != 200 || in.Token == "" {
		s.t.Fatalf("login: %d %s %v", res.StatusCode, body, err)
	}
	return in.Token
}

// Signing in and out, to the byte.
func TestTranscript_login(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	s.account(auth.AccountRequest{Username: "Maya", Email: "Maya@Example.org", Name: "Maya", Role: tandem.Operator, Workflows: []string{"support"}})
	s.account(auth.AccountRequest{Username: "lee", Role: tandem.Supervisor})
	s.account(auth.AccountRequest{Username: "root", Role: tandem.Owner})
	s.account(auth.AccountRequest{Tenant: "acme", Username: "maya", Role: tandem.Owner, Password: "another-one"})
	yes := true
	if _, err := s.Auth.ChangeAccount(t.Context(), "default", "lee", auth.AccountChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	tr := newTranscript(s)
	login := func(name, body string) { tr.ask(name, "POST", "/api/auth/login", "", body) }
	_, answer := tr.ask("by username", "POST", "/api/auth/login", "", `{"username":"MAYA","password":"`+password+`"}`)
	login("by e-mail address", `{"email":"maya@example.org","password":"`+password+`","tenant":"default"}`)
	login("of another tenant", `{"username":"maya","password":"another-one","tenant":"acme"}`)
	login("a wrong password", `{"username":"maya","password":"wrong"}`)
	login("no such account", `{"username":"nobody","password":"wrong"}`)
	login("a disabled account", `{"username":"lee","password":"`+password+`"}`)
	login("no such tenant", `{"username":"maya","password":"`+password+`","tenant":"nobody"}`)
	login("nothing said", `{}`)
	login("no password", `{"username":"maya","password":""}`)
	login("of a wrong type", `{"username":7,"password":"x"}`)
	login("not JSON", `username=maya`)
	login("the fifth that fails", `{"username":"maya","password":"wrong"}`)
	login("too many", `{"username":"maya","password":"`+password+`"}`)

	var in struct{ Token string }
	if err := json.Unmarshal([]byte(answer), &in); err != nil {
		t.Fatal(err)
	}
	owner := s.Token("root", tandem.Owner)
	tr.ask("who am I", "GET", "/api/auth/me", in.Token, "")
	tr.ask("an agent's key", "GET", "/api/auth/me", s.keyFor(auth.KeyRequest{Role: tandem.Agent, Name: "shop", Workflow: "orders"}), "")
	tr.ask("nobody", "GET", "/api/auth/me", "", "")
	tr.ask("a key does not log out", "POST", "/api/auth/logout", s.key("ann"), "")
	tr.ask("out", "POST", "/api/auth/logout", in.Token, "")
	tr.ask("out again", "POST", "/api/auth/logout", in.Token, "")
	tr.ask("on another API", "GET", "/api/conversations", in.Token, "")
	tr.ask("revoking is for owners", "POST", "/api/auth/revoke", s.Token("kim", tandem.Supervisor), `{"subject":"maya"}`)
	tr.ask("of the whole tenant", "POST", "/api/auth/revoke", s.keyFor(auth.KeyRequest{Role: tandem.Owner, Workflow: "orders"}), `{"subject":"maya"}`)
	tr.ask("one or the other", "POST", "/api/auth/revoke", owner, `{"subject":"maya","jti":"x"}`)
	tr.ask("all of a subject", "POST", "/api/auth/revoke", owner, `{"subject":"Maya"}`)
	tr.ask("one token", "POST", "/api/auth/revoke", owner, `{"jti":"x"}`)
	tr.golden("login.txt")
}

// Signing in with a link, to the byte. Seen to fail by asking of a link for this
// machine only that no page follows it.
func TestTranscript_link(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	s.account(auth.AccountRequest{Username: "maya", Name: "Maya", Role: tandem.Operator})
	link := func(r auth.LinkRequest) string {
		t.Helper()
		r.Tenant, r.Username, r.TTL = "default", "maya", time.Hour
		code, err := s.Auth.CreateLink(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return `{"code":"` + code.Reveal() + `"}`
	}
	tr := newTranscript(s)
	follow := func(name, body string, header ...string) { tr.ask(name, "POST", "/api/auth/link", "", body, header...) }
	here, once := link(auth.LinkRequest{Local: true}), link(auth.LinkRequest{Once: true})
	follow("on this machine, from a page", here, "Origin", "http://localhost:8080")
	follow("again", here)
	follow("through a proxy", here, "X-Forwarded-For", "192.0.2.1")
	follow("once, through a proxy", once, "X-Forwarded-For", "192.0.2.1")
	follow("once more", once)
	follow("nothing", `{}`)
	follow("not JSON", `[`)
	for range 2 {
		follow("what is no code", `{"code":"ln-0123456789abcdef"}`)
	}
	follow("the fifth that is not good", `{"code":"x"}`)
	follow("too many", here)
	tr.golden("link.txt")
}

// Five attempts may fail, of an account from anywhere and from an address on any
// account, in a minute each; the sixth is not even looked at. Who gets in has used
// nothing up. Seen to fail by one, by counting the name as it was written, and by
// counting what succeeds.
func TestLogin_failuresAreCounted(t *testing.T) {
	var now atomic.Pointer[time.Time]
	set := func(at time.Time) { now.Store(&at) }
	set(noon)
	limits := tandem.DefaultLimits()
	s := open(t, desktest.Options{
		Clock: func() time.Time { return *now.Load() }, Limits: &limits, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	for _, name := range []string{"maya", "lee", "kim"} {
		s.account(auth.AccountRequest{Username: name, Email: name + "@example.org", Role: tandem.Operator})
	}
	s.account(auth.AccountRequest{Tenant: "acme", Username: "maya", Role: tandem.Operator})
	try := func(from, body string, want int) {
		t.Helper()
		r := s.request("POST", "/api/auth/login", "", body)
		r.Header.Set("X-Forwarded-For", from)
		res, answer := s.do(r)
		if res.StatusCode != want {
			t.Errorf("%s from %s: %d, want %d: %s", body, from, res.StatusCode, want, answer)
		}
		if want == 429 && (res.Header.Get("Retry-After") != "12" || res.Header.Get("RateLimit-Limit") != "5") {
			t.Errorf("%s: %v", body, res.Header)
		}
	}
	good := func(name string) string { return fmt.Sprintf(`{"username":%q,"password":%q}`, name, password) }
	bad := func(name string) string { return fmt.Sprintf(`{"username":%q,"password":"wrong"}`, name) }
	for range 7 {
		try("192.0.2.1", good("maya"), 200)
	}
	for i := range 5 {
		try(fmt.Sprintf("203.0.113.%d", i), bad([]string{"maya", "MAYA", "maya@example.org"}[i%3]), 401)
	}
	try("198.51.100.1", good("maya"), 429)
	try("198.51.100.1", `{"email":"Maya@example.org","password":"`+password+`"}`, 429)
	try("198.51.100.1", `{"username":"maya","tenant":"acme","password":"`+password+`"}`, 200) // another account
	for range 5 {
		try("198.51.100.2", bad("nobody"), 401)
	}
	try("198.51.100.2", good("lee"), 429)  // the address
	try("2001:db8::1", bad("nobody"), 429) // a name that does not exist is counted like one that does
	for i := range 5 {
		try("2001:db8:0:1::"+fmt.Sprint(i+1), bad(fmt.Sprint("n", i)), 401)
	}
	try("2001:db8:0:1:ffff::", good("lee"), 429) // the same network
	try("2001:db8:0:2::1", good("lee"), 200)
	set(noon.Add(12 * time.Second))
	try("198.51.100.1", good("maya"), 200)
	try("198.51.100.2", bad("kim"), 401)
	try("198.51.100.2", good("kim"), 429)
}

// A flood of attempts counts as requests without a credential, too.
func TestLogin_countsAgainstTheAddress(t *testing.T) {
	limits := tandem.DefaultLimits()
	limits.Requests, limits.Logins = tandem.Rate{N: 3, Per: time.Minute}, tandem.Rate{}
	s := open(t, desktest.Options{Clock: atNoon, Limits: &limits})
	for i := range 4 {
		want := 400
		if i == 3 {
			want = 429
		}
		if res, body := s.ask("POST", "/api/auth/login", "", `{}`); res.StatusCode != want {
			t.Errorf("%d: %d %s", i, res.StatusCode, body)
		}
	}
}

// socket is an open chat socket of which only the end matters.
type socket struct {
	closed chan websocket.StatusCode
	last   atomic.Pointer[string] // the last frame
}

// chats opens a chat socket as whoever the token stands for.
func (s *site) chats(token string) *socket {
	s.t.Helper()
	c, _, err := websocket.Dial(s.t.Context(), "ws"+strings.TrimPrefix(s.URL, "http")+"/ws?token="+token, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	k := &socket{closed: make(chan websocket.StatusCode, 1)}
	ready := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for first := true; ; first = false {
			_, frame, err := c.Read(context.Background())
			if err != nil {
				k.closed <- websocket.CloseStatus(err)
				return
			}
			text := string(frame)
			k.last.Store(&text)
			if first {
				close(ready)
			}
		}
	}()
	s.t.Cleanup(func() { _ = c.CloseNow(); <-ended })
	<-ready
	return k
}

// Whatever takes an account's token back ends its open streams of every kind
// within a second, with the word that belongs to it, also when another process did
// it. Seen to fail by leaving out one of the changes in the store.
func TestAccounts_openStreamsEndWithinASecond(t *testing.T) {
	s := open(t, desktest.Options{})
	s.account(auth.AccountRequest{Username: "root", Role: tandem.Owner})
	s.account(auth.AccountRequest{Username: "ann", Role: tandem.Participant})
	owner := s.login("root")
	command := s.command()
	yes, operator, name, workflows, secret := true, tandem.Operator, "Ann", []string{"billing"}, auth.Secret("another password")
	change := func(c auth.AccountChange) func(string) error {
		return func(string) error {
			_, err := command.ChangeAccount(t.Context(), "default", "ann", c)
			return err
		}
	}
	posts := func(path string, body func(token string) string) func(string) error {
		return func(token string) error {
			key := owner
			if path == "/api/auth/logout" {
				key = token
			}
			if res, answer := s.ask("POST", path, key, body(token)); res.StatusCode != 200 {
				return fmt.Errorf("%d %s", res.StatusCode, answer)
			}
			return nil
		}
	}
	for _, c := range []struct {
		what string
		does func(token string) error
	}{
		{"logout", posts("/api/auth/logout", func(string) string { return "" })},
		{"revoke by jti", posts("/api/auth/revoke", func(token string) string { return fmt.Sprintf(`{"jti":%q}`, s.jti(token)) })},
		{"revoke by subject", posts("/api/auth/revoke", func(string) string { return `{"subject":"Ann"}` })},
		{"name", change(auth.AccountChange{Name: &name})},
		{"workflows", change(auth.AccountChange{Workflows: &workflows})},
		{"password", change(auth.AccountChange{Password: &secret})},
		{"role", change(auth.AccountChange{Role: &operator})},
		{"disabled", change(auth.AccountChange{Disabled: &yes})},
	} {
		participant, again, none := tandem.Participant, auth.Secret(password), []string{}
		if _, err := s.Auth.ChangeAccount(t.Context(), "default", "ann", auth.AccountChange{Role: &participant, Password: &again, Workflows: &none}); err != nil {
			t.Fatal(err)
		}
		token := s.login("ann")
		stream := s.listen(token, annsThread+"&heartbeatSeconds=300")
		stream.until("connected")
		chat := s.chats(token)
		began := time.Now()
		if err := c.does(token); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if b := stream.until("disconnected"); !strings.Contains(b.data, `"reason":"revoked"`) {
			t.Errorf("%s: %s", c.what, b.data)
		}
		if code := <-chat.closed; code != 4401 || !strings.Contains(*chat.last.Load(), `"type":"error"`) {
			t.Errorf("%s: the socket closed with %d after %s", c.what, code, *chat.last.Load())
		}
		if took := time.Since(began); took > 1500*time.Millisecond {
			t.Errorf("%s: after %v", c.what, took)
		}
		if res, body := s.ask("GET", "/api/conversations", token, ""); res.StatusCode != 401 || body != `{"detail":"Token has been revoked. Please login again."}` {
			t.Errorf("%s: then %d %s", c.what, res.StatusCode, body)
		}
	}
}

// command is what a command on the server's data folder works with.
func (s *site) command() *auth.Auth {
	s.t.Helper()
	files, err := store.Open(s.t.Context(), store.Options{Dir: s.Dir})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := files.Close(); err != nil {
			s.t.Error(err)
		}
	})
	command, err := auth.New(auth.Options{Store: files})
	if err != nil {
		s.t.Fatal(err)
	}
	return command
}

// jti is the id of a token.
func (s *site) jti(token string) string {
	s.t.Helper()
	p, err := s.Auth.Authenticate(s.t.Context(), auth.Present(token, false), auth.Use{Purpose: auth.Request})
	if err != nil {
		s.t.Fatal(err)
	}
	return p.ID
}
