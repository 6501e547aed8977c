package tandem

import (
	"strings"
	"time"
)

// Mode says who may speak in a conversation.
type Mode string

// The modes of a conversation.
const (
	ModeAgent    Mode = "agent"    // the agent may speak
	ModeWaiting  Mode = "waiting"  // a person was asked for; nobody holds yet
	ModeOperator Mode = "operator" // only the holder speaks
)

// Status says whether a conversation goes on.
type Status string

// The statuses of a conversation.
const (
	StatusActive Status = "ACTIVE"
	StatusEnded  Status = "ENDED"
	StatusErased Status = "ERASED" // a tombstone: it was there, and an owner erased it
)

// Reasons for which conversations end by themselves or by their participant. A
// gateway or an operator may give any other.
const (
	EndIdle    = "idle"       // nobody said a word for the time configured
	EndCall    = "call_ended" // the call is over
	EndDeleted = "deleted"    // the participant deleted its history
)

// Urgency orders what operators look at first.
type Urgency string

// The urgencies, least first.
const (
	UrgencyNormal   Urgency = "NORMAL"
	UrgencyUrgent   Urgency = "URGENT"
	UrgencyCritical Urgency = "CRITICAL"
)

// ParseUrgency reads an urgency in any letter case; empty is NORMAL. The error
// is of kind [Invalid].
func ParseUrgency(s string) (Urgency, error) {
	switch u := Urgency(upper(s)); u {
	case "":
		return UrgencyNormal, nil
	case UrgencyNormal, UrgencyUrgent, UrgencyCritical:
		return u, nil
	}
	return "", Errorf(Invalid, "urgency must be NORMAL, URGENT or CRITICAL")
}

// Rank orders urgencies: the higher, the sooner.
func (u Urgency) Rank() int {
	switch u {
	case UrgencyCritical:
		return 2
	case UrgencyUrgent:
		return 1
	}
	return 0
}

// A Conversation is one episode on a thread; at most one per thread is ACTIVE.
// The chat socket's state frames, the conversation stream's updates and the
// operators' list are all projections of this one struct. Its JSON is what is
// stored in a [KindState] event.
type Conversation struct {
	ID           string    `json:"conversation_id"`
	Address      Address   `json:"-"`
	Status       Status    `json:"status"`
	Mode         Mode      `json:"mode"`
	Urgency      Urgency   `json:"urgency"`
	Medium       string    `json:"medium"`
	Reason       string    `json:"reason,omitempty"`    // why a person was asked for
	Escalated    bool      `json:"escalated,omitempty"` // a person was asked for
	AdminID      string    `json:"admin_id,omitempty"`  // subject of the holder
	Holder       string    `json:"holder,omitempty"`    // the holder's display name
	Answering    string    `json:"answering,omitempty"` // workflow whose agent answers, if not the thread's own
	CallID       string    `json:"call_id,omitempty"`
	MobileNo     string    `json:"mobile_no,omitempty"`
	Name         string    `json:"name,omitempty"` // the participant's display name
	Timestamp    string    `json:"timestamp"`      // when it began, RFC 3339, with the offset it came with
	EndReason    string    `json:"end_reason,omitempty"`
	WaitingSince time.Time `json:"waiting_since,omitzero"`
	OpenedAt     time.Time `json:"opened_at"`
	EndedAt      time.Time `json:"ended_at,omitzero"`
	Epoch        int64     `json:"control_epoch"`        // the thread's at the last change
	FirstSeq     int64     `json:"first_seq"`            // seq of its first event
	Rev          int64     `json:"-"`                    // the tenant's board revision of the last change
	LastSeq      int64     `json:"last_seq,omitempty"`   // of an ended one: seq of the event that ended it
	Opaque       bool      `json:"opaque,omitempty"`     // its message ids are not made from number and time
	Stamp        string    `json:"stamp,omitempty"`      // digits_date_time: what its message ids are made from
	Unanswered   bool      `json:"unanswered,omitempty"` // nobody took it in time
	ReturnsAt    time.Time `json:"returns_at,omitzero"`  // its holder is silent: it goes back to the queue then
}

// IsCall reports whether id is that of a call, not of a conversation: the
// conversation API takes either.
func IsCall(id string) bool { return strings.HasPrefix(id, "call_") }
