package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// maxBatch is how many appends share one commit at most.
const maxBatch = 256

// writer is the one goroutine that writes. It owns the store's write connection
// and, between batches of its own, a memory of thread rows.
type writer struct {
	s       *Store
	stmts   map[string]*sql.Stmt
	threads *bulk
	events  *bulk
	keys    *bulk
	heads   map[tandem.Address]*row // rows as they are in the database; copied before they change
	tenants map[string]int64
	version int64 // PRAGMA data_version when heads was last right

	// fault, set by tests only, fails a stage: "write", "commit", "committed".
	fault func(stage string, b *batch) error
}

// row is a thread's row and its ACTIVE conversation.
type row struct {
	tenant int64
	State
}

// maxHeads bounds the writer's memory of thread rows; past it, it starts anew.
const maxHeads = 16384

func newWriter(s *Store) *writer {
	return &writer{s: s, stmts: map[string]*sql.Stmt{}, threads: bulkThreads(), events: bulkEvents(), keys: bulkKeys(), heads: map[tandem.Address]*row{}, tenants: map[string]int64{}}
}

func (w *writer) run() {
	defer close(w.s.done)
	defer w.closeStmts()
	jobs := make([]*job, 0, maxBatch)
	for first := range w.s.queue {
		jobs = append(jobs[:0], first)
		for len(jobs) < maxBatch {
			select {
			case j, ok := <-w.s.queue:
				if !ok {
					w.process(jobs)
					return
				}
				jobs = append(jobs, j)
				continue
			default:
			}
			break
		}
		w.process(jobs)
	}
}

// process does the jobs in order; consecutive appends share a transaction.
func (w *writer) process(jobs []*job) {
	for len(jobs) > 0 {
		n := 0
		for n < len(jobs) && jobs[n].append != nil {
			n++
		}
		if n == 0 {
			w.runUpdate(jobs[0])
			close(jobs[0].done)
			jobs = jobs[1:]
			continue
		}
		w.runAppends(jobs[:n])
		w.tell(jobs[:n])
		jobs = jobs[n:]
	}
}

// tell calls Committed before it lets the posters go.
func (w *writer) tell(jobs []*job) {
	var told []Committed
	for _, j := range jobs {
		if j.err == nil {
			told = append(told, j.told...)
		}
	}
	if len(told) > 0 {
		w.s.opt.Committed(told)
	}
	for _, j := range jobs {
		close(j.done)
	}
}

func (w *writer) runUpdate(j *job) {
	if err := w.s.Ready(); err != nil && w.s.fatal.Load() != nil {
		j.err = err
		return
	}
	w.forget()
	ctx := w.s.ctx
	if j.err = w.begin(ctx); j.err != nil {
		return
	}
	if j.err = j.update(ctx, w.s.conn); j.err != nil {
		w.rollback(ctx)
		j.err = w.failed(j.err)
		return
	}
	j.err = w.commit(ctx, nil)
}

// runAppends writes the jobs in one transaction. If that fails in a way nobody
// expected, each is tried alone, so that only the culprit fails.
func (w *writer) runAppends(jobs []*job) {
	if err, ok := w.s.fatal.Load().(error); ok {
		for _, j := range jobs {
			j.err = err
		}
		return
	}
	began := time.Now()
	unknown, err := w.tryBatch(jobs)
	if err == nil {
		m := &w.s.opt.Metric.Store
		m.Batch.Observe(float64(len(jobs)))
		m.Commit.Observe(time.Since(began))
		m.Appends.Add(float64(len(jobs)))
		return
	}
	w.s.opt.Log.Warn("batch failed; trying each append alone", "appends", len(jobs), "err", err)
	for _, j := range jobs {
		if unknown && w.landed(j) {
			continue
		}
		if _, err := w.tryBatch([]*job{j}); err != nil {
			j.err = w.failed(err)
		}
	}
}

// tryBatch is one transaction. unknown says that the COMMIT may have happened
// although it failed.
func (w *writer) tryBatch(jobs []*job) (unknown bool, err error) {
	ctx := w.s.ctx
	if err := w.begin(ctx); err != nil {
		return false, err
	}
	if err := w.checkVersion(ctx); err != nil {
		w.rollback(ctx)
		return false, err
	}
	b := newBatch(w, w.s.clock().UTC().Truncate(time.Microsecond))
	if err := b.lookUpKeys(ctx, jobs); err != nil {
		w.rollback(ctx)
		return false, err
	}
	for _, j := range jobs {
		j.result, j.err, j.told = Result{}, nil, nil
		if err := b.decide(ctx, j); err != nil {
			w.rollback(ctx)
			return false, err
		}
	}
	if b.empty() {
		w.rollback(ctx)
		return false, nil
	}
	if err := b.write(ctx); err != nil {
		w.rollback(ctx)
		return false, err
	}
	if err := w.commit(ctx, b); err != nil {
		return true, err
	}
	if len(w.heads) > maxHeads {
		w.forget()
	}
	for a, r := range b.rows {
		w.heads[a] = r
	}
	if len(b.erased) > 0 {
		w.emptyJournal(ctx)
	}
	return false, nil
}

