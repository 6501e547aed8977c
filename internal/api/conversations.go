package api

import (
	"net/http"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// conversationRow is a conversation in a list. The published document's fields
// come first.
type conversationRow struct {
	ID           string         `json:"conversation_id"`
	CallID       *string        `json:"call_id"`
	WorkerID     string         `json:"worker_id"`
	MobileNo     *string        `json:"mobile_no"`
	Urgency      tandem.Urgency `json:"urgency"`
	Status       tandem.Status  `json:"status"`
	Mode         tandem.Mode    `json:"mode"`
	Medium       string         `json:"medium"`
	AdminID      *string        `json:"admin_id"`
	Timestamp    string         `json:"timestamp"`
	Workflow     string         `json:"workflow"`
	Reason       *string        `json:"reason"`
	WaitingSince *string        `json:"waiting_since"`
	Answering    *string        `json:"answering"`
	Holder       *string        `json:"holder"`
	QueuePlace   *int           `json:"queue_place"`
	ControlEpoch int64          `json:"control_epoch"`
	Name         *string        `json:"name"`
	EndedAt      *string        `json:"ended_at"`
}

func rowOf(c *tandem.Conversation) conversationRow {
	return conversationRow{
		ID: c.ID, CallID: orNull(c.CallID), WorkerID: c.Address.Participant, MobileNo: orNull(c.MobileNo),
		Urgency: c.Urgency, Status: c.Status, Mode: c.Mode, Medium: c.Medium, AdminID: orNull(c.AdminID),
		Timestamp: c.Timestamp, Workflow: c.Address.Workflow, Reason: orNull(c.Reason), WaitingSince: stampOrNull(c.WaitingSince),
		Answering: orNull(c.Answering), Holder: orNull(c.Holder), ControlEpoch: c.Epoch, Name: orNull(c.Name), EndedAt: stampOrNull(c.EndedAt),
	}
}

func stampOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return orNull(stamp(t))
}

type conversationList struct {
	Success       bool              `json:"success"`
	Conversations []conversationRow `json:"conversations"`
	Cursor        *string           `json:"cursor"`
}

// defaultList is how many conversations a page of the list has if nobody says.
const defaultList = 50

// conversations lists what the operator who asks may see.
func (s *Server) conversations(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	l, err := s.listOf(r, p)
	if err != nil {
		return err
	}
	found, next, err := s.opt.Desk.Conversations(r.Context(), p, l)
	if err != nil {
		return err
	}
	out := conversationList{Success: true, Conversations: make([]conversationRow, len(found)), Cursor: orNull(next)}
	for i := range found {
		out.Conversations[i] = rowOf(&found[i])
	}
	reply(w, http.StatusOK, out)
	return nil
}

func (s *Server) listOf(r *http.Request, p tandem.Principal) (desk.List, error) {
	q, err := query(r)
	if err != nil {
		return desk.List{}, err
	}
	l := desk.List{
		Workflow: tandem.ParseWorkflow(p.Tenant, q.Get("workflow")),
		Status:   tandem.Status(strings.ToUpper(q.Get("status"))),
		Mode:     tandem.Mode(strings.ToLower(q.Get("mode"))),
		AdminID:  q.Get("admin_id"), Cursor: q.Get("cursor"),
	}
	if strings.HasPrefix(l.Workflow, tandem.ReservedPrefix) {
		return l, tandem.Errorf(tandem.Invalid, "workflow names that begin with %q are reserved", tandem.ReservedPrefix)
	}
	switch l.Status {
	case "", tandem.StatusActive, tandem.StatusEnded:
	default:
		return l, tandem.Errorf(tandem.Invalid, "status must be ACTIVE or ENDED")
	}
	switch l.Mode {
	case "", tandem.ModeAgent, tandem.ModeWaiting, tandem.ModeOperator:
	default:
		return l, tandem.Errorf(tandem.Invalid, "mode must be agent, waiting or operator")
	}
	if u := q.Get("urgency"); u != "" {
		if l.Urgency, err = tandem.ParseUrgency(u); err != nil {
			return l, err
		}
	}
	l.Limit, err = pageSize(q, "limit", defaultList, s.opt.Limits.Page)
	return l, err
}
