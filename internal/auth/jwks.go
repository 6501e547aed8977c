package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

const (
	jwksFresh   = time.Hour        // a key set is fetched again when it is older
	jwksStale   = 24 * time.Hour   // and no longer used when it is older than this
	jwksPause   = 10 * time.Second // between two fetches because of a kid that is not in the set
	jwksTimeout = 5 * time.Second
	jwksBytes   = 1 << 20
)

// jwks is an issuer's key set at a URL. It is fetched when it is needed first,
// again after an hour, and when a token names a key that it does not have: that
// is how issuers rotate, and it is rate-limited because anybody can name a key.
// Who needs a key fetches it; there is no goroutine.
type jwks struct {
	issuer string // for the log
	url    string
	client *http.Client
	clock  tandem.Clock
	log    *slog.Logger
	gate   chan struct{} // holds one token while somebody fetches

	mu      sync.Mutex // guards what follows
	keys    []verifyKey
	fetched time.Time // when keys came; zero: never
	tried   time.Time // when it was last asked for; zero: never
	failed  error     // of the last try
}

func newJWKS(issuer, url string, opt Options) *jwks {
	client := *opt.HTTPClient
	client.CheckRedirect = sameScheme
	return &jwks{issuer: issuer, url: url, client: &client, clock: opt.Clock, log: opt.Log, gate: make(chan struct{}, 1)}
}

// sameScheme follows a few redirects, but never from https to http.
func sameScheme(req *http.Request, via []*http.Request) error {
	if len(via) >= 3 || req.URL.Scheme != via[0].URL.Scheme {
		return errors.New("redirected too often, or away from https")
	}
	return nil
}

// find returns the keys that may verify a token with this kid and algorithm. The
// error is of kind Unavailable if no usable set could be had.
func (j *jwks) find(ctx context.Context, kid, alg string) ([]verifyKey, error) {
	keys, age, err := j.look(kid, alg)
	if len(keys) > 0 && age < jwksFresh {
		return keys, nil
	}
	if len(keys) > 0 {
		select { // it still serves: one asks anew, the others go on
		case j.gate <- struct{}{}:
		default:
			return keys, nil
		}
	} else {
		select {
		case j.gate <- struct{}{}:
		case <-ctx.Done():
			return nil, unavailable(ctx.Err())
		}
	}
	defer func() { <-j.gate }()
	if j.due() {
		j.fetch(ctx)
		keys, _, err = j.look(kid, alg)
	} else if len(keys) == 0 {
		keys, _, err = j.look(kid, alg) // somebody may have fetched while we waited
	}
	if len(keys) > 0 {
		return keys, nil
	}
	return nil, err
}

// look returns what is known: the keys, how old they are, and if there are none
// because the set could not be had, that error.
func (j *jwks) look(kid, alg string) ([]verifyKey, time.Duration, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	age := j.clock().Sub(j.fetched)
	if j.fetched.IsZero() || age >= jwksStale {
		return nil, age, unavailable(j.failed)
	}
	keys := choose(j.keys, kid, alg)
	if len(keys) == 0 && j.failed != nil {
		return nil, age, unavailable(j.failed) // it may well be there by now
	}
	return keys, age, nil
}

func unavailable(cause error) error {
	return &tandem.Error{Kind: tandem.Unavailable, Message: "the issuer's keys cannot be had now", Err: cause, RetryAfter: jwksPause}
}

// due reports whether another fetch is allowed.
func (j *jwks) due() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tried.IsZero() || j.clock().Sub(j.tried) >= jwksPause
}

// fetch asks for the set once. Whoever asked first may go away: the others still
// need it.
func (j *jwks) fetch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jwksTimeout)
	defer cancel()
	keys, err := j.get(ctx)
	now := j.clock()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tried, j.failed = now, err
	if err != nil {
		j.log.Warn("cannot fetch an issuer's keys", "issuer", j.issuer, "err", err)
		return
	}
	j.keys, j.fetched = keys, now
}

func (j *jwks) get(ctx context.Context) ([]verifyKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := j.client.Do(req)
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return nil, e.Err // without the URL, which may hold a secret
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, jwksBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > jwksBytes {
		return nil, fmt.Errorf("larger than %d bytes", jwksBytes)
	}
	return parseJWKs(data)
}

// choose returns the keys for a token's kid and algorithm: those of that id, or
// if either side has none, all of the algorithm.
func choose(keys []verifyKey, kid, alg string) []verifyKey {
	var found []verifyKey
	for _, k := range keys {
		if k.alg == alg && (k.id == kid || k.id == "" || kid == "") {
			found = append(found, k)
		}
	}
	return found
}
