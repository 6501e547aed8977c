package client

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// EventType tells what an [Event] is.
type EventType string

// The types of events, and the fields that they have besides Cursor and Data.
const (
	// Connected begins every connection: what is said from now on will come.
	// A chat: Conversation.
	Connected EventType = "connected"

	// Said is a whole message: Message. On a chat these are the messages that are
	// not answers, such as those of the participant's other sockets.
	Said EventType = "message"

	// Told is what a session is told: Name, such as PAYMENT, Data, and Text if that
	// is a text; At.
	Told EventType = "told"

	// Start, Token and End are an answer as it is written: MessageID, Speaker and
	// Role; Token: Text, the next piece; End: Text, the whole of it, and Finish.
	// Each answer has one Start and one End, over all connections. Should a Start
	// have Again set, what was shown of the answer is not so: its text begins anew.
	Start EventType = "stream-start"
	Token EventType = "stream-token"
	End   EventType = "stream-end"

	// State says that the conversation changed: State. Only on a chat.
	State EventType = "state"

	// Escalated answers [Chat.Escalate]: Text, what to tell the person.
	Escalated EventType = "human-escalation-response"

	// Failed says that something was not done, or a question has no answer: Text,
	// Code, and MessageID if it is about a message. The chat goes on. What Send
	// asked for is told by its error instead.
	Failed EventType = "error"

	// Gap says that messages are missing: those with numbers From to To are no
	// longer kept.
	Gap EventType = "gap"

	// Reset says that the cursor was not of this history, which was perhaps put
	// back from a backup or erased: forget what was shown, all that is kept follows.
	Reset EventType = "reset"

	// Initial begins the stream of a conversation: Transcript. It comes again after a
	// Gap or a Reset.
	Initial EventType = "initial"

	// NewMessages are what was said at once in a conversation: Entries, and Total, how
	// many there are now. An answer comes so too, after its End.
	NewMessages EventType = "new_messages"

	// Note and Draft are what only operators see: Entries, which is one. DraftGone says
	// that a draft was sent or dropped: MessageID.
	Note      EventType = "note"
	Draft     EventType = "draft"
	DraftGone EventType = "draft-gone"

	// Updated says how the conversation is now: Row. It comes right after Initial, and
	// with each change.
	Updated EventType = "updated"

	// Typing and Read are what somebody in the conversation does: Role and Speaker.
	// Typing: Stopped, not any more. Read: MessageID, up to where, and Delivered, it
	// has come but is not known to be read.
	Typing EventType = "typing"
	Read   EventType = "read"

	// Ended says that the conversation has ended: Text.
	Ended EventType = "ended"

	// Denied says that a conversation that the board watches cannot be seen, or not any
	// more: Text.
	Denied EventType = "denied"

	// Snapshot begins the board: Rows, of all conversations. Upsert is one that came or
	// changed: Row. Removed is one that is gone, or not for the caller to see any more:
	// Conversation. Hint has the last words of one, in the fields of Row that are only
	// in lists.
	Snapshot EventType = "snapshot"
	Upsert   EventType = "upsert"
	Removed  EventType = "removed"
	Hint     EventType = "hint"

	// Heartbeat says that the stream stands: Subscribers. A chat has none.
	Heartbeat EventType = "heartbeat"

	// Disconnected says why the server ends this connection: Reason.
	Disconnected EventType = "disconnected"

	// Other is whatever this release of the client does not know, and what few
	// need: Name, Data.
	Other EventType = "other"
)

// An Event is one thing that a stream or a chat tells.
type Event struct {
	Type   EventType
	Name   string // as the server calls it: "Chat" or "Data" of a Said, and so on
	Cursor string // to go on after this event, on this or another connection
	Data   json.RawMessage

	Message      *Message
	MessageID    string
	Text         string
	Role         tandem.Role
	Speaker      string // a display name
	Finish       tandem.Finish
	InReplyTo    string // of a Start: id of the question
	Again        bool
	State        *Conversation
	Conversation string // its id
	Code         string
	Reason       string
	From, To     int64
	Subscribers  int
	At           time.Time // of a Told: when it was sent

	Transcript *Transcript
	Entries    []Entry
	Total      int
	Row        *Row
	Rows       []Row
	Stopped    bool
	Delivered  bool
}

// Conversation is what a participant may know of the state of theirs.
type Conversation struct {
	ID         string         `json:"conversationId"`
	Status     tandem.Status  `json:"status"`
	Mode       tandem.Mode    `json:"mode"`
	Urgency    tandem.Urgency `json:"urgency"`
	Holder     string         `json:"holder"`     // display name of who holds it; empty: nobody
	QueuePlace int            `json:"queuePlace"` // from 1; 0: not told
}

