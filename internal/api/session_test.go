package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// session is an open stream of a session, as a page reads it.
type session struct {
	*listener
	begins block
}

// connect opens a session's stream. key may be empty: the id is the credential.
func (s *site) connect(key, id string, header ...string) *session {
	s.t.Helper()
	l := s.stream("/sse/connect/"+url.PathEscape(id), key, header...)
	if l.res.StatusCode != 200 {
		s.t.Fatalf("connect: %d", l.res.StatusCode)
	}
	b, _ := l.next()
	if b.id == "" || b.retry == "" || b.data != "" || b.event != "" {
		s.t.Fatalf("the stream begins with %+v, want id and retry alone", b)
	}
	return &session{l, b}
}

// told reads the next message that onmessage would be given, and its id.
func (l *session) told() (event, message, id string) {
	l.s.t.Helper()
	for {
		b, ok := l.next()
		if !ok || b.event != "" {
			l.s.t.Fatalf("got %+v in\n%s", b, l.all.String())
		}
		if b.data == "" {
			continue // a heartbeat
		}
		var m struct {
			Event   string
			Message json.RawMessage
		}
		if err := json.Unmarshal([]byte(b.data), &m); err != nil {
			l.s.t.Fatal(err)
		}
		return m.Event, string(m.Message), b.id
	}
}

// hears fails unless the next messages are these texts, and returns the last id.
func (l *session) hears(texts ...string) (id string) {
	l.s.t.Helper()
	for _, want := range texts {
		var got string
		if _, got, id = l.told(); got != `"`+want+`"` {
			l.s.t.Fatalf("heard %s, want %q", got, want)
		}
	}
	return id
}

// marked waits until the server has noted that a session's page was told everything
// up to this id.
func (s *site) marked(session, id string) {
	s.t.Helper()
	s.soon("the mark moves", func() bool {
		t, err := s.Store.Thread(s.t.Context(), tandem.SessionAddress("default", session))
		if err != nil {
			s.t.Fatal(err)
		}
		return strings.HasPrefix(id, fmt.Sprint(t.ChatMark, "-"))
	})
}

// over fails unless the stream ends now, and says why.
func (l *session) over(why string) block {
	l.s.t.Helper()
	began := time.Now()
	b := l.until("disconnected")
	if !strings.Contains(b.data, `"reason":"`+why+`"`) {
		l.s.t.Errorf("ended by %s, want %q", b.data, why)
	}
	if b, ok := l.next(); ok {
		l.s.t.Errorf("and then %+v", b)
	}
	if took := time.Since(began); took > 2*time.Second {
		l.s.t.Errorf("after %v", took)
	}
	return b
}

// tell sends a user's sessions something; n is how many there have to be.
func (s *site) tell(key, body string, n int, header ...string) {
	s.t.Helper()
	r := s.request("POST", "/sse/send", key, body)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if res, answer := s.do(r); answer != fmt.Sprintf(`{"message":"Message sent to %d session(s)"}`, n) {
		s.t.Fatalf("%s: %d %s, want %d sessions", body, res.StatusCode, answer, n)
	}
}

func (s *site) text(key, user, text string, n int) {
	s.t.Helper()
	s.tell(key, fmt.Sprintf(`{"userId":%q,"message":%q}`, user, text), n)
}

// refused fails unless the request is answered with this status, in the session
// events' form.
func (s *site) refused(status int, method, path, key, body string, header ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second) // it may be a stream after all
	defer cancel()
	r := s.request(method, path, key, body).WithContext(ctx)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, answer := s.do(r)
	if res.StatusCode != status || status >= 400 && !strings.HasSuffix(answer, fmt.Sprintf(`,"status":"%d"}`, status)) {
		s.t.Errorf("%s %s: %d %s, want %d", method, path, res.StatusCode, answer, status)
	}
}

