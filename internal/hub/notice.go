package hub

import (
	"slices"

	tandem "github.com/seed4677ff1f/tandem"
)

// Noticed is a notice on its way, with the frames it was encoded to. One made
// from a notice alone serves a single reader.
type Noticed struct {
	tandem.Notice
	number uint64
	frames
}

// notices are the last notices of a topic, while somebody watches it.
type notices struct {
	list    []*Noticed // by number, oldest first
	last    uint64     // number given last; the first is 1
	curious int        // watchers that want to know who is there
}

// noticeLen is how many notices of a thread stay for readers that are behind.
const noticeLen = 256

// noted returns the topic's notices, making them if need be. t.mu is held.
func (t *topic) noted() *notices {
	if t.notices == nil {
		t.notices = &notices{}
	}
	return t.notices
}

// add gives n the next number. Who is there is told as a whole, so the newest
// list takes the place of older ones.
func (l *notices) add(n tandem.Notice) {
	if n.Kind == tandem.NoticePresence {
		l.list = slices.DeleteFunc(l.list, func(old *Noticed) bool {
			return old.Kind == n.Kind && old.Conversation == n.Conversation
		})
	}
	if len(l.list) == noticeLen {
		l.list = slices.Delete(l.list, 0, 1)
	}
	l.last++
	l.list = append(l.list, &Noticed{Notice: n, number: l.last})
}

// Notify shows a notice to who follows the thread now, and keeps it nowhere. A
// notice without a time is of now.
func (h *Hub) Notify(a tandem.Address, n tandem.Notice) {
	t := h.topic(a)
	if t == nil || h.lost() {
		return
	}
	if n.At.IsZero() {
		n.At = h.opt.Clock()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.watchers) == 0 {
		return
	}
	t.noted().add(n)
	t.ring()
}

// LastNotice is the number of the thread's last notice. A stream that begins
// goes on from it: what passed before is none of its business.
func (w *Watcher) LastNotice() uint64 {
	w.topic.mu.Lock()
	defer w.topic.mu.Unlock()
	if l := w.topic.notices; l != nil {
		return l.last
	}
	return 0
}

// Notices returns the thread's notices after a number, and the number to ask with
// next. Who is far behind has lost the oldest without a word. Those about who is
// there are for the curious only.
func (w *Watcher) Notices(after uint64) (list []*Noticed, next uint64) {
	w.topic.mu.Lock()
	defer w.topic.mu.Unlock()
	l := w.topic.notices
	if l == nil || l.last == after {
		return nil, after
	}
	i := len(l.list)
	for i > 0 && l.list[i-1].number > after {
		i--
	}
	for _, n := range l.list[i:] {
		if w.curious || n.Kind != tandem.NoticePresence {
			list = append(list, n)
		}
	}
	return list, l.last
}
