package api_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// operator is a token of somebody who answers.
func (s *site) operator(subject, name string, role tandem.PrincipalRole) string {
	s.t.Helper()
	return s.Mint(auth.MintRequest{Tenant: "default", Subject: subject, Name: name, Role: role, TTL: time.Hour})
}

// must asks and fails the test unless the status is as wanted.
func (s *site) must(status int, method, path, key, body string) string {
	s.t.Helper()
	res, answer := s.ask(method, path, key, body)
	if res.StatusCode != status {
		s.t.Fatalf("%s %s: %d, want %d: %s", method, path, res.StatusCode, status, answer)
	}
	return answer
}

// The document's call, as its gateway brings it.
const (
	documentID   = "conv_919325590143_20251003_115804"
	documentPath = "/api/conversation/" + documentID
	documentOpen = `{"workflow":"emergency","mobile_no":"+919325590143","urgency":"CRITICAL","medium":"Voice","timestamp":"2025-10-03T11:58:04+05:30"}`
	documentPair = `{"messages":[
		{"role":"user","content":"My friend is falling from a floor, what should I do?","timestamp":"2025-10-03T11:58:04+05:30"},
		{"role":"assistant","content":"Call for help now. Try to break their fall if safe. Clear the area.","timestamp":"2025-10-03T11:58:04+05:30","sources":"Emergency Procedures Manual, OSHA Safety Standards"}]}`
	documentNext = `{"messages":[
		{"role":"user","content":"No, please be more clear.","timestamp":"2025-10-03T11:58:18+05:30"},
		{"role":"assistant","content":"Call emergency services immediately...","timestamp":"2025-10-03T11:58:18+05:30","sources":"OSHA Safety Standards, Emergency Procedures Manual"}]}`
)

// document is one of the published document's examples, without its white space.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/conversation_document.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "# "+name+"\n")
	after, _, _ = strings.Cut(after, "\n# ")
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(after)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The document's own data goes in over HTTP, ids and all are made as it has them,
// and its own JSON comes out: of the snapshot and of each event of the stream.
// Seen to fail by a counter that begins at 2, by times in UTC, by a message's
// medium in new_messages.
func TestConversation_isTheDocumentsOwnExample(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, admin := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator)
	s.must(201, "POST", "/api/conversations", gateway, documentOpen)
	one := `{"messages":[` + strings.SplitN(strings.SplitN(documentPair, "[", 2)[1], "\n\t\t{\"role\":\"assistant\"", 2)[0]
	s.must(201, "POST", documentPath+"/messages", gateway, strings.TrimSuffix(one, ",")+"]}")
	l := s.stream(documentPath+"/stream", admin)
	hold := func(name string, b block) {
		t.Helper()
		want := document(t, name)
		if diff := cmp.Diff(want, `{"event":"`+b.event+`","data":`+b.data+`}`); diff != "" {
			t.Errorf("%s (- document + ours)\n%s", name, diff)
		}
		if b.id == "" {
			t.Errorf("%s has no id", name)
		}
	}
	if b, _ := l.next(); b.retry == "" || b.event != "" {
		t.Errorf("the stream begins with %+v, want retry alone", b)
	}
	hold("initial", l.only("initial"))
	answer := strings.SplitN(documentPair, "timestamp\":\"2025-10-03T11:58:04+05:30\"},", 2)[1]
	s.must(201, "POST", documentPath+"/messages", gateway, `{"messages":[`+answer)
	l.only("new_messages")
	if got := s.must(200, "GET", documentPath, admin, ""); got != document(t, "snapshot") {
		t.Errorf("the snapshot (- document + ours)\n%s", cmp.Diff(document(t, "snapshot"), got))
	}
	s.must(201, "POST", documentPath+"/messages", gateway, documentNext)
	hold("new_messages", l.only("new_messages"))
	s.must(200, "POST", documentPath+"/end", gateway, "")
	hold("ended", l.only("ended"))
	if b, ok := l.next(); ok {
		t.Errorf("after ended comes %+v", b)
	}
}

// only reads up to the next block of this event. What old clients do not know may
// come before it.
func (l *listener) only(event string) block {
	l.s.t.Helper()
	for {
		b, ok := l.next()
		switch {
		case !ok:
			l.s.t.Fatalf("the stream ended before %q; it was\n%s", event, l.all.String())
		case b.event == event:
			return b
		case b.event == "initial" || b.event == "new_messages" || b.event == "ended" || b.event == "error":
			l.s.t.Fatalf("got %+v, want %q", b, event)
		}
	}
}

// A repeat with the same Idempotency-Key is answered like the first and stored
// once, all of it; with other words it is refused. Seen to fail by not passing the
// key on.
func TestConversation_repeatsAreHarmless(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway := s.Key(tandem.Agent)
	one := s.opened(gateway)
	say := func(body, key string) (int, string) {
		r := s.request("POST", one+"/messages", gateway, body)
		r.Header.Set("Idempotency-Key", key)
		res, answer := s.do(r)
		return res.StatusCode, answer
	}
	const both = `{"messages":[{"role":"user","content":"a"},{"content":"b"}]}`
	status, first := say(both, "k-1")
	if again, answer := say(both, "k-1"); status != 201 || again != 201 || answer != first {
		t.Errorf("%d %s\nthen %d %s", status, first, again, answer)
	}
	if status, answer := say(`{"messages":[{"role":"user","content":"a"},{"content":"c"}]}`, "k-1"); status != 422 {
		t.Errorf("%d %s", status, answer)
	}
	if status, _ := say(both, "k-2"); status != 201 {
		t.Errorf("another key: %d", status)
	}
	if got := s.must(200, "GET", one, gateway, ""); !strings.Contains(got, `"total_messages":4`) {
		t.Errorf("stored: %s", got)
	}
}
