package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// batch is the work of one transaction: what has been decided and not yet written.
type batch struct {
	w    *writer
	now  time.Time
	rows map[tandem.Address]*row     // as they will be; only of appends that were not refused
	used map[threadKey]*tandem.Event // keys used before, in this batch too

	changed map[tenantConversation]*tandem.Conversation // in this batch
	erased  map[tandem.Address]bool                     // in this batch

	jobs    []*job           // that were not refused
	threads []tandem.Address // to be written, once each
	events  []pending
	writes  []placed
}

// pending is an event of a thread whose row number may not be known yet.
type pending struct {
	row   *row
	event *tandem.Event
}

// placed is a Write whose other parts (turns, conversations, checkpoints) follow.
type placed struct {
	row   *row
	write *Write
}

func newBatch(w *writer, now time.Time) *batch {
	return &batch{
		w: w, now: now, rows: map[tandem.Address]*row{},
		used: map[threadKey]*tandem.Event{}, changed: map[tenantConversation]*tandem.Conversation{},
		erased: map[tandem.Address]bool{},
	}
}

func (b *batch) empty() bool { return len(b.threads) == 0 }

// decide runs one append against the rows as the batch will leave them. The
// returned error is unexpected and ends the transaction; a refusal is in j.err.
func (b *batch) decide(ctx context.Context, j *job) error {
	a := j.append
	rows := make([]*row, len(a.Threads))
	for i, addr := range a.Threads {
		r, err := b.load(ctx, addr)
		if refused := (*tandem.Error)(nil); errors.As(err, &refused) {
			j.err = err
			return nil
		}
		if err != nil {
			return err
		}
		rows[i] = r
	}
	known, err := b.known(j, rows[0])
	if err != nil {
		return b.refuse(j, err)
	}
	if known {
		b.jobs = append(b.jobs, j)
		return nil
	}
	on := make([]State, len(rows))
	for i, r := range rows {
		on[i] = r.State
	}
	if err := b.name(ctx, a, rows[0].tenant, &on[0]); err != nil {
		return err
	}
	writes, err := a.Decide(b.now, on)
	if err != nil {
		return b.refuse(j, err)
	}
	if len(writes) != len(rows) {
		return fmt.Errorf("decided %d writes for %d threads", len(writes), len(rows))
	}
	for i := range writes {
		if err := writes[i].onlyErases(); err != nil {
			return err
		}
	}
	if err := b.giveKeys(a, writes[0].Events[writes[0].Cut:]); err != nil {
		return err
	}
	b.place(j, rows, writes)
	b.jobs = append(b.jobs, j)
	return nil
}

// refuse gives j its error and fails no other.
func (b *batch) refuse(j *job, err error) error {
	j.err = err
	b.w.s.opt.Metric.Store.Refusals.Of(refusal(err)).Inc()
	return nil
}

// refusal names an error for the counter of refusals.
func refusal(err error) string {
	switch tandem.KindOf(err) {
	case tandem.Conflict:
		return "conflict"
	case tandem.Held:
		return "held"
	case tandem.NotFound:
		return "not-found"
	case tandem.TooLarge:
		return "too-large"
	case tandem.Mismatch:
		return "mismatch"
	}
	return "failed"
}

// place numbers, dates and chains the events of a decision and remembers them.
func (b *batch) place(j *job, old []*row, writes []Write) {
	j.result = Result{Threads: make([]tandem.Thread, len(old)), Events: make([][]tandem.Event, len(old)), Active: make([]*tandem.Conversation, len(old)), Sessions: make([]*Session, len(old))}
	for i := range writes {
		w, r := &writes[i], *old[i] // a copy: what others saw stays as it was
		addr := r.Thread.Address
		if _, ok := b.rows[addr]; !ok {
			b.threads = append(b.threads, addr)
		}
		adopt(&r.Thread, &w.Thread)
		if c := w.Conversation; c != nil {
			c.Address = addr
			b.changed[tenantConversation{addr.Tenant, c.ID}] = c
			r.Active = nil
			if c.Status == tandem.StatusActive {
				r.Active = c
			}
		}
		if w.Erase != nil {
			r.Active = nil
			b.erase(&r)
		}
		for k := range w.Events {
			b.number(&w.Events[k], &r.Thread)
		}
		if w.Session != nil {
			r.Session = w.Session
		}
		for k := range w.Dues {
			w.Dues[k].Tenant, w.Dues[k].Address = addr.Tenant, addr
		}
		b.completeTurns(w, addr)
		now := &r
		b.rows[addr] = now
		for k := range w.Events {
			b.events = append(b.events, pending{now, &w.Events[k]})
		}
		b.writes = append(b.writes, placed{now, w})
		j.result.Threads[i], j.result.Events[i], j.result.Active[i], j.result.Sessions[i] = r.Thread, w.Events, r.Active, r.Session
		if w.Turn != nil {
			j.result.Turn = w.Turn
		}
		j.told = append(j.told, Committed{Address: addr, Thread: r.Thread, Events: w.Events, Conversation: w.Conversation, Turn: w.Turn, EndTurns: w.EndTurns, Dues: w.Dues, Erased: w.Erase != nil})
	}
}

// adopt copies what a decision may change of a thread's row.
func adopt(t, from *tandem.Thread) {
	t.Control, t.Answer, t.ChatMark = from.Control, from.Answer, from.ChatMark
	t.Hidden, t.Counter = from.Hidden, from.Counter
}

