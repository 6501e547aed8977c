package api

import (
	"net/http"
	"net/url"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

// principal returns who asks. A request without a good credential counts against
// its address; one with a good one never does. Errors: Unauthorized; TooMany;
// what use.Address says; Unavailable if nobody can tell now.
func (s *Server) principal(r *http.Request, use auth.Use) (tandem.Principal, error) {
	cred, _ := auth.FromRequest(r)
	p, err := s.opt.Auth.Authenticate(r.Context(), cred, use)
	if tandem.KindOf(err) == tandem.Unauthorized && err != nil {
		if e := s.chargeAddress(r).err(); e != nil {
			return tandem.Principal{}, e
		}
	}
	if err == nil {
		p.From = s.from(r)
	}
	return p, err
}

// from is the address of a request's client as the audit has it; empty if nobody
// knows.
func (s *Server) from(r *http.Request) string {
	if a := s.client(r); a.IsValid() {
		return a.String()
	}
	return ""
}

// ownTenant refuses a tenantId that is not the credential's. Absent, it is the
// credential's.
func ownTenant(p tandem.Principal, tenantID string) error {
	if tenantID != "" && tenantID != p.Tenant {
		return tandem.Errorf(tandem.Forbidden, "You do not have permission to access this resource")
	}
	return nil
}

// threadOf reads the thread that a query names. missing is the document's
// sentence for a query without one.
func threadOf(p tandem.Principal, q url.Values, missing string) (tandem.Address, error) {
	workflow, participant := q.Get("workflow"), q.Get("participantId")
	if workflow == "" || participant == "" {
		return tandem.Address{}, tandem.Errorf(tandem.Invalid, "%s", missing)
	}
	if err := ownTenant(p, q.Get("tenantId")); err != nil {
		return tandem.Address{}, err
	}
	// A stream keeps its address for hours: not the whole request line with it, in
	// which there may be a credential.
	workflow, participant = strings.Clone(workflow), strings.Clone(participant)
	return tandem.NewAddress(p.Tenant, tandem.ParseWorkflow(p.Tenant, workflow), participant)
}
