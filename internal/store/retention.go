package store

import (
	"context"
	"fmt"
	"time"
)

// Trim removes whole ended conversations, and what was sent outside of any,
// older than before: always a prefix of a thread's log, never part of a
// conversation. It returns how many events went. Cursors into the prefix get a
// gap from then on. One thread is one transaction, so that posts go on between.
// The board's history goes first: a reader whose place is gone takes a snapshot,
// and one whose place is kept is told of all that changed after it.
func (s *Store) Trim(ctx context.Context, before time.Time) (int, error) {
	if err := s.trimTraces(ctx, before); err != nil {
		return 0, fmt.Errorf("trim: %w", err)
	}
	threads, err := s.trimmable(ctx, before)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, id := range threads {
		err := s.update(ctx, func(ctx context.Context, q querier) error {
			n, err := trimThread(ctx, q, id, before)
			total += n
			return err
		})
		if err != nil {
			return total, fmt.Errorf("trim: %w", err)
		}
	}
	s.opt.Metric.Store.Trimmed.Add(float64(total))
	return total, nil
}

// trimmable returns the threads whose oldest event is old enough to be looked at.
func (s *Store) trimmable(ctx context.Context, before time.Time) ([]int64, error) {
	ids, err := s.ids(ctx, `select t.id from thread t join event e on e.thread = t.id and e.seq = t.trim + 1 where e.at < ?`, before.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("find what to trim: %w", err)
	}
	return ids, nil
}

// ids returns the numbers that the query finds.
func (s *Store) ids(ctx context.Context, query string, args ...any) ([]int64, error) {
	rows, err := s.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// trimTraces removes what is left of what was: changes of boards, tombstones, and
// the hashes of erased bodies. Of a board a prefix goes, also if the clock was set
// back in between; the last change before the time stays, since a reader that has
// seen it has missed none that went.
func (s *Store) trimTraces(ctx context.Context, before time.Time) error {
	tenants, err := s.ids(ctx, `select id from tenant`)
	if err != nil {
		return err
	}
	at := before.UnixMicro()
	for _, tenant := range tenants {
		err := s.update(ctx, func(ctx context.Context, q querier) error {
			_, err := q.ExecContext(ctx, `delete from board where tenant = ?1 and rev < coalesce(
				(select rev from board where tenant = ?1 and at >= ?2 order by rev limit 1), (select rev + 1 from tenant where id = ?1)) - 1`, tenant, at)
			if err == nil {
				_, err = q.ExecContext(ctx, `delete from conversation where tenant = ? and status = 'ERASED' and ended_at < ?`, tenant, at)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.update(ctx, func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `delete from event where thread in (select id from thread where erased > 0)
			and seq <= (select erased from thread where id = event.thread) and at < ?`, at)
		return err
	})
}

func trimThread(ctx context.Context, q querier, thread int64, before time.Time) (int, error) {
	var keep, horizon, trim int64
	// The first event that must stay: of a conversation that goes on or ended lately.
	err := q.QueryRowContext(ctx, `select coalesce(min(first_seq), 9223372036854775807) from conversation
		where thread = ? and (ended_at = 0 or ended_at >= ?)`, thread, before.UnixMicro()).Scan(&keep)
	if err != nil {
		return 0, err
	}
	err = q.QueryRowContext(ctx, `select (select coalesce(max(seq), 0) from event where thread = t.id and seq < ? and at < ?), t.trim from thread t where t.id = ?`,
		keep, before.UnixMicro(), thread).Scan(&horizon, &trim)
	if err != nil || horizon <= trim {
		return 0, err
	}
	// An ended conversation goes whole or not at all.
	var half int64
	err = q.QueryRowContext(ctx, `select coalesce(min(first_seq), 0) from conversation where thread = ? and first_seq <= ? and ended_at <> 0
		and exists (select 1 from event e where e.thread = conversation.thread and e.seq > ? and e.at <= conversation.ended_at)`,
		thread, horizon, horizon).Scan(&half)
	if err != nil {
		return 0, err
	}
	if half > 0 {
		horizon = half - 1
	}
	if horizon <= trim {
		return 0, nil
	}
	for _, step := range []struct {
		query string
		args  []any
	}{
		{`update thread set trim = ?, trim_hash = (select hash from event where thread = ? and seq = ?) where id = ?`, []any{horizon, thread, horizon, thread}},
		{`delete from due where thread = ? and conversation in (select id from conversation where thread = ? and ended_at <> 0 and first_seq <= ?)`, []any{thread, thread, horizon}},
		{`delete from conversation where thread = ? and ended_at <> 0 and first_seq <= ?`, []any{thread, horizon}},
	} {
		if _, err := q.ExecContext(ctx, step.query, step.args...); err != nil {
			return 0, err
		}
	}
	res, err := q.ExecContext(ctx, `delete from event where thread = ? and seq <= ?`, thread, horizon)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}
