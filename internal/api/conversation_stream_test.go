package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// contents are the texts of the messages in an event, and the count it states.
func contents(t *testing.T, b block) (texts string, total int) {
	t.Helper()
	var d struct {
		Messages []struct{ Content string }
		Total    int `json:"total_messages"`
	}
	if err := json.Unmarshal([]byte(b.data), &d); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range d.Messages {
		all = append(all, m.Content)
	}
	return strings.Join(all, "|"), d.Total
}

// opened opens a call of Ann's and returns its path.
func (s *site) opened(gateway string) string {
	s.t.Helper()
	s.must(201, "POST", "/api/conversations", gateway, `{"workflow":"support","participant_id":"ann","conversation_id":"case-1","medium":"Voice"}`)
	return "/api/conversation/case-1"
}

func (s *site) says(key, path string, texts ...string) {
	s.t.Helper()
	var in struct {
		Messages []map[string]any `json:"messages"`
	}
	for _, text := range texts {
		in.Messages = append(in.Messages, map[string]any{"role": "user", "content": text})
	}
	b, _ := json.Marshal(in)
	s.must(201, "POST", path+"/messages", key, string(b))
}

// holds fails the test unless the next event of the documented ones is this one.
func (l *listener) holds(event, texts string, total int) block {
	l.s.t.Helper()
	b := l.only(event)
	if got, n := contents(l.s.t.(*testing.T), b); got != texts || n != total {
		l.s.t.Errorf("%s has %q of %d, want %q of %d", event, got, n, texts, total)
	}
	return b
}

// over fails the test unless the stream ends now.
func (l *listener) over() {
	l.s.t.Helper()
	if b, ok := l.next(); ok {
		l.s.t.Errorf("then comes %+v", b)
	}
}

// Whatever came while a watcher was away comes as new_messages, with the right
// count, and no second initial. After the end a stream tells it, once. Seen to
// fail by counting from 0 on a resume, by an initial on every connection, by 200
// after the end.
func TestConversationStream_resumes(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, maya := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator)
	one := s.opened(gateway)
	s.says(gateway, one, "a", "b")
	l := s.stream(one+"/stream", maya)
	initial := l.holds("initial", "a|b", 2)
	s.says(gateway, one, "c")
	third := l.holds("new_messages", "c", 3)
	l.close()
	s.says(gateway, one, "d", "e")

	again := s.stream(one+"/stream", maya, "Last-Event-ID", third.id)
	if b, _ := again.next(); b.id != third.id || b.retry == "" || b.event != "" {
		t.Errorf("a stream that goes on begins with %+v", b)
	}
	again.holds("new_messages", "d|e", 5)
	again.close()
	early := s.stream(one+"/stream?lastEventId="+initial.id, maya)
	early.holds("new_messages", "c", 3)
	early.holds("new_messages", "d|e", 5)
	early.close()

	s.must(200, "POST", one+"/end", gateway, `{"reason":"call_ended"}`)
	missed := s.stream(one+"/stream", maya, "Last-Event-ID", third.id)
	missed.holds("new_messages", "d|e", 5)
	ended := missed.only("ended")
	if !strings.Contains(ended.data, "Call has ended") {
		t.Errorf("ended is %s", ended.data)
	}
	missed.over()
	fresh := s.stream(one+"/stream", maya)
	fresh.holds("initial", "a|b|c|d|e", 5)
	if b := fresh.only("ended"); b.id != ended.id {
		t.Errorf("ended has the id %s, and had %s", b.id, ended.id)
	}
	fresh.over()
	for _, method := range []string{"GET", "HEAD"} {
		r := s.request(method, one+"/stream", maya, "")
		r.Header.Set("Last-Event-ID", ended.id)
		if res, body := s.do(r); res.StatusCode != 204 || body != "" {
			t.Errorf("nothing missed: %s: %d %s", method, res.StatusCode, body)
		}
	}
}

// A place that is none of this conversation's is told, and the stream begins
// anew. Seen to fail by treating an unknown place as caught up.
func TestConversationStream_tellsOfAPlaceThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, maya := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator)
	one := s.opened(gateway)
	s.says(gateway, one, "a")
	for _, place := range []string{"1-aaaaaaaa", "99-aaaaaaaa", "nonsense", "b1-aaaaaaaa"} {
		l := s.stream(one+"/stream", maya, "Last-Event-ID", place)
		if b, _ := l.next(); b.id != "" || b.retry == "" {
			t.Errorf("%s: the stream begins with %+v", place, b)
		}
		if b, _ := l.next(); b.event != "reset" || b.id != "" {
			t.Errorf("%s: then comes %+v", place, b)
		}
		l.holds("initial", "a", 1)
		l.close()
	}
}

