package auth

import (
	"context"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// textLogin is what everybody is told who does not get in: not whether the name,
// the password, or an account that is disabled was the reason.
const textLogin = "Invalid username or password"

// LoginRequest is what somebody says who signs in.
type LoginRequest struct {
	Tenant   string // empty: the default one
	Name     string // username or e-mail address; letter case does not matter
	Password Secret
	From     string // address, for the audit

	// Try is asked before the password is looked at, with the account that it
	// would open, or with what was said in its place if there is none; the tenant
	// is empty if it cannot be one. Its error ends the attempt.
	Try func(tenant, account string) error
}

// SignedIn is who has signed in, with the new token.
type SignedIn struct {
	Token
	Account Account
}

// Login signs an account in by its password. Whatever is wrong, the error is the
// same, of kind Unauthorized, and costs the same: a name that does not exist, a
// wrong password, a disabled account, an account without a password. Other
// errors: what Try says; Unavailable if too many sign in at once.
func (a *Auth) Login(ctx context.Context, r LoginRequest) (SignedIn, error) {
	if r.Tenant == "" {
		r.Tenant = a.opt.DefaultTenant
	}
	if tandem.ValidLabel("", r.Name) != nil || !tandem.ValidTenant(r.Tenant) {
		r.Tenant, r.Name = "", "" // nobody is called so; and no counter shall remember it
	}
	r.Name = strings.ToLower(r.Name) // after ValidLabel, because it hides invalid UTF-8
	found, err := a.opt.Store.Account(ctx, r.Tenant, r.Name)
	switch {
	case err == nil:
		r.Name = found.Username
	case tandem.KindOf(err) != tandem.NotFound:
		return SignedIn{}, err
	}
	if err := r.Try(r.Tenant, r.Name); err != nil {
		return SignedIn{}, err
	}
	matches, err := a.hasher.matches(ctx, r.Password, found.Password)
	if err != nil {
		return SignedIn{}, err
	}
	if !matches || !found.Disabled.IsZero() {
		return SignedIn{}, a.noLogin(ctx, found, r)
	}
	by := Audit{Tenant: found.Tenant, Principal: found.Username, Role: found.Role, Credential: tandem.CredentialPassword, Action: "login", From: r.From}
	in, err := a.signIn(ctx, found, by)
	if tandem.KindOf(err) == tandem.NotFound {
		return SignedIn{}, a.noLogin(ctx, found, r) // it changed in this moment
	}
	return in, err
}

// signIn makes the token of an account as it was just read. The store then says
// whether it still is so: whoever changes an account takes back what was made
// until then, so a token made of the old account cannot outlive the change.
// NotFound if it is not so any more.
func (a *Auth) signIn(ctx context.Context, of Account, by Audit) (SignedIn, error) {
	token, err := a.mint(ctx, mintRequest(of, a.opt.TokenTTL))
	if err != nil {
		return SignedIn{}, err
	}
	if err := a.opt.Store.SignIn(ctx, of, by); err != nil {
		return SignedIn{}, err
	}
	of.Password = ""
	return SignedIn{token, of}, nil
}

// Logout takes back the token that p came with, and the tickets made from it. An
// API key is nobody's session: Invalid.
func (a *Auth) Logout(ctx context.Context, p tandem.Principal) error {
	if p.Kind != tandem.CredentialJWT {
		return tandem.Errorf(tandem.Invalid, "only a token can be logged out; an API key is revoked by an owner")
	}
	until := a.forgetAfter()
	by := auditOf(p, p.Tenant, "logout")
	by.Object = p.ID
	if err := a.opt.Store.Revoke(ctx, store.Revocation{What: store.RevokedJTI, Tenant: p.Tenant, Name: p.ID, Until: until}, by); err != nil {
		return err
	}
	return a.changed(ctx)
}

// Administers returns nil if p administers its tenant: an owner, whose credential
// is not narrowed to a part of it, since what it could make would not be.
func Administers(p tandem.Principal) error {
	if p.Role != tandem.Owner || p.Workflow != "" || p.Session != "" || len(p.Workflows) > 0 {
		return tandem.Errorf(tandem.Forbidden, "For owners only.")
	}
	return nil
}

// noLogin writes down that somebody did not get in, if the tenant exists, and
// refuses. What was said in the place of a name is not written down: sometimes it
// is the password.
func (a *Auth) noLogin(ctx context.Context, found Account, r LoginRequest) error {
	a.opt.Metric.Auth.Failures.Of(string(ReasonPassword)).Inc()
	err := a.opt.Store.Audit(ctx, Audit{
		Tenant: r.Tenant, Principal: found.Username, Role: found.Role, Credential: tandem.CredentialPassword, Action: "login-failed", From: r.From,
	})
	if err != nil && tandem.KindOf(err) != tandem.NotFound {
		return err
	}
	return &tandem.Error{Kind: tandem.Unauthorized, Message: textLogin, Err: &refusal{ReasonPassword, "no account with this name and password that may sign in"}}
}
