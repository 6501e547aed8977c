package turn

import (
	"context"
	"slices"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// BenchmarkFirstToken measures what Tandem adds to the time until the first token
// of an agent that has it at once: from the post until readers are told of the
// token. Three commits are in it: the question, that it was asked, and the
// answer's start.
func BenchmarkFirstToken(b *testing.B) {
	told := make(chan time.Time, 1)
	w := with(b, replies(func(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
		err := emit(tandem.Piece{Text: "token"}) // returns when the hub has it
		told <- time.Now()
		return err
	}))
	a := who("ann")
	var all []time.Duration
	for b.Loop() {
		posted := time.Now()
		w.ask(a, "q")
		all = append(all, (<-told).Sub(posted))
		w.settled(a)
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*95/100].Microseconds())/1000, "p95-ms")
}
