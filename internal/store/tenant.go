package store

import (
	"context"
	"database/sql"
	"errors"

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
