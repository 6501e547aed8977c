package store

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A Link signs somebody in, as it is stored: everything but its code, of which
// only the SHA-256 is kept.
type Link struct {
	ID       string
	Tenant   string
	Username string // the account; empty: an owner without an account, while the tenant has no owner
	Once     bool   // its first use is its last
	Local    bool   // from this machine only
	Created  time.Time
	Expires  time.Time
}

// AddLink stores a new link under the SHA-256 of its code; NotFound if its tenant
// does not exist. One without an account replaces those before it.
func (s *Store) AddLink(ctx context.Context, l Link, hash tandem.Hash) error {
	return s.update(ctx, func(ctx context.Context, q querier) error {
		tenant, err := tenantID(ctx, q, l.Tenant)
		if err != nil {
			return err
		}
		if l.Username == "" {
			if _, err := q.ExecContext(ctx, `delete from login_link where username = ''`); err != nil {
				return err
			}
		}
		_, err = q.ExecContext(ctx, `insert into login_link (id, hash, tenant, username, once, local, created_at, expires_at) values (?, ?, ?, ?, ?, ?, ?, ?)`,
			l.ID, hash[:], tenant, l.Username, truth(l.Once), truth(l.Local), micros(l.Created), micros(l.Expires))
		return err
	})
}

// LinkByHash returns the link with this SHA-256, expired ones too; NotFound if
// there is none (any more).
func (s *Store) LinkByHash(ctx context.Context, hash tandem.Hash) (Link, error) {
	var l Link
	var created, expires int64
	err := s.readers.QueryRowContext(ctx, `select l.id, n.name, l.username, l.once, l.local, l.created_at, l.expires_at
		from login_link l join tenant n on n.id = l.tenant where l.hash = ?`, hash[:]).
		Scan(&l.ID, &l.Tenant, &l.Username, &l.Once, &l.Local, &created, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return Link{}, tandem.Errorf(tandem.NotFound, "there is no such link")
	}
	if err != nil {
		return Link{}, classify(err)
	}
	l.Created, l.Expires = fromMicros(created), fromMicros(expires)
	return l, nil
}

// FollowLink uses a link for the account as it was read, and writes down that it
// signed in. NotFound if the link is not there any more, of several at once all
// but one if it is for once; if the account has changed or is disabled; or if a
// link without an account comes to a tenant that has an owner by now.
func (s *Store) FollowLink(ctx context.Context, l Link, a Account, by Audit) error {
	return s.update(ctx, func(ctx context.Context, q querier) error {
		tenant, err := tenantID(ctx, q, l.Tenant)
		if err != nil {
			return err
		}
		query := `select id from login_link where id = ?`
		if l.Once {
			query = `delete from login_link where id = ? returning id`
		}
		var id string
		if err := q.QueryRowContext(ctx, query, l.ID).Scan(&id); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				return tandem.Errorf(tandem.NotFound, "there is no such link any more")
			}
			return err
		}
		if l.Username == "" {
			err = noOwner(ctx, q, tenant)
		} else {
			err = unchanged(ctx, q, a)
		}
		if err != nil {
			return err
		}
		return addAudit(ctx, q, tenant, s.clock(), by)
	})
}

// noOwner refuses if the tenant has an owner who can sign in.
func noOwner(ctx context.Context, q querier, tenant int64) error {
	var owners int
	err := q.QueryRowContext(ctx, `select count(*) from account where tenant = ? and role = ? and disabled_at = 0`, tenant, string(tandem.Owner)).Scan(&owners)
	if err == nil && owners > 0 {
		err = tandem.Errorf(tandem.NotFound, "the tenant has an owner")
	}
	return err
}

// unchanged refuses if an account is not as it was read, or is disabled.
func unchanged(ctx context.Context, q querier, a Account) error {
	_, now, err := accountRow(ctx, q, a.Tenant, a.Username)
	if err == nil && (!now.Disabled.IsZero() || !reflect.DeepEqual(now, a)) {
		err = tandem.Errorf(tandem.NotFound, "the account has changed")
	}
	return err
}

// AnyAccount reports whether there is an account in whatever tenant, disabled
// ones too.
func (s *Store) AnyAccount(ctx context.Context) (is bool, err error) {
	err = s.readers.QueryRowContext(ctx, `select exists (select 1 from account)`).Scan(&is)
	return is, classify(err)
}
