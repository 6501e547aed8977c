package api

import (
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// The projection of a conversation onto section 3: pure functions from what is in
// the log to the published document's objects and events. A document's fields
// come first, all of them always, in its order; what Tandem adds comes after
// them, and only if there is something to say.

// conversationMessage is one message of a conversation.
type conversationMessage struct {
	ID        string      `json:"message_id"`
	Role      tandem.Role `json:"role"`
	Content   string      `json:"content"`
	Timestamp string      `json:"timestamp"`
	Sources   string      `json:"sources"`

	Type     tandem.MessageType `json:"message_type,omitempty"` // if it is no Chat
	Name     string             `json:"name,omitempty"`         // of an operator, of whom there are several
	Medium   string             `json:"medium,omitempty"`       // if it is not the conversation's
	Audience string             `json:"audience,omitempty"`     // operators or agent, if it is not everyone
	Spoken   bool               `json:"spoken,omitempty"`
	Held     bool               `json:"held,omitempty"`
	Finish   tandem.Finish      `json:"finish_reason,omitempty"` // of an answer that did not come to its end
	Data     json.RawMessage    `json:"data,omitempty"`
}

// conversationMessageOf shows a message as v sees it. The time is the one that
// its gateway gave, as it gave it; else the server's, by the conversation's clock.
func conversationMessageOf(v tandem.View, e *tandem.Event, m *tandem.Message) conversationMessage {
	cm := conversationMessage{
		ID: e.ID, Role: m.Role, Content: m.Text, Timestamp: m.Timestamp, Sources: m.Sources,
		Audience: audienceWord(e.Audience), Spoken: m.Spoken, Held: m.Held, Data: m.Data,
	}
	if cm.Timestamp == "" {
		cm.Timestamp = stampIn(e.At, offset(v.Offset))
	}
	if m.Role == tandem.RoleOperator {
		cm.Name = m.Name
	}
	if m.Type != tandem.Chat {
		cm.Type = m.Type
	}
	if v.Medium != "" && m.Medium != v.Medium {
		cm.Medium = m.Medium
	}
	if m.Finish != tandem.FinishStop {
		cm.Finish = m.Finish
	}
	return cm
}

// audienceWord is an audience as section 3 spells it; nothing for everyone.
func audienceWord(a tandem.Audience) string {
	switch a {
	case tandem.Operators:
		return "operators"
	case tandem.Agents:
		return "agent"
	}
	return ""
}

// offset is a place on earth where clocks show so many minutes more than UTC.
func offset(minutes int) *time.Location {
	if minutes == 0 {
		return time.UTC
	}
	return time.FixedZone("", minutes*60)
}

// clockOf is where the conversation's own clock stands: at the offset of its
// beginning, as its gateway gave it.
func clockOf(c *tandem.Conversation) *time.Location { return offset(minutesOf(c)) }

func minutesOf(c *tandem.Conversation) int {
	t, err := time.Parse(time.RFC3339, c.Timestamp)
	if err != nil {
		return 0
	}
	_, east := t.Zone()
	return east / 60
}

// viewOn is v with what is known of the conversation.
func viewOn(v tandem.View, c *tandem.Conversation) tandem.View {
	v.Conversation, v.Medium, v.Offset = c.ID, c.Medium, minutesOf(c)
	return v
}

// transcriptOf is a whole conversation, as the snapshot and `initial` show it.
type transcriptOf struct {
	*tandem.Conversation
	messages, notes, drafts []tandem.Event
	total                   int
}

// conversationInitial is the published document's object, as `initial` has it.
type conversationInitial struct {
	ID        string                `json:"conversation_id"`
	CallID    *string               `json:"call_id"`
	WorkerID  string                `json:"worker_id"`
	MobileNo  *string               `json:"mobile_no"`
	Urgency   tandem.Urgency        `json:"urgency"`
	Status    tandem.Status         `json:"status"`
	Medium    string                `json:"medium"`
	Timestamp string                `json:"timestamp"`
	Messages  []conversationMessage `json:"messages"`
	Total     int                   `json:"total_messages"`
	conversationMore
}

// conversationSnapshot is the same with who holds it, as the snapshot has it.
type conversationSnapshot struct {
	conversationInitial
	AdminID          *string `json:"admin_id"`
	conversationMore         // hides the other, and so comes last
}

// conversationMore is what Tandem adds to both.
type conversationMore struct {
	EndedAt string                `json:"ended_at,omitempty"`
	Notes   []conversationMessage `json:"notes,omitempty"`  // what operators told each other
	Drafts  []conversationMessage `json:"drafts,omitempty"` // what operators may send
}

type conversationReply struct {
	Success      bool `json:"success"`
	Conversation any  `json:"conversation"`
}

// initialOf shows a whole conversation to whoever sees v of it.
func initialOf(v tandem.View, t transcriptOf) conversationInitial {
	v = viewOn(v, t.Conversation)
	return conversationInitial{
		ID: t.ID, CallID: orNull(t.CallID), WorkerID: t.Address.Participant, MobileNo: orNull(t.MobileNo),
		Urgency: t.Urgency, Status: t.Status, Medium: t.Medium, Timestamp: t.Timestamp, Messages: messagesOf(v, t.messages), Total: t.total,
		conversationMore: conversationMore{EndedAt: stampIn(t.EndedAt, clockOf(t.Conversation)), Notes: messagesOf(v, t.notes), Drafts: messagesOf(v, t.drafts)},
	}
}

// messagesOf shows those of the events that are messages and that v sees.
func messagesOf(v tandem.View, events []tandem.Event) []conversationMessage {
	out := make([]conversationMessage, 0, len(events))
	for i := range events {
		if m, err := events[i].Message(); err == nil && events[i].Audience.VisibleTo(v.Audience) {
			out = append(out, conversationMessageOf(v, &events[i], &m))
		}
	}
	return out
}

// snapshotOf is initialOf with who holds the conversation, which participants do
// not see.
func snapshotOf(v tandem.View, t transcriptOf) conversationSnapshot {
	s := conversationSnapshot{conversationInitial: initialOf(v, t)}
	s.conversationMore = s.conversationInitial.conversationMore
	if v.Audience != tandem.Everyone {
		s.AdminID = orNull(t.AdminID)
	}
	return s
}

type newMessages struct {
	ID       string                `json:"conversation_id"`
	Messages []conversationMessage `json:"messages"`
	Total    int                   `json:"total_messages"`
}

// oneMessage is a note, or a draft.
type oneMessage struct {
	ID      string              `json:"conversation_id"`
	Message conversationMessage `json:"message"`
}

// conversationEvent is an event as the conversation's stream shows it; nil if it
// does not. An answer's end comes before its message, and only the message
// carries the id.
func conversationEvent(v tandem.View, a tandem.Address, e *tandem.Event, total int) []byte {
	if !e.Audience.VisibleTo(v.Audience) {
		return nil
	}
	switch e.Kind {
	case tandem.KindMessage, tandem.KindAnswerEnded:
		return conversationMessages(v, []*tandem.Event{e}, total)
	case tandem.KindState:
		return conversationChange(v, a, e)
	case tandem.KindDraftGone:
		var gone tandem.DraftGone
		if json.Unmarshal(e.Body, &gone) != nil || gone.Conversation != v.Conversation {
			return nil
		}
		return durable(e, "draft-gone", draftGone{MessageID: gone.MessageID, ID: gone.Conversation, Sent: gone.Sent})
	}
	return nil
}

// conversationMessages are the messages of one append. Those that count come in
// one event; a note or a draft among them has its own before it. The last event
// carries the id.
func conversationMessages(v tandem.View, together []*tandem.Event, total int) []byte {
	var b []byte
	var last *tandem.Event
	out := newMessages{ID: v.Conversation, Total: total}
	name, alone := "", oneMessage{ID: v.Conversation} // the note or draft that waits for what comes after it
	for _, e := range together {
		m, err := e.Message()
		if err != nil || m.Conversation != v.Conversation || !e.Audience.VisibleTo(v.Audience) {
			continue
		}
		if v.Tokens && e.Kind == tandem.KindAnswerEnded {
			b = append(b, conversationEnd(v, e, &m)...)
		}
		cm, single := conversationMessageOf(v, e, &m), ""
		switch {
		case m.Counts(e.Audience):
			out.Messages = append(out.Messages, cm)
		case m.Draft && e.Audience == tandem.Operators:
			single = "draft"
		case e.Audience != tandem.Everyone && m.Type == tandem.Chat:
			single = "note"
		default:
			continue
		}
		last = e
		if single == "" {
			continue
		}
		if name != "" {
			b = append(b, event(name, alone)...)
		}
		name, alone.Message = single, cm
	}
	switch {
	case last == nil:
		return b
	case len(out.Messages) == 0:
		return append(b, durable(last, name, alone)...)
	case name != "":
		b = append(b, event(name, alone)...)
	}
	return append(b, durable(last, "new_messages", out)...)
}

// durable is an event of the log, with its place as the id.
func durable(e *tandem.Event, name string, data any) []byte {
	return sse.Append(nil, sse.Frame{Event: name, Data: encode(data), ID: e.Cursor().String()})
}

// conversationChange is `updated`, or `ended` if it is the last change.
func conversationChange(v tandem.View, a tandem.Address, e *tandem.Event) []byte {
	var c tandem.Conversation
	if json.Unmarshal(e.Body, &c) != nil || c.ID != v.Conversation {
		return nil
	}
	if c.Status == tandem.StatusEnded {
		return durable(e, "ended", endedOf(&c))
	}
	c.Address = a
	return durable(e, "updated", changeOf(v.Audience, &c))
}

type conversationEnded struct {
	Message string `json:"message"`
	ID      string `json:"conversation_id"`
}

func endedOf(c *tandem.Conversation) conversationEnded {
	if c.EndReason == tandem.EndCall {
		return conversationEnded{"Call has ended", c.ID}
	}
	return conversationEnded{"Conversation has ended", c.ID}
}

type draftGone struct {
	MessageID string `json:"message_id"`
	ID        string `json:"conversation_id"`
	Sent      string `json:"sent,omitempty"` // the message that it became
}

// An answer while it is written: the chat socket's frames, and whose they are.
type conversationStartFrame struct {
	chatStartFrame
	ID string `json:"conversation_id"`
}

type conversationTokenFrame struct {
	chatTokenFrame
	ID string `json:"conversation_id"`
}

type conversationEndFrame struct {
	answerEnd
	ID string `json:"conversation_id"`
}

func conversationStart(v tandem.View, s tandem.AnswerStarted, e *tandem.Event) []byte {
	if s.Conversation != v.Conversation {
		return nil
	}
	return event("stream-start", conversationStartFrame{startFrame(s, e), v.Conversation})
}

func conversationDelta(v tandem.View, d tandem.Delta) []byte {
	return event("stream-token", conversationTokenFrame{tokenFrame(d), v.Conversation})
}

func conversationEnd(v tandem.View, e *tandem.Event, m *tandem.Message) []byte {
	return event("stream-end", conversationEndFrame{answerEndOf(e, m), v.Conversation})
}

// What the stream says of itself.

// conversationHello is how a stream begins: how long to wait after a drop and, on
// a resume, which shows nothing a second time, the place from which it goes on.
func conversationHello(at tandem.Cursor, retry time.Duration) []byte {
	return sse.Append(nil, sse.Frame{ID: at.String(), Retry: retry})
}

// conversationBegins is `initial`, with the place from which the stream goes on.
func conversationBegins(v tandem.View, t transcriptOf, at tandem.Cursor) []byte {
	return sse.Append(nil, sse.Frame{Event: "initial", Data: encode(initialOf(v, t)), ID: at.String()})
}

type conversationBeatData struct {
	Timestamp string `json:"timestamp"`
	Status    string `json:"status"`
}

// conversationBeat is a heartbeat, in the conversation's own time. It carries an
// id only if events have passed that were not shown.
func conversationBeat(now time.Time, where *time.Location, passed tandem.Cursor) []byte {
	return sse.Append(nil, sse.Frame{Event: "heartbeat", Data: encode(conversationBeatData{stampIn(now, where), "connected"}), ID: passed.String()})
}

type conversationFailure struct {
	Error string `json:"error"`
	ID    string `json:"conversation_id,omitempty"` // always, but of the board's own
}

// conversationError is the last thing said on a stream that cannot go on: after
// it the document's clients close.
func conversationError(id, sentence string, retry time.Duration) []byte {
	return sse.Append(nil, sse.Frame{Event: "error", Data: encode(conversationFailure{sentence, id}), Retry: retry})
}

type conversationGap struct {
	tandem.Gap
	ID string `json:"conversation_id"`
}

type conversationReset struct {
	ID string `json:"conversation_id"`
}