// makeSession makes one ahead, and returns its id.
func (s *site) makeSession(key, body string) string {
	s.t.Helper()
	res, answer := s.ask("POST", "/api/sessions", key, body)
	var made struct{ SessionID string }
	if err := json.Unmarshal([]byte(answer), &made); res.StatusCode != 201 || err != nil {
		s.t.Fatalf("%d %s", res.StatusCode, answer)
	}
	return made.SessionID
}

var (
	retries = regexp.MustCompile(`retry: \d+`)
	lastID  = regexp.MustCompile(`(event: disconnected\n.*\n)id: \S+\n`)
)

// A session from its making to its end: each byte that a page sees. Seen to fail
// by an event line, by a beginning that onmessage would see, by a status that is a
// number, and by a body of disconnect.
func TestTranscript_sessions(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	agent, ann, bob := s.Key(tandem.Agent), s.key("ann"), s.key("bob")
	tr := newTranscript(s)
	tr.ask("a session made ahead", "POST", "/api/sessions", agent, `{"userId":"Ann","sessionId":"pay-0123456789abc","capability":true}`)
	tr.ask("one that lives for a minute", "POST", "/api/sessions", agent, `{"userId":"ann","sessionId":"s-2","ttlSeconds":60}`)
	tr.ask("the same id again", "POST", "/api/sessions", agent, `{"userId":"ann","sessionId":"s-2"}`)
	tr.ask("as the document sends", "GET", "/sse/send?userId=ann&message=before+you+came", agent, "")
	page := s.connect("", "pay-0123456789abc")
	tr.ask("an object", "POST", "/sse/send", agent, `{"sessionId":"pay-0123456789abc","event":"PAYMENT","message":{ "amount" : 12.50, "state" : "<paid>" }}`)
	tr.ask("to a user without a session", "POST", "/sse/send", agent, `{"userId":"carol","event":"WITHDRAWAL","message":"kept"}`)
	page.told()
	page.told()
	tr.ask("it is over", "DELETE", "/sse/disconnect/pay-0123456789abc", "", "")
	page.over("session disconnected")
	saw := retries.ReplaceAllString(page.all.String(), "retry: 1234")
	saw = lastID.ReplaceAllString(saw, "${1}id: 4-cursorid\n") // it may not have read that the session is over
	fmt.Fprintf(&tr.text, "# what the page saw\n%s", saw)

	tr.ask("the browser comes back by itself", "GET", "/sse/connect/pay-0123456789abc", "", "", "Last-Event-ID", page.begins.id)
	tr.ask("it is over already", "DELETE", "/sse/disconnect/pay-0123456789abc", ann, "")
	tr.ask("no credential", "GET", "/sse/connect/s-2", "", "")
	tr.ask("a bad credential", "GET", "/sse/connect/s-2", "sk-nonsense", "")
	tr.ask("somebody else's", "GET", "/sse/connect/s-2", bob, "")
	tr.ask("another tenant", "GET", "/sse/connect/s-2?tenantId=acme", ann, "")
	tr.ask("somebody else ends it", "DELETE", "/sse/disconnect/s-2", bob, "")
	tr.ask("a back end opens what it has not made", "GET", "/sse/connect/s-9", agent, "")
	tr.ask("none is there", "DELETE", "/sse/disconnect/s-9", ann, "")
	tr.ask("send: no user", "GET", "/sse/send?message=x", agent, "")
	tr.ask("send: no message", "GET", "/sse/send?userId=ann", agent, "")
	tr.ask("send: by a participant", "GET", "/sse/send?userId=ann&message=x", ann, "")
	tr.ask("send: another user's session", "POST", "/sse/send", agent, `{"userId":"bob","sessionId":"s-2","message":"x"}`)
	tr.ask("send: no such session", "POST", "/sse/send", agent, `{"sessionId":"s-9","message":"x"}`)
	tr.ask("send: neither a text nor an object", "POST", "/sse/send", agent, `{"userId":"ann","message":[1]}`)
	tr.ask("send: too long", "POST", "/sse/send", agent, `{"userId":"ann","message":"`+strings.Repeat("x", 256<<10)+`"}`)
	tr.ask("make: by a participant", "POST", "/api/sessions", ann, `{"userId":"ann"}`)
	tr.ask("make: no user", "POST", "/api/sessions", agent, `{}`)
	tr.ask("make: a credential that can be guessed", "POST", "/api/sessions", agent, `{"userId":"ann","sessionId":"pay-1","capability":true}`)
	tr.ask("nothing is here", "GET", "/sse/nothing", ann, "")
	tr.ask("a method that is not there", "GET", "/sse/disconnect/s-2", ann, "")
	s.API.Stop()
	tr.ask("the server stops", "GET", "/sse/connect/s-2", ann, "")
	tr.golden("session.txt")
}

