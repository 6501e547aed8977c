package desk

import (
	"context"
	"encoding/base64"
	"encoding/json"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// List chooses conversations; empty fields do not filter.
type List struct {
	Workflow string
	Status   tandem.Status
	Mode     tandem.Mode
	Urgency  tandem.Urgency
	AdminID  string
	Cursor   string // of the page before
	Limit    int    // 1 to the limit of a page
}

// Conversations lists the tenant's conversations that p may see: the critical
// first, then those that wait longest. next is the cursor of the next page, empty
// at the end. Operators see what nobody holds and what they hold; supervisors,
// owners and back ends all; participants are refused with Forbidden.
func (d *Desk) Conversations(ctx context.Context, p tandem.Principal, l List) (list []tandem.Conversation, next string, err error) {
	f := store.ConversationFilter{
		Tenant: p.Tenant, Workflow: l.Workflow, Status: l.Status, Mode: l.Mode, Urgency: l.Urgency, AdminID: l.AdminID, Limit: l.Limit + 1,
	}
	switch p.Role {
	case tandem.Operator:
		f.Visible = p.Subject
	case tandem.Supervisor, tandem.Owner, tandem.Agent:
	default:
		return nil, "", errForbidden()
	}
	if p.Workflow != "" {
		if f.Workflow != "" && f.Workflow != p.Workflow {
			return nil, "", errForbidden()
		}
		f.Workflow = p.Workflow
	}
	if l.Cursor != "" {
		f.After = new(store.ListCursor)
		b, err := base64.RawURLEncoding.DecodeString(l.Cursor)
		if err != nil || json.Unmarshal(b, f.After) != nil {
			return nil, "", tandem.Errorf(tandem.Invalid, "cursor is not one of this list")
		}
	}
	list, err = d.store.Conversations(ctx, f)
	if err != nil || len(list) <= l.Limit {
		return list, "", err
	}
	list = list[:l.Limit]
	b, err := json.Marshal(store.Place(&list[l.Limit-1]))
	return list, base64.RawURLEncoding.EncodeToString(b), err
}
