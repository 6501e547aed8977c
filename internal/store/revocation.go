package store

import (
	"context"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// What a [Revocation] names.
const (
	RevokedJTI     = "jti"     // one token, and the tickets made with it
	RevokedSubject = "subject" // all that a subject was given until then
	RevokedKey     = "key"     // one API key, and the tickets made with it
	RevokedSecret  = "secret"  // all that one of the server's own secrets has signed
	RevokedThread  = "thread"  // a thread, by the number of its row, that was erased: nothing is taken back, servers forget it
	RevokedAccount = "account" // an account that is disabled: by itself it takes nothing back, its subject's does
)

// A Revocation takes something back before its time.
type Revocation struct {
	What   string // one of the constants above
	Tenant string // empty: in all tenants
	Name   string
	At     time.Time
	Until  time.Time // after this nothing that it names can be good any more
	Rev    int64     // the revision that brought it
}

// Revoke stores a revocation at the store's present time and raises
// revocations.rev. One of a subject also revokes the API keys that were made for
// this participant and the links that sign it in. Of the same thing the latest time counts. It is written down
// who did it. NotFound if the tenant does not exist.
func (s *Store) Revoke(ctx context.Context, r Revocation, by Audit) error {
	return s.update(ctx, func(ctx context.Context, q querier) error {
		tenant, err := tenantID(ctx, q, r.Tenant)
		if err != nil {
			return err
		}
		r.At = s.clock()
		if r.What == RevokedSubject {
			err = revokeSubject(ctx, q, tenant, r)
		} else {
			_, err = addRevoked(ctx, q, tenant, r)
		}
		if err != nil {
			return err
		}
		return addAudit(ctx, q, tenant, r.At, by)
	})
}

// revokeSubject writes a revocation of a subject, revokes the API keys that were
// made for this participant, and forgets the links that sign it in.
func revokeSubject(ctx context.Context, q querier, tenant int64, r Revocation) error {
	_, err := q.ExecContext(ctx, `update api_key set revoked_at = ? where tenant = ? and role = ? and subject = ? and revoked_at = 0`,
		micros(r.At), tenant, string(tandem.Participant), r.Name)
	if err == nil {
		_, err = q.ExecContext(ctx, `delete from login_link where tenant = ? and username = ?`, tenant, r.Name)
	}
	if err == nil {
		_, err = addRevoked(ctx, q, tenant, r)
	}
	return err
}

// addRevoked writes r and raises revocations.rev, in the caller's transaction.
func addRevoked(ctx context.Context, q querier, tenant int64, r Revocation) (rev int64, err error) {
	if rev, err = raiseRevocations(ctx, q); err != nil {
		return 0, err
	}
	_, err = q.ExecContext(ctx, `insert into revoked (what, tenant, name, at, until, rev) values (?, ?, ?, ?, ?, ?)
		on conflict (what, tenant, name) do update set rev = excluded.rev,
			at = case when excluded.at > revoked.at then excluded.at else revoked.at end,
			until = case when excluded.until > revoked.until then excluded.until else revoked.until end`,
		r.What, tenant, r.Name, micros(r.At), micros(r.Until), rev)
	return rev, err
}

// raiseRevocations raises revocations.rev. Whatever must end open streams on
// every node calls it in its own transaction.
func raiseRevocations(ctx context.Context, q querier) (rev int64, err error) {
	err = q.QueryRowContext(ctx, `update revocations set rev = rev + 1 where one = 1 returning rev`).Scan(&rev)
	return rev, err
}

// RevocationsRev reads revocations.rev: one row, cheap enough for once a second.
func (s *Store) RevocationsRev(ctx context.Context) (rev int64, err error) {
	err = s.readers.QueryRowContext(ctx, `select rev from revocations where one = 1`).Scan(&rev)
	return rev, classify(err)
}

// Revocations lists what was revoked after the revision since (0: all that is
// kept), oldest first.
func (s *Store) Revocations(ctx context.Context, since int64) ([]Revocation, error) {
	rows, err := s.readers.QueryContext(ctx, `select r.what, coalesce(t.name, ''), r.name, r.at, r.until, r.rev
		from revoked r left join tenant t on t.id = r.tenant where r.rev > ? order by r.rev`, since)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var all []Revocation
	for rows.Next() {
		var r Revocation
		var at, until int64
		if err := rows.Scan(&r.What, &r.Tenant, &r.Name, &at, &until, &r.Rev); err != nil {
			return nil, classify(err)
		}
		r.At, r.Until = fromMicros(at), fromMicros(until)
		all = append(all, r)
	}
	return all, classify(rows.Err())
}
