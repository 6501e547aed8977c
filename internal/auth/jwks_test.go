package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// keyServer is an issuer's key set on a real server on loopback.
type keyServer struct {
	*httptest.Server
	asked atomic.Int32

	mu   sync.Mutex // guards what follows
	body string
	code int
	hold chan struct{} // not nil: answers wait for it
}

func newKeyServer(t *testing.T) *keyServer {
	t.Helper()
	k := &keyServer{code: http.StatusOK}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		k.asked.Add(1)
		k.mu.Lock()
		body, code, hold := k.body, k.code, k.hold
		k.mu.Unlock()
		if hold != nil {
			<-hold
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(func() {
		k.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return k
}

func (k *keyServer) serve(code int, body string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.code, k.body = code, body
}

func (k *keyServer) holdWith(hold chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hold = hold
}

// askedFor fails the test unless the server was asked so often since the start.
func (k *keyServer) askedFor(t *testing.T, times int32) {
	t.Helper()
	if got := k.asked.Load(); got != times {
		t.Errorf("asked %d times, want %d", got, times)
	}
}

func set(t *testing.T, named map[string]keyring) string {
	t.Helper()
	var list []any
	for kid, k := range named {
		list = append(list, publicJWK(t, kid, k.ed))
	}
	return asJSON(t, map[string]any{"keys": list})
}

func signed(t *testing.T, kid string, k keyring) string {
	t.Helper()
	header := map[string]any{}
	if kid != "" {
		header["kid"] = kid
	}
	return sign(t, algEdDSA, k.ed, header, body(map[string]any{"exp": noon.Add(100 * time.Hour).Unix()}))
}

// unavailableNow fails the test unless the credential could not be judged.
func (r *rig) unavailableNow(t *testing.T, credential string) {
	t.Helper()
	_, err := r.judge(credential)
	if e := (*tandem.Error)(nil); !errors.As(err, &e) || e.Kind != tandem.Unavailable || e.RetryAfter == 0 || ReasonOf(err) != "" {
		t.Errorf("%v is not Unavailable with a time to retry", err)
	}
}

// An issuer's year: a key, a new one beside it, the old one gone. Each step is
// counted at the server. Fails if an unknown kid does not fetch, if it always
// does, or if keys that left the set stay.
func TestJWKS_rotation(t *testing.T) {
	old, next := edPair(), edPair()
	k := newKeyServer(t)
	r := newRig(t, issuerOf("https://id.example", k.URL))
	k.askedFor(t, 0) // nobody has needed it
	k.serve(200, set(t, map[string]keyring{"old": old}))
	for range 3 {
		r.good(t, signed(t, "old", old))
		r.good(t, signed(t, "", old))
	}
	k.askedFor(t, 1)

	k.serve(200, set(t, map[string]keyring{"old": old, "next": next}))
	r.refused(t, signed(t, "next", next), ReasonSignature) // too soon after the first fetch
	r.clock.move(jwksPause - time.Microsecond)
	r.refused(t, signed(t, "next", next), ReasonSignature)
	k.askedFor(t, 1)
	r.clock.move(time.Microsecond)
	r.good(t, signed(t, "next", next))
	r.good(t, signed(t, "old", old))
	k.askedFor(t, 2)

	r.clock.move(jwksPause)
	for range 20 { // anybody can name a key: it costs the issuer one question each ten seconds
		r.refused(t, signed(t, "made up", old), ReasonSignature)
	}
	k.askedFor(t, 3)

	k.serve(200, set(t, map[string]keyring{"next": next}))
	r.clock.move(jwksFresh - time.Microsecond)
	r.good(t, signed(t, "old", old))
	k.askedFor(t, 3)
	r.clock.move(time.Microsecond)
	r.refused(t, signed(t, "old", old), ReasonSignature)
	r.good(t, signed(t, "next", next))
	k.askedFor(t, 4)
}

func TestJWKS_anOutageIsNoBadToken(t *testing.T) {
	pair, next := edPair(), edPair()
	k := newKeyServer(t)
	r := newRig(t, issuerOf("https://id.example", k.URL))
	k.serve(500, "sorry")
	r.unavailableNow(t, signed(t, "a", pair))
	r.unavailableNow(t, signed(t, "a", pair))
	k.askedFor(t, 1)
	r.clock.move(jwksPause)
	k.serve(200, set(t, map[string]keyring{"a": pair}))
	r.good(t, signed(t, "a", pair))
	k.askedFor(t, 2)

	for name, bad := range map[string]string{
		"not JSON": "<html>", "no keys": `{"keys":[]}`, "one past the size": `{"keys":[]}` + strings.Repeat(" ", jwksBytes-10), "a list": "[]",
	} {
		k.serve(200, bad)
		r.clock.move(jwksFresh)
		r.good(t, signed(t, "a", pair)) // what is known serves on
		r.unavailableNow(t, signed(t, "b", next))
		if !strings.Contains(r.log.String(), "cannot fetch an issuer's keys") {
			t.Errorf("%s: nothing in the log", name)
		}
	}
	k.Close()
	r.clock.set(noon.Add(jwksPause + jwksStale - time.Microsecond))
	r.good(t, signed(t, "a", pair))
	r.clock.move(time.Microsecond) // a day without the issuer: its keys may have been given up
	r.unavailableNow(t, signed(t, "a", pair))
}

func TestJWKS_atTheSizeLimit(t *testing.T) {
	pair := edPair()
	k := newKeyServer(t)
	r := newRig(t, issuerOf("https://id.example", k.URL))
	s := set(t, map[string]keyring{"a": pair})
	k.serve(200, s+strings.Repeat(" ", jwksBytes-len(s)))
	r.good(t, signed(t, "a", pair))
}

// While the issuer is slow, those whose key is known do not wait, and the others
// wait for one question, not for one each. Fails if find holds a lock while it
// fetches, or does not look again after it has waited.
func TestJWKS_aSlowIssuerIsAskedOnce(t *testing.T) {
	pair, next := edPair(), edPair()
	k := newKeyServer(t)
	r := newRig(t, issuerOf("https://id.example", k.URL))
	k.serve(200, set(t, map[string]keyring{"a": pair}))
	r.good(t, signed(t, "a", pair))
	hold := make(chan struct{})
	k.serve(200, set(t, map[string]keyring{"a": pair, "b": next}))
	k.holdWith(hold)
	r.clock.move(jwksPause)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := r.judge(signed(t, "b", next)); err != nil {
				t.Error(err)
			}
		})
	}
	for deadline := time.Now().Add(10 * time.Second); k.asked.Load() < 2; {
		if time.Now().After(deadline) {
			t.Fatal("nobody asks")
		}
	}
	r.good(t, signed(t, "a", pair)) // does not wait: hold is still closed to all
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Authenticate(gone, Present(signed(t, "b", next), false), Use{}); tandem.KindOf(err) != tandem.Unavailable {
		t.Error("who has gone away does not wait:", err)
	}
	r.clock.move(jwksFresh)
	r.good(t, signed(t, "a", pair)) // old, but somebody is asking already
	close(hold)
	wg.Wait()
	k.askedFor(t, 2)
}

