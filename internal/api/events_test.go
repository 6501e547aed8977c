package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/spec/check"
)

const annsThread = "workflow=support&participantId=ann"

// Nothing is lost between two connections, and nothing comes twice. Seen to fail
// by giving connected no id, and by starting a resumed stream at the head.
func TestEvents_resumeExactlyAfterTheIDThatConnectedGave(t *testing.T) {
	s := open(t, desktest.Options{})
	agent, key := s.Key(tandem.Agent), s.key("ann")
	l := s.listen(key, annsThread)
	if b, _ := l.next(); b.retry == "" || b.event != "" {
		t.Errorf("the stream begins with %+v, want retry alone", b)
	}
	connected := l.until("connected")
	s.push(agent, "ann", "one")
	if got := l.text("Chat"); got != "one" {
		t.Errorf("got %q", got)
	}
	l.close()
	s.push(agent, "ann", "two")
	s.push(agent, "ann", "three")
	for _, how := range []string{"header", "query", "both"} {
		query, header := annsThread, []string{}
		if how != "query" {
			header = []string{"Last-Event-ID", connected.id}
		}
		switch how {
		case "query":
			query += "&lastEventId=" + connected.id
		case "both": // a browser sends the newer one by itself
			query += "&lastEventId=7-aaaaaaaa"
		}
		again := s.listen(key, query, header...)
		if b := again.until("connected"); b.id != connected.id {
			t.Errorf("%s: resumed at %s, want %s", how, b.id, connected.id)
		}
		for _, want := range []string{"one", "two", "three"} {
			if got := again.text("Chat"); got != want {
				t.Errorf("%s: got %q, want %q", how, got, want)
			}
		}
		again.close()
	}
}

// A place that is not of this log is never taken for one that has been reached.
// Seen to fail by going on from the head.
func TestEvents_resetForAPlaceThatIsNoneOfThisThread(t *testing.T) {
	s := open(t, desktest.Options{})
	agent, ann, bob := s.Key(tandem.Agent), s.key("ann"), s.key("bob")
	s.push(agent, "ann", "one")
	s.push(agent, "bob", "other")
	l := s.listen(bob, "workflow=support&participantId=bob&lastEventId=nonsense")
	foreign := l.until("connected").id
	l.until("reset")
	l.text("Chat")
	for _, id := range []string{foreign, "nonsense", "1-aaaaaaaa", "999-aaaaaaaa", "-1-aaaaaaaa", "1\u00a0", strings.Repeat("9", 300)} {
		l := s.listen(ann, annsThread+"&lastEventId="+url.QueryEscape(id))
		connected := l.until("connected")
		if connected.id != desktest.Address("ann").Start().String() {
			t.Errorf("%q: goes on from %s", id, connected.id)
		}
		l.until("reset")
		if got := l.text("Chat"); got != "one" {
			t.Errorf("%q: got %q", id, got)
		}
		l.close()
	}
}

