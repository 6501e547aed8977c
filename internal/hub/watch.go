package hub

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// Watcher is one open stream's place in the hub.
type Watcher struct {
	hub     *Hub
	address tandem.Address
	topic   *topic
	holder  Holder
	face    tandem.Face
	ticket  string // id of the ticket it was opened with, if any
	bell    chan struct{}
	ended   atomic.Pointer[string]

	principal atomic.Pointer[tandem.Principal]
	hangup    func() // set before the watcher can be seen; may be nil
}

// Holder is whose open streams are counted together.
type Holder struct {
	Tenant  string
	Role    tandem.PrincipalRole
	Subject string
	Of      string // of an agent key: the participant it names
}

// HolderOf returns in whose name p follows the thread a.
func HolderOf(p tandem.Principal, a tandem.Address) Holder {
	h := Holder{Tenant: p.Tenant, Role: p.Role, Subject: p.Subject}
	if p.Role == tandem.Agent {
		h.Subject, h.Of = p.ID, a.Participant
	}
	return h
}

// caps counts open streams, and knows which one a ticket has open.
type caps struct {
	mu      sync.Mutex // guards open, tickets
	open    map[Holder]int
	tickets map[string]*Watcher // by the ticket's id
}

// WatchOptions say how a stream watches. The zero value is somebody who waits for
// a single reply, which is no stream.
type WatchOptions struct {
	Face tandem.Face
	Max  int // streams the holder may have open; 0: any number

	// Hangup, if not nil, is called when the stream is asked to end; it must not
	// block.
	Hangup func()
}

// Watch begins to watch a thread; events committed after it returns ring. One
// stream more than opt.Max is refused with kind TooMany. Close the watcher when
// the stream ends.
//
// A stream opened with a ticket that already has one ends the older: after a
// tunnel the old one still looks open.
func (h *Hub) Watch(a tandem.Address, p tandem.Principal, opt WatchOptions) (*Watcher, error) {
	w := &Watcher{hub: h, address: a, holder: HolderOf(p, a), face: opt.Face, bell: make(chan struct{}, 1), hangup: opt.Hangup}
	w.SetPrincipal(p)
	<-w.bell // nothing has happened yet
	if p.Kind == tandem.CredentialTicket && opt.Face != tandem.FaceChat {
		w.ticket = p.ID
		if older := h.caps.replace(w); older != nil {
			older.end(EndReplaced)
		}
	}
	if !h.caps.enter(w.holder, opt.Max) {
		h.caps.forget(w)
		return nil, tandem.Errorf(tandem.TooMany, "too many open streams")
	}
	h.with(a, func(t *topic) {
		w.topic = t
		t.watchers = append(t.watchers, w)
	})
	h.opt.Metric.Hub.Streams.Of(opt.Face.String()).Inc()
	return w, nil
}

// Reasons for which the hub ends streams.
const EndReplaced = "replaced by a newer stream of the same ticket"

func (c *caps) enter(k Holder, max int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if max > 0 && c.open[k] >= max {
		return false
	}
	c.open[k]++
	return true
}

// replace makes w the stream of its ticket and returns the one that was.
func (c *caps) replace(w *Watcher) *Watcher {
	c.mu.Lock()
	defer c.mu.Unlock()
	older := c.tickets[w.ticket]
	c.tickets[w.ticket] = w
	return older
}

// forget takes w's ticket back, unless a newer stream has it.
func (c *caps) forget(w *Watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.ticket != "" && c.tickets[w.ticket] == w {
		delete(c.tickets, w.ticket)
	}
}

func (c *caps) leave(k Holder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[k]--; c.open[k] <= 0 {
		delete(c.open, k)
	}
}

