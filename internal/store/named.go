package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	tandem "github.com/seed4677ff1f/tandem"
)

// tenantConversation names a conversation.
type tenantConversation struct{ tenant, id string }

// name fills in State.Named and State.Called of an append that asks for them: as
// the database has them, with what this batch changed.
func (b *batch) name(ctx context.Context, a *Append, tenant int64, on *State) (err error) {
	if a.Conversation != "" {
		if on.Named, err = b.named(ctx, tenant, tenantConversation{on.Thread.Address.Tenant, a.Conversation}); err != nil {
			return fmt.Errorf("read conversation: %w", err)
		}
	}
	if a.Call != "" {
		if on.Called, err = b.called(ctx, tenant, on.Thread.Address.Tenant, a.Call); err != nil {
			return fmt.Errorf("read call: %w", err)
		}
	}
	return nil
}

func (b *batch) named(ctx context.Context, tenant int64, k tenantConversation) (*tandem.Conversation, error) {
	if c := b.changed[k]; c != nil {
		return c, nil
	}
	c, err := scanConversation(b.w.one(ctx, `select `+conversationColumns+` from `+conversationTables+` where c.tenant = ? and c.id = ?`, tenant, k.id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil && b.erased[c.Address] {
		c = tombstone(c)
	}
	return c, err
}

// selectCalled finds the ACTIVE conversations with a call id: one, as long as back
// ends do not give an id twice; the latest of them first.
const selectCalled = `select ` + conversationColumns + ` from ` + conversationTables + `
	where c.tenant = ? and c.call_id = ? and c.call_id <> '' and c.status = 'ACTIVE' order by c.rev desc`

func (b *batch) called(ctx context.Context, tenant int64, name, call string) (*tandem.Conversation, error) {
	var found *tandem.Conversation
	for k, c := range b.changed {
		if k.tenant == name && c.CallID == call && c.Status == tandem.StatusActive && (found == nil || c.ID > found.ID) {
			found = c
		}
	}
	if found != nil {
		return found, nil
	}
	st, err := b.w.prepared(ctx, selectCalled)
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(ctx, tenant, call)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanConversation(rows)
		if err != nil {
			return nil, err
		}
		if b.changed[tenantConversation{name, c.ID}] == nil && !b.erased[c.Address] {
			return c, nil
		}
	}
	return nil, rows.Err()
}
