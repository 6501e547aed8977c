package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/metric"
)

// grace is how long an upstream that has said its last word may take to end the
// response, so that the connection can be used again.
const grace = 100 * time.Millisecond

// A remote is an agent behind a URL.
type remote struct {
	url       string
	key       string
	sign      *webhooks.Webhook                      // nil: not signed
	body      func(tandem.Question) (payload, error) // what is posted
	now       tandem.Clock
	unknown   metric.Counter // nil: not counted
	client    *http.Client
	transport *http.Transport
}

// A payload is the body of one request.
type payload struct {
	json    []byte
	handoff bool // the function ask_a_person is offered in it
}

func newRemote(c Config, url string) *remote {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   5 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		// A new connection costs the first token a round trip or three.
		MaxIdleConnsPerHost: c.Concurrency,
		// A dead HTTP/2 connection would be used again and again.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		// A compressed stream comes in blocks, not in tokens: do not ask for one.
		DisableCompression: true,
	}
	return &remote{
		url: url, key: c.Key, now: c.Clock, unknown: c.Metric.Unknown,
		client:    &http.Client{Transport: t, CheckRedirect: sameHost},
		transport: t,
	}
}

func (r *remote) Close() { r.transport.CloseIdleConnections() }

// sameHost lets a question be sent on only where it was meant to go: with its
// body (307, 308), and to the same server (FastAPI redirects /chat/ to /chat).
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > 3 || req.Method != first.Method || req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

func (r *remote) Reply(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) (err error) {
	ctx, end := metric.Span(ctx, metric.SpanAgent)
	defer func() { end(err != nil) }()
	body, err := r.body(q)
	if err != nil {
		return tandem.Errorf(tandem.Invalid, "the question cannot be sent to the agent: %w", err)
	}
	call, hangUp := context.WithCancel(ctx)
	defer hangUp()
	res, err := r.post(call, q.MessageID, body.json)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return tandem.Errorf(tandem.Unavailable, "the agent cannot be reached: %w", plain(err))
	}
	defer res.Body.Close()

	var cut error // what emit said
	a := answer{
		emit:    func(p tandem.Piece) error { cut = emit(p); return cut },
		handoff: body.handoff,
		unknown: r.unknown,
	}
	var last *time.Timer
	a.ended = func() { last = time.AfterFunc(grace, hangUp) }
	defer func() {
		if last != nil {
			last.Stop()
		}
	}()
	err = r.read(res, &a)
	switch {
	case cut != nil:
		return cut
	case err == nil:
		// Take the rest, such as the last empty chunk, so that the connection can
		// be used again. What does not come in time is hung up on.
		a.end()
		_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// read takes the answer in whatever form it came.
func (r *remote) read(res *http.Response, a *answer) error {
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch s := res.StatusCode; {
	case s == http.StatusAccepted:
		return a.emit(tandem.Piece{Later: true})
	case s == http.StatusNoContent:
		return nil
	case s < 200 || s > 299:
		return refused(res, r.now())
	case res.Header.Get("Content-Encoding") != "": // we asked for none
		return tandem.Errorf(tandem.Invalid, "the agent's answer cannot be read: %w", errors.New("it is compressed"))
	}
	switch kind {
	case "text/event-stream":
		return a.events(res.Body)
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		return a.lines(res.Body)
	case "text/plain", "text/markdown":
		return a.text(res.Body)
	case "application/json":
		return a.document(res.Body)
	}
	return tandem.Errorf(tandem.Invalid, "the agent's answer cannot be read: %w",
		fmt.Errorf("its Content-Type is %.60q", kind))
}

func (r *remote) post(ctx context.Context, id string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("User-Agent", "Tandem/"+tandem.Version)
	// An empty list is not sent. It tells the transport that it may use another
	// connection if the server closed this idle one just now, as uvicorn does
	// after five seconds: the id makes the question harmless to repeat.
	req.Header["Idempotency-Key"] = []string{}
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	if parent := metric.Traceparent(ctx); parent != "" {
		req.Header.Set("Traceparent", parent)
	}
	if r.sign != nil {
		now := r.now()
		signature, err := r.sign.Sign(id, now, body)
		if err != nil {
			return nil, err
		}
		req.Header.Set(webhooks.HeaderWebhookID, id)
		req.Header.Set(webhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
		req.Header.Set(webhooks.HeaderWebhookSignature, signature)
	}
	return r.client.Do(req)
}

// plain is err without the URL that net/http puts in front: its path and query
// are not for the log.
func plain(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

// questionBody makes the body for an http(s) agent: the question itself, with
// only those of the user's claims that it may see.
func questionBody(claims []string) func(tandem.Question) (payload, error) {
	return func(q tandem.Question) (payload, error) {
		user := make(map[string]any, len(claims))
		for _, name := range claims {
			if v, ok := q.User[name]; ok {
				user[name] = v
			}
		}
		q.User = user
		if q.History == nil {
			q.History = []tandem.Turn{} // [] and not null
		}
		b, err := json.Marshal(q)
		return payload{json: b}, err
	}
}

// refused makes the error for a status that is not a success.
func refused(res *http.Response, now time.Time) error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, 8<<10))
	cause := errors.New("status " + strconv.Itoa(res.StatusCode))
	if why := reason(body); why != "" {
		cause = fmt.Errorf("%w: %s", cause, why)
	}
	kind, sentence := tandem.Invalid, "the agent refused the question"
	switch s := res.StatusCode; {
	case s >= 300 && s < 400:
		sentence = "the agent's address redirects elsewhere"
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s == http.StatusTooManyRequests, s >= 500:
		kind, sentence = tandem.Unavailable, "the agent cannot answer now"
	}
	err := tandem.Errorf(kind, sentence+": %w", cause)
	if kind == tandem.Unavailable {
		err.RetryAfter = retryAfter(res.Header.Get("Retry-After"), now)
	}
	return err
}

// retryAfter reads the field of RFC 9110, section 10.2.3; 0 if there is none.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(s); err == nil {
		return time.Duration(min(max(n, 0), 24*3600)) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// reason is what an error body says that can be logged: names of errors and of
// fields (OpenAI's error object, FastAPI's detail), never a sentence, which may
// repeat what the user wrote. At most 200 bytes.
func reason(body []byte) string {
	var b struct {
		Error  errorObject
		Detail []struct {
			Loc  []any
			Type string
		}
	}
	_ = json.Unmarshal(body, &b) // what fits is filled in
	words := []string{b.Error.Type, b.Error.name()}
	for _, d := range b.Detail {
		var loc []string
		for _, l := range d.Loc {
			switch l := l.(type) {
			case string:
				loc = append(loc, l)
			case float64:
				loc = append(loc, strconv.Itoa(int(l)))
			}
		}
		words = append(words, strings.Join(loc, "."), d.Type)
	}
	return printable(words)
}

// errorObject is how OpenAI-compatible servers tell what went wrong.
type errorObject struct {
	Type string
	Code json.RawMessage // a name, or a number
}

func (e errorObject) name() string { return strings.Trim(string(e.Code), `"`) }

func printable(words []string) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, strings.Join(strings.Fields(strings.Join(words, " ")), " "))
	return s[:min(len(s), 200)]
}
