package api

import (
	"encoding/json"
	"strconv"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// participantMessage is a message as the participant's stream and history show
// it. The fields of the published document come first, all of them always, in
// this order; what Tandem adds comes after them.
type participantMessage struct {
	ID            string             `json:"id"`
	ThreadID      string             `json:"threadId"`
	WorkflowID    string             `json:"workflowId"`
	WorkflowType  string             `json:"workflowType"`
	ParticipantID string             `json:"participantId"`
	Direction     tandem.Direction   `json:"direction"`
	Type          tandem.MessageType `json:"messageType"`
	Text          *string            `json:"text"`
	Data          json.RawMessage    `json:"data"`
	Hint          *string            `json:"hint"`
	Scope         *string            `json:"scope"`
	RequestID     *string            `json:"requestId"`
	CreatedAt     string             `json:"createdAt"`
	CreatedBy     *string            `json:"createdBy"`

	ConversationID *string     `json:"conversationId"`
	Role           tandem.Role `json:"role"`
}

// messageOf shows an event that holds a message. ok is false for any other.
func messageOf(a tandem.Address, e *tandem.Event) (pm participantMessage, ok bool) {
	if e.Kind != tandem.KindMessage && e.Kind != tandem.KindAnswerEnded {
		return pm, false
	}
	m, err := e.Message()
	if err != nil {
		return pm, false
	}
	if m.Target != nil { // a handoff names where it leads, on both threads
		a = *m.Target
	}
	pm = participantMessage{
		ID: e.ID, ThreadID: a.ThreadID(), WorkflowID: a.WorkflowID(), WorkflowType: a.Workflow, ParticipantID: a.Participant,
		Direction: m.Direction, Type: m.Type, Text: orNull(m.Text), Data: m.Data, Hint: orNull(m.Hint), Scope: orNull(m.Scope),
		RequestID: orNull(m.RequestID), CreatedAt: stamp(e.At), CreatedBy: orNull(m.Name),
		ConversationID: orNull(m.Conversation), Role: m.Role,
	}
	if m.Type == tandem.Chat {
		pm.Text = &m.Text // a Chat always has one, if only ""
	}
	return pm, true
}

// participantEvent is an event as the participant's stream shows it; nil if it
// does not. Of an answer that was shown while it was written, the end comes
// before the message, and only the message carries the id.
func participantEvent(v tandem.View, a tandem.Address, e *tandem.Event) []byte {
	if !e.Audience.VisibleTo(v.Audience) {
		return nil
	}
	pm, ok := messageOf(a, e)
	if !ok || pm.Direction == tandem.Incoming && !v.Echo {
		return nil
	}
	var b []byte
	if v.Tokens && e.Kind == tandem.KindAnswerEnded {
		b = participantEnd(e)
	}
	return sse.Append(b, sse.Frame{Event: string(pm.Type), Data: encode(pm), ID: e.Cursor().String()})
}

// participantStart, participantDelta and participantEnd show an answer while it
// is written, for a stream that asked for tokens: the chat socket's frames.
func participantStart(s tandem.AnswerStarted, e *tandem.Event) []byte {
	return event("stream-start", startFrame(s, e))
}

func participantDelta(d tandem.Delta) []byte {
	return event("stream-token", tokenFrame(d))
}

// answerEnd is the chat's stream-end without its cursor: of the stream, a place to
// go on from is only an event's id, and here the message is still to come.
type answerEnd struct {
	Type      string        `json:"type"`
	MessageID string        `json:"messageId"`
	Timestamp chatTime      `json:"timestamp"`
	Finish    tandem.Finish `json:"finishReason"`
	Role      tandem.Role   `json:"role"`
	Name      string        `json:"name,omitempty"`
	Sources   string        `json:"sources,omitempty"`
}

func participantEnd(e *tandem.Event) []byte {
	m, err := e.Message()
	if err != nil {
		return nil
	}
	return event("stream-end", answerEndOf(e, &m))
}

func answerEndOf(e *tandem.Event, m *tandem.Message) answerEnd {
	return answerEnd{
		Type: "stream-end", MessageID: e.ID, Timestamp: chatTime(e.At), Finish: m.Finish, Role: m.Role, Name: m.Name, Sources: m.Sources,
	}
}

// event is an event without an id.
func event(name string, data any) []byte {
	return sse.Append(nil, sse.Frame{Event: name, Data: encode(data)})
}

// What the stream says of itself.

type connected struct {
	Message       string `json:"message"`
	WorkflowID    string `json:"workflowId"`
	ParticipantID string `json:"participantId"`
	TenantID      string `json:"tenantId"`
	Timestamp     string `json:"timestamp"`
}

// participantHello is how a stream begins: how long to wait after a drop, and
// that the subscription stands, with the cursor from which the stream goes on.
func participantHello(a tandem.Address, at tandem.Cursor, now time.Time, retry time.Duration) []byte {
	return sse.Append(sse.Append(nil, sse.Frame{Retry: retry}), sse.Frame{
		Event: "connected",
		Data: encode(connected{
			Message: "Connected to event stream", WorkflowID: a.WorkflowID(), ParticipantID: a.Participant, TenantID: a.Tenant, Timestamp: stamp(now),
		}),
		ID: at.String(),
	})
}

// participantBeat is a heartbeat. It carries an id only if events have passed
// that were not shown. It is written without reflection: each idle stream sends
// one every few seconds, from a stack that should stay small.
func participantBeat(now time.Time, subscribers int, passed tandem.Cursor) []byte {
	data := append(make([]byte, 0, 80), `{"timestamp":"`...)
	data = append(data, stamp(now)...)
	data = append(data, `","subscriberCount":`...)
	data = strconv.AppendInt(data, int64(max(1, subscribers)), 10)
	return sse.Append(make([]byte, 0, 160), sse.Frame{Event: "heartbeat", Data: append(data, '}'), ID: passed.String()})
}

type disconnected struct {
	Timestamp string `json:"timestamp"`
	Reason    string `json:"reason"`
}

// participantBye is the last thing said before the server closes on purpose.
func participantBye(now time.Time, reason string, at tandem.Cursor, retry time.Duration) []byte {
	return sse.Append(nil, sse.Frame{Event: "disconnected", Data: encode(disconnected{stamp(now), reason}), ID: at.String(), Retry: retry})
}

func participantGap(g tandem.Gap) []byte { return event("gap", g) }

func participantReset() []byte { return event("reset", struct{}{}) }
