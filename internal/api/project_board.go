package api

import (
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// The projection of a tenant's board: what operators' lists are made of.

type boardSnapshot struct {
	Conversations []conversationRow `json:"conversations"`
	Cursor        string            `json:"cursor"`
}

type boardUpsert struct {
	Conversation conversationRow `json:"conversation"`
}

type boardRemoved struct {
	ID string `json:"conversation_id"`
}

// boardHint is the last words of a conversation, and how many of the
// participant's messages nobody who answers has read.
type boardHint struct {
	ID          string      `json:"conversation_id"`
	LastMessage string      `json:"last_message,omitempty"`
	LastRole    tandem.Role `json:"last_role,omitempty"`
	LastAt      string      `json:"last_at,omitempty"`
	Unread      int         `json:"unread"`
}

func hintOf(n tandem.Notice) boardHint {
	h := boardHint{ID: n.Conversation, LastMessage: n.Text, LastRole: n.Role, Unread: n.Unread}
	if n.Row != nil {
		h.LastAt = stampIn(n.At, clockOf(n.Row))
	}
	return h
}

func snapshotEvent(reader tandem.Audience, list []desk.Seen, at string) []byte {
	s := boardSnapshot{Conversations: make([]conversationRow, len(list)), Cursor: at}
	for i := range list {
		s.Conversations[i] = boardRow(reader, &list[i])
	}
	return placed("snapshot", s, at)
}

// placed is an event with its place on the board as the id.
func placed(name string, data any, at string) []byte {
	return sse.Append(nil, sse.Frame{Event: name, Data: encode(data), ID: at})
}

// boardBeat is a heartbeat, with the place if the reader does not know it yet.
func boardBeat(now time.Time, at string) []byte {
	return placed("heartbeat", conversationBeatData{stampIn(now, time.UTC), "connected"}, at)
}

// boardHello is how the board's stream begins: with its place, if it goes on.
func boardHello(at string, retry time.Duration) []byte {
	return sse.Append(nil, sse.Frame{ID: at, Retry: retry})
}
