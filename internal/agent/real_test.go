package agent_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
)

// start runs a server that says its address in a line that matches says, and
// returns the address. The test's end ends it.
func start(t *testing.T, says string, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(says)
	found := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var log bytes.Buffer
		lines := bufio.NewScanner(io.TeeReader(out, &log))
		for lines.Scan() {
			if m := address.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, log.String())
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		<-ended
		kill.Stop()
		_ = cmd.Wait()
	})
	select {
	case url := <-found:
		return url
	case <-ended:
		t.Fatalf("%s ended before it listened", cmd.Path)
	case <-time.After(60 * time.Second):
		t.Fatalf("%s does not listen", cmd.Path)
	}
	return ""
}

// uvicorn serves dir/app.py with Debian's Python, FastAPI and uvicorn.
func uvicorn(t *testing.T, dir string, env ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short needs only Go; this starts uvicorn")
	}
	const python = "/usr/bin/python3"
	if exec.Command(python, "-c", "import fastapi, uvicorn").Run() != nil {
		t.Skip("needs Debian's python3-fastapi and python3-uvicorn: apt-get install python3-fastapi python3-uvicorn")
	}
	cmd := exec.Command(python, "-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", "0")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1")
	cmd.Env = append(cmd.Env, env...)
	return start(t, `running on (http://\S+)`, cmd)
}

func TestFastAPI_example(t *testing.T) {
	url := uvicorn(t, "../../examples/fastapi", "SECRET="+secret)
	a := open(t, agent.Config{URL: url + "/chat", Secret: secret})
	var tokens int
	var heard transcript
	err := a.Reply(t.Context(), question(), func(p tandem.Piece) error {
		tokens++
		return heard.add(p)
	})
	const want = "Hello Ann. You wrote: Where is my parcel? (after 1 earlier messages) [sources examples/fastapi/app.py]"
	if err != nil || heard.String() != want {
		t.Errorf("got  %s, %v\nwant %s", heard.String(), err, want)
	}
	if tokens < 10 {
		t.Errorf("the answer came in %d pieces, not token by token", tokens)
	}

	q := question()
	q.Message = `I want a PERSON, "now"`
	if got, err := ask(t, a, q); err != nil || got != `I am asking a colleague to join us.[handoff person NORMAL "I want a PERSON, \"now\""]` {
		t.Errorf("got %s, %v", got, err)
	}

	other := "whsec_" + strings.Repeat("A", 40)
	for name, c := range map[string]agent.Config{
		"unsigned":           {URL: url + "/chat"},
		"another's secret":   {URL: url + "/chat", Secret: other},
		"signed an hour ago": {URL: url + "/chat", Secret: secret, Clock: func() time.Time { return time.Now().Add(-time.Hour) }},
	} {
		got, err := ask(t, open(t, c), question())
		if got != "" || tandem.KindOf(err) != tandem.Invalid || !strings.Contains(err.Error(), "status 401") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestFastAPI_everyForm(t *testing.T) {
	url := uvicorn(t, "testdata/forms")
	for path, want := range map[string]string{
		"/tokens":  "Hello world. {}",
		"/tokens/": "Hello world. {}", // FastAPI redirects
		"/lines":   "Where is my parcel?[sources A]",
		"/text":    "café 😀",
		"/whole":   `Where is my parcel?[handoff person CRITICAL "r"]`,
		"/string":  "just a string",
		"/page":    "all at once",
		"/later":   "[later]",
		"/silent":  "",
	} {
		if got, err := ask(t, open(t, agent.Config{URL: url + path}), question()); got != want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", path, got, err, want)
		}
	}
	for path, want := range map[string]struct {
		said  string
		kind  tandem.ErrorKind
		cause string
	}{
		"/dies":   {"one", tandem.Unavailable, "the agent's answer was cut off: unexpected EOF"},
		"/fails":  {"", tandem.Unavailable, "the agent cannot answer now: status 500"},
		"/other":  {"", tandem.Invalid, "the agent refused the question: status 422: body.text value_error.missing"},
		"/nobody": {"", tandem.Invalid, "the agent refused the question: status 404"},
	} {
		got, err := ask(t, open(t, agent.Config{URL: url + path}), question())
		if got != want.said || tandem.KindOf(err) != want.kind || err.Error() != want.cause {
			t.Errorf("%s: got %q, %v; want %+v", path, got, err, want)
		}
	}
}

// A user who cancels, or a person who takes over, must stop the upstream too: it
// costs money for as long as it writes.
func TestFastAPI_stopsWhenTheAnswerIsCut(t *testing.T) {
	url := uvicorn(t, "testdata/forms")
	cut := errors.New("cut")
	n := 0
	err := open(t, agent.Config{URL: url + "/forever"}).Reply(t.Context(), question(), func(tandem.Piece) error {
		if n++; n == 5 {
			return cut
		}
		return nil
	})
	if err != cut {
		t.Fatalf("got %v", err)
	}
	running := open(t, agent.Config{URL: url + "/running"})
	deadline := time.Now().Add(10 * time.Second)
	for {
		got, err := ask(t, running, question())
		if err != nil {
			t.Fatal(err)
		}
		if got == "0" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s answers are still being written", got)
		}
	}
}