func (b *batch) number(e *tandem.Event, t *tandem.Thread) {
	e.Seq = t.Head + 1
	e.At = b.now
	if e.At.Before(t.HeadAt) {
		e.At = t.HeadAt
	}
	if e.Version == 0 {
		e.Version = tandem.EventVersion
	}
	e.Meta.Node = b.w.s.opt.Node
	e.Hash = e.Chain(t.HeadHash)
	t.Head, t.HeadHash, t.HeadAt = e.Seq, e.Hash, e.At
}

func (b *batch) completeTurns(w *Write, addr tandem.Address) {
	if t := w.Turn; t != nil {
		t.Address, t.CreatedAt = addr, b.now
		if t.Question == 0 && len(w.Events) > 0 {
			t.Question = w.Events[0].Seq
		}
	}
	if t := w.Started; t != nil {
		for _, e := range w.Events {
			if e.Kind == tandem.KindAnswerStarted {
				t.Started = e.Seq
			}
		}
		if w.Checkpoint != nil && w.Checkpoint.Started == 0 {
			w.Checkpoint.Started = t.Started
		}
	}
}

// load returns the thread's row: from this batch, from memory, or locked and
// read. Rows are shared and never changed in place.
func (b *batch) load(ctx context.Context, a tandem.Address) (*row, error) {
	if r := b.rows[a]; r != nil {
		return r, nil
	}
	if r := b.w.heads[a]; r != nil {
		return r, nil
	}
	tenant, err := b.w.tenant(ctx, a.Tenant)
	if err != nil {
		return nil, err
	}
	r := &row{tenant: tenant}
	err = scanThread(b.w.one(ctx, `select `+threadColumns+` from thread t where t.tenant = ? and t.workflow = ? and t.participant = ?`,
		tenant, a.Workflow, a.Participant), a, &r.Thread)
	if errors.Is(err, sql.ErrNoRows) {
		r.Thread = newThread(a)
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read thread: %w", err)
	}
	if id := r.Thread.Control.Conversation; id != "" {
		r.Active, err = scanConversation(b.w.one(ctx, `select `+conversationColumns+` from `+conversationTables+` where c.tenant = ? and c.id = ?`, tenant, id))
		if err != nil {
			return nil, fmt.Errorf("read conversation: %w", err)
		}
	}
	if a.Internal() {
		if r.Session, err = findSession(b.w.one(ctx, selectSession+` where s.thread = ?`, r.Thread.ID)); err != nil {
			return nil, err
		}
	}
	b.w.heads[a] = r
	return r, nil
}

func (w *writer) tenant(ctx context.Context, name string) (int64, error) {
	if id := w.tenants[name]; id != 0 {
		return id, nil
	}
	var id int64
	err := w.one(ctx, `select id from tenant where name = ?`, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, tandem.Errorf(tandem.NotFound, "unknown tenant")
	}
	if err != nil {
		return 0, fmt.Errorf("read tenant: %w", err)
	}
	w.tenants[name] = id
	return id, nil
}

// write puts everything decided into the open transaction: threads first, since
// new ones get their number by it, then what refers to them.
func (b *batch) write(ctx context.Context) error {
	if err := b.w.failAt("write", b); err != nil {
		return err
	}
	if err := b.writeThreads(ctx); err != nil {
		return fmt.Errorf("write threads: %w", err)
	}
	b.tellIDs()
	if err := b.writeEvents(ctx); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	for _, p := range b.writes {
		if err := b.writeRest(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// tellIDs puts the numbers of threads that are new into the results.
func (b *batch) tellIDs() {
	for _, j := range b.jobs {
		for i := range j.result.Threads {
			if t := &j.result.Threads[i]; t.ID == 0 {
				t.ID = b.rows[t.Address].Thread.ID
			}
		}
		for i := range j.told {
			if t := &j.told[i].Thread; t.ID == 0 {
				t.ID = b.rows[t.Address].Thread.ID
			}
		}
	}
}

func (b *batch) writeRest(ctx context.Context, p placed) error {
	w, thread := p.write, b.rows[p.row.Thread.Address].Thread.ID
	if c := w.Conversation; c != nil {
		if err := b.writeConversation(ctx, p.row.tenant, thread, c); err != nil {
			return fmt.Errorf("write conversation: %w", err)
		}
	}
	if w.Erase != nil {
		if err := b.writeErase(ctx, p.row.tenant, thread, p.row.Thread.Erased); err != nil {
			return err
		}
	}
	if err := b.writeDues(ctx, p.row.tenant, thread, w.Dues); err != nil {
		return err
	}
	if err := b.writeAcks(ctx, thread, w.Acks); err != nil {
		return err
	}
	for i := range w.Audits {
		if err := b.w.exec(ctx, insertAudit, w.Audits[i].args(p.row.tenant, b.now)...); err != nil {
			return fmt.Errorf("write audit: %w", err)
		}
	}
	if w.Session != nil {
		if err := b.writeSession(ctx, p.row.tenant, thread, w.Session); err != nil {
			return err
		}
	}
	if w.Turn != nil || w.Started != nil || w.Asked != 0 || len(w.EndTurns) > 0 || w.Checkpoint != nil {
		return b.writeTurn(ctx, thread, w)
	}
	return nil
}
