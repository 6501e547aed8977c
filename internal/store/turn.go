package store

import (
	"context"
	"fmt"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
)

// writeTurn writes what a Write says of turns and checkpoints.
func (b *batch) writeTurn(ctx context.Context, thread int64, w *Write) error {
	if t := w.Turn; t != nil {
		err := b.w.exec(ctx, `insert into turn (thread, question, answer, conversation, request_id, scope, workflow,
			asker, locale, asked, started, created_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, thread, t.Question, t.Answer, t.Conversation, t.RequestID, t.Scope, t.Workflow,
			t.User, t.Locale, truth(t.Asked), t.Started, micros(t.CreatedAt))
		if err != nil {
			return fmt.Errorf("write turn: %w", err)
		}
	}
	if w.Asked != 0 {
		if err := b.w.exec(ctx, `update turn set asked = 1 where thread = ? and question = ?`, thread, w.Asked); err != nil {
			return fmt.Errorf("mark turn: %w", err)
		}
	}
	if t := w.Started; t != nil {
		if err := b.w.exec(ctx, `update turn set started = ? where thread = ? and question = ?`, t.Started, thread, t.Question); err != nil {
			return fmt.Errorf("start turn: %w", err)
		}
	}
	if c := w.Checkpoint; c != nil {
		err := b.w.exec(ctx, `insert into checkpoint (thread, started, at_byte, chunk) values (?, ?, ?, ?)`, thread, c.Started, c.At, c.Text)
		if err != nil {
			return fmt.Errorf("write checkpoint: %w", err)
		}
	}
	for _, question := range w.EndTurns {
		err := b.w.exec(ctx, `delete from checkpoint where thread = ? and started in
			(select started from turn where turn.thread = ? and question = ?)`, thread, thread, question)
		if err != nil {
			return fmt.Errorf("drop checkpoints: %w", err)
		}
		if err := b.w.exec(ctx, `delete from turn where thread = ? and question = ?`, thread, question); err != nil {
			return fmt.Errorf("end turn: %w", err)
		}
	}
	return nil
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Turns returns every turn that has not ended, in the order in which their
// questions were stored. The server asks once, at its start.
func (s *Store) Turns(ctx context.Context) ([]Turn, error) {
	rows, err := s.readers.QueryContext(ctx, `select n.name, t.workflow, t.participant, u.question, u.answer, u.conversation,
		u.request_id, u.scope, u.workflow, u.asker, u.locale, u.asked, u.started, u.created_at
		from turn u join thread t on t.id = u.thread join tenant n on n.id = t.tenant order by u.created_at, u.thread, u.question`)
	if err != nil {
		return nil, fmt.Errorf("read turns: %w", err)
	}
	defer rows.Close()
	var turns []Turn
	for rows.Next() {
		var t Turn
		var created int64
		if err := rows.Scan(&t.Address.Tenant, &t.Address.Workflow, &t.Address.Participant, &t.Question, &t.Answer, &t.Conversation,
			&t.RequestID, &t.Scope, &t.Workflow, &t.User, &t.Locale, &t.Asked, &t.Started, &created); err != nil {
			return nil, fmt.Errorf("read turn: %w", err)
		}
		t.CreatedAt = fromMicros(created)
		turns = append(turns, t)
	}
	return turns, rows.Err()
}

// Checkpoint returns the text of an unfinished answer that is in the store.
func (s *Store) Checkpoint(ctx context.Context, a tandem.Address, started int64) (string, error) {
	rows, err := s.readers.QueryContext(ctx, `select p.chunk from checkpoint p join thread t on t.id = p.thread
		join tenant n on n.id = t.tenant where n.name = ? and t.workflow = ? and t.participant = ? and p.started = ? order by p.at_byte`,
		a.Tenant, a.Workflow, a.Participant, started)
	if err != nil {
		return "", fmt.Errorf("read checkpoints: %w", err)
	}
	defer rows.Close()
	var text strings.Builder
	for rows.Next() {
		var chunk string
		if err := rows.Scan(&chunk); err != nil {
			return "", fmt.Errorf("read checkpoint: %w", err)
		}
		text.WriteString(chunk)
	}
	return text.String(), rows.Err()
}
