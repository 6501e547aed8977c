package store

import (
	"context"
	"fmt"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// The kinds of a [Due].
const (
	DuePickup  = "pickup"  // nobody took the conversation in time
	DueSilence = "silence" // its holder is silent
	DueReturn  = "return"  // it goes back to the queue
	DueIdle    = "idle"    // nobody said a word: it ends
)

// Due is what happens to a conversation by itself at a time. A conversation has at
// most one of each kind: a later one takes the place of the one before.
type Due struct {
	Tenant       string
	Address      tandem.Address // of the conversation's thread
	Conversation string
	Kind         string
	At           time.Time // zero, in a Write: no longer due
	Epoch        int64     // the thread's when it was armed; what acts on it must compare
}

// writeDues arms and disarms what a Write says.
func (b *batch) writeDues(ctx context.Context, tenant, thread int64, dues []Due) error {
	for _, d := range dues {
		var err error
		if d.At.IsZero() {
			err = b.w.exec(ctx, `delete from due where tenant = ? and conversation = ? and kind = ?`, tenant, d.Conversation, d.Kind)
		} else {
			err = b.w.exec(ctx, `insert into due (tenant, conversation, kind, thread, at, epoch) values (?, ?, ?, ?, ?, ?)
				on conflict (tenant, conversation, kind) do update set thread = excluded.thread, at = excluded.at, epoch = excluded.epoch`,
				tenant, d.Conversation, d.Kind, thread, micros(d.At), d.Epoch)
		}
		if err != nil {
			return fmt.Errorf("write due: %w", err)
		}
	}
	return nil
}

// Dues returns all that is due some time, soonest first. The server asks once, at
// its start.
func (s *Store) Dues(ctx context.Context) ([]Due, error) {
	rows, err := s.readers.QueryContext(ctx, `select n.name, t.workflow, t.participant, d.conversation, d.kind, d.at, d.epoch
		from due d join thread t on t.id = d.thread join tenant n on n.id = d.tenant order by d.at, d.conversation, d.kind`)
	if err != nil {
		return nil, fmt.Errorf("read dues: %w", err)
	}
	defer rows.Close()
	var dues []Due
	for rows.Next() {
		var d Due
		var at int64
		if err := rows.Scan(&d.Address.Tenant, &d.Address.Workflow, &d.Address.Participant, &d.Conversation, &d.Kind, &at, &d.Epoch); err != nil {
			return nil, fmt.Errorf("read due: %w", err)
		}
		d.Tenant, d.At = d.Address.Tenant, fromMicros(at)
		dues = append(dues, d)
	}
	return dues, rows.Err()
}
