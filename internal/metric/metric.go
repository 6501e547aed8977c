// Package metric is every metric and trace name of Tandem in one place.
//
// A [Set] is made once by the server and handed to the packages that count. It
// has its own registry, so two servers in one process (as in the tests) do not
// share numbers. Labels come from fixed short lists, or from the configuration
// (an agent's name) or the route table (a pattern): never from a client, so that
// no id, text, query or credential can become a label and nobody can make the
// number of series grow.
//
// There is no nil Set: who wants no metrics takes [Discard].
package metric

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Counter and Gauge are what client_golang calls them; all methods may be called
// from any goroutine.
type (
	Counter = prometheus.Counter
	Gauge   = prometheus.Gauge
)

// A Histogram counts observations of a number in buckets.
type Histogram = prometheus.Histogram

// Seconds is a histogram of durations.
type Seconds struct{ in prometheus.Observer }

// Observe adds one duration.
func (s Seconds) Observe(d time.Duration) { s.in.Observe(d.Seconds()) }

// By holds one M for each value of a fixed label.
type By[M any] struct {
	each  map[string]M
	other M
}

// Of returns the M of a label value; one that is not in the list counts as
// "other". It takes no lock and may be called on hot paths.
func (b By[M]) Of(value string) M {
	if m, ok := b.each[value]; ok {
		return m
	}
	return b.other
}

// A Set is all metrics of one server, grouped by the package that counts them.
type Set struct {
	Store  Store
	Hub    Hub
	Turn   Turn
	Auth   Auth
	HTTP   HTTP
	Chat   Chat
	Tracer *Tracer // nil: no traces; the wiring sets it before anything runs

	registry *prometheus.Registry
	agents   agentVecs
	routes   routeVecs
}

// Store is what package store counts.
type Store struct {
	Batch    Histogram   // appends committed in one transaction
	Commit   Seconds     // one batch: from BEGIN until COMMIT has returned
	Appends  Counter     // appends that were committed
	Refusals By[Counter] // appends refused: mismatch (a key used again for something else), held, conflict, not-found, too-large, disk-full, failed
	DiskFull Gauge       // 1 while writes are refused because the disk is full
	Trimmed  Counter     // events removed by retention
}

// Hub is what package hub counts. Faces are named by tandem.Face.String.
type Hub struct {
	Rings          Counter     // threads told of as changed
	Deltas         Counter     // token deltas that came in
	DeltasLost     Counter     // deltas that a follower could not take and got from the log instead
	TailMisses     Counter     // reads that the tail in memory could not serve
	Streams        By[Gauge]   // open streams and sockets by face
	Heartbeats     Counter     // heartbeats written
	Stalled        Counter     // streams closed because they took no byte for too long
	CommitToSocket By[Seconds] // from an event's commit until its frame was written, by face
}

// Turn is what package turn counts over all agents; see [Set.Agent] for one's own.
type Turn struct {
	Queued  Gauge       // questions that wait for their turn
	Running Gauge       // answers being written
	Ended   By[Counter] // answers ended: stop, cancelled, error, interrupted, failed (no token ever came), later (the agent will push)
}

// An Agent is what is counted for one configured agent.
type Agent struct {
	FirstToken Seconds // from the call until its first token
	Retries    Counter // calls made again before the first token
	Breaker    Gauge   // circuit breaker: 0 closed, 1 half open, 2 open
	Unknown    Counter // objects in its answers that mean nothing to us
}

// Auth is what package auth counts.
type Auth struct {
	Failures By[Counter] // none, malformed, signature, expired, not-yet, revoked, issuer, audience, tenant, role, ticket, unknown, password, forbidden
}

// HTTP is what package api counts beside its routes; see [Set.Route].
type HTTP struct {
	Limited By[Counter] // refused with 429 or its frame: requests, posts, streams, address, logins, key, body
	Posts   By[Counter] // posts accepted: chat, data, handoff, file, reasoning, tool
}

// Chat is what is counted on chat sockets.
type Chat struct {
	Frames By[Counter] // frames from clients by type; invalid for what is none
}

// A Route is what is counted for one route pattern.
type Route struct {
	requests [6]Counter // by the status' first digit
	seconds  Seconds
}

// Done counts one request: status is the HTTP status sent (0: the client was
// gone before one), d the time until the answer's header was complete; of a
// stream the time until it began, since it ends when somebody closes a laptop.
func (r Route) Done(status int, d time.Duration) {
	class := status / 100
	if class < 0 || class >= len(r.requests) {
		class = 0
	}
	r.requests[class].Inc()
	r.seconds.Observe(d)
}

type agentVecs struct {
	first            *prometheus.HistogramVec
	retries, unknown *prometheus.CounterVec
	breaker          *prometheus.GaugeVec
}

type routeVecs struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// Agent returns the metrics of the agent with this configured name.
func (s *Set) Agent(name string) Agent {
	return Agent{
		FirstToken: Seconds{s.agents.first.WithLabelValues(name)},
		Retries:    s.agents.retries.WithLabelValues(name),
		Breaker:    s.agents.breaker.WithLabelValues(name),
		Unknown:    s.agents.unknown.WithLabelValues(name),
	}
}

// Route returns the metrics of a route. The pattern is that of the route table
// ("GET /api/conversation/{id}"), never a path. Called once for each route when
// the server is put together.
func (s *Set) Route(pattern string) Route {
	r := Route{seconds: Seconds{s.routes.seconds.WithLabelValues(pattern)}}
	for i, class := range []string{"gone", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		r.requests[i] = s.routes.requests.WithLabelValues(pattern, class)
	}
	return r
}

// Handler serves the Set in the Prometheus text form, for /metrics.
func (s *Set) Handler() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{})
}

// Discard returns a Set that nobody reads, for commands and tests.
func Discard() *Set { return New() }

// New returns a Set with a registry of its own, which also holds the Go
// runtime's and the process' numbers.
func New() *Set {
	m := maker{prometheus.NewRegistry()}
	m.in.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Set{
		Store:    m.store(),
		Hub:      m.hub(),
		Turn:     m.turn(),
		Auth:     m.auth(),
		HTTP:     m.http(),
		Chat:     m.chat(),
		registry: m.in,
		agents: agentVecs{
			first:   m.secondsVec("tandem_agent_first_token_seconds", "Time from calling an agent until its first token.", slow, "agent"),
			retries: m.counterVec("tandem_agent_retries_total", "Calls to an agent made again before the first token.", "agent"),
			unknown: m.counterVec("tandem_agent_unknown_objects_total", "Objects in an agent's answers that mean nothing to us.", "agent"),
			breaker: m.gaugeVec("tandem_agent_breaker_state", "Circuit breaker of an agent: 0 closed, 1 half open, 2 open.", "agent"),
		},
		routes: routeVecs{
			requests: m.counterVec("tandem_http_requests_total", "Requests by route pattern and status class.", "route", "status"),
			seconds:  m.secondsVec("tandem_http_request_seconds", "Time until the answer, or until a stream began.", fast, "route"),
		},
	}
}
