package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
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

// AddAccount stores a new account, and who did it. Errors: Invalid for a bad name
// or role, NotFound for an unknown tenant, Conflict if username or e-mail are taken.
func (s *Store) AddAccount(ctx context.Context, a Account, by Audit) error {
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
	a.Username, a.Email = strings.ToLower(a.Username), strings.ToLower(a.Email)
	return s.update(ctx, func(ctx context.Context, q querier) error {
		tenant, err := tenantID(ctx, q, a.Tenant)
		if err != nil {
			return err
		}
		if err := checkNames(ctx, q, 0, a); err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, `insert into account (tenant, username, email, name, role, workflows, password, created_at, disabled_at)
			values (?, ?, ?, ?, ?, ?, ?, ?, 0)`, tenant, a.Username, a.Email, a.Name, string(a.Role), string(workflows), a.Password, s.clock().UnixMicro())
		if err != nil {
			return err
		}
		by.Object = a.Username
		return addAudit(ctx, q, tenant, s.clock(), by)
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

// SignIn says whether an account still is as it was read, and writes down that it
// signed in: NotFound if it has changed in anything, or is disabled. Since it says
// so in a transaction, a change and the revocation that comes with it are either
// before or after.
func (s *Store) SignIn(ctx context.Context, a Account, by Audit) error {
	return s.update(ctx, func(ctx context.Context, q querier) error {
		if err := unchanged(ctx, q, a); err != nil {
			return err
		}
		tenant, err := tenantID(ctx, q, a.Tenant)
		if err != nil {
			return err
		}
		return addAudit(ctx, q, tenant, s.clock(), by)
	})
}

// AccountChange is what of an account is to change; nil leaves a field alone.
type AccountChange struct {
	Email     *string
	Name      *string
	Role      *tandem.PrincipalRole
	Workflows *[]string
	Password  *string // hash
	Disabled  *bool

	KeepOwner bool      // refuse, with Conflict, if the tenant would be left without an owner who can sign in
	Until     time.Time // how long what is taken back could have been good
	By        Audit     // who does it; the action is found by what changes
}

// ChangeAccount changes an account and returns it. What it had been given until
// then is taken back in the same transaction, since it says what the account was
// before; so a change of nothing takes nothing back, nor does enabling. Disabling
// also leaves a Revocation of the account itself, and enabling removes it. Errors:
// NotFound, Conflict if the e-mail address is taken.
func (s *Store) ChangeAccount(ctx context.Context, tenant, username string, c AccountChange) (Account, error) {
	var after Account
	err := s.update(ctx, func(ctx context.Context, q querier) error {
		id, before, err := accountRow(ctx, q, tenant, strings.ToLower(username))
		if err != nil {
			return err
		}
		after = c.Of(before, s.clock())
		if reflect.DeepEqual(before, after) {
			return nil
		}
		if err := checkNames(ctx, q, id, after); err != nil {
			return err
		}
		workflows, err := json.Marshal(append([]string{}, after.Workflows...))
		if err != nil {
			return err
		}
		if _, err := q.ExecContext(ctx, `update account set email = ?, name = ?, role = ?, workflows = ?, password = ?, disabled_at = ? where id = ?`,
			after.Email, after.Name, string(after.Role), string(workflows), after.Password, micros(after.Disabled), id); err != nil {
			return err
		}
		if c.KeepOwner {
			if err := keepOwner(ctx, q, before, after); err != nil {
				return err
			}
		}
		return s.takeBack(ctx, q, before, after, c)
	})
	if err != nil {
		return Account{}, err
	}
	return after, nil
}

// Of is what the account becomes by the change at the time now.
func (c AccountChange) Of(a Account, now time.Time) Account {
	if c.Email != nil {
		a.Email = strings.ToLower(*c.Email)
	}
	if c.Name != nil {
		a.Name = *c.Name
	}
	if c.Role != nil {
		a.Role = *c.Role
	}
	if c.Workflows != nil {
		a.Workflows = append([]string{}, *c.Workflows...)
	}
	if c.Password != nil {
		a.Password = *c.Password
	}
	switch {
	case c.Disabled != nil && *c.Disabled && a.Disabled.IsZero():
		a.Disabled = fromMicros(micros(now))
	case c.Disabled != nil && !*c.Disabled:
		a.Disabled = time.Time{}
	}
	return a
}

// takeBack revokes what an account was given while it was as before, and writes
// down who changed it.
func (s *Store) takeBack(ctx context.Context, q querier, before, after Account, c AccountChange) error {
	tenant, err := tenantID(ctx, q, after.Tenant)
	if err != nil {
		return err
	}
	r := Revocation{What: RevokedSubject, Name: after.Username, At: s.clock(), Until: c.Until}
	c.By.Action, c.By.Object = "user-change", after.Username
	if before.Disabled.IsZero() {
		if err := revokeSubject(ctx, q, tenant, r); err != nil {
			return err
		}
	}
	r.What = RevokedAccount
	switch {
	case before.Disabled.IsZero() && !after.Disabled.IsZero():
		c.By.Action = "user-disable"
		_, err = addRevoked(ctx, q, tenant, r)
	case !before.Disabled.IsZero() && after.Disabled.IsZero():
		_, err = q.ExecContext(ctx, `delete from revoked where what = ? and tenant = ? and name = ?`, r.What, tenant, r.Name)
	}
	if err != nil {
		return err
	}
	return addAudit(ctx, q, tenant, r.At, c.By)
}

// keepOwner refuses to take away the last owner of a tenant who can sign in.
func keepOwner(ctx context.Context, q querier, before, after Account) error {
	was := before.Role == tandem.Owner && before.Disabled.IsZero()
	is := after.Role == tandem.Owner && after.Disabled.IsZero()
	if !was || is {
		return nil
	}
	var left int
	err := q.QueryRowContext(ctx, `select count(*) from `+accountTables+` where n.name = ? and a.role = ? and a.disabled_at = 0`,
		after.Tenant, string(tandem.Owner)).Scan(&left)
	if err == nil && left == 0 {
		err = tandem.Errorf(tandem.Conflict, "This is the last owner of the tenant.")
	}
	return err
}

// checkNames refuses names that another account has. A username and an e-mail
// address may not be alike either: both sign in.
func checkNames(ctx context.Context, q querier, id int64, a Account) error {
	var taken int
	err := q.QueryRowContext(ctx, `select count(*) from `+accountTables+` where n.name = ? and a.id <> ?
		and (a.username in (?, ?) or (a.email <> '' and a.email in (?, ?)))`,
		a.Tenant, id, a.Username, a.Email, a.Username, a.Email).Scan(&taken)
	if err == nil && taken > 0 {
		err = tandem.Errorf(tandem.Conflict, "This username or e-mail address is taken.")
	}
	return err
}

// accountRow finds an account by its username, in lower case.
func accountRow(ctx context.Context, q querier, tenant, username string) (id int64, a Account, err error) {
	err = q.QueryRowContext(ctx, `select a.id from `+accountTables+` where n.name = ? and a.username = ?`, tenant, username).Scan(&id)
	if err == nil {
		a, err = scanAccount(q.QueryRowContext(ctx, `select `+accountColumns+` from `+accountTables+` where a.id = ?`, id))
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = tandem.Errorf(tandem.NotFound, "There is no account '%s'.", username)
	}
	return id, a, err
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
