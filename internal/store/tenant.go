package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// EnsureTenant makes the tenant if it does not exist. Only commands and owners of
// the tenant `default` may cause it. The error is of kind Invalid for a bad name.
func (s *Store) EnsureTenant(ctx context.Context, name string) error {
	if !tandem.ValidTenant(name) {
		return tandem.Errorf(tandem.Invalid, "invalid tenant name %q", name)
	}
	return s.update(ctx, func(ctx context.Context, q querier) error {
		return insertTenant(ctx, q, name, s.clock().UnixMicro())
	})
}

// AddTenant makes a tenant, and writes down in the tenant of by who did it.
// Errors: Invalid for a bad name; Conflict if there is one of this name.
func (s *Store) AddTenant(ctx context.Context, name string, by Audit) error {
	if !tandem.ValidTenant(name) {
		return tandem.Errorf(tandem.Invalid, "a tenant's name has up to 63 of a-z, 0-9 and . _ - and begins with a letter or a digit")
	}
	return s.update(ctx, func(ctx context.Context, q querier) error {
		owner, err := tenantID(ctx, q, by.Tenant)
		if err != nil {
			return err
		}
		_, err = tenantID(ctx, q, name)
		if err == nil {
			return tandem.Errorf(tandem.Conflict, "There is a tenant '%s' already.", name)
		}
		if tandem.KindOf(err) != tandem.NotFound {
			return err
		}
		now := s.clock()
		if err := insertTenant(ctx, q, name, now.UnixMicro()); err != nil {
			return err
		}
		by.Object = name
		return addAudit(ctx, q, owner, now, by)
	})
}

// Tenant is a tenant as it is stored.
type Tenant struct {
	Name    string
	Created time.Time
}

// Tenants lists all tenants by name.
func (s *Store) Tenants(ctx context.Context) ([]Tenant, error) {
	rows, err := s.readers.QueryContext(ctx, `select name, created_at from tenant order by name`)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var list []Tenant
	for rows.Next() {
		var t Tenant
		var created int64
		if err := rows.Scan(&t.Name, &created); err != nil {
			return nil, classify(err)
		}
		t.Created = fromMicros(created)
		list = append(list, t)
	}
	return list, classify(rows.Err())
}

// ensureTenant is EnsureTenant before the writer runs.
func (s *Store) ensureTenant(ctx context.Context, name string) error {
	return insertTenant(ctx, s.conn, name, s.clock().UnixMicro())
}

func insertTenant(ctx context.Context, q querier, name string, now int64) error {
	root := tandem.Address{Tenant: name}.Root()
	_, err := q.ExecContext(ctx, `insert into tenant (name, rev, rev_hash, created_at) values (?, 0, ?, ?) on conflict (name) do nothing`, name, root[:], now)
	return err
}

// HasTenant reports whether the tenant exists.
func (s *Store) HasTenant(ctx context.Context, name string) (bool, error) {
	var one int
	err := s.readers.QueryRowContext(ctx, `select 1 from tenant where name = ?`, name).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
