package main_test

import (
	"net/http"
	"strings"
	"testing"
)

const conversations = "../../docs/conversations.md"

// The page of docs/frontend.md that shows a conversation, as it stands, in a
// browser: all that was said, what comes, who holds it, over kill -9, and the end.
// Seen to fail by a server that begins anew after a place.
func TestFrontend_conversationLive(t *testing.T) {
	t.Parallel()
	s := serve(t)
	gateway := s.key("--role", "agent")
	maya := tandem(t, "token", "--data", s.data, "--tenant", tenant, "--role", "operator", "--subject", "maya", "--name", "Maya")
	s.secrets = append(s.secrets, maya)
	s.openCall(gateway)
	b := browse(t, filledIn(s, maya), shownIn(t, frontend, "async function ticket(", s),
		module(shownIn(t, frontend, "/stream?access_token=", s)+`
			new MutationObserver(() => say('shows', document.body.innerText)).observe(document.body, { childList: true });
			conversation.addEventListener('initial', () => say('initial'));
			conversation.addEventListener('error', () => say('readyState', conversation.readyState))`))
	b.next("initial")
	const first = "user: My friend is falling\n\nassistant: Call for help now."
	b.sees("shows", first)
	b.sees("log", "waiting")
	s.must("POST", documentConversation+"/takeover", maya, "", 200)
	var mode, holder string
	for mode != "operator" {
		b.next("log", &mode, &holder)
	}
	if holder != "Maya" {
		t.Errorf("the holder is %q", holder)
	}
	s.kill()
	s.again()
	s.must("POST", documentConversation+"/messages", maya, `{"content":"I am here."}`, 201)
	b.sees("shows", first+"\n\nMaya: I am here.")
	s.must("POST", documentConversation+"/end", gateway, `{"reason":"call_ended"}`, 200)
	b.sees("log", "Call has ended")
	b.none("initial")
}

// The list and the stream of docs/conversations.md, as they stand. Seen to fail by
// a board that does not name who has gone.
func TestConversations_listAndStreamInABrowser(t *testing.T) {
	t.Parallel()
	s := serve(t)
	gateway := s.key("--role", "agent")
	operator := func(name string) string {
		token := tandem(t, "token", "--data", s.data, "--tenant", tenant, "--role", "operator", "--subject", strings.ToLower(name), "--name", name)
		s.secrets = append(s.secrets, token)
		return token
	}
	maya, ravi := operator("Maya"), operator("Ravi")
	s.openCall(gateway)
	b := browse(t, filledIn(s, ravi), shownIn(t, frontend, "async function ticket(", s), `
		const id = 'conv_919325590143_20251003_115804', watching = [id];
		const rows = {
			replace(list) { say('rows', list.map((c) => c.conversation_id + ' ' + c.mode).join()) },
			put(c) { say('put', c.conversation_id + ' ' + c.mode + ' ' + (c.holder ?? '')) },
			delete(id) { say('gone', id) },
			patch(h) { say('hint', h.last_message) },
		};
		const show = (messages) => say('show', messages.length);
		const append = (messages) => say('append', messages[0].content);
		const state = (c) => say('state', c.mode);
		console.error = (what) => say('refused', what);`,
		module(shownIn(t, conversations, "const source = new EventSource(url)", s)),
		module(shownIn(t, conversations, "const board = new EventSource(url)", s)+`
			board.addEventListener('new_messages', (e) => say('watched', JSON.parse(e.data).conversation_id));`))
	const id = "conv_919325590143_20251003_115804"
	b.sees("rows", id+" waiting")
	var n int
	if b.next("show", &n); n != 2 {
		t.Errorf("%d messages are shown", n)
	}
	b.sees("state", "waiting")
	s.must("POST", documentConversation+"/messages", gateway, `{"role":"user","content":"Hello?"}`, 201)
	b.sees("append", "Hello?")
	b.sees("watched", id)
	b.sees("hint", "Hello?")
	s.must("POST", "/api/conversations", gateway, `{"workflow":"emergency","participant_id":"bob","conversation_id":"case-7"}`, 201)
	b.sees("put", "case-7 waiting ")
	s.must("POST", documentConversation+"/takeover", maya, "", 200)
	b.sees("gone", id)
	b.sees("refused", "Access denied. You don't have permission to view this conversation.")
}

// sees waits until the page tells a text, whatever it tells before.
func (b *browser) sees(kind, want string) {
	b.t.Helper()
	for b.text(kind) != want {
	}
}

// openCall opens the published document's call.
func (s *server) openCall(gateway string) {
	s.t.Helper()
	s.must("POST", "/api/conversations", gateway,
		`{"workflow":"emergency","mobile_no":"+919325590143","urgency":"CRITICAL","medium":"Voice","timestamp":"2025-10-03T11:58:04+05:30"}`, 201)
	s.must("POST", documentConversation+"/messages", gateway,
		`{"messages":[{"role":"user","content":"My friend is falling"},{"role":"assistant","content":"Call for help now."}]}`, 201)
}

// must asks for what has to be answered with this status.
func (s *server) must(method, path, credential, body string, want int) {
	s.t.Helper()
	if status, text := s.ask(http.DefaultClient, method, path, credential, body); status != want {
		s.t.Fatalf("%s: %d %s", path, status, text)
	}
}
