package turn

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/store"
)

var errTaken = tandem.Errorf(tandem.Conflict, "somebody else holds the conversation")

// seize is a Seize that does what change says.
func (b *bench) seize(ctx context.Context, a tandem.Address, change func(store.State, *store.Write) error) (store.Result, error) {
	return b.run.Seize(ctx, tandem.FinishInterrupted, store.Append{
		Threads: []tandem.Address{a},
		Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
			w := store.Write{Thread: on[0].Thread}
			err := change(on[0], &w)
			return []store.Write{w}, err
		},
	})
}

// takes is a takeover by an operator, who says a first word, unless somebody else
// holds.
func (b *bench) takes(ctx context.Context, a tandem.Address) error {
	_, err := b.seize(ctx, a, func(on store.State, w *store.Write) error {
		if on.Thread.Control.Holder != "" {
			return errTaken
		}
		if on.Thread.Answer != 0 {
			b.t.Error("the answer under way is shown to whoever decides")
		}
		takeOver(b.t, on, w)
		return nil
	})
	return err
}

// gives hands the conversation back to the agent.
func (b *bench) gives(a tandem.Address) {
	b.write(a, func(on store.State, w *store.Write) {
		c := *on.Active
		w.Thread.Control.Epoch++
		w.Thread.Control.Holder = ""
		c.Mode, c.AdminID, c.Epoch = tandem.ModeAgent, "", w.Thread.Control.Epoch
		w.Conversation = &c
	})
}

// reader follows a thread as the desk does: the log first, then what the answer
// under way has beyond what it was shown.
type reader struct {
	b       *bench
	a       tandem.Address
	w       *hub.Watcher
	from    tandem.Cursor // where it began
	cursor  tandem.Cursor
	rings   uint64 // of events, when it last read the log
	answer  int64  // under way
	sent    string
	answers []string // as they were shown, with how they ended
	stop    chan struct{}
	done    chan struct{}
	stall   chan struct{} // while it cannot be received from, the reader does not look; nil: it always looks
}

func (b *bench) reads(a tandem.Address, stall chan struct{}) *reader {
	b.t.Helper()
	w, err := b.hub.Watch(a, tandem.Principal{}, hub.WatchOptions{Face: tandem.FaceChat})
	if err != nil {
		b.t.Fatal(err)
	}
	th, err := b.store.Thread(context.Background(), a)
	if err != nil {
		b.t.Fatal(err)
	}
	r := &reader{b: b, a: a, w: w, from: th.HeadCursor(), cursor: th.HeadCursor(), stop: make(chan struct{}), done: make(chan struct{}), stall: stall}
	go r.follow()
	return r
}

func (r *reader) follow() {
	defer close(r.done)
	for {
		select {
		case <-r.stop:
			r.look()
			return
		case <-r.w.Bell():
		}
		if r.stall != nil {
			select {
			case <-r.stall:
			case <-r.stop:
			}
		}
		r.look()
	}
}

func (r *reader) look() {
	if rings := r.w.Rings(); rings != r.rings {
		if tail, ok := r.w.Tail(r.cursor.Seq); ok {
			for _, e := range tail {
				r.event(e.Event)
			}
		} else {
			p, err := r.b.store.Read(context.Background(), r.a, r.cursor, 100_000)
			if err != nil {
				r.b.t.Error(err)
			}
			for i := range p.Events {
				r.event(&p.Events[i])
			}
		}
		r.rings = rings
	}
	if r.answer != 0 {
		more, _, _ := r.w.Live(tokens, r.answer, len(r.sent))
		r.sent += string(more)
	}
}

