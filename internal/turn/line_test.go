package turn

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// Questions of one thread are answered in order, one at a time; those of others
// are not kept waiting. Seen to fail by serving each turn in a goroutine of its
// own.
func TestLine_answersOneAtATimeInOrder(t *testing.T) {
	const questions = 20
	var running atomic.Int32
	held := make(chan struct{})
	b := with(t, replies(func(_ context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		if q.Participant == "bob" {
			return emit(tandem.Piece{Text: "free"})
		}
		if running.Add(1) > 1 {
			t.Error("two answers at once")
		}
		defer running.Add(-1)
		<-held
		return emit(tandem.Piece{Text: "to " + q.Message})
	}))
	var want []string
	for i := range questions {
		b.ask(who("ann"), fmt.Sprint(i))
		want = append(want, fmt.Sprintf("start | stop:to %d", i))
	}
	b.ask(who("bob"), "q")
	b.wants(who("bob"), "user:q | start | stop:free")
	close(held)
	b.settled(who("ann"))
	story := b.story(who("ann"))
	if got := story[strings.Index(story, "start"):]; !strings.HasSuffix(got, want[questions-1]) || strings.Count(got, "stop:") != questions {
		t.Fatalf("the log says %s", got)
	}
	at := 0
	for _, w := range want {
		i := strings.Index(story[at:], w[len("start | "):])
		if i < 0 {
			t.Fatalf("%q is missing or out of order in %s", w, story)
		}
		at += i
	}
	b.until("the line is gone", func() bool {
		b.run.mu.Lock()
		defer b.run.mu.Unlock()
		return len(b.run.lines) == 0
	})
	for name, g := range map[string]float64{"queued": count(t, b.set.Turn.Queued), "running": count(t, b.set.Turn.Running)} {
		if g != 0 {
			t.Errorf("%v are counted as %s", g, name)
		}
	}
}

// Seen to fail without the semaphore, and by not giving a slot back.
func TestConcurrency_isBounded(t *testing.T) {
	const limit, threads = 3, 24
	var running, most atomic.Int32
	var mu sync.Mutex
	b := with(t, replies(func(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
		n := running.Add(1)
		defer running.Add(-1)
		mu.Lock()
		most.Store(max(most.Load(), n))
		mu.Unlock()
		return emit(tandem.Piece{Text: "x"})
	}), func(s *Spec) { s.Concurrency = limit })
	for i := range threads {
		b.ask(who(fmt.Sprint("u", i)), "q")
	}
	for i := range threads {
		b.wants(who(fmt.Sprint("u", i)), "user:q | start | stop:x")
	}
	if n := most.Load(); n > limit || n < 1 {
		t.Errorf("%d answers at once, want at most %d", n, limit)
	}
}

// A turn that waits for a slot can be cancelled, and Stop leaves it in the store.
func TestConcurrency_whoWaitsCanBeCancelledAndStopped(t *testing.T) {
	s := newStand()
	b := with(t, s, func(s *Spec) { s.Concurrency = 1 })
	b.ask(who("ann"), "a")
	s.token(t)
	bob, cas := b.ask(who("bob"), "b"), who("cas")
	b.ask(cas, "c")
	if err := b.run.Cancel(t.Context(), who("bob"), bob.id); err != nil {
		t.Error(err)
	}
	b.wants(who("bob"), "user:b")
	close(s.next)
	b.wants(who("ann"), "user:a | start | stop:a1 ")
	b.wants(cas, "user:c")
}

// The closest entry answers: an exact workflow before "*", then an exact tenant.
func TestClosest_prefersTheWorkflowThenTheTenant(t *testing.T) {
	one := says("x")
	entry := func(name, tenant, workflow string, a Agent) Spec {
		return Spec{Name: name, Tenant: tenant, Workflow: workflow, Agent: a}
	}
	r := New(Options{Agents: []Spec{
		entry("any", "*", "*", one), entry("t", "acme", "*", one), entry("w", "*", "orders", one), entry("tw", "acme", "orders", one),
		entry("people", "acme", "emergency", nil), entry("second", "*", "*", one),
		{Name: "push", Tenant: "*", Workflow: "slow", Push: true},
	}})
	for _, c := range []struct{ tenant, workflow, want string }{
		{"acme", "orders", "tw"},
		{"other", "orders", "w"},
		{"acme", "support", "t"},
		{"other", "support", "any"},
		{"acme", "emergency", ""},
		{"other", "emergency", "any"},
		{"acme", "slow", "push"},
		{"", "*", "any"},
	} {
		s, ok := r.Closest(c.tenant, c.workflow)
		if s.Name != c.want || ok != (c.want != "") {
			t.Errorf("%s of %s is answered by %q, %v; want %q", c.workflow, c.tenant, s.Name, ok, c.want)
		}
	}
	r.SetAgents(nil)
	if _, ok := r.Closest("acme", "orders"); ok {
		t.Error("somebody answers")
	}
}

