package turn

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// putOff is what a turn's row has for Started once the agent accepted the
// question and said that it will push its answer (202). No event has this seq.
const putOff = -1

// A turn is one question on its way to the single end of its answer.
type turn struct {
	row      store.Turn     // as it was stored
	question *tandem.Event  // nil: not kept any more
	message  tandem.Message // of question; read by whoever serves the turn
	epoch    int64          // of the thread's control when the question was stored
	name     string         // who answers; set before there is an answer
	by       tandem.Meta    // of who pushes it; zero: the agent
	trace    string         // traceparent of what is written
	feeds    chan *feed     // at most one, who wants to say the answer

	ctx    context.Context // ends when the answer must stop; its cause says why
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the turn is over

	// saving, a lock whose waiting can end, is held while an append for this turn
	// is under way, so that a cut never meets one half done. It is taken before mu.
	saving *semaphore.Weighted

	mu      sync.Mutex // guards all below
	wake    sync.Cond  // frozen or over has changed
	frozen  bool       // nothing may be published
	over    bool       // the turn has ended
	started int64      // seq of answer-started; 0: no token yet
	text    strings.Builder
	saved   int // bytes of text in checkpoints
	sources string
	how     string    // it ended; "" before, or if somebody else's append ended it
	later   bool      // open until a push comes
	pushing bool      // the push has come, and goes on
	early   bool      // a push came before the turn was put aside for it
	claimed time.Time // when a push for it was last on its way

	// Of the line it is in; guarded by Runner.mu.
	served bool        // taken out of the queue
	parked bool        // open and in nobody's way
	timer  *time.Timer // of a parked one: its time is up
}

func newTurn(life context.Context, row store.Turn, question *tandem.Event, epoch int64) *turn {
	t := &turn{row: row, question: question, epoch: epoch, done: make(chan struct{}), saving: semaphore.NewWeighted(1), feeds: make(chan *feed, 1)}
	t.wake.L = &t.mu
	t.ctx, t.cancel = context.WithCancelCause(life)
	return t
}

// read makes the question readable. It is called before the turn is served, and
// not when an answer of an earlier process has to be ended.
func (t *turn) read() {
	if t.question != nil {
		t.message, _ = t.question.Message() // a body that we wrote
		t.trace = t.question.Meta.Traceparent
	}
}

// fenced reports whether the agent may not speak any more: control has changed
// since the question, a person holds the conversation, or it has ended. active
// may be nil if it did not change. A thread that serves another's conversation has
// none of its own to compare with: there the epoch alone tells.
func (t *turn) fenced(on tandem.Thread, active *tandem.Conversation) bool {
	c := on.Control
	if c.Epoch != t.epoch || c.Holder != "" {
		return true
	}
	if active != nil && active.ID == t.row.Conversation && (active.Mode == tandem.ModeOperator || active.Status == tandem.StatusEnded) {
		return true
	}
	return c.Serves == "" && t.row.Conversation != "" && t.row.Conversation != c.Conversation && t.row.Conversation != c.Reserved
}

func (t *turn) isOver() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.over
}

// begun returns the seq of answer-started, 0 before the first token.
func (t *turn) begun() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.started
}

// set changes what mu guards.
func (t *turn) set(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
}

// begin publishes the first text of an answer whose answer-started, with the
// same text as its first checkpoint, has been committed. saving is held.
func (t *turn) begin(h *hub.Hub, seq int64, text string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started, t.saved = seq, len(text)
	t.text.WriteString(text)
	h.Begin(t.row.Address, seq, t.row.Answer)
	h.Delta(t.row.Address, tandem.Delta{Seq: seq, Message: t.row.Answer, Text: text, At: at})
}

// publish adds text to the answer and tells the hub, under the lock: what was
// published is what the text is, at any moment that the lock is free. While the
// turn is frozen it waits. errOver means that the answer was cut before text.
func (t *turn) publish(h *hub.Hub, text string, at time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.waitThawed(); err != nil {
		return err
	}
	d := tandem.Delta{Seq: t.started, Message: t.row.Answer, Offset: t.text.Len(), Text: text, At: at}
	t.text.WriteString(text)
	h.Delta(t.row.Address, d)
	return nil
}

// live waits while the turn is frozen; errOver means that it is over.
func (t *turn) live() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waitThawed()
}

func (t *turn) waitThawed() error {
	for t.frozen && !t.over {
		t.wake.Wait()
	}
	if t.over {
		return errOver
	}
	return nil
}

// end marks the turn as over. The store has said so.
func (t *turn) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.over = true
		close(t.done)
		t.wake.Broadcast()
	}
}
