package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// ChatOptions say how to chat.
type ChatOptions struct {
	Workflow string // empty: the token's, else the server's default

	// After is the cursor to go on after; empty: from now on.
	After string

	// OnLost is told of each connection that was lost or could not be made, and
	// when the next one is tried; may be nil.
	OnLost func(err error, wait time.Duration)

	// OnDuplicate is told of each event that came a second time, which is not
	// passed on. A Tandem server sends none; may be nil.
	OnDuplicate func(Event)
}

const (
	chatPing    = 30 * time.Second // between our pings
	chatSilence = 75 * time.Second // a server that sends nothing for so long is gone
	chatStall   = 10 * time.Second // a server that takes nothing for so long is gone
	chatDial    = 15 * time.Second // for one handshake
)

// A Chat is a participant's chat. It reconnects by itself, goes on after what it
// has seen and sends again what was not acknowledged. One goroutine belongs to
// it, from [Client.Chat] to [Chat.Close], or until its context is done. Its methods may be
// called from anywhere.
//
// Events must be taken with [Chat.Next] or [Chat.Events]: 4,096 of them are kept,
// and beyond that nothing is read, acknowledgements included.
type Chat struct {
	client *Client
	o      ChatOptions
	events *queue
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the goroutine has ended

	// The goroutine's own.
	cursor   string // of the last event
	answers  answers
	failures backoff

	order sync.Mutex // held while messages are written, so that they go in the order of Send

	mu      sync.Mutex // guards conn, token, unacked, acked, pings, over; never held while something is written
	conn    *ws.Conn   // nil while there is none
	token   string
	unacked []*outgoing
	acked   map[string]string // by clientMessageId, the cursor: those that a new connection may show
	pings   []chan error      // each gets the next pong, nil
	over    error             // why the chat has ended
}

// ErrClosed is how a chat ends that was closed by its owner.
var ErrClosed = errors.New("the chat is closed")

// Chat opens a chat with a credential of role participant. The first connection
// is made before it returns, or is the error; ctx is for the whole chat: when it
// is done, the chat is closed.
func (c *Client) Chat(ctx context.Context, o ChatOptions) (*Chat, error) {
	ch := &Chat{client: c, o: o, events: newQueue(), done: make(chan struct{}), cursor: o.After, token: c.token, acked: map[string]string{}}
	var since time.Time
	for {
		conn, err := ch.dial(ctx)
		if err == nil {
			ctx, ch.cancel = context.WithCancelCause(ctx)
			ch.conn = conn
			go ch.run(ctx, conn)
			return ch, nil
		}
		if since.IsZero() {
			since = time.Now()
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		wait := ch.failures.next(retryAfter(err))
		if !comesBack(err) || (c.retryFor > 0 && time.Since(since)+wait > c.retryFor) {
			return nil, err
		}
		if pause(ctx, wait) != nil {
			return nil, err
		}
	}
}

// Next waits for the next event. After the chat has ended and all events are
// taken, the error says why: the context's error, or a refusal that nothing helps
// against.
func (ch *Chat) Next(ctx context.Context) (Event, error) { return ch.events.take(ctx) }

// Events yields what [Chat.Next] returns, its error last.
func (ch *Chat) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			e, err := ch.Next(ctx)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Close ends the chat and waits until it has ended: for the server's answer to
// the close, at most five seconds. What was not acknowledged may or may not have
// been stored.
func (ch *Chat) Close() {
	ch.cancel(ErrClosed)
	<-ch.done
}

// dial makes one connection. Errors are [*tandem.Error].
func (ch *Chat) dial(ctx context.Context) (*ws.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, chatDial)
	defer cancel()
	ch.mu.Lock()
	header := http.Header{}
	authorize(header, ch.token)
	ch.mu.Unlock()
	to := ch.client.url("/ws", map[string]string{"workflow": ch.o.Workflow})
	// The place is named even if it is empty: who names one is shown nothing twice.
	sign := "?"
	if strings.Contains(to, "?") {
		sign = "&"
	}
	to = "ws" + strings.TrimPrefix(to, "http") + sign + "after=" + url.QueryEscape(ch.cursor)
	conn, err := ws.Dial(ctx, ch.client.stream, to, header, ws.Options{MaxMessage: maxFrame, Silence: chatSilence, Stall: chatStall})
	var refused *ws.HandshakeError
	switch {
	case err == nil:
		return conn, nil
	case errors.As(err, &refused) && refused.Status < http.StatusBadRequest:
		return nil, tandem.Errorf(tandem.NotFound, "there is no chat at this address: %w", err)
	case errors.As(err, &refused):
		return nil, &tandem.Error{
			Kind: kindOf(refused.Status), Message: sentence([]byte(refused.Message), refused.Status),
			RetryAfter: parseRetryAfter(refused.Header.Get("Retry-After")),
		}
	}
	return nil, tandem.Errorf(tandem.Unavailable, "the server cannot be reached: %w", err)
}

