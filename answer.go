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
	FaceBoard                        // the live list of conversations (section 3)
	FaceFeed                         // what a workflow's agent is told of all its threads
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
	case FaceBoard:
		return "board"
	case FaceFeed:
		return "feed"
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
	Presence     bool     // typing, read positions and who is watching too
	Audience     Audience // the most that may be seen
	Conversation string   // only this conversation; empty: the whole thread
	Medium       string   // of that conversation: a message says its own only if it is another; empty: none does
	Offset       int      // minutes east of UTC that the conversation's own clock shows
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
	// Event is one event. total is how many messages its conversation has with it,
	// for faces that count them.
	Event func(v View, a Address, e *Event, total int) []byte

	// Messages are the messages of one append, for faces that show them together.
	Messages func(v View, a Address, together []*Event, total int) []byte

	Start  func(View, Address, AnswerStarted, *Event) []byte
	Delta  func(View, Address, Delta) []byte
	Notice func(View, Address, Notice) []byte
}

// NoticeKind tells what a notice is about.
type NoticeKind uint8

// The kinds of notices.
const (
	NoticeTyping   NoticeKind = iota + 1 // somebody types, or has stopped
	NoticeRead                           // somebody has got or read everything up to a message
	NoticePresence                       // who is there has changed
	NoticeQueue                          // the place in the waiting queue has changed
	NoticeHint                           // last words and unread counts, on the board
	NoticeFed                            // a thread of the workflow has something new, on its feed
)

// A Notice is something that passes: it is shown to who is there and kept nowhere,
// or its truth is kept elsewhere. Every one of them may be lost.
type Notice struct {
	Kind         NoticeKind
	At           time.Time
	Audience     Audience
	Conversation string
	Thread       Address       // of NoticeFed: which
	Subject      string        // who caused it; never shown to participants
	Role         Role          // of who caused it
	Name         string        // display name of who caused it
	MessageID    string        // of NoticeRead: up to this message
	Seq          int64         // its seq
	Delivered    bool          // of NoticeRead: it has arrived; not known to be read
	Stopped      bool          // of NoticeTyping: no more
	Place        int           // of NoticeQueue: 1 is next
	Cursor       Cursor        // of NoticeQueue: where its reader is
	Row          *Conversation // of NoticeQueue: the conversation as it is
	Watching     []Watching
	Text         string // of NoticeHint: the last words
	Unread       int    // of NoticeHint: messages of the participant that no operator has read
}

// Watching is one who has a stream of a conversation open.
type Watching struct {
	Role    Role
	Subject string // never shown to participants
	Name    string
}

// A Rate allows N requests in every period Per; the zero Rate is "not set".
type Rate struct {
	N   int
	Per time.Duration
}
