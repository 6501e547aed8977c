package tandem

import (
	"encoding/json"
	"strings"
	"time"
)

func upper(s string) string { return strings.ToUpper(s) }

// Kind tells what an event is. A node skips kinds that it does not know.
type Kind string

// The kinds of events.
const (
	KindMessage       Kind = "message"        // somebody said or signalled something; body is a Message
	KindAnswerStarted Kind = "answer-started" // an agent's answer began; body is an AnswerStarted
	KindAnswerEnded   Kind = "answer-ended"   // it ended; body is a Message with the whole text
	KindAnswerFailed  Kind = "answer-failed"  // it ended before its first token; body is an AnswerFailed
	KindState         Kind = "state"          // the conversation changed; body is a Conversation
	KindFeedback      Kind = "feedback"       // body is a Feedback
	KindDraftGone     Kind = "draft-gone"     // a draft was sent or dropped; body is a DraftGone
	KindPush          Kind = "push"           // something for a session; body is a Push
	KindSession       Kind = "session"        // a session began or ended; body is a SessionChange
	KindErased        Kind = "erased"         // all before it was erased; body is an Erased
)

// EventVersion is the version of the bodies that this release writes.
const EventVersion = 1

// Audience says who may see an event. The zero value is everyone.
type Audience uint8

// The audiences.
const (
	Everyone  Audience = 0 // the participant too
	Operators Audience = 1 // operators, supervisors, owners
	Agents    Audience = 2 // the agent and operators (steering), not the participant
)

// An Event is one entry of a thread's log. Events are immutable once appended
// and shared between readers: nobody may write to one.
type Event struct {
	Seq      int64 // dense from 1, given in the transaction that appends
	Kind     Kind
	Version  int
	ID       string    // unique in the store
	At       time.Time // UTC, microseconds, never going back within a thread
	Offset   int       // minutes east of UTC that the sender's clock showed
	Audience Audience
	Key      string // client's own key; empty: none. Unique per thread
	KeySum   Hash   // what the key was first used for
	Body     []byte // JSON, as its Kind says
	Hash     Hash   // chain hash up to and including this event
	Meta     Meta
}

// Meta is what is known about an event besides what it says.
type Meta struct {
	Principal   string // subject of who posted it
	Credential  string // kind of credential used: jwt, key, ticket, agent, system
	Node        string // the server that wrote it
	InReplyTo   string // id of the event that it answers
	Traceparent string // W3C trace context
	ClientTime  string // when the sender says it was sent
}

// Cursor is the place just after the event.
func (e *Event) Cursor() Cursor { return Cursor{e.Seq, e.Hash.Tag()} }

// Message reads the body of a [KindMessage] or [KindAnswerEnded] event.
func (e *Event) Message() (Message, error) {
	var m Message
	err := json.Unmarshal(e.Body, &m)
	return m, err
}

// Direction is seen from the participant: Incoming is what they say.
type Direction string

// The directions.
const (
	Incoming Direction = "Incoming"
	Outgoing Direction = "Outgoing"
)

// MessageType is the document's message type.
type MessageType string

// The message types.
const (
	Chat      MessageType = "Chat"
	Data      MessageType = "Data"
	Handoff   MessageType = "Handoff"
	File      MessageType = "File"
	Reasoning MessageType = "Reasoning"
	Tool      MessageType = "Tool"
)

// ParseMessageType reads a message type in any letter case.
func ParseMessageType(s string) (MessageType, bool) {
	for _, t := range []MessageType{Chat, Data, Handoff, File, Reasoning, Tool} {
		if strings.EqualFold(string(t), s) {
			return t, true
		}
	}
	return "", false
}

// Role is who speaks.
type Role string

// The roles of a speaker.
const (
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleOperator  Role = "operator"
	RoleSystem    Role = "system"
)

// Finish tells how an answer ended.
type Finish string

// The ways an answer ends.
const (
	FinishStop        Finish = "stop"
	FinishCancelled   Finish = "cancelled"
	FinishError       Finish = "error"
	FinishInterrupted Finish = "interrupted"
)

