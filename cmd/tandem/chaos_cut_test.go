package main

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A chaosProxy passes connections on to the server and cuts each after a random
// number of bytes, in either direction: in the middle of frames, of requests, of
// handshakes. Half of them end as if a process had died, half in order.
type chaosProxy struct {
	address string
	to      string
	calm    atomic.Bool // cut nothing any more
	cuts    atomic.Int64

	mu   sync.Mutex // guards rng, open
	rng  *rand.Rand
	open map[net.Conn]bool
	work sync.WaitGroup
}

func newChaosProxy(t *testing.T, to string, seed uint64) *chaosProxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &chaosProxy{address: l.Addr().String(), to: to, rng: newChaosRand(seed, "proxy"), open: make(map[net.Conn]bool)}
	p.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.work.Go(func() { p.pass(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut()
		p.work.Wait()
	})
	return p
}

// cut ends every connection there is.
func (p *chaosProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
	}
}

// budgets are how many bytes may pass. What a client sends is now and then cut in
// its first request; what the server sends sometimes in the head of its answer,
// mostly somewhere in the first hundred frames.
func (p *chaosProxy) budgets() (up, down int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	up, down = 1<<40, int64(1+p.rng.IntN(1<<(8+p.rng.IntN(9))))
	if p.rng.IntN(4) == 0 {
		up = int64(1 + p.rng.IntN(1500))
	}
	return up, down
}

func (p *chaosProxy) pass(client net.Conn) {
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		client.Close()
		return
	}
	p.mu.Lock()
	p.open[client], p.open[server] = true, true
	rude := p.rng.IntN(2) == 0
	p.mu.Unlock()
	end := func() {
		for _, c := range []net.Conn{client, server} {
			if tcp := c.(*net.TCPConn); rude && !p.calm.Load() {
				_ = tcp.SetLinger(0) // a reset; without it a FIN
			}
			c.Close()
		}
	}
	var both sync.WaitGroup
	carry := func(to, from net.Conn, budget int64) {
		defer end()
		_, err := io.CopyN(to, from, budget)
		if err != nil {
			return
		}
		if p.calm.Load() {
			_, _ = io.Copy(to, from)
			return
		}
		p.cuts.Add(1)
	}
	up, down := p.budgets()
	both.Go(func() { carry(server, client, up) })
	both.Go(func() { carry(client, server, down) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, client)
	delete(p.open, server)
}

// The connections of everybody are cut again and again, and nobody notices:
// what was posted with a key is stored once, every reader has everything once.
//
// Seen to fail by frames whose id comes before their data was written (the reader
// then resumes behind what it never saw), and without the look for keys used before.
func TestChaos_connectionsCut(t *testing.T) {
	w := newChaosWorld(t, 8, 10*time.Millisecond)
	w.server.start()
	w.server.ready()
	p := newChaosProxy(t, w.server.address, w.seed)
	w.via = p.address
	w.read()
	stop := make(chan struct{})
	w.write(stop, 20*time.Millisecond)
	most := int64(30 * chaosKills(t, 20))
	if !chaosUntil(t.Context(), func() bool { return p.cuts.Load() >= most }) {
		t.Errorf("only %d connections were cut", p.cuts.Load())
	}
	close(stop)
	w.writers.Wait()
	p.calm.Store(true)
	p.cut()
	w.settle("last")
	t.Logf("%d connections cut", p.cuts.Load())
	history := w.history()
	if code := w.server.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.audit(history)
}
