package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// cursor is a place in the logs of these tests.
func cursor(seq int) string { return strconv.Itoa(seq) + "-abcdefgh" }

// said is the n-th message of a log as the server sends it.
func said(n int) []byte {
	return sse.Append(nil, sse.Frame{Event: "Chat", ID: cursor(n), Data: fmt.Appendf(nil, `{"id":"msg_%d","text":"text %d","messageType":"Chat","data":null}`, n, n)})
}

func connected(at int) []byte {
	return sse.Append(nil, sse.Frame{Event: "connected", ID: cursor(at), Data: []byte(`{"timestamp":"2024-01-15T10:30:00Z"}`), Retry: 2 * time.Second})
}

func event(name, data string) []byte {
	return sse.Append(nil, sse.Frame{Event: name, Data: []byte(data)})
}

// brief is what a test compares of an event.
func brief(e client.Event) string {
	switch {
	case e.Message != nil:
		return e.Message.ID + "@" + e.Cursor
	case e.MessageID != "":
		again := ""
		if e.Again {
			again = " again"
		}
		return fmt.Sprintf("%s %s%s %q@%s", e.Name, e.MessageID, again, e.Text, e.Cursor)
	case e.Type == client.Other:
		return "other " + e.Name + "@" + e.Cursor
	}
	return string(e.Type) + "@" + e.Cursor
}

// follow runs Follow in a bubble until it ends, or until stop says so.
func follow(t *testing.T, h http.HandlerFunc, o client.Follow, stop func(client.Event) bool) (got []string, err error) {
	t.Helper()
	if o.OnDuplicate == nil {
		o.OnDuplicate = func(e client.Event) { t.Errorf("a duplicate: %s", brief(e)) }
	}
	synctest.Test(t, func(t *testing.T) {
		c, end := serve(t, h, client.Options{})
		defer end()
		for e, e2 := range c.Follow(t.Context(), o) {
			if err = e2; err != nil {
				return
			}
			got = append(got, brief(e))
			if stop != nil && stop(e) {
				return
			}
		}
	})
	return got, err
}

// The server cuts every connection somewhere, mostly within a frame; each message
// is seen once, in order. Broken once by sending the id of a block that was cut,
// and once by not sending the id of connected.
func TestFollow_losesAndDoublesNothing(t *testing.T) {
	const messages = 60
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		connections := 0
		handler := func(w http.ResponseWriter, r *http.Request) {
			connections++
			after := -1
			if fmt.Sscanf(r.Header.Get("Last-Event-ID"), "%d-abcdefgh", &after); after < 0 {
				t.Errorf("Last-Event-ID %q", r.Header.Get("Last-Event-ID"))
			}
			bytes := connected(after)
			for n := after + 1; n <= messages; n++ {
				bytes = append(bytes, said(n)...)
				if n%7 == 0 {
					bytes = append(bytes, event("heartbeat", `{"subscriberCount":1}`)...)
				}
			}
			nc := stream(w)
			nc.Write(bytes[:min(len(bytes), rnd.IntN(1200))])
			nc.Close()
		}
		var want []string
		for n := 1; n <= messages; n++ {
			want = append(want, fmt.Sprintf("msg_%d@%s", n, cursor(n)))
		}
		last := fmt.Sprintf("msg_%d", messages)
		got, err := follow(t, handler, client.Follow{After: cursor(0)}, func(e client.Event) bool { return e.Message != nil && e.Message.ID == last })
		var messagesSeen []string
		for _, g := range got {
			if strings.HasPrefix(g, "msg_") {
				messagesSeen = append(messagesSeen, g)
			}
		}
		if diff := cmp.Diff(want, messagesSeen); diff != "" || err != nil {
			t.Fatalf("seed %d, %d connections: %v %s", seed, connections, err, diff)
		}
	}
}

func TestFollow_asksAsDocumented(t *testing.T) {
	var got []string
	handler := func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.String(), r.Header.Get("Authorization"), r.Header.Get("Accept"), r.Header.Get("Last-Event-ID"))
		w.WriteHeader(http.StatusNoContent)
	}
	seen, err := follow(t, handler, client.Follow{
		Workflow: "Order Agent:Status", Participant: "user-123", Tenant: "tenant-id", Scope: "a b", Echo: true, Tokens: true,
		After: cursor(7), Heartbeat: 1500 * time.Millisecond,
	}, nil)
	want := []string{
		"GET /base/api/user/sse/events?echo=true&heartbeatSeconds=2&participantId=user-123&scope=a+b&tenantId=tenant-id&tokens=true&workflow=Order+Agent%3AStatus",
		"Bearer tok", "text/event-stream", cursor(7),
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || seen != nil {
		t.Errorf("%v %v %s", err, seen, diff)
	}
}

