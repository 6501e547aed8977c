package api

import (
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// feedMessage is a message as the feed of its workflow shows it: as the
// participant's stream does, and what an agent needs to answer it.
type feedMessage struct {
	participantMessage
	Epoch    int64  `json:"controlEpoch"`       // as it was when it was said: to be given back with the answer
	Audience string `json:"audience,omitempty"` // agent: people tell it the agent alone
}

// feedState is a conversation after a change of control or of anything else.
type feedState struct {
	conversationRow
	ThreadID string `json:"thread_id"`
	EventID  string `json:"event_id"`
}

// feedEvent is an event as the feed shows it. It carries no id: the feed's place
// is not that of an event.
func feedEvent(v tandem.View, a tandem.Address, e *tandem.Event) []byte {
	if !e.Audience.VisibleTo(v.Audience) {
		return nil
	}
	if e.Kind == tandem.KindState {
		var c tandem.Conversation
		if json.Unmarshal(e.Body, &c) != nil {
			return nil
		}
		c.Address = a
		return event("state", feedState{changeOf(v.Audience, &c), a.ThreadID(), e.ID})
	}
	pm, ok := messageOf(a, e)
	if !ok {
		return nil
	}
	m, err := e.Message()
	if err != nil {
		return nil
	}
	return event(string(pm.Type), feedMessage{pm, m.Epoch, audienceWord(e.Audience)})
}

type feedConnected struct {
	Message      string `json:"message"`
	WorkflowID   string `json:"workflowId"`
	WorkflowType string `json:"workflowType"`
	TenantID     string `json:"tenantId"`
	Timestamp    string `json:"timestamp"`
}

// feedHello is how a feed begins, with the place from which it goes on.
func feedHello(a tandem.Address, place string, now time.Time, retry time.Duration) []byte {
	return sse.Append(sse.Append(nil, sse.Frame{Retry: retry}), sse.Frame{
		Event: "connected",
		Data:  encode(feedConnected{"Connected to the feed", a.WorkflowID(), a.Workflow, a.Tenant, stamp(now)}),
		ID:    place,
	})
}

type feedPulse struct {
	Timestamp   string `json:"timestamp"`
	Subscribers int    `json:"subscriberCount"`
}

// feedBeat is a heartbeat: everything before its id was told.
func feedBeat(now time.Time, subscribers int, place string) []byte {
	return sse.Append(nil, sse.Frame{Event: "heartbeat", Data: encode(feedPulse{stamp(now), max(1, subscribers)}), ID: place})
}

// feedPlace tells the place alone.
func feedPlace(place string) []byte { return sse.Append(nil, sse.Frame{ID: place}) }

func feedBye(now time.Time, reason, place string, retry time.Duration) []byte {
	return sse.Append(nil, sse.Frame{Event: "disconnected", Data: encode(disconnected{stamp(now), reason}), ID: place, Retry: retry})
}
