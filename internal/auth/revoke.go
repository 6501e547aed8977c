package auth

import (
	"context"
	"strconv"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// pollEvery is how old what is remembered of the store's revocations may be.
const pollEvery = time.Second

// trimEvery is how often Run throws away what has expired.
const trimEvery = time.Hour

// revocations are what was taken back, by what they name.
type revocations map[revocationKey]store.Revocation

type revocationKey struct{ what, tenant, name string }

// cover reports whether one of them takes p back: its token, key or signing
// secret, the one that its ticket was made with, or all that its subject had been
// given by then. Of tokens from elsewhere, whose clock may differ, leeway more.
func (r revocations) cover(p tandem.Principal, leeway time.Duration) bool {
	if len(r) == 0 {
		return false
	}
	id, what, key := p.ID, store.RevokedJTI, fromKey(p)
	if p.Kind == tandem.CredentialTicket {
		id = p.Parent
	}
	if key {
		what = store.RevokedKey
	}
	if _, is := r[revocationKey{what, p.Tenant, id}]; is {
		return true
	}
	if _, is := r[revocationKey{store.RevokedSecret, "", p.Signer}]; is && p.Signer != "" {
		return true
	}
	if key && p.Role != tandem.Participant {
		return false // its subject is the name of a key, not somebody
	}
	s, is := r[revocationKey{store.RevokedSubject, p.Tenant, strings.ToLower(p.Subject)}]
	issued := p.Issued
	if p.Signer == "" && !key {
		issued = issued.Add(-leeway)
	}
	return is && !issued.After(s.At)
}

// fromKey reports whether p's credential is an API key, or a ticket made from one.
func fromKey(p tandem.Principal) bool {
	return p.Kind == tandem.CredentialKey || (p.Kind == tandem.CredentialTicket && strings.HasPrefix(p.Parent, keyIDPrefix))
}

// Revoke says what to take back: one of JTI, Subject and Key.
type Revoke struct {
	JTI     string // one token, with the tickets made from it; a token renewed from it has a jti of its own
	Subject string // all that a subject was given until now: tokens, also renewed ones, tickets, links, a participant's keys; in any letter case
	Key     string // one API key by its id, with the tickets made from it

	By tandem.Principal // who does it; zero: a command
}

// Revoke takes something back in a tenant, for good; of a key the tenant may be
// empty: any. What is made later is good. Errors: Invalid; NotFound for a key or a
// tenant that there is not.
func (a *Auth) Revoke(ctx context.Context, tenant string, r Revoke) error {
	if r.Key != "" {
		err := a.opt.Store.RevokeKey(ctx, tenant, r.Key, a.forgetAfter(), auditOf(r.By, tenant, "key-revoke"))
		if err != nil {
			return err
		}
		return a.changed(ctx)
	}
	what, name := store.RevokedJTI, r.JTI
	if name == "" {
		what, name = store.RevokedSubject, r.Subject
	}
	if name == "" {
		return tandem.Errorf(tandem.Invalid, "jti or subject is required")
	}
	if err := tandem.ValidLabel(what, name); err != nil { // before ToLower, which hides invalid UTF-8
		return err
	}
	if what == store.RevokedSubject {
		name = strings.ToLower(name)
	}
	by := auditOf(r.By, tenant, "revoke")
	by.Object = name
	err := a.opt.Store.Revoke(ctx, store.Revocation{What: what, Tenant: tenant, Name: name, Until: a.forgetAfter()}, by)
	if err != nil {
		return err
	}
	return a.changed(ctx)
}

// RevokeToken is what a command does to take back one token by its jti.
func (a *Auth) RevokeToken(ctx context.Context, tenant, jti string) error {
	return a.Revoke(ctx, tenant, Revoke{JTI: jti})
}

// RevokeSubject is what a command does to take back all of a subject's.
func (a *Auth) RevokeSubject(ctx context.Context, tenant, subject string) error {
	return a.Revoke(ctx, tenant, Revoke{Subject: subject})
}

// RevokeKey is what a command does to take back a key.
func (a *Auth) RevokeKey(ctx context.Context, tenant, id string) error {
	return a.Revoke(ctx, tenant, Revoke{Key: id})
}

// forgetAfter is when a revocation made now cannot matter any more.
func (a *Auth) forgetAfter() time.Time { return a.opt.Clock().Add(MaxAge + time.Hour) }

// changed makes a change of revocations hold here at once, not at the next poll.
func (a *Auth) changed(ctx context.Context) error {
	err := a.poll(ctx)
	a.ring()
	return err
}

// ring wakes Run.
func (a *Auth) ring() {
	select {
	case a.bell <- struct{}{}:
	default:
	}
}

// fresh makes sure that what is remembered is at most a second old.
func (a *Auth) fresh(ctx context.Context) error {
	a.mu.RLock()
	age, never := a.opt.Clock().Sub(a.checked), a.checked.IsZero()
	a.mu.RUnlock()
	if !never && age >= 0 && age < pollEvery {
		return nil
	}
	return a.poll(ctx)
}

// poll reads revocations.rev, and what is new if it has changed.
func (a *Auth) poll(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.opt.Clock()
	rev, err := a.opt.Store.RevocationsRev(ctx)
	if err != nil {
		return err
	}
	if rev != a.rev {
		if rev < a.rev { // another database was put in its place
			a.forget()
		}
		list, err := a.opt.Store.Revocations(ctx, a.rev)
		if err != nil {
			return err
		}
		for _, r := range list {
			a.revoked[revocationKey{r.What, r.Tenant, r.Name}] = r
		}
		a.rev, a.current = rev, ""
		clear(a.secrets)
		clear(a.tenants)
	}
	a.checked = now
	return nil
}

// forget drops all that is remembered of the store; a.mu is held, or nobody else
// knows a yet.
func (a *Auth) forget() {
	a.rev, a.current = 0, ""
	a.revoked = revocations{}
	a.secrets = map[string]store.SigningKey{}
	a.tenants = map[string]bool{}
}

// since returns what was revoked after the revision seen, and the present one.
func (a *Auth) since(seen int64) (revocations, int64) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.rev == seen {
		return nil, seen
	}
	if a.rev < seen {
		seen = 0
	}
	found := revocations{}
	for k, r := range a.revoked {
		if r.Rev > seen {
			found[k] = r
		}
	}
	return found, a.rev
}

