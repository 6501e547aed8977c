package api

import (
	"net/http"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

type ticketRequest struct {
	For string `json:"for"`
}

type ticketReply struct {
	Ticket    string `json:"ticket"`
	ExpiresAt string `json:"expiresAt"`
}

// ticket makes a ticket for a browser's stream or socket.
func (s *Server) ticket(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in ticketRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	t, until, err := s.opt.Auth.NewTicket(r.Context(), p, auth.Purpose(in.For))
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, ticketReply{t.Reveal(), stamp(until)})
	return nil
}

type refreshReply struct {
	Success   bool   `json:"success"`
	Token     string `json:"token"`
	ExpiresAt string `json:"expiresAt"`
}

// refresh makes a token that ends later than the one presented.
func (s *Server) refresh(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	t, err := s.opt.Auth.Refresh(r.Context(), p)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, refreshReply{true, t.Token.Reveal(), stamp(t.Expires)})
	return nil
}
