package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// What owners administer, to the byte.
func TestTranscript_admin(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	root := s.Mint(auth.MintRequest{Tenant: "default", Subject: "root", Role: tandem.Owner, TTL: time.Hour})
	acme := s.Mint(auth.MintRequest{Tenant: "acme", Subject: "kim", Role: tandem.Owner, TTL: time.Hour})
	tr := newTranscript(s)
	secrets := []string{tr.admin(root, acme), tr.adminKeys(root, acme)}
	tr.adminRest(root, acme)
	tr.golden("admin.txt")
	for _, secret := range secrets {
		if strings.Count(tr.text.String(), secret) != 1 {
			t.Errorf("%s is shown not just once", secret)
		}
	}
}

// admin is what owners do with accounts; the result is a password that was made.
func (tr *transcript) admin(root, acme string) string {
	tr.s.t.Helper()
	const users = "/api/admin/users"
	tr.ask("an account", "POST", users, root, `{"username":"Maya","role":"operator","email":"Maya@Example.org","name":"Maya","workflows":["default:support"],"password":"plum-otter-42"}`)
	_, made := tr.ask("with a password that is made", "POST", users, root, `{"username":"lee","role":"supervisor"}`)
	tr.ask("an owner", "POST", users, root, `{"username":"boss","role":"owner","password":"plum-otter-42"}`)
	tr.ask("a name that is taken", "POST", users, root, `{"username":"MAYA","role":"operator"}`)
	tr.ask("no name", "POST", users, root, `{"role":"operator"}`)
	tr.ask("no role", "POST", users, root, `{"username":"x"}`)
	tr.ask("a short password", "POST", users, root, `{"username":"x","role":"operator","password":"short"}`)
	tr.ask("another role and name", "PATCH", users+"/MAYA", root, `{"role":"supervisor","name":"Maya M.","workflows":[]}`)
	tr.ask("a new password", "PATCH", users+"/lee", root, `{"password":"fern-gull-77"}`)
	tr.ask("one that is made", "PATCH", users+"/lee", root, `{"resetPassword":true}`)
	tr.ask("not both", "PATCH", users+"/lee", root, `{"password":"fern-gull-77","resetPassword":true}`)
	tr.ask("not its name", "PATCH", users+"/lee", root, `{"username":"leah"}`)
	tr.ask("disabled", "DELETE", users+"/lee", root, "")
	tr.ask("enabled", "PATCH", users+"/lee", root, `{"disabled":false}`)
	tr.ask("disabled by its row", "PATCH", users+"/lee", root, `{"disabled":true}`)
	tr.ask("the last owner", "DELETE", users+"/boss", root, "")
	tr.ask("nobody", "PATCH", users+"/nobody", root, `{}`)
	tr.ask("another tenant's", "DELETE", users+"/maya", acme, "")
	tr.ask("all", "GET", users, root, "")
	tr.ask("of another tenant", "GET", users, acme, "")
	var password struct{ Password string }
	if err := json.Unmarshal([]byte(made), &password); err != nil {
		tr.s.t.Fatal(err)
	}
	return password.Password
}

// adminKeys is what owners do with keys; the result is one of them.
func (tr *transcript) adminKeys(root, acme string) string {
	tr.s.t.Helper()
	const keys = "/api/admin/keys"
	_, answer := tr.ask("a key", "POST", keys, root, `{"name":"shop","role":"agent","workflow":"orders","ttlSeconds":3600,"rate":{"requests":600,"seconds":60}}`)
	var key struct {
		Key    struct{ ID string }
		Secret string
	}
	if err := json.Unmarshal([]byte(answer), &key); err != nil {
		tr.s.t.Fatal(err)
	}
	tr.ask("without a subject", "POST", keys, root, `{"role":"participant"}`)
	tr.ask("no role", "POST", keys, root, `{"role":"king"}`)
	tr.ask("a life that cannot be", "POST", keys, root, `{"role":"agent","ttlSeconds":-1}`)
	tr.ask("a rate that cannot be", "POST", keys, root, `{"role":"agent","rate":{"requests":0,"seconds":60}}`)
	tr.ask("it is used in a page", "GET", "/api/auth/me", key.Secret, "", "Origin", "https://shop.example")
	tr.ask("another tenant's", "DELETE", keys+"/"+key.Key.ID, acme, "")
	tr.ask("revoked", "DELETE", keys+"/"+key.Key.ID, root, "")
	tr.ask("all", "GET", keys, root, "")
	tr.ask("of another tenant", "GET", keys, acme, "")
	tr.ask("a participant's", "POST", keys, root, `{"role":"participant","subject":"Ann"}`)

	return key.Secret
}