// once serves these bytes first, and then nothing is to come.
func once(bytes ...[]byte) http.HandlerFunc {
	served := false
	return func(w http.ResponseWriter, _ *http.Request) {
		if served {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		served = true
		nc := stream(w)
		for _, b := range bytes {
			nc.Write(b)
		}
		nc.Close()
	}
}

func TestFollow_events(t *testing.T) {
	var all []client.Event
	_, err := follow(t, once(
		connected(3),
		event("gap", `{"from":1,"to":3}`),
		said(4),
		sse.Append(nil, sse.Frame{Event: "Data", ID: cursor(5), Data: []byte(`{"id":"msg_5","messageType":"Data","text":null,"data":{"a":1},"createdBy":null,"scope":"s","createdAt":"2024-01-15T10:31:00Z"}`)}),
		sse.Append(nil, sse.Frame{Event: "heartbeat", ID: cursor(9), Data: []byte(`{"timestamp":"2024-01-15T10:33:00Z","subscriberCount":5}`)}),
		event("weather", `not JSON`),
		event("disconnected", `{"timestamp":"2024-01-15T10:35:00Z","reason":"shutdown"}`),
	), client.Follow{}, func(e client.Event) bool { all = append(all, e); return false })
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i].Data = nil
	}
	want := []client.Event{
		{Type: client.Connected, Name: "connected", Cursor: cursor(3)},
		{Type: client.Gap, Name: "gap", Cursor: cursor(3), From: 1, To: 3},
		{Type: client.Said, Name: "Chat", Cursor: cursor(4), Message: &client.Message{ID: "msg_4", Text: "text 4", Type: tandem.Chat}},
		{Type: client.Said, Name: "Data", Cursor: cursor(5), Message: &client.Message{
			ID: "msg_5", Type: tandem.Data, Data: []byte(`{"a":1}`), Scope: "s", CreatedAt: time.Date(2024, 1, 15, 10, 31, 0, 0, time.UTC),
		}},
		{Type: client.Heartbeat, Name: "heartbeat", Cursor: cursor(9), Subscribers: 5},
		{Type: client.Other, Name: "weather", Cursor: cursor(9)},
		{Type: client.Disconnected, Name: "disconnected", Cursor: cursor(9), Reason: "shutdown"},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
}

// What a heartbeat or a block of only an id says is where to go on.
func TestFollow_goesOnAfterIDsWithoutMessages(t *testing.T) {
	for name, last := range map[string]string{"heartbeat": "event: heartbeat\ndata: {}\nid: 9-abcdefgh\n\n", "only an id": "id: 9-abcdefgh\n\n"} {
		var asked []string
		first := once(connected(3), []byte(last), []byte("id: 10-abcdefgh\n")) // the last block is cut
		follow(t, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Header.Get("Last-Event-ID"))
			first(w, r)
		}, client.Follow{}, nil)
		if diff := cmp.Diff([]string{"", cursor(9)}, asked); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestFollow_dropsDuplicates(t *testing.T) {
	var dropped []string
	got, _ := follow(t, once(connected(2), said(1), said(2), said(3), said(3), said(4)),
		client.Follow{OnDuplicate: func(e client.Event) { dropped = append(dropped, e.Message.ID) }}, nil)
	if diff := cmp.Diff([]string{"connected@" + cursor(2), "msg_3@" + cursor(3), "msg_4@" + cursor(4)}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"msg_1", "msg_2", "msg_3"}, dropped); diff != "" {
		t.Error(diff)
	}
}

