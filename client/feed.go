package client

import (
	"context"
	"iter"
	"math"
	"strconv"
	"time"
)

// Feed is which workflow's feed to follow, and how.
type Feed struct {
	Workflow string
	Tenant   string // empty: the credential's

	// After is the cursor to go on after; empty: from now on.
	After string

	// Heartbeat is how often the server shall say that the feed stands, in whole
	// seconds from 1 to 300; 0 is 10 s. Cursors move with it.
	Heartbeat time.Duration

	OnLost func(err error, wait time.Duration) // as in [Follow]
}

// Feed yields what happens on all threads of a workflow, for the engine that
// answers there: [Said], what participants say, handoffs, and what people tell the
// agent; [Updated], each change of a conversation. Of each thread in order, and each
// at least once: after a connection was lost, some come a second time. Know them by
// Message.ID and, of an Updated, by MessageID. It reconnects and ends as
// [Client.Follow] does. The credential is an agent's or an owner's.
//
// Event.Cursor is what to give as After later on. It moves only once everything
// before it was yielded, so keep it after what was yielded is dealt with.
func (c *Client) Feed(ctx context.Context, o Feed) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		seconds := max(1, min(300, math.Ceil(o.Heartbeat.Seconds())))
		if o.Heartbeat == 0 {
			seconds = 10
		}
		f := &follower{client: c, read: feedEvent, onLost: o.OnLost, cursor: o.After, heartbeat: time.Duration(seconds) * time.Second}
		f.address = c.url("/api/agent/events", map[string]string{
			"workflow": o.Workflow, "tenantId": o.Tenant, "heartbeatSeconds": strconv.Itoa(int(seconds)),
		})
		f.iterate(ctx, yield)
	}
}

// feedEvent reads an event of a feed.
func feedEvent(name string, data []byte, cursor string) (Event, error) {
	if name != "state" {
		return streamEvent(name, data, cursor)
	}
	e := Event{Type: Updated, Name: name, Cursor: cursor, Data: data, Row: new(Row)}
	if err := decode(data, e.Row); err != nil {
		return e, err
	}
	var of struct {
		EventID string `json:"event_id"`
	}
	err := decode(data, &of)
	e.Conversation, e.MessageID = e.Row.ID, of.EventID
	return e, err
}
