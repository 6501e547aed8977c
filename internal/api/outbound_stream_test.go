package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/turn"
	"github.com/seed4677ff1f/tandem/spec/check"
)

const (
	streamPath = outboundPath + "chat?" + annsThread
	eventType  = "text/event-stream"
	linesType  = "application/x-ndjson"
)

// pushing is a push whose body is on its way.
type pushing struct {
	s    *site
	body *io.PipeWriter
	done chan answered
	quit context.CancelFunc
}

type answered struct {
	res  *http.Response
	body string
	err  error
}

// pushes begins to stream an answer.
func (s *site) pushes(path, key, form string) *pushing {
	s.t.Helper()
	from, to := io.Pipe()
	ctx, cancel := context.WithCancel(s.t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, from)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", form)
	p := &pushing{s: s, body: to, done: make(chan answered, 1), quit: cancel}
	go func() {
		res, err := s.Client.Do(r)
		if err != nil {
			p.done <- answered{err: err}
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		check.Response(s.t, r, res, body)
		p.done <- answered{res, string(body), err}
	}()
	s.t.Cleanup(func() { to.Close(); cancel() })
	return p
}

// writes sends a part of the body.
func (p *pushing) writes(part string) {
	p.s.t.Helper()
	if _, err := io.WriteString(p.body, part); err != nil {
		p.s.t.Fatal(err)
	}
}

// answered waits for the answer and expects its status and delivery.
func (p *pushing) answered(status int, delivery string) string {
	p.s.t.Helper()
	select {
	case got := <-p.done:
		if got.err != nil {
			p.s.t.Fatal(got.err)
		}
		if got.res.StatusCode != status || got.res.Header.Get("Tandem-Delivery") != delivery {
			p.s.t.Errorf("answered %d %q %s, want %d %q", got.res.StatusCode, got.res.Header.Get("Tandem-Delivery"), got.body, status, delivery)
		}
		return got.body
	case <-time.After(20 * time.Second):
		p.s.t.Fatal("it is not answered")
		return ""
	}
}

// shown reads the tokens of an answer up to this text.
func (l *listener) shown(text string) {
	l.s.t.Helper()
	for got := ""; got != text; {
		b := l.until("stream-token")
		var m struct{ Token string }
		if err := json.Unmarshal([]byte(b.data), &m); err != nil {
			l.s.t.Fatal(err)
		}
		if got += m.Token; !strings.HasPrefix(text, got) {
			l.s.t.Fatalf("shown %q, want %q", got, text)
		}
	}
}

// finished reads the end of an answer and its message.
func (l *listener) finished(finish tandem.Finish, text string) {
	l.s.t.Helper()
	var m struct{ FinishReason tandem.Finish }
	if err := json.Unmarshal([]byte(l.until("stream-end").data), &m); err != nil || m.FinishReason != finish {
		l.s.t.Errorf("it ended by %q, want %q", m.FinishReason, finish)
	}
	if got := l.text("Chat"); got != text {
		l.s.t.Errorf("stored %q, want %q", got, text)
	}
}

// watched is a site where ann has asked something, and her stream with tokens.
func watched(t *testing.T, opt desktest.Options) (*site, crew, *listener) {
	s := open(t, opt)
	c := s.crew()
	l := s.listen(c.ann, annsThread+"&tokens=true")
	l.until("connected")
	s.must(200, "POST", "/api/user/rest/send?"+annsThread+"&type=Chat&text=hi&requestId=q-1&scope=orders", c.ann, "")
	return s, c, l
}

// pushAgent is an engine that is not called.
func pushAgent() []turn.Spec {
	s := turn.DefaultSpec("engine", nil)
	s.Push = true
	return []turn.Spec{s}
}

// What an engine streams is shown as it comes, in both forms, over HTTP/1.1 and
// HTTP/2, and is the answer to the question that it names. Seen to fail by reading
// the body to its end first.
func TestStreamedPush_isShownAsItComes(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		for form, parts := range map[string][3]string{
			eventType: {"data: {\"token\":\"Hel\"}\n\n", ": still here\n\ndata: {\"delta\":\"lo\"}\n\n", "data: {\"data\":{\"eta\":5}}\n\ndata: [DONE]\n\n"},
			linesType: {"{\"text\":\"Hel\"}\n", "\n{\"content\":\"lo\",\"sources\":\"faq.md\"}\n", "{\"data\":{\"eta\":5}}"},
		} {
			t.Run(fmt.Sprint(form, tls), func(t *testing.T) {
				t.Parallel()
				s, c, l := watched(t, desktest.Options{Agents: pushAgent(), TLS: tls})
				p := s.pushes(streamPath+"&requestId=q-1&controlEpoch=0&onHeld=refuse", c.gateway, form)
				p.writes(parts[0])
				l.until("stream-start")
				l.shown("Hel")
				p.writes(parts[1])
				l.shown("lo")
				p.writes(parts[2])
				p.body.Close()
				if b := l.until("Data"); !strings.Contains(b.data, `"eta":5`) {
					t.Errorf("got %s", b.data)
				}
				l.finished(tandem.FinishStop, "Hello")
				p.answered(200, "delivered")
				page := s.must(200, "GET", "/api/user/rest/history?"+annsThread+"&pageSize=1", c.ann, "")
				if !strings.Contains(page, `"requestId":"q-1"`) || !strings.Contains(page, `"scope":"orders"`) {
					t.Errorf("it is not the answer to the question: %s", page)
				}
				turns, err := s.Store.Turns(t.Context())
				if err != nil || len(turns) != 0 {
					t.Errorf("%d questions wait, %v", len(turns), err)
				}
			})
		}
	}
}

