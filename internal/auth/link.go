package auth

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// linkPrefix begins the codes of links.
const linkPrefix = "ln-"

// OwnerLinkTTL is how long the link of a server without accounts is good.
const OwnerLinkTTL = time.Hour

// ownerSubject is whom the link of a server without accounts signs in.
const ownerSubject = "owner"

// textLink is what is told of every link that is not good, whatever the reason.
const textLink = "This link is not good, or not any more."

// LinkRequest says what a new link is to be.
type LinkRequest struct {
	Tenant   string
	Username string // the account that it signs in
	TTL      time.Duration
	Once     bool // its first use is its last
	Local    bool // from this machine only
}

// CreateLink makes a link that signs an account in, and returns its code: it is
// kept nowhere and can never be shown again. NotFound if there is no such account.
func (a *Auth) CreateLink(ctx context.Context, r LinkRequest) (Secret, error) {
	of, err := a.Account(ctx, r.Tenant, r.Username)
	if err != nil {
		return "", err
	}
	return a.addLink(ctx, store.Link{Tenant: of.Tenant, Username: of.Username, Once: r.Once, Local: r.Local}, r.TTL)
}

// OwnerLink makes the link that signs the first owner of a tenant in, once,
// within an hour, so that accounts can be made; one made before is void. It is
// void, too, from the moment in which the tenant has an owner's account. If there
// is any account already, of whatever tenant, no link is made and the code is
// empty.
func (a *Auth) OwnerLink(ctx context.Context, tenant string) (Secret, error) {
	if is, err := a.opt.Store.AnyAccount(ctx); is || err != nil {
		return "", err
	}
	return a.addLink(ctx, store.Link{Tenant: tenant, Once: true}, OwnerLinkTTL)
}

func (a *Auth) addLink(ctx context.Context, l store.Link, ttl time.Duration) (Secret, error) {
	if ttl <= 0 || ttl > MaxAge {
		return "", tandem.Errorf(tandem.Invalid, "a link lives up to %d days", MaxAge/(24*time.Hour))
	}
	now := a.opt.Clock().UTC()
	l.ID, l.Created, l.Expires = tandem.NewID("link_", now), now, now.Add(ttl)
	code, hash := newSecret(linkPrefix)
	if err := a.opt.Store.AddLink(ctx, l, hash); err != nil {
		return "", err
	}
	return code, nil
}

// FollowLink signs in whom a link signs in. local says that the request comes
// from this machine, from its address, for the audit. Whatever is wrong, the error
// is the same, of kind Unauthorized.
func (a *Auth) FollowLink(ctx context.Context, code Secret, local bool, from string) (SignedIn, error) {
	l, err := a.link(ctx, code, local)
	if err != nil {
		return SignedIn{}, a.noLink(err)
	}
	of := Account{Tenant: l.Tenant, Username: ownerSubject, Name: "Owner", Role: tandem.Owner}
	if l.Username != "" {
		if of, err = a.opt.Store.Account(ctx, l.Tenant, l.Username); err != nil {
			return SignedIn{}, a.noLink(err)
		}
	}
	token, err := a.mint(ctx, mintRequest(of, a.opt.TokenTTL))
	if err != nil {
		return SignedIn{}, err
	}
	by := Audit{Tenant: l.Tenant, Principal: of.Username, Role: of.Role, Credential: tandem.CredentialLink, Action: "link", Object: l.ID, From: from}
	if err := a.opt.Store.FollowLink(ctx, l, of, by); err != nil {
		return SignedIn{}, a.noLink(err)
	}
	of.Password = ""
	return SignedIn{token, of}, nil
}

// link returns the link with this code, if it is good here and now: NotFound
// otherwise.
func (a *Auth) link(ctx context.Context, code Secret, local bool) (store.Link, error) {
	if s := code.Reveal(); !strings.HasPrefix(s, linkPrefix) || len(s) > maxCredential {
		return store.Link{}, tandem.Errorf(tandem.NotFound, "not the code of a link")
	}
	l, err := a.opt.Store.LinkByHash(ctx, sha256.Sum256([]byte(code.Reveal())))
	if err == nil && (l.Local && !local || !a.opt.Clock().Before(l.Expires)) {
		err = tandem.Errorf(tandem.NotFound, "the link is not good here and now")
	}
	return l, err
}

// noLink refuses if err says that there is no such link or account, in one
// sentence for all reasons.
func (a *Auth) noLink(err error) error {
	if tandem.KindOf(err) != tandem.NotFound {
		return err
	}
	a.opt.Metric.Auth.Failures.Of(string(ReasonUnknown)).Inc()
	return &tandem.Error{Kind: tandem.Unauthorized, Message: textLink, Err: &refusal{ReasonUnknown, "no such link"}}
}
