package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// Audit is one entry of a tenant's audit: who did what, when, and from where. It
// holds no text that anybody said. Entries are never changed, and kept for
// [AuditKept]; triggers of the database hold that too.
type Audit struct {
	ID           string    // made by the store if empty; the same id is stored once
	At           time.Time // given by the store
	Tenant       string
	Principal    string // subject
	Role         tandem.PrincipalRole
	Credential   tandem.CredentialKind
	Action       string // takeover, login, erase, ...
	Conversation string // id; empty: none
	Object       string // what it was done to: an account, a key, a participant
	From         string // address of the client; empty: unknown
}

// AuditKept is how many years the audit is kept.
const AuditKept = 2

// AuditOf is the entry of what p does. Object and conversation may be empty.
func AuditOf(p tandem.Principal, action, conversation, object string) Audit {
	return Audit{
		Tenant: p.Tenant, Principal: p.Subject, Role: p.Role, Credential: p.Kind,
		Action: action, Conversation: conversation, Object: object, From: p.From,
	}
}

const insertAudit = `insert into audit (id, at, tenant, principal, role, credential, action, conversation, object, came_from)
	values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func (a *Audit) args(tenant int64, now time.Time) []any {
	if a.ID == "" {
		a.ID = tandem.NewID("aud_", now)
	}
	return []any{
		a.ID, micros(now), tenant, a.Principal, string(a.Role), string(a.Credential),
		a.Action, a.Conversation, a.Object, a.From,
	}
}

// addAudit writes the entry in the caller's transaction, for the tenant with this
// number whatever a.Tenant says.
func addAudit(ctx context.Context, q querier, tenantID int64, now time.Time, a Audit) error {
	if _, err := q.ExecContext(ctx, insertAudit, a.args(tenantID, now)...); err != nil {
		return fmt.Errorf("write audit: %w", err)
	}
	return nil
}

// Audit stores an entry by itself, for what changes nothing in the store (a
// login, an export). NotFound for an unknown tenant.
func (s *Store) Audit(ctx context.Context, a Audit) error {
	return s.update(ctx, func(ctx context.Context, q querier) error {
		id, err := tenantID(ctx, q, a.Tenant)
		if err != nil {
			return err
		}
		return addAudit(ctx, q, id, s.clock(), a)
	})
}

// AuditFilter chooses entries of one tenant; empty fields do not filter.
type AuditFilter struct {
	Tenant       string
	Conversation string
	Principal    string
	Action       string
	Since, Until time.Time // at or after the one, before the other; zero: no bound
	Before       int64     // the next of the page before; 0: from the newest
	Limit        int
}

// Audits lists entries, newest first, and the Before of the next page, 0 if this
// was the last.
func (s *Store) Audits(ctx context.Context, f AuditFilter) (list []Audit, next int64, err error) {
	where, args := []string{"n.name = ?"}, []any{f.Tenant}
	add := func(cond string, v any) { where, args = append(where, cond), append(args, v) }
	if f.Conversation != "" {
		add("a.conversation = ?", f.Conversation)
	}
	if f.Principal != "" {
		add("a.principal = ?", f.Principal)
	}
	if f.Action != "" {
		add("a.action = ?", f.Action)
	}
	if !f.Since.IsZero() {
		add("a.at >= ?", f.Since.UnixMicro())
	}
	if !f.Until.IsZero() {
		add("a.at < ?", f.Until.UnixMicro())
	}
	if f.Before > 0 {
		add("a.row < ?", f.Before)
	}
	rows, err := s.readers.QueryContext(ctx, `select a.row, a.id, a.at, n.name, a.principal, a.role, a.credential, a.action, a.conversation, a.object, a.came_from
		from audit a join tenant n on n.id = a.tenant where `+strings.Join(where, " and ")+` order by a.row desc limit ?`, append(args, f.Limit+1)...)
	if err != nil {
		return nil, 0, fmt.Errorf("read audit: %w", err)
	}
	defer rows.Close()
	var last int64
	for rows.Next() {
		if len(list) == f.Limit {
			return list, last, nil
		}
		var a Audit
		var at int64
		if err := rows.Scan(&last, &a.ID, &at, &a.Tenant, &a.Principal, &a.Role, &a.Credential, &a.Action, &a.Conversation, &a.Object, &a.From); err != nil {
			return nil, 0, fmt.Errorf("read audit: %w", err)
		}
		a.At = fromMicros(at)
		list = append(list, a)
	}
	return list, 0, rows.Err()
}

// TrimAudit removes entries older than before; none that is younger than
// [AuditKept] years by the machine's clock.
func (s *Store) TrimAudit(ctx context.Context, before time.Time) error {
	// A minute less, since the trigger reads the clock too, in whole seconds.
	if kept := time.Now().AddDate(-AuditKept, 0, 0).Add(-time.Minute); before.After(kept) {
		before = kept
	}
	return s.update(ctx, func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `delete from audit where at < ?`, before.UnixMicro())
		return err
	})
}
