// Package hub tells followers that a thread has something new, keeps the last
// few events of threads that are followed, and the text of answers on their way.
//
// Nothing in it is the truth: the log is. A ring or a delta that is lost costs a
// late read, never an event. The order for a follower is always the same: watch,
// then read, then wait.
package hub

import (
	"hash/maphash"
	"sync"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/metric"
)

// Options of a hub.
type Options struct {
	Codec  tandem.Codec
	Metric *metric.Set  // nil: none
	Clock  tandem.Clock // nil: time.Now

	// Lose, if set, is asked before each ring, delta and notice whether to lose it.
	// The tests break the bell with it; the log must not notice.
	Lose func() bool
}

// Hub is the meeting place of one node. Its methods may be called from any goroutine.
type Hub struct {
	opt    Options
	seed   maphash.Seed
	shards [64]shard
	caps   caps
	duty   duty
}

type shard struct {
	mu     sync.Mutex // guards topics
	topics map[tandem.Address]*topic
}

// tailLen is how many of a followed thread's last events stay in memory.
const tailLen = 64

// tailSize is how many bytes of bodies they may have together. Both are passed by
// as much again before the oldest go.
const tailSize = 1 << 20

// topic is one thread on this node while somebody follows it or an answer of it
// is on its way.
type topic struct {
	mu       sync.Mutex // guards all below
	watchers []*Watcher
	tail     []*Entry // contiguous, oldest first
	size     int      // bytes of bodies in tail
	answers  []*answer
	verified time.Time // when a follower last looked for lost rings
	rings    uint64    // how often events rang: who saw this number has no need to read
	notices  *notices  // nil: none since somebody watches
}

// New returns an empty hub.
func New(opt Options) *Hub {
	if opt.Metric == nil {
		opt.Metric = metric.Discard()
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	h := &Hub{opt: opt, seed: maphash.MakeSeed()}
	for i := range h.shards {
		h.shards[i].topics = map[tandem.Address]*topic{}
	}
	h.caps.open, h.caps.tickets = map[Holder]int{}, map[string]*Watcher{}
	h.duty.seats = map[seat]*sitting{}
	return h
}

func (h *Hub) shard(a tandem.Address) *shard {
	return &h.shards[maphash.Comparable(h.seed, a)%uint64(len(h.shards))]
}

// topic returns the thread's topic, or nil if nobody needs one.
func (h *Hub) topic(a tandem.Address) *topic {
	s := h.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.topics[a]
}

// with calls fn with the thread's topic locked, making the topic if need be, and
// drops it afterwards if nobody needs it any more.
func (h *Hub) with(a tandem.Address, fn func(*topic)) {
	s := h.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[a]
	if t == nil {
		t = &topic{}
		s.topics[a] = t
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fn(t)
	if len(t.watchers) == 0 && len(t.answers) == 0 {
		delete(s.topics, a)
	}
}

// Ring tells the followers of a thread that these events were committed. The
// store's writer calls it after each commit, in order.
func (h *Hub) Ring(a tandem.Address, events []tandem.Event) {
	t := h.topic(a)
	if t == nil || h.lost() {
		return
	}
	h.opt.Metric.Hub.Rings.Inc()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rings++
	for i := range events {
		t.push(&events[i])
	}
	t.ring()
}

// Nudge tells the followers of a that there is something new which is not an
// event of a: of a board or a feed, to which nothing is ever appended. It is to
// be called after the commit, and costs next to nothing when nobody watches.
func (h *Hub) Nudge(a tandem.Address) { h.Ring(a, nil) }

// Lossy reports whether rings and notices can be lost. Within one process they
// cannot, and then nobody has to look whether something came without one.
func (h *Hub) Lossy() bool { return h.opt.Lose != nil }

func (h *Hub) lost() bool { return h.opt.Lose != nil && h.opt.Lose() }

// Erase forgets all that memory has of a thread: its last events with their
// frames, the text of answers on their way, its notices. Its followers then read
// the store. To be called once the erasure is committed. Of what was in memory, no
// frame can be made any more by who still holds it.
func (h *Hub) Erase(a tandem.Address) {
	if h.topic(a) == nil {
		return
	}
	h.with(a, func(t *topic) {
		for _, e := range t.tail {
			e.erase()
		}
		t.forget()
		t.answers = nil
		if t.notices != nil {
			t.notices.list = nil
		}
		t.rings++
		t.ring()
	})
}

// push adds an event to the tail; a hole before it empties the tail first.
func (t *topic) push(e *tandem.Event) {
	if len(t.watchers) == 0 {
		return
	}
	if n := len(t.tail); n > 0 && t.tail[n-1].Event.Seq+1 != e.Seq {
		if e.Seq <= t.tail[n-1].Event.Seq {
			return
		}
		t.forget()
	}
	if len(t.tail) == 2*tailLen || t.size+len(e.Body) > 2*tailSize {
		t.shorten()
	}
	t.tail = append(t.tail, &Entry{Event: e})
	t.size += len(e.Body)
}

// shorten keeps the newest of the tail. It moves them to fresh memory: readers
// hold slices of the old.
func (t *topic) shorten() {
	keep, size := 0, 0
	for keep < min(tailLen, len(t.tail)) {
		n := len(t.tail[len(t.tail)-1-keep].Event.Body)
		if size+n > tailSize {
			break
		}
		keep, size = keep+1, size+n
	}
	t.tail, t.size = append(make([]*Entry, 0, 2*tailLen), t.tail[len(t.tail)-keep:]...), size
}

func (t *topic) forget() { t.tail, t.size = nil, 0 }

// ring wakes every follower. t.mu is held.
func (t *topic) ring() {
	for _, w := range t.watchers {
		w.Wake()
	}
}
