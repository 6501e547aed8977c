package api

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// ask sends a request to a server whose one route does this.
func ask(t *testing.T, form form, do handler) (res *httptest.ResponseRecorder, log string) {
	t.Helper()
	var logged bytes.Buffer
	s := New(Options{Limits: tandem.DefaultLimits(), Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelInfo}))})
	t.Cleanup(s.gone.close)
	s.route([]route{{pattern: "GET /it/{name}", form: form, do: do}})
	res = httptest.NewRecorder()
	s.Handler().ServeHTTP(res, httptest.NewRequest("GET", "/it/ann?token=sk-secret", nil))
	return res, logged.String()
}

func failing(err error) handler {
	return func(*Server, http.ResponseWriter, *http.Request, tandem.Principal) error { return err }
}

// Each kind becomes its status in each form, and what is not for clients goes to
// the log, where neither the path nor the query goes. Seen to fail by showing the
// cause, and by logging the URL.
func TestError_eachKindInEachForm(t *testing.T) {
	secret := errors.New("disk /dev/sda1 of 10.0.0.7 is gone")
	for _, c := range []struct {
		err                  error
		status               int
		object, bare, detail string
		logged               bool
	}{
		{secret, 500, `{"error":"Internal server error","message":"An unexpected error occurred. Please try again later."}`, "", `{"detail":"Failed to retrieve conversation"}`, true},
		{tandem.Errorf(tandem.Internal, "half of it: %w", secret), 500, `{"error":"Internal server error","message":"An unexpected error occurred. Please try again later."}`, "", `{"detail":"Failed to retrieve conversation"}`, true},
		{fmt.Errorf("around: %w", tandem.Errorf(tandem.Invalid, "text is required")), 400, `{"error":"Bad request","message":"text is required"}`, `"text is required"`, `{"detail":"text is required"}`, false},
		{tandem.Errorf(tandem.Unauthorized, "Token has been revoked. Please login again."), 401, `{"error":"Unauthorized","message":"Authentication is required to access this resource"}`, "", `{"detail":"Token has been revoked. Please login again."}`, false},
		{tandem.Errorf(tandem.Forbidden, "not yours"), 403, `{"error":"Forbidden","message":"You do not have permission to access this resource"}`, "", `{"detail":"not yours"}`, false},
		{tandem.Errorf(tandem.NotFound, "no such <thing>"), 404, `{"error":"Not found","message":"no such <thing>"}`, "", `{"detail":"no such <thing>"}`, false},
		{tandem.Errorf(tandem.Conflict, "it has ended"), 409, `{"error":"Conflict","message":"it has ended"}`, "", `{"detail":"it has ended"}`, false},
		{
			&tandem.Error{Kind: tandem.Held, Message: "Maya holds this conversation.", Epoch: 4}, 409,
			`{"error":"Held","message":"Maya holds this conversation.","controlEpoch":4}`, "", `{"detail":"Maya holds this conversation.","control_epoch":4}`, false,
		},
		{tandem.Errorf(tandem.Mismatch, "used before"), 422, `{"error":"Key used before","message":"used before"}`, "", `{"detail":"used before"}`, false},
		{tandem.Errorf(tandem.TooLarge, "too much"), 413, `{"error":"Too large","message":"too much"}`, "", `{"detail":"too much"}`, false},
		{&tandem.Error{Kind: tandem.TooMany, Message: "too many open streams"}, 429, `{"error":"Rate limit exceeded","message":"Too many requests. Please try again later.","retryAfter":"60"}`, "", `{"detail":"too many open streams"}`, false},
		{tandem.Errorf(tandem.Timeout, "nothing came"), 408, `{"error":"Timeout","message":"nothing came"}`, "", `{"detail":"nothing came"}`, false},
		{tandem.Errorf(tandem.Gone, "kept no more"), 410, `{"error":"Gone","message":"kept no more"}`, "", `{"detail":"kept no more"}`, false},
		{tandem.Errorf(tandem.Unavailable, "the disk is full: %w", secret), 503, `{"error":"Service unavailable","message":"the disk is full"}`, "", `{"detail":"the disk is full"}`, true},
	} {
		if c.bare == "" {
			c.bare = c.object
		}
		for f, want := range map[form]string{formObject: c.object, formBare: c.bare, formDetail: c.detail} {
			res, log := ask(t, f, failing(c.err))
			if got := res.Body.String(); res.Code != c.status || got != want {
				t.Errorf("%v: %d %s, want %d %s", c.err, res.Code, got, c.status, want)
			}
			if got := res.Header().Get("WWW-Authenticate") == "Bearer"; got != (c.status == 401) {
				t.Errorf("%v: WWW-Authenticate is there: %v", c.err, got)
			}
			if got := res.Header().Get("Retry-After") != ""; got != (c.status == 429 || c.status == 503) {
				t.Errorf("%v: Retry-After is there: %v", c.err, got)
			}
			if got := res.Header().Get("RateLimit-Remaining") == "0"; got != (c.status == 429) {
				t.Errorf("%v: RateLimit-Remaining is there: %v", c.err, got)
			}
			id := res.Header().Get("X-Request-Id")
			if got := strings.Contains(log, secret.Error()) && strings.Contains(log, id) && strings.Contains(log, "GET /it/{name}"); got != c.logged {
				t.Errorf("%v: logged %q", c.err, log)
			}
			if strings.Contains(log, "sk-secret") || strings.Contains(log, "ann") {
				t.Errorf("%v: the log tells who asked: %s", c.err, log)
			}
		}
	}
}

