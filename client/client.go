// Package client is the Go SDK of Tandem: it posts messages, follows a
// participant's events, chats, and speaks for an agent that works in its own
// time; it makes, follows and sends to sessions. It is made for connections that
// break: what is posted is posted once, what is followed goes on where it was, and
// neither loses or doubles anything over a restart of either side.
//
// The package is public API (v0). Errors of the server are [*tandem.Error]; ask
// [tandem.KindOf] what sort of no it was.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// Options of a [Client].
type Options struct {
	// Token is the credential: a JWT, an API key or a ticket.
	Token string

	// HTTPClient makes all connections, WebSockets too; nil is
	// [http.DefaultClient]. Its Timeout does not count for streams and sockets.
	HTTPClient *http.Client

	// RetryFor is how long calls go on trying while the server cannot be reached
	// or says that it cannot answer now, counted from the first failure; 0 is 30
	// seconds. A negative one is as long as the context allows. Follow and an open
	// Chat do not give up on their own.
	RetryFor time.Duration
}

// A Client speaks to one server with one credential. It holds nothing that must
// be closed and is safe for concurrent use.
type Client struct {
	base     *url.URL
	token    string
	http     *http.Client
	stream   *http.Client // the same without a time-out
	retryFor time.Duration
}

// New returns a client for the server at baseURL, such as http://localhost:8080.
func New(baseURL string, o Options) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, tandem.Errorf(tandem.Invalid, "%q is not the http or https URL of a server", baseURL)
	}
	c := &Client{base: base, token: o.Token, http: o.HTTPClient, retryFor: o.RetryFor}
	if c.http == nil {
		c.http = http.DefaultClient
	}
	patient := *c.http
	patient.Timeout = 0
	c.stream = &patient
	if c.retryFor == 0 {
		c.retryFor = 30 * time.Second
	}
	return c, nil
}

const (
	maxAnswer = 64 << 20 // bytes of an answer: a page of the longest texts
	maxFrame  = 8 << 20  // bytes of an event or a socket's frame from the server
	maxSent   = 64 << 10 // bytes of a socket's frame to the server: its default limit
	maxRefuse = 64 << 10 // bytes of an answer that says no
	keyHeader = "Idempotency-Key"
)

// url is the address of a route, whose path is escaped already where that is
// needed. Empty values are left out of the query.
func (c *Client) url(path string, query map[string]string) string {
	u := *c.base
	u.RawPath = strings.TrimSuffix(u.EscapedPath(), "/") + path
	u.Path, _ = url.PathUnescape(u.RawPath) // which we escaped ourselves
	q := u.Query()
	for name, value := range query {
		if value != "" {
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func authorize(h http.Header, token string) {
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
}

// A call is one request that may be repeated: reading, or made harmless by its key.
type call struct {
	method string
	url    string
	body   []byte // JSON; nil: none
	key    string // Idempotency-Key; empty: none
	once   bool   // not to be made again if its answer was lost
	status *int   // gets the status of the answer; nil: nobody asks
}

// do makes the call until it is answered for good. Whatever may pass is tried
// again: no connection, 429, 502, 503, 504; not before the server's Retry-After
// is over, and not for longer than RetryFor.
func (c *Client) do(ctx context.Context, req call) (body []byte, header http.Header, err error) {
	var failures backoff
	var since time.Time
	for {
		body, header, err = c.once(ctx, req)
		if err == nil || !passing(err) || ctx.Err() != nil || req.once && errors.Is(err, errNoAnswer) {
			return body, header, err
		}
		if since.IsZero() {
			since = time.Now()
		}
		wait := failures.next(retryAfter(err))
		if c.retryFor > 0 && time.Since(since)+wait > c.retryFor {
			return nil, nil, err
		}
		if pause(ctx, wait) != nil {
			return nil, nil, err
		}
	}
}

func (c *Client) once(ctx context.Context, req call) ([]byte, http.Header, error) {
	r, err := http.NewRequestWithContext(ctx, req.method, req.url, bytes.NewReader(req.body))
	if err != nil {
		return nil, nil, tandem.Errorf(tandem.Invalid, "the request cannot be made: %w", err)
	}
	authorize(r.Header, c.token)
	if req.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if req.key != "" {
		r.Header.Set(keyHeader, req.key)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, nil, unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return nil, nil, refusal(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, unreachable(ctx, err)
	}
	if len(body) > maxAnswer {
		return nil, nil, tandem.Errorf(tandem.TooLarge, "the answer has more than %d bytes", maxAnswer)
	}
	if req.status != nil {
		*req.status = resp.StatusCode
	}
	return body, resp.Header, nil
}

// unreachable is the error of a request that got no whole answer: the caller's
// own, if the caller gave up.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return tandem.Errorf(tandem.Unavailable, "the server cannot be reached: %w", noAnswer{err})
}

// errNoAnswer is what a request came to whose answer did not come, so that nobody
// knows what became of it.
var errNoAnswer = errors.New("no answer")

// noAnswer is an errNoAnswer with its cause.
type noAnswer struct{ error }

func (e noAnswer) Unwrap() error        { return e.error }
func (e noAnswer) Is(target error) bool { return target == errNoAnswer }

// passing reports whether the same call may succeed later. A Timeout is not one:
// it is the answer to a converse.
func passing(err error) bool {
	kind := tandem.KindOf(err)
	return kind == tandem.Unavailable || kind == tandem.TooMany
}

// refusal is what an answer that is not the expected one says.
func refusal(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefuse))
	e := &tandem.Error{
		Kind:       kindOf(resp.StatusCode),
		Message:    sentence(body, resp.StatusCode),
		RetryAfter: parseRetryAfter(resp.Header.Get("Retry-After")),
	}
	var held struct {
		Error string
		Epoch *int64 `json:"controlEpoch"`
		Same  *int64 `json:"control_epoch"` // as conversations spell it
	}
	if e.Kind == tandem.Conflict && json.Unmarshal(body, &held) == nil {
		if held.Epoch == nil {
			held.Epoch = held.Same
		}
		if held.Epoch != nil {
			e.Kind, e.Epoch = tandem.Held, *held.Epoch
		} else if held.Error == "Held" {
			e.Kind = tandem.Held
		}
	}
	return e
}

func kindOf(status int) tandem.ErrorKind {
	switch status {
	case http.StatusUnauthorized:
		return tandem.Unauthorized
	case http.StatusForbidden:
		return tandem.Forbidden
	case http.StatusNotFound:
		return tandem.NotFound
	case http.StatusRequestTimeout:
		return tandem.Timeout
	case http.StatusConflict:
		return tandem.Conflict
	case http.StatusGone:
		return tandem.Gone
	case http.StatusRequestEntityTooLarge:
		return tandem.TooLarge
	case http.StatusUnprocessableEntity:
		return tandem.Mismatch
	case http.StatusTooManyRequests:
		return tandem.TooMany
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return tandem.Unavailable
	}
	if status >= 400 && status < 500 {
		return tandem.Invalid
	}
	return tandem.Internal
}

// sentence is what a body says, in any of the forms in which the server says no.
func sentence(body []byte, status int) string {
	var text string
	if json.Unmarshal(body, &text) == nil && text != "" {
		return text
	}
	var object struct{ Message, Detail, Error string }
	if json.Unmarshal(body, &object) == nil {
		for _, text := range []string{object.Message, object.Detail, object.Error} {
			if text != "" {
				return text
			}
		}
	}
	return fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))
}

// parseRetryAfter reads both forms of RFC 9110, section 10.2.3.
func parseRetryAfter(s string) time.Duration {
	if seconds, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
