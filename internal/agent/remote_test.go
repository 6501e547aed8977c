package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
)

// question is one with every field set.
func question() tandem.Question {
	return tandem.Question{
		Tenant: "default", Workflow: "support", Conversation: "conv_1", MessageID: "msg_1", Participant: "ann",
		RequestID: "req_1", Scope: "billing", Hint: "be brief", Type: tandem.Chat, Message: "Where is my parcel?",
		Data: json.RawMessage(`{"order":7}`), Medium: "Text", Urgency: tandem.UrgencyNormal, Mode: tandem.ModeAgent,
		Epoch: 3, Locale: "en", Attempt: 1,
		User:    map[string]any{"sub": "ann", "name": "Ann", "email": "ann@example.org", "plan": "gold"},
		History: []tandem.Turn{{Role: tandem.RoleUser, Content: "Hello"}, {Role: tandem.RoleOperator, Content: "Hello Ann", Name: "Maya"}},
	}
}

// The body is a contract with servers that others wrote: these are its bytes.
func TestRemote_sendsTheDocumentedQuestion(t *testing.T) {
	const golden = `{"tenant_id":"default","workflow":"support","conversation_id":"conv_1","message_id":"msg_1","participant_id":"ann",` +
		`"request_id":"req_1","scope":"billing","hint":"be brief","type":"Chat","message":"Where is my parcel?","data":{"order":7},` +
		`"medium":"Text","urgency":"NORMAL","mode":"agent","control_epoch":3,"locale":"en","attempt":1,` +
		`"user":{"name":"Ann","sub":"ann"},"history":[{"role":"user","content":"Hello"},{"role":"operator","content":"Hello Ann","name":"Maya"}]}`
	bodies := make(chan string, 1)
	heads := make(chan http.Header, 1)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies <- r.Method + " " + r.URL.RequestURI() + "\n" + string(b)
		heads <- r.Header
		w.WriteHeader(http.StatusNoContent)
	})
	if _, err := ask(t, open(t, agent.Config{URL: url + "/chat?v=1"}), question()); err != nil {
		t.Fatal(err)
	}
	if got := <-bodies; got != "POST /chat?v=1\n"+golden {
		t.Errorf("got  %s\nwant %s", got, golden)
	}
	head := <-heads
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Accept": "text/event-stream", "User-Agent": "Tandem/" + tandem.Version,
		"Accept-Encoding": "", "Authorization": "", "Webhook-Id": "", "Idempotency-Key": "",
	} {
		if got := head.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}

	// Nothing is null that an upstream would have to look out for, and no claim
	// is sent that was not named.
	if _, err := ask(t, open(t, agent.Config{URL: url, UserClaims: []string{"plan", "absent"}}), tandem.Question{User: question().User}); err != nil {
		t.Fatal(err)
	}
	if got := <-bodies; !strings.Contains(got, `"data":null,`) || !strings.HasSuffix(got, `"user":{"plan":"gold"},"history":[]}`) {
		t.Errorf("got %s", got)
	}
}

func TestRemote_signsEveryAttemptUnderTheSameID(t *testing.T) {
	wh, err := webhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	ids := make(chan string, 2)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if err := wh.Verify(b, r.Header); err != nil {
			t.Error(err)
		}
		if err := wh.Verify(append(b, ' '), r.Header); err == nil {
			t.Error("a changed body verifies too")
		}
		ids <- r.Header.Get("Webhook-Id")
		w.WriteHeader(http.StatusNoContent)
	})
	a := open(t, agent.Config{URL: url, Secret: secret})
	for attempt := 1; attempt <= 2; attempt++ {
		q := question()
		q.Attempt = attempt
		if _, err := ask(t, a, q); err != nil {
			t.Fatal(err)
		}
		if id := <-ids; id != "msg_1" {
			t.Errorf("attempt %d: webhook-id %q", attempt, id)
		}
	}

	// The time that is signed is the clock's.
	late := open(t, agent.Config{URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
		ids <- r.Header.Get("Webhook-Timestamp")
		w.WriteHeader(http.StatusNoContent)
	}), Secret: secret, Clock: func() time.Time { return time.Unix(1700000000, 0) }})
	if _, err := ask(t, late, question()); err != nil {
		t.Fatal(err)
	}
	if at := <-ids; at != "1700000000" {
		t.Errorf("webhook-timestamp %q", at)
	}
}

