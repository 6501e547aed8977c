package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

const converse = "/api/user/rest/converse?" + annsThread + "&type=Chat&text=hi&timeoutSeconds=10"

// Converse answers with what is said back to this very question, or with what an
// operator says. Seen to fail by taking any Outgoing Chat.
func TestConverse_waitsForItsOwnAnswer(t *testing.T) {
	s := open(t, desktest.Options{Agents: desktest.Echo()})
	ann := s.key("ann")
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			r := s.request("POST", fmt.Sprintf("/api/user/rest/converse?%s&type=Chat&text=question+%d&requestId=r-%d", annsThread, i, i), ann, "")
			res, body := s.do(r)
			if want := fmt.Sprintf(`"text":"question %d"`, i); res.StatusCode != 200 || !strings.Contains(body, want) || !strings.Contains(body, `"direction":"Outgoing"`) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
	group.Wait()
}

// Who stops waiting, or is made to, leaves nothing behind: the message is kept.
func TestConverse_endsWithItsCallerAndWithTheServer(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Agents: desktest.AnsweredBy(make(desktest.Fed))})
	ann := s.key("ann")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := s.Client.Do(s.request("POST", converse, ann, "").WithContext(ctx))
		ended <- err
	}()
	until(t, func() bool { return s.head(desktest.Address("ann")) > 0 })
	cancel()
	if err := <-ended; err == nil {
		t.Error("an answer came")
	}
	bob := strings.NewReplacer("ann", "bob", "Seconds=10", "Seconds=600").Replace(converse)
	status := make(chan int)
	go func() {
		res, _ := s.ask("POST", bob, s.key("bob"), "")
		status <- res.StatusCode
	}()
	until(t, func() bool { return s.head(desktest.Address("bob")) > 0 })
	s.API.Close()
	if got := <-status; got != 503 {
		t.Errorf("when the server ends: %d", got)
	}
	until(t, func() bool { return s.Hub.Streams() == 0 })
}

