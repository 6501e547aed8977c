package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
)

// ConversationFilter chooses conversations of one tenant; empty fields do not filter.
type ConversationFilter struct {
	Tenant   string
	Workflow string
	Status   tandem.Status
	Mode     tandem.Mode
	Urgency  tandem.Urgency
	AdminID  string
	// Visible, if not empty, leaves out what another than this operator holds.
	Visible string
	After   *ListCursor
	Limit   int
}

// ListCursor is a place in the list's order.
type ListCursor struct {
	Urgency int   // rank
	Since   int64 // waiting or, if nobody waits, opening: microseconds
	Waits   bool
	ID      string
}

// Conversations lists the most urgent first, then those that wait, longest
// first, then the rest, oldest first.
func (s *Store) Conversations(ctx context.Context, f ConversationFilter) ([]tandem.Conversation, error) {
	where := []string{"n.name = ?"}
	args := []any{f.Tenant}
	add := func(cond string, vals ...any) {
		where = append(where, cond)
		args = append(args, vals...)
	}
	if f.Workflow != "" {
		add("t.workflow = ?", f.Workflow)
	}
	if f.Status != "" {
		add("c.status = ?", string(f.Status))
	}
	if f.Mode != "" {
		add("c.mode = ?", string(f.Mode))
	}
	if f.Urgency != "" {
		add("c.urgency = ?", f.Urgency.Rank())
	}
	if f.AdminID != "" {
		add("c.admin_id = ?", f.AdminID)
	}
	if f.Visible != "" {
		add("c.admin_id in ('', ?)", f.Visible)
	}
	const key = "(-c.urgency, case when c.waiting_since > 0 then 0 else 1 end, case when c.waiting_since > 0 then c.waiting_since else c.opened_at end, c.id)"
	if a := f.After; a != nil {
		add(key+" > (?, ?, ?, ?)", -a.Urgency, 1-truth(a.Waits), a.Since, a.ID)
	}
	rows, err := s.readers.QueryContext(ctx, `select `+conversationColumns+` from `+conversationTables+
		` where `+strings.Join(where, " and ")+` order by `+key[1:len(key)-1]+` limit ?`, append(args, f.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("list conversations: %w", err)
	}
	defer rows.Close()
	var list []tandem.Conversation
	for rows.Next() {
		c, err := scanConversation(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, *c)
	}
	return list, rows.Err()
}

// Place is the conversation's place in the order of the list.
func Place(c *tandem.Conversation) ListCursor {
	l := ListCursor{Urgency: c.Urgency.Rank(), Since: micros(c.OpenedAt), ID: c.ID}
	if !c.WaitingSince.IsZero() {
		l.Waits, l.Since = true, micros(c.WaitingSince)
	}
	return l
}

// Conversation returns one conversation of a tenant; NotFound if there is none.
func (s *Store) Conversation(ctx context.Context, tenant, id string) (tandem.Conversation, error) {
	c, err := scanConversation(s.readers.QueryRowContext(ctx, `select `+conversationColumns+` from `+conversationTables+
		` where n.name = ? and c.id = ?`, tenant, id))
	if errors.Is(err, sql.ErrNoRows) {
		return tandem.Conversation{}, tandem.Errorf(tandem.NotFound, "Conversation '%s' not found", id)
	}
	if err != nil {
		return tandem.Conversation{}, err
	}
	return *c, nil
}
