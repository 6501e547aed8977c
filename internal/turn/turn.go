// Package turn brings an agent's answer from a stored question to its single
// end: one at a time per thread, in order, written down as it grows, and cut at
// an exact byte if somebody says so.
//
// What may be read as the order of things:
//
//	question stored -> queued -> marked asked -> agent called -> first token:
//	answer-started stored -> deltas and checkpoints -> answer-ended stored
//
// A turn ends before its first token by [tandem.KindAnswerFailed], or without a
// word if the agent had none. Nothing is told before it is committed, but deltas,
// which are hints.
package turn

import (
	"context"
	"log/slog"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// An Agent answers questions; any number of them at the same time.
type Agent interface {
	// Reply answers q and returns when the answer is whole. It calls emit for
	// each piece, in order and from one goroutine, which must have stopped
	// calling it when Reply returns. An error of emit means that the answer was
	// cut or cannot go on: Reply must return it at once. When ctx ends, Reply
	// returns soon, with ctx's cause. Any other error is of a kind that says
	// whether the same question may be asked again ([tandem.ErrorKind.Retryable]).
	Reply(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error
}

// A Spec is one agent and what it is given: which questions, and how much time.
// A time-out, a count or a size of 0 is off.
type Spec struct {
	Name     string // in createdBy, metrics and the console; each name once
	Tenant   string // whose questions it answers; "*" for every other
	Workflow string // the line of service; "*" for every other
	Agent    Agent  // nil: none, people only

	// Push says that nobody is called: the agent learns of questions by itself
	// and pushes its answers. Its questions stay open until a push names their
	// requestId or Total has passed since they were stored; nothing waits for
	// them, so the next question is open at the same time.
	Push bool

	History     int           // messages before the question that it is told
	FirstToken  time.Duration // longest wait for its first piece
	Idle        time.Duration // longest wait for the next one
	Total       time.Duration // longest time for a whole answer, repeats and a push that comes later included
	Retries     int           // calls made again, before the first piece only
	Concurrency int           // answers at a time on this node
	Silent      bool          // it does not answer while a person is asked for
	Data        bool          // it is asked Data messages too; the desk looks at it
	UserClaims  []string      // what of the asker it is told; nil: all that was stored
}

// DefaultSpec returns the agent a with the documented defaults, for all that
// nobody else answers.
func DefaultSpec(name string, a Agent) Spec {
	return Spec{
		Name: name, Tenant: "*", Workflow: "*", Agent: a,
		History: 40, FirstToken: 30 * time.Second, Idle: 30 * time.Second, Total: 5 * time.Minute,
		Retries: 2, Concurrency: 64, UserClaims: []string{"sub", "name"},
	}
}

// Options of a Runner. Store and Hub are needed.
type Options struct {
	Store  *store.Store
	Hub    *hub.Hub
	Agents []Spec

	// Handoff is called when an agent wants to hand the conversation on, after
	// what it said before and before its answer ends. It must not wait for the
	// answer. The wiring sets it to the desk's. If it fails with kind Unavailable
	// it is called again; any other error is logged, and the answer goes on.
	Handoff func(ctx context.Context, a tandem.Address, conversation string, req tandem.HandoffRequest) error

	// Append appends what is said in a conversation; nil: Store.Append. The wiring
	// sets it to the desk's, which sees to conversations that another workflow
	// answers.
	Append func(ctx context.Context, ap store.Append) (store.Result, error)

	Limits tandem.Limits
	Clock  tandem.Clock // nil: time.Now
	Metric *metric.Set  // nil: none
	Log    *slog.Logger // nil: none
}

// AgentHealth is how one agent does, on this node.
type AgentHealth struct {
	Name    string
	Breaker string // closed, half-open or open
	Running int    // answers under way
}

// What can end an answer from our side. They are causes of contexts and results
// of writes; none of them is the agent's fault but the time-outs.
var (
	errOver       = tandem.Errorf(tandem.Gone, "the answer has ended")
	errHeld       = tandem.Errorf(tandem.Held, "somebody else may speak now")
	errHalted     = tandem.Errorf(tandem.Unavailable, "shutting down")
	errOpen       = tandem.Errorf(tandem.Unavailable, "the agent failed too often and is left alone for a while")
	errFirstToken = tandem.Errorf(tandem.Timeout, "the agent sent no first token in time")
	errIdle       = tandem.Errorf(tandem.Timeout, "the agent paused for too long")
	errTotal      = tandem.Errorf(tandem.Timeout, "the agent took too long")
	errTooLong    = tandem.Errorf(tandem.TooLarge, "the agent's answer is too long")
	errTwoAnswers = tandem.Errorf(tandem.Invalid, "the agent went on after it put the answer off")
)

// Codes of an answer that failed before its first token; clients see them.
const (
	codeUnavailable = "unavailable"
	codeTimeout     = "timeout"
)

func codeOf(err error) string {
	if tandem.KindOf(err) == tandem.Timeout {
		return codeTimeout
	}
	return codeUnavailable
}
