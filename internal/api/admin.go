package api

import (
	"math"
	"net/http"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

// What owners administer of their tenant, and of the default tenant the list of
// tenants. Each route is for owners only; see [owners].

// owners lets a handler answer nobody but who administers the tenant.
func owners(do handler) handler {
	return func(s *Server, w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
		if err := auth.Administers(p); err != nil {
			return err
		}
		return do(s, w, r, p)
	}
}

// accountReply is an account as owners see it.
type accountReply struct {
	userReply
	Disabled   bool    `json:"disabled"`
	CreatedAt  string  `json:"createdAt"`
	DisabledAt *string `json:"disabledAt"`
}

func accountOf(a auth.Account) accountReply {
	return accountReply{userOf(a), !a.Disabled.IsZero(), stamp(a.Created), stampOrNull(a.Disabled)}
}

type accountList struct {
	Success bool           `json:"success"`
	Users   []accountReply `json:"users"`
}

// users lists the tenant's accounts.
func (s *Server) users(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	list, err := s.opt.Auth.Accounts(r.Context(), p.Tenant)
	if err != nil {
		return err
	}
	out := accountList{true, make([]accountReply, len(list))}
	for i, a := range list {
		out.Users[i] = accountOf(a)
	}
	reply(w, http.StatusOK, out)
	return nil
}

type accountRequest struct {
	Username      string                `json:"username"`
	Email         *string               `json:"email"`
	Name          *string               `json:"name"`
	Role          *tandem.PrincipalRole `json:"role"`
	Workflows     *[]string             `json:"workflows"`
	Password      *string               `json:"password"`
	ResetPassword bool                  `json:"resetPassword"`
	Disabled      *bool                 `json:"disabled"`
}

// password is the one that is to be set, nil for none; made is one that nobody
// said, and that the answer has to tell, this once.
func (in accountRequest) password() (set *auth.Secret, made *string, err error) {
	switch {
	case in.Password != nil && in.ResetPassword:
		return nil, nil, tandem.Errorf(tandem.Invalid, "either password or resetPassword")
	case in.Password != nil:
		said := auth.Secret(*in.Password)
		return &said, nil, nil
	case in.ResetPassword:
		fresh := auth.NewPassword()
		told := fresh.Reveal()
		return &fresh, &told, nil
	}
	return nil, nil, nil
}

type accountChanged struct {
	Success  bool         `json:"success"`
	User     accountReply `json:"user"`
	Password *string      `json:"password,omitempty"` // that was made, shown this once
}

// addUser makes an account, with a password of its own if none is given.
func (s *Server) addUser(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in accountRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	in.ResetPassword = in.ResetPassword || in.Password == nil
	password, made, err := in.password()
	if err != nil {
		return err
	}
	a, err := s.opt.Auth.CreateAccount(r.Context(), auth.AccountRequest{
		Tenant: p.Tenant, Username: in.Username, Email: or(in.Email), Name: or(in.Name), Role: or(in.Role),
		Workflows: or(in.Workflows), Password: *password, By: p,
	})
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, accountChanged{true, accountOf(a), made})
	return nil
}

// or is what v points to; of nil the zero value.
func or[T any](v *T) (zero T) {
	if v == nil {
		return zero
	}
	return *v
}

// changeUser changes what the body names of an account.
func (s *Server) changeUser(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in accountRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	if in.Username != "" && !strings.EqualFold(in.Username, r.PathValue("username")) {
		return tandem.Errorf(tandem.Invalid, "a username is not changed: conversations and the audit know it")
	}
	password, made, err := in.password()
	if err != nil {
		return err
	}
	return s.alterUser(w, r, p, auth.AccountChange{
		Email: in.Email, Name: in.Name, Role: in.Role, Workflows: in.Workflows, Disabled: in.Disabled, Password: password,
	}, made)
}

// disableUser disables an account. None is ever deleted: its name stays in
// conversations and in the audit, and nobody else shall be taken for it.
func (s *Server) disableUser(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	yes := true
	return s.alterUser(w, r, p, auth.AccountChange{Disabled: &yes}, nil)
}

func (s *Server) alterUser(w http.ResponseWriter, r *http.Request, p tandem.Principal, to auth.AccountChange, made *string) error {
	to.By, to.KeepOwner = p, true
	a, err := s.opt.Auth.ChangeAccount(r.Context(), p.Tenant, r.PathValue("username"), to)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, accountChanged{true, accountOf(a), made})
	return nil
}

// keyReply is an API key as owners see it: without the key itself.
type keyReply struct {
	ID            string               `json:"id"`
	Name          string               `json:"name"`
	Role          tandem.PrincipalRole `json:"role"`
	Workflow      *string              `json:"workflow"`
	Subject       *string              `json:"subject"`
	Rate          *rateReply           `json:"rate"` // null: the default of its role
	CreatedAt     string               `json:"createdAt"`
	ExpiresAt     *string              `json:"expiresAt"`
	RevokedAt     *string              `json:"revokedAt"`
	SeenInBrowser *string              `json:"seenInBrowser"` // the last day
}

