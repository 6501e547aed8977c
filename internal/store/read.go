package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// Page is a stretch of one thread's log, and whether the cursor it was asked for
// could be honoured.
type Page struct {
	Thread tandem.Thread  // the row at the moment of reading
	Events []tandem.Event // in order, directly after From
	From   tandem.Cursor  // where the page begins: the cursor asked for, or the trim horizon
	More   bool           // there are events after the last of these

	// Gap says that the events Gap.From..Gap.To were there and are kept no more.
	Gap *tandem.Gap
	// Reset says that the cursor is of no history that this log ever had.
	Reset bool
}

// PageSize is how many bytes of bodies make a page full, however few the events.
const PageSize = 256 << 10

// Read returns at most limit events after the cursor, and no more once their
// bodies have [PageSize] bytes. A cursor below what is
// kept gives a Gap, one that is unknown or foreign a Reset; either way the page
// then starts at the oldest event kept. It is never taken for caught up. A
// thread without a row is an empty log. limit 0 only checks the cursor.
func (s *Store) Read(ctx context.Context, a tandem.Address, after tandem.Cursor, limit int) (Page, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return Page{}, fmt.Errorf("read: %w", err)
	}
	defer tx.Rollback()
	var p Page
	if p.Thread, err = readThread(ctx, tx, a); err != nil {
		return Page{}, err
	}
	known, err := knows(ctx, tx, &p.Thread, after)
	if err != nil {
		return Page{}, err
	}
	p.From = after
	if !known {
		p.From = p.Thread.TrimCursor()
		// Below the horizon nobody can tell whose history it was; it is told as a
		// gap if it can be one of ours, which 0 with a foreign tag cannot, and what
		// was erased never was.
		if after.Seq < p.Thread.Trim && after.Seq >= p.Thread.Erased && (after.Seq > 0 || after == a.Start()) {
			p.Gap = &tandem.Gap{From: after.Seq + 1, To: p.Thread.Trim}
		} else {
			p.Reset = true
		}
	}
	if limit > 0 {
		p.Events, err = readEvents(ctx, tx, PageSize, selectEvent+` where thread = ? and seq > ? order by seq limit ?`,
			p.Thread.ID, p.From.Seq, limit)
		if n := len(p.Events); n > 0 {
			p.More = p.Events[n-1].Seq < p.Thread.Head
		}
	}
	return p, err
}

// knows reports whether c is a place in the thread's kept log.
func knows(ctx context.Context, q querier, t *tandem.Thread, c tandem.Cursor) (bool, error) {
	switch {
	case c.Seq == t.Head:
		return c == t.HeadCursor(), nil
	case c.Seq == t.Trim:
		return c == t.TrimCursor(), nil
	case c.Seq < t.Trim || c.Seq > t.Head:
		return false, nil
	}
	var b []byte
	if err := q.QueryRowContext(ctx, `select hash from event where thread = ? and seq = ?`, t.ID, c.Seq).Scan(&b); err != nil {
		return false, fmt.Errorf("read cursor: %w", err)
	}
	var h tandem.Hash
	copy(h[:], b)
	return h.Tag() == c.Tag, nil
}

func readThread(ctx context.Context, q querier, a tandem.Address) (tandem.Thread, error) {
	var t tandem.Thread
	err := scanThread(q.QueryRowContext(ctx, `select `+threadColumns+`
		from thread t join tenant n on n.id = t.tenant where n.name = ? and t.workflow = ? and t.participant = ?`,
		a.Tenant, a.Workflow, a.Participant), a, &t)
	if errors.Is(err, sql.ErrNoRows) {
		return newThread(a), nil
	}
	if err != nil {
		return t, fmt.Errorf("read thread: %w", err)
	}
	return t, nil
}

// readEvents reads what the query finds, up to the event with which the bodies
// have full bytes; 0 for all.
func readEvents(ctx context.Context, q querier, full int, query string, args ...any) ([]tandem.Event, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	var events []tandem.Event
	for size := 0; (full == 0 || size < full) && rows.Next(); {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, fmt.Errorf("read event: %w", err)
		}
		events = append(events, e)
		size += len(e.Body)
	}
	return events, rows.Err()
}

