// Package desktest runs a whole Tandem inside a test: real store, real hub, real
// HTTP on loopback. Tests talk to it over the network, or directly to its desk,
// or tell stories:
//
//	x := desktest.Start(t, desktest.Options{Agents: desktest.Answers("hello")})
//	x.As("ann").Says("hi")
//	x.As("ann").Sees("hello")
//	x.Op("maya").TakesOver("ann")
//	x.Op("maya").Answers("I am here.")
package desktest

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
	"github.com/seed4677ff1f/tandem/internal/api"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/store"
	"github.com/seed4677ff1f/tandem/internal/turn"
	"github.com/seed4677ff1f/tandem/spec"
	"github.com/seed4677ff1f/tandem/web"
)

// Options of a Tandem in a test; the zero value is a good one.
type Options struct {
	Dir     string         // data folder, to start again on; empty: a new one
	Agents  []turn.Spec    // none: people only
	Limits  *tandem.Limits // nil: the defaults, with no rate limit
	Issuers []auth.Issuer
	Origins []string
	Proxies []netip.Prefix
	Texts   api.Texts
	Clock   tandem.Clock
	Rules   *desk.Rules // nil: the defaults
	Lose    func() bool // loses rings and deltas, see hub.Options
	TLS     bool        // HTTP/2, with the certificate that Client trusts
	Log     io.Writer   // nil: none
	TTL     time.Duration
	Driver  string // of the store, see store.Options

	Committed func([]store.Committed) // is told of what was committed before anybody else is
}

// Tandem is a server in the test process.
type Tandem struct {
	T      testing.TB
	Dir    string
	URL    string // http://127.0.0.1:port
	Client *http.Client

	Metric *metric.Set
	Store  *store.Store
	Hub    *hub.Hub
	Auth   *auth.Auth
	Turns  *turn.Runner
	Desk   *desk.Desk
	API    *api.Server

	http   *httptest.Server
	stop   context.CancelFunc
	work   sync.WaitGroup
	once   sync.Once
	mu     sync.Mutex // guards people
	people map[string]*Person
	agents []turn.Spec
}