func TestRemote_tellsFailuresApart(t *testing.T) {
	for _, c := range []struct {
		status int
		head   string // name: value
		body   string
		kind   tandem.ErrorKind
		want   string
	}{
		{400, "", `{"detail":"SECRET WORDS"}`, tandem.Invalid, "the agent refused the question: status 400"},
		{
			401, "", `{"error":{"message":"SECRET WORDS","type":"invalid_request_error","code":"invalid_api_key"}}`, tandem.Invalid,
			"the agent refused the question: status 401: invalid_request_error invalid_api_key",
		},
		{404, "", `<h1>SECRET WORDS</h1>`, tandem.Invalid, "the agent refused the question: status 404"},
		{
			422, "", `{"detail":[{"loc":["body","message",0],"msg":"SECRET WORDS","type":"value_error.missing","input":"SECRET WORDS"}]}`, tandem.Invalid,
			"the agent refused the question: status 422: body.message.0 value_error.missing",
		},
		{408, "", "", tandem.Unavailable, "the agent cannot answer now: status 408"},
		{429, "Retry-After: 7", `{"error":{"type":"rate_limit_error","code":null}}`, tandem.Unavailable, "the agent cannot answer now: status 429: rate_limit_error null"},
		{500, "", "SECRET WORDS", tandem.Unavailable, "the agent cannot answer now: status 500"},
		{502, "Retry-After: soon", "", tandem.Unavailable, "the agent cannot answer now: status 502"},
		{503, "Retry-After: -3", "", tandem.Unavailable, "the agent cannot answer now: status 503"},
		{302, "Location: /elsewhere", "", tandem.Invalid, "the agent's address redirects elsewhere: status 302"},
		{200, "Content-Type: text/html; charset=utf-8", "SECRET WORDS", tandem.Invalid, `the agent's answer cannot be read: its Content-Type is "text/html"`},
		{200, "Content-Encoding: gzip", "SECRET WORDS", tandem.Invalid, "the agent's answer cannot be read: it is compressed"},
		{200, "Content-Type: application/json", `["SECRET WORDS"]`, tandem.Invalid, "the agent's answer cannot be read: neither a JSON object nor a string"},
		{200, "Content-Type: application/json", `{"secret":"SECRET WORDS"}`, tandem.Invalid, "the agent's answer cannot be read: none of its keys is known"},
		{200, "Content-Type: application/json", `{"error":"SECRET WORDS"}`, tandem.Unavailable, "the agent failed while it answered: it does not say why"},
		{200, "Content-Type: text/event-stream", "data: {\"error\":{\"type\":\"overloaded\",\"code\":529}}\n\n", tandem.Unavailable, "the agent failed while it answered: overloaded 529"},
		{200, "Content-Type: text/event-stream", "event: error\ndata: SECRET WORDS\n\n", tandem.Unavailable, "the agent failed while it answered: it does not say why"},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if name, value, ok := strings.Cut(c.head, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		})
		got, err := ask(t, open(t, agent.Config{URL: url}), question())
		if err == nil || err.Error() != c.want || tandem.KindOf(err) != c.kind || got != "" {
			t.Errorf("%d %s %s:\n got %q, %v (kind %d)\nwant %v (kind %d)", c.status, c.head, c.body, got, err, tandem.KindOf(err), c.want, c.kind)
			continue
		}
		e := (*tandem.Error)(nil)
		errors.As(err, &e)
		if strings.Contains(e.Message, strconv.Itoa(c.status)) || e.Err == nil {
			t.Errorf("%d: the safe sentence is %q, the cause %v", c.status, e.Message, e.Err)
		}
		if want := map[bool]time.Duration{true: 7 * time.Second}[c.status == 429]; e.RetryAfter != want {
			t.Errorf("%d: retry after %v, want %v", c.status, e.RetryAfter, want)
		}
	}
}