// A colleague who takes over cuts it: whoever streams is told at once, though the
// body has not ended, and nothing that comes after is shown or stored. Seen to
// fail by waiting for the end of the body.
func TestStreamedPush_isInterruptedByATakeover(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		t.Run(fmt.Sprint(tls), func(t *testing.T) {
			t.Parallel()
			s, c, l := watched(t, desktest.Options{TLS: tls})
			p := s.pushes(streamPath, c.gateway, eventType)
			p.writes("data: I can\n\n")
			l.until("stream-start")
			l.shown("I can")
			s.must(200, "POST", s.annsConversation()+"/takeover", c.maya, "")
			p.answered(200, "interrupted")
			_, _ = io.WriteString(p.body, "data: not be shown\n\n")
			l.finished(tandem.FinishInterrupted, "I can")
			s.must(201, "POST", s.annsConversation()+"/messages", c.maya, `{"content":"I am here"}`)
			if got := l.text("Chat"); got != "I am here" {
				t.Errorf("then %q", got)
			}
		})
	}
}

// While a colleague holds, all that is streamed becomes one draft, or is refused
// before a word of it is read; what is no speech passes. So it is when they take
// over before the first word. Seen to fail by a draft for each piece, and by
// dropping what was read before.
func TestStreamedPush_isOneDraftWhileHeld(t *testing.T) {
	t.Parallel()
	s, c, l := watched(t, desktest.Options{})
	drafts := func(want string) {
		t.Helper()
		var got struct {
			Conversation struct {
				Drafts []struct{ Content string }
			}
		}
		if err := json.Unmarshal([]byte(s.must(200, "GET", s.annsConversation(), c.maya, "")), &got); err != nil {
			t.Fatal(err)
		}
		texts := []string{}
		for _, d := range got.Conversation.Drafts {
			texts = append(texts, d.Content)
		}
		if strings.Join(texts, "|") != want {
			t.Errorf("drafts %q, want %q", texts, want)
		}
	}
	early := s.pushes(streamPath, c.gateway, linesType)
	early.writes("\n") // it is in its turn, and has no word yet
	until(t, func() bool { return len(s.pending()) == 1 })
	s.must(200, "POST", s.annsConversation()+"/takeover", c.maya, "")
	early.writes(`{"token":"before "}` + "\n" + `{"token":"the first"}`)
	early.body.Close()
	early.answered(200, "draft")
	drafts("before the first")

	p := s.pushes(streamPath, c.gateway, eventType)
	p.writes("data: {\"token\":\"one \"}\n\ndata: {\"data\":{\"eta\":5}}\n\n")
	if b := l.until("Data"); !strings.Contains(b.data, `"eta":5`) {
		t.Errorf("got %s", b.data)
	}
	p.writes("data: {\"reasoning\":\"hm\"}\n\ndata: {\"token\":\"draft\"}\n\n")
	s.must(200, "POST", s.annsConversation()+"/release", c.maya, `{"to":"queue"}`) // it came too late all the same
	p.body.Close()
	p.answered(200, "draft")
	drafts("before the first|one draft")

	refused := s.pushes(streamPath+"&requestId=q-1&onHeld=refuse", c.gateway, eventType) // asked before she took over
	if body := refused.answered(409, ""); !strings.Contains(body, `"controlEpoch":2`) {
		t.Errorf("refused with %s", body)
	}
	s.pushes(streamPath+"&controlEpoch=1&onHeld=refuse", c.gateway, linesType).answered(409, "")
	fresh := s.pushes(streamPath+"&controlEpoch=2", c.gateway, linesType)
	fresh.writes(`{"token":"fresh"}`)
	fresh.body.Close()
	fresh.answered(200, "delivered")
	l.until("stream-start")
	l.shown("fresh")
}

