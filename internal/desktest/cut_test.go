package desktest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// cutting is a way to the server on which each connection ends after some bytes of
// the answer, at whatever byte that is.
func cutting(t *testing.T, to string) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer near.Close()
				far, err := net.Dial("tcp", to)
				if err != nil {
					t.Error(err)
					return
				}
				defer far.Close()
				all.Go(func() {
					_, _ = io.Copy(far, near)
					far.Close()
				})
				_, _ = io.CopyN(near, far, int64(400+rand.N(4000)))
			})
		}
	})
	return "http://" + l.Addr().String()
}

// A cut reader comes back with the last id it has got, until it was told the end.
type cutReader struct {
	t        *testing.T
	last     string
	placed   chan struct{} // closed when it knows a place
	messages []string
	initials int
	cuts     int
	over     bool
}

func (r *cutReader) connect(ctx context.Context, url, token string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		r.t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if r.last != "" {
		req.Header.Set("Last-Event-ID", r.last)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return // cut in the head
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		r.t.Errorf("status %d", res.StatusCode)
		r.over = true
		return
	}
	dec := sse.NewDecoder(res.Body, maxFrame)
	for !r.over {
		e, err := dec.Next()
		if id := dec.LastID(); id != "" {
			if r.last == "" {
				close(r.placed)
			}
			r.last = id
		}
		if err != nil {
			r.cuts++
			return
		}
		r.event(e)
	}
}

func (r *cutReader) event(e sse.Event) {
	var f struct {
		Messages []struct{ Content string }
	}
	switch e.Name {
	case "initial":
		if r.initials++; r.initials > 1 && e.HasID && len(r.messages) > 0 {
			r.t.Error("a second initial, to who knows the place")
		}
	case "new_messages":
	case "ended":
		r.over = true
		return
	case "gap", "reset", "error":
		r.t.Errorf("%s %s", e.Name, e.Data)
		return
	default:
		return
	}
	if err := json.Unmarshal(e.Data, &f); err != nil {
		r.t.Error(err)
	}
	for _, m := range f.Messages {
		r.messages = append(r.messages, m.Content)
	}
}

// Whoever watches a conversation over a line that is cut at whatever byte, again and
// again, and comes back with the last id, is shown each message once and in order,
// those of one post too. Seen to fail by going on one event too late, and by a reader
// whose order is that of its ring.
func TestConversationStream_cutAtAnyByteLosesNothing(t *testing.T) {
	total := 200
	if testing.Short() {
		total = 60
	}
	x := desktest.Start(t, desktest.Options{})
	a := desktest.Address("ann")
	c, _, err := x.Desk.Open(t.Context(), backEnd(), desk.Opening{Address: a})
	if err != nil {
		t.Fatal(err)
	}
	way := cutting(t, strings.TrimPrefix(x.URL, "http://"))
	var all sync.WaitGroup
	readers := make([]*cutReader, 3)
	tokens := []string{x.Token("lee", tandem.Supervisor), x.Token("ann", tandem.Participant), x.Key(tandem.Agent)}
	for i := range readers {
		r := &cutReader{t: t, placed: make(chan struct{})}
		readers[i] = r
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 4*within)
			defer cancel()
			for !r.over && ctx.Err() == nil {
				r.connect(ctx, way+"/api/conversation/"+c.ID+"/stream", tokens[i])
			}
			if !r.over {
				t.Errorf("reader %d was not told the end", i)
			}
		})
	}
	for _, r := range readers { // while all of the conversation passes the line at once
		<-r.placed
	}
	var want []string
	for len(want) < total {
		var post []desk.Saying
		for range 1 + rand.N(4) {
			text := fmt.Sprintf("message %d %s", len(want), strings.Repeat("ü", rand.N(60)))
			want = append(want, text)
			post = append(post, desk.Saying{Content: text})
		}
		if rand.N(3) == 0 { // a note among them
			post = append(post[:1:1], append([]desk.Saying{{Content: "a note", Audience: "operators"}}, post[1:]...)...)
		}
		if _, err := x.Desk.Say(t.Context(), backEnd(), desk.Say{Conversation: c.ID, Messages: post}); err != nil {
			t.Fatal(err)
		}
		waitFor(t.Context(), time.Duration(rand.N(4))*time.Millisecond)
	}
	if _, err := x.Desk.End(t.Context(), backEnd(), c.ID, tandem.EndCall); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	for i, r := range readers {
		if r.cuts < 5 && !t.Failed() {
			t.Errorf("reader %d was cut %d times", i, r.cuts)
		}
		for k := range max(len(want), len(r.messages)) {
			if k >= len(want) || k >= len(r.messages) || want[k] != r.messages[k] {
				t.Errorf("reader %d was shown %d messages of %d; the first that differs is %d", i, len(r.messages), len(want), k)
				break
			}
		}
	}
}