// landed reports whether an append whose COMMIT has an unknown outcome is in the
// database: an event with its first event's number and hash is. A second try would
// have another time, and so another hash, even if it makes the same id.
func (w *writer) landed(j *job) bool {
	i := slices.IndexFunc(j.told, func(c Committed) bool { return len(c.Events) > 0 })
	if j.err != nil || i < 0 {
		return false
	}
	e := j.told[i].Events[0]
	var one int
	err := w.s.conn.QueryRowContext(w.s.ctx, `select 1 from event where thread = ? and seq = ? and hash = ?`,
		j.told[i].Thread.ID, e.Seq, e.Hash[:]).Scan(&one)
	return err == nil
}

func (w *writer) begin(ctx context.Context) error {
	if err := w.exec(ctx, "begin immediate"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}

func (w *writer) rollback(ctx context.Context) {
	w.forget()
	if _, err := w.s.conn.ExecContext(ctx, "rollback"); err != nil {
		w.s.opt.Log.Debug("rollback", "err", err) // SQLite rolls back by itself on some errors
	}
}

// commit commits, or leaves no transaction open.
func (w *writer) commit(ctx context.Context, b *batch) error {
	err := w.failAt("commit", b)
	if err == nil {
		err = w.exec(ctx, "commit")
	}
	if err == nil {
		w.s.full.Store(false)
		w.s.opt.Metric.Store.DiskFull.Set(0)
		err = w.failAt("committed", b)
		if err == nil {
			return nil
		}
	}
	if sqliteCode(err) == sqliteIOErr {
		w.die(err)
	}
	w.rollback(ctx)
	return w.failed(err)
}

// die stops all writing: after a COMMIT with an I/O error nobody knows what is
// on disk until the file is opened again.
func (w *writer) die(cause error) {
	err := &tandem.Error{Kind: tandem.Unavailable, Message: "the store failed and must be restarted", Err: cause, RetryAfter: 5 * time.Second}
	if w.s.fatal.CompareAndSwap(nil, error(err)) {
		w.s.opt.Log.Error("commit failed with an I/O error: stopping", "err", cause)
		close(w.s.dead)
	}
}

// failed gives an unexpected error its kind and notes a full disk.
func (w *writer) failed(err error) error {
	if sqliteCode(err) == sqliteFull {
		w.s.full.Store(true)
		w.s.opt.Metric.Store.DiskFull.Set(1)
		w.s.opt.Metric.Store.Refusals.Of("disk-full").Inc()
	}
	return classify(err)
}

func (w *writer) failAt(stage string, b *batch) error {
	if w.fault != nil {
		return w.fault(stage, b)
	}
	return nil
}

// checkVersion forgets the remembered rows if somebody else (a command on the
// same folder) has written since.
func (w *writer) checkVersion(ctx context.Context) error {
	var v int64
	if err := w.one(ctx, "pragma data_version").Scan(&v); err != nil {
		return err
	}
	if v != w.version {
		w.forget()
		w.version = v
	}
	return nil
}

func (w *writer) forget() {
	clear(w.heads)
	clear(w.tenants)
}

// prepared returns the statement for query, prepared once on the writer's connection.
func (w *writer) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := w.stmts[query]; st != nil {
		return st, nil
	}
	st, err := w.s.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	w.stmts[query] = st
	return st, nil
}

type scanner interface{ Scan(dest ...any) error }

type failedScan struct{ err error }

func (f failedScan) Scan(...any) error { return f.err }

func (w *writer) one(ctx context.Context, query string, args ...any) scanner {
	st, err := w.prepared(ctx, query)
	if err != nil {
		return failedScan{err}
	}
	return st.QueryRowContext(ctx, args...)
}

func (w *writer) exec(ctx context.Context, query string, args ...any) error {
	st, err := w.prepared(ctx, query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx, args...)
	return err
}

func (w *writer) closeStmts() {
	var errs []error
	for _, st := range w.stmts {
		errs = append(errs, st.Close())
	}
	if err := errors.Join(errs...); err != nil {
		w.s.opt.Log.Debug("close statements", "err", err)
	}
}
