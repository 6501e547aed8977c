package store

import (
	"context"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// Append is one all-or-nothing write to one thread, or to two (a handoff).
type Append struct {
	// Threads are written to in this order; a thread without a row gets one.
	Threads []tandem.Address

	// Key is the client's own key for this write, unique on the first thread;
	// empty for none. KeySum is a hash of what the key is used for: the same key
	// with another sum is refused with kind Mismatch, a repeat is answered with
	// the first result.
	Key    string
	KeySum tandem.Hash

	// Keys, instead of Key, are of a write of several messages: the k-th belongs to
	// the k-th event of the first thread after Write.Cut, "" is none. If all were used before the
	// answer is the repeat of their events, if only some the append is refused with
	// kind Conflict. The same key twice is Invalid.
	Keys []KeyUse

	Conversation string // if not empty: State.Named of the first thread is this conversation of its tenant
	Call         string // if not empty: State.Called is the ACTIVE one with this call id

	// Decide is called inside the transaction with one State a thread and says
	// what to write, one Write a thread. An error refuses this append and no
	// other. It must be a pure function: it may be called more than once, and
	// must not block or do I/O.
	Decide func(now time.Time, on []State) ([]Write, error)
}

// State is what a decision may look at: a thread as it is locked, with its
// ACTIVE conversation, or nil.
type State struct {
	Thread  tandem.Thread
	Active  *tandem.Conversation
	Session *Session // of a session's thread: its session, dead or alive; nil: none

	// What the append asked for, on its first thread; nil if there is none. Both
	// may be of another thread. Named may be an ended one or a tombstone.
	Named, Called *tandem.Conversation
}

// Write is what a decision wants done to one thread.
type Write struct {
	// Events are appended in order. The store fills in Seq, At, Hash, Key and
	// KeySum and Meta.Node.
	Events []tandem.Event

	// Cut is how many of the first Events are the end of an answer that is cut in
	// this append. Keys belong to the events after them.
	Cut int

	// Thread says how Control, Answer, ChatMark, Hidden and Counter shall be
	// afterwards; the rest of it is not looked at.
	Thread tandem.Thread

	// Conversation, if not nil, is stored as it is under the tenant's next
	// board revision.
	Conversation *tandem.Conversation

	Session *Session // if not nil, stored as it is: the thread is its thread

	Turn       *Turn       // a question that must be answered; Question may be 0 for "the first event"
	Asked      int64       // seq of a question whose upstream is about to be called
	Started    *Turn       // a turn whose answer-started is among Events
	EndTurns   []int64     // seqs of questions that need no answer any more, with their checkpoints
	Checkpoint *Checkpoint // a piece of an unfinished answer

	Dues   []Due   // armed, or with At zero disarmed; the store fills in Tenant and Address
	Acks   []Ack   // positions of readers
	Erase  *Erase  // if not nil: what is before Events is erased
	Audits []Audit // who did it; the store fills in At, and ID if it is empty
}

// Turn is a question that waits for the end of its answer.
type Turn struct {
	Address      tandem.Address
	Question     int64  // seq of the message
	Answer       string // id that the closing event will have
	Conversation string
	RequestID    string
	Scope        string
	Workflow     string // whose agent answers
	User         []byte // JSON object: what the agent may know of who asks
	Locale       string // language of who asks, "" if unknown
	Asked        bool   // the upstream was called at least once
	Started      int64  // seq of the answer-started, 0 before
	CreatedAt    time.Time
}

// Checkpoint is text of an answer that has no end yet, from byte At on.
type Checkpoint struct {
	Started int64 // seq of the answer-started; 0: that of Write.Started
	At      int
	Text    string
}

// Result tells what an append did.
type Result struct {
	Repeat   bool             // the key was used before: Threads and Events are of then
	Threads  []tandem.Thread  // as they are after the append
	Events   [][]tandem.Event // by thread; of a repeat the events that have the keys
	Active   []*tandem.Conversation
	Sessions []*Session // by thread, as they are after the append; of a repeat none
	Turn     *Turn      // the one that was written, complete
}

// Committed is told of each thread of each append after its commit.
type Committed struct {
	Address      tandem.Address
	Thread       tandem.Thread
	Events       []tandem.Event
	Conversation *tandem.Conversation // the one that changed, or nil
	Turn         *Turn                // a new one, or nil
	Dues         []Due                // what was armed or disarmed
	EndTurns     []int64              // questions that need no answer any more
	Erased       bool                 // all before Events was erased, conversations too
}

// Append submits a and waits for its commit. If ctx ends first only the waiting
// ends: the append may still happen. Errors: what Decide returned; Mismatch;
// NotFound for an unknown tenant; Unavailable if the store cannot write now.
func (s *Store) Append(ctx context.Context, a Append) (Result, error) {
	j := &job{append: &a, done: make(chan struct{})}
	if err := s.submit(ctx, j); err != nil {
		return Result{}, err
	}
	return j.result, j.err
}

// job is one entry of the writer's queue: an append or an update.
type job struct {
	append *Append
	update func(context.Context, querier) error
	result Result
	err    error
	told   []Committed
	done   chan struct{} // closed when result and err may be read
}