// Signing in has a form of its own, but for a 429.
func TestError_ofSigningIn(t *testing.T) {
	for err, want := range map[error]string{
		errors.New("disk"): `500 {"success":false,"message":"An unexpected error occurred. Please try again later."}`,
		tandem.Errorf(tandem.Unauthorized, "Invalid username or password"): `401 {"success":false,"message":"Invalid username or password"}`,
		tandem.Errorf(tandem.Invalid, "code is required"):                  `400 {"success":false,"message":"code is required"}`,
		tandem.Errorf(tandem.TooLarge, "too much"):                         `413 {"success":false,"message":"too much"}`,
		tandem.Errorf(tandem.Unavailable, "the disk is full"):              `503 {"success":false,"message":"the disk is full"}`,
		(&exhausted{allowance{limit: 5, refused: true}}):                   `429 {"error":"Rate limit exceeded","message":"Too many requests. Please try again later.","retryAfter":"1"}`,
	} {
		res, _ := ask(t, formLogin, failing(err))
		if got := fmt.Sprint(res.Code, " ", res.Body); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A handler that panics answers like any error of ours, and the server goes on.
// One that has begun to answer is not answered on top of.
func TestError_panicsAndLateErrors(t *testing.T) {
	for f, want := range map[form]string{
		formBare:   `{"error":"Internal server error","message":"An unexpected error occurred. Please try again later."}`,
		formDetail: `{"detail":"Failed to retrieve conversation"}`,
	} {
		res, log := ask(t, f, func(*Server, http.ResponseWriter, *http.Request, tandem.Principal) error { panic("sky falls") })
		if res.Code != 500 || res.Body.String() != want {
			t.Errorf("%d %s", res.Code, res.Body)
		}
		if !strings.Contains(log, "sky falls") || !strings.Contains(log, "error_test.go") || !strings.Contains(log, res.Header().Get("X-Request-Id")) {
			t.Errorf("logged %q", log)
		}
	}
	res, _ := ask(t, formBare, func(_ *Server, w http.ResponseWriter, _ *http.Request, _ tandem.Principal) error {
		fmt.Fprint(w, "half an ans")
		return errors.New("late")
	})
	if res.Code != 200 || res.Body.String() != "half an ans" {
		t.Errorf("%d %s", res.Code, res.Body)
	}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("a handler cannot abort")
		}
	}()
	ask(t, formBare, func(*Server, http.ResponseWriter, *http.Request, tandem.Principal) error { panic(http.ErrAbortHandler) })
}

