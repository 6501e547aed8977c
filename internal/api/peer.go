package api

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
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

	conn    net.Conn                                // its own; nil: it is reached through net/http
	chunked bool                                    // what is written goes out as chunks
	send    func(*net.Buffers) (n int64, err error) // takes what was sent off; after n > 0 it may be called again

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

// write sends frames whole.
func (p *peer) write(frames net.Buffers) error { return p.put(p.framed(frames)) }

// begin sends the head of the response and the first bytes of its body.
func (p *peer) begin(head, hello []byte) error {
	return p.put(append(net.Buffers{head}, p.framed(net.Buffers{hello})...))
}

// finish says that the body has come to its end, as against a lost connection.
func (p *peer) finish() error {
	if !p.chunked {
		return nil
	}
	return p.put(net.Buffers{[]byte("0\r\n\r\n")})
}

// framed makes a chunk of frames (RFC 9112, section 7.1). There are clients that
// pass on a chunk as soon as it is there, and of a body without chunks nothing
// before the next 512 bytes: so does Python's requests.
func (p *peer) framed(frames net.Buffers) net.Buffers {
	size := 0
	for _, frame := range frames {
		size += len(frame)
	}
	if !p.chunked || size == 0 {
		return frames
	}
	chunk := append(make(net.Buffers, 0, len(frames)+2), append(strconv.AppendInt(nil, int64(size), 16), "\r\n"...))
	return append(append(chunk, frames...), []byte("\r\n"))
}

// put sends bytes as they are. A peer that takes some of them has the whole time
// again for the next ones.
func (p *peer) put(frames net.Buffers) error {
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

// responseHead is the head of a response that net/http does not write.
func responseHead(h http.Header, now time.Time) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nDate: " + now.UTC().Format(http.TimeFormat) + "\r\n")
	_ = h.Write(&b) // a strings.Builder takes everything
	io.WriteString(&b, "\r\n")
	return []byte(b.String())
}