// Who asked first may go away: the answer is for all. Fails without WithoutCancel.
func TestJWKS_isFetchedForTheOthersToo(t *testing.T) {
	pair := edPair()
	k := newKeyServer(t)
	r := newRig(t, issuerOf("https://id.example", k.URL))
	k.serve(200, set(t, map[string]keyring{"a": pair}))
	hold := make(chan struct{})
	k.holdWith(hold)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = r.Authenticate(ctx, Present(signed(t, "a", pair), false), Use{})
	}()
	for deadline := time.Now().Add(10 * time.Second); k.asked.Load() < 1; {
		if time.Now().After(deadline) {
			t.Fatal("nobody asks")
		}
	}
	cancel()
	close(hold)
	<-done
	r.good(t, signed(t, "a", pair))
	k.askedFor(t, 1)
}

func TestJWKS_doesNotFollowToAnotherScheme(t *testing.T) {
	pair := edPair()
	k := newKeyServer(t)
	k.serve(200, set(t, map[string]keyring{"a": pair}))
	away := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, k.URL, http.StatusFound)
	}))
	t.Cleanup(away.Close)
	near := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, k.URL, http.StatusFound)
	}))
	t.Cleanup(near.Close)
	r := newRig(t)
	r.opt.HTTPClient = away.Client()
	r.trust(t, issuerOf("https://id.example", away.URL))
	r.unavailableNow(t, signed(t, "a", pair))
	k.askedFor(t, 0)
	r.trust(t, issuerOf("https://id.example", near.URL))
	r.good(t, signed(t, "a", pair))
	away.Client().CloseIdleConnections()
}

// A reload of the configuration keeps what was fetched.
func TestSetIssuers_keepsKeySets(t *testing.T) {
	pair := edPair()
	k := newKeyServer(t)
	r := newRig(t, issuerOf("https://id.example", k.URL))
	k.serve(200, set(t, map[string]keyring{"a": pair}))
	r.good(t, signed(t, "a", pair))
	r.trust(t, issuerOf("https://id.example", k.URL))
	r.good(t, signed(t, "a", pair))
	k.askedFor(t, 1)
	r.trust(t, issuerOf("https://id.example", k.URL+"/other"))
	r.good(t, signed(t, "a", pair))
	k.askedFor(t, 2)
}

// edPair is a keyring with an Ed25519 pair alone: RSA keys take their time.
func edPair() keyring {
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return keyring{ed: d}
}