type rateReply struct {
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
}

func keyOf(k auth.Key) keyReply {
	out := keyReply{
		ID: k.ID, Name: k.Name, Role: k.Role, Workflow: orNull(k.Workflow), Subject: orNull(k.Subject),
		CreatedAt: stamp(k.Created), ExpiresAt: stampOrNull(k.Expires), RevokedAt: stampOrNull(k.Revoked),
	}
	if k.Rate.N > 0 {
		out.Rate = &rateReply{k.Rate.N, k.Rate.Per.Seconds()}
	}
	if !k.Seen.IsZero() {
		out.SeenInBrowser = orNull(k.Seen.UTC().Format(time.DateOnly))
	}
	return out
}

type keyList struct {
	Success bool       `json:"success"`
	Keys    []keyReply `json:"keys"`
}

// keys lists the tenant's API keys, revoked and expired ones too.
func (s *Server) keys(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	list, err := s.opt.Auth.ListKeys(r.Context(), p.Tenant)
	if err != nil {
		return err
	}
	out := keyList{true, make([]keyReply, len(list))}
	for i, k := range list {
		out.Keys[i] = keyOf(k)
	}
	reply(w, http.StatusOK, out)
	return nil
}

type keyRequest struct {
	Name       string               `json:"name"`
	Role       tandem.PrincipalRole `json:"role"`
	Workflow   string               `json:"workflow"`
	Subject    string               `json:"subject"`
	TTLSeconds int64                `json:"ttlSeconds"`
	Rate       *rateReply           `json:"rate"`
}

type keyMade struct {
	Success bool     `json:"success"`
	Key     keyReply `json:"key"`
	Secret  string   `json:"secret"` // the key itself, shown this once
}

// maxSeconds is the longest time that fits into a number of nanoseconds.
const maxSeconds = math.MaxInt64 / int64(time.Second)

// addKey makes an API key of the tenant.
func (s *Server) addKey(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in keyRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	if in.TTLSeconds < 0 || in.TTLSeconds > maxSeconds {
		return tandem.Errorf(tandem.Invalid, "ttlSeconds is out of range")
	}
	rate := tandem.Rate{}
	if in.Rate != nil {
		rate = tandem.Rate{N: in.Rate.Requests, Per: time.Duration(in.Rate.Seconds * float64(time.Second))}
		if rate.N < 1 || !(in.Rate.Seconds > 0 && in.Rate.Seconds <= 24*60*60) {
			return tandem.Errorf(tandem.Invalid, "rate needs requests, at least 1, and seconds, at most a day")
		}
	}
	secret, k, err := s.opt.Auth.CreateKey(r.Context(), auth.KeyRequest{
		Tenant: p.Tenant, Name: in.Name, Role: in.Role, Workflow: in.Workflow, Subject: in.Subject,
		TTL: time.Duration(in.TTLSeconds) * time.Second, Rate: rate, By: p,
	})
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, keyMade{true, keyOf(k), secret.Reveal()})
	return nil
}

// revokeKey takes an API key of the tenant back.
func (s *Server) revokeKey(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	if err := s.opt.Auth.Revoke(r.Context(), p.Tenant, auth.Revoke{Key: r.PathValue("id"), By: p}); err != nil {
		return err
	}
	reply(w, http.StatusOK, done{true})
	return nil
}

type tenantReply struct {
	Name      string `json:"name"`
	CreatedAt string `json:"createdAt"`
}

type tenantList struct {
	Success bool          `json:"success"`
	Tenants []tenantReply `json:"tenants"`
}

// tenants lists all tenants, to owners of the default one.
func (s *Server) tenants(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	list, err := s.opt.Auth.Tenants(r.Context(), p)
	if err != nil {
		return err
	}
	out := tenantList{true, make([]tenantReply, len(list))}
	for i, t := range list {
		out.Tenants[i] = tenantReply{t.Name, stamp(t.Created)}
	}
	reply(w, http.StatusOK, out)
	return nil
}

type tenantRequest struct {
	Name  string         `json:"name"`
	Owner accountRequest `json:"owner"`
}

type tenantMade struct {
	Success  bool         `json:"success"`
	Tenant   string       `json:"tenant"`
	Owner    accountReply `json:"owner"`
	Password *string      `json:"password,omitempty"` // that was made, shown this once
}

// addTenant makes a tenant and its first owner.
func (s *Server) addTenant(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in tenantRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	in.Owner.ResetPassword = in.Owner.ResetPassword || in.Owner.Password == nil
	password, made, err := in.Owner.password()
	if err != nil {
		return err
	}
	a, err := s.opt.Auth.CreateTenant(r.Context(), p, in.Name, auth.AccountRequest{
		Username: in.Owner.Username, Email: or(in.Owner.Email), Name: or(in.Owner.Name), Password: *password,
	})
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, tenantMade{true, a.Tenant, accountOf(a), made})
	return nil
}
