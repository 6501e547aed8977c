package desktest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/sse"
	"github.com/seed4677ff1f/tandem/internal/turn"
)

// within is how long the campaign waits for what must come.
const within = 30 * time.Second

// takeovers is how many the campaign makes.
func takeovers(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("TANDEM_TAKEOVERS")); err == nil {
		return n
	}
	if testing.Short() {
		return 100
	}
	return 1000
}

// The promise of law 5: of a thousand takeovers in the middle of answers of an
// agent that talks without end, at random moments, by one or by two who race, with
// a word or without, before the first token and after it, while a back end pushes
// and while readers read nothing, each has exactly one holder; nothing that the
// agent says after the cut is taken, stored or shown; each answer ends once, in
// every stream before the operator's first word, with the text that is stored;
// every call of the agent stops; nobody who does not read delays anybody.
//
// Seen to fail by publishing without looking at frozen; by fences that never
// refuse, of a turn, of a push, of an operator's word and of a takeover, one by
// one; by leaving out the cut's last byte; and by not cancelling the call.
func TestTakeover_thousandTimes(t *testing.T) {
	const threads = 13 // of no common divisor with what the rounds differ by
	rounds := takeovers(t)
	l := &ledger{t: t, calls: map[string]*call{}}
	spec := turn.DefaultSpec("bot", desktest.AgentFunc(l.endless))
	spec.History, spec.Concurrency, spec.Total = 0, threads, 0
	x := desktest.Start(t, desktest.Options{Agents: []turn.Spec{spec}})
	var all sync.WaitGroup
	fronts := make([]*front, threads)
	for n := range threads {
		f := newFront(x, l, n)
		fronts[n] = f
		all.Go(func() {
			for i := n; i < rounds; i += threads {
				f.round(i)
			}
			f.finish()
		})
	}
	all.Wait()
	cut, late := 0, 0
	var slow [2]time.Duration
	for _, f := range fronts {
		cut += f.check()
		late += f.late
		slow[0], slow[1] = max(slow[0], f.slow[0]), max(slow[1], f.slow[1])
	}
	if n := l.running.Load(); n != 0 {
		t.Errorf("%d calls of the agent go on", n)
	}
	if cut < rounds/2 && !t.Failed() {
		t.Errorf("only %d answers had begun", cut)
	}
	if slow[1] > 3*time.Second && slow[0] < time.Second || late > rounds/50 { // else the machine is slow, and nobody's reader
		t.Errorf("with readers that do not read a takeover took %v, else %v, and %d were not made in time", slow[1], slow[0], late)
	}
	t.Logf("%d takeovers, %d of them after the first token; the slowest took %v, with readers that do not read %v", rounds, cut, slow[0], slow[1])
}

// A ledger has what the agent was let say.
type ledger struct {
	t       testing.TB
	running atomic.Int64
	mu      sync.Mutex // guards calls
	calls   map[string]*call
}

// A call is one question to the agent, by its text.
type call struct {
	began    chan struct{} // closed at the first token
	entered  atomic.Bool
	done     chan struct{} // closed when the agent has returned
	over     atomic.Bool   // the takeover has been answered
	accepted int           // bytes that were taken; of the agent until done
}

func (l *ledger) call(question string) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls[question] == nil {
		l.calls[question] = &call{began: make(chan struct{}), done: make(chan struct{})}
	}
	return l.calls[question]
}

