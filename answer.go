package tandem

import (
	"encoding/json"
	"time"
)

// A Question is what an agent is asked: one message and what it needs to answer
// it. Its JSON is the body of the POST of the wire contract, section 5.
type Question struct {
	Tenant       string          `json:"tenant_id"`
	Workflow     string          `json:"workflow"`
	Conversation string          `json:"conversation_id"`
	MessageID    string          `json:"message_id"`
	Participant  string          `json:"participant_id"`
	RequestID    string          `json:"request_id"`
	Scope        string          `json:"scope"`
	Hint         string          `json:"hint"`
	Type         MessageType     `json:"type"`
	Message      string          `json:"message"`
	Data         json.RawMessage `json:"data"` // null if none
	Medium       string          `json:"medium"`
	Urgency      Urgency         `json:"urgency"`
	Mode         Mode            `json:"mode"`
	Epoch        int64           `json:"control_epoch"`
	Locale       string          `json:"locale"`
	Attempt      int             `json:"attempt"` // 1 for the first
	User         map[string]any  `json:"user"`    // sub, name, and what user_claims names
	History      []Turn          `json:"history"` // oldest first, without the message itself
}

// A Turn of a conversation's history, as an agent is told of it.
type Turn struct {
	Role    Role   `json:"role"`
	Content string `json:"content"`
	Name    string `json:"name,omitempty"`
}

// A Piece is one thing that an agent says. Exactly one field is set.
type Piece struct {
	Text      string          // goes on with the answer's text
	Data      json.RawMessage // becomes a Data message of its own
	Reasoning json.RawMessage // becomes a Reasoning message
	Tool      json.RawMessage // becomes a Tool message
	Sources   string          // becomes the answer's sources
	Handoff   *HandoffRequest // asks for a person or another workflow
	Later     bool            // the agent took the question and will push its answer (202)
}

// A HandoffRequest is an agent's wish to hand the conversation on.
type HandoffRequest struct {
	To      string  `json:"to"` // "person" or a workflow
	Reason  string  `json:"reason"`
	Urgency Urgency `json:"urgency"`
}

// A Delta is a part of an answer on its way. Deltas are hints: an answer is
// finished from the log, and every one of them may be lost.
type Delta struct {
	Seq     int64  // of the answer-started event
	Message string // the answer's id
	Offset  int    // UTF-8 bytes of the answer before Text
	Text    string // whole runes
	At      time.Time
}

// Face is a public API that reads logs.
type Face uint8

// The faces.
const (
	FaceEvents       Face = iota + 1 // participant events over SSE (section 1)
	FaceSession                      // session events over SSE (section 2)
	FaceConversation                 // a conversation's stream (section 3)
	FaceChat                         // the WebSocket chat (section 4)
)

// String is the face's name in metrics and logs.
func (f Face) String() string {
	switch f {
	case FaceEvents:
		return "events"
	case FaceSession:
		return "session"
	case FaceConversation:
		return "conversation"
	case FaceChat:
		return "chat"
	}
	return "other"
}

// A View is the part of a log one reader sees and the form it takes: a small
// comparable value, so that readers with the same view share encoded frames.
// What a reader filters by scope is not part of it (see [Filter]).
type View struct {
	Face         Face
	Echo         bool     // own Incoming messages too
	Tokens       bool     // stream-start, stream-token, stream-end too
	Audience     Audience // the most that may be seen
	Conversation string   // only this conversation; empty: the whole thread
}

// A Filter leaves events of a view out, per reader.
type Filter struct {
	Scope string // not empty: only messages of exactly this scope
}

// Shows reports whether a message with this scope passes the filter.
func (f Filter) Shows(scope string) bool { return f.Scope == "" || f.Scope == scope }

// A Codec turns what a reader sees into the bytes of its face. The functions are
// pure, so that the hub encodes once for each event and view and shares the
// bytes. A nil result means that the view does not show it.
type Codec struct {
	Event func(View, Address, *Event) []byte
	Start func(View, Address, AnswerStarted, *Event) []byte
	Delta func(View, Address, Delta) []byte
}

// A Rate allows N requests in every period Per; the zero Rate is "not set".
type Rate struct {
	N   int
	Per time.Duration
}
