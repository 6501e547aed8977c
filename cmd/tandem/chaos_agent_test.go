package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A chaosAgent is an agent behind HTTP that streams for a while. What it says
// depends on the question alone, so that everybody knows what the whole answer is.
type chaosAgent struct {
	url   string
	words func(mark string) []string
	pace  time.Duration // between two words

	mu    sync.Mutex // guards asked
	asked map[string]int
}

func newChaosAgent(t *testing.T, pace time.Duration) *chaosAgent {
	a := &chaosAgent{words: chaosAnswer, pace: pace, asked: make(map[string]int)}
	s := httptest.NewServer(a)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	a.url = s.URL
	return a
}

// chaosMark is the first word of a question: its name.
func chaosMark(text string) string {
	mark, _, _ := strings.Cut(text, " ")
	return mark
}

// chaosAnswer is the answer to the question with this mark, in the pieces in
// which it comes. The first names the question; "long-70" asks for so many.
func chaosAnswer(mark string) []string {
	rng := rand.New(rand.NewPCG(chaosSum(mark), 1))
	words := []string{"re:" + mark}
	n := rng.IntN(50)
	if long, ok := strings.CutPrefix(mark, "long-"); ok {
		n, _ = strconv.Atoi(long)
	}
	for len(words) < n {
		words = append(words, []string{" word", " é", " 漢字", " \U0001F600", " \"quoted\"\n"}[rng.IntN(5)])
	}
	return words
}

func chaosSum(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return h.Sum64()
}

// ServeHTTP answers a question. Some are refused at first, of some the answer
// breaks off: an agent is not perfect either.
func (a *chaosAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		MessageID string `json:"message_id"`
		Message   string `json:"message"`
		Attempt   int    `json:"attempt"`
	}
	if json.NewDecoder(r.Body).Decode(&q) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	mark := chaosMark(q.Message)
	rng := rand.New(rand.NewPCG(chaosSum(mark), 2))
	refuses, breaks := rng.IntN(16) == 0, rng.IntN(16) == 0 && !strings.HasPrefix(mark, "long-")
	if q.Attempt == 1 {
		a.mu.Lock()
		a.asked[q.MessageID]++
		a.mu.Unlock()
		if refuses {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	words := a.words(mark)
	for i, word := range words {
		if breaks && i > len(words)/2 {
			panic(http.ErrAbortHandler)
		}
		b, _ := json.Marshal(map[string]string{"token": word})
		if _, err := fmt.Fprintf(w, "data: %s\n\n", b); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil || a.pace > 0 && !chaosPause(r.Context(), a.pace) {
			return
		}
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// twice are the questions that were asked more than once; a repeat because the
// agent refused does not count.
func (a *chaosAgent) twice() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []string
	for id, n := range a.asked {
		if n > 1 {
			found = append(found, id)
		}
	}
	return found
}
