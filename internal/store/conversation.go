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
	// Workflows, if there are any, leaves out those of others: what a person serves.
	Workflows []string
	Status    tandem.Status
	Mode      tandem.Mode
	Urgency   tandem.Urgency
	AdminID   string
	// Visible, if not empty, leaves out what another than this operator holds.
	Visible string
	After   *ListCursor
	Limit   int // 0: all
}

// ListCursor is a place in the list's order.
type ListCursor struct {
	Urgency int   // rank
	Since   int64 // waiting or, if nobody waits, opening: microseconds
	Waits   bool
	ID      string
}

// Conversations lists the most urgent first, then those that wait, longest
// first, then the rest, oldest first. What was erased is in no list.
func (s *Store) Conversations(ctx context.Context, f ConversationFilter) ([]tandem.Conversation, error) {
	return listConversations(ctx, s.readers, f)
}

// listOrder is the order of the list as one comparable value.
const listOrder = `-c.urgency, case when c.waiting_since > 0 then 0 else 1 end, case when c.waiting_since > 0 then c.waiting_since else c.opened_at end, c.id`

func listConversations(ctx context.Context, q querier, f ConversationFilter) ([]tandem.Conversation, error) {
	where, args := f.where()
	limit := f.Limit
	if limit == 0 {
		limit = -1
	}
	list, err := readConversations(ctx, q, where+` order by `+listOrder+` limit ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("list conversations: %w", err)
	}
	return list, nil
}

// where is the filter as a condition.
func (f ConversationFilter) where() (string, []any) {
	where, args := []string{"n.name = ?", "c.status <> 'ERASED'"}, []any{f.Tenant}
	add := func(cond string, vals ...any) {
		where = append(where, cond)
		args = append(args, vals...)
	}
	if f.Workflow != "" {
		add("t.workflow = ?", f.Workflow)
	}
	if n := len(f.Workflows); n > 0 {
		names := make([]any, n)
		for i, w := range f.Workflows {
			names[i] = w
		}
		add("t.workflow in "+valueLists(n, 1), names...)
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
	if a := f.After; a != nil {
		add("("+listOrder+") > (?, ?, ?, ?)", -a.Urgency, 1-truth(a.Waits), a.Since, a.ID)
	}
	return strings.Join(where, " and "), args
}

// readConversations reads what the condition, which may go on with an order, finds.
func readConversations(ctx context.Context, q querier, where string, args ...any) ([]tandem.Conversation, error) {
	rows, err := q.QueryContext(ctx, `select `+conversationColumns+` from `+conversationTables+` where `+where, args...)
	if err != nil {
		return nil, err
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

// Conversation returns one conversation of a tenant; NotFound if there is none, or
// if it was erased.
func (s *Store) Conversation(ctx context.Context, tenant, id string) (tandem.Conversation, error) {
	return findConversation(ctx, s.readers, tenant, id)
}

func findConversation(ctx context.Context, q querier, tenant, id string) (tandem.Conversation, error) {
	c, err := scanConversation(q.QueryRowContext(ctx, `select `+conversationColumns+` from `+conversationTables+
		` where n.name = ? and c.id = ? and c.status <> 'ERASED'`, tenant, id))
	if errors.Is(err, sql.ErrNoRows) {
		return tandem.Conversation{}, tandem.Errorf(tandem.NotFound, "Conversation '%s' not found", id)
	}
	if err != nil {
		return tandem.Conversation{}, fmt.Errorf("read conversation: %w", err)
	}
	return *c, nil
}

// Call returns the ACTIVE conversation with this call id; NotFound if there is none.
func (s *Store) Call(ctx context.Context, tenant, call string) (tandem.Conversation, error) {
	list, err := readConversations(ctx, s.readers, `n.name = ? and c.call_id = ? and c.call_id <> '' and c.status = 'ACTIVE'
		order by c.rev desc limit 1`, tenant, call)
	if err != nil {
		return tandem.Conversation{}, fmt.Errorf("read call: %w", err)
	}
	if len(list) == 0 {
		return tandem.Conversation{}, tandem.Errorf(tandem.NotFound, "Call '%s' not found or no longer active", call)
	}
	return list[0], nil
}

// HeldBy returns the ACTIVE conversations that the subject holds, oldest first.
func (s *Store) HeldBy(ctx context.Context, tenant, subject string) ([]tandem.Conversation, error) {
	list, err := readConversations(ctx, s.readers, `n.name = ? and c.status = 'ACTIVE' and c.admin_id = ? and c.admin_id <> ''
		order by c.opened_at, c.id`, tenant, subject)
	if err != nil {
		return nil, fmt.Errorf("list held conversations: %w", err)
	}
	return list, nil
}

// HeldByDisabled returns the ACTIVE conversations of all tenants whose holder's
// account is disabled: nobody will answer them.
func (s *Store) HeldByDisabled(ctx context.Context) ([]tandem.Conversation, error) {
	list, err := readConversations(ctx, s.readers, `c.status = 'ACTIVE' and c.admin_id <> '' and exists (select 1 from account a
		where a.tenant = c.tenant and a.username = c.admin_id and a.disabled_at <> 0) order by c.opened_at, c.id`)
	if err != nil {
		return nil, fmt.Errorf("list abandoned conversations: %w", err)
	}
	return list, nil
}

// Waiting returns the ids of a workflow's queue: the most urgent first, then the
// longest waiting. A conversation's place is that of its id, from 1.
func (s *Store) Waiting(ctx context.Context, tenant, workflow string) ([]string, error) {
	rows, err := s.readers.QueryContext(ctx, `select c.id from `+conversationTables+` where n.name = ? and t.workflow = ?
		and c.status = 'ACTIVE' and c.mode = 'waiting' order by c.urgency desc, c.waiting_since, c.id`, tenant, workflow)
	if err != nil {
		return nil, fmt.Errorf("list waiting conversations: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list waiting conversations: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// Snapshot is a conversation with all that happened in it, as of one moment.
type Snapshot struct {
	Conversation tandem.Conversation
	Thread       tandem.Thread
	// Events are those of the thread from the conversation's first to the one that
	// ended it, or to the head.
	Events []tandem.Event
}

// Snapshot reads a conversation in one transaction; NotFound as of Conversation.
func (s *Store) Snapshot(ctx context.Context, tenant, id string) (Snapshot, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return Snapshot{}, fmt.Errorf("read: %w", err)
	}
	defer tx.Rollback()
	var p Snapshot
	if p.Conversation, err = findConversation(ctx, tx, tenant, id); err != nil {
		return Snapshot{}, err
	}
	if p.Thread, err = readThread(ctx, tx, p.Conversation.Address); err != nil {
		return Snapshot{}, err
	}
	end := p.Conversation.LastSeq
	if end == 0 {
		end = p.Thread.Head
	}
	p.Events, err = readEvents(ctx, tx, 0, selectEvent+` where thread = ? and seq between ? and ? order by seq`,
		p.Thread.ID, max(p.Conversation.FirstSeq, p.Thread.Trim+1), end)
	return p, err
}