// wire is what frames and events have in common; each has some of the fields.
type wire struct {
	Type         string             `json:"type"`
	MessageID    string             `json:"messageId"`
	Token        string             `json:"token"`
	Finish       tandem.Finish      `json:"finishReason"`
	Message      string             `json:"message"`
	Content      string             `json:"content"`
	MessageType  tandem.MessageType `json:"messageType"`
	Body         json.RawMessage    `json:"data"`
	Hint         string             `json:"hint"`
	Scope        string             `json:"scope"`
	RequestID    string             `json:"requestId"`
	Role         tandem.Role        `json:"role"`
	Name         string             `json:"name"`
	Code         string             `json:"code"`
	Cursor       string             `json:"cursor"`
	ClientID     string             `json:"clientMessageId"`
	Conversation string             `json:"conversationId"`
	Of           string             `json:"conversation_id"` // the same, as conversations spell it
	Timestamp    time.Time          `json:"timestamp"`
	RetryAfter   int                `json:"retryAfter"` // seconds
	InReplyTo    string             `json:"inReplyTo"`
	Reason       string             `json:"reason"`
	From         int64              `json:"from"`
	To           int64              `json:"to"`
	Subscribers  int                `json:"subscriberCount"`
}

// streamEvent reads an event of a participant's stream.
func streamEvent(name string, data []byte, cursor string) (Event, error) {
	e := Event{Type: Other, Name: name, Cursor: cursor, Data: data}
	if _, ok := tandem.ParseMessageType(name); ok {
		e.Type, e.Message = Said, new(Message)
		return e, decode(data, e.Message)
	}
	switch t := EventType(name); t {
	case "message":
		return sessionEvent(data, cursor)
	case Connected, Start, Token, End, Gap, Reset, Heartbeat, Disconnected:
		var w wire
		if err := decode(data, &w); err != nil {
			return e, err
		}
		e.Type = t
		e.fill(w)
	}
	return e, nil
}

// chatEvent reads a frame of a chat, which has its place in itself.
func chatEvent(frame []byte) (e Event, w wire, err error) {
	e = Event{Type: Other, Data: frame}
	if err := decode(frame, &w); err != nil {
		// Of what nobody knows yet only the type must be readable.
		var named struct{ Type string }
		if decode(frame, &named) != nil || known(named.Type) {
			return e, w, err
		}
		e.Name = named.Type
		return e, wire{Type: named.Type}, nil
	}
	e.Name, e.Cursor = w.Type, w.Cursor
	if w.Type == "connection" {
		w.Type = string(Connected)
	}
	if !known(w.Type) {
		return e, w, nil
	}
	e.Type = EventType(w.Type)
	e.fill(w)
	switch e.Type {
	case Said:
		e.Message = w.said()
	case State:
		e.State = new(Conversation)
		err = decode(frame, e.State)
	}
	return e, w, err
}

func known(t string) bool {
	switch EventType(t) {
	case Connected, Said, Start, Token, End, State, Escalated, Failed, Gap, Reset:
		return true
	}
	return false
}

func (e *Event) fill(w wire) {
	e.MessageID, e.InReplyTo, e.Role, e.Speaker, e.Finish = w.MessageID, w.InReplyTo, w.Role, w.Name, w.Finish
	if w.Conversation == "" {
		w.Conversation = w.Of
	}
	e.Conversation, e.Code, e.Reason, e.From, e.To, e.Subscribers = w.Conversation, w.Code, w.Reason, w.From, w.To, w.Subscribers
	switch e.Type {
	case Token:
		e.Text = w.Token
	case Escalated, Failed:
		e.Text = w.Message
	}
}

// said is a chat's message frame as the message it is.
func (w *wire) said() *Message {
	m := &Message{
		ID: w.MessageID, Direction: tandem.Outgoing, Type: w.MessageType, Text: w.Content, Data: w.Body, Hint: w.Hint, Scope: w.Scope,
		RequestID: w.RequestID, CreatedAt: w.Timestamp, CreatedBy: w.Name, ConversationID: w.Conversation, Role: w.Role, ClientID: w.ClientID,
	}
	if w.Role == tandem.RoleUser {
		m.Direction = tandem.Incoming
	}
	if m.Type == "" {
		m.Type = tandem.Chat
	}
	if string(m.Data) == "null" {
		m.Data = nil
	}
	return m
}

// place is the number in a cursor; false if it has none that we could compare.
func place(cursor string) (int64, bool) {
	number, _, ok := strings.Cut(cursor, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	return n, ok && err == nil
}

// seen reports whether what is at cursor comes no later than at, so that it was
// seen by whoever has seen all up to at.
func seen(cursor, at string) bool {
	c, ok1 := place(cursor)
	a, ok2 := place(at)
	return ok1 && ok2 && c <= a
}
