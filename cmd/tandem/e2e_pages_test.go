package main_test

import (
	"html"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each curl line of the page that the server shows at /, and of examples/curl,
// works as it stands, with what the page says before it. Seen to fail by a line
// with a token that may not do what it asks.
func TestPages_curlLinesWork(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short is for what is quick; this waits for many answers")
	}
	need(t, "curl", "the client of the documents", "curl")
	s := serve(t, "--agent", "concierge")
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("fail-with-body\nsilent\nshow-error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "CURL_HOME="+home, "TANDEM_DATA="+s.data)

	_, page := s.ask(http.DefaultClient, "GET", "/", "", "")
	var blocks []string
	for _, code := range regexp.MustCompile(`(?s)<pre[^>]*><code>(.*?)</code></pre>`).FindAllStringSubmatch(page, -1) {
		blocks = append(blocks, strings.ReplaceAll(html.UnescapeString(code[1]), "localhost:8080", s.host()))
	}
	if len(blocks) == 0 || !strings.HasPrefix(blocks[0], "URL=") {
		t.Fatalf("the page begins with %q", blocks)
	}
	set := exec.Command("sh", "-c", "set -ae\n"+blocks[0]+"\nenv")
	set.Env = env
	now, err := set.Output()
	if err != nil {
		t.Fatalf("%s: %v %s", blocks[0], err, said(err))
	}
	env = append(strings.Split(strings.TrimSpace(string(now)), "\n"), "HOST=http://"+s.host())
	curlLines(t, env, 14, blocks[1:])

	readme, err := os.ReadFile(filepath.FromSlash("../../examples/curl/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks = nil
	for _, block := range regexp.MustCompile(`(?m)^    curl(?:.*\\\n)*.*$`).FindAllString(string(readme), -1) {
		blocks = append(blocks, strings.TrimSpace(block))
	}
	env = append(env,
		"KEY="+tandem(t, "key", "create", "--data", s.data, "--tenant", "default", "--role", "agent"),
		"TOKEN="+tandem(t, "token", "--data", s.data, "--tenant", "default", "--role", "participant", "--subject", participant, "--workflow", workflow),
		"OPERATOR="+tandem(t, "token", "--data", s.data, "--tenant", "default", "--role", "operator", "--subject", "maya", "--name", "Maya"))
	curlLines(t, env, 24, blocks)
}

// curlLines runs those of the blocks that are curl lines, at least as many as there
// are to be.
func curlLines(t *testing.T, env []string, least int, blocks []string) {
	t.Helper()
	for _, block := range blocks {
		if !strings.HasPrefix(block, "curl ") {
			continue
		}
		least--
		cmd := exec.Command("sh", "-c", block)
		cmd.Env = env
		if !strings.Contains(block, " -N ") {
			if out, err := cmd.Output(); err != nil {
				t.Errorf("%s: %v\n%s%s", block, err, said(err), out)
			}
			continue
		}
		log, _ := run(t, cmd)
		log.next(t, "the beginning", func(line string) bool {
			return strings.HasPrefix(line, "event: ") && line != "event: error" || strings.HasPrefix(line, "id: ")
		})
		_ = cmd.Process.Kill()
	}
	if least > 0 {
		t.Errorf("%d lines fewer than expected", least)
	}
}

// The agent that docs/agents.md shows first, as it stands.
func TestPages_shortestAgent(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.FromSlash("../../docs/agents.md"))
	if err != nil {
		t.Fatal(err)
	}
	app := regexp.MustCompile("(?s)```python\n(# pip install.*?)```").FindSubmatch(text)
	if app == nil {
		t.Fatal("docs/agents.md does not begin with an agent")
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "app.py"), app[1], 0o600); err != nil {
		t.Fatal(err)
	}
	_, agent := uvicorn(t, folder, "0")
	s := serve(t, "--agent", agent+"/chat")
	c := open(t, "ws://"+s.host()+"?token="+s.token(participant), http.DefaultClient)
	c.send(map[string]any{"type": "chat", "content": "where is my parcel?"})
	if a := c.answer(nil); a.text != "You said: where is my parcel? " || a.finish != "stop" {
		t.Errorf("%+v", a)
	}
}
