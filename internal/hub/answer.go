package hub

import (
	"slices"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// answer is the text of an answer on its way: one buffer that only grows, shared
// by all followers. Each remembers how much of it it has shown and takes the rest
// at its turn, so a slow reader gets larger pieces and there is no queue.
type answer struct {
	seq     int64 // of its answer-started
	message string
	text    strings.Builder
	at      time.Time // of the last delta
	cached  []deltaFrame
}

// deltaFrame is the encoded text [from, to) for one view.
type deltaFrame struct {
	view     tandem.View
	from, to int
	bytes    []byte
}

// maxDeltaFrames bounds the memory of encoded deltas of one answer: readers that
// keep up all want the newest.
const maxDeltaFrames = 8

// Begin makes room for an answer whose answer-started has been committed. The
// turn that writes it calls this, and then Delta, and at last End.
func (h *Hub) Begin(a tandem.Address, seq int64, message string) {
	h.with(a, func(t *topic) {
		if t.find(seq) == nil {
			t.answers = append(t.answers, &answer{seq: seq, message: message})
		}
	})
}

// End forgets the answer. Its closing event, committed before, has the text.
func (h *Hub) End(a tandem.Address, seq int64) {
	h.with(a, func(t *topic) {
		t.answers = slices.DeleteFunc(t.answers, func(x *answer) bool { return x.seq == seq })
		t.ring()
	})
}

// Delta adds text to an answer and wakes the followers. A delta that does not
// continue what is there is lost; the closing event makes up for it.
func (h *Hub) Delta(a tandem.Address, d tandem.Delta) {
	h.opt.Metric.Hub.Deltas.Inc()
	t := h.topic(a)
	if t == nil || h.lost() {
		h.opt.Metric.Hub.DeltasLost.Inc()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.find(d.Seq)
	if x == nil || x.text.Len() != d.Offset {
		h.opt.Metric.Hub.DeltasLost.Inc()
		return
	}
	x.text.WriteString(d.Text)
	x.at = d.At
	t.ring()
}

func (t *topic) find(seq int64) *answer {
	for _, x := range t.answers {
		if x.seq == seq {
			return x
		}
	}
	return nil
}

// Live returns what an answer has beyond the first from bytes, encoded for the
// view, and how much text there is by now. ok is false if this node knows
// nothing of the answer.
func (w *Watcher) Live(v tandem.View, seq int64, from int) (bytes []byte, to int, ok bool) {
	t := w.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.find(seq)
	if x == nil {
		return nil, from, false
	}
	to = x.text.Len()
	if to <= from {
		return nil, from, true
	}
	for _, f := range x.cached {
		if f.view == v && f.from == from && f.to == to {
			return f.bytes, to, true
		}
	}
	d := tandem.Delta{Seq: seq, Message: x.message, Offset: from, Text: x.text.String()[from:to], At: x.at}
	f := deltaFrame{v, from, to, w.hub.opt.Codec.Delta(v, w.address, d)}
	if len(x.cached) >= maxDeltaFrames {
		x.cached = slices.Delete(x.cached, 0, 1)
	}
	x.cached = append(x.cached, f)
	return f.bytes, to, true
}
