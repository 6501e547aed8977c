package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func open(t testing.TB, c agent.Config) agent.Agent {
	t.Helper()
	a, err := agent.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// serve answers every question with h, for as long as the test runs.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// streams is an upstream that sends parts one after the other, each on its own.
func streams(contentType string, parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for _, p := range parts {
			fmt.Fprint(w, p)
			w.(http.Flusher).Flush()
		}
	}
}

// ask returns what an agent says and how that ended.
func ask(t testing.TB, a agent.Agent, q tandem.Question) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var heard transcript
	err := a.Reply(ctx, q, heard.add)
	return heard.String(), err
}

// A transcript is pieces as a line to read: text as it is, all else in brackets.
type transcript struct{ strings.Builder }

func (h *transcript) add(p tandem.Piece) error {
	h.WriteString(p.Text)
	show := func(name string, raw json.RawMessage) {
		if raw != nil {
			fmt.Fprintf(h, "[%s %s]", name, raw)
		}
	}
	show("data", p.Data)
	show("reasoning", p.Reasoning)
	show("tool", p.Tool)
	if p.Sources != "" {
		fmt.Fprintf(h, "[sources %s]", p.Sources)
	}
	if p.Handoff != nil {
		fmt.Fprintf(h, "[handoff %s %s %q]", p.Handoff.To, p.Handoff.Urgency, p.Handoff.Reason)
	}
	if p.Later {
		h.WriteString("[later]")
	}
	return nil
}

func TestNew_readsEveryFormOfURL(t *testing.T) {
	for _, url := range []string{
		"http://127.0.0.1:8000/chat", "https://agents.example.org", "https://name:word@agents.example.org/x?y=z",
		"openai+http://127.0.0.1:11434/v1?model=llama3", "openai+https://llm.example.org/v1/chat/completions?model=m&api-version=1",
		"push", "concierge",
	} {
		if open(t, agent.Config{URL: url}) == nil {
			t.Errorf("%s: no agent", url)
		}
	}
	a, err := agent.New(agent.Config{URL: "none"})
	if a != nil || err != nil {
		t.Errorf("none: %v, %v; want nobody and no error", a, err)
	}
}

func TestNew_saysWhatIsWrong(t *testing.T) {
	const answers = "http(s)://…, openai+http(s)://host/v1?model=M, push, concierge or none"
	short := "whsec_c2hvcnQ="
	for _, c := range []struct {
		config agent.Config
		want   string
	}{
		{agent.Config{}, "url is missing: give " + answers},
		{agent.Config{URL: "localhost:8000/chat"}, "url has no http:// or https:// in front: give " + answers},
		{agent.Config{URL: "concirge"}, "url has no http:// or https:// in front: give " + answers},
		{agent.Config{URL: "ftp://h/x"}, "url cannot begin with ftp://: give " + answers},
		{agent.Config{URL: "openai+ws://h/v1?model=m"}, "url cannot begin with openai+ws://: give " + answers},
		{agent.Config{URL: "http://me:pass%zz@h"}, "url is not a URL: give " + answers},
		{agent.Config{URL: "http:///chat"}, "url names no host"},
		{agent.Config{URL: "openai+https://h/v1"}, "url of an OpenAI-compatible agent must end with ?model=, the model's name"},
		{agent.Config{URL: "http://h", Secret: "not base 64!"}, `secret must be whsec_ followed by base 64; make one with: echo "whsec_$(openssl rand -base64 32)"`},
		{agent.Config{URL: "http://h", Secret: short}, `secret is shorter than 24 bytes; make one with: echo "whsec_$(openssl rand -base64 32)"`},
		{agent.Config{URL: "concierge", FAQ: "testdata/no-such-file.md"}, "faq: open testdata/no-such-file.md: no such file or directory"},
	} {
		c.config.Name = "bot"
		a, err := agent.New(c.config)
		if a != nil || err == nil {
			t.Errorf("%+v: accepted", c.config)
			continue
		}
		if want := `agent "bot": ` + c.want; err.Error() != want {
			t.Errorf("%s:\n got %s\nwant %s", c.config.URL, err, want)
		}
	}
}

func TestConfig_warnsOfWhatIsNotSafe(t *testing.T) {
	for _, c := range []struct {
		config agent.Config
		want   []string
	}{
		{agent.Config{URL: "http://127.0.0.1:8000"}, nil},
		{agent.Config{URL: "http://[::1]:8000"}, nil},
		{agent.Config{URL: "http://LOCALHOST.:8000"}, nil},
		{agent.Config{URL: "http://agent.localhost"}, nil},
		{agent.Config{URL: "https://h", Secret: secret}, nil},
		{agent.Config{URL: "push"}, nil},
		{agent.Config{URL: "https://u:p@h:1/private?k=v"}, []string{"questions to h:1 are not signed, so it cannot tell ours from others'; set secret"}},
		{agent.Config{URL: "http://127.0.0.1.example.org", Secret: secret}, []string{"everything said goes to 127.0.0.1.example.org in the clear; use https"}},
		{agent.Config{URL: "openai+http://h/v1?model=m"}, []string{"everything said goes to h in the clear; use https"}},
		{agent.Config{URL: "openai+https://h/v1?model=m", Secret: secret}, []string{"secret has no effect on an OpenAI-compatible agent; it takes key"}},
	} {
		c.config.Name = "bot"
		got := c.config.Warnings()
		for i := range c.want {
			c.want[i] = `agent "bot": ` + c.want[i]
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: got %q, want %q", c.config.URL, got, c.want)
		}
	}
}

func TestPush_answersLater(t *testing.T) {
	got, err := ask(t, open(t, agent.Config{URL: "push"}), tandem.Question{Message: "hello"})
	if got != "[later]" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
