package main_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const example = "../../examples/fastapi"

// python is Debian's, whose FastAPI and uvicorn the tests use.
const python = "/usr/bin/python3"

// uvicorn serves the app.py of a folder on a port (0: a free one) and returns the
// process and its address.
func uvicorn(t *testing.T, folder, port string, env ...string) (*exec.Cmd, string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short needs only Go; this starts uvicorn")
	}
	if exec.Command(need(t, python, "for the example agent", "python3"), "-c", "import fastapi, uvicorn").Run() != nil {
		need(t, "uvicorn of "+python, "and fastapi", "python3-fastapi python3-uvicorn")
	}
	cmd := exec.Command(python, "-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", port)
	cmd.Dir = filepath.FromSlash(folder)
	cmd.Env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"), env...)
	log, _ := run(t, cmd)
	address := regexp.MustCompile(`running on (http://\S+)`)
	line := log.next(t, "running on", address.MatchString)
	return cmd, address.FindStringSubmatch(line)[1]
}

// indented is the block of a page that is indented and follows a line.
func indented(t *testing.T, page, after string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(page))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), after)
	if !found {
		t.Fatalf("%s has no %q", page, after)
	}
	var block strings.Builder
	for line := range strings.Lines(strings.TrimLeft(rest, "\n")) {
		code, is := strings.CutPrefix(line, "    ")
		if !is {
			break
		}
		block.WriteString(code)
	}
	return block.String()
}