// What retention has taken is told, with its range.
func TestEvents_gapForWhatIsKeptNoMore(t *testing.T) {
	shift := time.Duration(0)
	s := open(t, desktest.Options{Clock: func() time.Time { return time.Now().Add(shift) }})
	agent, ann := s.Key(tandem.Agent), s.key("ann")
	s.push(agent, "ann", "old")
	s.push(agent, "ann", "older")
	if _, err := s.Store.Trim(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	s.push(agent, "ann", "new")
	l := s.listen(ann, annsThread+"&lastEventId="+desktest.Address("ann").Start().String())
	connected := l.until("connected")
	if gap := l.until("gap"); gap.data != `{"from":1,"to":2}` {
		t.Errorf("got %s", gap.data)
	}
	if !strings.HasPrefix(connected.id, "2-") {
		t.Errorf("goes on from %s", connected.id)
	}
	if got := l.text("Chat"); got != "new" {
		t.Errorf("got %q", got)
	}
}

// Seen to fail by showing Incoming without echo, and by a scope that lets others
// through.
func TestEvents_showWhatTheQueryAsksFor(t *testing.T) {
	s := open(t, desktest.Options{})
	agent, ann := s.Key(tandem.Agent), s.key("ann")
	plain := s.listen(ann, annsThread)
	echo := s.listen(ann, "workflow=default:support&participantId=ANN&tenantId=default&echo=true")
	orders := s.listen(ann, annsThread+"&scope=orders")
	push := func(body string) {
		t.Helper()
		if res, answer := s.ask("POST", "/api/agent/conversation/outbound/"+body[:strings.Index(body, " ")], agent, `{"workflow":"support","participantId":"ann",`+body[strings.Index(body, " ")+1:]+`}`); res.StatusCode != 200 {
			t.Fatal(answer)
		}
	}
	s.send(ann, "ann", "Chat", "mine", "")
	push(`data "text":"no scope"`)
	push(`data "text":"of orders","scope":"orders"`)
	push(`handoff "text":"over","scope":"other","targetWorkflowType":"billing"`)
	push(`file "text":"end","scope":"orders","data":{"url":"/x"}`)
	for _, want := range []struct {
		l     *listener
		saw   []string
		texts []string
	}{
		{plain, []string{"Data", "Data", "Handoff", "File"}, []string{"no scope", "of orders", "over", "end"}},
		{echo, []string{"Chat", "Data", "Data", "Handoff", "File"}, []string{"mine", "no scope", "of orders", "over", "end"}},
		{orders, []string{"Data", "Handoff", "File"}, []string{"of orders", "over", "end"}},
	} {
		for i, event := range want.saw {
			if got := want.l.text(event); got != want.texts[i] {
				t.Errorf("%s: got %q, want %q", want.l.req.URL.RawQuery, got, want.texts[i])
			}
		}
	}
}

// A handoff is one message on two threads, and names the one it leads to.
func TestEvents_aHandoffReachesBothThreads(t *testing.T) {
	s := open(t, desktest.Options{})
	agent := s.Key(tandem.Agent)
	here, there := s.listen(agent, annsThread+"&scope=any"), s.listen(agent, "workflow=billing&participantId=ann")
	if res, body := s.ask("POST", "/api/agent/conversation/outbound/handoff", agent, `{"workflow":"support","participantId":"ann","targetWorkflowId":"default:billing","text":"over"}`); res.StatusCode != 200 {
		t.Fatal(body)
	}
	a, b := here.until("Handoff"), there.until("Handoff")
	if a.data != b.data {
		t.Errorf("not the same message:\n%s\n%s", a.data, b.data)
	}
	var m struct{ WorkflowID, ThreadID string }
	if err := json.Unmarshal([]byte(a.data), &m); err != nil {
		t.Fatal(err)
	}
	if to := (tandem.Address{Tenant: "default", Workflow: "billing", Participant: "ann"}); m.WorkflowID != to.WorkflowID() || m.ThreadID != to.ThreadID() {
		t.Errorf("leads to %+v", m)
	}
}

// With tokens=true an answer is shown while it is written, and whoever joins in
// its middle gets it from its start; without, only the whole message is. Only the
// message has an id. Seen to fail by joining without the text so far.
func TestEvents_tokensShowTheAnswerAsItIsWritten(t *testing.T) {
	agent := make(desktest.Fed)
	s := open(t, desktest.Options{Agents: desktest.AnsweredBy(agent)})
	ann := s.key("ann")
	whole, early := s.listen(ann, annsThread), s.listen(ann, annsThread+"&tokens=true")
	s.send(ann, "ann", "Chat", "hi", "")
	tokens := func(l *listener, upTo string) (text string) {
		t.Helper()
		for text != upTo {
			var m struct{ Token string }
			if err := json.Unmarshal([]byte(l.until("stream-token").data), &m); err != nil {
				t.Fatal(err)
			}
			text += m.Token
		}
		return text
	}
	agent <- "Hel"
	early.until("stream-start")
	tokens(early, "Hel")
	late := s.listen(ann, annsThread+"&tokens=true")
	late.until("stream-start")
	tokens(late, "Hel")
	agent <- "lo"
	tokens(early, "lo")
	tokens(late, "lo")
	close(agent)
	for _, l := range []*listener{early, late} {
		l.until("stream-end")
		if got := l.text("Chat"); got != "Hello" {
			t.Errorf("got %q", got)
		}
	}
	if got := whole.text("Chat"); got != "Hello" {
		t.Errorf("got %q", got)
	}
}

// The interval is exact, begins with connected, and whatever is written between
// does not move it. A heartbeat has an id if events passed that were not shown.
// Seen to fail by beating at once, and by leaving the id out.
func TestEvents_heartbeats(t *testing.T) {
	s := open(t, desktest.Options{})
	agent, ann := s.Key(tandem.Agent), s.key("ann")
	l := s.listen(ann, annsThread+"&heartbeatSeconds=0&scope=nothing") // 0 counts as 1
	connected := l.until("connected")
	began := time.Now()
	s.push(agent, "ann", "not of this scope")
	for n := 1; n <= 2; n++ {
		b := l.until("heartbeat")
		if took, want := time.Since(began), time.Duration(n)*time.Second; took < want-100*time.Millisecond || took > want+700*time.Millisecond {
			t.Errorf("heartbeat %d after %v", n, took)
		}
		if n == 1 && (b.id == "" || b.id == connected.id) || n == 2 && b.id != "" {
			t.Errorf("heartbeat %d has the id %q", n, b.id)
		}
		if !strings.Contains(b.data, `"subscriberCount":1}`) {
			t.Errorf("got %s", b.data)
		}
	}
}

// A stream that the server ends says why, and when to come back; a later one is
// refused. Seen to fail by closing without a word.
func TestEvents_saySoBeforeTheServerCloses(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	l := s.listen(s.key("ann"), annsThread)
	connected := l.until("connected")
	s.API.Stop() // running answers would still be shown
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.API.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	b := l.until("disconnected")
	if !strings.Contains(b.data, `"reason":"server shutting down"`) || b.id != connected.id {
		t.Errorf("got %+v", b)
	}
	if ms, err := strconv.Atoi(b.retry); err != nil || ms < 1000 || ms > 30_000 {
		t.Errorf("retry %q", b.retry)
	}
	if b, ok := l.next(); ok {
		t.Errorf("and then %+v", b)
	}
	<-done
}

// Expiry, with its leeway, and revocation end an open stream within a second, and
// tell it why. Seen to fail by never looking again.
func TestEvents_endWithTheCredential(t *testing.T) {
	t.Parallel()
	var shift atomic.Int64
	s := open(t, desktest.Options{Clock: func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }})
	shift.Store(int64(-5 * time.Second)) // what ends in a second from then has its leeway now
	short := s.Mint(auth.MintRequest{Tenant: "default", Subject: "ann", Role: tandem.Participant, TTL: time.Second})
	shift.Store(0)
	expiring := s.listen(short, annsThread+"&heartbeatSeconds=300")
	began := time.Now()
	token := s.Token("bob", tandem.Participant)
	revoked := s.listen(token, "workflow=support&participantId=bob&heartbeatSeconds=300")
	revoked.until("connected")
	if err := s.Auth.RevokeSubject(t.Context(), "default", "bob"); err != nil {
		t.Fatal(err)
	}
	for l, why := range map[*listener]string{revoked: "revoked", expiring: "token expired"} {
		if b := l.until("disconnected"); !strings.Contains(b.data, `"reason":"`+why+`"`) {
			t.Errorf("got %s", b.data)
		}
		if _, ok := l.next(); ok {
			t.Error("the stream goes on")
		}
	}
	if took := time.Since(began); took > 2500*time.Millisecond {
		t.Errorf("after %v", took)
	}
	for _, credential := range []string{short, token} {
		if res, _ := s.ask("GET", "/api/user/sse/events?"+annsThread, credential, ""); res.StatusCode != 401 {
			t.Errorf("opened again: %d", res.StatusCode)
		}
	}
}

