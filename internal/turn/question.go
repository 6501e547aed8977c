package turn

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// compose makes what the agent is asked, given the append that marked the turn.
func (r *Runner) compose(ctx context.Context, t *turn, a *agent, on store.Result) (tandem.Question, error) {
	m, thread, active := t.message, on.Threads[0], on.Active[0]
	q := tandem.Question{
		Tenant: t.row.Address.Tenant, Workflow: t.row.Workflow, Conversation: t.row.Conversation,
		MessageID: t.question.ID, Participant: t.row.Address.Participant, RequestID: t.row.RequestID,
		Scope: t.row.Scope, Hint: m.Hint, Type: m.Type, Message: m.Text, Data: m.Data, Medium: m.Medium,
		Urgency: tandem.UrgencyNormal, Mode: tandem.ModeAgent, Epoch: thread.Control.Epoch, Locale: t.row.Locale,
		User: map[string]any{}, History: []tandem.Turn{},
	}
	first := int64(0)
	if active != nil {
		q.Urgency, q.Mode, first = active.Urgency, active.Mode, active.FirstSeq
		if q.Medium == "" {
			q.Medium = active.Medium
		}
	}
	if len(t.row.User) > 0 {
		if err := json.Unmarshal(t.row.User, &q.User); err != nil {
			return q, fmt.Errorf("read the asker: %w", err)
		}
	}
	if a.UserClaims != nil {
		maps.DeleteFunc(q.User, func(claim string, _ any) bool { return !slices.Contains(a.UserClaims, claim) })
	}
	var err error
	q.History, err = r.history(ctx, t, a.History, first)
	return q, err
}

// historyPages is how far back history is looked for: a thread may be full of
// other things.
const historyPages = 16

// history returns what was said before in the same conversation and scope, at
// most limit messages, oldest first. The log is read to its end and not only to the
// question: while it waited for its turn the one before it was answered. What
// the participant said after it is a question of its own.
func (r *Runner) history(ctx context.Context, t *turn, limit int, first int64) ([]tandem.Turn, error) {
	size := min(2*limit+1, 256)
	said := []tandem.Turn{}
	before := int64(math.MaxInt64)
	for page := 0; page < historyPages && len(said) < limit && before > first; page++ {
		events, err := r.store.Before(ctx, t.row.Address, before, size)
		if err != nil {
			return nil, fmt.Errorf("read history: %w", err)
		}
		for i := range events {
			if one, ok := t.remembers(&events[i]); ok && len(said) < limit && events[i].Seq >= first {
				said = append(said, one)
			}
		}
		if len(events) < size {
			break
		}
		before = events[len(events)-1].Seq
	}
	slices.Reverse(said)
	return said, nil
}

// remembers returns e as a part of the question's history, if it is one.
func (t *turn) remembers(e *tandem.Event) (tandem.Turn, bool) {
	spoken := e.Kind == tandem.KindMessage || e.Kind == tandem.KindAnswerEnded
	if !spoken || e.Seq == t.row.Question || !e.Audience.VisibleTo(tandem.Agents) {
		return tandem.Turn{}, false
	}
	m, err := e.Message()
	switch {
	case err != nil, m.Text == "", m.Type != tandem.Chat && m.Type != tandem.File:
	case m.Conversation != t.row.Conversation, m.Scope != t.row.Scope:
	case e.Seq > t.row.Question && m.Role == tandem.RoleUser:
	default:
		return tandem.Turn{Role: m.Role, Content: m.Text, Name: m.Name}, true
	}
	return tandem.Turn{}, false
}
