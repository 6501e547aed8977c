package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/store"
	"github.com/seed4677ff1f/tandem/internal/turn"
	"github.com/seed4677ff1f/tandem/spec"
	"github.com/seed4677ff1f/tandem/spec/check"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a whole server with its store, on a real socket.
type site struct {
	t      testing.TB
	store  *store.Store
	hub    *hub.Hub
	turns  *turn.Runner
	desk   *desk.Desk
	auth   *auth.Auth
	api    *Server
	http   *httptest.Server
	client *http.Client
	log    lockedBuffer
	clock  *clock
	limits tandem.Limits
}

// clock is a clock that a test sets. Until it does, it tells the time.
type clock struct {
	mu    sync.Mutex // guards shift, at
	at    time.Time
	shift time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() {
		return c.at
	}
	return time.Now().Add(c.shift)
}

func (c *clock) stop(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// siteOptions is what a test wants to be otherwise.
type siteOptions struct {
	agents []turn.Spec
	limits func(*tandem.Limits)
	api    func(*Options)
	start  func(*httptest.Server) // instead of Start
	lose   func() bool
	at     time.Time // a clock that stands still
}

func openSite(t testing.TB, with siteOptions) *site {
	t.Helper()
	s := &site{t: t, clock: &clock{at: with.at}, limits: tandem.DefaultLimits()}
	if with.limits != nil {
		with.limits(&s.limits)
	}
	now := s.clock.now
	log := slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: auth.RedactAttr}))
	s.hub = hub.New(hub.Options{Codec: Codec(), Lose: with.lose})
	var err error
	if s.store, err = store.Open(context.Background(), store.Options{
		Dir: t.TempDir(), Clock: now, Log: log, Committed: func(c []store.Committed) { s.desk.Committed(c) },
	}); err != nil {
		t.Fatal(err)
	}
	s.turns = turn.New(turn.Options{
		Store: s.store, Hub: s.hub, Agents: with.agents, Limits: s.limits, Clock: now, Log: log,
		Handoff: func(ctx context.Context, a tandem.Address, conversation string, req tandem.HandoffRequest) error {
			return s.desk.AgentAsks(ctx, a, conversation, req)
		},
	})
	s.desk = desk.New(desk.Options{Store: s.store, Hub: s.hub, Turns: s.turns, Limits: s.limits, Clock: now, Log: log})
	if s.auth, err = auth.New(auth.Options{Store: s.store, Clock: now, Log: log}); err != nil {
		t.Fatal(err)
	}
	opt := Options{Desk: s.desk, Auth: s.auth, Limits: s.limits, Spec: spec.Files, Clock: now, Log: log, Ready: s.store.Ready}
	if with.api != nil {
		with.api(&opt)
	}
	s.api = New(opt)
	if err := s.turns.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.http = httptest.NewUnstartedServer(s.api.Handler())
	if with.start != nil {
		with.start(s.http)
	} else {
		s.http.Start()
	}
	s.client = s.http.Client()
	t.Cleanup(s.close)
	return s
}

func (s *site) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.api.Drain(ctx); err != nil {
		s.t.Errorf("drain: %v", err)
	}
	s.client.CloseIdleConnections()
	s.http.Close()
	s.api.Close()
	s.turns.Stop(ctx)
	if err := s.store.Close(); err != nil {
		s.t.Error(err)
	}
}