// Start starts a Tandem that is stopped at the end of the test.
func Start(t testing.TB, opt Options) *Tandem {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	limits := tandem.DefaultLimits()
	limits.Requests = tandem.Rate{}
	if opt.Limits != nil {
		limits = *opt.Limits
	}
	log := slog.New(slog.DiscardHandler)
	if opt.Log != nil {
		log = slog.New(slog.NewJSONHandler(opt.Log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: auth.RedactAttr}))
	}
	x := &Tandem{T: t, Dir: opt.Dir, Metric: metric.New(), people: map[string]*Person{}, agents: opt.Agents}
	x.Hub = hub.New(hub.Options{Codec: api.Codec(), Metric: x.Metric, Clock: opt.Clock, Lose: opt.Lose})
	var err error
	x.Store, err = store.Open(t.Context(), store.Options{
		Dir: opt.Dir, Driver: opt.Driver, Clock: opt.Clock, Metric: x.Metric, Log: log,
		Committed: func(all []store.Committed) {
			if opt.Committed != nil {
				opt.Committed(all)
			}
			x.Desk.Committed(all)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	x.Auth, err = auth.New(auth.Options{
		Disabled: func(ctx context.Context, tenant, username string) {
			if err := x.Desk.AccountDisabled(ctx, tenant, username); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		},
		Erased: func(ctx context.Context, thread int64) {
			if err := x.Desk.Erased(ctx, thread); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		},
		Store: x.Store, Issuers: opt.Issuers, TokenTTL: opt.TTL, Clock: opt.Clock, Metric: x.Metric, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	x.Turns = turn.New(turn.Options{
		Store: x.Store, Hub: x.Hub, Agents: opt.Agents, Limits: limits, Clock: opt.Clock, Metric: x.Metric, Log: log,
		Handoff: func(ctx context.Context, a tandem.Address, conversation string, req tandem.HandoffRequest) error {
			return x.Desk.AgentAsks(ctx, a, conversation, req)
		},
		Append: func(ctx context.Context, ap store.Append) (store.Result, error) { return x.Desk.Append(ctx, ap) },
	})
	x.Desk = desk.New(desk.Options{Store: x.Store, Hub: x.Hub, Turns: x.Turns, Limits: limits, Rules: opt.Rules, Decode: agent.Decode, Clock: opt.Clock, Metric: x.Metric, Log: log})
	x.API = api.New(api.Options{
		Desk: x.Desk, Auth: x.Auth, Limits: limits, Origins: opt.Origins, TrustedProxies: opt.Proxies, Texts: opt.Texts,
		Ready: x.Store.Ready, Pages: web.Files, Spec: spec.Files, Clock: opt.Clock, Metric: x.Metric, Log: log,
	})
	if err := x.Turns.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.listen(opt)
	t.Cleanup(x.Stop)
	return x
}

func (x *Tandem) listen(opt Options) {
	ctx, cancel := context.WithCancel(context.Background())
	x.stop = cancel
	x.work.Go(func() {
		x.Auth.Run(ctx, func(match func(tandem.Principal) bool, reason string) { x.Hub.EndStreams(match, reason) })
	})
	x.work.Go(func() { x.Desk.Run(ctx) })
	x.http = httptest.NewUnstartedServer(x.API.Handler())
	x.http.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	if opt.TLS {
		x.http.EnableHTTP2 = true
		x.http.StartTLS()
	} else {
		x.http.Start()
	}
	x.URL, x.Client = x.http.URL, x.http.Client()
}

// Stop ends the server as SIGTERM does, with a second for running answers. The
// data folder stays.
func (x *Tandem) Stop() {
	x.once.Do(func() {
		x.T.Helper()
		x.API.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		x.Turns.Stop(ctx)
		if err := x.API.Drain(ctx); err != nil {
			x.T.Logf("drain: %v", err)
		}
		x.mu.Lock()
		for _, p := range x.people {
			p.leave()
		}
		x.mu.Unlock()
		x.Client.CloseIdleConnections()
		x.http.Close()
		x.API.Close()
		x.stop()
		x.work.Wait()
		if err := x.Store.Close(); err != nil {
			x.T.Error(err)
		}
	})
}

// Address is a thread of the default tenant's workflow "support".
func Address(participant string) tandem.Address {
	return tandem.Address{Tenant: "default", Workflow: "support", Participant: participant}
}

// Token is a token of the server's own key, good for an hour.
func (x *Tandem) Token(subject string, role tandem.PrincipalRole) string {
	x.T.Helper()
	return x.Mint(auth.MintRequest{Tenant: "default", Subject: subject, Role: role, TTL: time.Hour})
}

// Mint makes a token, and its tenant if there is none.
func (x *Tandem) Mint(r auth.MintRequest) string {
	x.T.Helper()
	tok, err := x.Auth.Mint(x.T.Context(), r)
	if err != nil {
		x.T.Fatal(err)
	}
	return tok.Token.Reveal()
}

// Key is an API key of a role of the default tenant.
func (x *Tandem) Key(role tandem.PrincipalRole) string {
	x.T.Helper()
	secret, _, err := x.Auth.CreateKey(x.T.Context(), auth.KeyRequest{Tenant: "default", Role: role})
	if err != nil {
		x.T.Fatal(err)
	}
	return secret.Reveal()
}

// Dial opens a TCP connection to the server.
func (x *Tandem) Dial() net.Conn {
	x.T.Helper()
	c, err := net.Dial("tcp", x.http.Listener.Addr().String())
	if err != nil {
		x.T.Fatal(err)
	}
	return c
}

// Port is the server's TCP port on 127.0.0.1.
func (x *Tandem) Port() int { return x.http.Listener.Addr().(*net.TCPAddr).Port }