// endless talks until it is cut, now fast, now slowly; asked to be silent it says
// nothing for so long.
func (l *ledger) endless(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
	l.running.Add(1)
	defer l.running.Add(-1)
	c := l.call(q.Message)
	if c.over.Load() && ctx.Err() == nil {
		l.t.Errorf("%q is asked after the takeover", q.Message)
	}
	if c.entered.Swap(true) {
		l.t.Errorf("%q is asked twice", q.Message)
		return nil
	}
	defer close(c.done)
	if strings.HasPrefix(q.Message, "silent") {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for i := 0; ; i++ {
		token := fmt.Sprintf("%s.%d ", q.Message, i)
		late := c.over.Load()
		if err := emit(tandem.Piece{Text: token}); err != nil {
			return err
		}
		if late {
			l.t.Errorf("%q: a token was taken after the takeover was answered", q.Message)
		}
		c.accepted += len(token)
		if i == 0 {
			close(c.began)
		}
		if rand.N(8) > 0 { // else in one breath with the next
			if !waitFor(ctx, time.Duration(rand.N(2000))*time.Microsecond) {
				continue // the next emit says why
			}
		}
	}
}

func waitFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// A front is one thread, its readers, and who comes and goes there.
type front struct {
	t       testing.TB
	x       *desktest.Tandem
	l       *ledger
	address tandem.Address
	id      string           // of its conversation
	lead    tandem.Principal // who sees it whoever holds it
	holder  atomic.Pointer[string]
	epoch   atomic.Int64     // as the last change told it
	readers []*reading       // all there were
	stuck   []*stuck         // likewise; the last does not read
	asked   []string         // the questions
	unborn  []string         // those that came with a takeover: nobody is to answer them
	slowed  bool             // a reader over HTTP does not read
	slow    [2]time.Duration // the slowest takeover: while all read, and while somebody does not
	late    int              // takeovers that were refused because they could not be made in time
	pushes  sync.Map         // id of a push that was delivered: the epoch it named, or nil
}

func newFront(x *desktest.Tandem, l *ledger, n int) *front {
	name := fmt.Sprint("user-", n)
	f := &front{t: x.T, x: x, l: l, address: desktest.Address(name), lead: person(fmt.Sprint("lee-", n), tandem.Supervisor)}
	c, _, err := x.Desk.Open(x.T.Context(), backEnd(), desk.Opening{Address: f.address})
	if err != nil {
		x.T.Fatal(err)
	}
	f.id = c.ID
	for _, face := range []tandem.Face{tandem.FaceChat, tandem.FaceEvents, tandem.FaceConversation} {
		r := f.reads(face)
		f.readers = append(f.readers, r)
		go r.until("that is all")
	}
	if f.slowed = n%3 == 0; f.slowed {
		f.stuck = append(f.stuck, f.sticks())
	}
	return f
}

func person(name string, role tandem.PrincipalRole) tandem.Principal {
	return tandem.Principal{Tenant: "default", Subject: name, Role: role, Kind: tandem.CredentialJWT, ID: "jti-" + name, Name: name}
}

func backEnd() tandem.Principal {
	return tandem.Principal{Tenant: "default", Subject: "engine", Role: tandem.Agent, Kind: tandem.CredentialKey, ID: "key_1", Name: "Engine"}
}

// reading is a reader of the front in the test's process.
type reading struct {
	f    *desk.Follower
	from tandem.Cursor
	seen *screen
	done chan struct{}
}

func (f *front) reads(face tandem.Face) *reading {
	p := f.lead
	req := desk.Follow{Address: f.address, View: tandem.View{Face: face, Tokens: true}}
	if face == tandem.FaceConversation {
		req.Conversation, req.View.Audience = f.id, p.Audience()
	} else {
		p = person(f.address.Participant, tandem.Participant)
	}
	req.Principal = p
	from, err := f.x.Desk.Follow(f.t.Context(), req)
	if err != nil {
		f.t.Fatal(err)
	}
	return &reading{f: from, from: from.Cursor(), seen: newScreen(f.t, f.address.Participant+" "+face.String(), face), done: make(chan struct{})}
}

// until reads on until somebody said so.
func (r *reading) until(text string) {
	defer close(r.done)
	defer r.f.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*within)
	defer cancel()
	for !r.seen.has(text) {
		if !r.next(ctx) {
			return
		}
	}
}

func (r *reading) next(ctx context.Context) bool {
	b, err := r.f.Next(ctx)
	if err != nil || b.Ended != "" || b.Gap != nil || b.Reset {
		r.seen.t.Errorf("%s: reading ends with %v, %q, gap %v, reset %v after %d lines", r.seen.name, err, b.Ended, b.Gap, b.Reset, len(r.seen.lines))
		return false
	}
	for _, frame := range b.Frames {
		r.seen.show(frame)
	}
	return true
}

// stuck is a reader over HTTP that takes the first event and then nothing.
type stuck struct {
	conn     net.Conn
	events   *sse.Decoder
	seen     *screen
	from, to int64 // the part of the log that it was shown
}

func (f *front) sticks() *stuck {
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }), err)
	}}
	conn, err := dialer.DialContext(f.t.Context(), "tcp", strings.TrimPrefix(f.x.URL, "http://"))
	if err != nil {
		f.t.Fatal(err)
	}
	who := f.address.Participant
	fmt.Fprintf(conn, "GET /api/user/sse/events?workflow=support&tokens=true&heartbeatSeconds=300&participantId=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n",
		who, f.x.Token(who, tandem.Participant))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		f.t.Fatal(res, err)
	}
	s := &stuck{conn: conn, events: sse.NewDecoder(res.Body, maxFrame), seen: newScreen(f.t, who+" over HTTP", tandem.FaceEvents)}
	s.seen.follow(s.events, func() bool { return s.seen.at != "" })
	s.from = s.seq()
	return s
}

// seq is how far it was shown the log.
func (s *stuck) seq() int64 {
	c, err := tandem.ParseCursor(s.seen.at)
	if err != nil {
		s.seen.t.Errorf("%s: %v", s.seen.name, err)
	}
	return c.Seq
}

// unstuck reads all that was sent, up to some word; with more room, for a small
// window is filled by the kernel's timers.
func (s *stuck) unstuck(word string) {
	defer s.conn.Close()
	_ = s.conn.(*net.TCPConn).SetReadBuffer(1 << 20)
	_ = s.conn.SetReadDeadline(time.Now().Add(within))
	s.seen.follow(s.events, func() bool { return s.seen.has(word) })
	s.to = s.seq()
}