func (r *reader) event(e *tandem.Event) {
	r.cursor = e.Cursor()
	switch e.Kind {
	case tandem.KindAnswerStarted:
		r.answer, r.sent = e.Seq, ""
	case tandem.KindAnswerEnded:
		m, err := e.Message()
		if err != nil || m.Started != r.answer || !strings.HasPrefix(m.Text, r.sent) {
			r.b.t.Errorf("a reader was shown %d bytes of an answer of %d", len(r.sent), len(m.Text))
		}
		if more, _, _ := r.w.Live(tokens, m.Started, len(m.Text)); more != nil {
			r.b.t.Errorf("%d bytes are shown after the end", len(more))
		}
		r.answers = append(r.answers, string(m.Finish)+":"+m.Text)
		r.answer, r.sent = 0, ""
	}
}

// ends returns the answers that the reader was shown, from its first look on.
func (r *reader) ends() []string {
	close(r.stop)
	<-r.done
	r.w.Close()
	return r.answers
}

// In the middle of an answer: its end has exactly what was shown and comes before
// the operator's first word; what waited is never asked; the agent is told to
// stop. Seen to fail by publishing without looking at frozen.
func TestSeize_cutsTheAnswerUnderWay(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	r := b.reads(a, nil)
	b.ask(a, "a")
	second := b.ask(a, "b")
	s.token(t)
	s.token(t)
	res, err := b.seize(t.Context(), a, func(on store.State, w *store.Write) error {
		if w.Thread.Control.Taken = on.Thread.Head + 1; on.Thread.Answer != 0 {
			t.Error("Decide is shown the answer")
		}
		takeOver(t, on, w)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.wants(a, "user:a | user:b | start | interrupted:a1 a2  | operator:Good day.")
	if got := res.Events[0]; len(got) != 1 || got[0].Seq != res.Threads[0].Control.Taken || got[0].Kind != tandem.KindMessage {
		t.Errorf("the result has %v, control says %+v", got, res.Threads[0].Control)
	}
	if err := b.run.Cancel(t.Context(), a, second.id); tandem.KindOf(err) != tandem.NotFound {
		t.Errorf("what waited is still there: %v", err)
	}
	b.gives(a)
	b.ask(a, "c")
	s.token(t)
	close(s.next)
	b.wants(a, "user:a | user:b | start | interrupted:a1 a2  | operator:Good day. | user:c | start | stop:c1 ")
	if n := len(s.asked); n != 2 {
		t.Errorf("the agent was asked %d questions", n)
	}
	if got := r.ends(); !slices.Equal(got, []string{"interrupted:a1 a2 ", "stop:c1 "}) {
		t.Errorf("a reader was shown %q", got)
	}
}

// Before the first token nothing is stored and no answer begins.
func TestSeize_beforeTheFirstTokenLeavesNothing(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	b.ask(a, "a")
	<-s.asked
	if err := b.takes(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	b.wants(a, "user:a | operator:Good day.")
}

// A thread where nobody answers is taken all the same.
func TestSeize_withoutATurnOnlyAppends(t *testing.T) {
	b := with(t, says("x"))
	a := who("ann")
	b.ask(a, "a")
	b.wants(a, "user:a | start | stop:x")
	if err := b.takes(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	b.wants(a, "user:a | start | stop:x | operator:Good day.")
	if err := b.takes(t.Context(), a); err != errTaken {
		t.Errorf("taken twice: %v", err)
	}
}

// idles waits until the thread's only turn waits for a push.
func (b *bench) idles(a tandem.Address) {
	b.t.Helper()
	b.until("it waits for a push", func() bool {
		row, ok := b.row(a)
		b.run.mu.Lock()
		defer b.run.mu.Unlock()
		l := b.run.lines[a]
		return ok && row.Started == putOff || l != nil && len(l.turns) == 1 && l.turns[0].parked
	})
}

// What waits for a push waits no more: a push that comes later answers nothing.
func TestSeize_endsWhatWaitsForAPush(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"parked":  func(s *Spec) { s.Agent, s.Push = nil, true },
		"put off": func(*Spec) {},
	} {
		t.Run(name, func(t *testing.T) {
			b := with(t, replies(putsOff), change)
			a := who("ann")
			id := "req-" + b.ask(a, "a").id
			b.idles(a)
			if err := b.takes(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			b.wants(a, "user:a | operator:Good day.")
			if b.push(a, id, "late") {
				t.Error("the push answers a question that is over")
			}
		})
	}
}

// Control that changes without a cut ends what waits for a push as well. Seen to
// fail by leaving it parked.
func TestFence_endsWhatWaitsForAPush(t *testing.T) {
	b := with(t, nil, func(s *Spec) { s.Push, s.Total = true, 0 })
	a := who("ann")
	b.ask(a, "a")
	b.idles(a)
	b.write(a, func(_ store.State, w *store.Write) { w.Thread.Control.Epoch++ })
	b.wants(a, "user:a")
	b.until("the line is gone", func() bool { return len(b.run.line(a)) == 0 })
	if n := count(t, b.set.Turn.Queued); n != 0 {
		t.Errorf("%v are counted as queued", n)
	}
}

// An agent that ignores its context may go on for ever: nobody hears it.
func TestSeize_silencesAnAgentThatIgnoresItsContext(t *testing.T) {
	cut := make(chan struct{})
	said := make(chan struct{})
	b := with(t, replies(func(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
		if err := emit(tandem.Piece{Text: "a"}); err != nil {
			return err
		}
		close(said)
		<-cut
		for range 100 {
			if err := emit(tandem.Piece{Text: "late"}); err == nil {
				t.Error("a late token was taken")
			}
		}
		return nil
	}))
	a := who("ann")
	b.ask(a, "a")
	<-said
	if err := b.takes(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	close(cut)
	b.until("it has given up", func() bool { return count(t, b.set.Turn.Running) == 0 })
	b.wants(a, "user:a | start | interrupted:a | operator:Good day.")
}

// Refused, failed, or too late: nothing has changed, and the answer goes on to its
// own end. Seen to fail by not thawing, and by not waking who waits.
func TestSeize_thatFailsChangesNothing(t *testing.T) {
	refuse := errors.New("refused")
	late, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error // what Decide says
		mend bool
		want func(error) bool
	}{
		{"refused", t.Context(), refuse, false, func(err error) bool { return err == refuse }},
		{"failed", t.Context(), nil, true, func(err error) bool { return err != nil }},
		{"too late", late, nil, false, func(err error) bool { return tandem.KindOf(err) == tandem.Unavailable }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStand()
			b := with(t, s)
			a := who("ann")
			r := b.reads(a, nil)
			b.ask(a, "a")
			b.ask(a, "b")
			s.token(t)
			mend := func() {}
			if c.mend {
				mend = b.broken("event", "new.kind = 'answer-ended'")
			}
			for range 3 {
				var held sync.Once // the agent goes on while it is frozen, if it comes to that
				_, err := b.seize(c.ctx, a, func(on store.State, w *store.Write) error {
					held.Do(func() { s.next <- struct{}{} })
					takeOver(t, on, w)
					return c.err
				})
				if !c.want(err) {
					t.Fatalf("it said %v", err)
				}
				held.Do(func() { s.next <- struct{}{} })
				<-s.said
			}
			mend()
			close(s.next)
			b.wants(a, "user:a | user:b | start | stop:a1 a2 a3 a4 ")
			th, err := b.store.Thread(t.Context(), a)
			if err != nil || th.Control.Holder != "" || th.Control.Epoch != 0 {
				t.Errorf("control has changed: %+v, %v", th.Control, err)
			}
			if got := r.ends(); !slices.Equal(got, []string{"stop:a1 a2 a3 a4 "}) {
				t.Errorf("a reader was shown %q", got)
			}
		})
	}
}

// While the store is stuck a takeover is taken back in time, and does not happen
// later. Seen to fail by only leaving.
func TestSeize_isTakenBackWhileTheStoreIsStuck(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	b.ask(a, "a")
	s.token(t)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.dir, store.Database)+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	do := func(q string) {
		if _, err := conn.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	do("begin immediate")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := b.takes(ctx, a); tandem.KindOf(err) != tandem.Unavailable {
		t.Errorf("it said %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	do("rollback")
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	s.token(t)
	close(s.next)
	b.wants(a, "user:a | start | stop:a1 a2 ")
}

// Once the store decides, the commit is waited for.
func TestSeize_thatWasDecidedIsWaitedFor(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	b.ask(a, "a")
	s.token(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := b.seize(ctx, a, func(on store.State, w *store.Write) error {
		cancel()
		takeOver(t, on, w)
		return nil
	})
	if err != nil {
		t.Errorf("it said %v", err)
	}
	b.wants(a, "user:a | start | interrupted:a1  | operator:Good day.")
}

// Of two who take at once exactly one does.
func TestSeize_twiceAtOnceTakesOnce(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	b.ask(a, "a")
	s.token(t)
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		wg.Go(func() { results <- b.takes(t.Context(), a) })
	}
	wg.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
		} else if err != errTaken {
			t.Errorf("one was told %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d took it", won)
	}
	b.wants(a, "user:a | start | interrupted:a1  | operator:Good day.")
}

// An answer that nobody on this node works on is closed with the text that the
// store has.
func TestSeize_closesAnAnswerThatNobodyWorksOn(t *testing.T) {
	s := newStand()
	first := with(t, s)
	a := who("ann")
	first.ask(a, "a")
	s.token(t)
	b := prepare(t, first.snapshot(), Options{}) // not started: it knows of no turn
	defer b.stop()
	if err := b.takes(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	b.wants(a, "user:a | start | interrupted:a1  | operator:Good day.")
	close(s.next)
}

// What happens on a second thread happens in the same append.
func TestSeize_writesToASecondThread(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a, other := who("ann"), who("other")
	b.ask(a, "a")
	s.token(t)
	word := func(text string) []tandem.Event {
		m := tandem.Message{Type: tandem.Chat, Role: tandem.RoleOperator, Text: text}
		return []tandem.Event{{Kind: tandem.KindMessage, ID: tandem.NewID("msg_", time.Now()), Body: mustJSON(t, m)}}
	}
	res, err := b.run.Seize(t.Context(), tandem.FinishInterrupted, store.Append{
		Threads: []tandem.Address{a, other},
		Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
			here, there := store.Write{Thread: on[0].Thread, Events: word("here")}, store.Write{Thread: on[1].Thread, Events: word("there")}
			here.Thread.Control.Epoch++
			return []store.Write{here, there}, nil
		},
	})
	if err != nil || len(res.Events[0]) != 1 || len(res.Events[1]) != 1 {
		t.Fatal(res, err)
	}
	b.wants(a, "user:a | start | interrupted:a1  | operator:here")
	b.wants(other, "operator:there")
}

// A key is that of the operator's word, not of the cut's; who repeats it cuts
// nothing. Seen to fail by giving the key to the first event.
func TestSeize_aRepeatCutsNothing(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	b.ask(a, "a")
	s.token(t)
	take := func() store.Result {
		t.Helper()
		res, err := b.run.Seize(t.Context(), tandem.FinishInterrupted, store.Append{
			Threads: []tandem.Address{a}, Key: "k",
			Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
				w := store.Write{Thread: on[0].Thread}
				takeOver(t, on[0], &w)
				return []store.Write{w}, nil
			},
		})
		if err != nil || len(res.Events[0]) != 1 || res.Events[0][0].Kind != tandem.KindMessage {
			t.Fatal(res, err)
		}
		return res
	}
	if take().Repeat {
		t.Error("the first is a repeat")
	}
	b.gives(a)
	b.ask(a, "b")
	s.token(t)
	if !take().Repeat {
		t.Error("the second is no repeat")
	}
	s.token(t)
	close(s.next)
	b.wants(a, "user:a | start | interrupted:a1  | operator:Good day. | user:b | start | stop:b1 b2 ")
}
