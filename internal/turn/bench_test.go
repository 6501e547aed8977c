package turn

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// empty is the folder of a store with nothing in it. To make its tables anew for
// each test takes longer than most tests.
var empty string

func TestMain(m *testing.M) {
	var err error
	if empty, err = os.MkdirTemp("", "turn"); err != nil {
		panic(err)
	}
	s, err := store.Open(context.Background(), store.Options{Dir: empty})
	if err = errors.Join(err, s.Close()); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(empty)
		os.Exit(code)
	}))
}

// replies is an agent that is a function.
type replies func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error

func (f replies) Reply(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
	return f(ctx, q, emit)
}

// says is an agent that says these tokens.
func says(tokens ...string) replies {
	return func(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
		for _, s := range tokens {
			if err := emit(tandem.Piece{Text: s}); err != nil {
				return err
			}
		}
		return nil
	}
}

// spec is an agent with the defaults.
func spec(a Agent, change ...func(*Spec)) Spec {
	s := DefaultSpec("bot", a)
	for _, c := range change {
		c(&s)
	}
	return s
}

// bench is a store, a hub and a Runner, wired as the server wires them.
//
// It holds one law over all tests: when an answer's closing event is committed,
// what readers were shown by then is its text to the byte, and nothing follows.
// Seen to fail by letting go of the turn's lock before publishing, and by not
// looking at frozen.
type bench struct {
	slog.Handler
	t     testing.TB
	dir   string
	store *store.Store
	hub   *hub.Hub
	run   *Runner
	set   *metric.Set

	mu      sync.Mutex // guards all below
	changed chan struct{}
	watch   map[tandem.Address]*hub.Watcher
	ends    map[string]int // ends of turns by question
	shown   map[string]string
	closed  map[tandem.Address][]int64 // answers that have ended
	logged  map[string]int             // messages of the log
}

// Handle counts what is logged, so that a test can wait for it.
func (b *bench) Handle(ctx context.Context, r slog.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.logged[r.Message]++
	b.notify()
	return b.Handler.Handle(ctx, r)
}

// notify wakes who waits in until. mu is held.
func (b *bench) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// says waits until the message was logged so often.
func (b *bench) says(message string, times int) {
	b.t.Helper()
	b.until("logged: "+message, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.logged[message] >= times
	})
}

// open opens the store in dir and starts a Runner on it.
func open(t testing.TB, dir string, opt Options) *bench {
	t.Helper()
	b := prepare(t, dir, opt)
	if err := b.run.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return b
}

// prepare is open without the start.
func prepare(t testing.TB, dir string, opt Options) *bench {
	t.Helper()
	b := &bench{t: t, dir: dir, set: metric.New(), changed: make(chan struct{}), watch: map[tandem.Address]*hub.Watcher{}, ends: map[string]int{}, shown: map[string]string{}, logged: map[string]int{}, closed: map[tandem.Address][]int64{}}
	b.Handler = slog.NewTextHandler(t.Output(), nil)
	log := slog.New(b)
	b.hub = hub.New(hub.Options{Metric: b.set, Codec: tandem.Codec{
		Delta: func(_ tandem.View, _ tandem.Address, d tandem.Delta) []byte { return []byte(d.Text) },
	}})
	var err error
	b.store, err = store.Open(context.Background(), store.Options{Dir: dir, Metric: b.set, Log: log, Committed: b.committed})
	if err != nil {
		t.Fatal(err)
	}
	opt.Store, opt.Hub, opt.Metric, opt.Log = b.store, b.hub, b.set, log
	if opt.Limits == (tandem.Limits{}) {
		opt.Limits = tandem.DefaultLimits()
	}
	b.run = New(opt)
	return b
}

// folder returns a data folder with an empty store.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	copyFolder(t, dir, empty)
	return dir
}

// start is open in a folder of its own; the test's end stops it.
func start(t testing.TB, opt Options) *bench {
	b := open(t, folder(t), opt)
	t.Cleanup(b.stop)
	return b
}

// with is start with one agent.
func with(t testing.TB, a Agent, change ...func(*Spec)) *bench {
	return start(t, Options{Agents: []Spec{spec(a, change...)}})
}

// stop ends the Runner without patience and closes the store.
func (b *bench) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.run.Stop(ctx)
	b.close()
}

