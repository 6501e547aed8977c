package desk

import (
	"context"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Audit lists who did what to a conversation, newest first, and the before of the
// next page; 0 if this was the last, and from the newest. It is for supervisors
// and owners. Of an erased conversation an owner finds it in the tenant's audit.
// Errors: Forbidden, NotFound.
func (d *Desk) Audit(ctx context.Context, p tandem.Principal, id string, before int64, limit int) (list []store.Audit, next int64, err error) {
	if p.Role != tandem.Supervisor && p.Role != tandem.Owner {
		return nil, 0, errDenied()
	}
	c, err := d.conversation(ctx, p, id)
	if err != nil {
		return nil, 0, err
	}
	return d.store.Audits(ctx, store.AuditFilter{Tenant: p.Tenant, Conversation: c.ID, Before: before, Limit: limit})
}
