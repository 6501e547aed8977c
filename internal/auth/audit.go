package auth

import (
	"context"
	"strconv"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Audit is one entry of a tenant's audit.
type Audit = store.Audit

// auditOf is the entry of what by does in a tenant; the zero Principal is a
// command on the data folder.
func auditOf(by tandem.Principal, tenant, action string) Audit {
	if by.Kind == "" {
		by.Kind = tandem.CredentialSystem
	}
	e := store.AuditOf(by, action, "", "")
	e.Tenant = tenant
	return e
}

// AuditFilter chooses entries of a tenant; empty fields do not filter.
type AuditFilter struct {
	Conversation string
	Principal    string // subject
	Action       string
	Since, Until time.Time // at or after the one, before the other
	Cursor       string    // of the page before
	Limit        int
}

// Audits lists a tenant's entries, newest first, and the cursor of the next page;
// empty if this was the last. Invalid for a cursor that none is.
func (a *Auth) Audits(ctx context.Context, tenant string, f AuditFilter) (list []Audit, next string, err error) {
	q := store.AuditFilter{Tenant: tenant, Conversation: f.Conversation, Principal: f.Principal, Action: f.Action, Since: f.Since, Until: f.Until, Limit: f.Limit}
	if f.Cursor != "" {
		if q.Before, err = strconv.ParseInt(f.Cursor, 10, 64); err != nil || q.Before < 1 {
			return nil, "", tandem.Errorf(tandem.Invalid, "not a cursor")
		}
	}
	list, before, err := a.opt.Store.Audits(ctx, q)
	if before > 0 {
		next = strconv.FormatInt(before, 10)
	}
	return list, next, err
}
