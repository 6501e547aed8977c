package api

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// small makes both ends hold little, so that a peer that does not read is felt.
func small(t *testing.T) (here, there net.Conn) {
	t.Helper()
	here, there = pair(t)
	for _, c := range []*net.TCPConn{here.(*net.TCPConn), there.(*net.TCPConn)} {
		if err := c.SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		if err := c.SetWriteBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
	}
	return here, there
}

// A peer that is slow, but takes something in each of the times that it has, gets
// everything, and gets it whole. Seen to fail by giving it one time for all.
func TestPeer_slowIsNotStalled(t *testing.T) {
	t.Parallel()
	here, there := small(t)
	p := &peer{stall: 100 * time.Millisecond}
	p.writing(here)
	want := bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16)
	frames := net.Buffers{want[:1], want[1 : 40<<10], nil, want[40<<10:]}
	done := make(chan error, 1)
	go func() {
		done <- p.write(frames)
		here.Close()
	}()
	var got []byte
	piece := make([]byte, 4<<10)
	slow := time.NewTicker(50 * time.Millisecond)
	defer slow.Stop()
	for {
		<-slow.C
		n, err := there.Read(piece)
		if got = append(got, piece[:n]...); err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Errorf("the write failed: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes of %d, or others", len(got), len(want))
	}
}

// A write that is stuck ends when the peer's time is over, when the credential's
// is, and a second after the hangup; only the first is the peer's fault. Seen to
// fail by leaving each of them out.
func TestPeer_aStuckWriteEnds(t *testing.T) {
	much := bytes.Repeat([]byte("x"), 8<<20)
	for name, c := range map[string]struct {
		stall, until time.Duration
		hang         bool
		within       time.Duration
		stalled      bool
	}{
		"stalled": {stall: 50 * time.Millisecond, within: time.Second, stalled: true},
		"expired": {stall: time.Minute, until: 50 * time.Millisecond, within: time.Second},
		"hung up": {stall: time.Minute, hang: true, within: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, _ := small(t)
			p := &peer{stall: c.stall}
			if c.until > 0 {
				p.until = time.Now().Add(c.until)
			}
			p.writing(here)
			began := time.Now()
			done := make(chan error)
			go func() { done <- p.write(net.Buffers{much}) }()
			if c.hang {
				p.hangUp()
			}
			err := <-done
			if err == nil || time.Since(began) > c.within {
				t.Errorf("got %v after %v", err, time.Since(began))
			}
			if got := p.stalled(err); got != c.stalled {
				t.Errorf("stalled is %v", got)
			}
			p.close()
			p.hangUp() // late: must not touch what is closed
		})
	}
}
