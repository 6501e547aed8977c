package api_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// transcript records requests and the exact bytes of what came back.
type transcript struct {
	s     *site
	text  strings.Builder
	names map[string]string // what is random, by what stands for it
}

// random finds what differs from run to run: ids, cursors' tags, credentials.
var random = regexp.MustCompile(`\b(?:msg|conv|req|call|worker|key|aud|evt)_[0-9A-Z]{26}\b|\b[a-z2-9]{4}(?:-[a-z2-9]{4}){3}\b|\btk-[\w-]{43}|\b(?:sk|ln)-[\w-]{43}|\beyJ[\w-]+\.[\w-]+\.[\w-]+|\b(\d+)-[a-z2-7]{8}\b`)

func newTranscript(s *site) *transcript {
	return &transcript{s: s, names: map[string]string{}}
}

func (tr *transcript) steady(text string) string {
	return random.ReplaceAllStringFunc(text, func(found string) string {
		if tr.names[found] == "" {
			kind := found[:strings.IndexAny(found, "-_.")]
			switch {
			case strings.HasPrefix(found, "eyJ"):
				kind = "eyJ"
			case strings.Count(found, "-") == 3 && len(found) == 19:
				kind = "password"
			case kind[0] >= '0' && kind[0] <= '9':
				tr.names[found] = kind + "-cursorid"
				return tr.names[found]
			}
			n := 1
			for _, name := range tr.names {
				if strings.HasPrefix(name, kind+"_") {
					n++
				}
			}
			tr.names[found] = fmt.Sprintf("%s_%d", kind, n)
		}
		return tr.names[found]
	})
}

// ask sends a request and records it. header is names and values in turn.
func (tr *transcript) ask(name, method, path, key, body string, header ...string) (*http.Response, string) {
	tr.s.t.Helper()
	r := tr.s.request(method, path, key, body)
	fmt.Fprintf(&tr.text, "# %s\n%s %s\n", name, method, path)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		fmt.Fprintf(&tr.text, "%s: %s\n", header[i], header[i+1])
	}
	if len(body) > 200 {
		body = body[:20] + "…"
	}
	if body != "" {
		fmt.Fprintf(&tr.text, "%s\n", body)
	}
	res, answer := tr.s.do(r)
	fmt.Fprintf(&tr.text, "-> %d\n", res.StatusCode)
	for _, h := range slices.Sorted(headers(res.Header)) {
		fmt.Fprintf(&tr.text, "%s\n", h)
	}
	fmt.Fprintf(&tr.text, "%s\n\n", strings.TrimSuffix(answer, "\n"))
	return res, answer
}

// headers are those that a client may look at: not those of each answer, which
// TestHeaders_ofEachAnswer holds.
func headers(h http.Header) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name, values := range h {
			switch name {
			case "Date", "Content-Length", "X-Request-Id", "X-Content-Type-Options", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers":
				continue
			}
			if !yield(name + ": " + strings.Join(values, ", ")) {
				return
			}
		}
	}
}

// golden compares with a recorded file; TANDEM_UPDATE=1 writes it.
func (tr *transcript) golden(name string) {
	t := tr.s.t
	t.Helper()
	got := tr.steady(tr.text.String())
	file := filepath.Join("testdata", name)
	if os.Getenv("TANDEM_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("not as in %s (TANDEM_UPDATE=1 writes it; - want + got):\n%s", file, diff)
	}
}