// pending are the questions and pushes that have no end yet.
func (s *site) pending() []int64 {
	s.t.Helper()
	turns, err := s.Store.Turns(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var all []int64
	for _, t := range turns {
		all = append(all, t.Question)
	}
	return all
}

// Whatever breaks it off, what was shown is kept and ends as an error, and who
// streamed is told why.
func TestStreamedPush_thatBreaksOffKeepsItsText(t *testing.T) {
	t.Parallel()
	const half = "{\"token\":\"half\"}\n"
	for name, c := range map[string]struct {
		end    func(*pushing)
		text   string
		status int
	}{
		"a line that is not JSON": {func(p *pushing) { p.writes("{\"token\":\n") }, "half", 400},
		"it says that it failed":  {func(p *pushing) { p.writes("{\"error\":\"secret words\"}\n") }, "half", 400},
		"too long":                {func(p *pushing) { p.writes(`{"token":"` + strings.Repeat("x", 256<<10-3) + `"}` + "\n") }, "half" + strings.Repeat("x", 256<<10-4), 413},
		"a line too long": {func(p *pushing) {
			_, _ = io.WriteString(p.body, `{"token":"`+strings.Repeat("x", 1<<20+10)+`"}`+"\n") // it is not read to its end
		}, "half", 413},
		"a silence":           {func(*pushing) {}, "half", 408},
		"who streams is gone": {func(p *pushing) { p.body.CloseWithError(io.ErrUnexpectedEOF) }, "half", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agents := pushAgent()
			if c.status == 408 {
				agents[0].Idle = 100 * time.Millisecond
			}
			s, crew, l := watched(t, desktest.Options{Agents: agents})
			p := s.pushes(streamPath, crew.gateway, linesType)
			p.writes(half)
			l.until("stream-start")
			l.shown("half")
			c.end(p)
			if len(c.text) > 4 {
				l.shown(c.text[4:])
			}
			l.finished(tandem.FinishError, c.text)
			if c.status == 0 {
				<-p.done
				return
			}
			if body := p.answered(c.status, ""); strings.Contains(body, "secret") {
				t.Errorf("answered %s", body)
			}
		})
	}
}