// An answer under way keeps its agent, what waits gets the new one, and an open
// breaker stays open for who stays. Seen to fail by making new gates each time.
func TestSetAgents_changesWhoAnswersNext(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	b.ask(a, "a")
	b.ask(a, "b")
	s.token(t)
	b.run.SetAgents([]Spec{spec(says("new"), func(s *Spec) { s.Name = "new" })})
	close(s.next)
	b.wants(a, "user:a | user:b | start | stop:a1  | start | stop:new")
	b.run.SetAgents([]Spec{spec(nil)})
	b.ask(a, "c") // the desk would not have made a turn of it
	b.wants(a, "user:a | user:b | start | stop:a1  | start | stop:new | user:c | failed:unavailable")
}

func TestSetAgents_forgivesNobodyWhoStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := replies(func(context.Context, tandem.Question, func(tandem.Piece) error) error {
			return tandem.Errorf(tandem.Unavailable, "down")
		})
		b := with(t, down, func(s *Spec) { s.Retries = 10 })
		b.ask(who("ann"), "q")
		b.wants(who("ann"), "user:q | failed:unavailable")
		for _, c := range []struct{ name, want string }{{"bot", "open"}, {"other", "closed"}} {
			b.run.SetAgents([]Spec{spec(says("x"), func(s *Spec) { s.Name = c.name })})
			if h := b.run.Health(); h[0].Breaker != c.want {
				t.Errorf("%s is %s, want %s", c.name, h[0].Breaker, c.want)
			}
		}
	})
}

// While a person is asked for, a silent agent does not begin; others do.
func TestSilent_agentsDoNotAnswerWhileAPersonIsAskedFor(t *testing.T) {
	for silent, want := range map[bool]string{true: "user:q", false: "user:q | start | stop:x"} {
		b := start(t, Options{Agents: []Spec{spec(says("x"), func(s *Spec) { s.Silent = silent })}})
		a := who("ann")
		b.write(a, func(on storeState, w *storeWrite) {
			c := tandem.Conversation{ID: "conv-1", Address: a, Status: tandem.StatusActive, Mode: tandem.ModeWaiting}
			w.Conversation, w.Thread.Control.Conversation = &c, c.ID
		})
		b.ask(a, "q")
		b.wants(a, want)
	}
}

// Stop lets answers end, begins nothing, and leaves what waits in the store.
func TestStop_drains(t *testing.T) {
	s := newStand()
	dir := folder(t)
	b := open(t, dir, Options{Agents: []Spec{spec(s)}})
	a := who("ann")
	b.ask(a, "a")
	b.ask(a, "b")
	s.token(t)
	stopped := make(chan struct{})
	go func() { b.run.Stop(t.Context()); close(stopped) }()
	<-b.run.open.Done()
	select {
	case <-stopped:
		t.Error("it did not wait")
	default:
	}
	s.token(t) // still going on
	close(s.next)
	<-stopped
	late := b.ask(who("bob"), "late")
	if got := b.story(a); got != "user:a | user:b | start | stop:a1 a2 " {
		t.Errorf("the log says %s", got)
	}
	if n := b.turns(a); n != 1 {
		t.Errorf("%d turns wait for the next start, want 1", n)
	}
	b.close()

	b = open(t, dir, Options{Agents: []Spec{spec(says("after"))}})
	defer b.stop()
	b.wants(a, "user:a | user:b | start | stop:a1 a2  | start | stop:after")
	b.wants(late.address, "user:late | start | stop:after")
}

// When its time is over, answers end as interrupted with their text; one without
// a token has failed. Seen to fail by not cancelling.
func TestStop_interruptsWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := folder(t)
		b := open(t, dir, Options{Agents: []Spec{spec(replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
			if q.Message == "mute" {
				return stalls()(ctx, q, emit)
			}
			return stalls("so far")(ctx, q, emit)
		}), func(s *Spec) { s.FirstToken, s.Idle, s.Total = 0, 0, 0 })}})
		b.ask(who("ann"), "talk")
		b.ask(who("bob"), "mute")
		b.until("both are asked", func() bool {
			r, ok := b.row(who("bob"))
			return ok && r.Asked && b.begins(who("ann"))
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()
		b.run.Stop(ctx)
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("it took %v", took)
		}
		b.wants(who("ann"), "user:talk | start | interrupted:so far")
		b.wants(who("bob"), "user:mute | failed:unavailable")
		b.close()
	})
}
