package store

import (
	"context"
	"fmt"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A Touch is a thread and when something was last appended to it.
type Touch struct {
	Thread tandem.Thread
	At     time.Time
}

// Touched returns at most limit threads of the workflow to which something was
// appended at since or later, in the order of that time and of their numbers;
// with a thread's number after, only what comes after it and since. A thread
// that is appended to again moves to the end, so who goes on from the last of a
// page misses none and may see one twice. Times are the writer's clock and may go
// back by as much as that was set back: start with an overlap.
func (s *Store) Touched(ctx context.Context, tenant, workflow string, since time.Time, after int64, limit int) ([]Touch, error) {
	rows, err := s.readers.QueryContext(ctx, `select t.participant, t.touched_at, `+threadColumns+` from thread t join tenant n on n.id = t.tenant
		where n.name = ? and t.workflow = ? and (t.touched_at, t.id) > (?, ?) order by t.touched_at, t.id limit ?`,
		tenant, workflow, since.UnixMicro(), after, limit)
	if err != nil {
		return nil, fmt.Errorf("read touched threads: %w", err)
	}
	defer rows.Close()
	var list []Touch
	for rows.Next() {
		a, at := tandem.Address{Tenant: tenant, Workflow: workflow}, int64(0)
		var t Touch
		if err := scanThread(touchScan{rows, &a.Participant, &at}, a, &t.Thread); err != nil {
			return nil, fmt.Errorf("read touched thread: %w", err)
		}
		t.Thread.Address, t.At = a, fromMicros(at)
		list = append(list, t)
	}
	return list, rows.Err()
}

// touchScan scans a thread's participant and time before its columns.
type touchScan struct {
	row         scanner
	participant *string
	at          *int64
}

func (s touchScan) Scan(dest ...any) error {
	return s.row.Scan(append([]any{s.participant, s.at}, dest...)...)
}
