// Package api has the public faces of Tandem over HTTP: it decodes what clients
// send, makes one call to the desk, and encodes what comes back. The rules are in
// package desk, the credentials in package auth.
//
// All URLs are in one table (routes.go), all errors in another (error.go). What a
// reader of a thread is sent is a pure function of the event and the view
// (project_*.go), so that testdata holds the exact bytes.
package api

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/metric"
)

// Options of a Server. Desk and Auth are needed.
type Options struct {
	Desk   *desk.Desk
	Auth   *auth.Auth
	Limits tandem.Limits

	Origins        []string       // browser origins for CORS and sockets; none or "*": all
	TrustedProxies []netip.Prefix // whose X-Forwarded-For counts; none: nobody's
	Tenant         string         // of credentials that name none; empty: "default"
	Workflow       string         // of chat sockets that name none; empty: "support"
	OpsElsewhere   bool           // /metrics has an address of its own and is not served here
	Texts          Texts          // sentences that participants see, by language; nil: the built-in ones

	Ready func() error // why the server should get no work now; nil: always ready
	Pages fs.FS        // index.html, the page of links at /; nil: none
	Spec  fs.FS        // openapi.yaml and asyncapi.yaml; nil: not served

	Clock  tandem.Clock // nil: time.Now
	Metric *metric.Set  // nil: none
	Log    *slog.Logger // nil: none
}

// Server answers HTTP requests. It owns the streams and sockets that it has taken
// over from net/http: they end with [Server.Drain] or [Server.Close].
type Server struct {
	opt     Options
	table   []route
	mux     *http.ServeMux
	lists   atomic.Pointer[lists]
	limit   *limiter
	open    streams
	leaving atomic.Int64                                  // streams that were open when Drain began
	jitter  func(least, most time.Duration) time.Duration // between both; random but in golden tests

	gone   *watcher        // tells streams that their clients are gone
	base   context.Context // ends with the server; what outlives its request stands on it
	cancel context.CancelFunc
}

// New returns a Server. The caller must Close it, after the http.Server that
// uses its Handler.
func New(opt Options) *Server {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Metric == nil {
		opt.Metric = metric.Discard()
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Tenant == "" {
		opt.Tenant = "default"
	}
	if opt.Workflow == "" {
		opt.Workflow = "support"
	}
	if opt.Ready == nil {
		opt.Ready = func() error { return nil }
	}
	s := &Server{opt: opt, limit: newLimiter(opt.Clock), jitter: between, gone: newWatcher()}
	s.base, s.cancel = context.WithCancel(context.Background())
	s.SetLists(opt.Origins, opt.TrustedProxies)
	s.route(routes())
	return s
}

func between(least, most time.Duration) time.Duration { return least + rand.N(most-least+1) }

// Handler answers all requests.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// lists are what a reload of the configuration may replace.
type lists struct {
	origins []string // empty: all
	proxies []netip.Prefix
}

// SetLists replaces the allowed origins and the trusted proxies, as at a reload
// of the configuration. It may be called at any time.
func (s *Server) SetLists(origins []string, proxies []netip.Prefix) {
	s.lists.Store(newLists(origins, proxies))
}

// streams counts what was taken over from net/http and runs on its own.
type streams struct {
	mu       sync.Mutex // guards n, stopping, and the order of stopping and group.Add
	n        int
	stopping bool
	group    sync.WaitGroup
}

// enter counts one more stream; false: the server takes none any more. Whoever
// enters must leave.
func (o *streams) enter() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopping {
		return false
	}
	o.n++
	o.group.Add(1)
	return true
}

func (o *streams) leave() {
	o.mu.Lock()
	o.n--
	o.mu.Unlock()
	o.group.Done()
}

func (o *streams) stopped() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stopping
}

// stop makes enter fail from now on, and returns how many are inside.
func (o *streams) stop() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopping = true
	return o.n
}

// Stop makes the server refuse new work, with 503 and a Retry-After. Streams go
// on, so that running answers can be shown to their end.
func (s *Server) Stop() { s.open.stop() }

// Drain stops the server, asks every open stream and socket to end with a word
// (`disconnected`, close code 1012), and waits until they have. If ctx ends
// first, what is left is cut off and ctx's error returned.
func (s *Server) Drain(ctx context.Context) error {
	s.leaving.Store(int64(s.open.stop()))
	s.opt.Desk.Shutdown()
	done := make(chan struct{})
	go func() { s.open.group.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.cancel()
		<-done
		return ctx.Err()
	}
}

// Close cuts off what is still open and waits until it has ended.
func (s *Server) Close() {
	cut, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("closed"))
	_ = s.Drain(cut) // its error says only that nothing was waited for
	s.gone.close()
	s.cancel()
}

// errNothing answers for what is not here.
func errNothing() error { return tandem.Errorf(tandem.NotFound, "There is nothing here.") }

// errStopping refuses work that comes while the server ends.
func errStopping() error {
	return &tandem.Error{Kind: tandem.Unavailable, Message: "The server is restarting. Please try again.", RetryAfter: 2 * time.Second}
}
