package turn

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Start takes up what the store says is owed, and begins to answer. A question
// that was not asked is asked now. An answer under way when the process before
// this one ended is closed as interrupted, with the text of its checkpoints. One
// that was asked and had no token has failed: the agent may have had it. What
// waits for a push goes on waiting. Only the reading is waited for. Called once,
// before anything can be posted.
func (r *Runner) Start(ctx context.Context) error {
	rows, err := r.store.Turns(ctx)
	if err != nil {
		return err
	}
	var owed []*turn
	for _, row := range rows {
		t, err := r.restore(ctx, row)
		if err != nil {
			return fmt.Errorf("take up a turn: %w", err)
		}
		owed = append(owed, t)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase != waiting {
		return nil
	}
	for _, t := range owed {
		r.enqueue(t.row.Address, t)
	}
	r.phase = running
	for a, l := range r.lines {
		slices.SortFunc(l.turns, func(x, y *turn) int { return int(x.row.Question - y.row.Question) })
		r.attend(a, l)
	}
	return nil
}

// restore makes a turn of its row.
func (r *Runner) restore(ctx context.Context, row store.Turn) (*turn, error) {
	thread, err := r.store.Thread(ctx, row.Address)
	if err != nil {
		return nil, err
	}
	var question *tandem.Event
	switch e, err := r.store.Event(ctx, row.Address, row.Question); {
	case err == nil:
		question = &e
	case tandem.KindOf(err) != tandem.NotFound:
		return nil, err
	}
	t := newTurn(r.life, row, question, thread.Control.Epoch)
	if row.Started <= 0 {
		t.later = row.Started == putOff
		return t, nil
	}
	text, err := r.store.Checkpoint(ctx, row.Address, row.Started)
	if err != nil {
		return nil, err
	}
	t.read()
	t.started, t.saved = row.Started, len(text)
	t.text.WriteString(text)
	switch e, err := r.store.Event(ctx, row.Address, row.Started); {
	case err == nil:
		var s tandem.AnswerStarted
		if json.Unmarshal(e.Body, &s) == nil {
			t.name = s.Name
		}
	case tandem.KindOf(err) != tandem.NotFound:
		return nil, err
	}
	return t, nil
}