// At the limit it is whole; a body without a word is nothing at all.
func TestStreamedPush_atTheLimits(t *testing.T) {
	t.Parallel()
	s, c, l := watched(t, desktest.Options{})
	p := s.pushes(streamPath, c.gateway, eventType)
	text := strings.Repeat("x", 256<<10)
	p.writes("data: " + text + "\n\n")
	p.body.Close()
	l.until("stream-start")
	l.shown(text)
	l.finished(tandem.FinishStop, text)
	p.answered(200, "delivered")
	before := s.head(desktest.Address("ann"))
	empty := s.pushes(streamPath, c.gateway, eventType)
	empty.body.Close()
	empty.answered(200, "delivered")
	if s.head(desktest.Address("ann")) != before {
		t.Error("nothing was stored as something")
	}
}

// To the thread of a workflow that was handed the conversation: it is shown where
// the conversation is, token by token, and whole on both.
func TestStreamedPush_goesHome(t *testing.T) {
	t.Parallel()
	s, c, l := watched(t, desktest.Options{})
	s.must(200, "POST", outboundPath+"handoff", c.gateway, `{"workflow":"support","participantId":"ann","targetWorkflowType":"billing"}`)
	l.until("Handoff")
	there := s.listen(c.gateway, "workflow=billing&participantId=ann&tokens=true")
	there.until("connected")
	p := s.pushes(outboundPath+"chat?workflow=billing&participantId=ann", c.gateway, eventType)
	p.writes("data: from billing\n\n")
	l.until("stream-start")
	l.shown("from billing")
	p.body.Close()
	l.finished(tandem.FinishStop, "from billing")
	if got := there.text("Chat"); got != "from billing" {
		t.Errorf("there: %q", got)
	}
	p.answered(200, "delivered")
}

func TestStreamedPush_refusesWhatItCannotBe(t *testing.T) {
	t.Parallel()
	s, c, l := watched(t, desktest.Options{})
	bound := s.keyFor(auth.KeyRequest{Role: tandem.Agent, Name: "bound", Workflow: "support"})
	long := strings.Repeat("x", 257)
	before := s.head(desktest.Address("ann"))
	for _, in := range []struct {
		name, query, key string
		status           int
	}{
		{"no workflow", "participantId=ann", c.gateway, 400},
		{"no participant", "workflow=support", c.gateway, 400},
		{"an epoch that is no number", annsThread + "&controlEpoch=x", c.gateway, 400},
		{"what to do while held that there is not", annsThread + "&onHeld=wait", c.gateway, 400},
		{"a scope too long", annsThread + "&scope=" + long, c.gateway, 400},
		{"LF in the request id", annsThread + "&requestId=a%0Ab", c.gateway, 400},
		{"a malformed query", annsThread + "&%", c.gateway, 400},
		{"a reserved workflow", "workflow=$x&participantId=ann", c.gateway, 400},
		{"another tenant", annsThread + "&tenantId=acme", c.gateway, 403},
		{"another workflow than the key's", "workflow=billing&participantId=ann", bound, 403},
		{"a participant", annsThread, c.ann, 403},
		{"an operator", annsThread, c.maya, 403},
		{"nobody", annsThread, "", 401},
	} {
		r := s.request("POST", outboundPath+"chat?"+in.query, in.key, "data: x\n\n")
		r.Header.Set("Content-Type", eventType)
		if res, body := s.do(r); res.StatusCode != in.status {
			t.Errorf("%s: %d, want %d: %s", in.name, res.StatusCode, in.status, body)
		}
	}
	r := s.request("POST", streamPath, c.gateway, "data: x\n\n")
	r.Header.Set("Content-Type", eventType)
	r.Header.Set("Idempotency-Key", "k-1")
	if res, body := s.do(r); res.StatusCode != 400 || body != `"An answer that is streamed takes no Idempotency-Key."` {
		t.Errorf("with a key: %d %s", res.StatusCode, body)
	}
	if s.head(desktest.Address("ann")) != before {
		t.Error("something was stored")
	}
	// A key that is bound to a workflow cannot hand on beyond it, here either.
	p := s.pushes(streamPath, bound, linesType)
	p.writes(`{"token":"over"}` + "\n" + `{"handoff":"billing"}` + "\n")
	l.until("stream-start")
	l.shown("over")
	l.finished(tandem.FinishError, "over")
	p.answered(403, "")
}
