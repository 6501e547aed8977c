package api

import (
	"net/http"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

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
		out.Conversations[i] = boardRow(p.Audience(), &found[i])
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
