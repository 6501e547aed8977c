package api

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// What a page of another origin may send and read. No face uses cookies, so there
// are no credentials for a browser to add by itself, and "*" is safe.
const (
	corsHeaders = "Authorization, X-API-Key, Content-Type, Last-Event-ID, Idempotency-Key"
	corsExposed = "Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Tandem-Delivery"
	corsMaxAge  = "600"
)

func newLists(origins []string, proxies []netip.Prefix) *lists {
	l := &lists{proxies: slices.Clone(proxies)}
	if slices.Contains(origins, "*") {
		return l
	}
	for _, o := range origins {
		l.origins = append(l.origins, strings.ToLower(strings.TrimSuffix(o, "/")))
	}
	return l
}

// allowOrigin is the value of Access-Control-Allow-Origin for a request with this
// Origin; empty: none.
func (l *lists) allowOrigin(origin string) string {
	switch {
	case len(l.origins) == 0:
		return "*"
	case origin != "" && slices.Contains(l.origins, strings.ToLower(origin)):
		return origin
	}
	return ""
}

// cors sets the headers that let pages read the answer, whatever it will be.
func (s *Server) cors(h http.Header, r *http.Request) {
	l := s.lists.Load()
	if len(l.origins) > 0 {
		h.Add("Vary", "Origin")
	}
	if allow := l.allowOrigin(r.Header.Get("Origin")); allow != "" {
		h.Set("Access-Control-Allow-Origin", allow)
		h.Set("Access-Control-Expose-Headers", corsExposed)
	}
}

// preflight answers the question that a browser asks before a request (Fetch
// standard, section "CORS-preflight request"), and a plain OPTIONS. It is not
// asked for a credential, because a browser sends none.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) {
	allow := strings.Join(append(s.methods(r), http.MethodOptions), ", ")
	h := w.Header()
	h.Set("Allow", allow)
	if h.Get("Access-Control-Allow-Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", allow)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
	}
	w.WriteHeader(http.StatusNoContent)
}

// originAllowed reports whether a page of the request's Origin may open a socket.
// Browsers do not apply CORS to sockets, so the server has to. Programs send no
// Origin; the server's own pages are always welcome.
func (s *Server) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || s.lists.Load().allowOrigin(origin) != "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