func TestRemote_isUnavailableWhenNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = ask(t, open(t, agent.Config{URL: "http://" + l.Addr().String() + "/private?key=value"}), question())
	if tandem.KindOf(err) != tandem.Unavailable || !strings.HasPrefix(err.Error(), "the agent cannot be reached: dial tcp") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "private") {
		t.Errorf("the path is in the error: %v", err)
	}
}

// An upstream that dies must not look like one that has finished.
func TestRemote_noticesThatAnAnswerWasCut(t *testing.T) {
	const openEnd = `data: {"choices":[{"index":0,"delta":{"content":"one"}}]}` + "\n\n"
	for _, c := range []struct {
		name, contentType, body string
		dies                    bool
		want                    string
		cut                     bool
	}{
		{"text that dies", "text/plain", "one", true, "one", true},
		{"text that ends", "text/plain", "one", false, "one", false},
		{"lines that die", "application/x-ndjson", `{"token":"one"}` + "\n" + `{"tok`, true, "one", true},
		{"lines that end in the middle", "application/x-ndjson", `{"token":"one"}` + "\n" + `{"tok`, false, "one", true},
		{"lines without the last line end", "application/x-ndjson", `{"token":"one"}`, false, "one", false},
		{"tokens that die", "text/event-stream", "data: one\n\n", true, "one", true},
		{"tokens that end", "text/event-stream", "data: one\n\n", false, "one", false},
		{"tokens without the last blank line", "text/event-stream", "data: one\n\ndata:  two", false, "one two", false},
		{"tokens that die in a line", "text/event-stream", "data: one\n\ndata:  two", true, "one", true},
		{"objects that end", "text/event-stream", "data: {\"token\":\"one\"}\n\n", false, "one", false},
		{"chunks that die", "text/event-stream", openEnd, true, "one", true},
		{"chunks that end without saying so", "text/event-stream", openEnd, false, "one", true},
		{"chunks that say so", "text/event-stream", openEnd + "data: [DONE]\n\n", false, "one", false},
		{"chunks that say so and die", "text/event-stream", openEnd + "data: [DONE]\n\n", true, "one", false},
		{"chunks with a finish reason", "text/event-stream", openEnd + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", false, "one", false},
		{"chunks with a finish reason that die", "text/event-stream", openEnd + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", true, "one", false},
		{"chunks that fail", "text/event-stream", openEnd + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\n", false, "one", true},
		{"a document that dies", "application/json", `{"answer":"on`, true, "", true},
	} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			streams(c.contentType, c.body)(w, r)
			if c.dies {
				panic(http.ErrAbortHandler) // closes the connection in the middle of a chunk
			}
		})
		got, err := ask(t, open(t, agent.Config{URL: url}), question())
		if got != c.want || (err != nil) != c.cut || c.cut && tandem.KindOf(err) != tandem.Unavailable {
			t.Errorf("%s: got %q, %v; want %q and cut %v", c.name, got, err, c.want, c.cut)
		}
	}
}

func TestRemote_returnsWhatEmitReturnsAndHangsUp(t *testing.T) {
	hungUp := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		streams("text/event-stream", "data: one\n\n", "data: two\n\n")(w, r)
		<-r.Context().Done()
		close(hungUp)
	})
	cut := errors.New("cut")
	calls := 0
	err := open(t, agent.Config{URL: url}).Reply(t.Context(), question(), func(tandem.Piece) error {
		calls++
		return cut
	})
	if err != cut || calls != 1 {
		t.Errorf("got %v after %d calls; want the same error after one", err, calls)
	}
	<-hungUp
}

