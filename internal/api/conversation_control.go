package api

import (
	"net/http"

	tandem "github.com/seed4677ff1f/tandem"
)

// Who may speak. The bodies of these requests may be left out.

type takeoverRequest struct {
	Force bool `json:"force"`
}

// takeover makes the operator who asks the one who speaks.
func (s *Server) takeover(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in takeoverRequest
	if err := s.decodeAny(w, r, &in); err != nil {
		return err
	}
	force, err := flag(r, "force")
	if err != nil {
		return err
	}
	c, err := s.opt.Desk.Takeover(r.Context(), p, conversationID(r), in.Force || force)
	if err != nil {
		return err
	}
	replyRow(w, http.StatusOK, p, &c)
	return nil
}

type releaseRequest struct {
	To string `json:"to"`
}

// release gives the conversation back to its agent, or to those who wait.
func (s *Server) release(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in releaseRequest
	if err := s.decodeAny(w, r, &in); err != nil {
		return err
	}
	c, err := s.opt.Desk.Release(r.Context(), p, conversationID(r), in.To)
	if err != nil {
		return err
	}
	replyRow(w, http.StatusOK, p, &c)
	return nil
}

type transferRequest struct {
	AdminID string `json:"admin_id"`
}

// transfer gives the conversation to a named operator.
func (s *Server) transfer(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in transferRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	if in.AdminID == "" {
		return tandem.Errorf(tandem.Invalid, "admin_id is required")
	}
	c, err := s.opt.Desk.Transfer(r.Context(), p, conversationID(r), in.AdminID)
	if err != nil {
		return err
	}
	replyRow(w, http.StatusOK, p, &c)
	return nil
}

type endRequest struct {
	Reason string `json:"reason"`
}

// endConversation closes the conversation.
func (s *Server) endConversation(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in endRequest
	if err := s.decodeAny(w, r, &in); err != nil {
		return err
	}
	c, err := s.opt.Desk.End(r.Context(), p, conversationID(r), in.Reason)
	if err != nil {
		return err
	}
	replyRow(w, http.StatusOK, p, &c)
	return nil
}

// flag reads a yes or no out of the query; no if it is not there.
func flag(r *http.Request, name string) (bool, error) {
	q, err := query(r)
	if err != nil {
		return false, err
	}
	switch q.Get(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, tandem.Errorf(tandem.Invalid, "%s must be true or false", name)
}
