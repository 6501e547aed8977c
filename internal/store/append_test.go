package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

func open(t testing.TB, opt Options) *Store {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	s, err := Open(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func address(t testing.TB, participant string) tandem.Address {
	t.Helper()
	a, err := tandem.NewAddress("default", "support", participant)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// say is an append of one message with a body, and a key if not empty.
func say(a tandem.Address, key, body string) Append {
	id := tandem.NewID("msg_", time.Now())
	return Append{
		Threads: []tandem.Address{a},
		Key:     key, KeySum: sha256.Sum256([]byte(body)),
		Decide: func(_ time.Time, on []State) ([]Write, error) {
			return []Write{{
				Thread: on[0].Thread,
				Events: []tandem.Event{{Kind: tandem.KindMessage, ID: id, Body: []byte(body), Meta: tandem.Meta{Principal: a.Participant, Credential: "jwt"}}},
			}}, nil
		},
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, keyed := range []bool{false, true} {
		b.Run(fmt.Sprintf("keys=%v", keyed), func(b *testing.B) {
			s := open(b, Options{})
			body := `{"direction":"Incoming","messageType":"Chat","role":"user","text":"` + string(make([]byte, 0)) + fmt.Sprintf("%0180d", 7) + `"}`
			var wg sync.WaitGroup
			b.ResetTimer()
			const posters = 64
			for p := range posters {
				wg.Go(func() {
					a := address(b, fmt.Sprint("user-", p))
					for i := 0; i < b.N/posters+1; i++ {
						key := ""
						if keyed {
							key = "c:" + tandem.NewID("", time.Now())
						}
						if _, err := s.Append(context.Background(), say(a, key, body)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
		})
	}
}