// A Tell is called when something was taken back: streams whose principal
// matches must end. match may be kept and called from any goroutine; reason is
// "revoked", or "access" if an issuer lost trust.
type Tell func(match func(tandem.Principal) bool, reason string)

// Run watches revocations.rev once a second until ctx ends, and tells what was
// taken back, be it here, by SetIssuers, or by a command on the same data folder.
// It also throws away, once an hour, what has expired. The server runs it once,
// for as long as it serves.
func (a *Auth) Run(ctx context.Context, tell Tell) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var seen int64
	var trimmed time.Time
	trusted := a.issuers.Load()
	failing := false
	for {
		err := a.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			a.opt.Log.Warn("cannot read what was revoked", "err", err)
		}
		failing = err != nil
		var found revocations
		if found, seen = a.since(seen); len(found) > 0 {
			tell(func(p tandem.Principal) bool { return found.cover(p, a.opt.Leeway) }, string(ReasonRevoked))
			a.tellOthers(ctx, found)
		}
		if now := a.issuers.Load(); now != trusted {
			trusted = now
			tell(func(p tandem.Principal) bool { return !a.trusts(p) }, "access")
		}
		if now := a.opt.Clock(); now.Sub(trimmed) >= trimEvery {
			trimmed = now
			a.trim(ctx, now)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-a.bell:
		}
	}
}

// tellOthers tells which of what was found are accounts that were disabled, and
// threads that were erased.
func (a *Auth) tellOthers(ctx context.Context, found revocations) {
	for k := range found {
		switch {
		case k.what == store.RevokedAccount && a.opt.Disabled != nil:
			a.opt.Disabled(ctx, k.tenant, k.name)
		case k.what == store.RevokedThread && a.opt.Erased != nil:
			if thread, err := strconv.ParseInt(k.name, 10, 64); err == nil {
				a.opt.Erased(ctx, thread)
			}
		}
	}
}

func (a *Auth) trim(ctx context.Context, now time.Time) {
	err := a.opt.Store.TrimCredentials(ctx, now, now.Add(-MaxAge))
	if err == nil {
		err = a.opt.Store.TrimAudit(ctx, now.AddDate(-store.AuditKept, 0, 0))
	}
	if err != nil {
		if ctx.Err() == nil {
			a.opt.Log.Warn("cannot trim credentials and the audit", "err", err)
		}
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, r := range a.revoked {
		if r.Until.Before(now) {
			delete(a.revoked, k)
		}
	}
}
