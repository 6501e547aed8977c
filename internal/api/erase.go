package api

import (
	"net/http"

	tandem "github.com/seed4677ff1f/tandem"
)

// noThread is the document's body for a thread that is not there.
type noThread struct {
	Error string `json:"error"`
}

// deleteThread deletes a thread: for its participant alone, or, if an owner asks,
// for everybody.
func (s *Server) deleteThread(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	a, err := threadOf(p, q, "Workflow and participantId are required parameters")
	if err != nil {
		return err
	}
	err = s.opt.Desk.Delete(r.Context(), p, a)
	if err != nil && tandem.KindOf(err) == tandem.NotFound {
		reply(w, http.StatusNotFound, noThread{"Thread not found"})
		return nil
	}
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, true)
	return nil
}
