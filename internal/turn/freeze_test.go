package turn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// ledger counts what an endless agent was let say, by question.
type ledger struct {
	mu       sync.Mutex // guards all below
	accepted map[string]int
	began    map[string]chan struct{} // closed at the first token
}

// begun is closed when the agent has said the first token of its answer.
func (l *ledger) begun(question string) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.began[question] == nil {
		l.began[question] = make(chan struct{})
	}
	return l.began[question]
}

// endless talks until it is cut, now fast, now slowly.
func (l *ledger) endless(_ context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
	said := 0
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.accepted[q.MessageID] = said
	}()
	for i := 0; ; i++ {
		token := fmt.Sprint(i, " ")
		if err := emit(tandem.Piece{Text: token}); err != nil {
			return err
		}
		said += len(token)
		if i == 0 {
			close(l.begun(q.MessageID))
		}
		if rand.N(4) == 0 {
			<-time.After(time.Duration(rand.N(200)) * time.Microsecond)
		}
	}
}

// begins reports whether the thread has an answer under way.
func (b *bench) begins(a tandem.Address) bool {
	th, err := b.store.Thread(context.Background(), a)
	if err != nil {
		b.t.Error(err)
	}
	return th.Answer != 0
}

// Thousands of answers are cut at whatever moment. The agent was let say exactly
// what the log has, what readers were shown is the same (the bench compares them
// at each end), no token follows, each turn ends once. Two cuts of three are
// refused by their transaction: then the answer goes on as if nothing had been.
//
// Seen to fail by letting go of the lock between looking at frozen and publishing,
// by not looking at frozen, and by not waiting for an append half done.
func TestFreeze_cutsAtTheExactByte(t *testing.T) {
	const posters, rounds = 8, 80
	l := &ledger{accepted: map[string]int{}, began: map[string]chan struct{}{}}
	b := with(t, replies(l.endless), func(s *Spec) { s.Concurrency, s.History = posters, 0 })
	refuse := errors.New("refused")
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			a := who(fmt.Sprint("user-", p))
			for i := range rounds {
				q := b.ask(a, "q")
				tries := 0
				if i%4 > 0 {
					<-l.begun(q.id)
					tries = 2
				}
				for range tries {
					<-time.After(time.Duration(rand.N(500)) * time.Microsecond)
					if _, err := b.seize(t.Context(), a, func(store.State, *store.Write) error { return refuse }); err != refuse {
						t.Errorf("a refused cut said %v", err)
					}
				}
				<-time.After(time.Duration(rand.N(4000>>tries)) * time.Microsecond)
				if err := b.run.Cancel(t.Context(), a, []string{q.id, q.answer}[i%2]); err != nil {
					t.Errorf("cut %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	stored := map[string]int{}
	for p := range posters {
		for _, e := range b.log(who(fmt.Sprint("user-", p))) {
			if e.Kind == tandem.KindAnswerEnded {
				m := body[tandem.Message](t, e)
				if m.Finish != tandem.FinishCancelled {
					t.Errorf("an answer ended as %s", m.Finish)
				}
				stored[e.Meta.InReplyTo] = len(m.Text)
			}
		}
	}
	t.Logf("%d answers were cut, %d of them after the first token", posters*rounds, len(stored))
	b.run.Stop(t.Context())
	for id, n := range l.accepted {
		if stored[id] != n {
			t.Errorf("the agent was let say %d bytes, %d are stored", n, stored[id])
		}
	}
}

// stand is an agent that stops after each token until it is let go on.
type stand struct {
	asked chan string   // one for each question
	said  chan string   // one for each token that was taken
	next  chan struct{} // lets it say one more
}

func newStand() *stand {
	return &stand{make(chan string, 100), make(chan string, 100), make(chan struct{})}
}

func (s *stand) Reply(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
	s.asked <- q.Message
	for i := 1; ; i++ {
		select {
		case _, more := <-s.next:
			if !more {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		token := fmt.Sprintf("%s%d ", q.Message, i)
		if err := emit(tandem.Piece{Text: token}); err != nil {
			return err
		}
		s.said <- token
	}
}

func (s *stand) token(t testing.TB) {
	t.Helper()
	s.next <- struct{}{}
	<-s.said
}

// Before its turn, before the first token and in the middle a cancel ends the
// answer there; after the end there is nothing to cancel.
func TestCancel_endsAnAnswerWhereItIs(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	cancel := func(id string, want tandem.ErrorKind) {
		t.Helper()
		err := b.run.Cancel(t.Context(), a, id)
		if want == 0 && err != nil || want != 0 && tandem.KindOf(err) != want {
			t.Errorf("cancel: %v", err)
		}
	}
	first, second, third := b.ask(a, "a"), b.ask(a, "b"), b.ask(a, "c")
	cancel("", tandem.NotFound)
	cancel("msg_unknown", tandem.NotFound)
	s.token(t)
	s.token(t)
	cancel(second.id, 0) // waits for its turn
	cancel(second.id, tandem.NotFound)
	cancel(first.answer, 0) // in the middle
	cancel(first.answer, tandem.NotFound)
	b.until("the third is asked", func() bool { r, ok := b.row(a); return ok && r.Asked })
	cancel(third.id, 0) // before its first token
	last := b.ask(a, "d")
	s.token(t)
	close(s.next)
	b.wants(a, "user:a | user:b | user:c | start | cancelled:a1 a2  | user:d | start | stop:d1 ")
	cancel(last.id, tandem.NotFound) // after its end
	if n := count(t, b.set.Turn.Ended.Of("cancelled")); n != 3 {
		t.Errorf("%v cancelled were counted", n)
	}
	if n := count(t, b.set.Turn.Queued); n != 0 {
		t.Errorf("%v are counted as queued", n)
	}
}

// Whoever ends an answer by an append of their own ends it: the agent is told to
// stop, readers are told of no more, nothing else is stored.
func TestAnswer_thatSomebodyElseEndsIsOver(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	q := b.ask(a, "a")
	s.token(t)
	b.until("it begins", func() bool { return b.begins(a) })
	b.write(a, func(on store.State, w *store.Write) {
		m := tandem.Message{Text: "a1 ", Finish: tandem.FinishInterrupted, Started: on.Thread.Answer}
		w.Events = []tandem.Event{{Kind: tandem.KindAnswerEnded, ID: q.answer, Body: mustJSON(t, m)}}
		w.Thread.Answer, w.EndTurns = 0, []int64{q.seq}
	})
	b.wants(a, "user:a | start | interrupted:a1 ")
	b.ask(a, "b") // the line goes on
	s.token(t)
	close(s.next)
	b.wants(a, "user:a | start | interrupted:a1  | user:b | start | stop:b1 ")
}

// takeOver makes w a takeover by an operator, with a first word.
func takeOver(t testing.TB, on store.State, w *store.Write) {
	c := *on.Active
	w.Thread.Control.Epoch++
	w.Thread.Control.Holder = "maya"
	c.Mode, c.AdminID, c.Epoch = tandem.ModeOperator, "maya", w.Thread.Control.Epoch
	w.Conversation = &c
	m := tandem.Message{Direction: tandem.Outgoing, Type: tandem.Chat, Role: tandem.RoleOperator, Text: "Good day.", Conversation: c.ID}
	w.Events = append(w.Events, tandem.Event{Kind: tandem.KindMessage, ID: tandem.NewID("msg_", time.Now()), Body: mustJSON(t, m)})
}

// Control that changes without a cut stops the agent as well: what was said is
// told to have been interrupted, and what waited is dropped. So does the end of
// the conversation. Seen to fail by not fencing each of the writes.
func TestFence_stopsAnAgentThatMaySpeakNoMore(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(store.State, *store.Write)
		want   string
	}{
		{"taken over", func(on store.State, w *store.Write) { takeOver(t, on, w) }, "operator:Good day. | interrupted:a1 "},
		{"a new epoch", func(_ store.State, w *store.Write) { w.Thread.Control.Epoch++ }, "interrupted:a1 "},
		{"ended", func(on store.State, w *store.Write) {
			c := *on.Active
			c.Status, w.Thread.Control.Conversation, w.Conversation = tandem.StatusEnded, "", &c
		}, "interrupted:a1 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStand()
			b := with(t, s)
			a := who("ann")
			b.ask(a, "a")
			b.ask(a, "b")
			s.token(t)
			b.until("it begins", func() bool { return b.begins(a) })
			b.write(a, c.change)
			b.wants(a, "user:a | user:b | start | "+c.want)
		})
	}
}

// An agent that goes on all the same is not heard, whatever it says next.
func TestFence_holdsAgainstAnAgentThatGoesOn(t *testing.T) {
	type fence struct {
		name  string
		at    int // pieces before control changes
		piece []tandem.Piece
		want  string
	}
	cases := []fence{
		{"before the first token", 0, []tandem.Piece{{Text: "a"}}, ""},
		{"before data", 1, []tandem.Piece{{Text: "a"}, {Data: []byte(`1`)}}, " | start | interrupted:a"},
		{"before a token", 1, []tandem.Piece{{Text: "a"}, {Text: "b"}}, " | start | interrupted:a"},
		{"before it is put off", 0, []tandem.Piece{{Later: true}}, ""},
		{"before the end", 1, []tandem.Piece{{Text: "a"}}, " | start | interrupted:a"},
	}
	var b *bench
	b = with(t, replies(func(_ context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		c := cases[slices.IndexFunc(cases, func(c fence) bool { return c.name == q.Message })]
		for n, p := range append(c.piece, tandem.Piece{}) {
			if n == c.at {
				b.write(who(q.Message), func(_ store.State, w *store.Write) { w.Thread.Control.Epoch++ })
			}
			_ = emit(p)
		}
		return nil
	}))
	for _, c := range cases {
		b.ask(who(c.name), c.name)
		b.wants(who(c.name), "user:"+c.name+c.want)
	}
}

// Every write for the agent looks at control in the transaction that appends it,
// however lately that changed; what only takes its words away does not. Seen to
// fail by leaving the fence out of each decision, and each condition out of it.
func TestFence_isInEachDecision(t *testing.T) {
	a := who("ann")
	row := store.Turn{Address: a, Question: 1, Conversation: "c"}
	open := newTurn(t.Context(), row, nil, 3)
	defer open.cancel(nil)
	fenced := map[string]decision{
		"asking": open.asking(false), "starting": open.starting(tandem.Event{}, "x"), "noting": open.noting(tandem.Event{}),
		"growing": open.growing(2, 1, "x"), "closing": open.closing(2, tandem.Event{}, true), "failing": open.failing(tandem.Event{}),
		"putting off": open.puttingOff,
	}
	h := &hold{turns: []*turn{open}, talks: open, cut: cut{2, "x", ""}}
	cutting := func(now time.Time, on store.State) (store.Write, error) {
		writes, err := h.deciding([]tandem.Event{{}}, nothingMore)(now, []store.State{on})
		return writes[0], err
	}
	free := map[string]decision{
		"closing": open.closing(2, tandem.Event{}, false), "cutting": cutting, "dropping": open.dropping,
	}
	for name, c := range map[string]struct {
		control tandem.Control
		active  *tandem.Conversation
		held    bool
	}{
		"as it was":          {tandem.Control{Epoch: 3, Conversation: "c"}, &tandem.Conversation{ID: "c", Mode: tandem.ModeAgent}, false},
		"a person asked for": {tandem.Control{Epoch: 3, Conversation: "c"}, &tandem.Conversation{ID: "c", Mode: tandem.ModeWaiting}, false},
		"not yet open":       {tandem.Control{Epoch: 3, Reserved: "c"}, nil, false},
		"a newer epoch":      {tandem.Control{Epoch: 4, Conversation: "c"}, nil, true},
		"a holder":           {tandem.Control{Epoch: 3, Conversation: "c", Holder: "maya"}, nil, true},
		"held by mode":       {tandem.Control{Epoch: 3, Conversation: "c"}, &tandem.Conversation{ID: "c", Mode: tandem.ModeOperator}, true},
		"ended":              {tandem.Control{Epoch: 3}, nil, true},
		"serves another":     {tandem.Control{Epoch: 3, Serves: "orders"}, nil, false},
		"served another":     {tandem.Control{Epoch: 4, Serves: "orders"}, nil, true},
		"another":            {tandem.Control{Epoch: 3, Conversation: "d"}, &tandem.Conversation{ID: "d"}, true},
	} {
		on := store.State{Thread: tandem.Thread{Address: a, Answer: 2, Control: c.control}, Active: c.active}
		for what, d := range fenced {
			if _, err := d(time.Now(), on); (err == errHeld) != c.held {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		for what, d := range free {
			if w, err := d(time.Now(), on); err != nil || !slices.Equal(w.EndTurns, []int64{1}) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

// Publishing waits while the turn is frozen, and goes on when the cut is refused.
func TestFreeze_thatIsRefusedLosesNothing(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	q := b.ask(a, "a")
	s.token(t)
	b.until("it begins", func() bool { return b.begins(a) })
	mend := b.broken("event", "new.kind = 'answer-ended'")
	for range 5 {
		done := make(chan error)
		go func() { done <- b.run.Cancel(t.Context(), a, q.id) }()
		s.token(t)
		if err := <-done; err == nil || tandem.KindOf(err) == tandem.NotFound {
			t.Fatalf("cancelled: %v", err)
		}
	}
	mend()
	close(s.next)
	b.wants(a, "user:a | start | stop:a1 a2 a3 a4 a5 a6 ")
}

// Two cuts at once: one cuts, the other finds nothing to cut.
func TestCancel_twiceAtOnceCutsOnce(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	q := b.ask(a, "a")
	s.token(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var kinds []string
	for range 8 {
		wg.Go(func() {
			err := b.run.Cancel(t.Context(), a, q.id)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				kinds = append(kinds, "cut")
			} else if tandem.KindOf(err) != tandem.NotFound {
				kinds = append(kinds, err.Error())
			}
		})
	}
	wg.Wait()
	if got := strings.Join(kinds, ","); got != "cut" {
		t.Errorf("got %s", got)
	}
	b.wants(a, "user:a | start | cancelled:a1 ")
}