// What was sent before the first connection, or while there is none, comes; what
// was written to any connection does not come again to one that names no place.
// Seen to fail by beginning at the head, by never moving the mark, and by moving it
// when the stream begins.
func TestSession_goesOnWhereItsConnectionsHadGot(t *testing.T) {
	s := open(t, desktest.Options{})
	agent, ann := s.Key(tandem.Agent), s.key("ann")
	id := s.makeSession(agent, `{"userId":"ann"}`)
	s.text(agent, "ANN", "before", 1)
	first := s.connect(ann, id)
	s.marked(id, first.hears("before"))
	second := s.connect(ann, id) // which shows nothing twice
	s.text(agent, "ann", "both", 1)
	first.hears("both")
	s.marked(id, second.hears("both"))
	first.close()
	second.close()
	s.text(agent, "ann", "away", 1)
	third := s.connect(ann, id)
	s.marked(id, third.hears("away"))
	third.close()
	fourth := s.connect(ann, id, "Last-Event-ID", first.begins.id)
	last := fourth.hears("before", "both", "away")
	s.text(agent, "ann", "now", 1)
	fourth.hears("now")
	fifth := s.stream("/sse/connect/"+id+"?lastEventId="+last, ann)
	(&session{listener: fifth}).hears("now")
}

// Places and marks outlive the server. Seen to fail by keeping the mark in memory.
func TestSession_outlivesTheServer(t *testing.T) {
	dir := t.TempDir()
	s := open(t, desktest.Options{Dir: dir})
	agent, ann := s.Key(tandem.Agent), s.key("ann")
	page := s.connect(ann, "s1")
	capability := s.makeSession(agent, `{"userId":"bob","capability":true}`)
	s.text(agent, "ann", "one", 1)
	at := page.hears("one")
	s.marked("s1", at)
	s.text(agent, "carol", "kept", 0)
	page.close()
	s.Stop()
	s = open(t, desktest.Options{Dir: dir})
	s.text(agent, "ann", "two", 1)
	s.text(agent, "bob", "paid", 1)
	s.connect(ann, "s1").hears("two")
	s.connect(ann, "s1", "Last-Event-ID", at).hears("two")
	s.connect(ann, "s1", "Last-Event-ID", page.begins.id).hears("one", "two")
	s.connect("", capability).hears("paid")
	s.connect(s.key("carol"), "s2").hears("kept")
}

// What is sent to a user without a session waits ten minutes for the next one, and
// is in no other. Seen to fail by moving it to each session, and by keeping it.
func TestSession_getsWhatWasKeptForItsUser(t *testing.T) {
	var shift atomic.Int64
	s := open(t, desktest.Options{Clock: func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }})
	agent, ann := s.keyFor(auth.KeyRequest{Role: tandem.Agent}), s.key("ann")
	s.text(agent, "ann", "too old", 0)
	shift.Store(int64(9 * time.Minute))
	s.text(agent, "Ann", "one", 0)
	s.tell(agent, `{"userId":"ann","sessionId":"s1","message":"two"}`, 0)
	shift.Store(int64(10*time.Minute + time.Second))
	s.text(agent, "ann", "three", 0)
	page := s.connect(ann, "s1")
	page.hears("one", "two", "three")
	var m struct{ Timestamp time.Time }
	b := page.all.String()
	if err := json.Unmarshal([]byte(b[strings.Index(b, "{"):strings.Index(b, "}\n")+1]), &m); err != nil || time.Until(m.Timestamp) > 9*time.Minute+time.Second {
		t.Errorf("sent at %v: not when it was sent (%v)", m.Timestamp, err)
	}
	other := s.connect(ann, "s2")
	s.text(agent, "ann", "four", 2)
	other.hears("four")
	page.hears("four")
	s.tell(agent, `{"userId":"ann","sessionId":"s3","message":"for the next one"}`, 0) // not there, and others are
	s.text(agent, "ann", "five", 2)
	page.hears("five")
	s.connect(ann, "s3").hears("for the next one")
}

