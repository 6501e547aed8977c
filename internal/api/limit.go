package api

import (
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	tandem "github.com/seed4677ff1f/tandem"
)

// cost is what something counts in its sender's rate.
type cost uint8

const (
	costNothing cost = iota
	costRequest
	costPost // a request that says something; of participants only a part may be such
)

// bucket is whose rate is counted. Exactly as many fields are set as tell one
// from the other.
type bucket struct {
	what    string // requests, posts, key, address or logins: also the label of the metric
	tenant  string
	role    tandem.PrincipalRole
	subject string
	address netip.Addr
}

// maxBuckets is how many senders are remembered. One that is forgotten begins
// anew, so that nobody can make the server remember more.
const maxBuckets = 1 << 16

// limiter counts requests in token buckets: a rate of N in Per lets N through at
// once and then one each Per/N.
type limiter struct {
	clock   tandem.Clock
	buckets *lru.Cache[bucket, *rate.Limiter]
}

func newLimiter(clock tandem.Clock) *limiter {
	buckets, err := lru.New[bucket, *rate.Limiter](maxBuckets)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &limiter{clock, buckets}
}

// allowance is how a rate stands after one request more. The zero allowance is
// that of no limit at all.
type allowance struct {
	what    string
	refused bool
	limit   int           // requests at once; 0: there is no limit
	left    int           // that would still pass now
	full    time.Duration // until all would pass again
	retry   time.Duration // of a refused one: until one would pass
}

// take counts one request against a bucket.
func (l *limiter) take(b bucket, r tandem.Rate) allowance {
	if r.N <= 0 || r.Per <= 0 {
		return allowance{}
	}
	perSecond := float64(r.N) / r.Per.Seconds()
	in, ok := l.buckets.Get(b)
	if !ok {
		in = rate.NewLimiter(rate.Limit(perSecond), r.N)
		if was, there, _ := l.buckets.PeekOrAdd(b, in); there {
			in = was
		}
	}
	now := l.clock()
	a := allowance{what: b.what, limit: r.N, refused: !in.AllowN(now, 1)}
	tokens := in.TokensAt(now)
	a.left = max(0, int(math.Floor(tokens)))
	a.full = seconds((float64(r.N) - tokens) / perSecond)
	if a.refused {
		a.retry = seconds((1 - tokens) / perSecond)
	}
	return a
}

// giveBack undoes a take that was not refused.
func (l *limiter) giveBack(b bucket) {
	if in, ok := l.buckets.Get(b); ok {
		in.AllowN(l.clock(), -1)
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// charge counts something that p does against p's own rate: that of the key if it
// has one, else that of people. Agents have no rate of their own.
func (s *Server) charge(p tandem.Principal, c cost) allowance {
	if c == costNothing {
		return allowance{}
	}
	if p.Rate.N > 0 {
		return s.counted(s.limit.take(bucket{what: "key", tenant: p.Tenant, subject: p.ID}, p.Rate))
	}
	if p.Role == tandem.Agent {
		return allowance{}
	}
	who := bucket{what: "requests", tenant: p.Tenant, role: p.Role, subject: p.Subject}
	all := s.counted(s.limit.take(who, s.opt.Limits.Requests))
	if all.refused || c != costPost || p.Role != tandem.Participant || s.opt.Limits.PostShare <= 0 {
		return all
	}
	who.what = "posts"
	return s.counted(s.limit.take(who, postRate(s.opt.Limits)))
}

// postRate is the part of the rate that a participant may post; never nothing.
func postRate(l tandem.Limits) tandem.Rate {
	if l.Requests.N <= 0 {
		return tandem.Rate{}
	}
	return tandem.Rate{N: max(1, l.Requests.N/l.PostShare), Per: l.Requests.Per}
}

// chargeAddress counts a request without a good credential against its address.
func (s *Server) chargeAddress(r *http.Request) allowance {
	return s.counted(s.limit.take(bucket{what: "address", address: network(s.client(r))}, s.opt.Limits.Requests))
}

func (s *Server) counted(a allowance) allowance {
	if a.refused {
		s.opt.Metric.HTTP.Limited.Of(a.what).Inc()
	}
	return a
}

// headers tells a client how its rate stands.
func (a allowance) headers(h http.Header) {
	if a.limit > 0 {
		h.Set("RateLimit-Limit", strconv.Itoa(a.limit))
		h.Set("RateLimit-Remaining", strconv.Itoa(a.left))
		h.Set("RateLimit-Reset", strconv.Itoa(int(math.Ceil(a.full.Seconds()))))
	}
}

// err is nil if the request may pass.
func (a allowance) err() error {
	if !a.refused {
		return nil
	}
	return &exhausted{a}
}

// exhausted is the error of a refused allowance: of kind TooMany, with what its
// client is told of the rate.
type exhausted struct{ allowance }

func (e *exhausted) Error() string { return "too many " + e.what }

func (e *exhausted) Unwrap() error {
	return &tandem.Error{Kind: tandem.TooMany, Message: "Too many requests. Please try again later.", RetryAfter: max(e.retry, time.Millisecond)}
}

// crowded is how the count of open streams stands for who may open no more.
func (s *Server) crowded() allowance {
	return allowance{what: "streams", refused: true, limit: s.opt.Limits.Streams, full: retryAfter, retry: retryAfter}
}

// client is the address that a request comes from: of the peer, or, if that is a
// trusted proxy, the last in X-Forwarded-For that is none. The zero Addr means
// that nobody knows (a unix socket).
func (s *Server) client(r *http.Request) netip.Addr {
	proxies := s.lists.Load().proxies
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	var peer netip.Addr
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = ap.Addr().Unmap().WithZone("")
	}
	// Only this machine reaches a unix socket: if proxies are trusted at all, one there is.
	if len(proxies) == 0 || peer.IsValid() && !trusted(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil { // also some proxies' address:port
			ap, err := netip.ParseAddrPort(strings.TrimSpace(hop))
			if err != nil {
				return peer
			}
			a = ap.Addr()
		}
		if peer = a.Unmap().WithZone(""); !trusted(peer) {
			return peer
		}
	}
	return peer
}

// network is what counts as one address: an IPv6 client has a whole /64.
func network(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