// Close ends the watching. It may be called once.
func (w *Watcher) Close() {
	w.hub.with(w.address, func(t *topic) {
		if i := slices.Index(t.watchers, w); i >= 0 {
			t.watchers = slices.Delete(t.watchers, i, i+1)
		}
		if len(t.watchers) == 0 {
			t.forget()
		}
	})
	w.hub.caps.forget(w)
	if w.ended.Load() == nil || *w.ended.Load() != EndReplaced {
		w.hub.caps.leave(w.holder)
	}
	w.hub.opt.Metric.Hub.Streams.Of(w.face.String()).Dec()
}

// Bell has something in it when there may be news.
func (w *Watcher) Bell() <-chan struct{} { return w.bell }

// Wake rings this watcher's bell alone.
func (w *Watcher) Wake() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// Ended returns why the stream has to end, or "" if it may go on.
func (w *Watcher) Ended() string {
	if r := w.ended.Load(); r != nil {
		return *r
	}
	return ""
}

// end asks the stream to end. One that is replaced gives its place in the count
// away at once, so that the newer one is not refused.
func (w *Watcher) end(reason string) {
	if w.ended.CompareAndSwap(nil, &reason) {
		if reason == EndReplaced {
			w.hub.caps.leave(w.holder)
		}
		w.Wake()
		if w.hangup != nil {
			w.hangup()
		}
	}
}

// Principal returns who follows. Nobody may write to it.
func (w *Watcher) Principal() *tandem.Principal { return w.principal.Load() }

// SetPrincipal renews who follows, when a socket shows a new token in place.
func (w *Watcher) SetPrincipal(p tandem.Principal) {
	p.Claims = nil // only who posts is asked for them
	w.principal.Store(&p)
	w.Wake()
}

// Rings counts the rings for events of the thread. A follower that notes it, then
// reads to the end, need not read again until it changes.
func (w *Watcher) Rings() uint64 {
	w.topic.mu.Lock()
	defer w.topic.mu.Unlock()
	return w.topic.rings
}

// Verify reports whether the watcher should look for lost rings: nobody has for
// this thread within the time.
func (w *Watcher) Verify(now time.Time, within time.Duration) bool {
	t := w.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.verified) < within {
		return false
	}
	t.verified = now
	return true
}

// Doubt makes every follower of the thread read the store: a ring was lost.
func (w *Watcher) Doubt() {
	t := w.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget()
	t.rings++
	t.ring()
}

// Tail returns the events after seq from memory. ok is false if memory does not
// reach back that far, and the store must be asked; none at all with ok means
// that the follower has seen everything that rang.
func (w *Watcher) Tail(seq int64) (entries []*Entry, ok bool) {
	t := w.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.tail)
	if n == 0 || seq < t.tail[0].Event.Seq-1 || seq > t.tail[n-1].Event.Seq {
		return nil, false
	}
	return t.tail[seq+1-t.tail[0].Event.Seq : n : n], true
}

// EndStreams asks every open stream whose principal matches to end for reason.
func (h *Hub) EndStreams(match func(tandem.Principal) bool, reason string) int {
	n := 0
	for i := range h.shards {
		for _, w := range h.shards[i].watchers() {
			if match(*w.Principal()) {
				w.end(reason)
				n++
			}
		}
	}
	return n
}

func (s *shard) watchers() []*Watcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Watcher
	for _, t := range s.topics {
		t.mu.Lock()
		all = append(all, t.watchers...)
		t.mu.Unlock()
	}
	return all
}

// Subscribers returns how many streams and sockets follow the thread. Who waits
// for a single reply (a watcher without a face) is not one.
func (h *Hub) Subscribers(a tandem.Address) int {
	t := h.topic(a)
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, w := range t.watchers {
		if w.face != 0 {
			n++
		}
	}
	return n
}

// Streams returns how many streams are open on this node.
func (h *Hub) Streams() int {
	n := 0
	for i := range h.shards {
		n += len(h.shards[i].watchers())
	}
	return n
}

// Any reports whether some open stream's principal matches.
func (h *Hub) Any(match func(tandem.Principal) bool) bool {
	for i := range h.shards {
		for _, w := range h.shards[i].watchers() {
			if match(*w.Principal()) {
				return true
			}
		}
	}
	return false
}
