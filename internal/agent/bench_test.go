package agent_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
)

// What asking an agent costs before the first token, over asking the same server
// directly with net/http. The two take turns, so that both see the same machine.
//
//	go test -run xxx -bench FirstToken -benchtime 5000x ./internal/agent
func BenchmarkRemote_FirstToken(b *testing.B) {
	url := serve(b, streams("text/event-stream", "data: {\"token\":\"Hello\"}\n\n", "data: [DONE]\n\n"))
	a := open(b, agent.Config{URL: url, Secret: secret})
	q := question()
	for range 38 {
		q.History = append(q.History, tandem.Turn{Role: tandem.RoleUser, Content: "A sentence such as people write to an agent, again and again."})
	}
	body, err := json.Marshal(q)
	if err != nil {
		b.Fatal(err)
	}
	var direct, through []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		res, err := http.Post(url, "application/json", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		first := make([]byte, 64)
		if n, err := res.Body.Read(first); n == 0 {
			b.Fatal(err)
		}
		direct = append(direct, time.Since(began))
		io.Copy(io.Discard, res.Body)
		res.Body.Close()

		began = time.Now()
		seen := false
		err = a.Reply(b.Context(), q, func(tandem.Piece) error {
			if !seen {
				seen = true
				through = append(through, time.Since(began))
			}
			return nil
		})
		if err != nil || !seen {
			b.Fatal("no token: ", err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Microseconds())
	}
	b.ReportMetric(median(direct), "µs-direct-p50")
	b.ReportMetric(median(through), "µs-agent-p50")
	b.ReportMetric(median(through)-median(direct), "µs-overhead-p50")
}

// What one token of an answer costs once it flows.
func BenchmarkRemote_Token(b *testing.B) {
	for name, line := range map[string]string{
		"token": `data: {"token":"Hello"}` + "\n\n",
		"chunk": `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}]}` + "\n\n",
		"plain": "data: Hello\n\n",
	} {
		b.Run(name, func(b *testing.B) {
			n := b.N
			url := serve(b, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for range n {
					io.WriteString(w, line)
				}
				io.WriteString(w, "data: [DONE]\n\n")
			})
			a := open(b, agent.Config{URL: url})
			heard := 0
			b.ReportAllocs()
			b.ResetTimer()
			if err := a.Reply(b.Context(), tandem.Question{}, func(tandem.Piece) error { heard++; return nil }); err != nil || heard != n {
				b.Fatalf("%d of %d tokens, %v", heard, n, err)
			}
		})
	}
}
