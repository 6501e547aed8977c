package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// keyIDPrefix begins the ids of API keys, and of no token.
const keyIDPrefix = "key_"

// Key is an API key without its secret.
type Key = store.Key

// KeyRequest says what a new API key is to be.
type KeyRequest struct {
	Tenant   string // made if it does not exist
	Name     string // for people to know it by; empty: its id
	Role     tandem.PrincipalRole
	Workflow string        // not empty: only this workflow
	Subject  string        // whose, for role participant; empty for the others
	Rate     tandem.Rate   // zero: the default of its role
	TTL      time.Duration // zero: it does not expire

	By tandem.Principal // who makes it; zero: a command
}

// CreateKey makes an API key. The Secret is the key itself: it is kept nowhere
// and can never be shown again. It makes the tenant if need be, so the caller
// decides whether it may. Errors are of kind Invalid.
func (a *Auth) CreateKey(ctx context.Context, r KeyRequest) (Secret, Key, error) {
	now := a.opt.Clock().UTC()
	k := Key{
		ID: tandem.NewID(keyIDPrefix, now), Tenant: r.Tenant, Name: r.Name, Role: r.Role, Rate: r.Rate,
		Workflow: tandem.ParseWorkflow(r.Tenant, r.Workflow), Subject: r.Subject, Created: now,
	}
	if k.Name == "" {
		k.Name = k.ID
	}
	if r.TTL > 0 {
		k.Expires = now.Add(r.TTL)
	}
	if err := checkKey(k, r.TTL); err != nil {
		return "", Key{}, err
	}
	k.Subject = strings.ToLower(k.Subject)
	if err := a.opt.Store.EnsureTenant(ctx, k.Tenant); err != nil {
		return "", Key{}, err
	}
	secret, hash := newSecret(keyPrefix)
	if err := a.opt.Store.AddKey(ctx, k, hash, auditOf(r.By, k.Tenant, "key-create")); err != nil {
		return "", Key{}, err
	}
	return secret, k, nil
}

func checkKey(k Key, ttl time.Duration) error {
	if _, err := tandem.ParseRole(string(k.Role)); err != nil {
		return err
	}
	if (k.Role == tandem.Participant) != (k.Subject != "") {
		return tandem.Errorf(tandem.Invalid, "a key of role participant needs a subject, and only such a key has one")
	}
	if ttl < 0 || k.Rate.N < 0 || (k.Rate.N > 0 && k.Rate.Per < time.Millisecond) {
		return tandem.Errorf(tandem.Invalid, "lifetime and rate cannot be negative")
	}
	return checkNames(k.Workflow, k.Subject, k.Name)
}

// checkNames checks the names that a new credential would carry.
func checkNames(workflow, subject, name string) error {
	if strings.HasPrefix(workflow, tandem.ReservedPrefix) {
		return tandem.Errorf(tandem.Invalid, "workflow names that begin with %q are reserved", tandem.ReservedPrefix)
	}
	for _, f := range []struct{ what, value string }{{"workflow", workflow}, {"subject", subject}, {"name", name}} {
		if err := tandem.ValidLabel(f.what, f.value); err != nil {
			return err
		}
	}
	return nil
}

// newSecret makes a credential of 256 random bits, and what is stored of it.
func newSecret(prefix string) (Secret, tandem.Hash) {
	b := make([]byte, 32)
	rand.Read(b)
	s := prefix + base64.RawURLEncoding.EncodeToString(b)
	return Secret(s), sha256.Sum256([]byte(s))
}

// ListKeys lists a tenant's keys (all tenants' if empty), oldest first, revoked
// and expired ones too.
func (a *Auth) ListKeys(ctx context.Context, tenant string) ([]Key, error) {
	return a.opt.Store.Keys(ctx, tenant)
}

// judgeKey looks a key up by its hash: a lookup whose time tells nothing about
// the key itself.
func (a *Auth) judgeKey(ctx context.Context, cred Presented) (tandem.Principal, error) {
	k, err := a.opt.Store.KeyByHash(ctx, cred.hash())
	if err := a.keyStanding(k, err); err != nil {
		return tandem.Principal{}, err
	}
	if cred.Page && (k.Role == tandem.Agent || k.Role == tandem.Owner) {
		a.noteBrowser(ctx, k)
	}
	p := tandem.Principal{
		Tenant: k.Tenant, Subject: k.Subject, Role: k.Role, Workflow: k.Workflow, Rate: k.Rate,
		Kind: tandem.CredentialKey, ID: k.ID, Issued: k.Created, Expires: k.Expires,
	}
	if p.Subject == "" {
		p.Subject = k.Name
	}
	if k.Role == tandem.Agent && k.Name != k.ID {
		p.Name = k.Name // who made the key said what people know it by
	}
	return p, nil
}

// keyStanding judges a key that the store returned with err.
func (a *Auth) keyStanding(k Key, err error) error {
	switch {
	case tandem.KindOf(err) == tandem.NotFound:
		return refuse(ReasonUnknown, "no such key")
	case err != nil:
		return err
	case !k.Revoked.IsZero():
		return refuse(ReasonRevoked, "the key was revoked")
	case a.expired(k.Expires):
		return refuse(ReasonExpired, "the key has expired")
	}
	return nil
}

// noteBrowser notes, once a day, that a key which can do much was seen in a page,
// where everybody who looks can read it.
func (a *Auth) noteBrowser(ctx context.Context, k Key) {
	now := a.opt.Clock()
	if now.Sub(k.Seen) < 24*time.Hour {
		return
	}
	first, err := a.opt.Store.SeenInBrowser(ctx, k.ID, now)
	if err != nil {
		a.opt.Log.Debug("cannot note that a key was seen in a browser", "key", k.ID, "err", err)
		return
	}
	if first {
		a.opt.Log.Warn("a key of role "+string(k.Role)+" is used by a web page, where anybody can read it; make one with --role participant --subject", "key", k.ID, "tenant", k.Tenant)
	}
}