// A Message is what somebody said: the body of an event, without what the
// event's other columns already tell (id, time, thread).
type Message struct {
	Direction    Direction       `json:"direction"`
	Type         MessageType     `json:"messageType"`
	Role         Role            `json:"role"`
	Name         string          `json:"name,omitempty"` // display name, never a login
	Text         string          `json:"text,omitempty"`
	Data         json.RawMessage `json:"data,omitempty"`
	Hint         string          `json:"hint,omitempty"`
	Scope        string          `json:"scope,omitempty"`
	RequestID    string          `json:"requestId,omitempty"`
	Conversation string          `json:"conversation,omitempty"`
	Medium       string          `json:"medium,omitempty"`
	Spoken       bool            `json:"spoken,omitempty"`
	Sources      string          `json:"sources,omitempty"`
	ClientID     string          `json:"clientMessageId,omitempty"`
	Timestamp    string          `json:"timestamp,omitempty"` // when it was said, RFC 3339, as its gateway gave it
	Speaker      string          `json:"speaker,omitempty"`   // of an operator's word: the subject
	Draft        bool            `json:"draft,omitempty"`     // an agent's push while an operator held: for operators to send
	Held         bool            `json:"held,omitempty"`      // spoken by the agent while an operator held
	Follow       int             `json:"follow,omitempty"`    // so many messages of the same append come after it
	Epoch        int64           `json:"epoch,omitempty"`     // of what an agent may answer: the control epoch as it was then
	Target       *Address        `json:"target,omitempty"`    // of a handoff to another workflow
	Finish       Finish          `json:"finish,omitempty"`    // of an answer
	Started      int64           `json:"started,omitempty"`   // of an answer: seq of its answer-started
}

// Counts reports whether the message, of this audience, is one of the
// conversation's messages as the conversation API lists and counts them.
func (m *Message) Counts(a Audience) bool {
	return a == Everyone && (m.Type == Chat && m.Text != "" || m.Type == File)
}

// AnswerStarted is the body of a [KindAnswerStarted] event.
type AnswerStarted struct {
	MessageID    string `json:"messageId"` // the id that the closing event will have
	Role         Role   `json:"role"`
	Name         string `json:"name,omitempty"`
	Scope        string `json:"scope,omitempty"`
	RequestID    string `json:"requestId,omitempty"`
	Conversation string `json:"conversation"`
}

// AnswerFailed is the body of a [KindAnswerFailed] event: no token ever came.
type AnswerFailed struct {
	MessageID    string `json:"messageId"` // of the question
	Code         string `json:"code"`      // unavailable, timeout, ...: safe to show
	RequestID    string `json:"requestId,omitempty"`
	Scope        string `json:"scope,omitempty"`
	Conversation string `json:"conversation"`
}

// DraftGone is the body of a [KindDraftGone] event.
type DraftGone struct {
	MessageID    string `json:"message_id"`     // of the draft
	Sent         string `json:"sent,omitempty"` // id of the message that it became; empty: it was dropped
	Conversation string `json:"conversation"`
}

// Push is the body of a [KindPush] event: what a session is told.
type Push struct {
	Event    string          `json:"event"`
	Message  json.RawMessage `json:"message"`
	Sent     time.Time       `json:"sent,omitzero"`      // when it was sent, if it waited for a session
	Sessions int             `json:"sessions,omitempty"` // of an entry that only remembers a key: so many sessions have it
}

// SessionChange is the body of a [KindSession] event.
type SessionChange struct {
	Ended bool `json:"ended,omitempty"` // else it began: what comes before it is of an earlier session of that id
}

// Erased is the body of a [KindErased] event.
type Erased struct {
	By string    `json:"by"` // role of who erased
	At time.Time `json:"at"`
}

// Feedback is the body of a [KindFeedback] event.
type Feedback struct {
	MessageID string `json:"messageId"`
	Type      string `json:"feedbackType"` // positive or negative
	Comment   string `json:"comment,omitempty"`
}

// HandoffData is the data of a Handoff message: the document's three fields and ours.
type HandoffData struct {
	FromAgent string  `json:"fromAgent,omitempty"`
	ToAgent   string  `json:"toAgent,omitempty"`
	Reason    string  `json:"reason,omitempty"`
	To        string  `json:"to,omitempty"` // "person", or a workflow
	Urgency   Urgency `json:"urgency,omitempty"`
}
