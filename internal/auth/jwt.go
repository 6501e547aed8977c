package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	tandem "github.com/seed4677ff1f/tandem"
)

// newParser checks form, algorithm and signature. What the claims mean, times
// included, is judged here, so that every refusal has its reason.
func newParser() *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods([]string{algHS256, algRS256, algES256, algEdDSA}),
		jwt.WithJSONNumber(),
		jwt.WithStrictDecoding(),
		jwt.WithoutClaimsValidation(),
	)
}

// judgeJWT verifies a token (RFC 7519) and reads who it stands for.
func (a *Auth) judgeJWT(ctx context.Context, raw string) (tandem.Principal, error) {
	var (
		from   *issuer // nil: the server itself
		signer string
		keyErr error // why there is no key: a store that cannot be read is no bad signature
	)
	c := claims{}
	_, err := a.parser.ParseWithClaims(raw, jwt.MapClaims(c), func(t *jwt.Token) (any, error) {
		var keys jwt.VerificationKeySet
		from, signer, keys, keyErr = a.keysFor(ctx, t, c)
		return keys, keyErr
	})
	switch {
	case keyErr != nil:
		return tandem.Principal{}, keyErr
	case errors.Is(err, jwt.ErrTokenMalformed):
		return tandem.Principal{}, refuse(ReasonMalformed, "not a JWT")
	case err != nil: // what the library says is left out: it may quote the token
		return tandem.Principal{}, refuse(ReasonSignature, "not signed, or not by its issuer")
	}
	p, err := a.principal(c, from)
	if err != nil {
		return tandem.Principal{}, err
	}
	if strings.HasPrefix(p.ID, keyIDPrefix) {
		return tandem.Principal{}, refuse(ReasonMalformed, "its jti has the form of a key's id")
	}
	p.Signer = signer
	if p.ID == "" {
		// Without a jti, what was signed is the name: the signature is no part of
		// it, because one text can have many valid ECDSA signatures.
		sum := sha256.Sum256([]byte(raw[:strings.LastIndexByte(raw, '.')]))
		p.ID = "jwt_" + hex.EncodeToString(sum[:16])
	}
	return p, nil
}

// keysFor finds who claims to have signed t, and the keys with which that can be
// verified. signer is the kid if it is one of our own, from the issuer otherwise.
// Only keys of the token's algorithm are ever returned.
func (a *Auth) keysFor(ctx context.Context, t *jwt.Token, c claims) (from *issuer, signer string, set jwt.VerificationKeySet, err error) {
	if _, has := t.Header["crit"]; has {
		return nil, "", set, refuse(ReasonMalformed, "has critical extensions, none of which we know") // RFC 7515 section 4.1.11
	}
	kid, isText := t.Header["kid"].(string)
	if _, has := t.Header["kid"]; has && !isText {
		return nil, "", set, refuse(ReasonMalformed, "kid is not a string")
	}
	iss, err := c.text("iss")
	if err != nil {
		return nil, "", set, err
	}
	var keys []verifyKey
	if from = (*a.issuers.Load())[iss]; from != nil {
		keys, err = from.find(ctx, kid, t.Method.Alg())
	} else if signer = kid; strings.HasPrefix(kid, ownPrefix) {
		keys, err = a.ownKeys(ctx, kid, t.Method.Alg())
	} else {
		err = refuse(ReasonIssuer, "nobody here trusts its issuer")
	}
	if err == nil && len(keys) == 0 {
		err = refuse(ReasonSignature, "its issuer has no such key for this algorithm")
	}
	for _, k := range keys {
		set.Keys = append(set.Keys, k.key)
	}
	return from, signer, set, err
}

// principal reads verified claims; from is nil for the server's own tokens.
func (a *Auth) principal(c claims, from *issuer) (tandem.Principal, error) {
	p := tandem.Principal{Kind: tandem.CredentialJWT, Claims: c}
	var err error
	if p.Issued, p.Expires, err = a.lifetime(c, from == nil); err != nil {
		return p, err
	}
	names := ownClaims
	if from != nil {
		names, p.Issuer = from.Claims, from.Issuer.Issuer
		if err := c.audience(from.Audience); err != nil {
			return p, err
		}
	}
	if p.Role, err = c.role(names.Role, from); err != nil {
		return p, err
	}
	if p.Tenant, err = c.tenant(names.Tenant, from, a.opt.DefaultTenant); err != nil {
		return p, err
	}
	for _, f := range []struct {
		to   *string
		name string
	}{{&p.Subject, names.Sub}, {&p.Workflow, names.Workflow}, {&p.Session, names.Session}, {&p.ID, "jti"}} {
		if *f.to, err = c.text(f.name); err != nil {
			return p, err
		}
	}
	if from == nil {
		if p.Workflows, err = c.list("workflows"); err != nil {
			return p, err
		}
	}
	p.Name, p.Email = c.display(names.Name), c.display(names.Email)
	return tidy(p)
}

// tidy brings the names of p into the one form that they have everywhere.
func tidy(p tandem.Principal) (tandem.Principal, error) {
	if p.Subject == "" {
		return p, refuse(ReasonMalformed, "names no subject")
	}
	if p.Role == tandem.Participant {
		p.Subject = strings.ToLower(p.Subject)
	}
	p.Workflow = tandem.ParseWorkflow(p.Tenant, p.Workflow)
	if strings.HasPrefix(p.Workflow, tandem.ReservedPrefix) {
		return p, refuse(ReasonMalformed, "names a reserved workflow")
	}
	return p, nil
}

