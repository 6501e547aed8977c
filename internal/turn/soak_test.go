package turn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// soak is many takeovers of one thread, one after the other.
type soak struct {
	b      *bench
	l      *ledger
	a      tandem.Address
	rounds int
	asked  []string // ids of questions that may be answered
	unborn []string // ids of questions that nobody may answer

	mu   sync.Mutex // guards slow
	slow time.Duration
}

// round is one takeover of a talking agent, at whatever moment.
func (s *soak) round(i int) {
	var stalled *reader
	held := make(chan struct{})
	if i%3 == 2 {
		stalled = s.b.reads(s.a, held)
	}
	pushed, id := s.speaks(i)
	if i%5 > 0 { // the others perhaps before the first token
		<-s.l.begun(id)
	}
	<-time.After(time.Duration(rand.N(3000)) * time.Microsecond)
	var all sync.WaitGroup
	if i%4 == 1 {
		all.Go(func() { s.unborn = append(s.unborn, s.b.ask(s.a, "in between").id) })
	}
	var won atomic.Int64
	operators := 1
	if i%3 == 1 {
		operators = 2
	}
	for range operators {
		all.Go(func() {
			began := time.Now()
			switch err := s.b.takes(s.b.t.Context(), s.a); err {
			case nil:
				won.Add(1)
			case errTaken:
			default:
				s.b.t.Errorf("a takeover failed: %v", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.slow = max(s.slow, time.Since(began))
		})
	}
	all.Wait()
	if won.Load() != 1 {
		s.b.t.Errorf("%d operators hold", won.Load())
	}
	s.b.until("the agent has stopped", func() bool { return len(s.b.run.line(s.a)) == 0 })
	if pushed != nil {
		s.judge(<-pushed, id)
	}
	close(held)
	if stalled != nil {
		s.compare(stalled)
	}
	s.b.gives(s.a)
}

// speaks has the agent asked a question, or an outside agent push an answer of its
// own. id is the ledger's.
func (s *soak) speaks(i int) (pushed chan streaming, id string) {
	if s.rounds++; s.rounds%6 > 0 {
		q := s.b.ask(s.a, "q")
		s.asked = append(s.asked, q.id)
		return nil, q.id
	}
	id = fmt.Sprint("push ", i)
	return s.b.stream(s.b.t.Context(), s.a, "", replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		q.MessageID = id
		return s.l.endless(ctx, q, emit)
	})), id
}

// judge looks at what became of a push.
func (s *soak) judge(p streaming, id string) {
	s.l.mu.Lock()
	said := s.l.accepted[id]
	s.l.mu.Unlock()
	switch kind := tandem.KindOf(p.err); {
	case p.err == nil:
		if m := body[tandem.Message](s.b.t, p.end.Event); len(m.Text) != said || p.end.Finish != tandem.FinishInterrupted {
			s.b.t.Errorf("a push ended as %s with %d bytes of %d", p.end.Finish, len(m.Text), said)
		}
	case said > 0, kind != tandem.Held && p.err != errTaken:
		s.b.t.Errorf("a push of %d bytes: %v", said, p.err)
	}
}

// compare looks whether a reader was shown what is stored.
func (s *soak) compare(r *reader) {
	shown := r.ends()
	p, err := s.b.store.Read(context.Background(), s.a, r.from, 100_000)
	if err != nil {
		s.b.t.Error(err)
	}
	var stored []string
	for _, e := range p.Events {
		if e.Kind == tandem.KindAnswerEnded {
			m := body[tandem.Message](s.b.t, e)
			stored = append(stored, string(m.Finish)+":"+m.Text)
		}
	}
	if !slices.Equal(shown, stored) {
		s.b.t.Errorf("a reader was shown %d answers, %d are stored, or they differ", len(shown), len(stored))
	}
}

// check looks at the log as a whole. It returns how many answers were cut.
func (s *soak) check() (cut int) {
	events := s.b.log(s.a)
	answers := map[string]int{}
	open, words := false, 0
	for i, e := range events {
		switch e.Kind {
		case tandem.KindAnswerStarted:
			if open {
				s.b.t.Error("an answer begins in another")
			}
			open = true
		case tandem.KindAnswerEnded:
			m := body[tandem.Message](s.b.t, e)
			if !open || m.Finish != tandem.FinishInterrupted {
				s.b.t.Errorf("an answer ended as %s, begun: %v", m.Finish, open)
			}
			open = false
			if i+1 == len(events) || body[tandem.Message](s.b.t, events[i+1]).Role != tandem.RoleOperator {
				s.b.t.Error("the operator's word does not follow the cut")
			}
			answers[e.Meta.InReplyTo] = len(m.Text)
			cut++
		case tandem.KindMessage:
			if m := body[tandem.Message](s.b.t, e); m.Role == tandem.RoleOperator {
				if words++; open {
					s.b.t.Error("an operator speaks in the middle of an answer")
				}
			}
		}
	}
	if words != s.rounds {
		s.b.t.Errorf("%d takeovers, %d words of operators", s.rounds, words)
	}
	for _, id := range s.asked {
		if said := s.l.accepted[id]; said != answers[id] {
			s.b.t.Errorf("the agent was let say %d bytes, %d are stored", said, answers[id])
		}
	}
	for _, id := range s.unborn {
		if _, ok := answers[id]; ok || s.l.accepted[id] > 0 {
			s.b.t.Error("what was asked in between was answered")
		}
	}
	return cut
}

// The promise: of a thousand takeovers of an agent that talks without end, or
// pushes, at random moments, each has exactly one winner; what is stored is what every reader
// was shown and what the agent was let say; nothing comes after the end; every
// call of the agent stops; nobody who does not read delays any.
//
// Seen to fail by publishing without looking at frozen, by not looking at the
// fence, and by leaving a turn its row.
func TestSeize_thousandTimes(t *testing.T) {
	const threads = 8
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	l := &ledger{accepted: map[string]int{}, began: map[string]chan struct{}{}}
	b := with(t, replies(l.endless), func(s *Spec) { s.Concurrency, s.History = threads, 0 })
	var slow time.Duration
	var all sync.WaitGroup
	soaks, readers := make([]*soak, threads), make([]*reader, threads)
	for n := range threads {
		s := &soak{b: b, l: l, a: who(fmt.Sprint("user-", n))}
		soaks[n], readers[n] = s, b.reads(s.a, nil)
		all.Go(func() {
			for i := n; i < rounds; i += threads {
				s.round(i)
			}
		})
	}
	all.Wait()
	cut := 0
	for n, s := range soaks {
		s.compare(readers[n])
		cut += s.check()
		slow = max(slow, s.slow)
		b.wants(s.a, b.story(s.a))
	}
	if cut < rounds/2 {
		t.Errorf("only %d answers had begun", cut)
	}
	if slow > 3*time.Second {
		t.Errorf("a takeover took %v", slow)
	}
	t.Logf("%d takeovers, %d of them after the first token; the slowest took %v", rounds, cut, slow)
}
