package desktest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// patience is how long a story waits for what must come.
const patience = 20 * time.Second

// Person is somebody in a story: a participant of the workflow "support" who
// follows the own events over SSE and posts over HTTP.
type Person struct {
	x     *Tandem
	name  string
	token string

	mu     sync.Mutex // guards heard, news, cancel
	heard  []string   // every event so far: its name and its text
	news   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

// As is the participant of this name; the same one each time. Following begins
// with the first call.
func (x *Tandem) As(name string) *Person {
	x.T.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.people[name]; p != nil {
		return p
	}
	p := &Person{x: x, name: name, token: x.Token(name, tandem.Participant), news: make(chan struct{})}
	p.follow()
	x.people[name] = p
	return p
}

// follow opens the stream and returns once it stands.
func (p *Person) follow() {
	p.x.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	q := url.Values{"workflow": {"support"}, "participantId": {p.name}, "heartbeatSeconds": {"1"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.x.URL+"/api/user/sse/events?"+q.Encode(), nil)
	if err != nil {
		p.x.T.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	res, err := p.x.Client.Do(req)
	if err != nil {
		p.x.T.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		p.x.T.Fatalf("%s follows: %s %s", p.name, res.Status, body)
	}
	p.cancel, p.done = cancel, make(chan struct{})
	go p.listen(res.Body)
}

func (p *Person) listen(body io.ReadCloser) {
	defer close(p.done)
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 4<<20)
	event := ""
	for lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		} else if data, ok := strings.CutPrefix(line, "data: "); ok && event != "heartbeat" {
			var m struct {
				Text   string `json:"text"`
				Reason string `json:"reason"`
			}
			_ = json.Unmarshal([]byte(data), &m)
			p.mu.Lock()
			p.heard = append(p.heard, strings.TrimSpace(event+" "+m.Text+m.Reason))
			close(p.news)
			p.news = make(chan struct{})
			p.mu.Unlock()
		}
	}
}

// leave ends the stream, after the server has ended it or did not within a second.
func (p *Person) leave() {
	late := time.AfterFunc(time.Second, p.cancel)
	<-p.done
	late.Stop()
	p.cancel()
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

// Sees waits until one of the person's events holds the text, and returns it.
func (p *Person) Sees(text string) string {
	p.x.T.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		heard, news := p.heard, p.news
		p.mu.Unlock()
		for _, h := range heard {
			if strings.Contains(h, text) {
				return h
			}
		}
		select {
		case <-news:
		case <-deadline.C:
			p.x.T.Fatalf("%s does not see %q in %v", p.name, text, fmt.Sprint(heard))
		}
	}
}

// Saw is how many of the person's events so far hold the text.
func (p *Person) Saw(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, h := range p.heard {
		if strings.Contains(h, text) {
			n++
		}
	}
	return n
}