func TestRemote_endsWithTheCauseOfItsContext(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"before the answer": func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // the server watches the connection only then
			<-r.Context().Done()
		},
		"in the answer": func(w http.ResponseWriter, r *http.Request) {
			streams("text/plain", "one")(w, r)
			<-r.Context().Done()
		},
	} {
		asked := make(chan struct{}, 1)
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			h(w, r)
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("stopped")
		go func() {
			<-asked
			cancel(stopped)
		}()
		if err := open(t, agent.Config{URL: url}).Reply(ctx, question(), func(tandem.Piece) error { return nil }); err != stopped {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A new connection would cost every first token a round trip or three. Fails if
// the end of the body is not waited for, or MaxIdleConnsPerHost left alone.
func TestRemote_usesConnectionsAgain(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"done":   streams("text/event-stream", "data: one\n\n", "data: [DONE]\n\n", ": bye\n\n"),
		"lines":  streams("application/x-ndjson", "{\"token\":\"one\"}\n", "[DONE]\n", "\n"),
		"text":   streams("text/plain", "one"),
		"later":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) },
		"silent": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	} {
		const together = 8
		var opened atomic.Int32
		barrier := make(chan struct{}, together)
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			barrier <- struct{}{} // all of a round are here at the same time
			for len(barrier) < together {
				select {
				case <-r.Context().Done():
					return
				case <-time.After(time.Millisecond):
				}
			}
			h(w, r)
		}))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		s.Start()
		a := open(t, agent.Config{URL: s.URL, Concurrency: together})
		for range 3 {
			errs := make(chan error, together)
			for range together {
				go func() { errs <- a.Reply(t.Context(), question(), func(tandem.Piece) error { return nil }) }()
			}
			for range together {
				if err := <-errs; err != nil {
					t.Error(name, err)
				}
			}
			for range together {
				<-barrier
			}
		}
		if n := opened.Load(); n != together {
			t.Errorf("%s: %d connections for %d answers at a time", name, n, together)
		}
		s.Close()
	}
}

func TestRemote_goesOnWhenTheIdleConnectionWasClosed(t *testing.T) {
	s := httptest.NewServer(streams("text/plain", "one"))
	defer s.Close()
	a := open(t, agent.Config{URL: s.URL})
	for range 20 {
		if got, err := ask(t, a, question()); got != "one" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
		s.CloseClientConnections()
	}
}

// Some servers keep the response open after the last word.
func TestRemote_endsThoughTheUpstreamDoesNot(t *testing.T) {
	for name, parts := range map[string][]string{
		"done":          {"data: one\n\n", "data: [DONE]\n\n"},
		"finish reason": {"data: {\"choices\":[{\"delta\":{\"content\":\"one\"},\"finish_reason\":\"stop\"}]}\n\n"},
	} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			streams("text/event-stream", parts...)(w, r)
			<-r.Context().Done()
		})
		if got, err := ask(t, open(t, agent.Config{URL: url}), question()); got != "one" || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestRemote_followsRedirectsToTheSameServerOnly(t *testing.T) {
	wh, err := webhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the question went elsewhere") })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/chat":
			http.Redirect(w, r, "/chat/", http.StatusTemporaryRedirect)
		case "/chat/":
			if err := wh.Verify(b, r.Header); err != nil {
				t.Error(err)
			}
			streams("text/plain", "here")(w, r)
		case "/away":
			http.Redirect(w, r, elsewhere, http.StatusPermanentRedirect)
		case "/get": // would lose the body
			http.Redirect(w, r, "/chat/", http.StatusSeeOther)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusTemporaryRedirect)
		}
	})
	for path, want := range map[string]string{"/chat": "here", "/away": "", "/get": "", "/round": ""} {
		got, err := ask(t, open(t, agent.Config{URL: url + path, Secret: secret}), question())
		if got != want || (err == nil) != (want != "") || err != nil && tandem.KindOf(err) != tandem.Invalid {
			t.Errorf("%s: got %q, %v", path, got, err)
		}
	}
}