// key makes an API key; who is "agent", "owner", "operator" or a participant's id.
func (s *site) key(who string) string {
	s.t.Helper()
	r := auth.KeyRequest{Tenant: "default", Name: who, Role: tandem.Participant, Subject: who}
	if role, err := tandem.ParseRole(who); err == nil {
		r.Role, r.Subject = role, ""
	}
	secret, _, err := s.auth.CreateKey(context.Background(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return secret.Reveal()
}

// token makes a token of the server's own.
func (s *site) token(r auth.MintRequest) string {
	s.t.Helper()
	t, err := s.auth.Mint(context.Background(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return t.Token.Reveal()
}

func (s *site) request(method, path, key, body string) *http.Request {
	s.t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, s.http.URL+path, from)
	if err != nil {
		s.t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return r
}

// do sends r and holds the answer against the specification.
func (s *site) do(r *http.Request) (*http.Response, string) {
	s.t.Helper()
	res, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	check.Response(s.t, r, res, body)
	return res, string(body)
}

func (s *site) ask(method, path, key, body string) (*http.Response, string) {
	s.t.Helper()
	return s.do(s.request(method, path, key, body))
}

// send posts a Chat as a participant on the workflow "support".
func (s *site) send(key, participant, text string) {
	s.t.Helper()
	q := url.Values{"workflow": {"support"}, "type": {"Chat"}, "participantId": {participant}, "text": {text}}
	if res, body := s.ask("POST", "/api/user/rest/send?"+q.Encode(), key, ""); res.StatusCode != 200 {
		s.t.Fatalf("send: %d %s", res.StatusCode, body)
	}
}

// push shows a participant a Chat of an agent.
func (s *site) push(key, participant, text string) {
	s.t.Helper()
	b, _ := json.Marshal(map[string]string{"workflow": "support", "participantId": participant, "text": text})
	if res, body := s.ask("POST", "/api/agent/conversation/outbound/chat", key, string(b)); res.StatusCode != 200 {
		s.t.Fatalf("push: %d %s", res.StatusCode, body)
	}
}

// head is the seq of the thread's last event: it does not move if nothing is stored.
func (s *site) head(a tandem.Address) int64 {
	s.t.Helper()
	t, err := s.store.Thread(context.Background(), a)
	if err != nil {
		s.t.Fatal(err)
	}
	return t.Head
}

// listener is an open event stream.
type listener struct {
	s    *site
	req  *http.Request
	res  *http.Response
	in   *bufio.Reader
	all  bytes.Buffer
	done bool
}

// block is one block of an event stream, as its fields.
type block struct{ event, data, id, retry string }

// listen opens a stream; the query is added to the path of the events.
func (s *site) listen(key, query string, header ...string) *listener {
	s.t.Helper()
	r := s.request("GET", "/api/user/sse/events?"+query, key, "")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	l := &listener{s: s, req: r, res: res, in: bufio.NewReader(res.Body)}
	s.t.Cleanup(l.close)
	return l
}

func (l *listener) close() {
	if !l.done {
		l.done = true
		l.res.Body.Close()
		check.Response(l.s.t, l.req, l.res, l.all.Bytes())
	}
}

// next reads the next block; false at the end of the stream.
func (l *listener) next() (block, bool) {
	l.s.t.Helper()
	var b block
	for lines := 0; ; lines++ {
		line, err := l.in.ReadString('\n')
		l.all.WriteString(line)
		if err != nil {
			return block{}, false
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return b, true
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "event":
			b.event = value
		case "data":
			b.data += value
		case "id":
			b.id = value
		case "retry":
			b.retry = value
		}
	}
}

// until reads up to the first block of this event, leaving out heartbeats.
func (l *listener) until(event string) block {
	l.s.t.Helper()
	for {
		b, ok := l.next()
		if !ok {
			l.s.t.Fatalf("the stream ended before %q; it was\n%s", event, l.all.String())
		}
		if b.event == event {
			return b
		}
		if b.event != "" && b.event != "heartbeat" {
			l.s.t.Fatalf("got %+v, want %q", b, event)
		}
	}
}

// text reads the next message and returns its text.
func (l *listener) text(event string) string {
	l.s.t.Helper()
	var m struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal([]byte(l.until(event).data), &m); err != nil {
		l.s.t.Fatal(err)
	}
	return m.Text
}

// scripted is an agent that says these pieces, each when it is let.
type scripted struct {
	pieces []tandem.Piece
	step   chan struct{} // nil: at once
	fail   error
}

func (a *scripted) Reply(ctx context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
	for _, p := range a.pieces {
		if a.step != nil {
			select {
			case <-a.step:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := emit(p); err != nil {
			return err
		}
	}
	return a.fail
}
