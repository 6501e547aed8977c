package ws

import (
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how a [Conn] treats its peer. The zero value has no limits.
type Options struct {
	MaxMessage int           // bytes of a text message; a longer one closes with 1009. 0: no limit
	Silence    time.Duration // a peer that sends nothing, not even a pong, for so long is gone. 0: never
	Stall      time.Duration // a peer that takes not one byte of what is sent for so long is gone. 0: never
	OnPong     func([]byte)  // called by Read with the payload of each pong; may be nil
}

const (
	closeWrite = time.Second     // how long a close frame may take to be written
	closeWait  = 5 * time.Second // how long the peer may take to answer one
	lingerWait = time.Second     // how long bytes that nobody wants are taken from a peer that erred,
	lingerMost = 1 << 20         // and how many: a reset in their place would swallow the close frame
)

// errClosed is what a write gets after the close frame: nothing may follow it.
var errClosed = net.ErrClosed

// socket is what a Conn needs of a net.Conn.
type socket interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// A Conn is one open WebSocket. One goroutine calls Read until it returns an
// error, and that error means that the connection is closed and holds nothing
// any more; everything else may be called from anywhere at any time.
type Conn struct {
	sock    socket
	client  bool // masks what it sends
	o       Options
	closeBy atomic.Int64 // Unix nanoseconds; not 0: Close was called, and the handshake may take so long

	// Read's own.
	p       parser
	buf     [256]byte // a chat message and its header go in whole; longer ones are read in place
	unread  []byte    // bytes read that the parser has not seen: of buf, or the handshake's
	readErr error

	mu       sync.Mutex // guards all writes to sock, and writeErr
	writeErr error      // not nil: nothing can be written any more
}

// NewConn is the server's side of the connection that [Accept] returned, with
// the bytes that the client sent right after its handshake.
func NewConn(nc net.Conn, buffered []byte, o Options) *Conn {
	return &Conn{sock: nc, o: o, p: parser{masked: true, limit: o.MaxMessage}, unread: buffered}
}

// Read waits for the next text message; it is the caller's to keep. Pings are
// answered and pongs handed to OnPong on the way. When it returns an error, the
// connection is closed, with the close handshake where there is one to make:
// [*CloseError] if a close frame said so, either the peer's or the one sent for
// what the peer did; otherwise what the network said.
//
// After [Conn.Close] messages are dropped, and Read ends as soon as the peer has
// answered, at the latest after 5 seconds.
func (c *Conn) Read() ([]byte, error) {
	if c.readErr != nil {
		return nil, c.readErr
	}
	for {
		rest, got, ok, err := c.p.feed(c.unread)
		c.unread = rest
		if err == nil && !ok {
			err = c.fill()
		}
		if err != nil {
			return nil, c.end(err)
		}
		if !ok {
			continue
		}
		switch got.op {
		case opText:
			if c.closeBy.Load() == 0 {
				return got.payload, nil
			}
		case opPing:
			// If it cannot be written, reading will tell.
			_ = c.write(opPong, got.payload)
		case opPong:
			if c.o.OnPong != nil {
				c.o.OnPong(got.payload)
			}
		case opClose:
			return nil, c.end(parseClose(got.payload))
		}
	}
}

// fill reads once from the socket: into the message if much of it is to come,
// else into the small buffer.
func (c *Conn) fill() error {
	if c.o.Silence > 0 {
		c.sock.SetReadDeadline(time.Now().Add(c.o.Silence))
	}
	// Close may have set its own deadline just before ours replaced it.
	if by := c.closeBy.Load(); by != 0 {
		c.sock.SetReadDeadline(time.Unix(0, by))
	}
	if into := c.p.space(len(c.buf)); into != nil {
		n, err := c.sock.Read(into)
		c.p.read(n)
		return ignoreIf(n > 0, err)
	}
	n, err := c.sock.Read(c.buf[:])
	c.unread = c.buf[:n]
	return ignoreIf(n > 0, err)
}

// ignoreIf drops an error that came with bytes: the next read has it again.
func ignoreIf(some bool, err error) error {
	if some {
		return nil
	}
	return err
}

// end closes the connection as err demands and makes it Read's last word.
func (c *Conn) end(err error) error {
	c.readErr, c.unread, c.p = err, nil, parser{}
	closed, ok := err.(*CloseError)
	if !ok {
		c.Abort()
		return err
	}
	if e := c.startClose(closed.Code, closed.Reason); e == nil && !closed.Remote {
		c.linger()
	}
	c.Abort()
	return err
}

// linger lets a peer that has not said its last word read ours: closing a socket
// with unread bytes in it resets the connection, and the peer loses what it was sent.
func (c *Conn) linger() {
	if half, ok := c.sock.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	c.sock.SetReadDeadline(time.Now().Add(lingerWait))
	io.CopyN(io.Discard, c.sock, lingerMost)
}

// Abort drops the connection without a word. Read and writes under way end with
// an error.
func (c *Conn) Abort() { c.sock.Close() }

// Close begins the close handshake, once: it sends the close frame and returns
// without waiting for the answer, which Read does. It takes at most a second,
// whatever a write to a stalled peer is doing at the moment; if the frame could
// not be written, the connection is dropped.
func (c *Conn) Close(code Code, reason string) error {
	err := c.startClose(code, reason)
	if err == nil {
		c.sock.SetReadDeadline(time.Unix(0, c.closeBy.Load()))
	} else if err != errClosed {
		c.Abort()
	}
	return err
}

// startClose sends the close frame if none was sent, and lets nothing follow it.
func (c *Conn) startClose(code Code, reason string) error {
	now := time.Now()
	if !c.closeBy.CompareAndSwap(0, now.Add(closeWait).UnixNano()) {
		return errClosed
	}
	// A write that a stalled peer holds up, and with it mu, ends by this.
	c.sock.SetWriteDeadline(now.Add(closeWrite))
	frame := c.frame(opClose, closePayload(code, reason))
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.send(net.Buffers{frame})
	if c.writeErr == nil {
		c.writeErr = errClosed
	}
	return err
}

// WriteText sends one text message, which must be UTF-8.
func (c *Conn) WriteText(payload []byte) error { return c.write(opText, payload) }

// Ping sends a ping with up to 125 bytes of payload, which come back in a pong.
func (c *Conn) Ping(payload []byte) error {
	return c.write(opPing, payload[:min(len(payload), maxControl)])
}

// WriteFrames sends whole frames made by [AppendText] and its like, in one call
// of the operating system where that can be. The slice frames is used up; the
// bytes in it are not changed and may be shared. Only for the server's side: a
// client's frames are masked.
func (c *Conn) WriteFrames(frames net.Buffers) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client {
		return errors.New("ws: a client cannot send unmasked frames")
	}
	return c.send(frames)
}

