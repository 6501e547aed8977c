package desk_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// BenchmarkPost is what docs/performance.md calls durable posts: 64 posters in
// process, each on a thread of its own (or all on 8), 250-byte texts, a client's
// own id on every one, fsync before the answer. Data messages, so that no agent
// is asked. It reports posts/s and the 50th and 99th percentile of the answer.
func BenchmarkPost(b *testing.B) {
	for _, threads := range []int{64, 8} {
		for _, ids := range []bool{true, false} {
			b.Run(fmt.Sprintf("threads=%d/ids=%v", threads, ids), func(b *testing.B) { benchmarkPost(b, threads, ids) })
		}
	}
}

func benchmarkPost(b *testing.B, threads int, ids bool) {
	o := open(b, setup{})
	const posters = 64
	text := strings.Repeat("x", 250)
	took := make([][]time.Duration, posters)
	var wg sync.WaitGroup
	b.ResetTimer()
	for p := range posters {
		name := fmt.Sprint("user-", p%threads)
		who := participant(name)
		wg.Go(func() {
			for i := range b.N/posters + 1 {
				in := desk.Post{Address: addr(name), Type: tandem.Data, Text: text}
				if ids {
					in.ClientID = fmt.Sprintf("%d-%d-%d", p, i, b.N)
				}
				began := time.Now()
				if _, err := o.desk.Post(context.Background(), who, in); err != nil {
					b.Error(err)
					return
				}
				took[p] = append(took[p], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "posts/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}