// The 20th stream opens, the 21st does not; one that has ended makes room. Of an
// agent's key each participant that it names is counted. Seen to fail by one.
func TestEvents_openAtMostSoMany(t *testing.T) {
	limits := tandem.DefaultLimits()
	limits.Streams = 3
	s := open(t, desktest.Options{Limits: &limits})
	ann, agent := s.key("ann"), s.Key(tandem.Agent)
	var last *listener
	for range limits.Streams {
		last = s.listen(ann, annsThread)
		last.until("connected")
	}
	res, body := s.ask("GET", "/api/user/sse/events?"+annsThread, ann, "")
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "60" {
		t.Errorf("one more: %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
	if want := `{"error":"Rate limit exceeded","message":"Too many requests. Please try again later.","retryAfter":"60"}`; body != want {
		t.Errorf("got %s", body)
	}
	for range limits.Streams {
		s.listen(agent, "workflow=support&participantId=bob").until("connected")
		s.listen(agent, "workflow=support&participantId=eve").until("connected")
	}
	last.close()
	// The server notices at once that the client is gone, not when it next writes.
	until(t, func() bool { return s.Hub.Subscribers(desktest.Address("ann")) == limits.Streams-1 })
	s.listen(ann, annsThread).until("connected")
}

// until waits for something that happens by itself.
func until(t testing.TB, is func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(10 * time.Second); !is(); {
		if (<-look.C).After(end) {
			t.Fatal("it does not happen")
		}
	}
}

// A ticket opens the stream that it was first used for, again and again, and
// nothing else; a second stream of it ends the first. Seen to fail by asking the
// ticket for no address.
func TestEvents_tickets(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	agent := s.Key(tandem.Agent)
	_, body := s.ask("POST", "/api/auth/tickets", agent, `{"for":"stream"}`)
	var made struct{ Ticket string }
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		t.Fatal(err)
	}
	open := func(query string) *listener { return s.listen("", query+"&token="+made.Ticket) }
	if res, _ := s.ask("GET", "/api/user/sse/events?workflow=support&token="+made.Ticket, "", ""); res.StatusCode != 400 {
		t.Errorf("a bad query: %d", res.StatusCode)
	}
	first := open(annsThread)
	connected := first.until("connected")
	second := open(annsThread + "&lastEventId=" + connected.id)
	second.until("connected")
	if b := first.until("disconnected"); !strings.Contains(b.data, "replaced") || b.retry != "60000" {
		t.Errorf("the first stream ends with %+v", b)
	}
	if res, _ := s.ask("GET", "/api/user/sse/events?workflow=support&participantId=bob&token="+made.Ticket, "", ""); res.StatusCode != 401 {
		t.Errorf("elsewhere: %d", res.StatusCode)
	}
	if res, _ := s.ask("GET", "/api/user/rest/history?"+annsThread+"&token="+made.Ticket, "", ""); res.StatusCode != 401 {
		t.Errorf("for a request: %d", res.StatusCode)
	}
}

// HEAD says what GET would, and opens nothing.
func TestEvents_head(t *testing.T) {
	s := open(t, desktest.Options{})
	res, body := s.ask("HEAD", "/api/user/sse/events?"+annsThread, s.key("ann"), "")
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || body != "" {
		t.Errorf("%d %v %q", res.StatusCode, res.Header, body)
	}
	if n := s.Hub.Streams(); n != 0 {
		t.Errorf("%d streams are open", n)
	}
}

// askOver sends a request over one of the ways to speak HTTP.
func askOver(t *testing.T, s *site, way string, req *http.Request) *http.Response {
	t.Helper()
	client := s.Client
	switch way {
	case "1.0":
		conn := s.Dial()
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nAuthorization: %s\r\n\r\n", req.URL.RequestURI(), req.Header.Get("Authorization"))
		res, err := http.ReadResponse(bufio.NewReader(conn), req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	case "1.1 over TLS":
		tr := s.Client.Transport.(*http.Transport).Clone()
		tr.ForceAttemptHTTP2 = false
		tr.TLSClientConfig.NextProtos = []string{"http/1.1"}
		client = &http.Client{Transport: tr}
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[bool]int{true: 2, false: 1}[way == "2"]; res.ProtoMajor != want {
		t.Errorf("%s: spoke HTTP/%d", way, res.ProtoMajor)
	}
	return res
}

// HTTP/1.1 on a connection of its own, HTTP/1.1 under TLS, HTTP/1.0 and HTTP/2
// carry the same bytes, with the headers that keep proxies from holding them
// back. Seen to fail by another field order on one of the ways.
func TestEvents_areTheSameBytesOverEveryHTTP(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{}
	stream := func(name string, s *site, res *http.Response, req *http.Request) {
		t.Helper()
		s.push(s.Key(tandem.Agent), "ann", "héllo")
		in, body := bufio.NewReader(res.Body), []byte{}
		for !strings.Contains(string(body), "event: Chat") {
			line, err := in.ReadBytes('\n')
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			body = append(body, line...)
		}
		drained := make(chan error)
		go func() { drained <- s.API.Drain(context.Background()) }()
		rest, err := io.ReadAll(in)
		body = append(body, rest...)
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		res.Body.Close()
		check.Response(t, req, res, body)
		if _, chat, _ := strings.Cut(string(body), "event: Chat"); !strings.Contains(chat, "disconnected") {
			t.Errorf("%s: %s", name, body)
		}
		for _, h := range []string{"Content-Length", "Content-Encoding"} {
			if v := res.Header.Get(h); v != "" {
				t.Errorf("%s: %s: %s", name, h, v)
			}
		}
		lines := strings.Split(newTranscript(s).steady(string(body)), "\n")
		for i, l := range lines {
			if strings.HasPrefix(l, "retry: ") {
				lines[i] = "retry: some"
			}
		}
		bodies[name] = strings.Join(lines, "\n")
	}
	for _, name := range []string{"1.1", "1.0", "1.1 over TLS", "2"} {
		s := open(t, desktest.Options{Clock: atNoon, TLS: strings.Contains(name, "TLS") || name == "2"})
		req := s.request("GET", "/api/user/sse/events?"+annsThread, s.key("ann"), "")
		stream(name, s, askOver(t, s, name, req), req)
	}
	for name, body := range bodies {
		if body != bodies["1.1"] {
			t.Errorf("%s differs:\n%s\nfrom\n%s", name, body, bodies["1.1"])
		}
	}
}
