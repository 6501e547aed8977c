package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// A demoServer is a running demo, and what it printed.
type demoServer struct {
	t          *testing.T
	page       string
	api        string // http://localhost:port, as it printed that
	key, token string
	maya       string // the operator's token
}

// startDemo starts one and signs its operator in.
func startDemo(t *testing.T) *demoServer {
	t.Helper()
	cmd, _ := demo(t, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0")
	stdout, _ := run(t, cmd)
	stdout.next(t, "ready", func(line string) bool { return strings.Contains(line, " ready in ") })
	d := &demoServer{t: t, page: stdout.String()}
	d.api = strings.TrimSuffix(section(d.page, `(?m)^  Everything, explained +(http://\S+)$`), "/")
	d.key, d.token = section(d.page, `(?m)^  API key +(\S+)`), section(d.page, `(?m)^  Token +(\S+)`)
	d.maya = d.signIn("maya")
	return d
}

func (d *demoServer) signIn(name string) string {
	d.t.Helper()
	password := section(d.page, name+` / (\S+) `)
	var in struct{ Token string }
	d.post("/api/auth/login", "", `{"username":`+quote(name)+`,"password":`+quote(password)+`}`, &in)
	return in.Token
}

// post asks for something that must be done, and reads the answer into a value.
func (d *demoServer) post(path, credential, body string, answer any) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), "POST", d.api+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil || resp.StatusCode > http.StatusCreated {
		d.t.Fatalf("%s: %s %v", path, resp.Status, err)
	}
}

// in is the same demo in a part of a test.
func (d *demoServer) in(t *testing.T) *demoServer {
	part := *d
	part.t = t
	return &part
}

const documentConversation = "/api/conversation/conv_919325590143_20251003_115804"

// filled is an example of the conversation document with its host and token.
func (d *demoServer) filled(name, token string) string {
	return strings.NewReplacer("http://localhost:5000", d.api, "https://api.example.com", d.api,
		"your_jwt_token_here", token, "YOUR_JWT_TOKEN", token, "jwt-token", token, "sk-key", d.key).Replace(testdata(d.t, name))
}

// node is a script of testdata/clients, whose packages npm has put there.
func (d *demoServer) node(script string, args ...string) *exec.Cmd {
	d.t.Helper()
	program := need(d.t, "node", "for clients that are not browsers", "nodejs npm")
	folder := filepath.Join("testdata", "clients")
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		if os.Getenv("TANDEM_TEST_ALL") == "1" {
			d.t.Fatal("needs npm ci in cmd/tandem/testdata/clients")
		}
		d.t.Skip("needs npm ci in cmd/tandem/testdata/clients, for clients that are not browsers")
	}
	return exec.Command(program, append([]string{filepath.Join(folder, script)}, args...)...)
}

// python is the document's Python example as it stands, but for host and token, in
// the system's own Python.
func (d *demoServer) python(token string) *exec.Cmd {
	d.t.Helper()
	const program = "/usr/bin/python3"
	if err := exec.Command(program, "-c", "import requests").Run(); err != nil {
		if os.Getenv("TANDEM_TEST_ALL") == "1" {
			d.t.Fatal("needs the system's python3 with requests: apt-get install python3-requests")
		}
		d.t.Skip("needs the system's python3 with requests: apt-get install python3-requests")
	}
	return exec.Command(program, "-u", d.file("conversation.py", token))
}

// file is a filled-in example as a file.
func (d *demoServer) file(name, token string) string {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), name)
	if err := os.WriteFile(file, []byte(d.filled(name, token)), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return file
}

// hook is the React example, for a person with this token.
func (d *demoServer) hook(token string) *exec.Cmd {
	d.t.Helper()
	return d.node("hook.mjs", filepath.Join("testdata", "e2e", "conversation-hook.tsx"), d.api, strings.TrimPrefix(documentConversation, "/api/conversation/"), token)
}