// After a reset the numbers begin anew, and an answer may be told again.
func TestFollow_reset(t *testing.T) {
	answer := [][]byte{event("stream-start", `{"messageId":"a"}`), event("stream-token", `{"messageId":"a","token":"Hi"}`), event("stream-end", `{"messageId":"a"}`)}
	stream := append([][]byte{connected(7)}, answer...)
	stream = append(stream, said(8), connected(0), event("reset", `{}`))
	stream = append(append(stream, answer...), said(1))
	got, err := follow(t, once(stream...), client.Follow{}, nil)
	at := func(n int) []string {
		c := cursor(n)
		return []string{`stream-start a ""@` + c, `stream-token a "Hi"@` + c, `stream-end a "Hi"@` + c}
	}
	want := append([]string{"connected@" + cursor(7)}, at(7)...)
	want = append(want, "msg_8@"+cursor(8), "connected@"+cursor(0), "reset@"+cursor(0))
	want = append(append(want, at(0)...), "msg_1@"+cursor(1))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// An answer that a second connection begins anew is shown once.
func TestFollow_answersOverConnections(t *testing.T) {
	n := 0
	got, err := follow(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		once([][][]byte{
			{connected(1), event("stream-start", `{"messageId":"a","role":"assistant"}`), event("stream-token", `{"messageId":"a","token":"Hello"}`)},
			{connected(1), event("stream-start", `{"messageId":"a"}`), event("stream-token", `{"messageId":"a","token":"Hello wor"}`)},
			{
				connected(1), event("stream-start", `{"messageId":"a"}`), event("stream-token", `{"messageId":"a","token":"Hello world"}`),
				event("stream-end", `{"messageId":"a","finishReason":"stop"}`), said(2),
			},
			{connected(2)},
		}[n-1]...)(w, r)
	}, client.Follow{Tokens: true}, func(client.Event) bool { return n == 4 })
	c := "@" + cursor(1)
	want := []string{
		"connected" + c, `stream-start a ""` + c, `stream-token a "Hello"` + c, "connected" + c, `stream-token a " wor"` + c,
		"connected" + c, `stream-token a "ld"` + c, `stream-end a "Hello world"` + c, "msg_2@" + cursor(2), "connected@" + cursor(2),
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// Refusals that no waiting helps against end it; what may pass does not.
func TestFollow_refusals(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		want   tandem.ErrorKind
		says   string
	}{
		{400, `"Workflow and participantId are required parameters"`, tandem.Invalid, "Workflow and participantId are required parameters"},
		{401, `{"error":"Unauthorized","message":"Authentication is required to access this resource"}`, tandem.Unauthorized, "Authentication is required to access this resource"},
		{403, `{"detail":"No."}`, tandem.Forbidden, "No."},
		{404, `<html>`, tandem.NotFound, "the server answered 404 Not Found"},
		{200, `{}`, tandem.Internal, `the server answered "application/json" instead of a stream`},
	} {
		tries := 0
		_, err := follow(t, func(w http.ResponseWriter, _ *http.Request) {
			tries++
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.body)
		}, client.Follow{}, nil)
		if tandem.KindOf(err) != tt.want || err.Error() != tt.says || tries != 1 {
			t.Errorf("%d: %v after %d tries", tt.status, err, tries)
		}
	}
	for _, status := range []int{408, 429, 500, 502, 503, 504} {
		tries := 0
		_, err := follow(t, func(w http.ResponseWriter, _ *http.Request) {
			if tries++; tries == 3 {
				status = http.StatusNoContent
			}
			w.WriteHeader(status)
		}, client.Follow{}, nil)
		if err != nil || tries != 3 {
			t.Errorf("%v after %d tries", err, tries)
		}
	}
}

// What cannot be read will not be readable the next time.
func TestFollow_nonsense(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"not JSON":  event("Chat", `{"id":`),
		"too large": []byte("data: " + strings.Repeat("x", 9<<20) + "\n\n"),
	} {
		got, err := follow(t, once(connected(1), bytes), client.Follow{}, nil)
		if len(got) != 1 || err == nil || tandem.KindOf(err).Retryable() {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// lostAt runs Follow against a server that fails with these answers in turn, and
// returns when each connection was tried.
func lostAt(t *testing.T, o client.Follow, answers ...http.HandlerFunc) (tried []time.Duration) {
	begin, n := time.Time{}, 0
	follow(t, func(w http.ResponseWriter, r *http.Request) {
		if begin.IsZero() {
			begin = time.Now()
		}
		tried = append(tried, time.Since(begin))
		if n++; n > len(answers) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answers[n-1](w, r)
	}, o, nil)
	return tried
}

func between(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s: %v, not from %v to %v", what, got, least, most)
	}
}

// The stream's retry and the refusal's Retry-After are obeyed, each with at most
// half as much again.
func TestFollow_waits(t *testing.T) {
	const s = time.Second
	status := func(code int, retryAfter string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", retryAfter)
			w.WriteHeader(code)
		}
	}
	lost := 0
	tried := lostAt(t, client.Follow{OnLost: func(err error, wait time.Duration) {
		if lost++; err == nil || wait <= 0 {
			t.Errorf("lost: %v, %v", err, wait)
		}
	}},
		once(connected(1)),
		once([]byte("retry: 60000\n\n"), connected(1)[:10]),
		status(429, "90"), status(503, ""))
	if len(tried) != 5 || lost != 4 {
		t.Fatalf("tried at %v, lost %d times", tried, lost)
	}
	between(t, "retry: 2000", tried[1], 2*s, 3*s)
	between(t, "retry: 60000", tried[2]-tried[1], 60*s, 90*s)
	between(t, "Retry-After: 90", tried[3]-tried[2], 90*s, 135*s)
	between(t, "retry is still 60000", tried[4]-tried[3], 60*s, 90*s)
}

