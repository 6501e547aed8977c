package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The first start of a server without accounts leaves a link that only its user
// can read; it signs the owner in once, who can then make accounts. Each later
// start without one leaves another, and from the first account on none does.
func TestServe_leavesTheOwnersLink(t *testing.T) {
	s := serve(t)
	file := filepath.Join(s.data, "owner-link")
	code := func() string {
		t.Helper()
		s.log.next(t, "the link", func(line string) bool { return strings.Contains(line, "there is no account yet") })
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v %v", info, err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, after, ok := strings.Cut(strings.TrimSuffix(string(text), "\n"), "/console/#in=")
		if !ok || before != "http://"+s.host() || !strings.HasPrefix(after, "ln-") {
			t.Fatalf("the file has %q", text)
		}
		s.secrets = append(s.secrets, after)
		return after
	}
	follow := func(code string) (int, string) {
		t.Helper()
		status, text := s.ask(http.DefaultClient, "POST", "/api/auth/link", "", `{"code":"`+code+`"}`)
		var in struct {
			Token string
			User  struct{ Role string }
		}
		if err := json.Unmarshal([]byte(text), &in); err != nil || status == 200 && in.User.Role != "owner" {
			t.Fatalf("%v %s", err, text)
		}
		return status, in.Token
	}
	first := code()
	s.stop()
	s.again()
	second := code()
	if status, _ := follow(first); status != 401 {
		t.Errorf("the link of the first start: %d", status)
	}
	status, token := follow(second)
	if status != 200 {
		t.Fatalf("the link of the second: %d", status)
	}
	s.secrets = append(s.secrets, token)
	if status, _ := follow(second); status != 401 {
		t.Errorf("a second time: %d", status)
	}
	if status, text := s.ask(http.DefaultClient, "GET", "/api/auth/me", token, ""); status != 200 || !strings.Contains(text, `"id":"owner"`) {
		t.Errorf("%d %s", status, text)
	}
	s.secrets = append(s.secrets, tandem(t, "user", "add", "root", "--role", "owner", "--data", s.data))
	s.stop()
	s.again()
	status, text := s.ask(http.DefaultClient, "POST", "/api/auth/login", "", `{"username":"root","password":"`+s.secrets[len(s.secrets)-1]+`"}`)
	if status != 200 || !strings.Contains(text, `"role":"owner"`) {
		t.Errorf("%d %s", status, text)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file is there: %v", err)
	}
}
