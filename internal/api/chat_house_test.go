package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/store"
	"github.com/seed4677ff1f/tandem/internal/turn"
	"github.com/seed4677ff1f/tandem/internal/ws"
	"github.com/seed4677ff1f/tandem/spec/check"
)

// chatHouse is a whole server in the test process, with an agent that says what
// the test tells it to.
type chatHouse struct {
	t      testing.TB
	store  *store.Store
	hub    *hub.Hub
	desk   *desk.Desk
	auth   *auth.Auth
	turns  *turn.Runner
	server *Server
	metric *metric.Set
	agent  *puppet
	web    *http.Server
	dial   *http.Client
	base   string // ws://host
	piped  bool
	cut    sync.Once
}

// chatWith is what differs from the defaults.
type chatWith struct {
	limits func(*tandem.Limits)
	opt    func(*Options)
	agents []turn.Spec // nil: the puppet answers everything
	clock  tandem.Clock
	piped  bool // connections are pipes, for synctest
}

func openChat(t testing.TB, with chatWith) *chatHouse {
	t.Helper()
	h := &chatHouse{t: t, agent: newPuppet(), metric: metric.New(), piped: with.piped}
	limits := tandem.DefaultLimits()
	limits.Requests = tandem.Rate{}
	if with.limits != nil {
		with.limits(&limits)
	}
	if with.agents == nil {
		with.agents = []turn.Spec{turn.DefaultSpec("support-bot", h.agent)}
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	h.hub = hub.New(hub.Options{Codec: Codec(), Metric: h.metric, Clock: with.clock})
	var err error
	h.store, err = store.Open(t.Context(), store.Options{Dir: t.TempDir(), Clock: with.clock, Log: log, Committed: func(c []store.Committed) { h.desk.Committed(c) }})
	if err != nil {
		t.Fatal(err)
	}
	h.turns = turn.New(turn.Options{
		Store: h.store, Hub: h.hub, Agents: with.agents, Limits: limits, Clock: with.clock, Log: log,
		Handoff: func(ctx context.Context, a tandem.Address, conv string, req tandem.HandoffRequest) error {
			return h.desk.AgentAsks(ctx, a, conv, req)
		},
	})
	h.desk = desk.New(desk.Options{Store: h.store, Hub: h.hub, Turns: h.turns, Limits: limits, Clock: with.clock, Log: log})
	if h.auth, err = auth.New(auth.Options{Store: h.store, Clock: with.clock, Log: log}); err != nil {
		t.Fatal(err)
	}
	opt := Options{Desk: h.desk, Auth: h.auth, Limits: limits, Clock: with.clock, Log: log, Metric: h.metric}
	if with.opt != nil {
		with.opt(&opt)
	}
	h.server = New(opt)
	if with.piped {
		h.server.gone.close() // it waits in the kernel, where no bubble's clock goes on; sockets do not need it
	}
	if err := h.turns.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	watching, stop := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		h.auth.Run(watching, func(match func(tandem.Principal) bool, reason string) { h.hub.EndStreams(match, reason) })
	}()
	h.listen()
	t.Cleanup(func() {
		h.agent.quit()
		h.cutOff()
		h.web.Close()
		h.dial.CloseIdleConnections()
		stop()
		<-watched
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		h.turns.Stop(ctx)
		if err := h.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// cutOff closes the server, once.
func (h *chatHouse) cutOff() {
	h.cut.Do(func() {
		if !h.piped {
			h.server.Close()
			return
		}
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = h.server.Drain(now) // that nothing was waited for
		h.server.cancel()
	})
}

// listen serves on a TCP port, or on pipes.
func (h *chatHouse) listen() {
	h.web = &http.Server{Handler: h.server.Handler()}
	if !h.piped {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			h.t.Fatal(err)
		}
		h.dial, h.base = &http.Client{Transport: &http.Transport{}}, "ws://"+l.Addr().String()
		go h.web.Serve(l)
		return
	}
	l := &pipes{in: make(chan net.Conn), done: make(chan struct{})}
	h.dial, h.base = &http.Client{Transport: &http.Transport{DialContext: l.dial}}, "ws://pipe"
	go h.web.Serve(l)
}

// pipes is a listener in memory.
type pipes struct {
	in   chan net.Conn
	done chan struct{}
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.in <- far:
		return near, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.in:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// token makes a participant's token.
func (h *chatHouse) token(subject string, change ...func(*auth.MintRequest)) string {
	h.t.Helper()
	r := auth.MintRequest{Tenant: "default", Subject: subject, Role: tandem.Participant, Name: strings.ToUpper(subject[:1]) + subject[1:]}
	for _, c := range change {
		c(&r)
	}
	token, err := h.auth.Mint(h.t.Context(), r)
	if err != nil {
		h.t.Fatal(err)
	}
	return token.Token.Reveal()
}

// puppet is an agent that is led by the test: each question comes out of asked,
// and its answer is what the test does with it.
type puppet struct {
	asked chan *asked
	over  chan struct{}
	calls atomic.Int32
}

type asked struct {
	tandem.Question
	do   chan func(emit func(tandem.Piece) error) error
	done chan struct{} // the answer was cut
}

var errEndOfAnswer = errors.New("end of the answer")

func newPuppet() *puppet { return &puppet{asked: make(chan *asked, 64), over: make(chan struct{})} }

func (p *puppet) quit() { close(p.over) }

func (p *puppet) Reply(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
	p.calls.Add(1)
	a := &asked{q, make(chan func(func(tandem.Piece) error) error), make(chan struct{})}
	defer close(a.done)
	p.asked <- a
	for {
		select {
		case do := <-a.do:
			switch err := do(emit); err {
			case nil:
			case errEndOfAnswer:
				return nil
			default:
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.over:
			return errors.New("the test is over")
		}
	}
}

// question waits for the next question that the agent is asked.
func (h *chatHouse) question() *asked {
	h.t.Helper()
	select {
	case a := <-h.agent.asked:
		return a
	case <-time.After(10 * time.Second):
		h.t.Fatal("the agent was not asked")
		return nil
	}
}

func (a *asked) says(piece string) {
	a.do <- func(emit func(tandem.Piece) error) error { return emit(tandem.Piece{Text: piece}) }
}

func (a *asked) ends() {
	a.do <- func(func(tandem.Piece) error) error { return errEndOfAnswer }
	<-a.done
}

func (a *asked) fails(err error) {
	a.do <- func(func(tandem.Piece) error) error { return err }
	<-a.done
}

// chatClient is one socket, and what went over it.
type chatClient struct {
	h      *chatHouse
	conn   *ws.Conn
	frames chan string
	ended  chan struct{}
	err    error // why Read ended; after ended
	pongs  chan string
	log    strings.Builder // what was sent and seen, for golden transcripts
}

// opens connects with the query, such as "after=", and reads the first frame.
func (h *chatHouse) opens(token, query string) *chatClient {
	h.t.Helper()
	c := h.connects(token, query)
	c.sees("connection")
	return c
}

func (h *chatHouse) connects(token, query string) *chatClient {
	h.t.Helper()
	c, err := h.tries(h.base+"/?"+query, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *chatHouse) tries(url string, header http.Header) (*chatClient, error) {
	c := &chatClient{h: h, frames: make(chan string, 4096), ended: make(chan struct{}), pongs: make(chan string, 64)}
	conn, err := ws.Dial(h.t.Context(), h.dial, url, header, ws.Options{OnPong: func(b []byte) { c.pongs <- string(b) }})
	if err != nil {
		return nil, err
	}
	c.conn = conn
	go func() {
		defer close(c.ended)
		defer close(c.frames)
		for {
			text, err := conn.Read()
			if err != nil {
				c.err = err
				return
			}
			c.frames <- string(text)
		}
	}()
	h.t.Cleanup(func() {
		conn.Abort()
		<-c.ended
	})
	return c, nil
}

// sends sends a frame as it is.
func (c *chatClient) sends(frame string) {
	c.h.t.Helper()
	fmt.Fprintln(&c.log, ">", frame)
	if c.h.piped {
		synctest.Wait() // a pipe holds nothing: both sides must not write at the same time
	}
	if err := c.conn.WriteText([]byte(frame)); err != nil {
		c.h.t.Fatal(err)
	}
}

// next is the next frame; it must be described.
func (c *chatClient) next() string {
	c.h.t.Helper()
	select {
	case f, ok := <-c.frames:
		if !ok {
			c.h.t.Fatalf("the socket ended: %v", c.err)
		}
		fmt.Fprintln(&c.log, "<", f)
		check.Frame(c.h.t, check.ToClient, []byte(f))
		return f
	case <-time.After(10 * time.Second):
		c.h.t.Fatalf("no frame came after\n%s", c.log.String())
		return ""
	}
}

// chatAny is a frame from the server with all fields that tests look at.
type chatAny struct {
	Type, Message, Code, MessageID, ClientMessageID, Token, FinishReason, Cursor, ConversationID, Mode, Status string
	Role, Name, Content, MessageType, InReplyTo, Timestamp, Holder, Urgency, ExpiresAt                         string
	RetryAfter                                                                                                 int
	From, To                                                                                                   int64
	Data                                                                                                       json.RawMessage
}

// sees fails the test unless the next frame has this type.
func (c *chatClient) sees(kind string) chatAny {
	c.h.t.Helper()
	f := c.next()
	var got chatAny
	if err := json.Unmarshal([]byte(f), &got); err != nil {
		c.h.t.Fatal(err)
	}
	if got.Type != kind {
		c.h.t.Fatalf("want %s, got %s\nafter\n%s", kind, f, c.log.String())
	}
	return got
}

// refused sends a frame and wants an error with this code and sentence.
func (c *chatClient) refused(frame, code, sentence string) chatAny {
	c.h.t.Helper()
	c.sends(frame)
	got := c.sees("error")
	if got.Code != code || got.Message != sentence {
		c.h.t.Errorf("%s\n got %s: %q\nwant %s: %q", frame, got.Code, got.Message, code, sentence)
	}
	return got
}

// quiet proves that nothing is under way to this socket: the server answers a
// ping and nothing came before the pong.
func (c *chatClient) quiet() {
	c.h.t.Helper()
	c.sends(`{"type":"ping"}`)
	c.sees("pong")
}

// closes waits for the end of the socket and wants this code.
func (c *chatClient) closes(code ws.Code) {
	c.h.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(10 * time.Second):
		c.h.t.Fatal("the socket stays open")
	}
	closed := (*ws.CloseError)(nil)
	if !errors.As(c.err, &closed) || closed.Code != code {
		c.h.t.Fatalf("the socket ended with %v, want %d", c.err, code)
	}
	fmt.Fprintf(&c.log, "closed %d %s\n", closed.Code, closed.Reason)
}

// leaves drops the connection and waits until the server has noticed.
func (c *chatClient) leaves() {
	c.h.t.Helper()
	streams := c.h.hub.Streams()
	c.conn.Abort()
	<-c.ended
	eventually(c.h.t, "the server notices that a client is gone", func() bool { return c.h.hub.Streams() < streams })
}

// eventually waits for something that happens by itself.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	end := time.After(10 * time.Second)
	for !is() {
		select {
		case <-end:
			t.Fatal("never: " + what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// upgrade is the rest of a handshake by hand.
const upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

var (
	chatIDs     = regexp.MustCompile(`(msg|conv|req|evt)_[0-9A-HJKMNP-TV-Z]{26}`)
	chatCursors = regexp.MustCompile(`"cursor":"(\d+)-[a-z2-7]{8}"`)
	chatTimes   = regexp.MustCompile(`T\d\d:\d\d:\d\d\.\d\d\dZ`)
	chatDays    = regexp.MustCompile(`"\d{4}-\d\d-\d\dT`)
)

// plain puts names in the place of what differs from run to run, the same name
// for the same thing.
func (c *chatClient) plain() string {
	names := map[string]string{}
	s := chatIDs.ReplaceAllStringFunc(c.log.String(), func(id string) string {
		if names[id] == "" {
			names[id] = fmt.Sprintf("%s%d", id[:strings.Index(id, "_")+1], len(names)+1)
		}
		return names[id]
	})
	s = chatCursors.ReplaceAllString(s, `"cursor":"$1-cursorid"`)
	s = chatTimes.ReplaceAllString(s, "T10:30:00.123Z")
	return chatDays.ReplaceAllString(s, `"2025-09-12T`)
}

// asks makes an ordinary request, and returns status and body.
func (h *chatHouse) asks(r *http.Request) (int, string) {
	w := httptest.NewRecorder()
	h.server.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// endConversation ends the ACTIVE conversation, as its time-out will.
func endConversation(t *testing.T, h *chatHouse, a tandem.Address) {
	t.Helper()
	_, err := h.store.Append(t.Context(), store.Append{Threads: []tandem.Address{a}, Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
		c := *on[0].Active
		c.Status, c.EndedAt = tandem.StatusEnded, now
		body, err := json.Marshal(c)
		w := store.Write{Thread: on[0].Thread, Conversation: &c, Events: []tandem.Event{{Kind: tandem.KindState, ID: tandem.NewID("evt_", now), Body: body}}}
		w.Thread.Control.Conversation = ""
		return []store.Write{w}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func jsonInto(text string, to any) error { return json.Unmarshal([]byte(text), to) }