// lifetime checks exp, nbf and iat, with leeway on both sides, and returns when
// the token's bearer signed in and when it ends at the latest: nothing is good
// for longer than MaxAge, because revocations are forgotten then.
func (a *Auth) lifetime(c claims, own bool) (issued, expires time.Time, err error) {
	var nbf time.Time
	for _, f := range []struct {
		to   *time.Time
		name string
	}{{&expires, "exp"}, {&nbf, "nbf"}, {&issued, "iat"}} {
		if *f.to, err = c.time(f.name); err != nil {
			return issued, expires, err
		}
	}
	now := a.opt.Clock()
	if now.Before(nbf.Add(-a.opt.Leeway)) || now.Before(issued.Add(-a.opt.Leeway)) {
		return issued, expires, refuse(ReasonNotYet, "not yet valid")
	}
	if own {
		// A renewed token remembers when its bearer first came.
		if first, err := c.time("auth_time"); err != nil || !first.IsZero() {
			issued = first
		}
	}
	switch {
	case expires.IsZero():
		return issued, expires, refuse(ReasonMalformed, "has no exp")
	case issued.IsZero() && expires.After(now.Add(MaxAge)):
		return issued, expires, refuse(ReasonMalformed, "has no iat and lives too long")
	case !issued.IsZero() && expires.After(issued.Add(MaxAge)):
		expires = issued.Add(MaxAge)
	}
	if a.expired(expires) {
		return issued, expires, refuse(ReasonExpired, "expired")
	}
	return issued, expires, nil
}

// claims are what a token says, numbers as they were written.
type claims map[string]any

// text reads a claim that names something; missing is empty. Whole numbers are
// taken as they are written, since some back ends number their users.
func (c claims) text(name string) (string, error) {
	var s string
	switch v := c[name].(type) {
	case nil:
		return "", nil
	case string:
		s = v
	case json.Number:
		if s = v.String(); strings.Trim(s, "0123456789") != "" {
			return "", refuse(ReasonMalformed, "a claim that must be text is a number")
		}
	default:
		return "", refuse(ReasonMalformed, "a claim that must be text is not")
	}
	if tandem.ValidLabel("", s) != nil {
		return "", refuse(ReasonMalformed, "a claim is too long or has control characters")
	}
	return s, nil
}

// list reads a claim that names several things; missing is none.
func (c claims) list(name string) ([]string, error) {
	if c[name] == nil {
		return nil, nil
	}
	all, ok := c[name].([]any)
	if !ok {
		return nil, refuse(ReasonMalformed, "a claim that must be a list is not")
	}
	var list []string
	for _, one := range all {
		s, ok := one.(string)
		if !ok || s == "" || tandem.ValidLabel("", s) != nil {
			return nil, refuse(ReasonMalformed, "a list has something that is no name")
		}
		list = append(list, s)
	}
	return list, nil
}

// display reads a claim that is only shown; one that cannot be shown is left out.
func (c claims) display(name string) string {
	s, ok := c[name].(string)
	if !ok || tandem.ValidLabel("", s) != nil {
		return ""
	}
	return s
}

// lastSecond is the end of the year 9999 in seconds since 1970: a later time is
// a mistake, such as milliseconds.
const lastSecond = 253402300799

// time reads a NumericDate (RFC 7519 section 2); missing is the zero time.
func (c claims) time(name string) (time.Time, error) {
	v, has := c[name]
	if !has || v == nil {
		return time.Time{}, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, refuse(ReasonMalformed, "a time is not a number")
	}
	f, err := n.Float64()
	if err != nil || f <= 0 || f > lastSecond {
		return time.Time{}, refuse(ReasonMalformed, "a time is out of range")
	}
	return time.UnixMicro(int64(math.Round(f * 1e6))).UTC(), nil
}

// audience checks aud. Without a configured one, a token that names any is for
// somebody else (RFC 7519 section 4.1.3).
func (c claims) audience(want string) error {
	var have []string
	switch v := c["aud"].(type) {
	case nil:
	case string:
		have = []string{v}
	case []any:
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return refuse(ReasonMalformed, "aud is not text")
			}
			have = append(have, s)
		}
	default:
		return refuse(ReasonMalformed, "aud is not text")
	}
	if (want == "") == (len(have) == 0) && (want == "" || slices.Contains(have, want)) {
		return nil
	}
	return refuse(ReasonAudience, "for somebody else")
}

// role reads the role, and holds it against what the issuer may grant. The
// server's own tokens must name one.
func (c claims) role(name string, from *issuer) (tandem.PrincipalRole, error) {
	said := ""
	if name != "" {
		var err error
		if said, err = c.text(name); err != nil {
			return "", err
		}
	}
	if said == "" && from != nil {
		if slices.Contains(from.Roles, tandem.Participant) {
			return tandem.Participant, nil
		}
		if len(from.Roles) == 1 {
			return from.Roles[0], nil
		}
	}
	role, err := tandem.ParseRole(said)
	if err != nil {
		return "", refuse(ReasonRole, "names no role that there is")
	}
	if from != nil && !slices.Contains(from.Roles, role) {
		return "", refuse(ReasonRole, "names a role that its issuer may not grant")
	}
	return role, nil
}

// tenant reads the tenant: an issuer's only one, or the one that the token names
// among the issuer's; of the server's own tokens the default one if they name none.
func (c claims) tenant(name string, from *issuer, none string) (string, error) {
	if from != nil && len(from.Tenants) == 1 {
		return from.Tenants[0], nil
	}
	said, err := c.text(name)
	if err != nil {
		return "", err
	}
	if from == nil && said == "" {
		return none, nil
	}
	if from != nil && !slices.Contains(from.Tenants, said) {
		return "", refuse(ReasonTenant, "names a tenant that is not its issuer's")
	}
	return said, nil
}
