package api

import (
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// sessionMessage is what a session is told. The clients in use read only
// onmessage, so its frame has no event line.
type sessionMessage struct {
	Event     string          `json:"event"`
	Message   json.RawMessage `json:"message"`
	Timestamp string          `json:"timestamp"`
}

// sessionEvent is an event as the stream of a session shows it; nil if it does not.
func sessionEvent(e *tandem.Event) []byte {
	var push tandem.Push
	if e.Kind != tandem.KindPush || json.Unmarshal(e.Body, &push) != nil {
		return nil
	}
	at := e.At
	if !push.Sent.IsZero() { // it has waited for the session
		at = push.Sent
	}
	return sse.Append(nil, sse.Frame{Data: encode(sessionMessage{push.Event, push.Message, stamp(at)}), ID: e.Cursor().String()})
}

// sessionHello is how the stream of a session begins: with no event, since a page
// would take it for a message.
func sessionHello(at tandem.Cursor, retry time.Duration) []byte {
	return sse.Append(nil, sse.Frame{ID: at.String(), Retry: retry})
}

// sessionBeat is a heartbeat, a comment that no page sees.
func sessionBeat(passed tandem.Cursor) []byte {
	return sse.Append(nil, sse.Frame{Comment: "heartbeat", ID: passed.String()})
}
