package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
)

// AddressOf is the address of a thread by the number of its row. NotFound if there
// is none.
func (s *Store) AddressOf(ctx context.Context, thread int64) (tandem.Address, error) {
	var a tandem.Address
	err := s.readers.QueryRowContext(ctx, `select n.name, t.workflow, t.participant from thread t join tenant n on n.id = t.tenant where t.id = ?`,
		thread).Scan(&a.Tenant, &a.Workflow, &a.Participant)
	if errors.Is(err, sql.ErrNoRows) {
		return a, tandem.Errorf(tandem.NotFound, "there is no such thread")
	}
	return a, err
}

// ThreadsOf lists all threads that hold somebody's words or what was sent to
// somebody: of each workflow, of sessions, and what waits for one.
func (s *Store) ThreadsOf(ctx context.Context, tenant, participant string) ([]tandem.Address, error) {
	who, inbox := strings.ToLower(participant), tandem.InboxAddress(tenant, participant)
	rows, err := s.readers.QueryContext(ctx, `select t.workflow, t.participant from thread t join tenant n on n.id = t.tenant
		where n.name = ? and (t.participant = ? and t.workflow not like '$%' or t.workflow = ? and t.participant = ?
			or t.id in (select s.thread from session s where s.tenant = t.tenant and s.owner = ?)) order by t.id`,
		tenant, who, inbox.Workflow, inbox.Participant, who)
	if err != nil {
		return nil, fmt.Errorf("read threads: %w", err)
	}
	defer rows.Close()
	var list []tandem.Address
	for rows.Next() {
		a := tandem.Address{Tenant: tenant}
		if err := rows.Scan(&a.Workflow, &a.Participant); err != nil {
			return nil, fmt.Errorf("read thread: %w", err)
		}
		list = append(list, a)
	}
	return list, rows.Err()
}
