package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// Follow is which events to follow, and how.
type Follow struct {
	Workflow    string
	Participant string
	Session     string // not empty: this session, in the place of a participant's thread
	Tenant      string // empty: the credential's
	Scope       string // empty: all
	Echo        bool   // also what the participant says
	Tokens      bool   // also answers while they are written: Start, Token, End

	// After is the cursor to go on after. Empty: from now on, and of a session from
	// what none of its connections was told. A thread's first event comes after
	// [tandem.Address.Start].
	After string

	// Heartbeat is how often the server shall say that the stream stands, in whole
	// seconds from 1 to 300; 0 is 5 s. A stream that says nothing for three of them
	// is given up and opened anew.
	Heartbeat time.Duration

	// OnLost is told of each connection that was lost or could not be made, and
	// when the next one is tried; may be nil.
	OnLost func(err error, wait time.Duration)

	// OnDuplicate is told of each message that came a second time, which is not
	// passed on. A Tandem server sends none; may be nil.
	OnDuplicate func(Event)
}

// Follow yields what happens on a participant's thread, each message once and in
// order. It reconnects by itself and goes on after the last event it had, until
// ctx is done, the caller stops, or the server says that there is nothing to come
// (then without an error). An error is yielded last: the context's, or why the
// server will never serve this: a bad request or credential, no permission.
//
// Event.Cursor is what to give as After later on, in another process; every
// event has it.
func (c *Client) Follow(ctx context.Context, o Follow) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f := &follower{client: c, read: streamEvent, onLost: o.OnLost, onDuplicate: o.OnDuplicate, cursor: o.After}
		seconds := max(1, min(300, math.Ceil(o.Heartbeat.Seconds())))
		switch {
		case o.Session != "":
			seconds = 15 // always
		case o.Heartbeat == 0:
			seconds = 5
		}
		f.heartbeat = time.Duration(seconds) * time.Second
		f.address = o.url(c, int(seconds))
		f.iterate(ctx, yield)
	}
}

// follower is one run along a stream.
type follower struct {
	client      *Client
	address     string
	read        func(name string, data []byte, cursor string) (Event, error)
	last        EventType // after which nothing comes; empty: there is none
	onLost      func(err error, wait time.Duration)
	onDuplicate func(Event)
	heartbeat   time.Duration
	yield       func(Event) bool

	cursor   string // of the last event
	answers  answers
	retry    time.Duration // the server's reconnection time
	failures backoff
}

// How a connection can end without being lost.
var (
	errStop   = errors.New("the caller stopped")
	errDone   = errors.New("nothing is to come")
	errSilent = errors.New("the server has gone silent")
)

// final wraps what no reconnecting helps against.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// iterate yields all that there is, and an error last if there is one.
func (f *follower) iterate(ctx context.Context, yield func(Event, error) bool) {
	f.yield = func(e Event) bool { return yield(e, nil) }
	if err := f.run(ctx); err != nil {
		yield(Event{}, err)
	}
}

func (f *follower) run(ctx context.Context) error {
	for {
		err := f.connect(ctx)
		var last final
		switch {
		case errors.Is(err, errStop), errors.Is(err, errDone):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &last):
			return last.error
		}
		wait := f.failures.next(max(f.retry, retryAfter(err)))
		if f.onLost != nil {
			f.onLost(err, wait)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// connect opens the stream once and yields from it until it ends.
func (f *follower) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := 3 * f.heartbeat
	watch := time.AfterFunc(max(silence, 15*time.Second), func() { cancel(errSilent) })
	defer watch.Stop()
	resp, err := f.open(ctx)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer resp.Body.Close()
	watch.Stop()
	d := sse.NewDecoder(&watched{resp.Body, watch, silence}, maxFrame)
	for {
		e, err := d.Next()
		if r := d.Retry(); r > 0 {
			f.retry = r
		}
		if err != nil {
			if d.LastID() != "" {
				f.cursor = d.LastID()
			}
			if errors.Is(err, sse.ErrTooLong) {
				return final{tandem.Errorf(tandem.TooLarge, "the server sent an event that is too large: %w", err)}
			}
			return causeOf(ctx, tandem.Errorf(tandem.Unavailable, "the connection was lost: %w", err))
		}
		f.failures.reset()
		if err := f.take(e); err != nil {
			return err
		}
	}
}

// causeOf is err, or what made us break the connection off.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// open asks for the stream. What is no stream is an error, final if it is for good.
func (f *follower) open(ctx context.Context) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.address, nil)
	if err != nil {
		return nil, final{tandem.Errorf(tandem.Invalid, "the request cannot be made: %w", err)}
	}
	authorize(r.Header, f.client.token)
	r.Header.Set("Accept", "text/event-stream")
	if f.cursor != "" {
		r.Header.Set("Last-Event-ID", f.cursor)
	}
	resp, err := f.client.stream.Do(r)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode == http.StatusOK && kind == "text/event-stream":
		return resp, nil
	case resp.StatusCode == http.StatusNoContent:
		err = errDone
	case resp.StatusCode == http.StatusOK:
		err = final{tandem.Errorf(tandem.Internal, "the server answered %q instead of a stream", kind)}
	default:
		err = refusal(resp)
		if !comesBack(err) {
			err = final{err}
		}
	}
	resp.Body.Close()
	return nil, err
}

// url is the address of the stream.
func (o *Follow) url(c *Client, heartbeat int) string {
	yes := func(b bool) string {
		if b {
			return "true"
		}
		return ""
	}
	if o.Session != "" {
		return c.sessionURL("/sse/connect/", o.Session, map[string]string{"tenantId": o.Tenant})
	}
	return c.url("/api/user/sse/events", map[string]string{
		"workflow": o.Workflow, "participantId": o.Participant, "tenantId": o.Tenant, "scope": o.Scope,
		"echo": yes(o.Echo), "tokens": yes(o.Tokens), "heartbeatSeconds": strconv.Itoa(heartbeat),
	})
}

// comesBack reports whether a refusal to open a stream or a socket may pass. A
// server's own fault may: it is perhaps half-way through a restart.
func comesBack(err error) bool {
	return tandem.KindOf(err) == tandem.Internal || tandem.KindOf(err).Retryable()
}

// take makes of an event what the caller sees.
func (f *follower) take(in sse.Event) error {
	e, err := f.read(in.Name, append([]byte(nil), in.Data...), f.cursor)
	if err != nil && e.Type != Denied {
		err = final{err}
	}
	if err != nil {
		return err
	}
	if e.once() && in.HasID && seen(in.ID, f.cursor) {
		if f.onDuplicate != nil {
			f.onDuplicate(e)
		}
		return nil
	}
	at := f.cursor
	if in.HasID && in.ID != "" {
		f.cursor, e.Cursor = in.ID, in.ID
	}
	events := []Event{e}
	switch e.Type {
	case Reset:
		f.answers.forget(e.Conversation)
	case Start, Token, End:
		events = f.answers.take(e, at)
	}
	for _, e := range events {
		if !f.yield(e) {
			return errStop
		}
	}
	if e.Type == f.last {
		return errDone
	}
	return nil
}

// watched counts the time that a read waits; what the caller does with an event
// may take as long as it likes.
type watched struct {
	io.Reader
	watch *time.Timer
	most  time.Duration
}

func (w *watched) Read(b []byte) (int, error) {
	w.watch.Reset(w.most)
	defer w.watch.Stop()
	return w.Reader.Read(b)
}
