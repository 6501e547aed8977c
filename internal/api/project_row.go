package api

import (
	"encoding/json"
	"strconv"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// conversationRow is a conversation in a list, on the board and in `updated`. The
// published document's fields come first.
type conversationRow struct {
	ID           string          `json:"conversation_id"`
	CallID       *string         `json:"call_id"`
	WorkerID     string          `json:"worker_id"`
	MobileNo     *string         `json:"mobile_no"`
	Urgency      tandem.Urgency  `json:"urgency"`
	Status       tandem.Status   `json:"status"`
	Mode         tandem.Mode     `json:"mode"`
	Medium       string          `json:"medium"`
	AdminID      *string         `json:"admin_id"`
	Timestamp    string          `json:"timestamp"`
	Workflow     string          `json:"workflow"`
	Reason       *string         `json:"reason"`
	WaitingSince *string         `json:"waiting_since"`
	Answering    *string         `json:"answering"`
	Holder       *string         `json:"holder"`
	QueuePlace   json.RawMessage `json:"queue_place,omitempty"` // left out only where it is not known
	ControlEpoch int64           `json:"control_epoch"`
	Name         *string         `json:"name"`
	EndedAt      *string         `json:"ended_at"`

	EndReason  string `json:"end_reason,omitempty"`
	ReturnsAt  string `json:"returns_at,omitempty"`
	Unanswered bool   `json:"unanswered,omitempty"`

	// In lists and on the board.
	LastMessage string      `json:"last_message,omitempty"`
	LastRole    tandem.Role `json:"last_role,omitempty"`
	LastAt      string      `json:"last_at,omitempty"`
	Unread      *int        `json:"unread,omitempty"`
}

// rowOf shows a conversation, with its place in the queue, to a reader of this
// audience: who holds it is no participant's business, only the display name is.
func rowOf(reader tandem.Audience, c *tandem.Conversation, place int) conversationRow {
	row := changeOf(reader, c)
	row.QueuePlace = queuePlace(place)
	return row
}

// changeOf is rowOf without the place, which changes by itself: it follows if the
// conversation waits.
func changeOf(reader tandem.Audience, c *tandem.Conversation) conversationRow {
	where := clockOf(c)
	row := conversationRow{
		ID: c.ID, CallID: orNull(c.CallID), WorkerID: c.Address.Participant, MobileNo: orNull(c.MobileNo),
		Urgency: c.Urgency, Status: c.Status, Mode: c.Mode, Medium: c.Medium,
		Timestamp: c.Timestamp, Workflow: c.Address.Workflow, Reason: orNull(c.Reason), WaitingSince: orNull(stampIn(c.WaitingSince, where)),
		Answering: orNull(c.Answering), Holder: orNull(c.Holder), ControlEpoch: c.Epoch, Name: orNull(c.Name), EndedAt: orNull(stampIn(c.EndedAt, where)),
		EndReason: c.EndReason, ReturnsAt: stampIn(c.ReturnsAt, where), Unanswered: c.Unanswered,
	}
	if reader != tandem.Everyone {
		row.AdminID = orNull(c.AdminID)
	}
	if c.Mode != tandem.ModeWaiting || c.Status != tandem.StatusActive {
		row.QueuePlace = queuePlace(0)
	}
	return row
}

func queuePlace(n int) json.RawMessage {
	if n == 0 {
		return json.RawMessage("null")
	}
	return strconv.AppendInt(nil, int64(n), 10)
}

// stampIn is a moment in the conversation's own time, to the second as the
// document's examples have it; nothing for none.
func stampIn(t time.Time, where *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(where).Format(time.RFC3339)
}

// boardRow is a conversation with its last words, as lists and the board show it.
func boardRow(reader tandem.Audience, s *desk.Seen) conversationRow {
	row := rowOf(reader, &s.Conversation, s.Place)
	w := s.Words
	row.LastMessage, row.LastRole, row.LastAt, row.Unread = w.Text, w.Role, stampIn(w.At, clockOf(&s.Conversation)), &w.Unread
	return row
}
