package ws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// silent is a network connection on which nothing ever happens.
type silent struct {
	closed chan struct{}
	once   *sync.Once
}

func newSilent() silent { return silent{make(chan struct{}), new(sync.Once)} }

func (s silent) Read([]byte) (int, error)         { <-s.closed; return 0, net.ErrClosed }
func (s silent) Write(b []byte) (int, error)      { return len(b), nil }
func (s silent) Close() error                     { s.once.Do(func() { close(s.closed) }); return nil }
func (s silent) LocalAddr() net.Addr              { return nil }
func (s silent) RemoteAddr() net.Addr             { return nil }
func (s silent) SetDeadline(time.Time) error      { return nil }
func (s silent) SetReadDeadline(time.Time) error  { return nil }
func (s silent) SetWriteDeadline(time.Time) error { return nil }

// pair is a server's Conn and the bare other end, without a buffer in between.
func pair(o Options) (*Conn, net.Conn) {
	near, far := net.Pipe()
	return NewConn(near, nil, o), far
}

// reading calls Read until it fails and tells what came.
func reading(c *Conn) (messages <-chan string, end <-chan error) {
	ms, es := make(chan string, 100), make(chan error, 1)
	go func() {
		for {
			m, err := c.Read()
			if err != nil {
				es <- err
				return
			}
			ms <- string(m)
		}
	}()
	return ms, es
}

// expect reads exactly these bytes from the far end.
func expect(t *testing.T, far net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || string(got) != string(want) {
		t.Fatalf("got % x, %v; want % x", got, err, want)
	}
}

func TestConn_readsWhatWasBuffered(t *testing.T) {
	near, far := net.Pipe()
	c := NewConn(near, append(masked(opText, "early"), masked(opText, "half")[:3]...), Options{})
	messages, end := reading(c)
	go func() {
		far.Write(masked(opText, "half")[3:])
		far.Close()
	}()
	if a, b := <-messages, <-messages; a != "early" || b != "half" {
		t.Errorf("read %q, %q", a, b)
	}
	if err := <-end; err != io.EOF {
		t.Errorf("ended with %v", err)
	}
}

func TestConn_answersPings(t *testing.T) {
	pongs := make(chan string, 1)
	c, far := pair(Options{OnPong: func(p []byte) { pongs <- string(p) }})
	_, end := reading(c)
	far.Write(masked(opPing, "are you there"))
	expect(t, far, frame(true, opPong, "are you there", 0))
	go far.Write(masked(opPong, "yes"))
	if p := <-pongs; p != "yes" {
		t.Errorf("pong %q", p)
	}
	go c.Ping([]byte("and you"))
	expect(t, far, frame(true, opPing, "and you", 0))
	far.Close()
	<-end
}

// The peer's close frame is answered with its own code, and nothing follows.
func TestConn_closeByPeer(t *testing.T) {
	for _, tt := range []struct {
		payload, answer string
		want            CloseError
	}{
		{"\x03\xe8bye", "\x03\xe8bye", CloseError{Code: Normal, Reason: "bye", Remote: true}},
		{"", "", CloseError{Code: NoStatus, Remote: true}},
		{"\x03\xed", "\x03\xeaa close code that may not be sent", CloseError{Code: ProtocolError, Reason: "a close code that may not be sent"}},
		{"\x03", "\x03\xeahalf a close code", CloseError{Code: ProtocolError, Reason: "half a close code"}},
		{"\x03\xe8\xff", "\x03\xefa close reason that is not UTF-8", CloseError{Code: InvalidText, Reason: "a close reason that is not UTF-8"}},
	} {
		c, far := pair(Options{})
		_, end := reading(c)
		far.Write(masked(opClose, tt.payload))
		expect(t, far, frame(true, opClose, tt.answer, 0))
		far.Close()
		err := <-end
		if got := new(CloseError); !errors.As(err, &got) || *got != tt.want {
			t.Errorf("%q: %v", tt.payload, err)
		}
		if err := c.WriteText([]byte("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing after the close: %v", err)
		}
		if _, again := c.Read(); again != err {
			t.Errorf("reading again: %v", again)
		}
	}
}

// After Close the peer's messages are dropped, its answer ends Read, and no
// frame follows ours.
func TestConn_close(t *testing.T) {
	c, far := pair(Options{})
	messages, end := reading(c)
	done := make(chan error, 1)
	go func() { done <- c.Close(ServiceRestart, "see you") }()
	expect(t, far, frame(true, opClose, "\x03\xf4see you", 0))
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := c.Close(Normal, ""); err == nil {
		t.Error("closed twice")
	}
	if err := c.WriteText([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing after Close: %v", err)
	}
	far.Write(join(masked(opText, "too late"), masked(opClose, "\x03\xf4")))
	if err := <-end; err.(*CloseError).Code != ServiceRestart || len(messages) != 0 {
		t.Errorf("ended with %v and %d messages", err, len(messages))
	}
	far.Close()
}

func TestConn_closeWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(Options{Silence: time.Hour})
		_, end := reading(c)
		go io.Copy(io.Discard, far)
		begin := time.Now()
		c.Close(GoingAway, "")
		if err := <-end; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != closeWait {
			t.Errorf("ended with %v after %v", err, time.Since(begin))
		}
	})
}

