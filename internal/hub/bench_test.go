package hub_test

import (
	"strconv"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
)

// A commit of a thread that nobody watches: every post of a quiet thread.
func BenchmarkRing_nobodyWatches(b *testing.B) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	rung := events(1, 1)
	b.ReportAllocs()
	for b.Loop() {
		h.Ring(ann, rung)
	}
}

func BenchmarkRing_wakes(b *testing.B) {
	for _, readers := range []int{1, 100} {
		b.Run(strconv.Itoa(readers), func(b *testing.B) {
			n := 0
			h := hub.New(hub.Options{Codec: plain(&n)})
			for range readers {
				w, err := h.Watch(ann, asAnn, hub.WatchOptions{Face: tandem.FaceEvents})
				if err != nil {
					b.Fatal(err)
				}
				defer w.Close()
			}
			rung := events(1, 1)
			b.ReportAllocs()
			for b.Loop() {
				h.Ring(ann, rung)
				rung[0].Seq++
			}
		})
	}
}

// A stream's coming and going: B/op is what an idle one holds of the hub.
func BenchmarkWatch(b *testing.B) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	b.ReportAllocs()
	for b.Loop() {
		w, err := h.Watch(ann, asAnn, hub.WatchOptions{Face: tandem.FaceEvents, Max: 1})
		if err != nil {
			b.Fatal(err)
		}
		w.Close()
	}
}
