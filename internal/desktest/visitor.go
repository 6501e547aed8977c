package desktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	tandem "github.com/seed4677ff1f/tandem"
)

// Engine is the back end, with a key of its own.
func (x *Tandem) Engine() *Person {
	x.T.Helper()
	return x.person(" engine", func() *Person {
		return &Person{x: x, name: "the engine", token: x.Key(tandem.Agent), news: make(chan struct{})}
	})
}

// Visitor is a page without any credential.
func (x *Tandem) Visitor() *Person {
	x.T.Helper()
	return x.person(" visitor", func() *Person { return &Person{x: x, name: "a visitor", news: make(chan struct{})} })
}

// Makes makes a session for a user ahead; its id is a credential if capability says so.
func (p *Person) Makes(user, session string, capability bool) string {
	p.x.T.Helper()
	var made struct {
		SessionID string `json:"sessionId"`
	}
	answer := p.asks(http.MethodPost, "/api/sessions", map[string]any{"userId": user, "sessionId": session, "capability": capability})
	if err := json.Unmarshal(answer, &made); err != nil {
		p.x.T.Fatal(err)
	}
	return made.SessionID
}

// MakesFor makes a session for a user ahead that ends by itself after so many seconds.
func (p *Person) MakesFor(user, session string, seconds int) {
	p.x.T.Helper()
	p.asks(http.MethodPost, "/api/sessions", map[string]any{"userId": user, "sessionId": session, "ttlSeconds": seconds})
}

// Sends sends a user's sessions a text, and fails unless it was sent to so many.
func (p *Person) Sends(user, text string, sessions int) {
	p.x.T.Helper()
	answer := p.asks(http.MethodPost, "/sse/send", map[string]string{"userId": user, "message": text})
	if want := fmt.Sprintf(`{"message":"Message sent to %d session(s)"}`, sessions); string(answer) != want {
		p.x.T.Errorf("%q: %s, want %s", text, answer, want)
	}
}

// Tells sends a user's sessions a text, however many there are.
func (p *Person) Tells(user, text string) {
	p.x.T.Helper()
	p.asks(http.MethodGet, "/sse/send?"+url.Values{"userId": {user}, "message": {text}}.Encode(), nil)
}

// Escalates asks for a person for a participant.
func (p *Person) Escalates(user, reason, urgency string) {
	p.x.T.Helper()
	p.asks(http.MethodPost, "/api/agent/conversation/outbound/handoff", map[string]string{
		"workflow": "support", "participantId": user, "to": "person", "reason": reason, "urgency": urgency,
	})
}

// Connects opens a session's stream.
func (p *Person) Connects(session string) {
	p.x.T.Helper()
	p.listens(session, "/sse/connect/"+url.PathEscape(session), "")
}

// Reconnects opens it again where it broke off.
func (p *Person) Reconnects(session string) {
	p.x.T.Helper()
	p.listens(session, "/sse/connect/"+url.PathEscape(session), p.place(session))
}

// Drops loses all streams of a name, without a word to the server.
func (p *Person) Drops(name string) {
	for _, e := range p.listening(name) {
		e.cancel()
		<-e.done
	}
}

// Disconnects ends a session, wherever it is connected.
func (p *Person) Disconnects(session string) {
	p.x.T.Helper()
	p.asks(http.MethodDelete, "/sse/disconnect/"+url.PathEscape(session), nil)
}

// Posts posts to a path and returns the answer's body.
func (p *Person) Posts(path string, body any) string {
	p.x.T.Helper()
	return string(p.asks(http.MethodPost, path, body))
}

// HangsUp ends a participant's conversation as a gateway does whose call is over.
func (p *Person) HangsUp(user string) {
	p.x.T.Helper()
	p.about = user
	p.does("end", map[string]string{"reason": "call_ended"})
}
