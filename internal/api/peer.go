package api

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// lastWord is how long a stream that has to end may still take to say so.
const lastWord = time.Second

// peer is the far end of a stream, to which bytes are written in order. One
// goroutine writes; hangUp may be called by any.
type peer struct {
	stall time.Duration // a peer that takes no byte for so long is gone; 0: it may
	until time.Time     // nothing is written after this; zero: no such time

	conn net.Conn                                // its own; nil: it is reached through net/http
	send func(*net.Buffers) (n int64, err error) // takes what was sent off; after n > 0 it may be called again

	mu       sync.Mutex // guards what follows
	deadline func(time.Time) error
	hung     bool
}

// writing makes the peer one that is reached by a connection of its own.
func (p *peer) writing(conn net.Conn) {
	p.conn = conn
	p.reach(conn.SetWriteDeadline, func(b *net.Buffers) (int64, error) { return b.WriteTo(conn) })
}

// flushing makes the peer one that is reached through net/http: HTTP/2, TLS.
func (p *peer) flushing(w http.ResponseWriter) {
	rc := http.NewResponseController(w)
	p.reach(rc.SetWriteDeadline, func(b *net.Buffers) (int64, error) {
		for _, frame := range *b {
			if _, err := w.Write(frame); err != nil {
				return 0, err
			}
		}
		return 0, rc.Flush()
	})
}

func (p *peer) reach(deadline func(time.Time) error, send func(*net.Buffers) (int64, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.send, p.deadline = send, deadline
}

// close closes the peer's own connection, and makes sure that hangUp touches
// nothing any more.
func (p *peer) close() {
	p.mu.Lock()
	p.deadline = nil
	p.mu.Unlock()
	if p.conn != nil {
		p.conn.Close()
	}
}

// hangUp gives a write that is stuck, and all after it, one second more. It does
// not block.
func (p *peer) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hung = true; p.deadline != nil {
		_ = p.deadline(time.Now().Add(lastWord)) // of a connection that is gone already
	}
}

// arm sets the deadline of the next write.
func (p *peer) arm() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var at time.Time
	if p.stall > 0 {
		at = now.Add(p.stall)
	}
	if !p.until.IsZero() && (at.IsZero() || p.until.Before(at)) {
		at = p.until
	}
	if p.hung {
		at = now.Add(lastWord)
	}
	return p.deadline(at)
}

// write sends frames whole. A peer that takes some bytes has the whole time again
// for the next ones.
func (p *peer) write(frames net.Buffers) error {
	for {
		if err := p.arm(); err != nil {
			return err
		}
		n, err := p.send(&frames)
		if err == nil {
			return nil
		}
		if n == 0 || !p.stalled(err) {
			return err
		}
	}
}

// stalled reports whether a write ended because the peer took nothing for so
// long, and not because the stream has to end.
func (p *peer) stalled(err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Is(err, os.ErrDeadlineExceeded) && !p.hung && (p.until.IsZero() || time.Now().Before(p.until))
}

// responseHead is the head of a response whose body ends with the connection
// (RFC 9112, section 6.3).
func responseHead(h http.Header, now time.Time) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nDate: " + now.UTC().Format(http.TimeFormat) + "\r\n")
	_ = h.Write(&b) // a strings.Builder takes everything
	io.WriteString(&b, "\r\n")
	return []byte(b.String())
}
