package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The lines of docs/operators.md, pasted one after the other into a shell, against
// the demo, as the page says. Seen to fail by a line without the conversation's id.
func TestOperators_linesWork(t *testing.T) {
	t.Parallel()
	need(t, "curl", "the client of the documents", "curl")
	text, err := os.ReadFile(filepath.FromSlash("../../docs/operators.md"))
	if err != nil {
		t.Fatal(err)
	}
	d := startDemo(t)
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("fail-with-body\nsilent\nshow-error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "CURL_HOME="+home, "PASSWORD="+section(d.page, `maya / (\S+) `), "SUPERVISOR="+d.signIn("lee"),
		"DRAFT=draft-1", "OTHER_DRAFT=draft-2")
	lines := 0
	for i, block := range regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllSubmatch(text, -1) {
		script := strings.ReplaceAll(string(block[1]), "http://localhost:8080", d.api)
		if i == 0 {
			set := exec.Command("sh", "-c", "set -ae\n"+script+"env")
			set.Env = env
			now, err := set.Output()
			if err != nil {
				t.Fatalf("%s: %v %s", script, err, said(err))
			}
			env = strings.Split(strings.TrimSpace(string(now)), "\n")
			continue
		}
		if strings.Contains(script, "$DRAFT/send") { // the agent speaks meanwhile
			var done struct{ Success bool }
			d.post(documentConversation+"/messages", d.key, `{"messages":[{"message_id":"draft-1","content":"Hold the line."},{"message_id":"draft-2","content":"Bye."}]}`, &done)
		}
		for line := range strings.Lines(script) {
			lines++
			cmd := exec.Command("sh", "-c", line)
			cmd.Env = env
			if strings.Contains(line, " -N ") {
				log, _ := run(t, cmd)
				log.next(t, "an event", func(line string) bool { return line == "event: initial" })
				_ = cmd.Process.Kill()
				continue
			}
			if out, err := cmd.Output(); err != nil {
				t.Errorf("%s: %v\n%s%s", line, err, said(err), out)
			}
		}
	}
	if lines < 15 {
		t.Errorf("only %d lines were found", lines)
	}

	s := &server{t: t}
	status, body := s.ask(http.DefaultClient, "GET", d.api+documentConversation, d.signIn("root"), "")
	var got struct {
		Conversation struct {
			Status   string
			Messages []struct{ Content, Role string }
			Notes    []struct{ Content string }
		}
	}
	if err := json.Unmarshal([]byte(body), &got); status != http.StatusOK || err != nil {
		t.Fatal(status, err)
	}
	c := got.Conversation
	if c.Status != "ENDED" || len(c.Messages) != 4 || c.Messages[3].Content != "Please stay with me." || c.Messages[3].Role != "operator" || len(c.Notes) != 2 {
		t.Errorf("in the end: %s", body)
	}
}