func (c *Conn) write(op opcode, payload []byte) error {
	frame := c.frame(op, payload)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send(net.Buffers{frame})
}

func (c *Conn) frame(op opcode, payload []byte) []byte {
	frame := make([]byte, 0, maxHeader+len(payload))
	if c.client {
		var mask [4]byte
		rand.Read(mask[:])
		return appendFrame(frame, op, payload, &mask)
	}
	return appendFrame(frame, op, payload, nil)
}

// send writes with mu held. Each time that some bytes were taken, the peer has
// the whole time again for the next ones. After an error the connection is
// dropped, since half a frame may have been sent.
func (c *Conn) send(frames net.Buffers) error {
	if c.writeErr != nil {
		return c.writeErr
	}
	for {
		var deadline time.Time
		if c.o.Stall > 0 {
			deadline = time.Now().Add(c.o.Stall)
		}
		c.sock.SetWriteDeadline(deadline)
		// Close may have set its own deadline just before ours replaced it.
		if c.closeBy.Load() != 0 {
			c.sock.SetWriteDeadline(time.Now().Add(closeWrite))
		}
		n, err := frames.WriteTo(c.sock)
		if err == nil {
			return nil
		}
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.closeBy.Load() == 0 {
			continue
		}
		c.writeErr = err
		c.Abort()
		return err
	}
}
