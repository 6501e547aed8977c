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

// A Session is the push address of a user, of the session events. It is written
// with the appends to its thread; nobody may write to one that was read.
type Session struct {
	Address    tandem.Address // its thread
	User       string         // whose it is, in lower case
	Ahead      bool           // a back end made it
	Fixed      bool           // Expires does not move
	Capability bool           // its id is itself a credential, unique over all tenants
	Floor      int64          // events up to this seq are of an earlier session of that id
	Buried     int64          // places up to this seq are of sessions that were ended
	Created    time.Time
	Expires    time.Time
	Ended      time.Time // zero: it was not ended
}

// Live reports whether the session is there at now: neither ended nor expired.
func (s *Session) Live(now time.Time) bool {
	return s != nil && s.Ended.IsZero() && now.Before(s.Expires)
}

const selectSession = `select n.name, t.workflow, t.participant, s.owner, s.ahead, s.fixed, s.capability is not null, s.floor, s.buried,
	s.created_at, s.expires_at, s.ended_at from session s join thread t on t.id = s.thread join tenant n on n.id = s.tenant`

// findSession scans a session; nil if there is none.
func findSession(row scanner) (*Session, error) {
	s, err := scanSession(row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	return &s, nil
}

func scanSession(row scanner) (s Session, err error) {
	var created, expires, ended int64
	err = row.Scan(&s.Address.Tenant, &s.Address.Workflow, &s.Address.Participant, &s.User, &s.Ahead, &s.Fixed, &s.Capability, &s.Floor, &s.Buried,
		&created, &expires, &ended)
	s.Created, s.Expires, s.Ended = fromMicros(created), fromMicros(expires), fromMicros(ended)
	return s, err
}

// Session returns the session of a thread, dead or alive; nil if there is none.
func (s *Store) Session(ctx context.Context, a tandem.Address) (*Session, error) {
	return findSession(s.readers.QueryRowContext(ctx, selectSession+` where n.name = ? and t.workflow = ? and t.participant = ?`,
		a.Tenant, a.Workflow, a.Participant))
}

// Capability returns the session whose id is this credential, dead or alive, of
// whatever tenant; nil if there is none.
func (s *Store) Capability(ctx context.Context, id string) (*Session, error) {
	return findSession(s.readers.QueryRowContext(ctx, selectSession+` where s.capability = ?`, tandem.SessionAddress("", id).Participant))
}

// UserSessions is what a user of a tenant has, at one moment. Whoever writes on
// the strength of it checks in the same append that the inbox's Control.Epoch is
// still the same: each session that begins or ends raises it.
type UserSessions struct {
	Live  []Session // the one that expires first comes first
	Inbox tandem.Thread
	Stale int64 // what the inbox keeps up to this seq was moved, or has waited too long
}

// SessionsOf returns what a user has at now. What has been in the inbox since
// before the time since has waited too long.
func (s *Store) SessionsOf(ctx context.Context, tenant, user string, now, since time.Time) (u UserSessions, err error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return u, fmt.Errorf("read sessions: %w", err)
	}
	defer tx.Rollback()
	inbox := tandem.InboxAddress(tenant, user)
	if u.Inbox, err = readThread(ctx, tx, inbox); err != nil {
		return u, err
	}
	u.Stale = max(u.Inbox.ChatMark, u.Inbox.Trim)
	err = tx.QueryRowContext(ctx, `select coalesce(max(seq), ?) from event where thread = ? and seq > ? and at < ?`,
		u.Stale, u.Inbox.ID, u.Stale, since.UnixMicro()).Scan(&u.Stale)
	if err != nil {
		return u, fmt.Errorf("read inbox: %w", err)
	}
	rows, err := tx.QueryContext(ctx, selectSession+` where n.name = ? and s.owner = ? and s.ended_at = 0 and s.expires_at > ? order by s.expires_at`,
		tenant, user, now.UnixMicro())
	if err != nil {
		return u, fmt.Errorf("read sessions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		one, err := scanSession(rows)
		if err != nil {
			return u, fmt.Errorf("read session: %w", err)
		}
		u.Live = append(u.Live, one)
	}
	return u, rows.Err()
}

// Kept returns the events of a thread after seq, all of them.
func (s *Store) Kept(ctx context.Context, t tandem.Thread, seq int64) ([]tandem.Event, error) {
	if t.ID == 0 || t.Head <= seq {
		return nil, nil
	}
	return readEvents(ctx, s.readers, 0, selectEvent+` where thread = ? and seq > ? and seq <= ? order by seq`, t.ID, seq, t.Head)
}

// writeSession stores a session under its thread's number.
func (b *batch) writeSession(ctx context.Context, tenant, thread int64, s *Session) error {
	var capability any
	if s.Capability {
		capability = s.Address.Participant
	}
	err := b.w.exec(ctx, `insert into session (thread, tenant, owner, ahead, fixed, capability, floor, buried, created_at, expires_at, ended_at)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		on conflict (thread) do update set owner = excluded.owner, ahead = excluded.ahead, fixed = excluded.fixed, capability = excluded.capability,
		floor = excluded.floor, buried = excluded.buried, created_at = excluded.created_at, expires_at = excluded.expires_at, ended_at = excluded.ended_at`,
		thread, tenant, s.User, s.Ahead, s.Fixed, capability, s.Floor, s.Buried, micros(s.Created), micros(s.Expires), micros(s.Ended))
	if sqliteCode(err) == sqliteRule { // another tenant took the id in the same moment
		return &tandem.Error{Kind: tandem.Conflict, Message: "This session id is taken.", Err: err}
	}
	if err != nil {
		return fmt.Errorf("write session: %w", err)
	}
	return nil
}

// TrimSessions forgets sessions that ended or expired before the time, with all of
// their threads, and what has been in an inbox since before it. It returns how many
// events went. Call it now and then. A few threads are one transaction, so that
// posts go on between.
func (s *Store) TrimSessions(ctx context.Context, before time.Time) (total int, err error) {
	at, inbox := before.UnixMicro(), tandem.InboxAddress("", "").Workflow
	for _, step := range []struct {
		find string
		args []any
		drop func(ctx context.Context, q querier, thread int64) (int, error)
	}{
		{`select thread from session where ` + deadSession, []any{at, at}, func(ctx context.Context, q querier, thread int64) (int, error) {
			return dropThread(ctx, q, thread, `delete from session where thread = ? and `+deadSession, thread, at, at)
		}},
		{`select id from thread where workflow = ? and touched_at < ?`, []any{inbox, at}, func(ctx context.Context, q querier, thread int64) (int, error) {
			return dropThread(ctx, q, thread, `update thread set touched_at = 0 where id = ? and touched_at < ?`, thread, at)
		}},
		{`select t.id from thread t join event e on e.thread = t.id and e.seq = t.trim + 1 where t.workflow = ? and e.at < ?`, []any{inbox, at}, func(ctx context.Context, q querier, thread int64) (int, error) {
			return trimThread(ctx, q, thread, before)
		}},
	} {
		threads, err := s.ids(ctx, step.find, step.args...)
		if err != nil {
			return total, fmt.Errorf("find what to trim: %w", err)
		}
		for some := range slices.Chunk(threads, 100) {
			err := s.update(ctx, func(ctx context.Context, q querier) error {
				for _, thread := range some {
					n, err := step.drop(ctx, q, thread)
					if err != nil {
						return err
					}
					total += n
				}
				return nil
			})
			if err != nil {
				return total, fmt.Errorf("trim sessions: %w", err)
			}
		}
	}
	s.opt.Metric.Store.Trimmed.Add(float64(total))
	return total, nil
}

// deadSession has two places for the same time.
const deadSession = `(ended_at <> 0 and ended_at < ? or expires_at < ?)`

// dropThread removes a thread and its events if the statement still finds it.
func dropThread(ctx context.Context, q querier, thread int64, still string, args ...any) (int, error) {
	res, err := q.ExecContext(ctx, still, args...)
	if err != nil {
		return 0, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return 0, err
	}
	if res, err = q.ExecContext(ctx, `delete from event where thread = ?`, thread); err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	if err == nil {
		_, err = q.ExecContext(ctx, `delete from thread where id = ?`, thread)
	}
	return int(n), err
}