// run serves one connection after the other until the chat ends.
func (ch *Chat) run(ctx context.Context, conn *ws.Conn) {
	defer close(ch.done)
	defer ch.cancel(nil)
	for {
		err := ch.serve(ctx, conn)
		for conn = nil; conn == nil; {
			var last final
			if ctx.Err() != nil {
				ch.end(context.Cause(ctx))
				return
			}
			if errors.As(err, &last) {
				ch.end(last.error)
				return
			}
			wait := ch.failures.next(retryAfter(err))
			if ch.o.OnLost != nil {
				ch.o.OnLost(err, wait)
			}
			if pause(ctx, wait) != nil {
				continue
			}
			if conn, err = ch.dial(ctx); err != nil && !comesBack(err) {
				err = final{err}
			}
		}
	}
}

// end tells everybody that nothing comes any more.
func (ch *Chat) end(err error) {
	ch.mu.Lock()
	ch.over = err
	for _, m := range ch.unacked {
		m.answer <- reply{err: err}
	}
	ch.unacked = nil
	ch.mu.Unlock()
	ch.events.end(err)
}

// serve reads a connection until it is lost, and returns why.
func (ch *Chat) serve(ctx context.Context, conn *ws.Conn) error {
	closing := context.AfterFunc(ctx, func() { conn.Close(ws.Normal, "") })
	defer closing()
	stop := make(chan struct{})
	var attending sync.WaitGroup
	attending.Go(func() { ch.attend(conn, stop) })
	defer func() {
		conn.Abort()
		close(stop)
		attending.Wait()
		ch.disconnected()
	}()
	for {
		frame, err := conn.Read()
		if err != nil {
			return lost(err)
		}
		if err := ch.take(ctx, frame); err != nil {
			conn.Close(ws.Normal, "")
			return err
		}
	}
}

// attend writes what a connection needs beside its reading: first what was not
// acknowledged, and then pings. A server that has much to say first need not
// listen at once.
func (ch *Chat) attend(conn *ws.Conn, stop chan struct{}) {
	ch.connected(conn)
	pings := time.NewTicker(chatPing)
	defer pings.Stop()
	for {
		select {
		case <-pings.C:
			_ = conn.Ping(nil) // if it cannot be written, reading will tell
		case <-stop:
			return
		}
	}
}

// lost is the error of a connection that ended by err. What the server holds
// against what we sent it would hold against it again.
func lost(err error) error {
	var closed *ws.CloseError
	if errors.As(err, &closed) {
		switch closed.Code {
		case ws.ProtocolError, ws.Unsupported, ws.InvalidText, ws.Policy, ws.TooLarge:
			return final{tandem.Errorf(tandem.Invalid, "the connection was closed: %w", err)}
		}
	}
	return tandem.Errorf(tandem.Unavailable, "the connection was lost: %w", err)
}

// take makes of a frame what the caller sees.
func (ch *Chat) take(ctx context.Context, frame []byte) error {
	e, w, err := chatEvent(frame)
	if err != nil {
		return final{err}
	}
	if ch.settle(e, w) {
		return nil
	}
	at := ch.cursor
	events := []Event{e}
	switch e.Type {
	case Connected:
		ch.failures.reset()
		ch.cursor = e.Cursor
	case Gap, Reset:
		if e.Cursor != "" {
			ch.cursor = e.Cursor
		}
		if e.Type == Reset {
			ch.answers.forget("")
		}
	case Start, Token:
		e.Cursor = at
		events = ch.answers.take(e, at)
	case End, Said, State, Failed:
		if e.Cursor != "" && seen(e.Cursor, at) {
			if ch.o.OnDuplicate != nil {
				ch.o.OnDuplicate(e)
			}
			return nil
		}
		if e.Cursor != "" {
			ch.cursor = e.Cursor
		}
		switch {
		case e.Type == End:
			e.Cursor = ch.cursor
			events = ch.answers.take(e, at)
		case e.Type == Said && ch.mine(e):
			events = nil
		}
	}
	for _, e := range events {
		// The answer to Escalate names the place that its socket has shown, and
		// everything else without a cursor has none of its own.
		if e.Cursor == "" || e.Type == Escalated {
			e.Cursor = ch.cursor
		}
		if err := ch.events.put(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
