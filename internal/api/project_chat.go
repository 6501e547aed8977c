package api

import (
	"bytes"
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// The projection of a thread onto the chat socket: pure functions from what is in
// the log to WebSocket frames, ready to be written to every socket with the same
// view. A frame's first fields are those of the published document, in its
// order; what Tandem adds comes after them.

// chatTime is new Date().toISOString(), as the document's examples have it.
type chatTime time.Time

func (t chatTime) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z"), nil
}

type chatStartFrame struct {
	Type      string      `json:"type"`
	MessageID string      `json:"messageId"`
	Timestamp chatTime    `json:"timestamp"`
	Role      tandem.Role `json:"role"`
	Name      string      `json:"name,omitempty"`
	InReplyTo string      `json:"inReplyTo,omitempty"`
}

type chatTokenFrame struct {
	Type      string   `json:"type"`
	MessageID string   `json:"messageId"`
	Token     string   `json:"token"`
	Timestamp chatTime `json:"timestamp"`
}

type chatEndFrame struct {
	Type      string          `json:"type"`
	MessageID string          `json:"messageId"`
	Timestamp chatTime        `json:"timestamp"`
	Finish    tandem.Finish   `json:"finishReason"`
	Role      tandem.Role     `json:"role"`
	Name      string          `json:"name,omitempty"`
	Sources   string          `json:"sources,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
	Cursor    string          `json:"cursor"`
}

// chatMessageFrame is a whole message: the user's own from another socket, or
// what is not spoken, such as Data.
type chatMessageFrame struct {
	Type        string             `json:"type"`
	MessageID   string             `json:"messageId"`
	Timestamp   chatTime           `json:"timestamp"`
	Role        tandem.Role        `json:"role"`
	Name        string             `json:"name,omitempty"`
	MessageType tandem.MessageType `json:"messageType"`
	Content     string             `json:"content"`
	Data        json.RawMessage    `json:"data,omitempty"`
	Hint        string             `json:"hint,omitempty"`
	Scope       string             `json:"scope,omitempty"`
	RequestID   string             `json:"requestId,omitempty"`
	ClientID    string             `json:"clientMessageId,omitempty"`
	Cursor      string             `json:"cursor"`
}

// chatStateFrame has of a conversation what its participant may know: the
// holder's display name, and neither a login nor what operators note.
type chatStateFrame struct {
	Type         string         `json:"type"`
	Timestamp    chatTime       `json:"timestamp"`
	Conversation string         `json:"conversationId"`
	Status       tandem.Status  `json:"status"`
	Mode         tandem.Mode    `json:"mode"`
	Urgency      tandem.Urgency `json:"urgency"`
	Holder       *string        `json:"holder"`
	QueuePlace   *int           `json:"queuePlace"`
	Cursor       string         `json:"cursor,omitempty"` // none if it is only the place in the queue that changed
}

// chatErrorFrame is told when something was not done; the socket stays open.
type chatErrorFrame struct {
	Type       string   `json:"type"`
	Message    string   `json:"message"`
	Timestamp  chatTime `json:"timestamp"`
	Code       string   `json:"code"`
	MessageID  string   `json:"messageId,omitempty"`
	ClientID   string   `json:"clientMessageId,omitempty"`
	RetryAfter int      `json:"retryAfter,omitempty"` // seconds
	Cursor     string   `json:"cursor,omitempty"`
}

// textUnavailable is what users see when no agent could be asked.
const textUnavailable = "AI service is currently unavailable. Please try again later."

// chatFrame is v as one text frame. What is framed here is made of valid parts,
// so it cannot fail.
func chatFrame(v any) []byte { return appendChatFrame(nil, v) }

func appendChatFrame(dst []byte, v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // JSON.parse reads it: "<" is a plain letter there
	if enc.Encode(v) != nil {
		return dst
	}
	return ws.AppendText(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// chatEvent is an event as the chat sees it; nil if it does not. An agent's
// answer is told by its stream-end: what comes before it is made by [chatStart]
// and [chatDelta].
func chatEvent(v tandem.View, _ tandem.Address, e *tandem.Event) []byte {
	if !e.Audience.VisibleTo(v.Audience) {
		return nil
	}
	switch e.Kind {
	case tandem.KindMessage, tandem.KindAnswerEnded:
		m, err := e.Message()
		if err != nil {
			return nil
		}
		if e.Kind == tandem.KindAnswerEnded {
			return appendChatEnd(nil, e, m)
		}
		return chatMessage(e, m)
	case tandem.KindAnswerFailed:
		var m tandem.AnswerFailed
		if json.Unmarshal(e.Body, &m) != nil {
			return nil
		}
		return chatFrame(chatErrorFrame{
			Type: "error", Message: textUnavailable, Timestamp: chatTime(e.At),
			Code: m.Code, MessageID: m.MessageID, Cursor: e.Cursor().String(),
		})
	case tandem.KindState:
		return chatState(e)
	}
	return nil
}

// chatMessage shows what was spoken to the participant whole (a push, an
// operator's reply) as an answer of one token, since every client knows those;
// all else as a message frame.
func chatMessage(e *tandem.Event, m tandem.Message) []byte {
	if m.Direction == tandem.Outgoing && m.Type == tandem.Chat {
		b := appendChatFrame(nil, chatStartFrame{
			Type: "stream-start", MessageID: e.ID, Timestamp: chatTime(e.At), Role: m.Role, Name: m.Name, InReplyTo: e.Meta.InReplyTo,
		})
		if m.Text != "" {
			b = appendChatFrame(b, chatTokenFrame{Type: "stream-token", MessageID: e.ID, Token: m.Text, Timestamp: chatTime(e.At)})
		}
		return appendChatEnd(b, e, m)
	}
	return chatFrame(chatMessageFrame{
		Type: "message", MessageID: e.ID, Timestamp: chatTime(e.At), Role: m.Role, Name: m.Name, MessageType: m.Type,
		Content: m.Text, Data: m.Data, Hint: m.Hint, Scope: m.Scope, RequestID: m.RequestID, ClientID: m.ClientID,
		Cursor: e.Cursor().String(),
	})
}

func appendChatEnd(dst []byte, e *tandem.Event, m tandem.Message) []byte {
	finish := m.Finish
	if finish == "" {
		finish = tandem.FinishStop
	}
	return appendChatFrame(dst, chatEndFrame{
		Type: "stream-end", MessageID: e.ID, Timestamp: chatTime(e.At), Finish: finish, Role: m.Role, Name: m.Name,
		Sources: m.Sources, Data: m.Data, Cursor: e.Cursor().String(),
	})
}

func chatState(e *tandem.Event) []byte {
	var c tandem.Conversation
	if json.Unmarshal(e.Body, &c) != nil {
		return nil
	}
	f := chatStateOf(&c, e.At)
	f.Cursor = e.Cursor().String()
	return chatFrame(f)
}

func chatStateOf(c *tandem.Conversation, at time.Time) chatStateFrame {
	f := chatStateFrame{
		Type: "state", Timestamp: chatTime(at), Conversation: c.ID, Status: c.Status, Mode: c.Mode, Urgency: c.Urgency,
	}
	if c.Mode == tandem.ModeOperator && c.Holder != "" {
		f.Holder = &c.Holder
	}
	return f
}

// chatStart begins an answer. e is its first event, or its closing one when the
// answer is stated again from the log.
func chatStart(_ tandem.View, _ tandem.Address, s tandem.AnswerStarted, e *tandem.Event) []byte {
	return chatFrame(startFrame(s, e))
}

func startFrame(s tandem.AnswerStarted, e *tandem.Event) chatStartFrame {
	return chatStartFrame{
		Type: "stream-start", MessageID: s.MessageID, Timestamp: chatTime(e.At), Role: s.Role, Name: s.Name, InReplyTo: e.Meta.InReplyTo,
	}
}

// chatDelta is the next piece of an answer.
func chatDelta(_ tandem.View, _ tandem.Address, d tandem.Delta) []byte {
	return chatFrame(tokenFrame(d))
}

func tokenFrame(d tandem.Delta) chatTokenFrame {
	return chatTokenFrame{Type: "stream-token", MessageID: d.Message, Token: d.Text, Timestamp: chatTime(d.At)}
}
