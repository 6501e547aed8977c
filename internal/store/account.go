package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// Account is somebody who can sign in. Username and Email are compared without
// regard to letter case.
type Account struct {
	Tenant    string
	Username  string
	Email     string // may be empty
	Name      string // display name
	Role      tandem.PrincipalRole
	Workflows []string // none: all of the tenant
	Password  string   // hash, as package auth encodes it; empty: no sign-in by password
	Created   time.Time
	Disabled  time.Time // zero: not
}

const (
	accountColumns = `n.name, a.username, a.email, a.name, a.role, a.workflows, a.password, a.created_at, a.disabled_at`
	accountTables  = `account a join tenant n on n.id = a.tenant`
)

// AddAccount stores a new account. Errors: Invalid for a bad name or role,
// NotFound for an unknown tenant, Conflict if username or e-mail are taken.
func (s *Store) AddAccount(ctx context.Context, a Account) error {
	if a.Username == "" {
		return tandem.Errorf(tandem.Invalid, "username is required")
	}
	for what, v := range map[string]string{"username": a.Username, "email": a.Email, "name": a.Name} {
		if err := tandem.ValidLabel(what, v); err != nil {
			return err
		}
	}
	if _, err := tandem.ParseRole(string(a.Role)); err != nil {
		return err
	}
	workflows, err := json.Marshal(append([]string{}, a.Workflows...))
	if err != nil {
		return err
	}
	return s.update(ctx, func(ctx context.Context, q querier) error {
		var tenant int64
		if err := q.QueryRowContext(ctx, `select id from tenant where name = ?`, a.Tenant).Scan(&tenant); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				return tandem.Errorf(tandem.NotFound, "unknown tenant")
			}
			return err
		}
		res, err := q.ExecContext(ctx, `insert into account (tenant, username, email, name, role, workflows, password, created_at, disabled_at)
			values (?, ?, ?, ?, ?, ?, ?, ?, 0) on conflict do nothing`, tenant, strings.ToLower(a.Username), strings.ToLower(a.Email),
			a.Name, string(a.Role), string(workflows), a.Password, s.clock().UnixMicro())
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); n == 0 || err != nil {
			return errors.Join(err, tandem.Errorf(tandem.Conflict, "this username or e-mail is taken"))
		}
		return nil
	})
}

// Account finds an account by its username or e-mail. NotFound if there is none.
func (s *Store) Account(ctx context.Context, tenant, name string) (Account, error) {
	name = strings.ToLower(name)
	a, err := scanAccount(s.readers.QueryRowContext(ctx, `select `+accountColumns+` from `+accountTables+`
		where n.name = ? and (a.username = ? or (a.email = ? and a.email <> '')) order by a.username = ? desc limit 1`, tenant, name, name, name))
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, tandem.Errorf(tandem.NotFound, "no such account")
	}
	return a, err
}

// Accounts lists a tenant's accounts by username.
func (s *Store) Accounts(ctx context.Context, tenant string) ([]Account, error) {
	rows, err := s.readers.QueryContext(ctx, `select `+accountColumns+` from `+accountTables+` where n.name = ? order by a.username`, tenant)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	defer rows.Close()
	var list []Account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, fmt.Errorf("read account: %w", err)
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

// DisableAccount keeps an account from signing in, for good. NotFound if there is
// none. Its open streams and tokens are ended by revoking its subject.
func (s *Store) DisableAccount(ctx context.Context, tenant, username string) error {
	return s.update(ctx, func(ctx context.Context, q querier) error {
		res, err := q.ExecContext(ctx, `update account set disabled_at = ? where username = ? and tenant = (select id from tenant where name = ?)`,
			s.clock().UnixMicro(), strings.ToLower(username), tenant)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); n == 0 || err != nil {
			return errors.Join(err, tandem.Errorf(tandem.NotFound, "no such account"))
		}
		return nil
	})
}

func scanAccount(row scanner) (Account, error) {
	var a Account
	var workflows string
	var created, disabled int64
	if err := row.Scan(&a.Tenant, &a.Username, &a.Email, &a.Name, &a.Role, &workflows, &a.Password, &created, &disabled); err != nil {
		return a, err
	}
	a.Created, a.Disabled = fromMicros(created), fromMicros(disabled)
	return a, json.Unmarshal([]byte(workflows), &a.Workflows)
}