// Real time, since a bubble's clock stands still while somebody waits for a lock.
// Broken once by waiting for the lock before the deadline is set: Close took the
// ten minutes that the stalled write had.
func TestConn_closeDoesNotWaitForAStalledPeer(t *testing.T) {
	t.Parallel()
	c, far := pair(Options{Stall: 10 * time.Minute})
	_, end := reading(c)
	wrote := make(chan error, 1)
	go func() { wrote <- c.WriteText([]byte("nobody takes this")) }()
	far.Read(make([]byte, 1)) // it has begun
	begin := time.Now()
	if err := c.Close(Expired, ""); err == nil {
		t.Error("a close frame in the middle of another")
	}
	if took := time.Since(begin); took > 3*closeWrite {
		t.Errorf("Close took %v", took)
	}
	if err := <-wrote; err == nil {
		t.Error("the stalled write succeeded")
	}
	<-end
	far.Close()
}

// The same for a peer that stalls and errs: its error is not held up by its stall.
func TestConn_errorDoesNotWaitForAStalledPeer(t *testing.T) {
	t.Parallel()
	c, far := pair(Options{Stall: 10 * time.Minute})
	_, end := reading(c)
	wrote := make(chan error, 1)
	go func() { wrote <- c.WriteText([]byte("nobody takes this")) }()
	far.Read(make([]byte, 1))
	begin := time.Now()
	far.Write([]byte{0x82, 0x80})
	if err := <-end; err.(*CloseError).Code != Unsupported || time.Since(begin) > 3*closeWrite {
		t.Errorf("ended with %v after %v", err, time.Since(begin))
	}
	<-wrote
	far.Close()
}

func TestConn_silence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(Options{Silence: 75 * time.Second})
		_, end := reading(c)
		for range 3 { // pongs keep it alive
			<-time.After(74 * time.Second)
			far.Write(masked(opPong, ""))
		}
		begin := time.Now()
		if err := <-end; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 75*time.Second {
			t.Errorf("ended with %v after %v", err, time.Since(begin))
		}
		far.Close()
	})
}

// A slow peer is not a stalled one: each byte that it takes gives it time again.
func TestConn_stall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(Options{Stall: 10 * time.Second})
		message := strings.Repeat("x", 20)
		wrote := make(chan error, 1)
		write := func() {
			wrote <- c.WriteFrames(net.Buffers{AppendText(nil, []byte(message)), AppendText(nil, []byte(message))})
		}
		go write()
		for range 2 * (2 + len(message)) {
			<-time.After(9 * time.Second)
			far.Read(make([]byte, 1))
		}
		if err := <-wrote; err != nil {
			t.Errorf("a slow peer: %v", err)
		}
		begin := time.Now()
		go write()
		if err := <-wrote; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 10*time.Second {
			t.Errorf("a stalled peer: %v after %v", err, time.Since(begin))
		}
		if err := c.WriteText(nil); err == nil {
			t.Error("a write after half a frame")
		}
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the connection is still open: %v", err)
		}
	})
}

// Frames of many writers do not get into each other.
func TestConn_serialisesWriters(t *testing.T) {
	c, far := pair(Options{})
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			shared := AppendText(nil, []byte("shared"))
			for n := range 50 {
				c.WriteText(fmt.Appendf(nil, "%d %d", i, n))
				c.WriteFrames(net.Buffers{shared[:1], shared[1:5], shared[5:], shared}) // four writes on a pipe
			}
		})
	}
	client := &Conn{sock: far, client: true}
	messages, end := reading(client)
	next, shared := map[int]int{}, 0
	for range 8 * 50 * 3 {
		var m string
		select {
		case m = <-messages:
		case err := <-end:
			t.Fatalf("the client's reader: %v", err)
		}
		if m == "shared" {
			shared++
			continue
		}
		var i, n int
		fmt.Sscanf(m, "%d %d", &i, &n)
		if n != next[i] {
			t.Fatalf("writer %d: %d, expected %d", i, n, next[i])
		}
		next[i]++
	}
	if shared != 8*50*2 {
		t.Errorf("%d shared frames", shared)
	}
	writers.Wait()
	client.Abort()
	<-end
}

// Whatever is written is written under the lock. Broken once by taking it out of
// WriteFrames.
func TestConn_writesUnderItsLock(t *testing.T) {
	for name, write := range map[string]func(*Conn) error{
		"text":   func(c *Conn) error { return c.WriteText([]byte("a")) },
		"frames": func(c *Conn) error { return c.WriteFrames(net.Buffers{AppendText(nil, nil)}) },
		"ping":   func(c *Conn) error { return c.Ping(nil) },
		"close":  func(c *Conn) error { return c.Close(Normal, "") },
	} {
		s := &witness{silent: newSilent()}
		c := NewConn(s, nil, Options{})
		s.locked = func() bool { return !c.mu.TryLock() }
		if err := write(c); err != nil || !s.seen {
			t.Errorf("%s: %v, under the lock: %v", name, err, s.seen)
		}
	}
}

// witness looks whether the lock is held while something is written to it.
type witness struct {
	silent
	locked func() bool
	seen   bool
}

func (w *witness) Write(b []byte) (int, error) {
	w.seen = w.locked()
	return len(b), nil
}

func TestConn_clientCannotSendSharedFrames(t *testing.T) {
	c := &Conn{sock: newSilent(), client: true}
	if err := c.WriteFrames(net.Buffers{AppendText(nil, []byte("a"))}); err == nil {
		t.Error("an unmasked frame from a client")
	}
}

func deadlineContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}
