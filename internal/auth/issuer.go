package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
)

// An Issuer is somebody else whose tokens are accepted. Exactly one of JWKS,
// Secret and PublicKey says how they are verified, and with it the algorithms:
// HS256 with a secret, RS256, ES256 or EdDSA with a public key of that kind.
type Issuer struct {
	Issuer    string // the iss of its tokens, exactly
	JWKS      string // https URL of its key set (RFC 7517); http only on loopback
	Secret    Secret // 32 bytes or more
	PublicKey string // PEM, or a JWK or JWK set as JSON
	Audience  string // the aud that its tokens must have; empty: they must have none

	Tenant  string   // its only tenant, or
	Tenants []string // those that Claims.Tenant may name

	Roles  []tandem.PrincipalRole // the most it may grant; none: participant
	Claims Claims
}

// Claims are the names under which an issuer's tokens say things. An empty Role
// means that the role is not taken from the token; the others have defaults.
type Claims struct {
	Sub      string // default sub
	Name     string // default name
	Email    string // default email
	Tenant   string // default tenant; read only if the issuer has several
	Role     string // no default: then the role is participant, or the only one that may be granted
	Workflow string // default workflow
	Session  string // default session
}

// ownClaims are the names in the server's own tokens.
var ownClaims = Claims{Sub: "sub", Name: "name", Email: "email", Tenant: "tenant", Role: "role", Workflow: "workflow", Session: "session"}

// issuer is an Issuer made ready.
type issuer struct {
	Issuer
	keys []verifyKey // given ones
	jwks *jwks       // or where to get them
}

// find returns the keys that may verify a token with this kid and algorithm.
func (i *issuer) find(ctx context.Context, kid, alg string) ([]verifyKey, error) {
	if i.jwks != nil {
		return i.jwks.find(ctx, kid, alg)
	}
	return choose(i.keys, kid, alg), nil
}

// SetIssuers replaces the issuers, as at a reload of the configuration. If one
// cannot be used nothing changes, and the error says which and why. Key sets that
// are already known are kept. What an issuer may no longer grant ends, open
// streams too.
func (a *Auth) SetIssuers(list []Issuer) error {
	old := *a.issuers.Load()
	made := make(map[string]*issuer, len(list))
	for _, one := range list {
		is, err := a.newIssuer(one)
		if err != nil {
			return fmt.Errorf("issuer %q: %w", one.Issuer, err)
		}
		if made[one.Issuer] != nil {
			return fmt.Errorf("issuer %q: named twice", one.Issuer)
		}
		if before := old[one.Issuer]; before != nil && is.jwks != nil && before.JWKS == is.JWKS {
			is.jwks = before.jwks
		}
		made[one.Issuer] = is
	}
	a.issuers.Store(&made)
	a.ring()
	return nil
}

// trusts reports whether the issuer of p's token, if it is somebody else's, may
// still grant what p is.
func (a *Auth) trusts(p tandem.Principal) bool {
	if p.Signer != "" || fromKey(p) || p.Kind == tandem.CredentialSession {
		return true
	}
	is := (*a.issuers.Load())[p.Issuer]
	return is != nil && slices.Contains(is.Tenants, p.Tenant) && slices.Contains(is.Roles, p.Role)
}

func (a *Auth) newIssuer(in Issuer) (*issuer, error) {
	is := &issuer{Issuer: in}
	if in.Issuer == "" {
		return nil, errors.New("needs a name, the iss of its tokens")
	}
	if in.Issuer == a.opt.PublicURL {
		return nil, errors.New("is this server itself (public_url)")
	}
	if err := is.trust(); err != nil {
		return nil, err
	}
	return is, is.how(a.opt)
}

// trust checks what the issuer may grant, and fills in the defaults.
func (i *issuer) trust() error {
	if (i.Tenant == "") == (len(i.Tenants) == 0) {
		return errors.New("needs either tenant or tenants")
	}
	if i.Tenant != "" {
		i.Tenants = []string{i.Tenant}
	}
	for _, t := range i.Tenants {
		if !tandem.ValidTenant(t) {
			return fmt.Errorf("invalid tenant name %q", t)
		}
	}
	if len(i.Roles) == 0 {
		i.Roles = []tandem.PrincipalRole{tandem.Participant}
	}
	for _, r := range i.Roles {
		if _, err := tandem.ParseRole(string(r)); err != nil {
			return err
		}
	}
	if len(i.Roles) > 1 && i.Claims.Role == "" && !slices.Contains(i.Roles, tandem.Participant) {
		return errors.New("may grant several roles: claims.role must name the claim that says which")
	}
	role := i.Claims.Role
	i.Claims = i.Claims.or(ownClaims)
	i.Claims.Role = role
	return nil
}

// how prepares what verifies its tokens.
func (i *issuer) how(opt Options) (err error) {
	given := 0
	for _, set := range []bool{i.JWKS != "", i.Secret != "", i.PublicKey != ""} {
		if set {
			given++
		}
	}
	if given != 1 {
		return errors.New("needs exactly one of jwks, secret and public_key")
	}
	switch {
	case i.JWKS != "":
		if err := goodURL(i.JWKS); err != nil {
			return err
		}
		i.jwks = newJWKS(i.Issuer.Issuer, i.JWKS, opt)
	case i.Secret != "":
		secret := i.Secret.Reveal()
		if len(secret) < 32 {
			return errors.New("secret must have 32 bytes or more (RFC 7518, section 3.2)")
		}
		if strings.Contains(secret, "-----BEGIN ") {
			return errors.New("secret is a PEM file: give a public key as public_key")
		}
		i.keys = []verifyKey{{alg: algHS256, key: []byte(secret)}}
	default:
		if i.keys, err = parsePublicKey(i.PublicKey); err != nil {
			return fmt.Errorf("public_key: %w", err)
		}
	}
	return nil
}

// goodURL allows https, and http on this machine.
func goodURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return errors.New("jwks is not a URL")
	}
	if u.Scheme == "https" {
		return nil
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	if u.Scheme == "http" && (host == "localhost" || (ip != nil && ip.IsLoopback())) {
		return nil
	}
	return errors.New("jwks must be an https URL (http only on this machine)")
}

// or fills what c leaves empty from d.
func (c Claims) or(d Claims) Claims {
	for _, f := range []struct{ to, from *string }{
		{&c.Sub, &d.Sub},
		{&c.Name, &d.Name},
		{&c.Email, &d.Email},
		{&c.Tenant, &d.Tenant},
		{&c.Role, &d.Role},
		{&c.Workflow, &d.Workflow},
		{&c.Session, &d.Session},
	} {
		if *f.to == "" {
			*f.to = *f.from
		}
	}
	return c
}