func (b *bench) close() {
	b.mu.Lock()
	for a, w := range b.watch {
		for _, seq := range b.closed[a] {
			if _, _, live := w.Live(tokens, seq, 0); live {
				b.t.Errorf("the hub still has the answer %d of %s", seq, a.Participant)
			}
		}
		w.Close()
	}
	b.watch = nil
	b.mu.Unlock()
	if err := b.store.Close(); err != nil {
		b.t.Error(err)
	}
	if n := count(b.t, b.set.Hub.DeltasLost); n != 0 {
		b.t.Errorf("%v deltas came after an answer's end, or out of place", n)
	}
}

// committed is what the desk is in the server.
func (b *bench) committed(all []store.Committed) {
	for _, c := range all {
		b.check(c)
		if len(c.Events) > 0 {
			b.hub.Ring(c.Address, c.Events)
		}
		b.run.Committed(c)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notify()
}

var tokens = tandem.View{Face: tandem.FaceChat, Tokens: true}

// check compares what was shown with what is stored, at the moment of an end.
func (b *bench) check(c store.Committed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, question := range c.EndTurns {
		k := fmt.Sprint(c.Address.Participant, " ", question)
		if b.ends[k]++; b.ends[k] > 1 {
			b.t.Errorf("turn %s ended %d times", k, b.ends[k])
		}
	}
	if b.watch == nil {
		return
	}
	w := b.watch[c.Address]
	if w == nil {
		var err error
		if w, err = b.hub.Watch(c.Address, tandem.Principal{}, hub.WatchOptions{Face: tandem.FaceChat}); err != nil {
			b.t.Error(err)
			return
		}
		b.watch[c.Address] = w
	}
	for _, e := range c.Events {
		if e.Kind != tandem.KindAnswerEnded {
			continue
		}
		m, err := e.Message()
		if err != nil {
			b.t.Error(err)
		}
		shown, _, live := w.Live(tokens, m.Started, 0)
		if live && string(shown) != m.Text {
			b.t.Errorf("readers were shown %d bytes, the answer has %d", len(shown), len(m.Text))
		}
		b.shown[e.ID] = string(shown)
		b.closed[c.Address] = append(b.closed[c.Address], m.Started)
	}
}

// until waits for what is said of the store to come true.
func (b *bench) until(what string, is func() bool) {
	b.t.Helper()
	patience, look := 30*time.Second, 5*time.Millisecond
	if time.Now().Year() == 2000 { // in a bubble, whose clock is not to be moved by looking
		patience, look = 48*time.Hour, 48*time.Hour
	}
	late, again := time.NewTimer(patience), time.NewTicker(look)
	defer late.Stop()
	defer again.Stop()
	for {
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-again.C:
		case <-late.C:
			b.t.Fatalf("still not: %s", what)
		}
	}
}

func who(name string) tandem.Address {
	a, err := tandem.NewAddress("default", "support", name)
	if err != nil {
		panic(err)
	}
	return a
}

type (
	storeTurn  = store.Turn
	storeState = store.State
	storeWrite = store.Write
)

// asked is a question that was posted.
type asked struct {
	address tandem.Address
	id      string
	answer  string
	seq     int64
}

