package api

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// charges counts how many of tries pass, at one moment.
func charges(s *Server, p tandem.Principal, c cost, tries int) (passed int) {
	for range tries {
		if s.charge(p, c).err() == nil {
			passed++
		}
	}
	return passed
}

func limited(t *testing.T, now *time.Time) *Server {
	t.Helper()
	s := New(Options{Limits: tandem.DefaultLimits(), Clock: func() time.Time { return *now }})
	t.Cleanup(s.gone.close)
	return s
}

// At the limit all pass, one past it does not, and the share of posts is a tenth.
// Seen to fail by one more, by counting agents, and by counting posts of operators.
func TestLimit_atTheLimitAndOnePast(t *testing.T) {
	now := time.Date(2025, 9, 12, 12, 0, 0, 0, time.UTC)
	s := limited(t, &now)
	who := func(role tandem.PrincipalRole, subject string) tandem.Principal {
		return tandem.Principal{Tenant: "default", Role: role, Subject: subject, ID: "id-" + subject}
	}
	keyed := who(tandem.Agent, "with-a-rate")
	keyed.Rate = tandem.Rate{N: 7, Per: time.Second}
	ownRate := who(tandem.Participant, "with-a-rate")
	ownRate.Rate = keyed.Rate
	ownRate.ID = "another"
	other := who(tandem.Participant, "ann")
	other.Tenant = "acme"
	for _, c := range []struct {
		name string
		p    tandem.Principal
		cost cost
		want int
	}{
		{"a participant's requests", who(tandem.Participant, "eve"), costRequest, 200},
		{"a participant's posts", who(tandem.Participant, "ann"), costPost, 20},
		{"what is left for the participant's other requests", who(tandem.Participant, "ann"), costRequest, 200 - 20 - 30},
		{"somebody of the same name elsewhere", other, costPost, 20},
		{"an operator's posts", who(tandem.Operator, "ann"), costPost, 200},
		{"a supervisor's", who(tandem.Supervisor, "ann"), costPost, 200},
		{"an agent's", who(tandem.Agent, "bot"), costPost, 1000},
		{"an agent's with a rate of its own", keyed, costPost, 7},
		{"a participant's with a rate of its own", ownRate, costPost, 7},
		{"what costs nothing", who(tandem.Participant, "ann"), costNothing, 1000},
	} {
		tries := c.want + 30
		if c.want == 1000 {
			tries = 1000
		}
		if got := charges(s, c.p, c.cost, tries); got != c.want {
			t.Errorf("%s: %d pass, want %d", c.name, got, c.want)
		}
	}
	ann := who(tandem.Participant, "ann")
	a := s.charge(ann, costPost)
	if !a.refused || a.retry <= 0 || a.retry > 300*time.Millisecond {
		t.Errorf("got %+v", a)
	}
	now = now.Add(3 * time.Second) // a post each 3 seconds
	if got := charges(s, ann, costPost, 5); got != 1 {
		t.Errorf("after 3 s %d posts pass, want 1", got)
	}
}

// 0 switches a limit off; the share of a small rate is still one.
func TestLimit_zeroIsOff(t *testing.T) {
	now := time.Now()
	s := limited(t, &now)
	ann := tandem.Principal{Tenant: "default", Role: tandem.Participant, Subject: "ann"}
	s.opt.Limits.PostShare = 0
	if got := charges(s, ann, costPost, 300); got != 200 {
		t.Errorf("without a share of posts %d pass, want 200", got)
	}
	s.opt.Limits.Requests = tandem.Rate{}
	if got := charges(s, ann, costPost, 300); got != 300 {
		t.Errorf("without a rate %d pass", got)
	}
	if got := postRate(tandem.Limits{Requests: tandem.Rate{N: 3, Per: time.Minute}, PostShare: 10}); got.N != 1 {
		t.Errorf("a tenth of 3 is %d", got.N)
	}
}

// The headers tell how the rate stands.
func TestLimit_headers(t *testing.T) {
	now := time.Now()
	s := limited(t, &now)
	ann := tandem.Principal{Tenant: "default", Role: tandem.Participant, Subject: "ann"}
	for i, want := range [][3]string{{"20", "19", "3"}, {"20", "18", "6"}} {
		h := http.Header{}
		s.charge(ann, costPost).headers(h)
		if got := [3]string{h.Get("RateLimit-Limit"), h.Get("RateLimit-Remaining"), h.Get("RateLimit-Reset")}; got != want {
			t.Errorf("%d: got %v, want %v", i, got, want)
		}
	}
	h := http.Header{}
	s.charge(tandem.Principal{Role: tandem.Agent}, costPost).headers(h)
	if len(h) != 0 {
		t.Errorf("who has no rate is told %v", h)
	}
}

// Only what a trusted proxy says counts, from the right, up to the first that is
// none. Seen to fail by taking the first of X-Forwarded-For.
func TestLimit_clientAddress(t *testing.T) {
	s := New(Options{})
	t.Cleanup(s.gone.close)
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		name, peer string
		trust      bool
		forwarded  []string
		want       string
	}{
		{"nobody is trusted", "10.1.2.3:99", false, []string{"1.2.3.4"}, "10.1.2.3"},
		{"a stranger says who it is", "9.9.9.9:99", true, []string{"1.2.3.4"}, "9.9.9.9"},
		{"a proxy", "10.1.2.3:99", true, []string{"1.2.3.4"}, "1.2.3.4"},
		{"what the client said itself does not count", "10.1.2.3:99", true, []string{"6.6.6.6, 1.2.3.4"}, "1.2.3.4"},
		{"nor in a line of its own", "10.1.2.3:99", true, []string{"6.6.6.6", "1.2.3.4, 10.9.9.9"}, "1.2.3.4"},
		{"two proxies", "10.1.2.3:99", true, []string{"1.2.3.4,10.9.9.9"}, "1.2.3.4"},
		{"all are proxies", "10.1.2.3:99", true, []string{"10.7.7.7,10.9.9.9"}, "10.7.7.7"},
		{"with a port", "10.1.2.3:99", true, []string{"1.2.3.4:567"}, "1.2.3.4"},
		{"an IPv6 proxy and client", "[fd00::1]:99", true, []string{"[2001:db8::1]:567"}, "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:10.1.2.3]:99", true, []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		{"nonsense", "10.1.2.3:99", true, []string{"1.2.3.4, unknown"}, "10.1.2.3"},
		{"nothing", "10.1.2.3:99", true, nil, "10.1.2.3"},
		{"a unix socket", "@", false, []string{"1.2.3.4"}, "invalid IP"},
		{"a proxy on a unix socket", "@", true, []string{"1.2.3.4"}, "1.2.3.4"},
	} {
		s.SetLists(nil, nil)
		if c.trust {
			s.SetLists(nil, proxies)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = c.peer, c.forwarded
		if got := s.client(r).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if network(netip.MustParseAddr("2001:db8::1:2:3:4")) != network(netip.MustParseAddr("2001:db8::5:6:7:8")) {
		t.Error("two addresses of one IPv6 network are counted apart")
	}
}
