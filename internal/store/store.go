// Package store keeps the log: threads, their events, conversations, open turns
// and credentials, in SQLite. One writer goroutine turns concurrent appends into
// group commits; readers run beside it on their own connections (WAL).
//
// The store knows how to append, not what may be appended: the rules come in as
// [Append.Decide], a pure function of the locked thread. It tells of events only
// after they are committed, through [Options.Committed].
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/metric"
)

// Options say where the store is and who is told what.
type Options struct {
	Dir       string            // folder of the database; made (mode 0700) if missing
	Lock      bool              // as the server does: refuse a folder that another server has open
	Driver    string            // of database/sql, for SQLite; empty: sqlite. Tests watch what is asked
	Node      string            // name written into events; may be empty
	Clock     tandem.Clock      // nil: time.Now
	Committed func([]Committed) // called by the writer after each commit, in order; must not block
	Metric    *metric.Set       // nil: none
	Log       *slog.Logger      // nil: none
}

// Store is an open store. Its methods may be called from any goroutine.
type Store struct {
	opt     Options
	clock   tandem.Clock
	readers *sql.DB   // reads, several connections
	writerc *sql.DB   // the writer's one connection
	conn    *sql.Conn // of writerc; used by the writer goroutine only

	queue chan *job
	ctx   context.Context // under which batches run; never cancelled: Close waits for them
	done  chan struct{}   // closed when the writer has ended

	writer *writer
	lock   *os.File      // held while open, if Options.Lock
	full   atomic.Bool   // the last write failed for want of space
	fatal  atomic.Value  // error: a COMMIT failed with an I/O error; nothing is written any more
	dead   chan struct{} // closed with fatal

	closing sync.RWMutex // guards closed against sends on queue
	closed  bool
}

// Database is the file name of the database in the data folder.
const Database = "tandem.db"

// Open opens the store in opt.Dir, makes or migrates its tables and starts the
// writer. Close it when nothing uses it any more.
func Open(ctx context.Context, opt Options) (*Store, error) {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Metric == nil {
		opt.Metric = metric.Discard()
	}
	if opt.Driver == "" {
		opt.Driver = "sqlite"
	}
	if opt.Committed == nil {
		opt.Committed = func([]Committed) {}
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	file := filepath.Join(opt.Dir, Database)
	if err := private(file); err != nil {
		return nil, fmt.Errorf("database file: %w", err)
	}
	s := &Store{opt: opt, clock: opt.Clock, queue: make(chan *job, 1024), done: make(chan struct{}), dead: make(chan struct{})}
	s.ctx = context.WithoutCancel(ctx)
	if err := s.open(ctx, file); err != nil {
		return nil, errors.Join(err, s.closeConns())
	}
	s.writer = newWriter(s)
	go s.writer.run()
	return s, nil
}

func (s *Store) open(ctx context.Context, file string) (err error) {
	if s.opt.Lock {
		if s.lock, err = lockFolder(s.opt.Dir); err != nil {
			return err
		}
	}
	if s.writerc, err = sql.Open(s.opt.Driver, dsn(file, false)); err != nil {
		return err
	}
	s.writerc.SetMaxOpenConns(1)
	if s.conn, err = s.writerc.Conn(ctx); err != nil {
		return fmt.Errorf("open %s: %w", file, err)
	}
	if err := migrate(ctx, file); err != nil {
		return err
	}
	if s.readers, err = sql.Open(s.opt.Driver, dsn(file, true)); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(8)
	s.readers.SetMaxIdleConns(8)
	return s.ensureTenant(ctx, "default")
}

// private makes the database file readable by its owner alone before SQLite
// would make it with the process's umask.
func private(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func dsn(file string, readOnly bool) string {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout(10000)")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "wal_autocheckpoint(4000)") // pages of 4 KiB: 16 MiB, see docs/performance.md
	q.Add("_pragma", "cache_size(-16000)")
	q.Add("_pragma", "temp_store(memory)") // where SQLite keeps what undoes a statement of many rows
	q.Add("_pragma", "secure_delete(1)")   // what is erased is overwritten
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	}
	return "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + q.Encode()
}

// Close stops the writer after the jobs it has, and closes the files.
func (s *Store) Close() error {
	s.closing.Lock()
	if s.closed {
		s.closing.Unlock()
		return nil
	}
	s.closed = true
	close(s.queue)
	s.closing.Unlock()
	<-s.done
	return s.closeConns()
}

func (s *Store) closeConns() error {
	var errs []error
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	for _, db := range []*sql.DB{s.writerc, s.readers} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Ready returns nil if the store takes writes, otherwise why not: a full disk
// (tandem.Unavailable, it may pass) or a lost commit (it will not).
func (s *Store) Ready() error {
	if err, ok := s.fatal.Load().(error); ok {
		return err
	}
	if s.full.Load() {
		return errFull(nil)
	}
	return nil
}

// Dead is closed when a COMMIT failed with an I/O error: what is on disk is not
// known any more, and the process must stop and recover from the file.
func (s *Store) Dead() <-chan struct{} { return s.dead }

// querier is what an update may use: the writer's connection inside a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// update runs fn in a transaction of its own on the writer's connection and
// returns after commit. For everything that is not an append: it is rare.
func (s *Store) update(ctx context.Context, fn func(context.Context, querier) error) error {
	j := &job{update: fn, done: make(chan struct{})}
	if err := s.submit(ctx, j); err != nil {
		return err
	}
	return j.err
}

// submit hands j to the writer and waits until it is done or ctx is. The job
// goes on without its poster.
func (s *Store) submit(ctx context.Context, j *job) error {
	s.closing.RLock()
	if s.closed {
		s.closing.RUnlock()
		return tandem.Errorf(tandem.Unavailable, "shutting down")
	}
	select {
	case s.queue <- j:
		s.closing.RUnlock()
	case <-ctx.Done():
		s.closing.RUnlock()
		return ctx.Err()
	}
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
