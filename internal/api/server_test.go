package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/spec/check"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a whole server on a real socket, and what tests ask of it. Every answer
// that it gets is held against the specification.
type site struct {
	*desktest.Tandem
	t testing.TB
}

func open(t testing.TB, opt desktest.Options) *site {
	t.Helper()
	return &site{desktest.Start(t, opt), t}
}

// key makes an API key for a participant.
func (s *site) key(participant string) string {
	s.t.Helper()
	return s.keyFor(auth.KeyRequest{Role: tandem.Participant, Subject: participant})
}

func (s *site) keyFor(r auth.KeyRequest) string {
	s.t.Helper()
	if r.Tenant == "" {
		r.Tenant = "default"
	}
	secret, _, err := s.Auth.CreateKey(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return secret.Reveal()
}

func (s *site) request(method, path, key, body string) *http.Request {
	s.t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, s.URL+path, from)
	if err != nil {
		s.t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return r
}

func (s *site) do(r *http.Request) (*http.Response, string) {
	s.t.Helper()
	res, err := s.Client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	check.Response(s.t, r, res, body)
	return res, string(body)
}

func (s *site) ask(method, path, key, body string) (*http.Response, string) {
	s.t.Helper()
	return s.do(s.request(method, path, key, body))
}

// send posts as a participant on the workflow "support".
func (s *site) send(key, participant, messageType, text, body string) {
	s.t.Helper()
	q := url.Values{"workflow": {"support"}, "type": {messageType}, "participantId": {participant}, "text": {text}}
	if res, body := s.ask("POST", "/api/user/rest/send?"+q.Encode(), key, body); res.StatusCode != 200 {
		s.t.Fatalf("send: %d %s", res.StatusCode, body)
	}
}

// push shows a participant a Chat of an agent.
func (s *site) push(key, participant, text string) {
	s.t.Helper()
	b, _ := json.Marshal(map[string]string{"workflow": "support", "participantId": participant, "text": text})
	if res, body := s.ask("POST", "/api/agent/conversation/outbound/chat", key, string(b)); res.StatusCode != 200 {
		s.t.Fatalf("push: %d %s", res.StatusCode, body)
	}
}

// head is the number of the thread's last event: it stays if nothing is stored.
func (s *site) head(a tandem.Address) int64 {
	s.t.Helper()
	t, err := s.Store.Thread(s.t.Context(), a)
	if err != nil {
		s.t.Fatal(err)
	}
	return t.Head
}

// listener is an open event stream.
type listener struct {
	s   *site
	req *http.Request
	res *http.Response
	in  *bufio.Reader
	all bytes.Buffer

	patience *time.Timer // cuts the stream: what must come has not come
}

// block is one block of an event stream, as its fields.
type block struct{ event, data, id, retry string }

// listen opens a participant's stream; header is names and values in turn.
func (s *site) listen(key, query string, header ...string) *listener {
	s.t.Helper()
	return s.stream("/api/user/sse/events?"+query, key, header...)
}

// stream opens any event stream.
func (s *site) stream(path, key string, header ...string) *listener {
	s.t.Helper()
	r := s.request("GET", path, key, "")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := s.Client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	l := &listener{s: s, req: r, res: res, in: bufio.NewReader(res.Body), patience: time.AfterFunc(20*time.Second, func() { res.Body.Close() })}
	s.t.Cleanup(l.close)
	return l
}

// close leaves the stream, and holds what was read of it against the specification.
func (l *listener) close() {
	if l.res != nil {
		l.patience.Stop()
		l.res.Body.Close()
		check.Response(l.s.t, l.req, l.res, l.all.Bytes())
		l.res = nil
	}
}

// next reads the next block; false at the end of the stream.
func (l *listener) next() (b block, ok bool) {
	l.s.t.Helper()
	for {
		line, err := l.in.ReadString('\n')
		l.all.WriteString(line)
		if err != nil {
			return block{}, false
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return b, true
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "event":
			b.event = value
		case "data":
			b.data += value
		case "id":
			b.id = value
		case "retry":
			b.retry = value
		}
	}
}

// until reads up to the first block of this event. Only heartbeats and the
// stream's beginning may come before it.
func (l *listener) until(event string) block {
	l.s.t.Helper()
	for {
		b, ok := l.next()
		if !ok {
			l.s.t.Fatalf("the stream ended before %q; it was\n%s", event, l.all.String())
		}
		if b.event == event {
			return b
		}
		if b.event != "" && b.event != "heartbeat" && b.event != "connected" {
			l.s.t.Fatalf("got %+v, want %q", b, event)
		}
	}
}

// text reads the next message and returns its text.
func (l *listener) text(event string) string {
	l.s.t.Helper()
	var m struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal([]byte(l.until(event).data), &m); err != nil {
		l.s.t.Fatal(err)
	}
	return m.Text
}

// soon waits for something that happens by itself.
func (s *site) soon(what string, is func() bool) {
	s.t.Helper()
	end := time.After(10 * time.Second)
	for !is() {
		select {
		case <-end:
			s.t.Fatal("never: " + what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// inDatabase counts how often something is found in the database's files.
func (s *site) inDatabase(what string) (n int) {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		n += bytes.Count(b, []byte(what))
	}
	return n
}