// Nothing is lost and nothing comes twice when a page connects in the moment in
// which things are sent. Seen to fail by leaving the epoch unchecked in Send, and
// the head in begin.
func TestSession_missesNothingThatIsSentAsItBegins(t *testing.T) {
	s := open(t, desktest.Options{})
	agent := s.Key(tandem.Agent)
	for round := range 10 {
		user := fmt.Sprint("ann-", round)
		key := s.key(user)
		const senders, each = 4, 5
		var all sync.WaitGroup
		for sender := range senders {
			all.Go(func() {
				for n := range each {
					r := s.request("POST", "/sse/send", agent, fmt.Sprintf(`{"userId":%q,"message":"%d.%d"}`, user, sender, n))
					if res, answer := s.do(r); res.StatusCode != 200 {
						t.Errorf("%d %s", res.StatusCode, answer)
					}
				}
			})
		}
		page := s.connect(key, "s-"+user)
		all.Wait()
		s.text(agent, user, "end", 1)
		next := [senders]int{}
		for {
			_, text, _ := page.told()
			if text == `"end"` {
				break
			}
			var sender, n int
			if _, err := fmt.Sscanf(text, `"%d.%d"`, &sender, &n); err != nil || n != next[sender] {
				t.Fatalf("of sender %d came %d, want %d", sender, n, next[sender])
			}
			next[sender]++
		}
		if next != [senders]int{each, each, each, each} {
			t.Errorf("came %v", next)
		}
		page.close()
	}
}

// Disconnect ends all connections, a browser's reconnect is told that it is over,
// and who connects anew sees nothing of before. Seen to fail by taking Last-Event-ID
// for a new beginning, and by a floor that is left where it was.
func TestSession_disconnectIsForGood(t *testing.T) {
	s := open(t, desktest.Options{})
	agent, ann, operator := s.Key(tandem.Agent), s.key("ann"), s.Token("Maya", tandem.Operator)
	one, two := s.connect(ann, "s1"), s.connect(ann, "s1")
	s.text(agent, "ann", "one", 1)
	at := one.hears("one")
	two.hears("one")
	s.text(agent, "ann", "not read", 1)
	if res, body := s.ask("DELETE", "/sse/disconnect/s1", ann, ""); res.StatusCode != 200 || body != "" {
		t.Fatal(res.StatusCode, body)
	}
	one.hears("not read")
	last := one.over("session disconnected").id
	two.hears("not read")
	two.over("session disconnected")
	s.refused(404, "DELETE", "/sse/disconnect/s1", ann, "")
	for _, id := range []string{at, last, one.begins.id, "nonsense"} {
		s.refused(204, "GET", "/sse/connect/s1", ann, "", "Last-Event-ID", id)
	}
	s.refused(401, "GET", "/sse/connect/s1", s.key("bob"), "") // the id is hers for a day
	s.text(agent, "ann", "kept", 0)
	again := s.connect(ann, "s1")
	again.hears("kept")
	s.refused(204, "GET", "/sse/connect/s1", ann, "", "Last-Event-ID", at)
	s.refused(204, "GET", "/sse/connect/s1", ann, "", "Last-Event-ID", last)
	s.text(agent, "ann", "new", 1)
	again.hears("new")
	s.connect(ann, "s1", "Last-Event-ID", again.begins.id).hears("kept", "new")
	mine := s.connect(operator, "S1") // another letter case is another session
	s.text(agent, "maya", "hi", 1)
	mine.hears("hi")
	s.refused(401, "DELETE", "/sse/disconnect/S1", ann, "")
}