// The conversation document's own clients, as they stand, against the demo: the
// Python example, the script for browsers and the React hook see the conversation,
// what is said, and its end; the curl lines too. Seen to fail by a body without
// chunks, of which Python's requests passes on nothing before the next 512 bytes.
func TestDocuments_conversationClients(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short needs only Go; this starts a Python and a Node")
	}
	d := startDemo(t)
	t.Run("their streams", func(t *testing.T) {
		d := d.in(t)
		python, _ := run(t, d.python(d.maya))
		hook, _ := run(t, d.hook(d.maya))
		page, _ := run(t, d.node("page.mjs", d.file("conversation-browser.js", d.maya), d.api))
		curls := strings.Split(d.filled("conversation-curl.sh", d.maya), "\n\n")
		if len(curls) != 2 {
			t.Fatalf("%q", curls)
		}
		out, err := sh(curls[0]).Output()
		var got map[string]any
		if err := json.Unmarshal(out, &got); err != nil || !has(got, any(documentJSON(t, "conversation.json"))) {
			t.Errorf("%s: %s %v", curls[0], out, err)
		}
		if err != nil {
			t.Error(err)
		}
		curl, _ := run(t, sh(curls[1]))
		python.next(t, "Initial messages: 2", is("Initial messages: 2"))
		hook.next(t, "Connecting", is(`"Connecting...\n"`))
		first := `user: My friend is falling from a floor, what should I do?\nassistant: Call for help now. Try to break their fall if safe. Clear the area.\n`
		hook.next(t, "the conversation", is(`"`+first+`\n"`))
		page.next(t, "the conversation", is("displays My friend is falling from a floor, what should I do? | Call for help now. Try to break their fall if safe. Clear the area."))
		curl.next(t, "initial", is("event: initial"))

		var done struct{ Success bool }
		d.post(documentConversation+"/messages", d.key, `{"messages":[{"role":"user","content":"No, please be more clear."},{"role":"assistant","content":"Call emergency services immediately..."}]}`, &done)
		for _, line := range []string{"New messages: 2", "  user: No, please be more clear.", "  assistant: Call emergency services immediately..."} {
			python.next(t, line, is(line))
		}
		hook.next(t, "the new messages", is(`"`+first+`user: No, please be more clear.\nassistant: Call emergency services immediately...\n\n"`))
		page.next(t, "the new messages", is("appends No, please be more clear. | Call emergency services immediately..."))
		curl.next(t, "new_messages", is("event: new_messages"))
		d.post(documentConversation+"/takeover", d.maya, "", &done) // of which they know nothing
		d.post(documentConversation+"/end", d.maya, "", &done)
		python.next(t, "the end", is("Conversation ended"))
		hook.next(t, "the end", is(`"Connecting...\n"`)) // what the document's component shows then
		page.next(t, "the end", is("log Conversation ended: Conversation has ended"))
		curl.next(t, "ended", is("event: ended"))
	})
	t.Run("not for them", func(t *testing.T) {
		d := d.in(t)
		const denied = "Access denied. You don't have permission to view this conversation."
		python, _ := run(t, d.python(d.token))
		python.next(t, denied, is("Error: "+denied))
		hook, _ := run(t, d.hook(d.token))
		hook.next(t, denied, is(quote("Error: "+denied+"\n")))
		page, _ := run(t, d.node("page.mjs", d.file("conversation-browser.js", d.token), d.api))
		page.next(t, denied, is("error Stream error: "+denied))
	})
}

// is waits for a line as it stands.
func is(want string) func(string) bool { return func(line string) bool { return line == want } }

// The curl lines of the events document, with what they need filled in.
func TestDocuments_eventsCurlLines(t *testing.T) {
	t.Parallel()
	need(t, "curl", "the client of the documents", "curl")
	d := startDemo(t)
	lines := strings.Split(strings.TrimSpace(d.filled("events-curl.sh", d.token)), "\n\n")
	if len(lines) != 2 {
		t.Fatalf("%q", lines)
	}
	for _, line := range lines {
		curl, _ := run(t, sh(line))
		curl.next(t, "connected", is("event: connected"))
	}
}

// The session document's generated client: axios, its three methods, each status
// that it lists, here and in the specification.
func TestDocuments_sessionClient(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short needs only Go; this starts a Node")
	}
	d := startDemo(t)
	out, err := d.node("session.mjs", d.api, d.token, participant, d.key).Output()
	if err != nil {
		t.Fatalf("%v %s\n%s", err, said(err), out)
	}
	type came struct {
		What   string
		Status int
		Data   any
	}
	var all []came
	for line := range strings.Lines(string(out)) {
		var c came
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, c)
	}
	statuses := map[string]int{
		"connect, not signed in": 401, "send": 200, "disconnect, not signed in": 401, "disconnect": 200, "connect": 200, "disconnect again": 404,
	}
	for _, c := range all {
		if c.Status != statuses[c.What] {
			t.Errorf("%s: %d %v", c.What, c.Status, c.Data)
		}
		text, _ := c.Data.(string)
		if c.What == "connect" && !strings.Contains(text, `data: {"event":"MESSAGE","message":"paid",`) || c.What == "disconnect" && text != "" {
			t.Errorf("%s: %v", c.What, c.Data)
		}
		delete(statuses, c.What)
	}
	if len(statuses) > 0 {
		t.Errorf("not tried: %v", statuses)
	}
}

// Every route and status that the session document lists is in the specification
// that the server shows.
func TestDocuments_sessionRoutesAreSpecified(t *testing.T) {
	t.Parallel()
	s := serve(t)
	status, text := s.ask(http.DefaultClient, "GET", "/openapi.yaml", "", "")
	var spec struct {
		Paths map[string]map[string]struct {
			Responses map[string]any
		}
	}
	if err := yaml.Unmarshal([]byte(text), &spec); status != http.StatusOK || err != nil {
		t.Fatal(status, err)
	}
	for route, statuses := range map[string]string{
		"get /sse/connect/{sessionId}":       "200 401",
		"delete /sse/disconnect/{sessionId}": "200 401 404",
		"get /sse/send":                      "200",
	} {
		method, path, _ := strings.Cut(route, " ")
		for _, status := range strings.Fields(statuses) {
			if _, ok := spec.Paths[path][method].Responses[status]; !ok {
				t.Errorf("%s has no %s", route, status)
			}
		}
	}
}
