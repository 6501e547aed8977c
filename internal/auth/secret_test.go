package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

const hush = "sk-hushhushhushhushhush"

// Fails if Format, LogValue or MarshalText is taken away, or if Presented holds
// its secret as a value.
func TestSecret_neverPrints(t *testing.T) {
	s := Secret(hush)
	cred := Present(hush, true)
	inside := struct {
		Name   string
		Secret Secret
		cred   Presented
	}{"x", s, cred}
	for _, v := range []any{s, &s, cred, &cred, inside, &inside, []Secret{s}, map[string]Secret{"k": s}, Token{Token: s}, Issuer{Secret: s}, MintRequest{}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%z"} {
			if out := fmt.Sprintf(verb, v); leaks(out) {
				t.Errorf("%T with %s: %s", v, verb, out)
			}
		}
		if out, err := json.Marshal(v); err != nil || leaks(string(out)) {
			t.Errorf("%T as JSON: %s, %v", v, out, err)
		}
		var text, js safeBuffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&js, nil)} {
			slog.New(h).Info("x", "v", v)
		}
		if leaks(text.String()) || leaks(js.String()) {
			t.Errorf("%T in a log: %s %s", v, text.String(), js.String())
		}
	}
	if leaks(fmt.Sprint(s, s)) || leaks(fmt.Errorf("bad %v %w", s, errors.New("x")).Error()) || leaks(s.String()) || leaks(s.GoString()) {
		t.Error("it prints")
	}
	if v := slog.AnyValue(s).Resolve(); v.Kind() != slog.KindString || v.String() != redacted {
		t.Errorf("a handler of somebody else's would get a %s", v.Kind())
	}
	if s.Reveal() != hush {
		t.Error("Reveal must give it")
	}
}

func leaks(out string) bool {
	return strings.Contains(strings.ToLower(out), "hush") || strings.Contains(strings.ToLower(out), fmt.Sprintf("%x", "hush"))
}

func TestRedact_findsCredentialsInsideOfText(t *testing.T) {
	for in, want := range map[string]string{
		"Get \"http://h/?apikey=sk-abcdefgh&x=1\"": "Get \"http://h/?apikey=[redacted]&x=1\"",
		"ticket tk-abc_def-ghi.":                   "ticket [redacted].",
		"/console/#in=ln-abc_def-ghi":              "/console/#in=[redacted]",
		"token=eyJhbGciOiJub25lIn0.e30.sig_x end":  "token=[redacted] end",
		"eyJhbGciOiJub25lIn0..":                    "[redacted]",
		"Bearer eyJhbGci":                          "Bearer [redacted]",
		"a task-force, risk-averse, sk-1":          "a task-force, risk-averse, sk-1",
		"":                                         "",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestRedactAttr_guardsALog(t *testing.T) {
	var out safeBuffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: RedactAttr}))
	log.Info("asked for /?token="+hush, "s", hush, "err", errors.New("at "+hush), "bytes", []byte(hush), "n", 7, "g", slog.GroupValue(slog.String("s", hush)))
	if s := out.String(); leaks(s) || strings.Count(s, redacted) != 5 || !strings.Contains(s, `"n":7`) {
		t.Error(s)
	}
}

// Everything that can be done with credentials, good and bad, at level debug:
// none of them, nor any part that would do, gets into the log or into an error.
func TestAuth_logsAndErrorsHoldNoCredential(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, issuerFor(t, algHS256), issuerOf("https://down.example", "http://127.0.0.1:1/jwks?secret=hushhush"))
	key, k := r.key(t, KeyRequest{})
	gone, g := r.key(t, KeyRequest{TTL: time.Hour})
	if err := r.RevokeKey(ctx, "default", g.ID); err != nil {
		t.Fatal(err)
	}
	own := r.mint(t, MintRequest{})
	ticket, _, err := r.NewTicket(ctx, r.good(t, key), Stream)
	if err != nil {
		t.Fatal(err)
	}
	creds := []string{
		key, gone, own, ticket.Reveal(), own[:len(own)-4] + "AAAA", "sk-unknownunknownunknown", "tk-unknownunknownunknown", "no form at all, but secret",
		sign(t, algHS256, keys().secret, nil, body(map[string]any{"sub": "hush\n"})),
		sign(t, algHS256, keys().secret, nil, body(map[string]any{"exp": noon.Unix()})),
		sign(t, algRS256, keys().rsa, nil, body(map[string]any{"iss": "https://down.example"})),
		handmade(t, map[string]any{"alg": "none"}, body(nil), nil),
	}
	var texts []string
	for _, purpose := range []Purpose{Request, Stream, Socket, Stream} {
		for _, s := range creds {
			_, err := r.Authenticate(ctx, Present(s, true), Use{Purpose: purpose, Route: "GET /x"})
			if err != nil {
				texts = append(texts, err.Error())
			}
		}
		r.clock.move(10 * time.Minute)
	}
	if _, err := r.RotateSecret(ctx, 0); err != nil {
		t.Fatal(err)
	}
	secret, err := r.store.SigningKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all := r.log.String() + strings.Join(texts, "\n")
	if !strings.Contains(all, "credential refused") || !strings.Contains(all, k.ID) {
		t.Fatal("the log is not what this test is about:", all)
	}
	for _, s := range append(creds, "hush", string(keys().secret), string(secret.Bytes)) {
		parts := []string{s}
		if strings.Count(s, ".") == 2 {
			parts = strings.Split(s, ".")
		}
		for _, part := range parts {
			if part != "" && strings.Contains(all, part) {
				t.Errorf("%q is in the log or in an error", part)
			}
		}
	}
}

// issuerOf is an issuer with a key set at a URL.
func issuerOf(name, url string) Issuer {
	return Issuer{Issuer: name, JWKS: url, Tenant: "default", Roles: []tandem.PrincipalRole{tandem.Participant}}
}
