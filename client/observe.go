package client

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// Resume says where a stream goes on, and who is told of its connections.
type Resume struct {
	After       string                              // as in [Follow]; empty: from the beginning, which is all that there is
	OnLost      func(err error, wait time.Duration) // as in [Follow]
	OnDuplicate func(Event)                         // as in [Follow]
}

// conversationBeat is how often the streams of operators say that they stand.
const conversationBeat = 30 * time.Second

// FollowConversation yields what happens in a conversation: first [Initial], all
// that was said until then, and then [NewMessages], [Updated] and the other events
// of conversations, each once and in order. It reconnects as [Client.Follow] does.
// After [Ended] it is over, without an error. id may be that of a call. An error is
// yielded last, as by Follow: [tandem.NotFound], there is no such conversation;
// [tandem.Forbidden], the caller may not see it, or not any more.
func (c *Client) FollowConversation(ctx context.Context, id string, o Resume) iter.Seq2[Event, error] {
	return c.observe(ctx, c.ofConversation(id, "/stream", nil), o, func(f *follower) {
		f.last = Ended
		f.read = func(name string, data []byte, cursor string) (Event, error) {
			e, err := conversationEvent(name, data, cursor)
			if err == nil && e.Type == Denied {
				err = deniedBy(e.Text)
			}
			return e, err
		}
	})
}

// Board yields the conversations that the credential may see: first a [Snapshot]
// of them, and then [Upsert], [Removed] and [Hint] as they come, change and go. The
// events of those named by watch come on the same connection, each with its
// Conversation, as [Client.FollowConversation] yields them; one that may not be seen
// is told by [Denied]. It reconnects and ends as Follow does. A cursor is good with
// the same list of watched ones; with another one they begin anew.
func (c *Client) Board(ctx context.Context, watch []string, o Resume) iter.Seq2[Event, error] {
	to := c.url("/api/conversations/stream", map[string]string{"watch": strings.Join(watch, ",")})
	return c.observe(ctx, to, o, func(f *follower) {
		f.read = func(name string, data []byte, cursor string) (Event, error) {
			e, err := conversationEvent(name, data, cursor)
			if err == nil && e.Type == Denied && e.Conversation == "" { // the stream itself
				err = deniedBy(e.Text)
			}
			return e, err
		}
	})
}

func (c *Client) observe(ctx context.Context, to string, o Resume, as func(*follower)) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f := &follower{client: c, address: to, onLost: o.OnLost, onDuplicate: o.OnDuplicate, cursor: o.After, heartbeat: conversationBeat}
		as(f)
		f.iterate(ctx, yield)
	}
}

// deniedBy is the error of a stream whose last event is an error with this
// sentence. It comes on a stream that was opened well, so there is no status.
func deniedBy(sentence string) error {
	kind := tandem.Forbidden
	switch {
	case strings.HasSuffix(sentence, " not found"), strings.HasSuffix(sentence, "no longer active"):
		kind = tandem.NotFound
	case strings.Contains(strings.ToLower(sentence), "token"):
		kind = tandem.Unauthorized
	case strings.HasPrefix(sentence, "Failed"): // the server's fault, which may pass
		return &tandem.Error{Kind: tandem.Internal, Message: sentence}
	}
	return final{&tandem.Error{Kind: kind, Message: sentence}}
}

// observed is what the events of conversations have in common; each has some of
// the fields.
type observed struct {
	ID            string          `json:"conversation_id"`
	Messages      []Entry         `json:"messages"`
	Total         int             `json:"total_messages"`
	Message       json.RawMessage `json:"message"` // a text, or a message
	MessageID     string          `json:"message_id"`
	Role          tandem.Role     `json:"role"`
	Name          string          `json:"name"`
	Stopped       bool            `json:"stopped"`
	Delivered     bool            `json:"delivered"`
	Error         string          `json:"error"`
	Conversation  *Row            `json:"conversation"`
	Conversations []Row           `json:"conversations"`
}

// conversationTypes are the events of conversations and of the board.
var conversationTypes = []EventType{
	NewMessages, Note, Draft, DraftGone, Typing, Read, Ended, Denied, Snapshot, Upsert, Removed,
}

// conversationEvent reads an event of a conversation's stream, or of the board.
func conversationEvent(name string, data []byte, cursor string) (Event, error) {
	e := Event{Type: EventType(name), Name: name, Cursor: cursor, Data: data}
	switch {
	case name == "error":
		e.Type = Denied
	case e.Type == Initial:
		e.Transcript = new(Transcript)
		err := decode(data, e.Transcript)
		e.Conversation = e.Transcript.ID
		return e, err
	case e.Type == Updated, e.Type == Hint:
		e.Row = new(Row)
		err := decode(data, e.Row)
		e.Conversation = e.Row.ID
		return e, err
	case !slices.Contains(conversationTypes, e.Type):
		return streamEvent(name, data, cursor)
	}
	var o observed
	if err := decode(data, &o); err != nil {
		return e, err
	}
	e.Conversation, e.Entries, e.Total, e.MessageID, e.Role, e.Speaker = o.ID, o.Messages, o.Total, o.MessageID, o.Role, o.Name
	e.Text, e.Stopped, e.Delivered, e.Row, e.Rows = o.Error, o.Stopped, o.Delivered, o.Conversation, o.Conversations
	if e.Row != nil {
		e.Conversation = e.Row.ID
	}
	switch e.Type {
	case Ended:
		return e, decode(o.Message, &e.Text)
	case Note, Draft:
		e.Entries = make([]Entry, 1)
		err := decode(o.Message, &e.Entries[0])
		e.MessageID = e.Entries[0].ID
		return e, err
	}
	return e, nil
}

// once reports whether an event is told of once, at its place in the log.
func (e *Event) once() bool {
	switch e.Type {
	case Said, Told, NewMessages, Note, Draft, DraftGone, Ended:
		return true
	}
	return false
}
