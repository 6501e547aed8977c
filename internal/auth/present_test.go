package auth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
)

// The places in their order: whatever stands before hides what stands after.
func TestFromRequest_takesTheFirstPlace(t *testing.T) {
	type part struct {
		place Place
		put   func(r *http.Request, q url.Values, s string)
	}
	parts := []part{
		{InAuthorization, func(r *http.Request, _ url.Values, s string) { r.Header.Set("Authorization", "Bearer "+s) }},
		{InXAPIKey, func(r *http.Request, _ url.Values, s string) { r.Header.Set("X-API-Key", s) }},
		{InAPIKey, func(_ *http.Request, q url.Values, s string) { q.Set("apikey", s) }},
		{InAccessToken, func(_ *http.Request, q url.Values, s string) { q.Set("access_token", s) }},
		{InToken, func(_ *http.Request, q url.Values, s string) { q.Set("token", s) }},
		{InSubprotocol, func(r *http.Request, _ url.Values, s string) { r.Header.Set("Sec-WebSocket-Protocol", "bearer, "+s) }},
	}
	for first := range parts {
		r := httptest.NewRequest("GET", "/", nil)
		q := url.Values{}
		for _, p := range parts[first:] {
			p.put(r, q, "at-"+string(p.place))
		}
		r.URL.RawQuery = q.Encode()
		cred, ok := FromRequest(r)
		if want := parts[first].place; !ok || cred.Place != want || cred.reveal() != "at-"+string(want) {
			t.Errorf("want what is at %s, got %q at %s", want, cred.reveal(), cred.Place)
		}
	}
}

func TestFromRequest_readsTolerantly(t *testing.T) {
	for name, c := range map[string]struct {
		header [][2]string
		query  string
		want   string
	}{
		"nothing":                       {nil, "workflow=x", ""},
		"scheme in any case":            {[][2]string{{"Authorization", "bEARER a.b.c"}}, "", "a.b.c"},
		"more blanks":                   {[][2]string{{"Authorization", "  Bearer    a.b.c  "}}, "", "a.b.c"},
		"empty bearer is nothing":       {[][2]string{{"Authorization", "Bearer "}}, "token=t", "t"},
		"another scheme is nothing":     {[][2]string{{"Authorization", "Basic dTpw"}}, "token=t", "t"},
		"another scheme, then ours":     {[][2]string{{"Authorization", "Basic dTpw"}, {"Authorization", "Bearer x"}}, "", "x"},
		"bad bearer is not passed over": {[][2]string{{"Authorization", "Bearer null"}}, "token=t", "null"},
		"empty key is nothing":          {[][2]string{{"X-Api-Key", " "}}, "apikey=&access_token=%20&token=t", "t"},
		"second of two":                 {nil, "apikey=&apikey=k", "k"},
		"names are exact":               {nil, "ApiKey=k&TOKEN=t", ""},
		"escaped":                       {nil, "token=a%2Eb%2Ec", "a.b.c"},
		"broken pairs are passed over":  {nil, "token=%zz&access_token=k", "k"},
		"subprotocols in lines":         {[][2]string{{"Sec-Websocket-Protocol", "chat, Bearer"}, {"Sec-Websocket-Protocol", "a.b.c"}}, "", "a.b.c"},
		"bearer without a token":        {[][2]string{{"Sec-Websocket-Protocol", "chat, bearer"}}, "", ""},
		"subprotocol without bearer":    {[][2]string{{"Sec-Websocket-Protocol", "chat, v2"}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/?"+c.query, nil)
			for _, h := range c.header {
				r.Header.Add(h[0], h[1])
			}
			cred, ok := FromRequest(r)
			if cred.reveal() != c.want || ok != (c.want != "") {
				t.Errorf("got %q, %v, want %q", cred.reveal(), ok, c.want)
			}
		})
	}
}

// A credential is known by its form: each form is good in each place.
func TestFromRequest_formNotPlace(t *testing.T) {
	r := newRig(t)
	key, _ := r.key(t, KeyRequest{})
	for form, credential := range map[string]string{"jwt": r.mint(t, MintRequest{}), "key": key} {
		for _, place := range []string{"Authorization", "X-API-Key", "apikey", "access_token", "token", "Sec-WebSocket-Protocol"} {
			req := httptest.NewRequest("GET", "/", nil)
			switch place {
			case "Authorization":
				req.Header.Set(place, "Bearer "+credential)
			case "X-API-Key":
				req.Header.Set(place, credential)
			case "Sec-WebSocket-Protocol":
				req.Header.Set(place, "bearer, "+credential)
			default:
				req.URL.RawQuery = url.Values{place: {credential}}.Encode()
			}
			cred, _ := FromRequest(req)
			if p, err := r.Authenticate(context.Background(), cred, Use{Purpose: Request}); err != nil || string(p.Kind) != form {
				t.Errorf("%s in %s: %v, %v", form, place, p.Kind, err)
			}
		}
	}
}

// Whatever stands in a request: no panic, no principal, no error that is not a
// refusal, and none that quotes it.
func FuzzCredential(f *testing.F) {
	r := newRig(f, issuerFor(f, algHS256))
	for _, s := range []string{
		"", "null", "sk-x", "tk-x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "Bearer x", "sk-\x00", strings.Repeat(".", 100),
		handmade(f, map[string]any{"alg": "HS256", "kid": "own_x"}, body(nil), []byte("x")),
		sign(f, algHS256, []byte("not the secret"), nil, body(nil)),
	} {
		f.Add(s, s, "token="+url.QueryEscape(s), "bearer, "+s)
	}
	f.Fuzz(func(t *testing.T, authorization, key, query, protocol string) {
		req := &http.Request{Header: http.Header{"Authorization": {authorization}, "X-Api-Key": {key}, "Sec-Websocket-Protocol": {protocol}}, URL: &url.URL{RawQuery: query}}
		cred, ok := FromRequest(req)
		if ok == (cred.form() == formNone) {
			t.Fatal("presented, but nothing there")
		}
		for _, purpose := range []Purpose{Request, Stream, Socket} {
			p, err := r.Authenticate(context.Background(), cred, Use{Purpose: purpose})
			if err == nil || tandem.KindOf(err) != tandem.Unauthorized || p.Role != "" {
				t.Fatalf("%v, %v", p, err)
			}
			if s := cred.reveal(); len(s) > 24 && strings.Contains(err.Error(), s) {
				t.Fatal("the error quotes the credential")
			}
		}
	})
}
