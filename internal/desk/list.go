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
func (d *Desk) Conversations(ctx context.Context, p tandem.Principal, l List) (list []Seen, next string, err error) {
	f := store.ConversationFilter{
		Tenant: p.Tenant, Workflow: l.Workflow, Workflows: p.Workflows, Status: l.Status, Mode: l.Mode, Urgency: l.Urgency, AdminID: l.AdminID, Limit: l.Limit + 1,
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
	found, err := d.store.Conversations(ctx, f)
	if err != nil {
		return nil, "", err
	}
	if len(found) > l.Limit {
		found = found[:l.Limit]
		b, err := json.Marshal(store.Place(&found[l.Limit-1]))
		if err != nil {
			return nil, "", err
		}
		next = base64.RawURLEncoding.EncodeToString(b)
	}
	for _, c := range found {
		list = append(list, Seen{Conversation: c})
	}
	return list, next, d.rows(ctx, list)
}

// rows fills in what lists and the board show besides the conversations: the place
// of those that wait, and the last words.
func (d *Desk) rows(ctx context.Context, list []Seen) error {
	places := map[string]map[string]int{} // by workflow
	for i := range list {
		s := &list[i]
		var err error
		if s.Words, err = d.words(ctx, &s.Conversation); err != nil {
			return err
		}
		if s.Status != tandem.StatusActive || s.Mode != tandem.ModeWaiting {
			continue
		}
		in, known := places[s.Address.Workflow]
		if !known {
			if in, err = d.places(ctx, s.Address.Tenant, s.Address.Workflow); err != nil {
				return err
			}
			places[s.Address.Workflow] = in
		}
		s.Place = in[s.ID]
	}
	return nil
}

// places are the places in a workflow's waiting queue, by conversation.
func (d *Desk) places(ctx context.Context, tenant, workflow string) (map[string]int, error) {
	ids, err := d.store.Waiting(ctx, tenant, workflow)
	in := make(map[string]int, len(ids))
	for i, id := range ids {
		in[id] = i + 1
	}
	return in, err
}
