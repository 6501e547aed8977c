package main_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// tellEvents lets a page tell each event of its stream as it came.
const tellEvents = `for (const name of ['connected', 'disconnected', 'Chat', 'Data', 'Handoff', 'heartbeat', 'gap', 'reset'])
  eventSource.addEventListener(name, (event) => say('raw ' + name, JSON.parse(event.data), event.lastEventId));`

// The listeners of "JavaScript EventSource", as they stand in the document. Seen
// to fail by events without names, by a null in place of text, by leaving out the
// CORS headers, and by a heartbeat of 30 seconds.
func TestDocuments_eventListeners(t *testing.T) {
	t.Parallel()
	s := serve(t)
	key := s.key("--role", "agent")
	b := browse(t, document(t, "events-listeners.js", s.host(), key), tellEvents)
	opened := time.Now()
	var got map[string]any
	b.next("raw connected", &got)
	if got["workflowId"] != "tenant-id:customer-support" || got["participantId"] != participant || got["tenantId"] != tenant {
		t.Errorf("connected: %v", got)
	}

	s.push(key, "chat", map[string]any{"text": "Hello! How can I help?"})
	if text := b.text("Chat:"); text != "Hello! How can I help?" {
		t.Errorf("Chat: %s", text)
	}
	s.push(key, "data", map[string]any{"data": map[string]any{"status": "processed", "result": "success"}})
	var data map[string]string
	if b.next("Data:", &data); data["status"] != "processed" || data["result"] != "success" {
		t.Errorf("Data: %v", data)
	}
	s.push(key, "handoff", map[string]any{
		"targetWorkflowType": "escalation-manager", "text": "Transferring to specialist",
		"fromAgent": "ai-bot", "toAgent": "human-agent", "reason": "escalation",
	})
	if b.next("Handoff:", &data); data["fromAgent"] != "ai-bot" || data["toAgent"] != "human-agent" || data["reason"] != "escalation" {
		t.Errorf("Handoff: %v", data)
	}

	// The document's own examples, but for ids and times.
	for kind, example := range map[string]string{
		"Chat":    `{"direction":"Outgoing","messageType":"Chat","text":"Hello! How can I help?","participantId":"user-123","workflowId":"tenant-id:customer-support","workflowType":"customer-support"}`,
		"Data":    `{"direction":"Outgoing","messageType":"Data","data":{"status":"processed","result":"success"},"participantId":"user-123","workflowId":"tenant-id:customer-support","workflowType":"customer-support"}`,
		"Handoff": `{"direction":"Outgoing","messageType":"Handoff","text":"Transferring to specialist","data":{"fromAgent":"ai-bot","toAgent":"human-agent","reason":"escalation"},"participantId":"user-123","workflowId":"tenant-id:escalation-manager","workflowType":"escalation-manager"}`,
	} {
		var got, want map[string]any
		var place string
		b.next("raw "+kind, &got, &place)
		if err := json.Unmarshal([]byte(example), &want); err != nil {
			t.Fatal(err)
		}
		if !has(got, want) {
			t.Errorf("%s: %v; want %v", kind, got, want)
		}
		at, _ := got["createdAt"].(string)
		if created, err := time.Parse(time.RFC3339, at); err != nil || !strings.HasSuffix(at, "Z") || time.Since(created).Abs() > time.Minute {
			t.Errorf("%s: createdAt %v", kind, got["createdAt"])
		}
		if id, _ := got["id"].(string); id == "" || place == "" {
			t.Errorf("%s: id %q, place %q", kind, id, place)
		}
	}

	var subscribers int
	var word string
	if b.next("Heartbeat:", &subscribers, &word); subscribers != 1 || word != "subscribers" {
		t.Errorf("Heartbeat: %d %s", subscribers, word)
	}
	if since := time.Since(opened); since < 4*time.Second {
		t.Errorf("the first heartbeat after %v, want 5 s", since)
	}
	b.next("raw heartbeat", &got)
	if at, _ := got["timestamp"].(string); !strings.HasSuffix(at, "Z") {
		t.Errorf("heartbeat: %v", got)
	}
}

// has reports whether got has all that want has; clients ignore what is more.
func has(got, want any) bool {
	fields, ok := want.(map[string]any)
	if !ok {
		return reflect.DeepEqual(got, want)
	}
	all, ok := got.(map[string]any)
	for name, value := range fields {
		ok = ok && has(all[name], value)
	}
	return ok
}