// A chat with the example agent behind FastAPI and uvicorn, configured as its page
// says. Its answer is shown token by token, stored, and on the participant's event
// stream; when it is killed in the middle of a word its answer ends once, and what
// it said is kept. Seen to fail by a signature over another body and by storing only
// whole answers.
func TestFastAPI_chat(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	process, agent := uvicorn(t, example, "0", "SECRET="+secret)
	config := filepath.Join(t.TempDir(), "tandem.yaml")
	yaml := strings.ReplaceAll(indented(t, example+"/README.md", "and in tandem.yaml:\n"), "http://127.0.0.1:8000", agent)
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "SECRET="+secret, "--config", config)
	s.secrets = append(s.secrets, secret, "parcel")
	token := s.token(participant)
	events := follow(t, http.DefaultClient, "http://"+s.addrs[0]+"/api/user/sse/events?workflow=customer-support&participantId=user-123&tenantId=tenant-id", token)
	events.next("connected")
	c := open(t, "ws://"+s.host()+"?token="+token, http.DefaultClient)

	c.send(map[string]any{"type": "chat", "content": "Where is my parcel?"})
	a := c.answer(nil)
	if a.text != "Hello Ann. You wrote: Where is my parcel? (after 0 earlier messages) " || a.tokens < 2 || a.finish != "stop" {
		t.Errorf("the answer: %+v", a)
	}
	s.stored(token, events, a, 2)
	c.send(map[string]any{"type": "chat", "content": "And now?"})
	a = c.answer(nil)
	if !strings.HasSuffix(a.text, "(after 1 earlier messages) ") {
		t.Errorf("the agent was not sent the history: %+v", a)
	}
	s.stored(token, events, a, 4)

	// Killed in the middle of an answer.
	long := strings.Repeat("parcel ", 1000)
	c.send(map[string]any{"type": "chat", "content": long})
	a = c.answer(func(a answer) {
		if a.tokens == 20 {
			if err := process.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	})
	if a.finish != "error" || !strings.HasPrefix("Hello Ann. You wrote: "+long, a.text) || len(a.text) > len(long) {
		t.Errorf("the answer of a killed agent: %+v", a)
	}
	c.silent()
	s.stored(token, events, a, 6)

	// Gone: said, and the socket stays. Back again: answers.
	c.send(map[string]any{"type": "chat", "content": "Anybody?"})
	if f := c.next(); f.Type != "error" || f.Message != "AI service is currently unavailable. Please try again later." {
		t.Errorf("nobody there: %+v", f)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(agent, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	uvicorn(t, example, port, "SECRET="+secret)
	c.send(map[string]any{"type": "chat", "content": "I want a person"})
	if a = c.answer(nil); a.text != "I am asking a colleague to join us." || a.finish != "stop" {
		t.Errorf("back again: %+v", a)
	}
	s.handedOver(c, a, events, "I want a person", "NORMAL")
}

// stored checks that an answer is the last of n messages in the history, and that
// the participant's event stream has it next.
func (s *server) stored(credential string, events *stream, a answer, n int) {
	s.t.Helper()
	said := s.history(credential, participant)
	if len(said) != n || said[n-1].ID != a.id || said[n-1].Text != a.text || said[n-1].Direction != "Outgoing" {
		s.t.Errorf("stored: %d messages, the last is %+v; want %d, %s %q", len(said), said[len(said)-1], n, a.id, a.text)
	}
	if m := events.next("Chat"); m.ID != a.id || m.Text != a.text {
		s.t.Errorf("on the event stream: %+v; want %s %q", m, a.id, a.text)
	}
}

// handedOver checks that an agent's wish for a person, uttered with its answer a,
// has come true everywhere.
func (s *server) handedOver(c *chat, a answer, events *stream, reason, urgency string) {
	s.t.Helper()
	waits := false
	for _, f := range a.others {
		waits = waits || f.Type == "state" && f.Mode == "waiting"
	}
	for !waits {
		f := c.next()
		waits = f.Type == "state" && f.Mode == "waiting"
	}
	var chat, handoff message
	for i := range 2 { // in the order in which the agent said them
		select {
		case e := <-events.events:
			m := &chat
			if e.Type == "Handoff" {
				m = &handoff
			}
			if err := json.Unmarshal([]byte(e.Data), m); err != nil {
				s.t.Errorf("event %d: %v %s", i, err, e.Data)
			}
		case <-time.After(patience):
			s.t.Fatalf("no Chat and Handoff")
		}
	}
	var data struct{ Reason, Urgency, To string }
	if err := json.Unmarshal(handoff.Data, &data); err != nil || data.Reason != reason || data.Urgency != urgency || data.To != "person" {
		s.t.Errorf("Handoff: %s, %v", handoff.Data, err)
	}
	if chat.Text != a.text || chat.ID != a.id {
		s.t.Errorf("Chat: %+v; want %+v", chat, a)
	}
	operator := tandem(s.t, "token", "--data", s.data, "--tenant", tenant, "--role", "operator", "--subject", "maya")
	s.waits(operator, reason, urgency)
}

// aimock starts a server of the OpenAI API (npm @copilotkit/aimock), from the
// folder in which the tests of the agents keep it, and returns its address.
func aimock(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short needs only Go; this starts a server in node")
	}
	node := need(t, "node", "for the npm package @copilotkit/aimock", "nodejs npm")
	need(t, "npm", "for the npm package @copilotkit/aimock", "nodejs npm")
	mock := filepath.FromSlash("../../internal/agent/testdata/aimock")
	manifest, err := os.ReadFile(filepath.Join(mock, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "aimock")
	if cache, err := os.UserCacheDir(); err == nil {
		kept := filepath.Join(cache, "tandem-test", "aimock")
		if have, err := os.ReadFile(filepath.Join(kept, "package.json")); err == nil && string(have) == string(manifest) {
			root = kept
		}
	}
	if _, err := os.Stat(root); err != nil {
		if err := os.MkdirAll(root, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "package.json"), manifest, 0o644); err != nil {
			t.Fatal(err)
		}
		npm := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
		npm.Dir = root
		if out, err := npm.CombinedOutput(); err != nil {
			t.Fatalf("npm install: %v\n%s", err, out)
		}
	}
	log, _ := run(t, exec.CommandContext(t.Context(), node, filepath.Join(root, "node_modules/@copilotkit/aimock/dist/cli.js"),
		"--port", "0", "--fixtures", filepath.Join(mock, "fixtures.json"), "--chunk-size", "5", "--latency", "5"))
	address := regexp.MustCompile(`listening on (http://\S+)`)
	line := log.next(t, "listening on", address.MatchString)
	return address.FindStringSubmatch(line)[1]
}

// A chat with an OpenAI-compatible server that nobody here wrote, told in one
// flag. Its model calls the function ask_a_person. Seen to fail by not offering
// the function: the model then answers that nobody is there.
func TestOpenAI_chat(t *testing.T) {
	t.Parallel()
	base, err := url.Parse(aimock(t))
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--agent", fmt.Sprintf("openai+http://%s/v1?model=M", base.Host))
	token := s.token(participant)
	events := follow(t, http.DefaultClient, "http://"+s.addrs[0]+"/api/user/sse/events?workflow=customer-support&participantId=user-123&tenantId=tenant-id", token)
	events.next("connected")
	c := open(t, "ws://"+s.host()+"?token="+token, http.DefaultClient)

	c.send(map[string]any{"type": "chat", "content": "hello"})
	a := c.answer(nil)
	if a.text != "Hello, said the model, in several tokens — très bien." || a.tokens < 2 || a.finish != "stop" {
		t.Errorf("the answer: %+v", a)
	}
	if m := events.next("Reasoning"); m.Text != "The user greets me." && !strings.Contains(string(m.Data), "The user greets me.") {
		t.Errorf("Reasoning: %+v", m)
	}
	if m := events.next("Chat"); m.Text != a.text {
		t.Errorf("Chat: %+v; want %+v", m, a)
	}

	c.send(map[string]any{"type": "chat", "content": "I want a refund"})
	if a = c.answer(nil); a.text != "One moment, please." || a.finish != "stop" {
		t.Errorf("the answer: %+v", a)
	}
	s.handedOver(c, a, events, "wants a refund for order 7", "URGENT")

	c.send(map[string]any{"type": "chat", "content": "cut"})
	if a = c.answer(nil); a.finish != "error" || !strings.HasPrefix("This answer is cut long before", a.text) || a.text == "" {
		t.Errorf("a model that is cut off: %+v", a)
	}
	c.silent("state")
}
