package desk

import (
	"context"
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
)

// Converse posts a message and waits for what is said back: the Outgoing Chat
// with its requestId, or the next message of an operator. Errors: as of Post;
// Timeout if nothing came in time (the message is kept); Unavailable if the agent
// failed.
func (d *Desk) Converse(ctx context.Context, p tandem.Principal, in Post, wait time.Duration) (tandem.Event, error) {
	if err := maySpeakAs(p, in.Address); err != nil {
		return tandem.Event{}, err
	}
	w, err := d.hub.Watch(in.Address, p, hub.WatchOptions{})
	if err != nil {
		return tandem.Event{}, err
	}
	defer w.Close()
	posted, err := d.Post(ctx, p, in)
	if err != nil {
		return tandem.Event{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	cursor := posted.Event.Cursor()
	for {
		rings := w.Rings()
		page, err := d.store.Read(ctx, in.Address, cursor, pageLen)
		if err != nil && ctx.Err() == nil {
			return tandem.Event{}, err
		}
		for i := range page.Events {
			cursor = page.Events[i].Cursor()
			if done, err := replies(&page.Events[i], posted.RequestID, p); done || err != nil {
				return page.Events[i], err
			}
		}
		if len(page.Events) == 0 && w.Rings() == rings {
			select {
			case <-ctx.Done():
				return tandem.Event{}, tandem.Errorf(tandem.Timeout, "No answer came in time. Your message was kept.")
			case <-w.Bell():
			}
		}
	}
}

// replies reports whether e is what a conversing client waits for.
func replies(e *tandem.Event, requestID string, p tandem.Principal) (bool, error) {
	if !e.Audience.VisibleTo(p.Audience()) {
		return false, nil
	}
	switch e.Kind {
	case tandem.KindMessage, tandem.KindAnswerEnded:
		m, err := e.Message()
		if err != nil {
			return false, err
		}
		return m.Direction == tandem.Outgoing && m.Type == tandem.Chat && (m.RequestID == requestID || m.Role == tandem.RoleOperator), nil
	case tandem.KindAnswerFailed:
		var m tandem.AnswerFailed
		if json.Unmarshal(e.Body, &m) == nil && m.RequestID == requestID {
			return false, &tandem.Error{Kind: tandem.Unavailable, Message: "AI service is currently unavailable. Please try again later.", RetryAfter: 10 * time.Second}
		}
	}
	return false, nil
}
