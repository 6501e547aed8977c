package api

import (
	tandem "github.com/seed4677ff1f/tandem"
)

// What passes and is kept nowhere: who types, what was read, who is there, the
// place in the queue. The conversation's stream and the board spell it in
// snake_case, the participant's stream and the chat socket in camelCase. Nobody is
// named by more than a display name but to operators.

// typingNotice, readNotice and presenceNotice are the conversation stream's.
type typingNotice struct {
	ID        string      `json:"conversation_id"`
	Role      tandem.Role `json:"role"`
	Name      *string     `json:"name"`
	Stopped   bool        `json:"stopped,omitempty"`
	Timestamp string      `json:"timestamp"`
}

type readNotice struct {
	ID        string      `json:"conversation_id"`
	MessageID string      `json:"message_id"`
	Role      tandem.Role `json:"role"`
	Name      *string     `json:"name"`
	Delivered bool        `json:"delivered,omitempty"` // it has arrived; not known to be read
	Timestamp string      `json:"timestamp"`
}

type presenceNotice struct {
	ID        string        `json:"conversation_id"`
	Watching  []watchingRow `json:"watching"`
	Timestamp string        `json:"timestamp"`
}

type watchingRow struct {
	Role    tandem.Role `json:"role"`
	Name    *string     `json:"name"`
	AdminID string      `json:"admin_id,omitempty"`
}

func conversationNotice(v tandem.View, a tandem.Address, n tandem.Notice) []byte {
	if !n.Audience.VisibleTo(v.Audience) || n.Conversation != v.Conversation {
		return nil
	}
	at := stampIn(n.At, offset(v.Offset))
	switch n.Kind {
	case tandem.NoticeTyping:
		return event("typing", typingNotice{n.Conversation, n.Role, orNull(n.Name), n.Stopped, at})
	case tandem.NoticeRead:
		return event("read", readNotice{n.Conversation, n.MessageID, n.Role, orNull(n.Name), n.Delivered, at})
	case tandem.NoticePresence:
		return event("presence", presenceNotice{n.Conversation, watchers(v.Audience, n.Watching), at})
	case tandem.NoticeQueue:
		if c := noticed(a, n); c != nil {
			return event("updated", rowOf(v.Audience, c, n.Place))
		}
	}
	return nil
}

// watchers are those who watch, as a reader of this audience may know them.
func watchers(reader tandem.Audience, all []tandem.Watching) []watchingRow {
	rows := make([]watchingRow, len(all))
	for i, w := range all {
		rows[i] = watchingRow{Role: w.Role, Name: orNull(w.Name)}
		if reader == tandem.Operators && w.Role == tandem.RoleOperator {
			rows[i].AdminID = w.Subject
		}
	}
	return rows
}

// noticed is the conversation that a notice of the queue carries.
func noticed(a tandem.Address, n tandem.Notice) *tandem.Conversation {
	if n.Row == nil {
		return nil
	}
	c := *n.Row
	c.Address = a
	return &c
}

// seenTyping, seenRead and seenPresence are the participant stream's, and the chat
// socket's frames but for their type.
type seenTyping struct {
	Conversation string      `json:"conversationId"`
	Role         tandem.Role `json:"role"`
	Name         *string     `json:"name"`
	Stopped      bool        `json:"stopped,omitempty"`
	Timestamp    chatTime    `json:"timestamp"`
}

type seenRead struct {
	Conversation string      `json:"conversationId"`
	MessageID    string      `json:"messageId"`
	Role         tandem.Role `json:"role"`
	Name         *string     `json:"name"`
	Delivered    bool        `json:"delivered,omitempty"`
	Timestamp    chatTime    `json:"timestamp"`
}

type seenPresence struct {
	Conversation *string       `json:"conversationId"` // null: of the whole thread
	Watching     []watchingRow `json:"watching"`
	Timestamp    chatTime      `json:"timestamp"`
}

func typingOf(n tandem.Notice) seenTyping {
	return seenTyping{n.Conversation, n.Role, orNull(n.Name), n.Stopped, chatTime(n.At)}
}

func readOf(n tandem.Notice) seenRead {
	return seenRead{n.Conversation, n.MessageID, n.Role, orNull(n.Name), n.Delivered, chatTime(n.At)}
}

func presenceOf(n tandem.Notice) seenPresence {
	return seenPresence{orNull(n.Conversation), watchers(tandem.Everyone, n.Watching), chatTime(n.At)}
}

// participantNotice is what a stream that asked for presence is told.
func participantNotice(v tandem.View, n tandem.Notice) []byte {
	if !v.Presence || !n.Audience.VisibleTo(v.Audience) {
		return nil
	}
	switch n.Kind {
	case tandem.NoticeTyping:
		return event("typing", typingOf(n))
	case tandem.NoticeRead:
		return event("read", readOf(n))
	case tandem.NoticePresence:
		return event("presence", presenceOf(n))
	}
	return nil
}

type chatTypingFrame struct {
	Type string `json:"type"`
	seenTyping
}

type chatPresenceFrame struct {
	Type string `json:"type"`
	seenPresence
}

type chatReadFrame struct {
	Type string `json:"type"`
	seenRead
}

func chatNotice(v tandem.View, a tandem.Address, n tandem.Notice) []byte {
	if !n.Audience.VisibleTo(v.Audience) {
		return nil
	}
	switch n.Kind {
	case tandem.NoticeTyping:
		return chatFrame(chatTypingFrame{"typing", typingOf(n)})
	case tandem.NoticeRead:
		return chatFrame(chatReadFrame{"read", readOf(n)})
	case tandem.NoticePresence:
		return chatFrame(chatPresenceFrame{"presence", presenceOf(n)})
	case tandem.NoticeQueue:
		if c := noticed(a, n); c != nil {
			f := chatStateOf(c, n.At)
			f.Cursor = n.Cursor.String()
			if n.Place > 0 {
				f.QueuePlace = &n.Place
			}
			return chatFrame(f)
		}
	}
	return nil
}