// A refused handshake is answered as its error says.
func TestError_handshake(t *testing.T) {
	res, _ := ask(t, formObject, failing(&ws.HandshakeError{
		Status: http.StatusUpgradeRequired, Message: "only version 13", Header: http.Header{"Sec-Websocket-Version": {"13"}},
	}))
	if want := `{"error":"Upgrade required","message":"only version 13"}`; res.Code != 426 || res.Body.String() != want || res.Header().Get("Sec-WebSocket-Version") != "13" {
		t.Errorf("%d %v %s", res.Code, res.Header(), res.Body)
	}
}

// A client that is gone before its socket was open is no error of the server's;
// what breaks when nothing was upgraded is. Seen to fail by logging both, and
// neither.
func TestError_aClientGoneInTheHandshakeIsNoneOfOurs(t *testing.T) {
	broken := fmt.Errorf("ws: answering the handshake: %w", &net.OpError{Op: "write", Err: syscall.ECONNRESET})
	for status, ours := range map[int]bool{http.StatusSwitchingProtocols: false, 0: true} {
		_, log := ask(t, formObject, func(_ *Server, w http.ResponseWriter, _ *http.Request, _ tandem.Principal) error {
			w.(*recorder).status = status
			return broken
		})
		if got := strings.Contains(log, "request failed"); got != ours {
			t.Errorf("after status %d: logged %v: %s", status, got, log)
		}
	}
}

// Retry-After is in whole seconds, rounded up, and never 0.
func TestError_retryAfter(t *testing.T) {
	for wait, want := range map[int]string{1: "1", 999: "1", 1000: "1", 1001: "2", 59_500: "60"} {
		res, _ := ask(t, formBare, failing(&tandem.Error{Kind: tandem.TooMany, RetryAfter: time.Duration(wait) * time.Millisecond}))
		if got := res.Header().Get("Retry-After"); got != want || !strings.Contains(res.Body.String(), `"retryAfter":"`+want+`"`) {
			t.Errorf("%d ms: %s %s", wait, got, res.Body)
		}
	}
}

// /metrics is for this machine and for owners, and nowhere if it has an address
// of its own. Seen to fail by trusting any loopback peer: a proxy is one too.
func TestMetrics_areForThisMachine(t *testing.T) {
	s := New(Options{})
	t.Cleanup(s.gone.close)
	for _, c := range []struct {
		peer, header string
		want         bool
	}{
		{"127.0.0.1:9", "", true},
		{"[::1]:9", "", true},
		{"[::ffff:127.0.0.1]:9", "", true},
		{"@", "", true},
		{"203.0.113.9:9", "", false},
		{"127.0.0.1:9", "X-Forwarded-For", false},
		{"127.0.0.1:9", "X-Forwarded-Proto", false},
		{"127.0.0.1:9", "Forwarded", false},
		{"127.0.0.1:9", "X-Real-IP", false},
		{"127.0.0.1:9", "Via", false},
		{"127.0.0.1:9", "Origin", false},
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.RemoteAddr = c.peer
		if c.header != "" {
			r.Header.Set(c.header, "x")
		}
		if got := s.local(r); got != c.want {
			t.Errorf("%s with %q: %v", c.peer, c.header, got)
		}
	}
	elsewhere := New(Options{OpsElsewhere: true})
	t.Cleanup(elsewhere.gone.close)
	res, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	r.RemoteAddr = "127.0.0.1:9"
	elsewhere.Handler().ServeHTTP(res, r)
	if res.Code != 404 {
		t.Errorf("with an address of its own: %d", res.Code)
	}
}
