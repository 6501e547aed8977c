package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A Key is an API key as it is stored: everything but the key itself, of which
// only the SHA-256 is kept.
type Key struct {
	ID       string
	Tenant   string
	Name     string
	Role     tandem.PrincipalRole
	Workflow string      // not empty: only this workflow
	Subject  string      // of a participant's key: whose
	Rate     tandem.Rate // zero: the default of its role
	Created  time.Time
	Expires  time.Time // zero: never
	Revoked  time.Time // zero: not
	Seen     time.Time // the last day (UTC) it came from a web page; zero: never
}

const keyColumns = `select k.id, t.name, k.name, k.role, k.workflow, k.subject, k.rate_n, k.rate_per,
	k.created_at, k.expires_at, k.revoked_at, k.seen_at from api_key k join tenant t on t.id = k.tenant `

// AddKey stores a new key under the SHA-256 of its secret, and who did it. Its
// tenant must exist: NotFound otherwise.
func (s *Store) AddKey(ctx context.Context, k Key, hash tandem.Hash, by Audit) error {
	return s.update(ctx, func(ctx context.Context, q querier) error {
		tenant, err := tenantID(ctx, q, k.Tenant)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `insert into api_key (id, hash, tenant, name, role, workflow, subject, rate_n, rate_per, created_at, expires_at, revoked_at, seen_at)
			values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)`, k.ID, hash[:], tenant, k.Name, string(k.Role), k.Workflow, k.Subject,
			k.Rate.N, k.Rate.Per.Microseconds(), micros(k.Created), micros(k.Expires))
		if err != nil {
			return err
		}
		by.Object = k.ID
		return addAudit(ctx, q, tenant, s.clock(), by)
	})
}

// KeyByHash returns the key with this SHA-256, revoked and expired ones too;
// NotFound if there is none.
func (s *Store) KeyByHash(ctx context.Context, hash tandem.Hash) (Key, error) {
	return scanKey(s.readers.QueryRowContext(ctx, keyColumns+`where k.hash = ?`, hash[:]))
}

// Key returns the key with this id, revoked and expired ones too; NotFound if
// there is none.
func (s *Store) Key(ctx context.Context, id string) (Key, error) {
	return scanKey(s.readers.QueryRowContext(ctx, keyColumns+`where k.id = ?`, id))
}

// Keys lists a tenant's keys (all tenants' if empty), oldest first, revoked and
// expired ones too.
func (s *Store) Keys(ctx context.Context, tenant string) ([]Key, error) {
	rows, err := s.readers.QueryContext(ctx, keyColumns+`where ? = '' or t.name = ? order by k.created_at, k.id`, tenant, tenant)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var keys []Key
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, classify(rows.Err())
}

// RevokeKey takes back the key with this id, which must be of the tenant (of any
// if empty): NotFound otherwise. until is how long streams may still have to be
// told of it. Revoking twice keeps the first time.
func (s *Store) RevokeKey(ctx context.Context, tenant, id string, until time.Time, by Audit) error {
	return s.update(ctx, func(ctx context.Context, q querier) error {
		var owner int64
		err := q.QueryRowContext(ctx, `select k.tenant from api_key k join tenant t on t.id = k.tenant where k.id = ? and (? = '' or t.name = ?)`, id, tenant, tenant).Scan(&owner)
		if errors.Is(err, sql.ErrNoRows) {
			return tandem.Errorf(tandem.NotFound, "there is no key %q", id)
		}
		if err != nil {
			return err
		}
		now := s.clock()
		if _, err := q.ExecContext(ctx, `update api_key set revoked_at = ? where id = ? and revoked_at = 0`, micros(now), id); err != nil {
			return err
		}
		if _, err = addRevoked(ctx, q, owner, Revocation{What: RevokedKey, Name: id, At: now, Until: until}); err != nil {
			return err
		}
		by.Object = id
		return addAudit(ctx, q, owner, now, by)
	})
}

// SeenInBrowser notes that a key came from a web page on the day of now, and
// reports whether it was the first time that day.
func (s *Store) SeenInBrowser(ctx context.Context, id string, now time.Time) (first bool, err error) {
	day := micros(now.UTC().Truncate(24 * time.Hour))
	err = s.update(ctx, func(ctx context.Context, q querier) error {
		res, err := q.ExecContext(ctx, `update api_key set seen_at = ? where id = ? and seen_at < ?`, day, id, day)
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

func scanKey(row scanner) (Key, error) {
	var k Key
	var per, created, expires, revoked, seen int64
	err := row.Scan(&k.ID, &k.Tenant, &k.Name, &k.Role, &k.Workflow, &k.Subject, &k.Rate.N, &per, &created, &expires, &revoked, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return Key{}, tandem.Errorf(tandem.NotFound, "there is no such key")
	}
	if err != nil {
		return Key{}, classify(err)
	}
	k.Rate.Per = time.Duration(per) * time.Microsecond
	k.Created, k.Expires, k.Revoked, k.Seen = fromMicros(created), fromMicros(expires), fromMicros(revoked), fromMicros(seen)
	return k, nil
}

// tenantID returns the row of a tenant; NotFound if there is none.
func tenantID(ctx context.Context, q querier, name string) (int64, error) {
	var id int64
	err := q.QueryRowContext(ctx, `select id from tenant where name = ?`, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, tandem.Errorf(tandem.NotFound, "there is no tenant %q", name)
	}
	return id, err
}
