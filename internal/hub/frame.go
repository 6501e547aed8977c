package hub

import (
	"sync"

	tandem "github.com/seed4677ff1f/tandem"
)

// Entry is an event in the tail, with the frames it was encoded to: once for
// each view, shared by all followers.
type Entry struct {
	Event *tandem.Event
	frames
}

// frames are the bytes that one thing was encoded to.
type frames struct {
	mu   sync.Mutex // guards list, gone
	list []frame
	gone bool // it was erased: it makes no frame any more
}

type frame struct {
	view  tandem.View
	from  int64 // of several events together: seq of the first
	n     int   // how many they are; 0: one by itself
	bytes []byte
}

// get returns the frame with f's view, from and n; encode makes it the first time.
func (c *frames) get(f frame, encode func() []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil
	}
	for _, x := range c.list {
		if x.view == f.view && x.from == f.from && x.n == f.n {
			return x.bytes
		}
	}
	f.bytes = encode()
	c.list = append(c.list, f)
	return f.bytes
}

func (c *frames) erase() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list, c.gone = nil, true
}

// Frame returns the event as the view's face sends it; nil if it is not shown.
// Nobody may write to the bytes.
func (h *Hub) Frame(a tandem.Address, v tandem.View, e *Entry, total int) []byte {
	return e.get(frame{view: v}, func() []byte { return h.opt.Codec.Event(v, a, e.Event, total) })
}

// MessagesFrame returns the messages of one append as the view's face sends them
// together; nil if it shows none of them. total is how many messages their
// conversation has with the last. The bytes are kept with the last entry and
// shared; nobody may write to them.
func (h *Hub) MessagesFrame(a tandem.Address, v tandem.View, together []*Entry, total int) []byte {
	n := len(together)
	if n == 0 {
		return nil
	}
	return together[n-1].get(frame{view: v, from: together[0].Event.Seq, n: n}, func() []byte {
		all := make([]*tandem.Event, n)
		for i, e := range together {
			all[i] = e.Event
		}
		return h.opt.Codec.Messages(v, a, all, total)
	})
}

// NoticeFrame returns the notice as the view's face sends it, encoded once for
// each view; nil if it is not shown, as never to a view that it is not for.
// Nobody may write to the bytes.
func (h *Hub) NoticeFrame(a tandem.Address, v tandem.View, n *Noticed) []byte {
	if !n.Audience.VisibleTo(v.Audience) || v.Conversation != "" && n.Conversation != "" && n.Conversation != v.Conversation {
		return nil
	}
	return n.get(frame{view: v}, func() []byte { return h.opt.Codec.Notice(v, a, n.Notice) })
}

// StartFrame returns the frame that begins an answer for a view. end is its
// closing event when the answer is re-stated from the log, else its first.
func (h *Hub) StartFrame(a tandem.Address, v tandem.View, s tandem.AnswerStarted, e *tandem.Event) []byte {
	return h.opt.Codec.Start(v, a, s, e)
}

// DeltaFrame returns the frame of a part of an answer that is made for one
// follower alone; see [Watcher.Live] for the shared ones.
func (h *Hub) DeltaFrame(a tandem.Address, v tandem.View, d tandem.Delta) []byte {
	return h.opt.Codec.Delta(v, a, d)
}
