package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/spec"
	"github.com/seed4677ff1f/tandem/spec/check"
)

// A browser asks before it sends; the answer does not depend on a credential.
func TestCORS_preflight(t *testing.T) {
	s := open(t, desktest.Options{})
	for path, methods := range map[string]string{
		"/api/user/sse/events":    "GET, HEAD, OPTIONS",
		"/api/user/rest/send":     "POST, OPTIONS",
		"/api/auth/tickets":       "POST, OPTIONS",
		"/api/conversations":      "GET, HEAD, POST, OPTIONS",
		"/api/conversation/c":     "GET, HEAD, PATCH, OPTIONS",
		"/nothing/is/here":        "OPTIONS",
		"/api/user/../user/rest/": "OPTIONS",
	} {
		r := s.request("OPTIONS", path, "", "")
		r.Header.Set("Origin", "null")
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "authorization,idempotency-key")
		res, body := s.do(r)
		want := map[string]string{
			"Access-Control-Allow-Origin":  "*",
			"Access-Control-Allow-Methods": methods,
			"Access-Control-Allow-Headers": "Authorization, X-API-Key, Content-Type, Last-Event-ID, Idempotency-Key",
			"Access-Control-Max-Age":       "600",
		}
		if res.StatusCode != 204 || body != "" {
			t.Errorf("%s: %d %q", path, res.StatusCode, body)
		}
		for name, value := range want {
			if got := res.Header.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", path, name, got, value)
			}
		}
	}
}

// Errors and streams can be read by pages too, and nothing ever sets a cookie.
// Seen to fail by setting the headers after the handler.
func TestHeaders_ofEachAnswer(t *testing.T) {
	s := open(t, desktest.Options{})
	ann := s.key("ann")
	for _, path := range []string{
		"/api/user/sse/events?" + annsThread, "/api/user/sse/events", "/api/user/rest/history?" + annsThread, "/api/user/rest/send",
		"/api/conversations", "/nothing", "/", "/healthz", "/openapi.yaml", "//", "/metrics", "/ws",
	} {
		for _, key := range []string{"", ann} {
			res, err := s.Client.Do(s.request("GET", path, key, ""))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin":   "*",
				"Access-Control-Expose-Headers": "Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Tandem-Delivery",
				"X-Content-Type-Options":        "nosniff",
				"Set-Cookie":                    "",
			} {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s: %d: %s is %q, want %q", path, res.StatusCode, name, got, want)
				}
			}
		}
	}
}

// A narrowed list lets its own pages read, and no others open a socket.
func TestCORS_narrowed(t *testing.T) {
	s := open(t, desktest.Options{Origins: []string{"https://Shop.example/", "null"}})
	token := s.Mint(auth.MintRequest{Subject: "ann", Role: tandem.Participant})
	for origin, want := range map[string]string{
		"https://shop.example": "https://shop.example", "null": "null", "https://evil.example": "", "http://shop.example": "", "": "",
	} {
		r := s.request("GET", "/api/user/rest/history?"+annsThread, token, "")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		res, _ := s.do(r)
		if got := res.Header.Get("Access-Control-Allow-Origin"); res.StatusCode != 200 || got != want {
			t.Errorf("%q: %d, allowed %q, want %q", origin, res.StatusCode, got, want)
		}
		if res.Header.Get("Vary") != "Origin" {
			t.Errorf("%q: Vary is %q", origin, res.Header.Get("Vary"))
		}
		up := s.request("GET", "/ws?token="+token, "", "")
		up.Header.Set("Connection", "Upgrade")
		up.Header.Set("Upgrade", "websocket")
		up.Header.Set("Sec-WebSocket-Version", "13")
		up.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		up.Header.Set("Origin", origin)
		status := 403
		if origin == "" || want != "" {
			status = 101
		}
		res, err := s.Client.Do(up)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%q: a socket: %d, want %d", origin, res.StatusCode, status)
		}
	}
	s.API.SetLists([]string{"*"}, nil)
	r := s.request("GET", "/healthz", "", "")
	r.Header.Set("Origin", "https://evil.example")
	if res, _ := s.do(r); res.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("the list was not replaced")
	}
}

// Every route is described, and every description is a route.
func TestRoutes_areTheDescribedOnes(t *testing.T) {
	s := open(t, desktest.Options{})
	want := check.Routes(t)
	got := s.API.Routes()
	for i := range got {
		got[i] = strings.TrimSuffix(got[i], "{$}")
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("routes\n%v\ndescribed\n%v", got, want)
	}
	for _, name := range []string{"openapi.yaml", "asyncapi.yaml"} {
		file, _ := spec.Files.ReadFile(name)
		if res, body := s.ask("GET", "/"+name, "", ""); res.StatusCode != 200 || body != string(file) {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
}

// A path is taken as it is: nothing is cleaned, redirected or guessed, and so no
// query with a credential in it is sent back. Seen to fail with net/http's own
// cleaning.
func TestRoutes_pathTricks(t *testing.T) {
	s := open(t, desktest.Options{})
	s.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ann := s.key("ann")
	for _, path := range []string{
		"//api/user/rest/history", "/api//user/rest/history", "/api/user/rest/history/", "/api/user/rest/./history",
		"/api/user/rest/x/../history", "/api/user/rest/%2e%2e/rest/history", "/api/user/rest%2fhistory", "/api/user/rest/history%00",
		"/API/user/rest/history", "/api/user/rest/history;x=1", "/api/user/rest/history%20", "/..", "/%2e%2e/%2e%2e/etc/passwd", "/healthz/",
		"/openapi.yaml/..%2fopenapi.yaml", "/index.html", "/.git/config", "/api/user/rest\\history",
	} {
		r := s.request("GET", "/", ann, "")
		r.URL.Opaque = "//" + r.URL.Host + path + "?" + annsThread + "&apikey=" + ann
		res, err := s.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 404 || res.Header.Get("Location") != "" {
			t.Errorf("%s: %d, Location %q", path, res.StatusCode, res.Header.Get("Location"))
		}
	}
	for _, m := range []string{"PUT", "DELETE", "PATCH", "TRACE", "BREW"} {
		if res, _ := s.ask(m, "/api/user/rest/history", ann, ""); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: %d, Allow %q", m, res.StatusCode, res.Header.Get("Allow"))
		}
	}
}