// CursorAt returns the place in the thread's log before the first event that is
// after floor and not older than since. floor must not be below what is kept.
func (s *Store) CursorAt(ctx context.Context, t tandem.Thread, floor int64, since time.Time) (tandem.Cursor, error) {
	// From the newest back, at most to floor: times do not go back within a thread.
	c, err := s.cursor(ctx, `select seq, hash from event where thread = ? and seq > ? and at < ? order by seq desc limit 1`, t.ID, floor, since.UnixMicro())
	if errors.Is(err, sql.ErrNoRows) {
		if floor == t.Trim {
			return t.TrimCursor(), nil
		}
		c, err = s.cursor(ctx, `select seq, hash from event where thread = ? and seq = ?`, t.ID, floor)
	}
	if err != nil {
		return tandem.Cursor{}, fmt.Errorf("read place: %w", err)
	}
	return c, nil
}

// cursor is the place after the event whose seq and hash the query reads.
func (s *Store) cursor(ctx context.Context, query string, args ...any) (tandem.Cursor, error) {
	var seq int64
	var b []byte
	var h tandem.Hash
	err := s.readers.QueryRowContext(ctx, query, args...).Scan(&seq, &b)
	copy(h[:], b)
	return tandem.Cursor{Seq: seq, Tag: h.Tag()}, err
}

// Thread returns the thread's row; one without a row is the empty thread, ID 0.
func (s *Store) Thread(ctx context.Context, a tandem.Address) (tandem.Thread, error) {
	return readThread(ctx, s.readers, a)
}

// Head returns the seq of the thread's last event, 0 if there is none.
func (s *Store) Head(ctx context.Context, a tandem.Address) (int64, error) {
	t, err := readThread(ctx, s.readers, a)
	return t.Head, err
}

// Before returns at most limit events before seq, newest first.
func (s *Store) Before(ctx context.Context, a tandem.Address, seq int64, limit int) ([]tandem.Event, error) {
	t, err := readThread(ctx, s.readers, a)
	if err != nil || t.ID == 0 {
		return nil, err
	}
	return readEvents(ctx, s.readers, 0, selectEvent+` where thread = ? and seq > ? and seq < ? and codec = 0 order by seq desc limit ?`,
		t.ID, t.Trim, seq, limit)
}

// Find returns the event with this id on the thread; NotFound if there is none.
func (s *Store) Find(ctx context.Context, a tandem.Address, id string) (tandem.Event, error) {
	t, err := readThread(ctx, s.readers, a)
	if err != nil {
		return tandem.Event{}, err
	}
	e, err := scanEvent(s.readers.QueryRowContext(ctx, selectEvent+` where thread = ? and id = ? and codec = 0`, t.ID, id))
	if errors.Is(err, sql.ErrNoRows) {
		return tandem.Event{}, tandem.Errorf(tandem.NotFound, "Message not found")
	}
	return e, err
}

// Event returns one event of a thread by its number; NotFound if it is not kept.
func (s *Store) Event(ctx context.Context, a tandem.Address, seq int64) (tandem.Event, error) {
	t, err := readThread(ctx, s.readers, a)
	if err != nil {
		return tandem.Event{}, err
	}
	e, err := scanEvent(s.readers.QueryRowContext(ctx, selectEvent+` where thread = ? and seq = ? and codec = 0`, t.ID, seq))
	if errors.Is(err, sql.ErrNoRows) {
		return tandem.Event{}, tandem.Errorf(tandem.NotFound, "Message not found")
	}
	return e, err
}

// AnswerAt returns the answer-started event of the answer that was under way at
// seq (begun at or before it, not ended at or before it), or nil.
func (s *Store) AnswerAt(ctx context.Context, t tandem.Thread, seq int64) (*tandem.Event, error) {
	if t.ID == 0 {
		return nil, nil
	}
	e, err := scanEvent(s.readers.QueryRowContext(ctx, selectEvent+`
		where thread = ? and seq <= ? and codec = 0 and kind in ('answer-started', 'answer-ended') order by seq desc limit 1`, t.ID, seq))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if e.Kind != tandem.KindAnswerStarted {
		return nil, nil
	}
	return &e, nil
}