// noon is the time in transcripts.
var noon = time.Date(2025, 9, 12, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

// Sending, reading back and pushing, to the byte. Seen to fail by answering with
// an object in the place of the bare thread id.
func TestTranscript_sendAndPush(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	agent, ann := s.Key(tandem.Agent), s.key("ann")
	tr := newTranscript(s)
	send, history := "/api/user/rest/send?", "/api/user/rest/history?"+annsThread
	tr.ask("a participant says something", "POST", send+annsThread+"&type=Chat&text=Hello", ann, "")
	tr.ask("in other words: any case, the workflow's id, with data, told apart by a key", "POST",
		send+"workflow=default:support&participantId=Ann&type=DATA&requestId=r-1&scope=orders&hint=cart&tenantId=default", ann, ` { "items" : [1, 2] } `, "Idempotency-Key", "k-1")
	tr.ask("the same again is answered like the first", "POST",
		send+"workflow=default:support&participantId=Ann&type=DATA&requestId=r-1&scope=orders&hint=cart&tenantId=default", ann, ` { "items" : [1, 2] } `, "Idempotency-Key", "k-1")
	tr.ask("the same key for something else", "POST", send+annsThread+"&type=Chat&text=Other", ann, "", "Idempotency-Key", "k-1")

	push := "/api/agent/conversation/outbound/"
	to := `"workflowType":"support","participantId":"ann"`
	tr.ask("an agent's chat", "POST", push+"chat", agent, `{`+to+`,"text":"Hi <Ann>","requestId":"r-2"}`)
	tr.ask("data", "POST", push+"data", agent, `{"workflowId":"default:support","participantId":"ANN","data":{"status":"processed"},"scope":"orders"}`)
	tr.ask("reasoning", "POST", push+"reasoning", agent, `{`+to+`,"text":"thinking"}`)
	tr.ask("a tool", "POST", push+"tool", agent, `{"workflow":"support","participantId":"ann","data":{"name":"lookup"},"text":null,"scope":null,"hint":null,"requestId":null}`)
	tr.ask("a file", "POST", push+"file", agent, `{`+to+`,"text":"Your receipt","data":{"url":"/r.pdf","name":"r.pdf","mime":"application/pdf","size":12}}`)
	tr.ask("a handoff to another workflow", "POST", push+"handoff", agent, `{`+to+`,"targetWorkflowType":"billing","text":"Transferring to specialist","fromAgent":"ai-bot","toAgent":"specialist","reason":"a bill"}`)
	tr.ask("a handoff to a person, as the document's example has its data", "POST", push+"handoff", agent, `{`+to+`,"to":"person","text":"Transferring","data":{"fromAgent":"ai-bot","toAgent":"human-agent","reason":"escalation"},"urgency":"urgent"}`)
	_, page := tr.ask("what there is, newest first", "GET", history, ann, "")
	tr.ask("page by page", "GET", history+"&page=2&pageSize=2", ann, "")
	tr.ask("of one scope; handoffs are of all", "GET", history+"&scope=orders", ann, "")
	tr.ask("after a message, oldest first", "GET", history+"&pageSize=1&after="+regexp.MustCompile(`"id":"(msg_[^"]+)","[^}]*"text":"Hi`).FindStringSubmatch(page)[1], ann, "")
	tr.ask("on the other workflow", "GET", "/api/user/rest/history?workflow=billing&participantId=ann", agent, "")
	tr.ask("an empty thread", "GET", "/api/user/rest/history?workflow=support&participantId=bob", agent, "")
	tr.golden("participant_send.txt")
}

// Every error body of these faces, to the byte. Seen to fail by giving a 400 two
// fields, and by leaving WWW-Authenticate out.
func TestTranscript_errors(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	agent, ann, bob := s.Key(tandem.Agent), s.key("ann"), s.key("bob")
	operator := s.Key(tandem.Operator)
	tr := newTranscript(s)
	events, send, converse, history := "/api/user/sse/events?", "/api/user/rest/send?", "/api/user/rest/converse?", "/api/user/rest/history?"

	tr.ask("no workflow", "GET", events+"participantId=ann", ann, "")
	tr.ask("an empty participant", "GET", events+"workflow=support&participantId=", ann, "")
	tr.ask("heartbeatSeconds is no number", "GET", events+annsThread+"&heartbeatSeconds=often", ann, "")
	tr.ask("no credential", "GET", events+annsThread, "", "")
	tr.ask("a bad credential", "GET", events+annsThread, "sk-nonsense", "")
	tr.ask("somebody else's thread", "GET", events+annsThread, bob, "")
	tr.ask("another tenant", "GET", events+annsThread+"&tenantId=acme", ann, "")
	tr.ask("a reserved workflow", "GET", events+"workflow=$sessions&participantId=ann", ann, "")

	tr.ask("send: no workflow", "POST", send+"type=Chat&participantId=ann&text=x", ann, "")
	tr.ask("send: no type", "POST", send+annsThread, ann, "")
	tr.ask("send: a type of another direction", "POST", send+annsThread+"&type=Handoff", ann, "")
	tr.ask("send: no participant", "POST", send+"workflow=support&type=Chat&text=x", ann, "")
	tr.ask("send: nothing to say", "POST", send+annsThread+"&type=Chat&text=%20", ann, "")
	tr.ask("send: not JSON", "POST", send+annsThread+"&type=Data", ann, "{")
	tr.ask("send: a body too large", "POST", send+annsThread+"&type=Data", ann, `"`+strings.Repeat("x", 1<<20)+`"`)
	tr.ask("converse: too long a wait", "POST", converse+annsThread+"&type=Chat&text=x&timeoutSeconds=601", ann, "")
	tr.ask("converse: nobody answers", "POST", converse+annsThread+"&type=Chat&text=x&timeoutSeconds=1", ann, "")
	tr.ask("history: no participant", "GET", history+"workflow=support", ann, "")
	tr.ask("history: after what is not there", "GET", history+annsThread+"&after=msg_nothing", ann, "")

	push := "/api/agent/conversation/outbound/"
	tr.ask("push: by a participant", "POST", push+"chat", ann, `{"workflow":"support","participantId":"ann","text":"x"}`)
	tr.ask("push: no workflow", "POST", push+"chat", agent, `{"participantId":"ann","text":"x"}`)
	tr.ask("push: no text", "POST", push+"chat", agent, `{"workflow":"support","participantId":"ann"}`)
	tr.ask("push: a wrong type", "POST", push+"chat", agent, `{"workflow":"support","participantId":7}`)
	tr.ask("push: not an object", "POST", push+"chat", agent, `[]`)
	tr.ask("push: a text too long", "POST", push+"chat", agent, `{"workflow":"support","participantId":"ann","text":"`+strings.Repeat("x", 256<<10+1)+`"}`)
	tr.ask("file: no url", "POST", push+"file", agent, `{"workflow":"support","participantId":"ann","data":{"name":"r.pdf"}}`)
	tr.ask("handoff: no target", "POST", push+"handoff", agent, `{"workflow":"support","participantId":"ann"}`)
	tr.ask("handoff: a malformed target", "POST", push+"handoff", agent, `{"workflow":"support","participantId":"ann","targetWorkflowType":"a\nb"}`)

	tr.ask("ticket: for nothing that there is", "POST", "/api/auth/tickets", ann, `{"for":"everything"}`)
	tr.ask("refresh: not a token of this server", "POST", "/api/auth/refresh", ann, "")
	tr.ask("conversations: no credential", "GET", "/api/conversations", "", "")
	tr.ask("conversations: a participant", "GET", "/api/conversations", ann, "")
	tr.ask("conversations: a status that there is not", "GET", "/api/conversations?status=gone", operator, "")
	tr.ask("metrics through a proxy", "GET", "/metrics", "", "", "X-Forwarded-For", "203.0.113.1")
	tr.ask("nothing is here", "GET", "/api/user/rest/nothing", ann, "")
	tr.ask("nothing is here either", "GET", "/api/conversation/", ann, "")
	tr.ask("a method that is not there", "GET", "/api/user/rest/send", ann, "")
	tr.ask("nor here", "DELETE", "/api/conversations", ann, "")

	s.API.Stop()
	tr.ask("the server stops", "POST", send+annsThread+"&type=Chat&text=x", ann, "")
	tr.ask("so no stream begins", "GET", events+annsThread, ann, "")
	tr.ask("and no list", "GET", "/api/conversations", operator, "")
	tr.ask("it is not ready", "GET", "/readyz", "", "")
	tr.ask("but lives", "GET", "/healthz", "", "")
	tr.golden("errors.txt")
}

// Credentials and the list of conversations, to the byte.
func TestTranscript_ticketsAndLists(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	tr := newTranscript(s)
	token := s.Mint(auth.MintRequest{Tenant: "default", Subject: "Ann", Name: "Ann", Role: tandem.Participant, TTL: time.Hour})
	operator := s.Key(tandem.Operator)
	tr.ask("a ticket", "POST", "/api/auth/tickets", token, `{"for":"stream"}`)
	tr.ask("another", "POST", "/api/auth/tickets", token, `{"for":"socket"}`)
	tr.ask("a token that ends later", "POST", "/api/auth/refresh", token, "")
	tr.ask("no conversations", "GET", "/api/conversations", operator, "")
	tr.ask("she writes", "POST", "/api/user/rest/send?"+annsThread+"&type=Chat&text=help", token, "")
	tr.ask("she asks for a person", "POST", "/api/agent/conversation/outbound/handoff", s.Key(tandem.Agent),
		`{"workflow":"support","participantId":"ann","to":"person","reason":"angry","urgency":"CRITICAL"}`)
	tr.ask("one", "GET", "/api/conversations?status=active&mode=Waiting&urgency=critical&workflow=support&limit=1", operator, "")
	tr.ask("none of that kind", "GET", "/api/conversations?workflow=other", operator, "")
	tr.ask("ready", "GET", "/readyz", "", "")
	tr.golden("conversations.txt")
}
