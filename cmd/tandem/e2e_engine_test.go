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

// The lines of "Workflow engines" in docs/agents.md, pasted one after the other:
// the feed tells the question and the handoffs, the participant sees the answers.
// Seen to fail by a line to a path that there is not.
func TestEngines_linesWork(t *testing.T) {
	t.Parallel()
	need(t, "curl", "the client of the documents", "curl")
	text, err := os.ReadFile(filepath.FromSlash("../../docs/agents.md"))
	if err != nil {
		t.Fatal(err)
	}
	part := regexp.MustCompile(`(?s)\n## Workflow engines\n(.*?)\n## `).FindSubmatch(text)
	if part == nil {
		t.Fatal("docs/agents.md says nothing of workflow engines")
	}
	s := serve(t, "--agent", "push", "--tenant", "default")
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("fail-with-body\nsilent\nshow-error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := tandem(t, "key", "create", "--data", s.data, "--tenant", "default", "--role", "agent")
	s.secrets = append(s.secrets, key)
	env := append(os.Environ(), "CURL_HOME="+home, "KEY="+key)
	blocks := regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllSubmatch(part[1], -1)
	if len(blocks) < 7 {
		t.Fatalf("only %d lines were found", len(blocks))
	}
	sh := func(i int) *exec.Cmd {
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(string(blocks[i][1]), "http://localhost:8080", "http://"+s.host()))
		cmd.Env = env
		return cmd
	}
	feed, _ := run(t, sh(0))
	feed.next(t, "connected", is("event: connected"))
	for i := 1; i < len(blocks); i++ {
		if out, err := sh(i).Output(); err != nil || !strings.HasPrefix(string(out), `"thread_`) {
			t.Errorf("%s: %v\n%s%s", blocks[i][1], err, said(err), out)
		}
	}
	feed.next(t, "the question", func(line string) bool {
		return strings.Contains(line, `"requestId":"q-1"`) && strings.Contains(line, `"controlEpoch":0`)
	})
	feed.next(t, "the handoff", is("event: Handoff"))

	status, body := s.ask(http.DefaultClient, "GET", "http://"+s.host()+"/api/user/rest/history?workflow=orders&participantId=user-123", key, "")
	var got []struct{ Text string }
	if err := json.Unmarshal([]byte(body), &got); status != http.StatusOK || err != nil {
		t.Fatal(status, err, body)
	}
	var texts []string
	for _, m := range got {
		texts = append([]string{m.Text}, texts...)
	}
	want := "Where is my order|It was shipped today.|It is on its way.|Over to billing|Your refund is on its way.|Back to orders"
	if all := strings.Join(texts, "|"); all != want {
		t.Errorf("the participant has\n%s\nwant\n%s", all, want)
	}
}
