package main_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
)

// sends tells the documents' user something and fails unless so many sessions have it.
func (s *server) sends(key, event, message, answer string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"userId": participant, "event": event, "message": message})
	if err != nil {
		s.t.Fatal(err)
	}
	if status, text := s.ask(http.DefaultClient, "POST", "/sse/send", key, string(body)); status != 200 || text != `{"message":"`+answer+`"}` {
		s.t.Fatalf("%d %s, want %s", status, text, answer)
	}
}

const tellEnd = `
	for (const name of ['gap', 'reset']) source.addEventListener(name, (e) => say(name, JSON.parse(e.data)));
	source.addEventListener('error', () => say('readyState', source.readyState));`

// A page without a sign-in: a native EventSource reads by onmessage what was sent
// before it came, goes on after kill -9, and stops when its session is ended. Seen
// to fail by frames with a name, and by an answer to its return that is not 204.
func TestFrontend_sessionWithoutASignIn(t *testing.T) {
	t.Parallel()
	s := serve(t)
	key := s.key("--role", "agent")
	status, text := s.ask(http.DefaultClient, "POST", "/api/sessions", key, `{"userId":"`+participant+`","capability":true}`)
	var made struct{ SessionID string }
	if err := json.Unmarshal([]byte(text), &made); status != 201 || err != nil {
		t.Fatal(status, text)
	}
	s.secrets = append(s.secrets, made.SessionID)
	s.sends(key, "PAYMENT", "before", "Message sent to 1 session(s)")
	b := browse(t, filledIn(s, ""), "const sessionId = "+quote(made.SessionID)+";", shownIn(t, frontend, "encodeURIComponent(sessionId)", s), tellEnd)
	log := func(event, message string) {
		t.Helper()
		var gotEvent, gotMessage string
		if b.next("log", &gotEvent, &gotMessage); gotEvent != event || gotMessage != message {
			t.Errorf("%s %s, want %s %s", gotEvent, gotMessage, event, message)
		}
	}
	log("PAYMENT", "before")
	s.kill()
	s.again()
	s.sends(key, "WITHDRAWAL", "after", "Message sent to 1 session(s)")
	log("WITHDRAWAL", "after")
	if status, text := s.ask(http.DefaultClient, "DELETE", "/sse/disconnect/"+url.PathEscape(made.SessionID), "", ""); status != 200 || text != "" {
		t.Errorf("disconnect: %d %s", status, text)
	}
	var why string
	if b.next("log", &why); why != "session disconnected" {
		t.Errorf("ended by %q", why)
	}
	for state := 0; state != 2; { // CONNECTING until it was told that the session is over
		b.next("readyState", &state)
	}
	b.none("gap")
	b.none("reset")
	b.none("log")
}

// A page with a sign-in: its ticket opens a session of its own, also when it comes
// back after kill -9. Seen to fail by a ticket that is good for any session.
func TestFrontend_sessionWithASignIn(t *testing.T) {
	t.Parallel()
	s := serve(t)
	token, key := s.token(participant), s.key("--role", "agent")
	s.sends(key, "MESSAGE", "kept", "Message sent to 0 session(s)")
	b := browse(t, filledIn(s, token), shownIn(t, frontend, "async function ticket(", s),
		module(shownIn(t, frontend, "sessionStorage.session", s)+tellEnd+`
			source.onmessage = (e) => say('told', JSON.parse(e.data).message);
			say('url', source.url);`))
	address := b.text("url")
	if text := b.text("told"); text != "kept" {
		t.Errorf("told %q", text)
	}
	s.kill()
	s.again()
	s.sends(key, "MESSAGE", "after", "Message sent to 1 session(s)")
	if text := b.text("told"); text != "after" {
		t.Errorf("told %q", text)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	s.secrets = append(s.secrets, u.Query().Get("access_token"))
	u.Path = "/sse/connect/another"
	if status, text := s.ask(http.DefaultClient, "GET", u.String(), "", ""); status != http.StatusUnauthorized {
		t.Errorf("the ticket for another session: %d %s", status, text)
	}
	b.none("gap")
	b.none("reset")
}
