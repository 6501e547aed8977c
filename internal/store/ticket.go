package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A Ticket is a short-lived credential made from another one, as it is stored:
// everything but the ticket itself, of which only the SHA-256 is kept. What its
// JSON means is package auth's business.
type Ticket struct {
	ID        string
	Tenant    string
	Purpose   string    // stream or socket
	Parent    string    // id of the credential that asked for it
	Principal []byte    // JSON: who that credential stood for
	Bound     []byte    // JSON: where it was first used; nil before
	Used      time.Time // its first use; zero: none yet
	Created   time.Time
	FirstBy   time.Time // it must be used once by then
	Expires   time.Time // its parent's expiry; zero: never
}

// AddTicket stores a new ticket under the SHA-256 of its secret; NotFound if its
// tenant does not exist.
func (s *Store) AddTicket(ctx context.Context, t Ticket, hash tandem.Hash) error {
	return s.update(ctx, func(ctx context.Context, q querier) error {
		tenant, err := tenantID(ctx, q, t.Tenant)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `insert into ticket (id, hash, tenant, purpose, parent, principal, bound, used_at, created_at, first_by, expires_at)
			values (?, ?, ?, ?, ?, ?, null, 0, ?, ?, ?)`,
			t.ID, hash[:], tenant, t.Purpose, t.Parent, t.Principal, micros(t.Created), micros(t.FirstBy), micros(t.Expires))
		return err
	})
}

// TicketByHash returns the ticket with this SHA-256; NotFound if there is none.
func (s *Store) TicketByHash(ctx context.Context, hash tandem.Hash) (Ticket, error) {
	var t Ticket
	var used, created, firstBy, expires int64
	err := s.readers.QueryRowContext(ctx, `select k.id, t.name, k.purpose, k.parent, k.principal, k.bound, k.used_at, k.created_at, k.first_by, k.expires_at
		from ticket k join tenant t on t.id = k.tenant where k.hash = ?`, hash[:]).
		Scan(&t.ID, &t.Tenant, &t.Purpose, &t.Parent, &t.Principal, &t.Bound, &used, &created, &firstBy, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return Ticket{}, tandem.Errorf(tandem.NotFound, "there is no such ticket")
	}
	if err != nil {
		return Ticket{}, classify(err)
	}
	t.Used, t.Created, t.FirstBy, t.Expires = fromMicros(used), fromMicros(created), fromMicros(firstBy), fromMicros(expires)
	return t, nil
}

// UseTicket records the first use of a ticket at the place that bound says, and
// reports whether this was it: of several at once exactly one is.
func (s *Store) UseTicket(ctx context.Context, id string, bound []byte, now time.Time) (first bool, err error) {
	err = s.update(ctx, func(ctx context.Context, q querier) error {
		res, err := q.ExecContext(ctx, `update ticket set used_at = ?, bound = ? where id = ? and used_at = 0`, micros(now), bound, id)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		first = n == 1
		return err
	})
	if err != nil {
		return false, err
	}
	return first, nil
}

// TrimCredentials forgets what cannot matter any more: tickets that were never
// used in time, were used up or have expired, links that have, revocations of what has expired by
// itself, retired secrets. Tickets that never expire go at idle: those first used
// before then. Call it now and then.
func (s *Store) TrimCredentials(ctx context.Context, now, idle time.Time) error {
	at, before := micros(now), micros(idle)
	return s.update(ctx, func(ctx context.Context, q querier) error {
		for _, step := range []struct {
			query string
			args  []any
		}{
			{`delete from ticket where used_at = 0 and first_by < ?`, []any{at}},
			{`delete from ticket where used_at <> 0 and (purpose = 'socket' or (expires_at <> 0 and expires_at < ?) or used_at < ?)`, []any{at, before}},
			{`delete from login_link where expires_at < ?`, []any{at}},
			{`delete from revoked where until < ?`, []any{at}},
			{`delete from secret where is_current is null and until < ?`, []any{at}},
		} {
			if _, err := q.ExecContext(ctx, step.query, step.args...); err != nil {
				return err
			}
		}
		return nil
	})
}
