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

// compose makes what the agent is asked, given the append that marked the turn
// and what was said before.
func (t *turn) compose(a *agent, on store.Result, history []tandem.Turn) (tandem.Question, error) {
	m, thread, active := t.message, on.Threads[0], on.Active[0]
	q := tandem.Question{
		Tenant: t.row.Address.Tenant, Workflow: t.row.Workflow, Conversation: t.row.Conversation,
		MessageID: t.question.ID, Participant: t.row.Address.Participant, RequestID: t.row.RequestID,
		Scope: t.row.Scope, Hint: m.Hint, Type: m.Type, Message: m.Text, Data: m.Data, Medium: m.Medium,
		Urgency: tandem.UrgencyNormal, Mode: tandem.ModeAgent, Epoch: thread.Control.Epoch, Locale: t.row.Locale,
		User: map[string]any{}, History: history,
	}
	if active != nil {
		q.Urgency, q.Mode = active.Urgency, active.Mode
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
	return q, nil
}

// historyPages is how many pages of the log are searched for history: it may be
// full of other things.
const historyPages = 8

// history returns what was said before in the same conversation and scope, at
// most limit messages, oldest first. The log is read to its end and not only to the
// question: while it waited for its turn the one before it was answered. What
// the participant said after it is a question of its own.
func (r *Runner) history(ctx context.Context, t *turn, limit int) ([]tandem.Turn, error) {
	said := []tandem.Turn{}
	page := min(limit+limit/2+4, 256) // an answer is two events
	before := int64(math.MaxInt64)
	for n := 0; n < historyPages && len(said) < limit; n++ {
		events, err := r.store.Before(ctx, t.row.Address, before, page)
		if err != nil {
			return nil, fmt.Errorf("read history: %w", err)
		}
		done := false
		for i := 0; i < len(events) && len(said) < limit && !done; i++ {
			done = t.remember(&events[i], &said)
		}
		if done || len(events) < page {
			break
		}
		before = events[len(events)-1].Seq
	}
	slices.Reverse(said)
	return said, nil
}

// remember adds e to what was said, if the agent is to know of it. done: nothing
// before e is of this conversation.
func (t *turn) remember(e *tandem.Event, said *[]tandem.Turn) (done bool) {
	spoken := e.Kind == tandem.KindMessage || e.Kind == tandem.KindAnswerEnded
	if !spoken || e.Seq == t.row.Question || !e.Audience.VisibleTo(tandem.Agents) {
		return false
	}
	m, err := e.Message()
	theirs := m.Role == tandem.RoleUser
	switch {
	case err != nil:
	case m.Conversation != t.row.Conversation:
		return theirs && m.Conversation != "" && e.Seq < t.row.Question
	case m.Text == "", m.Type != tandem.Chat && m.Type != tandem.File, m.Scope != t.row.Scope:
	case theirs && e.Seq > t.row.Question:
	default:
		*said = append(*said, tandem.Turn{Role: m.Role, Content: m.Text, Name: m.Name})
	}
	return false
}
