// Package desk has the rules: who may say what where, what a message starts, and
// what a reader of a thread is shown. It reads aloud as what people do: Post,
// Push, Escalate, Follow.
//
// A rule that depends on the state of a thread is decided inside the appending
// transaction, in a function handed to [store.Append.Decide].
package desk

import (
	"io"
	"log/slog"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/store"
	"github.com/seed4677ff1f/tandem/internal/turn"
)

// Leeway is how long after a credential's expiry it is still taken, for opening
// and for keeping a stream open alike.
const Leeway = 5 * time.Second

// Options of a desk. Store, Hub and Turns are needed.
type Options struct {
	Store  *store.Store
	Hub    *hub.Hub
	Turns  *turn.Runner
	Limits tandem.Limits
	Rules  *Rules // nil: DefaultRules

	// Decode reads an answer that is streamed to us, of this media type, and calls
	// emit for each piece. Its errors say nothing that its sender wrote. nil: Stream
	// may not be called.
	Decode func(form string, body io.Reader, emit func(tandem.Piece) error) error

	Clock  tandem.Clock // nil: time.Now
	Metric *metric.Set  // nil: none
	Log    *slog.Logger // nil: none
}

// Desk applies the rules to one store and one hub. Its methods may be called
// from any goroutine; each judges the principal it is given.
type Desk struct {
	store  *store.Store
	hub    *hub.Hub
	turns  *turn.Runner
	limits tandem.Limits
	rules  Rules
	clock  tandem.Clock
	metric *metric.Set
	log    *slog.Logger
	agenda *agenda                                                                // what Run has to do
	decode func(form string, body io.Reader, emit func(tandem.Piece) error) error // Options.Decode
}

// New returns a desk.
func New(opt Options) *Desk {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Metric == nil {
		opt.Metric = metric.Discard()
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	d := &Desk{
		store: opt.Store, hub: opt.Hub, turns: opt.Turns, limits: opt.Limits, rules: DefaultRules(),
		clock: opt.Clock, metric: opt.Metric, log: opt.Log, agenda: newAgenda(),
		decode: opt.Decode,
	}
	if opt.Rules != nil {
		d.rules = *opt.Rules
	}
	return d
}

// Committed tells the hub and the turns what the store has committed. The wiring
// gives it to the store as [store.Options.Committed].
func (d *Desk) Committed(all []store.Committed) {
	for i := range all {
		c := &all[i]
		if c.Erased {
			d.agenda.erased(c.Address, c.Thread.Erased)
			d.forget(c.Address)
		}
		if len(c.Events) > 0 {
			d.hub.Ring(c.Address, c.Events)
			d.hub.Notify(tandem.FeedAddress(c.Address.Tenant, c.Address.Workflow), tandem.Notice{Kind: tandem.NoticeFed, Thread: c.Address})
		}
		if c.Conversation != nil || c.Erased {
			d.hub.Nudge(tandem.BoardAddress(c.Address.Tenant))
		}
		d.turns.Committed(*c)
		d.noted(c)
	}
}

// errForbidden refuses who may not touch a thread.
func errForbidden() error {
	return tandem.Errorf(tandem.Forbidden, "You do not have permission to access this resource")
}

// maySpeakAs refuses p unless it may say something in the participant's name: the
// participant, a back end, the owner. An operator speaks as an operator.
func maySpeakAs(p tandem.Principal, a tandem.Address) error {
	if p.Role == tandem.Operator || p.Role == tandem.Supervisor {
		return errForbidden()
	}
	return mayRead(p, a)
}

// mayRead refuses p unless it may read the thread.
func mayRead(p tandem.Principal, a tandem.Address) error {
	if !p.MayRead(a) {
		return errForbidden()
	}
	return nil
}
