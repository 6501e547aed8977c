package auth

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
)

// Place is where in a request a credential was.
type Place string

// The places, in the order in which they are looked at.
const (
	InAuthorization Place = "Authorization"          // Authorization: Bearer <credential>
	InXAPIKey       Place = "X-API-Key"              // X-API-Key: <credential>
	InAPIKey        Place = "apikey"                 // query
	InAccessToken   Place = "access_token"           // query
	InToken         Place = "token"                  // query
	InSubprotocol   Place = "Sec-WebSocket-Protocol" // bearer, <credential>: answer with the subprotocol "bearer"
	InFrame         Place = "frame"                  // not in a request: see [Present]
)

// form is what a credential looks like; where it stood does not matter.
type form string

const (
	formNone   form = ""
	formKey    form = "key"
	formTicket form = "ticket"
	formJWT    form = "jwt"
	formOther  form = "unrecognised"
)

const (
	keyPrefix    = "sk-"
	ticketPrefix = "tk-"

	// maxCredential is the longest credential that is looked at, in bytes.
	maxCredential = 16 << 10
)

// Presented is a credential as it came in, not yet judged. It may be logged: the
// credential itself does not show. The zero Presented is none at all.
type Presented struct {
	Place  Place
	Page   bool    // the request came from a web page: it has an Origin
	secret *Secret // a pointer, because fmt prints what unexported fields hold
}

// FromRequest returns the credential that r presents, and whether it presents
// one. The first place that holds something counts, in this order:
// Authorization: Bearer, X-API-Key, the query's apikey, access_token, token, and
// Sec-WebSocket-Protocol: bearer, <token>. An empty value is nothing.
func FromRequest(r *http.Request) (Presented, bool) {
	place, s := find(r)
	if s == "" {
		return Presented{}, false
	}
	secret := Secret(s)
	return Presented{Place: place, Page: r.Header.Get("Origin") != "", secret: &secret}, true
}

// Present makes a Presented of a credential that came by another way than a
// request, such as a chat socket's auth frame. page says whether it came from a
// web page.
func Present(credential string, page bool) Presented {
	secret := Secret(strings.TrimSpace(credential))
	return Presented{Place: InFrame, Page: page, secret: &secret}
}

func find(r *http.Request) (Place, string) {
	for _, v := range r.Header.Values("Authorization") {
		scheme, token, _ := strings.Cut(strings.TrimSpace(v), " ")
		if token = strings.TrimSpace(token); strings.EqualFold(scheme, "Bearer") && token != "" {
			return InAuthorization, token
		}
	}
	if v := strings.TrimSpace(r.Header.Get("X-API-Key")); v != "" {
		return InXAPIKey, v
	}
	if r.URL != nil && r.URL.RawQuery != "" {
		if place, v := findInQuery(r.URL.Query()); v != "" {
			return place, v
		}
	}
	return InSubprotocol, subprotocol(r.Header.Values("Sec-WebSocket-Protocol"))
}

func findInQuery(q url.Values) (Place, string) {
	for _, place := range []Place{InAPIKey, InAccessToken, InToken} {
		for _, v := range q[string(place)] {
			if v = strings.TrimSpace(v); v != "" {
				return place, v
			}
		}
	}
	return "", ""
}

// subprotocol returns what follows "bearer" in the list of subprotocols.
func subprotocol(lines []string) string {
	offers := strings.Split(strings.Join(lines, ","), ",")
	for i, offer := range offers[:len(offers)-1] {
		if strings.EqualFold(strings.TrimSpace(offer), "bearer") {
			return strings.TrimSpace(offers[i+1])
		}
	}
	return ""
}

func (p Presented) reveal() string {
	if p.secret == nil {
		return ""
	}
	return p.secret.Reveal()
}

func (p Presented) form() form {
	s := p.reveal()
	switch {
	case s == "":
		return formNone
	case len(s) > maxCredential:
		return formOther
	case strings.HasPrefix(s, keyPrefix) && urlSafe(s):
		return formKey
	case strings.HasPrefix(s, ticketPrefix) && urlSafe(s):
		return formTicket
	case strings.Count(s, ".") == 2 && urlSafe(strings.ReplaceAll(s, ".", "")):
		return formJWT
	}
	return formOther
}

func (p Presented) hash() tandem.Hash { return sha256.Sum256([]byte(p.reveal())) }

// urlSafe reports whether s has only the characters of base64url.
func urlSafe(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