// A place that is not of this session's log is told so, and what is kept of it
// follows. Seen to fail by going on from the mark.
func TestSession_resetForAPlaceThatIsNoneOfIt(t *testing.T) {
	s := open(t, desktest.Options{})
	agent, ann := s.Key(tandem.Agent), s.key("ann")
	foreign := s.connect(s.key("bob"), "s0").begins.id
	page := s.connect(ann, "s1")
	s.text(agent, "ann", "one", 1)
	page.hears("one")
	for _, id := range []string{foreign, "nonsense", "1-aaaaaaaa", "999-aaaaaaaa"} {
		l := s.connect(ann, "s1", "Last-Event-ID", id)
		if l.begins.id != page.begins.id {
			t.Errorf("%q: goes on from %s", id, l.begins.id)
		}
		l.until("reset")
		l.hears("one")
	}
}

// Of two users who open a new id in the same moment one gets it. Seen to fail by
// judging before the transaction.
func TestSession_isOneUsers(t *testing.T) {
	s := open(t, desktest.Options{})
	agent := s.Key(tandem.Agent)
	keys := []string{s.key("ann"), s.key("bob"), s.key("carol")}
	for round := range 20 {
		path := fmt.Sprint("/sse/connect/s", round)
		var got [3]int
		var all sync.WaitGroup
		for i, key := range keys {
			r := s.request("GET", path, key, "")
			all.Go(func() {
				res, err := s.Client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
				got[i] = res.StatusCode
			})
		}
		all.Wait()
		if got[0]+got[1]+got[2] != 200+401+401 {
			t.Fatalf("answered %v", got)
		}
		for i, user := range []string{"ann", "bob", "carol"} {
			want := 409
			if got[i] == 200 {
				want = 200
			}
			if res, body := s.ask("POST", "/sse/send", agent, fmt.Sprintf(`{"userId":%q,"sessionId":"s%d","message":"x"}`, user, round)); res.StatusCode != want {
				t.Errorf("%s: %d %s", user, res.StatusCode, body)
			}
		}
	}
}

// Who may connect to what. Seen to fail by letting an agent's key open anything,
// and by leaving the token's session unread.
func TestSession_whoMayConnect(t *testing.T) {
	s := open(t, desktest.Options{})
	agent, ann := s.Key(tandem.Agent), s.key("ann")
	made := s.makeSession(agent, `{"userId":"ann","sessionId":"made"}`)
	hers := s.connect(ann, "hers")
	narrow := s.Mint(auth.MintRequest{Tenant: "default", Subject: "ann", Role: tandem.Participant, Session: "made", TTL: time.Hour})
	ticket := func() string {
		_, body := s.ask("POST", "/api/auth/tickets", ann, `{"for":"stream"}`)
		return regexp.MustCompile(`tk-[\w-]+`).FindString(body)
	}
	spent := ticket()
	for _, c := range []struct {
		name, key, id string
		status        int
	}{
		{"an agent what it made", agent, made, 200},
		{"an agent what a user opened", agent, "hers", 401},
		{"an agent what is not there", agent, "other", 401},
		{"the user what was made", ann, made, 200},
		{"another user what was made", s.key("bob"), made, 401},
		{"an operator somebody else's", s.Token("maya", tandem.Operator), "hers", 401},
		{"an owner somebody else's", s.Token("boss", tandem.Owner), "hers", 401},
		{"an operator a new one", s.Token("maya", tandem.Operator), "mayas", 200},
		{"a supervisor a new one", s.Token("sue", tandem.Supervisor), "sues", 200},
		{"a token of one session that one", narrow, made, 200},
		{"a token of one session another", narrow, "hers", 401},
		{"a ticket", spent, "hers", 200},
		{"a ticket elsewhere", spent, made, 401},
		{"a ticket of nobody's", "tk-nonsense", "hers", 401},
		{"a user of another tenant", s.keyFor(auth.KeyRequest{Tenant: "acme", Role: tandem.Participant, Subject: "ann"}), "hers", 200},
		{"a user an id that is long", ann, strings.Repeat("x", 256), 200},
		{"a user an id that is too long", ann, strings.Repeat("x", 257), 400},
		{"a user an id of spaces", ann, "  ", 400},
		{"a user an id of two lines", ann, "a\nb", 400},
	} {
		r := s.request("GET", "/sse/connect/"+url.PathEscape(c.id), c.key, "")
		res, err := s.Client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", c.name, res.StatusCode, c.status)
		}
	}
	s.refused(401, "DELETE", "/sse/disconnect/hers", agent, "")
	s.tell(agent, `{"userId":"ann","sessionId":"hers","message":"of this tenant"}`, 1)
	hers.hears("of this tenant")
}