// ask posts a Chat as the desk does.
func (b *bench) ask(a tandem.Address, text string, change ...func(*tandem.Message, *store.Turn)) asked {
	b.t.Helper()
	now := time.Now()
	q := asked{address: a, id: tandem.NewID("msg_", now), answer: tandem.NewID("msg_", now)}
	m := tandem.Message{Direction: tandem.Incoming, Type: tandem.Chat, Role: tandem.RoleUser, Name: "Ann", Text: text, RequestID: "req-" + q.id, Medium: "Text"}
	res, err := b.store.Append(context.Background(), store.Append{
		Threads: []tandem.Address{a},
		Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
			w, m := store.Write{Thread: on[0].Thread}, m
			c := on[0].Active
			if c == nil {
				c = &tandem.Conversation{
					ID: "conv-" + a.Participant + fmt.Sprint(on[0].Thread.Head), Address: a, Status: tandem.StatusActive, Mode: tandem.ModeAgent,
					Urgency: tandem.UrgencyUrgent, Medium: "Text", OpenedAt: now, FirstSeq: on[0].Thread.Head + 1,
				}
				w.Conversation, w.Thread.Control.Conversation = c, c.ID
			}
			m.Conversation = c.ID
			turn := store.Turn{Answer: q.answer, Conversation: c.ID, RequestID: m.RequestID, Workflow: a.Workflow, User: []byte(`{"sub":"ann","name":"Ann","secret":1}`), Locale: "en"}
			for _, f := range change {
				f(&m, &turn)
			}
			turn.RequestID, turn.Scope = m.RequestID, m.Scope
			body, err := json.Marshal(m)
			w.Events = []tandem.Event{{Kind: tandem.KindMessage, ID: q.id, Body: body}}
			w.Turn = &turn
			return []store.Write{w}, err
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	q.seq = res.Events[0][0].Seq
	return q
}

// write appends whatever change makes of the thread.
func (b *bench) write(a tandem.Address, change func(store.State, *store.Write)) {
	b.t.Helper()
	_, err := b.store.Append(context.Background(), store.Append{
		Threads: []tandem.Address{a},
		Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
			w := store.Write{Thread: on[0].Thread}
			change(on[0], &w)
			return []store.Write{w}, nil
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// log is the thread's whole log.
func (b *bench) log(a tandem.Address) []tandem.Event {
	b.t.Helper()
	p, err := b.store.Read(context.Background(), a, a.Start(), 100_000)
	if err != nil {
		b.t.Fatal(err)
	}
	return p.Events
}

func body[T any](t testing.TB, e tandem.Event) (v T) {
	t.Helper()
	if err := json.Unmarshal(e.Body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// story is the log in short: who said what, and how it ended.
func (b *bench) story(a tandem.Address) string {
	var lines []string
	for _, e := range b.log(a) {
		switch e.Kind {
		case tandem.KindMessage:
			m := body[tandem.Message](b.t, e)
			if m.Type != tandem.Chat {
				lines = append(lines, fmt.Sprintf("%s:%s%s", m.Type, m.Text, m.Data))
			} else {
				lines = append(lines, fmt.Sprintf("%s:%s", m.Role, m.Text))
			}
		case tandem.KindAnswerStarted:
			lines = append(lines, "start")
		case tandem.KindAnswerEnded:
			m := body[tandem.Message](b.t, e)
			lines = append(lines, fmt.Sprintf("%s:%s", m.Finish, m.Text))
		case tandem.KindAnswerFailed:
			lines = append(lines, "failed:"+body[tandem.AnswerFailed](b.t, e).Code)
		}
	}
	return strings.Join(lines, " | ")
}

// turns is how many turns the store has for the thread.
func (b *bench) turns(a tandem.Address) int {
	b.t.Helper()
	all, err := b.store.Turns(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	n := 0
	for _, t := range all {
		if t.Address == a {
			n++
		}
	}
	return n
}

// settled waits until the thread owes nothing.
func (b *bench) settled(a tandem.Address) {
	b.t.Helper()
	b.until("no turn of "+a.Participant+" is open", func() bool { return b.turns(a) == 0 })
}

// wants compares the thread's story once nothing is owed.
func (b *bench) wants(a tandem.Address, story string) {
	b.t.Helper()
	b.settled(a)
	if got := b.story(a); got != story {
		b.t.Errorf("the log says\n%s\nwant\n%s", got, story)
	}
	th, err := b.store.Thread(context.Background(), a)
	if err != nil || th.Answer != 0 {
		b.t.Errorf("the thread has an answer under way: %d, %v", th.Answer, err)
	}
}

// row is the only turn that the store has for the thread.
func (b *bench) row(a tandem.Address) (store.Turn, bool) {
	all, err := b.store.Turns(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, t := range all {
		if t.Address == a {
			return t, true
		}
	}
	return store.Turn{}, false
}

// broken makes the store fail every insert into a table, with a condition on the
// new row, until the returned func is called.
func (b *bench) broken(table, when string) (mend func()) {
	b.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.dir, store.Database)+"?_pragma=busy_timeout(5000)")
	if err != nil {
		b.t.Fatal(err)
	}
	do := func(q string) {
		if _, err := db.Exec(q); err != nil {
			b.t.Error(err)
		}
	}
	do(`create trigger broken before insert on ` + table + ` when ` + when + ` begin select raise(abort, 'broken'); end`)
	return func() {
		do(`drop trigger broken`)
		if err := db.Close(); err != nil {
			b.t.Error(err)
		}
	}
}

// snapshot copies the data folder as a crash would leave it.
func (b *bench) snapshot() string {
	b.t.Helper()
	dir := b.t.TempDir()
	copyFolder(b.t, dir, b.dir)
	return dir
}

func copyFolder(t testing.TB, to, from string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(from, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, f := range files {
		if err := copyFile(filepath.Join(to, filepath.Base(f)), f); err != nil {
			t.Fatal(err)
		}
	}
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

func count(t testing.TB, c interface{ Write(*dto.Metric) error }) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	if m.Counter != nil {
		return m.Counter.GetValue()
	}
	return m.Gauge.GetValue()
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
