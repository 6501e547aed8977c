package hub

import (
	"slices"
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
	part    bool   // of another stream
	curious bool   // about who is there
	ticket  string // id of the ticket it was opened with, if any
	bell    chan struct{}
	ended   atomic.Pointer[string]

	principal    atomic.Pointer[tandem.Principal]
	hangup       func() // set before the watcher can be seen; may be nil
	conversation string // the one it shows; empty: the whole thread
}

// WatchOptions say how a stream watches. The zero value is somebody who waits for
// a single reply, which is no stream.
type WatchOptions struct {
	Face tandem.Face
	Max  int // streams the holder may have open; 0: any number

	// Conversation is the one that the stream shows, for who is there; empty: the
	// whole thread.
	Conversation string

	// Curious streams are told who comes and goes, see [Hub.Present].
	Curious bool

	// Bell, of capacity 1, is rung instead of one of the watcher's own: a
	// connection that watches several may give all the same. nil: its own.
	Bell chan struct{}

	// Part says that this is a part of another stream, which counts for both: it
	// is not counted, and does not end an older one of the same ticket.
	Part bool

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
	w := &Watcher{
		hub: h, address: a, holder: HolderOf(p, a), face: opt.Face, part: opt.Part, curious: opt.Curious,
		bell: opt.Bell, hangup: opt.Hangup, conversation: opt.Conversation,
	}
	if w.bell == nil {
		w.bell = make(chan struct{}, 1)
	}
	w.setPrincipal(p)
	if !w.part {
		if err := h.admit(w, p, opt.Max); err != nil {
			return nil, err
		}
	}
	h.with(a, func(t *topic) {
		w.topic = t
		t.watchers = append(t.watchers, w)
		h.tell(t, w)
		if w.curious {
			t.noted().curious++
		}
	})
	return w, nil
}

// admit counts a stream that is about to begin, or refuses it.
func (h *Hub) admit(w *Watcher, p tandem.Principal, max int) error {
	if p.Kind == tandem.CredentialTicket && w.face != tandem.FaceChat {
		w.ticket = p.ID
		if older := h.caps.replace(w); older != nil {
			older.end(EndReplaced)
		}
	}
	if !h.caps.enter(w.holder, max) {
		h.caps.forget(w)
		return tandem.Errorf(tandem.TooMany, "too many open streams")
	}
	if k, ok := w.seat(); ok {
		h.duty.enter(k)
	}
	h.opt.Metric.Hub.Streams.Of(w.face.String()).Inc()
	return nil
}

// Reasons for which the hub ends streams.
const EndReplaced = "replaced by a newer stream of the same ticket"

// Close ends the watching. It may be called once.
func (w *Watcher) Close() {
	h := w.hub
	h.with(w.address, func(t *topic) {
		if i := slices.Index(t.watchers, w); i >= 0 {
			t.watchers = slices.Delete(t.watchers, i, i+1)
		}
		if w.curious {
			t.notices.curious--
		}
		if len(t.watchers) == 0 {
			t.forget()
			t.notices = nil
		}
		h.tell(t, w)
	})
	if w.part {
		return
	}
	h.caps.forget(w)
	closed := "closed"
	if w.ended.CompareAndSwap(nil, &closed) || w.Ended() != EndReplaced {
		h.caps.leave(w.holder)
	}
	if k, ok := w.seat(); ok {
		h.duty.leave(k, h.opt.Clock())
	}
	h.opt.Metric.Hub.Streams.Of(w.face.String()).Dec()
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
	w.setPrincipal(p)
	w.Wake()
}

func (w *Watcher) setPrincipal(p tandem.Principal) {
	p.Claims = nil // only who posts is asked for them
	w.principal.Store(&p)
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

// EndStreams asks every open stream whose principal matches to end for reason, and
// returns how many they are.
func (h *Hub) EndStreams(match func(tandem.Principal) bool, reason string) int {
	n := 0
	for i := range h.shards {
		for _, w := range h.shards[i].watchers() {
			if match(*w.Principal()) {
				w.end(reason)
				n += w.counts()
			}
		}
	}
	return n
}

// EndThread asks every open stream of the thread to end for reason, and returns
// how many they are. A part of another stream is asked as well; the stream goes on.
func (h *Hub) EndThread(a tandem.Address, reason string) int {
	return h.EndReaders(a, func(tandem.Principal) bool { return true }, reason)
}

// EndReaders is EndThread for those whose principal matches.
func (h *Hub) EndReaders(a tandem.Address, match func(tandem.Principal) bool, reason string) int {
	t := h.topic(a)
	if t == nil {
		return 0
	}
	t.mu.Lock()
	all := slices.Clone(t.watchers)
	t.mu.Unlock()
	n := 0
	for _, w := range all {
		if match(*w.Principal()) {
			w.end(reason)
			n += w.counts()
		}
	}
	return n
}

// counts is 1 of a stream, and 0 of a part of one.
func (w *Watcher) counts() int {
	if w.part {
		return 0
	}
	return 1
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
			n += w.counts()
		}
	}
	return n
}

// Streams returns how many streams are open on this node.
func (h *Hub) Streams() int {
	n := 0
	for i := range h.shards {
		for _, w := range h.shards[i].watchers() {
			n += w.counts()
		}
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