// At most so many streams, as of every face.
func TestSession_openAtMostSoMany(t *testing.T) {
	limits := tandem.DefaultLimits()
	limits.Streams = 2
	s := open(t, desktest.Options{Limits: &limits})
	ann := s.key("ann")
	s.connect(ann, "s1")
	last := s.connect(ann, "s2")
	s.refused(429, "GET", "/sse/connect/s1", ann, "")
	last.close()
	s.soon("the stream is gone", func() bool { return s.Hub.Streams() == 1 })
	s.connect(ann, "s1")
}

// A silent stream says that it stands in a comment, which no page sees, over each
// way that HTTP has. Seen to fail by a heartbeat that is an event.
func TestSession_heartbeatsAreComments(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		var shift atomic.Int64
		s := open(t, desktest.Options{TLS: secure, Clock: func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }})
		agent, ann := s.Key(tandem.Agent), s.key("ann")
		page := s.connect(ann, "s1")
		if want := map[bool]int{true: 2, false: 1}[secure]; page.res.ProtoMajor != want {
			t.Errorf("over HTTP/%d", page.res.ProtoMajor)
		}
		for n, text := range []string{"one", "two"} {
			shift.Add(int64(15 * time.Second))
			s.text(agent, "ann", text, 1) // it wakes, and sees that it is time
			page.hears(text)
			if got := strings.Count(page.all.String(), ": heartbeat\n\n"); got != n+1 {
				t.Errorf("%d heartbeats in\n%s", got, page.all.String())
			}
		}
		s.marked("s1", "3-")
	}
}

// A page elsewhere may end its session: the browser asks first.
func TestSession_preflightAllowsToEndIt(t *testing.T) {
	s := open(t, desktest.Options{})
	r := s.request("OPTIONS", "/sse/disconnect/s1", "", "")
	r.Header.Set("Origin", "https://shop.example")
	r.Header.Set("Access-Control-Request-Method", "DELETE")
	if res, _ := s.do(r); res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Methods") != "DELETE, OPTIONS" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	r = s.request("GET", "/sse/connect/s1", "", "")
	r.Header.Set("Origin", "null")
	if res, _ := s.do(r); res.StatusCode != 401 || res.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

// HEAD sends nothing, and opens no stream.
func TestSession_headChangesNothing(t *testing.T) {
	s := open(t, desktest.Options{})
	agent, ann := s.Key(tandem.Agent), s.key("ann")
	if res, _ := s.ask(http.MethodHead, "/sse/send?userId=ann&message=x", agent, ""); res.StatusCode != 400 {
		t.Error(res.StatusCode)
	}
	if res, _ := s.ask(http.MethodHead, "/sse/connect/s1", ann, ""); res.StatusCode != 200 {
		t.Error(res.StatusCode)
	}
	page := s.connect(ann, "s1")
	s.text(agent, "ann", "the first", 1)
	page.hears("the first")
}