// The document's "Complete Example". Its EventSource comes back by itself, and
// the server goes on behind what it saw: before any message, after kill -9, after
// an orderly restart. Seen to fail by a server that does not read Last-Event-ID
// and by a connected event without an id.
func TestDocuments_completeExampleResumes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	key := s.key("--role", "agent")
	b := browse(t,
		`for (const name of ['displayChatMessage', 'processDataMessage', 'handleHandoff', 'updateConnectionStatus'])
		   window[name] = (what) => say(name, what);`,
		document(t, "events-complete.js", s.host(), key), `const eventSource = sse; `+tellEvents)
	b.next("raw connected")
	text := func(want string) {
		t.Helper()
		var m message
		if b.next("displayChatMessage", &m); m.Text != want {
			t.Errorf("%q, want %q", m.Text, want)
		}
	}
	chat := func(texts ...string) {
		for _, text := range texts {
			s.push(key, "chat", map[string]any{"text": text})
		}
	}

	// Killed before the first message: what is said before the page is back is not lost.
	s.kill()
	s.again()
	chat("one")
	text("one")
	b.next("console.error") // the document's onerror
	b.next("raw connected")

	// Killed in the middle.
	chat("two")
	text("two")
	s.kill()
	s.again()
	chat("three", "four")
	s.push(key, "data", map[string]any{"data": 5})
	text("three")
	text("four")
	var m message
	if b.next("processDataMessage", &m); string(m.Data) != "5" {
		t.Errorf("data: %s", m.Data)
	}
	b.next("raw connected")

	// Restarted in an orderly way: the page is told.
	s.stop()
	var bye struct{ Timestamp, Reason string }
	if b.next("raw disconnected", &bye); bye.Reason == "" || bye.Timestamp == "" {
		t.Errorf("disconnected: %+v", bye)
	}
	s.again()
	chat("six")
	text("six")
	b.next("raw connected")
	b.none("displayChatMessage")
	b.none("raw reset")
	b.none("raw gap")

	// A key that is not good: the browser gives up, and the page is told.
	b.tell(`const other = connectToSSE('customer-support', 'user-123', 'sk-wrong');
		other.addEventListener('error', () => say('refused', other.readyState))`)
	var state int
	if b.next("refused", &state); state != 2 {
		t.Errorf("readyState %d after 401, want CLOSED", state)
	}
}

// chatPage is a page of the WebSocket document: its connection, its handler, and
// the functions that the handler leaves to the page.
func chatPage(t *testing.T, s *server, token string) []string {
	t.Helper()
	s.secrets = append(s.secrets, token)
	return []string{
		`localStorage.setItem('token', ` + quote(token) + `);
		const answers = {};
		const showSystemMessage = (text) => say('system', text);
		const showError = (text) => say('error', text);
		const createNewAIMessage = (id) => { answers[id] = document.body.appendChild(document.createElement('p')); say('start', id) };
		const appendToAIMessage = (id, token) => { answers[id].append(token); say('token', id, token) };
		const finalizeAIMessage = (id) => say('end', id, answers[id].textContent);`,
		document(t, "chat-handler.js", s.host(), ""), document(t, "chat-connect.js", s.host(), ""),
	}
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // a string always can be
	return string(quoted)
}

// shown waits for a whole answer on a page of the WebSocket document and returns
// its id, its text and in how many pieces it came.
func (b *browser) shown() (id, text string, pieces int) {
	b.t.Helper()
	b.next("start", &id)
	var built strings.Builder
	var end string
	b.next("end", &end, &text)
	for built.Len() < len(text) {
		var of, token string
		b.next("token", &of, &token)
		if of != id || token == "" {
			b.t.Errorf("token %q of %s in answer %s", token, of, id)
		}
		built.WriteString(token)
		pieces++
	}
	if end != id || built.String() != text {
		b.t.Errorf("answer %s: %q, but %s ended with %q", id, built.String(), end, text)
	}
	return id, text, pieces
}