// Without a word from the server the waits grow, and not without end; a stream
// that stood makes them small again.
func TestFollow_backsOff(t *testing.T) {
	broken := func(w http.ResponseWriter, _ *http.Request) { nc, _ := hijack(w); nc.Close() }
	answers := []http.HandlerFunc{}
	for range 12 {
		answers = append(answers, broken)
	}
	answers = append(answers, once([]byte(": hello\n\nevent: connected\ndata: {}\n\n")))
	tried := lostAt(t, client.Follow{}, answers...)
	if len(tried) != 14 {
		t.Fatalf("tried at %v", tried)
	}
	between(t, "the first wait", tried[1]-tried[0], 250*time.Millisecond, 375*time.Millisecond)
	between(t, "the fourth wait", tried[4]-tried[3], 2*time.Second, 3*time.Second)
	between(t, "the last wait", tried[12]-tried[11], 30*time.Second, 45*time.Second)
	between(t, "after a stream", tried[13]-tried[12], 250*time.Millisecond, 375*time.Millisecond)
}

// A stream that says nothing for three intervals is dead; bytes of any kind are a
// sign of life, and the caller's own time does not count.
func TestFollow_silence(t *testing.T) {
	const s = time.Second
	silent := func(w http.ResponseWriter, r *http.Request) {
		nc := stream(w)
		defer nc.Close()
		nc.Write(connected(1))
		for range 3 {
			<-time.After(11 * s)
			io.WriteString(nc, ":\n")
		}
		nc.Write(said(2))
		nc.Read(make([]byte, 1)) // until the client goes
	}
	var waited bool
	n := 0
	var begin time.Time
	var took time.Duration
	_, err := follow(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 2 {
			took = time.Since(begin)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		silent(w, r)
	}, client.Follow{Heartbeat: 4 * s, OnLost: func(err error, _ time.Duration) {
		if err == nil || !strings.Contains(err.Error(), "silent") {
			t.Errorf("lost by %v", err)
		}
	}}, func(e client.Event) bool {
		if e.Message != nil {
			<-time.After(time.Minute) // slow, but not the server
			waited, begin = true, time.Now()
		}
		return false
	})
	if err != nil || n != 2 || !waited {
		t.Fatalf("%v after %d connections", err, n)
	}
	between(t, "from the last byte to the next connection", took, 12*s+2*s, 12*s+3*s)
}

// A server that takes the request and does not answer is dead too.
func TestFollow_silenceBeforeTheAnswer(t *testing.T) {
	tried := lostAt(t, client.Follow{Heartbeat: time.Second}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if len(tried) != 2 {
		t.Fatalf("tried at %v", tried)
	}
	between(t, "the second connection", tried[1], 15*time.Second, 16*time.Second)
}

func TestFollow_ends(t *testing.T) {
	hold := func(w http.ResponseWriter, _ *http.Request) {
		nc := stream(w)
		defer nc.Close()
		nc.Write(connected(1))
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Error("the client is still there")
		}
	}
	t.Run("with the context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, end := serve(t, hold, client.Options{})
			defer end()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			why := errors.New("enough")
			var last error
			for e, err := range c.Follow(ctx, client.Follow{}) {
				if last = err; e.Type == client.Connected {
					cancel(why)
				}
			}
			if last != why {
				t.Errorf("ended with %v", last)
			}
		})
	})
	t.Run("with the context while waiting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, end := serve(t, hold, client.Options{})
			end()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			for _, err := range c.Follow(ctx, client.Follow{}) {
				if err != context.DeadlineExceeded {
					t.Errorf("ended with %v", err)
				}
			}
		})
	})
	t.Run("with the caller", func(t *testing.T) {
		got, err := follow(t, hold, client.Follow{}, func(client.Event) bool { return true })
		if len(got) != 1 || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	})
}
