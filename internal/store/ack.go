package store

import (
	"context"
	"fmt"

	tandem "github.com/seed4677ff1f/tandem"
)

// Ack says how far one reader of a thread got.
type Ack struct {
	Reader    string // subject
	Role      tandem.PrincipalRole
	Delivered int64 // seq up to which everything reached a screen
	Read      int64 // seq up to which it was read
}

// writeAcks moves readers' positions forward; one behind what is stored moves nothing.
func (b *batch) writeAcks(ctx context.Context, thread int64, acks []Ack) error {
	for _, a := range acks {
		err := b.w.exec(ctx, `insert into ack (thread, reader, role, delivered, read) values (?, ?, ?, ?, ?)
			on conflict (thread, reader) do update set role = excluded.role,
			delivered = max(delivered, excluded.delivered), read = max(read, excluded.read)`,
			thread, a.Reader, string(a.Role), a.Delivered, a.Read)
		if err != nil {
			return fmt.Errorf("write ack: %w", err)
		}
	}
	return nil
}

// Acks returns how far each reader of the thread got, by reader.
func (s *Store) Acks(ctx context.Context, a tandem.Address) ([]Ack, error) {
	rows, err := s.readers.QueryContext(ctx, `select k.reader, k.role, k.delivered, k.read from ack k join thread t on t.id = k.thread
		join tenant n on n.id = t.tenant where n.name = ? and t.workflow = ? and t.participant = ? order by k.reader`,
		a.Tenant, a.Workflow, a.Participant)
	if err != nil {
		return nil, fmt.Errorf("read acks: %w", err)
	}
	defer rows.Close()
	var acks []Ack
	for rows.Next() {
		var k Ack
		if err := rows.Scan(&k.Reader, &k.Role, &k.Delivered, &k.Read); err != nil {
			return nil, fmt.Errorf("read ack: %w", err)
		}
		acks = append(acks, k)
	}
	return acks, rows.Err()
}
