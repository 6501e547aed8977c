package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// ownPrefix begins the kid of our own secrets.
const ownPrefix = "own_"

// MintRequest says what a new token is to be.
type MintRequest struct {
	Tenant   string // made if it does not exist; empty: the default one
	Subject  string // no account is needed
	Role     tandem.PrincipalRole
	Workflow string // not empty: only this workflow
	Session  string // not empty: only this session
	Name     string // display name
	Email    string
	TTL      time.Duration // zero: Options.TokenTTL; at most MaxAge

	Workflows []string // not none: only these, of a person who serves several
}

// Token is a new token of our own.
type Token struct {
	Token   Secret
	ID      string // its jti
	Expires time.Time
}

// Mint makes a token. It makes the tenant if need be, so the caller decides
// whether it may. Errors are of kind Invalid.
func (a *Auth) Mint(ctx context.Context, r MintRequest) (Token, error) {
	if r.Tenant == "" {
		r.Tenant = a.opt.DefaultTenant
	}
	if r.TTL == 0 {
		r.TTL = a.opt.TokenTTL
	}
	r.Workflow = tandem.ParseWorkflow(r.Tenant, r.Workflow)
	if err := r.check(); err != nil {
		return Token{}, err
	}
	if r.Role == tandem.Participant {
		r.Subject = strings.ToLower(r.Subject)
	}
	if err := a.opt.Store.EnsureTenant(ctx, r.Tenant); err != nil {
		return Token{}, err
	}
	return a.mint(ctx, r)
}

// mint makes the token that a complete request asks for.
func (a *Auth) mint(ctx context.Context, r MintRequest) (Token, error) {
	c := claims{"sub": r.Subject, "tenant": r.Tenant, "role": string(r.Role)}
	for name, value := range map[string]string{"workflow": r.Workflow, "session": r.Session, "name": r.Name, "email": r.Email} {
		if value != "" {
			c[name] = value
		}
	}
	if len(r.Workflows) > 0 {
		c["workflows"] = r.Workflows
	}
	now := a.opt.Clock()
	return a.sign(ctx, c, now, now.Add(r.TTL))
}

func (r MintRequest) check() error {
	if _, err := tandem.ParseRole(string(r.Role)); err != nil {
		return err
	}
	if r.Subject == "" {
		return tandem.Errorf(tandem.Invalid, "subject is required")
	}
	if r.TTL < time.Second || r.TTL > MaxAge {
		return tandem.Errorf(tandem.Invalid, "a token lives from 1 second to %d days", MaxAge/(24*time.Hour))
	}
	if err := checkNames(r.Workflow, r.Subject, r.Name); err != nil {
		return err
	}
	if err := tandem.ValidLabel("session", r.Session); err != nil {
		return err
	}
	if _, err := workflowList(r.Tenant, r.Workflows); err != nil {
		return err
	}
	return tandem.ValidLabel("email", r.Email)
}

// Refresh renews one of our own tokens, of which Authenticate made p: the same
// claims, a jti of its own, and the same length of life from now on, but never
// past MaxAge after its bearer first came. The old token stays good until its own
// end. Anything else than a token of ours is Forbidden; one that was revoked or
// has expired is Unauthorized. A subject's revocation also reaches the tokens
// renewed from earlier ones.
func (a *Auth) Refresh(ctx context.Context, p tandem.Principal) (Token, error) {
	if p.Kind != tandem.CredentialJWT || p.Signer == "" {
		return Token{}, tandem.Errorf(tandem.Forbidden, "only this server's own tokens can be renewed")
	}
	if err := a.Recheck(ctx, p); err != nil {
		return Token{}, err
	}
	old := claims(p.Claims)
	iat, err := old.time("iat")
	if err != nil {
		return Token{}, err
	}
	exp, err := old.time("exp")
	if err != nil {
		return Token{}, err
	}
	now := a.opt.Clock()
	ends := now.Add(exp.Sub(iat))
	if last := p.Issued.Add(MaxAge); ends.After(last) {
		ends = last
	}
	if !ends.After(now) {
		return Token{}, refuse(ReasonExpired, "its bearer must sign in again")
	}
	c := maps.Clone(old)
	c["auth_time"] = numericDate(p.Issued)
	return a.sign(ctx, c, now, ends)
}

// sign completes the claims and signs them with the current secret.
func (a *Auth) sign(ctx context.Context, c claims, now, ends time.Time) (Token, error) {
	k, err := a.currentSecret(ctx)
	if err != nil {
		return Token{}, err
	}
	ends = ends.UTC().Truncate(time.Second)
	t := Token{ID: tandem.NewID("", now), Expires: ends}
	c["iss"], c["jti"] = a.opt.PublicURL, t.ID
	c["iat"], c["exp"] = numericDate(now), json.Number(fmt.Sprint(ends.Unix()))
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(c))
	token.Header["kid"] = k.ID
	signed, err := token.SignedString(k.Bytes)
	t.Token = Secret(signed)
	return t, err
}

// numericDate writes t to the microsecond (RFC 7519 section 2 allows it), so that
// what was made just before a revocation differs from what was made just after.
func numericDate(t time.Time) json.Number {
	n := t.UnixMicro()
	return json.Number(fmt.Sprintf("%d.%06d", n/1e6, n%1e6))
}

// RotateSecret makes a new secret that signs from now on, and returns its kid.
// What the old one has signed stays good for keep (at most as long as it would
// have been anyway). With keep 0 every token of ours ends at once, here and on
// every node: for a secret that was seen.
func (a *Auth) RotateSecret(ctx context.Context, keep time.Duration) (kid string, err error) {
	if keep < 0 {
		return "", tandem.Errorf(tandem.Invalid, "the time to keep the old secret cannot be negative")
	}
	var until time.Time
	if keep > 0 {
		until = a.opt.Clock().Add(keep)
	}
	k, err := a.opt.Store.RotateSigningKey(ctx, until)
	if err != nil {
		return "", err
	}
	return k.ID, a.changed(ctx)
}

// currentSecret returns the secret that signs. The first who needs it makes it.
func (a *Auth) currentSecret(ctx context.Context) (store.SigningKey, error) {
	if err := a.fresh(ctx); err != nil {
		return store.SigningKey{}, err
	}
	a.mu.RLock()
	k, known := a.secrets[a.current]
	rev := a.rev
	a.mu.RUnlock()
	if known {
		return k, nil
	}
	k, err := a.opt.Store.SigningKey(ctx)
	if err != nil {
		return k, err
	}
	a.remember(k, rev)
	return k, nil
}

// ownKeys returns our own secret with this kid, if it is (still) good.
func (a *Auth) ownKeys(ctx context.Context, kid, alg string) ([]verifyKey, error) {
	if alg != algHS256 {
		return nil, nil
	}
	if err := a.fresh(ctx); err != nil {
		return nil, err
	}
	a.mu.RLock()
	k, known := a.secrets[kid]
	rev := a.rev
	a.mu.RUnlock()
	if !known {
		var err error
		k, err = a.opt.Store.SigningKeyByID(ctx, kid)
		if tandem.KindOf(err) == tandem.NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		a.remember(k, rev)
	}
	if !k.Current && a.expired(k.Until) {
		return nil, nil
	}
	return []verifyKey{{id: kid, alg: algHS256, key: k.Bytes}}, nil
}

// remember keeps a secret that was read when the revision was rev: not if it has
// changed since, because then the secret may have been given up.
func (a *Auth) remember(k store.SigningKey, rev int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rev != rev {
		return
	}
	a.secrets[k.ID] = k
	if k.Current {
		a.current = k.ID
	}
}
