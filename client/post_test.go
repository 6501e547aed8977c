package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
)

// asked is what the server saw of a request.
type asked struct{ Line, Key, Auth, Body string }

// inBubble runs f against a server that gives these answers in turn, the last one
// for ever, and returns what it was asked.
func inBubble(t *testing.T, o client.Options, answers []http.HandlerFunc, f func(*testing.T, *client.Client)) (all []asked) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, end := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			all = append(all, asked{r.Method + " " + r.URL.String(), r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization"), string(body)})
			answers[min(len(all), len(answers))-1](w, r)
		}, o)
		defer end()
		f(t, c)
	})
	return all
}

func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// cut ends the connection in the middle of an answer.
func cut(w http.ResponseWriter, _ *http.Request) {
	nc, _ := hijack(w)
	io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n\"thread_")
	nc.Close()
}

func dropped(w http.ResponseWriter, _ *http.Request) {
	nc, _ := hijack(w)
	nc.Close()
}

func TestPost_asksAsDocumented(t *testing.T) {
	got := inBubble(t, client.Options{}, []http.HandlerFunc{answer(200, `"thread_abc"`)}, func(t *testing.T, c *client.Client) {
		id, err := c.Post(t.Context(), client.Post{
			Workflow: "customer-support", Participant: "user-123", Tenant: "t", Type: tandem.Data, Text: "a&b=ü", Data: map[string]int{"n": 1},
			RequestID: "r", Scope: "s", Hint: "h", Key: "k",
		})
		if id != "thread_abc" || err != nil {
			t.Error(id, err)
		}
		if _, err = c.Post(t.Context(), client.Post{Workflow: "w", Participant: "p", Text: "x"}); err != nil {
			t.Error(err)
		}
	})
	if len(got) != 2 || !strings.HasPrefix(got[1].Key, "key_") {
		t.Fatalf("%+v", got)
	}
	got[1].Key = ""
	want := []asked{
		{"POST /base/api/user/rest/send?hint=h&participantId=user-123&requestId=r&scope=s&tenantId=t&text=a%26b%3D%C3%BC&type=Data&workflow=customer-support", "k", "Bearer tok", `{"n":1}`},
		{"POST /base/api/user/rest/send?participantId=p&text=x&type=Chat&workflow=w", "", "Bearer tok", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever goes wrong on the way, each try has the same key: the server stores one.
// Broken once by making the key for each try.
func TestPost_triesAgainWithTheSameKey(t *testing.T) {
	got := inBubble(t, client.Options{RetryFor: time.Hour}, []http.HandlerFunc{
		dropped, cut, answer(503, ""), answer(502, ""), answer(504, ""), answer(429, "", "Retry-After", "60"), answer(200, `"thread_abc"`),
	}, func(t *testing.T, c *client.Client) {
		begin := time.Now()
		id, err := c.Post(t.Context(), client.Post{Workflow: "w", Participant: "p", Text: "x"})
		if id != "thread_abc" || err != nil {
			t.Error(id, err)
		}
		between(t, "Retry-After and the other waits", time.Since(begin), 67*time.Second, 110*time.Second)
	})
	if len(got) != 7 {
		t.Fatalf("%d tries", len(got))
	}
	for _, a := range got {
		if a != got[0] || a.Key == "" {
			t.Errorf("%+v, first %+v", a, got[0])
		}
	}
}

func TestPost_givesUp(t *testing.T) {
	for _, tt := range []struct {
		name     string
		o        client.Options
		answer   http.HandlerFunc
		kind     tandem.ErrorKind
		least    int
		most     int
		duration time.Duration
	}{
		{"after 30 s", client.Options{}, dropped, tandem.Unavailable, 5, 8, 30 * time.Second},
		{"after RetryFor", client.Options{RetryFor: time.Second}, answer(503, ""), tandem.Unavailable, 2, 3, time.Second},
		{"at once, if it would be too late", client.Options{}, answer(429, "", "Retry-After", "60"), tandem.TooMany, 1, 1, 0},
		{"at once, on a no", client.Options{}, answer(400, `"Workflow is required."`), tandem.Invalid, 1, 1, 0},
		{"at once, on another's key", client.Options{}, answer(422, `{}`), tandem.Mismatch, 1, 1, 0},
		{"at once, on the server's fault", client.Options{}, answer(500, `{}`), tandem.Internal, 1, 1, 0},
		{"at once, on what is no thread id", client.Options{}, answer(200, `{}`), tandem.Internal, 1, 1, 0},
	} {
		var took time.Duration
		var err error
		got := inBubble(t, tt.o, []http.HandlerFunc{tt.answer}, func(t *testing.T, c *client.Client) {
			begin := time.Now()
			_, err = c.Post(t.Context(), client.Post{})
			took = time.Since(begin)
		})
		if err == nil || tandem.KindOf(err) != tt.kind || len(got) < tt.least || len(got) > tt.most || took > tt.duration {
			t.Errorf("%s: %v after %d tries and %v", tt.name, err, len(got), took)
		}
	}
}

func TestPost_errors(t *testing.T) {
	var err *tandem.Error
	inBubble(t, client.Options{}, []http.HandlerFunc{answer(429, `{"error":"Rate limit exceeded","message":"Too many requests. Please try again later.","retryAfter":"60"}`, "Retry-After", "60")},
		func(t *testing.T, c *client.Client) {
			_, e := c.Post(t.Context(), client.Post{})
			errors.As(e, &err)
		})
	if err == nil || err.Message != "Too many requests. Please try again later." || err.RetryAfter != time.Minute {
		t.Errorf("%+v", err)
	}
}

func TestPost_endsWithItsContext(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"while it waits for an answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"while it waits to try again":  dropped,
	} {
		inBubble(t, client.Options{RetryFor: -1}, []http.HandlerFunc{h}, func(t *testing.T, c *client.Client) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
			defer cancel()
			begin := time.Now()
			_, err := c.Post(ctx, client.Post{})
			if err == nil || time.Since(begin) != 2*time.Hour {
				t.Errorf("%s: %v after %v", name, err, time.Since(begin))
			}
		})
	}
}

func TestConverse(t *testing.T) {
	got := inBubble(t, client.Options{}, []http.HandlerFunc{
		answer(200, `{"id":"msg_2","direction":"Outgoing","messageType":"Chat","text":"Hello!","data":null,"scope":null}`),
		answer(408, `{"error":"Timeout","message":"No answer in time."}`),
	}, func(t *testing.T, c *client.Client) {
		m, err := c.Converse(t.Context(), client.Post{Workflow: "w", Participant: "p", Text: "x", Timeout: 1500 * time.Millisecond})
		if m.Text != "Hello!" || m.Data != nil || m.Direction != tandem.Outgoing || err != nil {
			t.Errorf("%+v, %v", m, err)
		}
		if _, err := c.Converse(t.Context(), client.Post{Key: "k"}); tandem.KindOf(err) != tandem.Timeout {
			t.Error(err)
		}
	})
	want := []string{
		"POST /base/api/user/rest/converse?participantId=p&text=x&timeoutSeconds=2&type=Chat&workflow=w",
		"POST /base/api/user/rest/converse?type=Chat",
	}
	if diff := cmp.Diff(want, []string{got[0].Line, got[1].Line}); diff != "" || len(got) != 2 || got[1].Key != "k" {
		t.Errorf("%+v %s", got, diff)
	}
}

func TestHistory(t *testing.T) {
	got := inBubble(t, client.Options{}, []http.HandlerFunc{dropped, answer(200, `[{"id":"msg_2"},{"id":"msg_1"}]`), answer(410, `{"error":"Gone","message":"gone"}`)},
		func(t *testing.T, c *client.Client) {
			page, err := c.History(t.Context(), client.History{Workflow: "w", Participant: "p", Scope: "s", Page: 2, PageSize: 50, After: "7-abcdefgh"})
			if len(page) != 2 || page[1].ID != "msg_1" || err != nil {
				t.Errorf("%+v, %v", page, err)
			}
			if _, err := c.History(t.Context(), client.History{}); tandem.KindOf(err) != tandem.Gone {
				t.Error(err)
			}
		})
	want := []asked{
		{Line: "GET /base/api/user/rest/history?after=7-abcdefgh&page=2&pageSize=50&participantId=p&scope=s&workflow=w", Auth: "Bearer tok"},
		{Line: "GET /base/api/user/rest/history", Auth: "Bearer tok"},
	}
	if diff := cmp.Diff(want, got[1:]); diff != "" {
		t.Error(diff)
	}
}

func TestPush(t *testing.T) {
	epoch := int64(0)
	got := inBubble(t, client.Options{}, []http.HandlerFunc{
		dropped, answer(200, `"thread_1"`, "Tandem-Delivery", "delivered"), answer(200, `"thread_1"`, "Tandem-Delivery", "draft"),
		answer(200, `"thread_1"`), answer(409, `{"error":"Held","message":"Maya has taken over."}`),
	}, func(t *testing.T, c *client.Client) {
		ctx := t.Context()
		if p, err := c.Push(ctx, client.Push{Workflow: "w", Participant: "p", Text: "hi", RequestID: "r", Epoch: &epoch, Key: "k"}); err != nil || p != (client.Pushed{ThreadID: "thread_1"}) {
			t.Error(p, err)
		}
		if p, err := c.Push(ctx, client.Push{Type: "handoff", To: "person", Reason: "why", Urgency: tandem.UrgencyUrgent, From: "bot"}); err != nil || !p.Draft {
			t.Error(p, err)
		}
		if _, err := c.Push(ctx, client.Push{Type: tandem.Handoff, To: "billing", Data: []int{1}}); err != nil {
			t.Error(err)
		}
		if _, err := c.Push(ctx, client.Push{OnHeld: "refuse"}); tandem.KindOf(err) != tandem.Held {
			t.Error(err)
		}
		if _, err := c.Push(ctx, client.Push{Type: "../chat"}); tandem.KindOf(err) != tandem.Invalid {
			t.Error(err)
		}
		if _, err := c.Push(ctx, client.Push{Data: func() {}}); tandem.KindOf(err) != tandem.Invalid {
			t.Error(err)
		}
	})
	for i := range got[2:] {
		got[i+2].Key = ""
	}
	at := "POST /base/api/agent/conversation/outbound/"
	hi := asked{at + "chat", "k", "Bearer tok", `{"controlEpoch":0,"participantId":"p","requestId":"r","text":"hi","workflow":"w"}`}
	want := []asked{
		hi, hi,
		{at + "handoff", "", "Bearer tok", `{"fromAgent":"bot","participantId":"","reason":"why","to":"person","urgency":"URGENT","workflow":""}`},
		{at + "handoff", "", "Bearer tok", `{"data":[1],"participantId":"","targetWorkflowType":"billing","workflow":""}`},
		{at + "chat", "", "Bearer tok", `{"onHeld":"refuse","participantId":"","workflow":""}`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNew_refuses(t *testing.T) {
	for _, url := range []string{"", "localhost:8080", "ws://localhost", "http://", "http://[::1"} {
		if _, err := client.New(url, client.Options{}); tandem.KindOf(err) != tandem.Invalid {
			t.Errorf("%q: %v", url, err)
		}
	}
}
