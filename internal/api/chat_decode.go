package api

import (
	"encoding/json"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
)

// chatIn is a frame that a chat client sent: its type, and of the other fields
// those that belong to that type.
type chatIn struct {
	Type      string
	Content   string // white space at both ends is taken off
	ClientID  string // clientMessageId
	Timestamp string // when the client says it was sent; empty if that is no string
	Reason    string
	Urgency   string
	MessageID string
	Feedback  string // feedbackType
	Comment   string
	After     string // a cursor, or empty
	Stopped   bool   // of typing: no more
	Delivered bool   // of read: it has arrived, no more is known
	Token     string
}

// The types of frames that clients send.
const (
	chatSays     = "chat"
	chatEscalate = "human-escalation"
	chatPing     = "ping"
	chatCancel   = "cancel"
	chatTyping   = "typing"
	chatRead     = "read"
	chatFeedback = "feedback"
	chatResume   = "resume"
	chatAuth     = "auth"
)

// A chatRefusal is why a frame was not done: a sentence for people, and a code
// that programs may rely on.
type chatRefusal struct{ code, message string }

func (r *chatRefusal) Error() string { return r.message }

// The refusals of frames that can never succeed.
var (
	errChatFormat  = &chatRefusal{"invalid_format", "Invalid message format"}
	errChatType    = &chatRefusal{"unknown_type", "Unknown message type"}
	errChatContent = &chatRefusal{"invalid_content", "Message content must be a string"}
	errChatEmpty   = &chatRefusal{"empty_content", "Message content cannot be empty"}
)

// decodeChat reads a client's frame. What it could read is returned with an error
// too, so that the answer can name the message. Names are compared exactly, and
// fields that nobody knows are left out of account.
func decodeChat(text []byte) (chatIn, error) {
	var f chatFields
	if json.Unmarshal(text, &f) != nil || f == nil {
		return chatIn{}, errChatFormat
	}
	var in chatIn
	if f.text("type", &in.Type) != nil {
		return in, errChatType
	}
	switch in.Type {
	case chatSays:
		f.note("timestamp", &in.Timestamp)
		if err := f.text("clientMessageId", &in.ClientID); err != nil {
			return in, err
		}
		return in, f.content(&in.Content)
	case chatEscalate:
		return in, f.texts(&in, "reason", "urgency")
	case chatCancel:
		return in, f.texts(&in, "messageId!")
	case chatFeedback:
		return in, f.texts(&in, "messageId!", "feedbackType!", "comment")
	case chatResume:
		return in, f.texts(&in, "after")
	case chatAuth:
		return in, f.texts(&in, "token!")
	case chatTyping:
		return in, f.flag("stopped", &in.Stopped)
	case chatRead:
		if err := f.flag("delivered", &in.Delivered); err != nil {
			return in, err
		}
		return in, f.texts(&in, "messageId!")
	case chatPing:
		return in, nil
	}
	return in, errChatType
}

// chatFields are the fields of a frame by their exact names.
type chatFields map[string]json.RawMessage

// texts reads fields by name into in; one with a "!" is needed.
func (f chatFields) texts(in *chatIn, names ...string) error {
	to := map[string]*string{
		"reason": &in.Reason, "urgency": &in.Urgency, "messageId": &in.MessageID,
		"feedbackType": &in.Feedback, "comment": &in.Comment, "after": &in.After, "token": &in.Token,
	}
	for _, name := range names {
		name, needed := strings.CutSuffix(name, "!")
		if err := f.text(name, to[name]); err != nil {
			return err
		}
		if needed && *to[name] == "" {
			return tandem.Errorf(tandem.Invalid, "%s is required", name)
		}
	}
	return nil
}

// text reads an optional string; null is none.
func (f chatFields) text(name string, to *string) error {
	if raw, has := f[name]; has && json.Unmarshal(raw, to) != nil {
		return tandem.Errorf(tandem.Invalid, "%s must be a string", name)
	}
	return nil
}

// flag reads an optional yes or no; null is no.
func (f chatFields) flag(name string, to *bool) error {
	if raw, has := f[name]; has && json.Unmarshal(raw, to) != nil {
		return tandem.Errorf(tandem.Invalid, "%s must be true or false", name)
	}
	return nil
}

// note reads a string that is no reason to refuse anything.
func (f chatFields) note(name string, to *string) {
	if f.text(name, to) != nil {
		*to = ""
	}
}

// content reads what is said: content, or message, as some clients have it.
func (f chatFields) content(to *string) error {
	raw, has := f["content"]
	if !has {
		raw, has = f["message"]
	}
	if !has || string(raw) == "null" || json.Unmarshal(raw, to) != nil {
		return errChatContent
	}
	if *to = strings.TrimSpace(*to); *to == "" {
		return errChatEmpty
	}
	return nil
}
