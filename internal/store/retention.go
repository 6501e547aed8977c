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
func (s *Store) Trim(ctx context.Context, before time.Time) (int, error) {
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

func trimThread(ctx context.Context, q querier, thread int64, before time.Time) (int, error) {
	var keep, horizon int64
	// The first event that must stay: of a conversation that goes on or ended lately.
	err := q.QueryRowContext(ctx, `select coalesce(min(first_seq), 9223372036854775807) from conversation
		where thread = ? and (ended_at = 0 or ended_at >= ?)`, thread, before.UnixMicro()).Scan(&keep)
	if err != nil {
		return 0, err
	}
	err = q.QueryRowContext(ctx, `select coalesce(max(seq), 0) from event where thread = ? and seq < ? and at < ?`,
		thread, keep, before.UnixMicro()).Scan(&horizon)
	if err != nil || horizon == 0 {
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
	if horizon <= 0 {
		return 0, nil
	}
	for _, step := range []struct {
		query string
		args  []any
	}{
		{`update thread set trim = ?, trim_hash = (select hash from event where thread = ? and seq = ?) where id = ? and trim < ?`, []any{horizon, thread, horizon, thread, horizon}},
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
