package api

import (
	"net/http"

	tandem "github.com/seed4677ff1f/tandem"
)

// events streams a participant's thread.
func (s *Server) events(_ http.ResponseWriter, _ *http.Request, _ tandem.Principal) error {
	return tandem.Errorf(tandem.Unavailable, "not yet")
}