// An answer is shown while it is written, on this face too, and its message comes
// when it has ended. What is for operators reaches no participant. Seen to fail by
// letting stream-end have an id, and by showing notes.
func TestConversationStream_showsToEachWhatIsTheirs(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Agents: desktest.Answers("Hello")})
	maya, gateway := s.operator("maya", "Maya", tandem.Operator), s.Key(tandem.Agent)
	ann := s.Token("ann", tandem.Participant)
	one := s.opened(gateway)
	hers, theirs := s.stream(one+"/stream", ann), s.stream(one+"/stream", maya)
	hers.only("initial")
	theirs.only("initial")
	s.must(201, "POST", one+"/messages", ann, `{"content":"hi","answer":true}`)
	for _, l := range []*listener{hers, theirs} {
		l.holds("new_messages", "hi", 1)
		l.holds("new_messages", "Hello", 2)
		if text := l.all.String(); !strings.Contains(text, "event: stream-start") || !strings.Contains(text, "event: stream-token") || !strings.Contains(text, "event: stream-end") {
			t.Errorf("the answer was not shown while it was written:\n%s", text)
		}
	}
	s.must(201, "POST", one+"/messages", maya, `{"content":"she is alone","audience":"operators"}`)
	s.must(200, "POST", one+"/takeover", maya, "")
	s.must(201, "POST", one+"/messages", gateway, `{"content":"a push"}`)
	s.must(200, "POST", one+"/typing", maya, "")
	s.must(201, "POST", one+"/messages", maya, `{"content":"I am here"}`)
	hers.holds("new_messages", "I am here", 3)
	theirs.holds("new_messages", "I am here", 3)
	for _, want := range []string{"she is alone", "a push", `"admin_id":"maya"`, "event: draft", "event: note"} {
		if !strings.Contains(theirs.all.String(), want) {
			t.Errorf("operators do not see %q", want)
		}
		if strings.Contains(hers.all.String(), want) {
			t.Errorf("the participant sees %q", want)
		}
	}
	if !strings.Contains(hers.all.String(), "event: typing") || strings.Contains(theirs.all.String(), "event: typing") {
		t.Error("typing is for the others")
	}
	if !strings.Contains(hers.all.String(), `"holder":"Maya"`) {
		t.Error("the participant does not see who is there")
	}
}

// Whoever may not see it any more is told so, within a second, as the document
// has it: `error`, and the end. Seen to fail by ending without a word.
func TestConversationStream_endsWithTheAccess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		end        func(s *site, one, maya string)
	}{
		{"taken by another", "Access denied. You don't have permission to view this conversation.", func(s *site, one, _ string) {
			s.must(200, "POST", one+"/takeover", s.operator("lead", "Lea", tandem.Supervisor), "")
		}},
		{"revoked", "Token has been revoked. Please login again.", func(s *site, _, _ string) {
			if err := s.Auth.RevokeSubject(s.t.Context(), "default", "maya"); err != nil {
				s.t.Fatal(err)
			}
		}},
		{"expired", "Invalid or expired token", func(*site, string, string) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, desktest.Options{})
			r := auth.MintRequest{Tenant: "default", Subject: "maya", Role: tandem.Operator, TTL: time.Hour}
			if c.name == "expired" {
				r.TTL = time.Second
			}
			maya := s.Mint(r)
			one := s.opened(s.Key(tandem.Agent))
			l := s.stream(one+"/stream", maya)
			l.only("initial")
			c.end(s, one, maya)
			began := time.Now()
			b := l.only("error")
			if took := time.Since(began); c.name != "expired" && took > time.Second {
				t.Errorf("told after %v", took)
			}
			var said struct {
				Error string
				ID    string `json:"conversation_id"`
			}
			if err := json.Unmarshal([]byte(b.data), &said); err != nil || said.Error != c.want || said.ID != "case-1" || b.retry != "60000" {
				t.Errorf("got %+v", b)
			}
			l.over()
		})
	}
}

