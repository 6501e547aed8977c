// Package auth judges credentials: from a JWT, an API key or a ticket it makes a
// [tandem.Principal], or an error with a reason. It also makes credentials and
// takes them back.
//
// A request goes FromRequest, Authenticate. A stream then registers itself where
// it can be ended and calls Recheck once: what was revoked in between would
// otherwise be missed. Run tells of every later revocation, whoever made it, also
// a command on the same data folder.
package auth

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// MaxAge is how long any token is good at most, and how long a revocation is
// kept: so none is forgotten while it matters.
const MaxAge = 400 * 24 * time.Hour

// Options say what an Auth trusts. Zero durations mean the defaults.
type Options struct {
	Store         *store.Store
	Issuers       []Issuer      // whose tokens are accepted besides our own
	Leeway        time.Duration // for clocks that differ, at both ends of a lifetime: 5 s
	PublicURL     string        // iss of our own tokens; empty: "tandem"
	TokenTTL      time.Duration // of our own tokens: 12 h
	TicketTTL     time.Duration // how long an unused ticket is good: 60 s
	DefaultTenant string        // of our own tokens that name none: "default"
	Clock         tandem.Clock  // nil: time.Now
	Metric        *metric.Set   // nil: none
	Log           *slog.Logger  // nil: none
	HTTPClient    *http.Client  // fetches key sets; nil: a plain one

	// Disabled is called by Run for each account that is disabled when Run begins,
	// and within a second for each that becomes so, also by a command on the same
	// data folder. It must not take long; nil: nobody asks.
	Disabled func(ctx context.Context, tenant, username string)

	// Erased is called by Run for each thread that was erased, here or by a command
	// on the same data folder, by the number of its row; nil: nobody is told.
	Erased func(ctx context.Context, thread int64)
}

// Auth judges credentials. Its methods may be called from any goroutine. It
// holds nothing that must be closed.
type Auth struct {
	opt     Options
	parser  *jwt.Parser
	issuers atomic.Pointer[map[string]*issuer] // by iss; replaced as a whole
	bell    chan struct{}                      // wakes Run when something was taken back here
	hasher  hasher                             // of passwords

	mu      sync.RWMutex // guards what follows: what is remembered of the store
	checked time.Time    // when revocations.rev was read; zero: never
	rev     int64        // as it was then
	revoked revocations
	secrets map[string]store.SigningKey // our own, by kid
	current string                      // kid of the one that signs; empty: not known
	tenants map[string]bool             // those that exist
}

// New returns an Auth. The error names the issuer that cannot be used.
func New(opt Options) (*Auth, error) {
	for _, d := range []struct {
		to   *time.Duration
		zero time.Duration
	}{{&opt.Leeway, 5 * time.Second}, {&opt.TokenTTL, 12 * time.Hour}, {&opt.TicketTTL, time.Minute}} {
		if *d.to == 0 {
			*d.to = d.zero
		}
	}
	if opt.PublicURL == "" {
		opt.PublicURL = "tandem"
	}
	if opt.DefaultTenant == "" {
		opt.DefaultTenant = "default"
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Metric == nil {
		opt.Metric = metric.Discard()
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.HTTPClient == nil {
		opt.HTTPClient = &http.Client{}
	}
	a := &Auth{opt: opt, parser: newParser(), bell: make(chan struct{}, 1), hasher: newHasher()}
	a.forget()
	a.issuers.Store(&map[string]*issuer{})
	return a, a.SetIssuers(opt.Issuers)
}

// Purpose is what a credential is presented for. Tickets are for one purpose.
type Purpose string

// The purposes.
const (
	Request Purpose = "request" // an ordinary request: no ticket is good for it
	Stream  Purpose = "stream"  // an event stream
	Socket  Purpose = "socket"  // a WebSocket
)

// Use is where a credential is presented.
type Use struct {
	Purpose Purpose
	Route   string // the pattern in the route table, never a path

	// Address tells the thread that a stream is to follow, for the tenant of its
	// bearer; nil if it follows none in particular. It is asked only when the
	// credential is a stream ticket, which is bound to what it says; an error is
	// returned by Authenticate as it is, and the ticket is not used up.
	Address func(tandem.Principal) (tandem.Address, error)

	// Session is the id of the session that is asked for; empty: none is. If
	// nothing else is presented, it is the credential: some sessions are made so.
	Session string
}

// Authenticate judges a credential. The error is of kind Unauthorized with the
// sentence that a client may see and a [ReasonOf], or of another kind if it could
// not be judged now. Nothing of the credential is in it.
func (a *Auth) Authenticate(ctx context.Context, cred Presented, use Use) (tandem.Principal, error) {
	p, err := a.judge(ctx, cred, use)
	if err == nil {
		return p, nil
	}
	if reason := ReasonOf(err); reason != "" {
		a.opt.Metric.Auth.Failures.Of(string(reason)).Inc()
		a.opt.Log.Debug("credential refused", "reason", string(reason), "why", err, "form", string(cred.form()), "place", string(cred.Place), "route", use.Route)
	}
	return tandem.Principal{}, err
}

func (a *Auth) judge(ctx context.Context, cred Presented, use Use) (tandem.Principal, error) {
	switch cred.form() {
	case formNone:
		if use.Session != "" {
			return a.judgeSession(ctx, use.Session)
		}
		return tandem.Principal{}, refuse(ReasonNone, "no credential")
	case formKey:
		return a.judgeKey(ctx, cred)
	case formTicket:
		return a.judgeTicket(ctx, cred, use)
	case formJWT:
		p, err := a.judgeJWT(ctx, cred.reveal())
		if err != nil {
			return p, err
		}
		if err := a.knowsTenant(ctx, p.Tenant); err != nil {
			return p, err
		}
		return p, a.Recheck(ctx, p)
	}
	return tandem.Principal{}, refuse(ReasonMalformed, "neither a JWT, nor an API key, nor a ticket")
}

// Recheck judges a principal again: whether it has expired, was revoked, or its
// issuer lost trust since it was made. It costs no query, except one row once a second.
func (a *Auth) Recheck(ctx context.Context, p tandem.Principal) error {
	if a.expired(p.Expires) {
		return refuse(ReasonExpired, "expired")
	}
	if !a.trusts(p) {
		return refuse(ReasonIssuer, "its issuer is no longer trusted with this")
	}
	if err := a.fresh(ctx); err != nil {
		return err
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.revoked.cover(p, a.opt.Leeway) {
		return refuse(ReasonRevoked, "revoked")
	}
	return nil
}

// Deadline is when p's open streams end: its expiry and the leeway that opening
// has too. Zero: never.
func (a *Auth) Deadline(p tandem.Principal) time.Time {
	if p.Expires.IsZero() {
		return time.Time{}
	}
	return p.Expires.Add(a.opt.Leeway)
}

// expired reports whether something that ends at t has ended, leeway included.
func (a *Auth) expired(t time.Time) bool {
	return !t.IsZero() && !a.opt.Clock().Before(t.Add(a.opt.Leeway))
}

// knowsTenant refuses tokens of tenants that do not exist. One that a command has
// just made is seen at once.
func (a *Auth) knowsTenant(ctx context.Context, name string) error {
	a.mu.RLock()
	known := a.tenants[name]
	a.mu.RUnlock()
	if known {
		return nil
	}
	has, err := a.opt.Store.HasTenant(ctx, name)
	if err != nil {
		return err
	}
	if !has {
		return refuse(ReasonTenant, "no such tenant")
	}
	a.mu.Lock()
	a.tenants[name] = true
	a.mu.Unlock()
	return nil
}
