package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Two readers stop reading, one of each face, while 20 MB of events and a long
// answer go by. The others go on; the server keeps nothing for the two but their
// place; and when they read again they get everything, in order.
//
// Seen to fail by a queue for each reader: the server then grows by what was not
// taken.
func TestChaos_stalledReader(t *testing.T) {
	w := newChaosWorld(t, 1, 0)
	w.server.start()
	w.server.ready()
	th := w.threads[0]
	gate := make(chan struct{})
	stream, socket := th.unread("stalled stream"), th.unread("stalled socket")
	for _, r := range []*chaosReader{stream, socket} {
		r.gate, r.client = gate, narrow()
	}
	stream.echo, stream.tokens, socket.chat = true, true, true
	w.read()
	var times arrivals
	for _, r := range th.readers {
		r.set(func(r *chaosReader) { r.mu.Lock(); r.arrived = times.note; r.mu.Unlock() })
	}
	idle := w.server.memory()
	most := w.flood("without", "long-2000", 100)
	without := times.p99()

	begun := th.readers
	th.readers = []*chaosReader{stream, socket}
	w.alsoFollow(th.readers)
	th.readers = begun
	mostStalled := w.flood("with", "long-4000", 200)
	with := times.p99()
	t.Logf("from commit request to reader, p99: %v; with two stalled readers: %v", without, with)
	t.Logf("memory: %d MiB idle, at most %d MiB, at most %d MiB with two stalled readers", idle>>20, most>>20, mostStalled>>20)
	if grown := mostStalled - most; grown > 64<<20 {
		t.Errorf("the server grew by %d MiB more with two stalled readers", grown>>20)
	}
	for _, r := range []*chaosReader{stream, socket} {
		r.mu.Lock()
		if len(r.seen) > 0 {
			t.Errorf("%s has read %d events: it did not stall", r.name, len(r.seen))
		}
		r.mu.Unlock()
	}
	close(gate)
	th.readers = append(th.readers, stream, socket)
	w.settle("last")
	for _, r := range []*chaosReader{stream, socket} {
		r.mu.Lock()
		if r.counts.opened != 1 {
			t.Errorf("%s had to open %d connections", r.name, r.counts.opened)
		}
		r.mu.Unlock()
	}
	history := w.history()
	w.server.stop()
	w.audit(history)
}

// narrow is a client with a small buffer that reads nothing ahead, and so soon
// takes nothing any more if nobody reads. With one smaller still it is the kernel
// that takes minutes for what was missed.
func narrow() *http.Client {
	transport := &http.Transport{DisableKeepAlives: true, ReadBufferSize: 1024}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return c, c.(*net.TCPConn).SetReadBuffer(32 << 10)
	}
	return &http.Client{Transport: transport}
}

// arrivals measures from when a push was sent to when readers had it.
type arrivals struct {
	mu  sync.Mutex // guards all
	all []time.Duration
}

func (a *arrivals) note(data json.RawMessage) {
	var d struct{ Sent int64 }
	if json.Unmarshal(data, &d) == nil && d.Sent > 0 {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.all = append(a.all, time.Since(time.Unix(0, d.Sent)))
	}
}

// p99 is of all that was measured since it was asked last.
func (a *arrivals) p99() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.all
	a.all = nil
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)*99/100].Round(10 * time.Microsecond)
}

// flood pushes twice n messages of 52 KB and has a long answer written meanwhile.
// It returns when the readers have it all, with the most memory that the server had.
func (w *chaosWorld) flood(word, question string, n int) (most int64) {
	w.t.Helper()
	th := w.threads[0]
	filler := strings.Repeat("x", 52<<10)
	done := make(chan struct{})
	for by := range 2 {
		rng := rand.New(rand.NewPCG(w.seed, uint64(by)))
		w.writers.Go(func() {
			for i := range n {
				a := accepted{writer: fmt.Sprint("flood", by), text: fmt.Sprintf("%s-%d-%d %s", word, by, i, filler)}
				a.data = fmt.Sprintf(`{"sent":%d}`, time.Now().UnixNano())
				body := fmt.Sprintf(`{"workflow":%q,"participantId":%q,"text":%q,"data":%s}`, th.address.Workflow, th.address.Participant, a.text, a.data)
				if !th.accept(rng, a, w.url("http", "/api/agent/conversation/outbound/data", nil), body, w.key) || !chaosPause(w.t.Context(), 8*time.Millisecond) {
					return
				}
			}
		})
	}
	go func() {
		defer close(done)
		w.writers.Wait()
	}()
	th.asks(question)
	ended := false
	chaosUntil(w.t.Context(), func() bool {
		most = max(most, w.server.memory())
		select {
		case <-done:
			ended = true
		default:
		}
		return ended
	})
	w.settle(word)
	return max(most, w.server.memory())
}

// alsoFollow starts more readers, and waits until each has begun.
func (w *chaosWorld) alsoFollow(readers []*chaosReader) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	end := w.end
	w.end = func() { end(); cancel() }
	for _, r := range readers {
		w.readers.Go(func() { r.run(ctx) })
	}
	w.await("the stalled readers to begin", func(r *chaosReader) bool { return r.place != "" })
}