// A browser's EventSource sends no headers: it has a ticket, which is good for
// this conversation's stream, again and again, and for no other.
func TestConversationStream_opensWithATicket(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, maya := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator)
	one := s.opened(gateway)
	s.must(201, "POST", "/api/conversations", gateway, `{"workflow":"support","participant_id":"bob","conversation_id":"case-2"}`)
	var t1 struct{ Ticket string }
	if err := json.Unmarshal([]byte(s.must(201, "POST", "/api/auth/tickets", maya, `{"for":"stream"}`)), &t1); err != nil {
		t.Fatal(err)
	}
	first := s.stream(one+"/stream?token="+t1.Ticket, "")
	first.only("initial")
	second := s.stream(one+"/stream?token="+t1.Ticket, "")
	second.only("initial")
	if b := first.only("disconnected"); b.retry != "60000" {
		t.Errorf("the older stream ends with %+v", b)
	}
	for _, path := range []string{"/api/conversation/case-2/stream", "/api/user/sse/events", one} {
		if res, body := s.ask("GET", path+"?"+annsThread+"&token="+t1.Ticket, "", ""); res.StatusCode != 401 {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
}

// The server goes with a word that does not make the document's clients close for
// good. The same over HTTP/2.
func TestConversationStream_endsWithTheServer(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		s := open(t, desktest.Options{TLS: tls})
		one := s.opened(s.Key(tandem.Agent))
		l := s.stream(one+"/stream", s.operator("maya", "Maya", tandem.Operator))
		if want := map[bool]int{false: 1, true: 2}[tls]; l.res.ProtoMajor != want {
			t.Errorf("HTTP/%d", l.res.ProtoMajor)
		}
		l.only("initial")
		s.Stop()
		if b := l.only("disconnected"); b.retry == "" || b.id != "" {
			t.Errorf("the stream ends with %+v", b)
		}
		l.over()
	}
}

// One operator more than may watch is refused in the face's form; a stream that is
// refused by its own error does not hold a place.
func TestConversationStream_countsStreams(t *testing.T) {
	t.Parallel()
	limits := tandem.DefaultLimits()
	limits.Streams, limits.Requests = 2, tandem.Rate{}
	s := open(t, desktest.Options{Limits: &limits})
	maya := s.operator("maya", "Maya", tandem.Operator)
	one := s.opened(s.Key(tandem.Agent))
	for range 5 {
		s.must(200, "GET", "/api/conversation/nothing/stream", maya, "")
	}
	for range 2 {
		s.stream(one+"/stream", maya).only("initial")
	}
	res, body := s.ask("GET", one+"/stream", maya, "")
	if res.StatusCode != http.StatusTooManyRequests || body != `{"detail":"too many open streams"}` || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
	}
}

// A gateway brings both sides in one post, as the document has it, while an operator
// holds: the user's words are shown at once, and the agent's are a draft. Seen to
// fail by letting the words wait for the draft.
func TestConversationStream_showsWordsThatCameWithADraft(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, maya := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator)
	one := s.opened(gateway)
	s.must(200, "POST", one+"/takeover", maya, "")
	l := s.stream(one+"/stream", maya)
	l.only("initial")
	s.must(201, "POST", one+"/messages", gateway, `{"messages":[{"role":"user","content":"Help"},{"content":"Please hold."},{"role":"user","content":"Hello?"}]}`)
	if b := l.untilEvent("draft"); !strings.Contains(b.data, "Please hold.") || b.id != "" {
		t.Errorf("got %+v", b) // with an id, whoever comes back would miss the words before it
	}
	l.holds("new_messages", "Help|Hello?", 2)
	s.must(201, "POST", one+"/messages", gateway, `{"messages":[{"role":"user","content":"Are you there?"},{"content":"Yes."}]}`)
	l.holds("new_messages", "Are you there?", 3)
	if b := l.untilEvent("draft"); !strings.Contains(b.data, "Yes.") || b.id == "" {
		t.Errorf("got %+v", b)
	}
}

// A hundred messages of one post come in one event, wherever the pages of the log
// end, also to who was away; nobody resumes from their middle. Seen to fail by ids
// of places within the post.
func TestConversationStream_showsAPostInOneEvent(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, maya := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator)
	one := s.opened(gateway)
	l := s.stream(one+"/stream", maya)
	initial := l.only("initial")
	texts := make([]string, 100)
	for i := range texts {
		texts[i] = strings.Repeat("x", 300)
	}
	s.says(gateway, one, "before")
	s.says(gateway, one, texts...)
	s.says(gateway, one, "after")
	whole := strings.Join(texts, "|")
	again := s.stream(one+"/stream", maya, "Last-Event-ID", initial.id)
	for _, l := range []*listener{l, again} {
		l.holds("new_messages", "before", 1)
		l.holds("new_messages", whole, 101)
		l.holds("new_messages", "after", 102)
	}
}
