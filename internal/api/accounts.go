package api

import (
	"net/http"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

type loginRequest struct {
	Username string `json:"username"`
	Email    string `json:"email"`
	Password string `json:"password"`
	Tenant   string `json:"tenant"`
}

// signedInReply is what signing in answers, whichever way it was done.
type signedInReply struct {
	Success   bool      `json:"success"`
	Token     string    `json:"token"`
	ExpiresAt string    `json:"expiresAt"`
	User      userReply `json:"user"`
}

// userReply is who somebody is, as they themselves and owners see it.
type userReply struct {
	ID        string               `json:"id"` // the subject: admin_id in conversations
	Username  string               `json:"username"`
	Email     string               `json:"email"`
	Role      tandem.PrincipalRole `json:"role"`
	Name      string               `json:"name"`
	Tenant    string               `json:"tenant"`
	Workflows []string             `json:"workflows"` // none: all of the tenant
}

func userOf(a auth.Account) userReply {
	return userReply{a.Username, a.Username, a.Email, a.Role, a.Name, a.Tenant, append([]string{}, a.Workflows...)}
}

// login signs an account in by its password. Failures count against the account
// and the address: who gets in has used up nothing.
func (s *Server) login(w http.ResponseWriter, r *http.Request, _ tandem.Principal) error {
	if err := s.chargeAddress(r).err(); err != nil {
		return err
	}
	var in loginRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	name := in.Username
	if name == "" {
		name = in.Email
	}
	if name == "" || in.Password == "" {
		return tandem.Errorf(tandem.Invalid, "username (or email) and password are required")
	}
	tries, err := s.tries(r)
	if err != nil {
		return err
	}
	signed, err := s.opt.Auth.Login(r.Context(), auth.LoginRequest{Tenant: in.Tenant, Name: name, Password: auth.Secret(in.Password), From: s.from(r), Try: tries.account})
	if err != nil {
		return err
	}
	tries.giveBack()
	replySignedIn(w, signed)
	return nil
}

func replySignedIn(w http.ResponseWriter, in auth.SignedIn) {
	reply(w, http.StatusOK, signedInReply{true, in.Token.Token.Reveal(), stamp(in.Expires), userOf(in.Account)})
}

// tries are what somebody who signs in has used up.
type tries struct {
	server *Server
	taken  []bucket
}

// tries counts one more attempt to sign in from the request's address.
func (s *Server) tries(r *http.Request) (*tries, error) {
	t := &tries{server: s}
	return t, t.take(bucket{what: "logins", address: network(s.client(r))})
}

// account counts one more attempt to sign in to an account.
func (t *tries) account(tenant, name string) error {
	return t.take(bucket{what: "logins", tenant: tenant, subject: name})
}

func (t *tries) take(b bucket) error {
	a := t.server.counted(t.server.limit.take(b, t.server.opt.Limits.Logins))
	if !a.refused {
		t.taken = append(t.taken, b)
	}
	return a.err()
}

// giveBack undoes what was counted: it was no failure.
func (t *tries) giveBack() {
	for _, b := range t.taken {
		t.server.limit.giveBack(b)
	}
}

type linkRequest struct {
	Code string `json:"code"`
}

// link signs in whom a link signs in. Codes that are not good count against the
// address.
func (s *Server) link(w http.ResponseWriter, r *http.Request, _ tandem.Principal) error {
	if err := s.chargeAddress(r).err(); err != nil {
		return err
	}
	var in linkRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	if in.Code == "" {
		return tandem.Errorf(tandem.Invalid, "code is required")
	}
	tries, err := s.tries(r)
	if err != nil {
		return err
	}
	signed, err := s.opt.Auth.FollowLink(r.Context(), auth.Secret(in.Code), s.nearby(r), s.from(r))
	if err != nil {
		return err
	}
	tries.giveBack()
	replySignedIn(w, signed)
	return nil
}

type done struct {
	Success bool `json:"success"`
}

// logout revokes the token that was presented, and the tickets made with it.
func (s *Server) logout(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	if err := s.opt.Auth.Logout(r.Context(), p); err != nil {
		return err
	}
	reply(w, http.StatusOK, done{true})
	return nil
}

type meReply struct {
	Success   bool      `json:"success"`
	User      userReply `json:"user"`
	ExpiresAt *string   `json:"expiresAt"`
}

// me tells who asks, whatever the credential.
func (s *Server) me(w http.ResponseWriter, _ *http.Request, p tandem.Principal) error {
	workflows := append([]string{}, p.Workflows...)
	if p.Workflow != "" {
		workflows = []string{p.Workflow}
	}
	reply(w, http.StatusOK, meReply{true, userReply{p.Subject, p.Subject, p.Email, p.Role, p.Name, p.Tenant, workflows}, stampOrNull(p.Expires)})
	return nil
}

type revokeRequest struct {
	JTI     string `json:"jti"`
	Subject string `json:"subject"`
}

// revoke takes back a token, or all that a subject of the owner's tenant was given.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in revokeRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	if (in.JTI == "") == (in.Subject == "") {
		return tandem.Errorf(tandem.Invalid, "either jti or subject is required")
	}
	if err := s.opt.Auth.Revoke(r.Context(), p.Tenant, auth.Revoke{JTI: in.JTI, Subject: in.Subject, By: p}); err != nil {
		return err
	}
	reply(w, http.StatusOK, done{true})
	return nil
}