// adminRest is what owners do with tenants and the audit.
func (tr *transcript) adminRest(root, acme string) {
	tr.s.t.Helper()
	const tenants = "/api/admin/tenants"
	tr.ask("a tenant", "POST", tenants, root, `{"name":"globex","owner":{"username":"hank","password":"plum-otter-42"}}`)
	tr.ask("again", "POST", tenants, root, `{"name":"globex","owner":{"username":"hank"}}`)
	tr.ask("a bad name", "POST", tenants, root, `{"name":"Globex!","owner":{"username":"hank"}}`)
	tr.ask("without an owner", "POST", tenants, root, `{"name":"initech"}`)
	tr.ask("all", "GET", tenants, root, "")
	tr.ask("by another tenant's owner", "GET", tenants, acme, "")
	tr.ask("nor made by one", "POST", tenants, acme, `{"name":"initech","owner":{"username":"hank"}}`)
	tr.ask("its owner signs in", "POST", "/api/auth/login", "", `{"tenant":"globex","username":"hank","password":"plum-otter-42"}`)

	tr.ask("the audit", "GET", "/api/admin/audit?limit=3", root, "")
	tr.ask("its next page", "GET", "/api/admin/audit?limit=2&cursor=9", root, "")
	tr.ask("of an action", "GET", "/api/admin/audit?action=user-disable&principal=root&since=2025-09-12T12:00:00Z&until=2025-09-12T14:00:01%2B02:00", root, "")
	tr.ask("of another time", "GET", "/api/admin/audit?until=2025-09-12T12:00:00Z", root, "")
	tr.ask("of no time", "GET", "/api/admin/audit?since=yesterday", root, "")
	tr.ask("of no cursor", "GET", "/api/admin/audit?cursor=x", root, "")
	tr.ask("of another tenant", "GET", "/api/admin/audit", acme, "")
}

// Every route of owners is theirs alone, on every method, also for who asks about
// what does not exist. Seen to fail by taking owners() off one of them.
func TestAdmin_isForOwnersOnly(t *testing.T) {
	s := open(t, desktest.Options{})
	s.account(auth.AccountRequest{Username: "maya", Role: tandem.Operator})
	_, k, err := s.Auth.CreateKey(t.Context(), auth.KeyRequest{Tenant: "default", Role: tandem.Agent})
	if err != nil {
		t.Fatal(err)
	}
	mint := func(r auth.MintRequest) string {
		r.Tenant, r.Subject, r.Role, r.TTL = "default", "x", tandem.Owner, time.Hour
		return s.Mint(r)
	}
	who := map[string]string{
		"nobody": "", "participant": s.key("ann"), "agent": s.Key(tandem.Agent), "operator": s.Token("op", tandem.Operator), "supervisor": s.Token("su", tandem.Supervisor),
		"owner of a workflow": s.keyFor(auth.KeyRequest{Role: tandem.Owner, Workflow: "support"}),
		"owner of a session":  mint(auth.MintRequest{Session: "s"}), "owner of some": mint(auth.MintRequest{Workflows: []string{"support"}}),
	}
	routes := 0
	for _, pattern := range s.API.Routes() {
		method, path, _ := strings.Cut(pattern, " ")
		if !strings.HasPrefix(path, "/api/admin/") {
			continue
		}
		routes++
		path = strings.NewReplacer("{username}", "maya", "{id}", k.ID).Replace(path)
		for name, key := range who {
			want := http.StatusForbidden
			if key == "" {
				want = http.StatusUnauthorized
			}
			if res, body := s.ask(method, path, key, `{"role":"owner","username":"x","name":"x","disabled":true}`); res.StatusCode != want {
				t.Errorf("%s %s by %s: %d %s", method, path, name, res.StatusCode, body)
			}
		}
	}
	if routes < 10 {
		t.Errorf("only %d routes were tried", routes)
	}
	if a, err := s.Auth.Account(t.Context(), "default", "maya"); err != nil || !a.Disabled.IsZero() {
		t.Errorf("%+v %v", a, err)
	}
	if list, _, err := s.Auth.Audits(t.Context(), "default", auth.AuditFilter{Limit: 100}); err != nil || len(list) != 5 { // what the test made
		t.Errorf("%+v %v", list, err)
	}
}