// An agent that fails is no reason to wait.
func TestConverse_tellsThatTheAgentFailed(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Agents: desktest.AnsweredBy(desktest.AgentFunc(func(context.Context, tandem.Question, func(tandem.Piece) error) error {
		return tandem.Errorf(tandem.Internal, "it is broken")
	}))})
	res, body := s.ask("POST", converse, s.key("ann"), "")
	if want := `{"error":"Service unavailable","message":"AI service is currently unavailable. Please try again later."}`; res.StatusCode != 503 || body != want {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// Over the wire: the 20th post passes, the 21st does not, and is not stored.
func TestRate_postsOfAParticipant(t *testing.T) {
	limits := tandem.DefaultLimits()
	s := open(t, desktest.Options{Limits: &limits, Clock: atNoon})
	ann := s.key("ann")
	for range 20 {
		s.send(ann, "ann", "Data", "x", "")
	}
	before := s.head(desktest.Address("ann"))
	res, body := s.ask("POST", "/api/user/rest/send?"+annsThread+"&type=Data&text=x", ann, "")
	if want := `{"error":"Rate limit exceeded","message":"Too many requests. Please try again later.","retryAfter":"3"}`; res.StatusCode != 429 || body != want {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	for name, want := range map[string]string{"Retry-After": "3", "RateLimit-Limit": "20", "RateLimit-Remaining": "0", "RateLimit-Reset": "60"} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if s.head(desktest.Address("ann")) != before {
		t.Error("it was stored")
	}
	// What costs nothing still passes: streams and tickets; and so do other requests.
	s.listen(ann, annsThread).until("connected")
	for _, path := range []string{"/api/auth/tickets", "/api/user/rest/history?" + annsThread} {
		method, body := "GET", ""
		if strings.HasSuffix(path, "tickets") {
			method, body = "POST", `{"for":"stream"}`
		}
		if res, _ := s.ask(method, path, ann, body); res.StatusCode >= 300 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}

// Requests without a good credential count against their address, and only those:
// whoever has a good one passes from there. Seen to fail by counting before the
// credential is judged.
func TestRate_ofAnAddress(t *testing.T) {
	t.Parallel()
	limits := tandem.DefaultLimits()
	limits.Requests = tandem.Rate{N: 5, Per: time.Minute}
	s := open(t, desktest.Options{Limits: &limits, Clock: atNoon})
	ann := s.key("ann")
	for i := range 8 {
		want := 401
		if i >= 5 {
			want = 429
		}
		key := []string{"", "sk-wrong"}[i%2]
		path := []string{"/api/user/sse/events?" + annsThread, "/api/conversations", "/ws"}[i%3]
		r := s.request("GET", path, key, "")
		if path == "/ws" {
			for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
				r.Header.Set(name, value)
			}
		}
		res, body := s.do(r)
		if res.StatusCode != want {
			t.Errorf("%d: %s: %d, want %d: %s", i, path, res.StatusCode, want, body)
		}
		if got := res.Header.Get("RateLimit-Limit") == "5"; got != (want == 429) {
			t.Errorf("%d: %s: RateLimit-Limit is there: %v", i, path, got)
		}
	}
	s.listen(ann, annsThread).until("connected")
	if res, _ := s.ask("GET", "/api/user/rest/history?"+annsThread, ann, ""); res.StatusCode != 200 {
		t.Errorf("with a good credential: %d", res.StatusCode)
	}
	if res, _ := s.ask("GET", "/healthz", "", ""); res.StatusCode != 200 {
		t.Errorf("healthz: %d", res.StatusCode)
	}
}

// A key may have a rate of its own.
func TestRate_ofAKey(t *testing.T) {
	s := open(t, desktest.Options{Clock: atNoon})
	key := s.keyFor(auth.KeyRequest{Role: tandem.Agent, Name: "slow", Rate: tandem.Rate{N: 2, Per: time.Minute}})
	for _, want := range []int{200, 200, 429} {
		if res, _ := s.ask("GET", "/api/user/rest/history?"+annsThread, key, ""); res.StatusCode != want {
			t.Errorf("%d, want %d", res.StatusCode, want)
		}
	}
}

// Neither a text, nor a query, a credential, a name or an id gets into the log,
// whatever goes wrong. Seen to fail by logging the request's URL.
func TestLog_tellsNothingOfWhatIsSaid(t *testing.T) {
	t.Parallel()
	var log lines
	s := open(t, desktest.Options{Log: &log, Agents: desktest.Answers("my-secret-answer")})
	ann, agent := s.key("ann-the-person"), s.Key(tandem.Agent)
	thread := "workflow=support&participantId=ann-the-person"
	token := s.Mint(auth.MintRequest{Subject: "ann-the-person", Role: tandem.Participant, Name: "Ann Person"})
	for _, key := range []string{ann, agent, token, "", "sk-wrong-credential", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"} {
		for _, path := range []string{
			"POST /api/user/rest/send?" + thread + "&type=Chat&text=my-secret-text", "POST /api/user/rest/converse?" + thread + "&type=Chat&text=my-secret-text&timeoutSeconds=2",
			"GET /api/user/rest/history?" + thread + "&access_token=" + key, "POST /api/agent/conversation/outbound/chat", "GET /api/conversations?admin_id=my-secret-text",
			"POST /api/auth/tickets", "POST /api/auth/refresh", "GET /my-secret-text", "GET /ws?token=" + key,
		} {
			method, path, _ := strings.Cut(path, " ")
			s.ask(method, path, key, `{"for":"stream","workflow":"support","participantId":"ann-the-person","text":"my-secret-text"}`)
		}
	}
	l := s.listen(ann, thread)
	l.until("connected")
	s.Stop()
	text := log.String()
	if text == "" {
		t.Fatal("nothing was logged at all")
	}
	for _, secret := range []string{"my-secret", "ann-the-person", "Ann Person", "sk-", "tk-", "eyJ", "access_token", "participantId"} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%q is in the log: …%s…", secret, text[max(0, i-200):min(len(text), i+100)])
		}
	}
}

// lines is a log that several goroutines write.
type lines struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A refreshed token is good, and only for what the first was good for.
func TestRefresh(t *testing.T) {
	s := open(t, desktest.Options{})
	token := s.Mint(auth.MintRequest{Subject: "ann", Role: tandem.Participant, TTL: time.Hour})
	_, body := s.ask("POST", "/api/auth/refresh", token, "")
	var got struct{ Token string }
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/api/user/rest/history?" + annsThread: 200, "/api/user/rest/history?workflow=support&participantId=bob": 403} {
		if res, _ := s.ask("GET", path, got.Token, ""); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
}

// The page of links is there, with a policy that lets it do nothing else.
func TestHome(t *testing.T) {
	s := open(t, desktest.Options{})
	res, body := s.ask("GET", "/", "", "")
	if res.StatusCode != 200 || !strings.Contains(body, "openapi.yaml") || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	for key, want := range map[string]int{s.Key(tandem.Owner): 200, s.Key(tandem.Agent): 403} {
		r := s.request("GET", "/metrics", key, "")
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		if res, _ := s.do(r); res.StatusCode != want {
			t.Errorf("metrics through a proxy: %d, want %d", res.StatusCode, want)
		}
	}
}