// The WebSocket document's page: connect, send, ask for a person, ping, and its
// handler. Seen to fail by tokens without messageId and by pings that are not
// answered.
func TestDocuments_chat(t *testing.T) {
	t.Parallel()
	s := serve(t, "--agent", "concierge")
	token, key := s.token(participant), s.key("--role", "operator")
	events := follow(t, http.DefaultClient, "http://"+s.addrs[0]+"/api/user/sse/events?workflow=customer-support&participantId=user-123&tenantId=tenant-id", token)
	events.next("connected")
	b := browse(t, chatPage(t, s, token)...)
	b.next("WebSocket connected!")
	if text := b.text("system"); text != "Connected to chatbot server" {
		t.Errorf("connection: %q", text)
	}

	b.tell(document(t, "chat-send.js", s.host(), ""))
	id, text, pieces := b.shown()
	if pieces < 3 {
		t.Errorf("%q came in %d pieces, want it word by word", text, pieces)
	}
	if m := events.next("Chat"); m.ID != id || m.Text != text {
		t.Errorf("on the event stream: %+v; want %s %q", m, id, text)
	}

	b.tell(document(t, "chat-ping.js", s.host(), ""))
	b.next("Connection alive")

	b.tell(document(t, "chat-human.js", s.host(), ""))
	if text := b.text("system"); text == "" || strings.ContainsAny(text, "{}") {
		t.Errorf("human-escalation-response: %q", text)
	}
	var handoff struct{ Reason string }
	if err := json.Unmarshal(events.next("Handoff").Data, &handoff); err != nil || handoff.Reason != "Need human assistance" {
		t.Errorf("Handoff: %+v, %v", handoff, err)
	}
	s.waits(key, "Need human assistance", "NORMAL")
	b.none("error")

	s.stop()
	b.next("WebSocket disconnected")
}

// waits checks that an operator sees the documents' participant wait for a person.
func (s *server) waits(credential, reason, urgency string) {
	s.t.Helper()
	status, text := s.ask(http.DefaultClient, "GET", "/api/conversations?mode=waiting", credential, "")
	var list struct {
		Success       bool
		Conversations []struct {
			WorkerID string `json:"worker_id"`
			Workflow string
			Status   string
			Mode     string
			Urgency  string
			Reason   string
			Waiting  string `json:"waiting_since"`
		}
	}
	if err := json.Unmarshal([]byte(text), &list); status != http.StatusOK || err != nil || !list.Success || len(list.Conversations) != 1 {
		s.t.Fatalf("conversations: %d %v %s", status, err, text)
	}
	c := list.Conversations[0]
	if c.WorkerID != participant || c.Workflow != workflow || c.Status != "ACTIVE" || c.Mode != "waiting" ||
		c.Reason != reason || c.Urgency != urgency || c.Waiting == "" {
		s.t.Errorf("waiting: %s; want %s, %s", text, reason, urgency)
	}
}

// A page of the WebSocket document knows nothing of cursors. Loaded anew in the
// middle of an answer it is shown all of it; loaded anew later, nothing twice.
// Seen to fail by a socket that begins at the head and does not join the answer
// under way, and by a mark that does not move.
func TestDocuments_chatComesBackInTheMiddleOfAnAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t, "--agent", "concierge")
	token := s.token(participant)
	b := browse(t, chatPage(t, s, token)...)
	b.next("system")
	b.tell(strings.ReplaceAll(document(t, "chat-send.js", s.host(), ""), "Your message here", "What is Tandem?"))
	var begun, of, word string
	b.next("start", &begun)
	for range 3 {
		b.next("token", &of, &word)
	}
	b.reload()
	for drained := false; !drained; { // what the page told before it went
		select {
		case <-b.heard("token"):
		default:
			drained = true
		}
	}
	b.next("system")
	id, text, pieces := b.shown()
	if id != begun || pieces < 2 || !strings.HasPrefix(text, "Tandem is a conversation server") {
		t.Errorf("%s in %d pieces: %q; want all of %s, and the rest as it is written", id, pieces, text, begun)
	}
	if said := s.history(token, participant); len(said) != 2 || said[1].Text != text || said[1].ID != id {
		t.Errorf("stored: %+v", said)
	}

	// The server learns by a pong, within a second or so, that the page has the answer.
	deadline := time.Now().Add(patience)
	for {
		b.reload()
		b.next("system")
		b.tell(document(t, "chat-ping.js", s.host(), ""))
		b.next("Connection alive")
		if len(b.heard("start")) == 0 {
			break
		}
		if again, same, _ := b.shown(); again != id || same != text {
			t.Errorf("shown again: %s %q", again, same)
		}
		if time.Now().After(deadline) {
			t.Fatal("the answer is shown again for ever")
		}
	}
}