// aimock serves the OpenAI API (npm @copilotkit/aimock) and returns its base URL.
func aimock(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short needs only Go; this starts a server in node")
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s, for the npm package @copilotkit/aimock: apt-get install nodejs npm", tool)
		}
	}
	root := install(t, "testdata/aimock/package.json")
	return start(t, `listening on (http://\S+)`, exec.Command("node", filepath.Join(root, "node_modules/@copilotkit/aimock/dist/cli.js"),
		"--port", "0", "--fixtures", "testdata/aimock/fixtures.json", "--chunk-size", "5", "--latency", "5"))
}

// install puts what a package.json names into the user's cache, once, and
// returns the folder.
func install(t *testing.T, manifest string) string {
	t.Helper()
	want, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil { // no HOME
		cache = os.TempDir()
	}
	root := filepath.Join(cache, "tandem-test", "aimock")
	if have, err := os.ReadFile(filepath.Join(root, "package.json")); err == nil && bytes.Equal(have, want) {
		return root
	}
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(root), "installing-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	if err := os.WriteFile(filepath.Join(fresh, "package.json"), want, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
	npm.Dir = fresh
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	// Whole or not at all, also for a test run at the same time.
	_ = os.RemoveAll(root)
	if err := os.Rename(fresh, root); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	return root
}

func TestOpenAI_withAServerNobodyHereWrote(t *testing.T) {
	base := "openai+" + aimock(t) + "/v1?model=some-model"
	for _, c := range []struct {
		message, want string
		kind          tandem.ErrorKind
		fails         string
	}{
		{"hello", `[reasoning "The user greets me."]Hello, said the model, in several tokens — très bien.`, 0, ""},
		{"I want a refund", `One moment, please.[handoff person URGENT "wants a refund for order 7"]`, 0, ""},
		{"call first", `And then text.[handoff person NORMAL "tool first"]`, 0, ""},
		{"weather", "Let me look.", 0, ""},
		{"who was here", "It read the system prompt.", 0, ""},
		{"cut", "This ", tandem.Unavailable, "the agent's answer was cut off"},
		{"busy", "", tandem.Unavailable, "the agent cannot answer now: status 429: rate_limit_error"},
		{"no fixture", "", tandem.Invalid, "the agent refused the question: status 404: invalid_request_error no_fixture_match"},
		{"drop", "", tandem.Unavailable, "the agent cannot answer now: status 500"},
		{"garble", "", tandem.Invalid, "the agent's answer cannot be read"},
		{"hang up", "", tandem.Unavailable, "the agent cannot be reached"},
	} {
		a := open(t, agent.Config{URL: base, Key: "sk-x", System: "Be kind.", HandoffTool: true})
		got, err := ask(t, a, tandem.Question{MessageID: "m", Mode: tandem.ModeAgent, Message: c.message})
		if c.fails == "" {
			if got != c.want || err != nil {
				t.Errorf("%s: got %s, %v; want %s", c.message, got, err, c.want)
			}
			continue
		}
		if !strings.HasPrefix(got, c.want) || err == nil || tandem.KindOf(err) != c.kind || !strings.HasPrefix(err.Error(), c.fails) {
			t.Errorf("%s: got %q, %v; want %q, %s", c.message, got, err, c.want, c.fails)
		}
	}
	// Without the function the model has to answer by itself.
	a := open(t, agent.Config{URL: base})
	if got, err := ask(t, a, tandem.Question{Message: "I want a refund"}); got != "Nobody is here but me." || err != nil {
		t.Errorf("without the tool: got %s, %v", got, err)
	}
}