// Two tenants with the same names do all that owners can do; neither sees, changes
// or ends anything of the other.
func TestAdmin_staysInItsTenant(t *testing.T) {
	s := open(t, desktest.Options{})
	owners := map[string]string{}
	for _, tenant := range []string{"default", "acme"} {
		s.account(auth.AccountRequest{Tenant: tenant, Username: "root", Role: tandem.Owner})
		s.account(auth.AccountRequest{Tenant: tenant, Username: "maya", Email: "maya@example.org", Name: "Maya of " + tenant, Role: tandem.Operator})
		owners[tenant] = s.Mint(auth.MintRequest{Tenant: tenant, Subject: "root", Role: tandem.Owner, TTL: time.Hour})
	}
	theirs := s.Mint(auth.MintRequest{Tenant: "acme", Subject: "maya", Role: tandem.Operator, TTL: time.Hour})
	key := s.keyFor(auth.KeyRequest{Tenant: "acme", Role: tandem.Agent, Name: "theirs"})
	k, err := s.Auth.ListKeys(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	before, _, err := s.Auth.Audits(t.Context(), "acme", auth.AuditFilter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/api/admin/users", ""},
		{"POST", "/api/admin/users", `{"username":"new","role":"owner","tenant":"acme"}`},
		{"PATCH", "/api/admin/users/maya", `{"role":"participant","disabled":true,"tenant":"acme"}`},
		{"DELETE", "/api/admin/users/maya", ""},
		{"GET", "/api/admin/keys", ""},
		{"POST", "/api/admin/keys", `{"role":"agent","tenant":"acme"}`},
		{"DELETE", "/api/admin/keys/" + k[0].ID, ""},
		{"POST", "/api/auth/revoke", `{"subject":"maya"}`},
		{"POST", "/api/auth/revoke", fmt.Sprintf(`{"jti":%q}`, s.jti(theirs))},
		{"GET", "/api/admin/audit", ""},
		{"GET", "/api/admin/audit?principal=root", ""},
	} {
		for _, path := range []string{c.path, c.path + query(c.path, "tenant=acme")} {
			res, body := s.ask(c.method, path, owners["default"], c.body)
			if strings.Contains(body, "acme") || strings.Contains(body, "theirs") {
				t.Errorf("%s %s: %d %s", c.method, path, res.StatusCode, body)
			}
		}
		if res, body := s.ask(c.method, c.path+query(c.path, "tenantId=acme"), owners["default"], c.body); res.StatusCode != 403 {
			t.Errorf("%s %s of acme: %d %s", c.method, c.path, res.StatusCode, body)
		}
	}
	for what, credential := range map[string]string{"token": theirs, "key": key} {
		if res, body := s.ask("GET", "/api/auth/me", credential, ""); res.StatusCode != 200 {
			t.Errorf("their %s: %d %s", what, res.StatusCode, body)
		}
	}
	if list, err := s.Auth.Accounts(t.Context(), "acme"); err != nil || len(list) != 2 || list[0].Role != tandem.Operator || !list[0].Disabled.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
	if after, _, err := s.Auth.Audits(t.Context(), "acme", auth.AuditFilter{Limit: 100}); err != nil || len(after) != len(before) {
		t.Errorf("their audit has grown: %+v %v", after, err)
	}
	if a, err := s.Auth.Account(t.Context(), "default", "maya"); err != nil || a.Role != tandem.Participant || a.Disabled.IsZero() {
		t.Errorf("and yet all was tried at home: %+v %v", a, err)
	}
}

// query is how one more parameter is added to a path.
func query(path, more string) string {
	if strings.Contains(path, "?") {
		return "&" + more
	}
	return "?" + more
}

// Who did what to a conversation, to the byte: for who may force, in their tenant.
func TestTranscript_conversationAudit(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	c := s.crew()
	owner, narrow := s.Token("root", tandem.Owner), s.keyFor(auth.KeyRequest{Role: tandem.Supervisor, Workflow: "billing"})
	acme := s.Mint(auth.MintRequest{Tenant: "acme", Subject: "root", Role: tandem.Owner, TTL: time.Hour})
	s.account(auth.AccountRequest{Username: "ravi", Name: "Ravi", Role: tandem.Operator})
	s.must(201, "POST", "/api/conversations", c.gateway, openCall)
	s.must(200, "POST", callConversation+"/takeover", c.maya, "")
	s.must(200, "POST", callConversation+"/transfer", c.maya, `{"admin_id":"ravi"}`)
	s.must(200, "POST", callConversation+"/takeover?force=true", c.lead, "")
	s.must(200, "POST", callConversation+"/end", c.lead, "")
	tr := newTranscript(s)
	audit := callConversation + "/audit"
	tr.ask("a supervisor", "GET", audit, c.lead, "")
	tr.ask("page by page", "GET", audit+"?limit=2", owner, "")
	tr.ask("no cursor", "GET", audit+"?cursor=-1", owner, "")
	tr.ask("an operator", "GET", audit, c.ravi, "")
	tr.ask("its participant", "GET", audit, c.ann, "")
	tr.ask("its gateway", "GET", audit, c.gateway, "")
	tr.ask("of another workflow", "GET", audit, narrow, "")
	tr.ask("of another tenant", "GET", audit, acme, "")
	tr.ask("of no conversation", "GET", "/api/conversation/nothing/audit", owner, "")
	tr.ask("nobody", "GET", audit, "", "")
	tr.golden("conversation_audit.txt")
}
