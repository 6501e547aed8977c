package turn

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// A Runner owns every turn of this node and every goroutine that works on one.
// Its methods may be called from any goroutine.
type Runner struct {
	store   *store.Store
	put     func(context.Context, store.Append) (store.Result, error) // Options.Append
	hub     *hub.Hub
	handoff func(context.Context, tandem.Address, string, tandem.HandoffRequest) error
	limits  tandem.Limits
	clock   tandem.Clock
	metric  *metric.Set
	log     *slog.Logger

	renew  sync.Mutex // held while the list of agents is replaced
	agents atomic.Pointer[table]

	open   context.Context // ends when nothing new may begin
	shut   context.CancelFunc
	life   context.Context // ends when nothing may go on
	kill   context.CancelCauseFunc
	pushes atomic.Int64 // numbers of pushes that answer no question: negative, going down

	work sync.WaitGroup // every goroutine; none is added once phase is stopped, but by another

	// mu guards lines, what is in them, and phase. Nobody holds it while waiting
	// for the store: the store's writer takes it.
	mu    sync.Mutex
	lines map[tandem.Address]*line
	phase phase
}

type phase uint8

const (
	waiting phase = iota // for Start
	running
	stopped
)

// New returns a Runner that does nothing before Start.
func New(opt Options) *Runner {
	r := &Runner{
		store: opt.Store, put: opt.Append, hub: opt.Hub, handoff: opt.Handoff, limits: opt.Limits,
		clock: opt.Clock, metric: opt.Metric, log: opt.Log, lines: map[tandem.Address]*line{},
	}
	if r.put == nil {
		r.put = r.store.Append
	}
	if r.clock == nil {
		r.clock = time.Now
	}
	if r.metric == nil {
		r.metric = metric.Discard()
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.pushes.Store(-r.clock().UnixNano())
	r.open, r.shut = context.WithCancel(context.Background())
	r.life, r.kill = context.WithCancelCause(context.Background())
	r.agents.Store(&table{})
	r.SetAgents(opt.Agents)
	return r
}

// Stop begins nothing new and waits until the answers under way have ended. When
// ctx ends first they are closed as interrupted, with the text they have. What
// was not begun, and what waits for a push, stays in the store for the next
// start. No goroutine is left when Stop returns.
func (r *Runner) Stop(ctx context.Context) {
	r.mu.Lock()
	r.phase = stopped
	for _, l := range r.lines {
		for _, t := range l.turns {
			if t.timer != nil {
				t.timer.Stop()
			}
		}
	}
	r.mu.Unlock()
	r.shut()
	late := context.AfterFunc(ctx, func() { r.kill(errHalted) })
	r.work.Wait()
	late()
	r.kill(errHalted)
}

// Committed is told of every append. It begins turns for new questions, ends
// those that somebody else's append has ended (a push, a takeover), and stops
// those whose agent may not speak any more. It does not block.
func (r *Runner) Committed(c store.Committed) {
	r.mu.Lock()
	var ended []*turn
	if l := r.lines[c.Address]; l != nil {
		for _, question := range c.EndTurns {
			if t := l.find(func(t *turn) bool { return t.row.Question == question }); t != nil {
				r.unqueue(l, t)
				ended = append(ended, t)
			}
		}
		for _, t := range l.turns {
			if !slices.Contains(ended, t) && t.fenced(c.Thread, c.Conversation) {
				t.cancel(errHeld)
				r.unpark(l, t)
			}
		}
	}
	if c.Turn != nil && c.Turn.Question > 0 && r.phase != stopped { // else it is a push's
		t := newTurn(r.life, *c.Turn, questionOf(c), c.Thread.Control.Epoch)
		r.enqueue(c.Address, t)
	}
	r.mu.Unlock()
	for _, t := range ended {
		t.end()
		if t.begun() != 0 { // before that the agent may still want to say that it pushes
			t.cancel(errOver)
		}
	}
}

func questionOf(c store.Committed) *tandem.Event {
	i := slices.IndexFunc(c.Events, func(e tandem.Event) bool { return e.Seq == c.Turn.Question })
	if i < 0 {
		return nil
	}
	return &c.Events[i]
}

// claim is how long a push may be on its way from Waiting to its commit.
const claim = 2 * time.Second

// Waiting returns the question of the oldest turn of the thread that waits for a
// push with this requestId. Who pushes asks before, and ends the turn with
// [store.Write.EndTurns] in the append that stores the push. The turn does not run
// out of time meanwhile. A push that is faster than the agent's own word that
// there will be one is remembered: the turn then ends with that word.
func (r *Runner) Waiting(a tandem.Address, requestID string) (question int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lines[a]
	if l == nil || requestID == "" {
		return 0, false
	}
	now := r.clock()
	t := l.find(func(t *turn) (match bool) {
		if t.row.RequestID != requestID {
			return false
		}
		t.set(func() {
			t.early = true
			if match = t.later && !t.pushing && !t.over; match {
				t.claimed = now
			}
		})
		return match
	})
	if t == nil {
		return 0, false
	}
	return t.row.Question, true
}
