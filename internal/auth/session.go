package auth

import (
	"context"

	tandem "github.com/seed4677ff1f/tandem"
)

// judgeSession judges the id of a session as a credential: a back end may make a
// session whose id is one. It stands for the session's user, for this session. It
// is looked up by its hash, as a key is; whether the session was ended is not asked
// here, since its time goes on.
func (a *Auth) judgeSession(ctx context.Context, id string) (tandem.Principal, error) {
	s, err := a.opt.Store.Capability(ctx, id)
	switch {
	case err != nil:
		return tandem.Principal{}, err
	case s == nil:
		return tandem.Principal{}, refuse(ReasonNone, "no credential, and no session whose id is one")
	case !a.opt.Clock().Before(s.Expires): // no leeway: it is no token of another clock
		return tandem.Principal{}, refuse(ReasonExpired, "the session has expired")
	}
	p := tandem.Principal{
		Tenant: s.Address.Tenant, Subject: s.User, Role: tandem.Participant,
		Kind: tandem.CredentialSession, ID: s.Address.ThreadID(), Issued: s.Created,
	}
	return p, a.Recheck(ctx, p)
}
