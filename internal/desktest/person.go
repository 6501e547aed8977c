package desktest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// patience is how long a story waits for what must come.
const patience = 20 * time.Second

// Person is somebody in a story. A participant of the workflow "support" follows
// the own events over SSE and posts over HTTP; staff look at the board. What only
// some do, on conversations and sessions, is in staff.go and visitor.go.
type Person struct {
	x     *Tandem
	name  string
	token string
	about string // whose conversation staff are in

	mu      sync.Mutex // guards all below
	heard   []string   // every event so far: its name and its text, or all its data
	news    chan struct{}
	ears    []*ear
	refused string // the last answer, if it was a refusal that the story has not spoken of
}

// An ear is an open stream of a person.
type ear struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	last   string // the last event id; guarded by the person's mu
}

// As is the participant of this name, or who was registered as Staff; the same one
// each time. Following begins with the first call.
func (x *Tandem) As(name string) *Person {
	x.T.Helper()
	return x.person(name, func() *Person {
		p := &Person{x: x, name: name, about: name, token: x.Token(name, tandem.Participant), news: make(chan struct{})}
		q := url.Values{"workflow": {"support"}, "participantId": {name}, "heartbeatSeconds": {"1"}}
		p.listens("", "/api/user/sse/events?"+q.Encode(), "")
		return p
	})
}

func (x *Tandem) person(name string, begin func() *Person) *Person {
	x.T.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.people[name] == nil {
		x.people[name] = begin()
	}
	return x.people[name]
}

// listens opens a stream and returns once it stands. The person's own stream has
// no name; what others tell is noted with theirs. A stream that is refused is a
// refusal.
func (p *Person) listens(name, path, after string) {
	p.x.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.x.URL+path, nil)
	if err != nil {
		p.x.T.Fatal(err)
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	res, err := p.x.Client.Do(req)
	if err != nil {
		p.x.T.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		p.note(res)
		cancel()
		return
	}
	e := &ear{name: name, cancel: cancel, done: make(chan struct{}), last: after}
	p.mu.Lock()
	p.ears = append(p.ears, e)
	p.mu.Unlock()
	go p.listen(e, res.Body)
}

func (p *Person) listen(e *ear, body io.ReadCloser) {
	defer close(e.done)
	defer body.Close()
	for events := sse.NewDecoder(body, 4<<20); ; {
		got, err := events.Next()
		if err != nil {
			return
		}
		var m struct {
			Text   string `json:"text"`
			Reason string `json:"reason"`
		}
		line := e.name + " " + got.Name + " " + string(got.Data)
		if e.name == "" {
			_ = json.Unmarshal(got.Data, &m)
			line = got.Name + " " + m.Text + m.Reason
		}
		p.mu.Lock()
		if got.ID != "" {
			e.last = got.ID
		}
		if got.Name != "heartbeat" && len(got.Data) > 0 {
			p.heard = append(p.heard, strings.TrimSpace(line))
		}
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
	}
}

// leave ends the streams, after the server has ended them or did not within a second.
func (p *Person) leave() {
	p.x.T.Helper()
	for _, e := range p.listening("*") {
		late := time.AfterFunc(time.Second, e.cancel)
		<-e.done
		late.Stop()
		e.cancel()
	}
	p.settled()
}

// listening are the streams of a name; of "*" all.
func (p *Person) listening(name string) []*ear {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []*ear
	for _, e := range p.ears {
		if name == "*" || e.name == name {
			found = append(found, e)
		}
	}
	return found
}

// asks sends a request and returns the answer. One that is refused is for
// IsRefused: a story that goes on without is wrong.
func (p *Person) asks(method, path string, body any) []byte {
	p.x.T.Helper()
	p.settled()
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			p.x.T.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(p.x.T.Context(), method, p.x.URL+path, bytes.NewReader(sent))
	if err != nil {
		p.x.T.Fatal(err)
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := p.x.Client.Do(req)
	if err != nil {
		p.x.T.Fatal(err)
	}
	return p.note(res)
}

// note reads an answer.
func (p *Person) note(res *http.Response) []byte {
	p.x.T.Helper()
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		p.x.T.Fatal(err)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		p.mu.Lock()
		p.refused = res.Status + " " + string(answer)
		p.mu.Unlock()
	}
	return answer
}

// IsRefused fails unless what the person did last was refused, with this text in
// the answer or its status.
func (p *Person) IsRefused(text string) {
	p.x.T.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused == "" || !strings.Contains(p.refused, text) {
		p.x.T.Fatalf("%s was answered %q, want a refusal with %q", p.name, p.refused, text)
	}
	p.refused = ""
}

func (p *Person) settled() {
	p.x.T.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused != "" {
		p.x.T.Errorf("%s was refused: %s", p.name, p.refused)
		p.refused = ""
	}
}

// Says posts a Chat.
func (p *Person) Says(text string) {
	p.x.T.Helper()
	q := url.Values{"workflow": {"support"}, "participantId": {p.name}, "type": {"Chat"}, "text": {text}}
	p.x.post(p.token, "/api/user/rest/send?"+q.Encode(), nil)
}

// Hears has the back end push a message of a type to the person.
func (p *Person) Hears(messageType tandem.MessageType, text string) {
	p.x.T.Helper()
	body, err := json.Marshal(map[string]any{"workflow": "support", "participantId": p.name, "text": text})
	if err != nil {
		p.x.T.Fatal(err)
	}
	p.x.post(p.x.Key(tandem.Agent), "/api/agent/conversation/outbound/"+strings.ToLower(string(messageType)), body)
}

func (x *Tandem) post(token, path string, body []byte) {
	x.T.Helper()
	req, err := http.NewRequestWithContext(x.T.Context(), http.MethodPost, x.URL+path, strings.NewReader(string(body)))
	if err != nil {
		x.T.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := x.Client.Do(req)
	if err != nil {
		x.T.Fatal(err)
	}
	defer res.Body.Close()
	if answer, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		x.T.Fatalf("%s: %s %s", strings.SplitN(path, "?", 2)[0], res.Status, answer)
	}
}

// Sees waits until one of the person's events holds all these texts, and returns it.
func (p *Person) Sees(texts ...string) string {
	p.x.T.Helper()
	return p.SeesTimes(1, texts...)
}

// SeesTimes waits until n of the events do, and returns the last of them.
func (p *Person) SeesTimes(n int, texts ...string) string {
	p.x.T.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		heard, news := p.heard, p.news
		p.mu.Unlock()
		if found := holding(heard, texts); len(found) >= n {
			return found[n-1]
		}
		select {
		case <-news:
		case <-deadline.C:
			p.x.T.Fatalf("%s does not see %q in %v", p.name, texts, fmt.Sprint(heard))
		}
	}
}

// Saw is how many of the person's events so far hold all these texts.
func (p *Person) Saw(texts ...string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(holding(p.heard, texts))
}

func holding(heard, texts []string) (found []string) {
	for _, h := range heard {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(h, text) }) {
			found = append(found, h)
		}
	}
	return found
}
