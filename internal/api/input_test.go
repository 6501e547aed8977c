package api_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// Whatever comes in, it is refused with the status that says why, in the form of
// its face, and nothing of it is stored, here or elsewhere. Every answer is held
// against the specification. Seen to fail by storing what json.Unmarshal makes of
// invalid UTF-8, and by cutting over-long values.
func TestInput_isRefusedAndNothingIsStored(t *testing.T) {
	s := open(t, desktest.Options{})
	k := inputKeys{
		ann: s.key("ann"), agent: s.Key(tandem.Agent), operator: s.Key(tandem.Operator),
		bound:   s.keyFor(auth.KeyRequest{Role: tandem.Agent, Name: "bound", Workflow: "billing"}),
		foreign: s.keyFor(auth.KeyRequest{Tenant: "acme", Role: tandem.Agent, Name: "foreign"}),
	}
	s.send(k.ann, "ann", "Chat", "the only one", "")
	threads := []tandem.Address{
		desktest.Address("ann"),
		{Tenant: "acme", Workflow: "support", Participant: "ann"},
		{Tenant: "default", Workflow: "billing", Participant: "ann"},
		{Tenant: "default", Workflow: "acme:support", Participant: "ann"},
	}
	before := make([]int64, len(threads))
	for i, a := range threads {
		before[i] = s.head(a)
	}

	for _, c := range slices.Concat(badPosts(k), badPushes(k), badReads(k)) {
		res, body := s.ask(c.method, c.path, c.key, c.body)
		if res.StatusCode != c.status {
			t.Errorf("%s: %d, want %d: %s", c.name, res.StatusCode, c.status, body)
		}
		if len(body) > 300 {
			t.Errorf("%s: %d bytes are answered", c.name, len(body))
		}
	}
	for i, a := range threads {
		if got := s.head(a); got != before[i] {
			t.Errorf("on %v something was stored", a)
		}
	}
}

// inputKeys are the credentials that bad input comes with.
type inputKeys struct{ ann, agent, operator, bound, foreign string }

// badInput is a request and the status that refuses it.
type badInput struct {
	name, method, path, key, body string
	status                        int
}

// deepJSON is nested by n levels.
func deepJSON(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func badPosts(k inputKeys) []badInput {
	long, deep := strings.Repeat("x", 257), deepJSON(65)
	bottomless := strings.Repeat("[", 200_000)
	send := func(more string) string { return "/api/user/rest/send?" + annsThread + "&type=Chat&text=x" + more }
	named := func(name, value string) string {
		q := url.Values{"workflow": {"support"}, "participantId": {"ann"}, "type": {"Chat"}, "text": {"x"}}
		q.Set(name, value)
		return "/api/user/rest/send?" + q.Encode()
	}
	return []badInput{
		{"malformed JSON as data", "POST", send(""), k.ann, `{"a":`, 400},
		{"two values as data", "POST", send(""), k.ann, `{} {}`, 400},
		{"deep JSON as data", "POST", send(""), k.ann, deep, 400},
		{"bottomless JSON as data", "POST", send(""), k.ann, bottomless, 400},
		{"invalid UTF-8 as data", "POST", send(""), k.ann, "\"\xff\"", 400},
		{"a malformed query", "POST", "/api/user/rest/send?" + annsThread + "&type=Chat&text=%zz", k.ann, "", 400},
		{"a semicolon in the query", "POST", send(";type=Data"), k.ann, "", 400},
		{"invalid UTF-8 as text", "POST", named("text", "\xff"), k.ann, "", 400},
		{"a text too long", "POST", named("text", strings.Repeat("ü", 8001)), k.ann, "", 400},
		{"a type that there is not", "POST", named("type", "Sticker"), k.ann, "", 400},
		{"a workflow too long", "POST", named("workflow", long), k.agent, "", 400},
		{"a participant too long", "POST", named("participantId", long), k.agent, "", 400},
		{"a reserved workflow", "POST", named("workflow", "$session"), k.agent, "", 400},
		{"a reserved workflow by its id", "POST", named("workflow", "default:$session"), k.agent, "", 400},
		{"CR and LF in the workflow", "POST", named("workflow", "support\r\nevent: x"), k.agent, "", 400},
		{"LF in the participant", "POST", named("participantId", "ann\nid: 1"), k.agent, "", 400},
		{"NUL in the participant", "POST", named("participantId", "ann\x00"), k.agent, "", 400},
		{"LF in the request id", "POST", named("requestId", "a\nb"), k.ann, "", 400},
		{"CR in the scope", "POST", named("scope", "a\rb"), k.ann, "", 400},
		{"a scope too long", "POST", named("scope", long), k.ann, "", 400},
		{"a line separator in the hint", "POST", named("hint", "a\u2028b"), k.ann, "", 400},
		{"an unknown tenant", "POST", named("tenantId", "nobody"), k.ann, "", 403},
		{"another tenant", "POST", named("tenantId", "acme"), k.ann, "", 403},
		{"another participant", "POST", named("participantId", "bob"), k.ann, "", 403},
		{"another tenant's key for this tenant", "POST", named("tenantId", "default"), k.foreign, "", 403},
		{"another workflow than the key's", "POST", send(""), k.bound, "", 403},
		{"no credential", "POST", send(""), "", "", 401},
		{"a JWT of nobody", "POST", send(""), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.", "", 401},
		{"a wrong method", "GET", send(""), k.ann, "", 405},
	}
}

func badPushes(k inputKeys) []badInput {
	long, deep := strings.Repeat("x", 257), deepJSON(65)
	bottomless := strings.Repeat("[", 200_000)
	const push = "/api/agent/conversation/outbound/"
	to := func(more string) string { return `{"workflow":"support","participantId":"ann",` + more + `}` }
	return []badInput{
		{"push: malformed JSON", "POST", push + "chat", k.agent, `{"workflow":"support",`, 400},
		{"push: nothing", "POST", push + "chat", k.agent, "", 400},
		{"push: a list", "POST", push + "data", k.agent, `[]`, 400},
		{"push: a number as text", "POST", push + "chat", k.agent, to(`"text":7`), 400},
		{"push: an object as scope", "POST", push + "chat", k.agent, to(`"text":"x","scope":{}`), 400},
		{"push: invalid UTF-8", "POST", push + "chat", k.agent, to("\"text\":\"\xc3\x28\""), 400},
		{"push: deep JSON", "POST", push + "data", k.agent, to(`"data":` + deep), 400},
		{"push: bottomless JSON", "POST", push + "data", k.agent, to(`"data":` + bottomless), 400},
		{"push: LF in the participant", "POST", push + "chat", k.agent, `{"workflow":"support","participantId":"a\nid: 7-x","text":"x"}`, 400},
		{"push: CR in the request id", "POST", push + "chat", k.agent, to(`"text":"x","requestId":"a\rb"`), 400},
		{"push: a workflow too long", "POST", push + "chat", k.agent, `{"workflow":"` + long + `","participantId":"ann","text":"x"}`, 400},
		{"push: a reserved workflow", "POST", push + "chat", k.agent, `{"workflow":"$x","participantId":"ann","text":"x"}`, 400},
		{"push: another tenant", "POST", push + "chat", k.agent, to(`"text":"x","tenantId":"acme"`), 403},
		{"push: another workflow than the key's", "POST", push + "chat", k.bound, to(`"text":"x"`), 403},
		{"push: a text too long", "POST", push + "chat", k.agent, to(`"text":"` + strings.Repeat("x", 256<<10+1) + `"`), 413},
		{"push: a body too large", "POST", push + "chat", k.agent, to(`"text":"` + strings.Repeat("x", 1<<20) + `"`), 413},
		{"push: another tenant in the query", "POST", push + "chat?tenantId=acme", k.agent, to(`"text":"x"`), 403},
		{"push: a file that is a script", "POST", push + "file", k.agent, to(`"data":{"url":"JavaScript:alert(1)"}`), 400},
		{"push: a file that is a hidden script", "POST", push + "file", k.agent, to(`"data":{"url":" java\tscript:alert(1)"}`), 400},
		{"push: a file that is data", "POST", push + "file", k.agent, to(`"data":{"url":"data:text/html,x"}`), 400},
		{"push: a file that is a string", "POST", push + "file", k.agent, to(`"data":"https://x"`), 400},
		{"push: what to do while held that there is not", "POST", push + "chat", k.agent, to(`"text":"x","onHeld":"wait"`), 400},
		{"push: an epoch that is no number", "POST", push + "chat", k.agent, to(`"text":"x","controlEpoch":"1"`), 400},
		{"push: an epoch that is not whole", "POST", push + "chat", k.agent, to(`"text":"x","controlEpoch":1.5`), 400},
		{"push: spoken that is no boolean", "POST", push + "chat", k.agent, to(`"text":"x","spoken":"yes"`), 400},
		{"push: no kind of push", "POST", push + "sticker", k.agent, to(`"text":"x"`), 404},
		{"handoff: to itself", "POST", push + "handoff", k.agent, to(`"targetWorkflowType":"support"`), 400},
		{"handoff: to a reserved workflow", "POST", push + "handoff", k.agent, to(`"targetWorkflowId":"default:$x"`), 400},
		{"handoff: to somebody", "POST", push + "handoff", k.agent, to(`"to":"somebody"`), 400},
		{"handoff: to two at once", "POST", push + "handoff", k.agent, to(`"to":"person","targetWorkflowType":"billing"`), 400},
		{"handoff: an urgency that there is not", "POST", push + "handoff", k.agent, to(`"to":"person","urgency":"YESTERDAY"`), 400},
		{"handoff: a reason too long", "POST", push + "handoff", k.agent, to(`"to":"person","reason":"` + strings.Repeat("x", 1001) + `"`), 400},
		{"handoff: data that is a list", "POST", push + "handoff", k.agent, to(`"to":"person","data":[]`), 400},
		{"handoff: beyond the key's workflow", "POST", push + "handoff", k.bound, `{"workflow":"billing","participantId":"ann","targetWorkflowType":"support"}`, 403},
	}
}

func badReads(k inputKeys) []badInput {
	long := strings.Repeat("x", 257)
	return []badInput{
		{"history: a page that is no number", "GET", "/api/user/rest/history?" + annsThread + "&page=x", k.ann, "", 400},
		{"history: page 0", "GET", "/api/user/rest/history?" + annsThread + "&page=0", k.ann, "", 400},
		{"history: a page beyond counting", "GET", "/api/user/rest/history?" + annsThread + "&page=99999999999999999999", k.ann, "", 400},
		{"history: a page size of nothing", "GET", "/api/user/rest/history?" + annsThread + "&pageSize=-1", k.ann, "", 400},
		{"history: another tenant's", "GET", "/api/user/rest/history?" + annsThread + "&tenantId=acme", k.agent, "", 403},
		{"ticket: malformed JSON", "POST", "/api/auth/tickets", k.ann, `{"for":`, 400},
		{"ticket: a wrong type", "POST", "/api/auth/tickets", k.ann, `{"for":["stream"]}`, 400},
		{"list: another tenant", "GET", "/api/conversations?tenantId=acme", k.operator, "", 403},
		{"list: a cursor of nobody", "GET", "/api/conversations?cursor=zzz", k.operator, "", 400},
		{"list: an urgency that there is not", "GET", "/api/conversations?urgency=YESTERDAY", k.operator, "", 400},
		{"list: a limit of nothing", "GET", "/api/conversations?limit=0", k.operator, "", 400},
		{"list: a participant", "GET", "/api/conversations", k.ann, "", 403},
		{"stream: a scope too long", "GET", "/api/user/sse/events?" + annsThread + "&scope=" + long, k.ann, "", 400},
		{"stream: a heartbeat beyond counting", "GET", "/api/user/sse/events?" + annsThread + "&heartbeatSeconds=1e9", k.ann, "", 400},
		{"stream: a malformed query", "GET", "/api/user/sse/events?" + annsThread + "&%", k.ann, "", 400},
		{"feed: no workflow", "GET", "/api/agent/events", k.agent, "", 400},
		{"feed: a reserved workflow", "GET", "/api/agent/events?workflow=$sessions", k.agent, "", 400},
		{"feed: LF in the workflow", "GET", "/api/agent/events?workflow=a%0Ab", k.agent, "", 400},
		{"feed: a workflow too long", "GET", "/api/agent/events?workflow=" + long, k.agent, "", 400},
		{"feed: a malformed query", "GET", "/api/agent/events?workflow=support&%", k.agent, "", 400},
		{"feed: a heartbeat that is no number", "GET", "/api/agent/events?workflow=support&heartbeatSeconds=often", k.agent, "", 400},
		{"feed: a participant", "GET", "/api/agent/events?workflow=support", k.ann, "", 403},
		{"feed: an operator", "GET", "/api/agent/events?workflow=support", k.operator, "", 403},
		{"feed: another workflow than the key's", "GET", "/api/agent/events?workflow=support", k.bound, "", 403},
		{"feed: another tenant", "GET", "/api/agent/events?workflow=support&tenantId=acme", k.agent, "", 403},
		{"feed: no credential", "GET", "/api/agent/events?workflow=support", "", "", 401},
		{"stream: no path for it", "POST", "/api/user/sse/events?" + annsThread, k.ann, "", 405},
	}
}

// One less than too much is taken: at the limits, and not short of them.
func TestInput_atTheLimitsIsTaken(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	ann, agent := s.key("ann"), s.Key(tandem.Agent)
	name := strings.Repeat("ü", 128) // bytes count
	q := url.Values{
		"workflow": {name}, "participantId": {name}, "type": {"chat"}, "text": {strings.Repeat("ü", 8000)},
		"requestId": {name}, "scope": {name}, "hint": {name},
	}
	deep := strings.Repeat("[", 64) + strings.Repeat("]", 64)
	if res, body := s.ask("POST", "/api/user/rest/send?"+q.Encode(), agent, deep); res.StatusCode != 200 {
		t.Errorf("send: %d %s", res.StatusCode, body)
	}
	fill := func(size int) string {
		const around = len(`{"workflow":"support","participantId":"ann","data":""}`)
		return `{"workflow":"support","participantId":"ann","data":"` + strings.Repeat("x", size-around) + `"}`
	}
	for size, status := range map[int]int{1 << 20: 200, 1<<20 + 1: 413} {
		if res, body := s.ask("POST", "/api/agent/conversation/outbound/data", agent, fill(size)); res.StatusCode != status {
			t.Errorf("a body of %d bytes: %d %s", size, res.StatusCode, body)
		}
	}
	if res, body := s.ask("POST", "/api/agent/conversation/outbound/chat", agent, `{"workflow":"support","participantId":"ann","text":"`+strings.Repeat("x", 256<<10)+`"}`); res.StatusCode != 200 {
		t.Errorf("a long push: %d %s", res.StatusCode, body)
	}
	if res, body := s.ask("GET", "/api/user/rest/history?"+annsThread+"&pageSize=100000", ann, ""); res.StatusCode != 200 || strings.Count(body, `"id":"msg_`) != 2 {
		t.Errorf("history: %d", res.StatusCode)
	}
}

// A tenant's prefix counts only if it is one's own; any other is part of a name.
func TestInput_aForeignTenantsPrefixIsPartOfAType(t *testing.T) {
	s := open(t, desktest.Options{})
	acme := s.keyFor(auth.KeyRequest{Tenant: "acme", Role: tandem.Agent, Name: "acme"})
	l := s.listen(acme, "workflow=support&participantId=ann&echo=true")
	l.until("connected")
	if res, body := s.ask("POST", "/api/user/rest/send?workflow=acme:support&participantId=ann&type=Chat&text=x", s.Key(tandem.Agent), ""); res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	if n := s.head(tandem.Address{Tenant: "acme", Workflow: "support", Participant: "ann"}); n != 0 {
		t.Error("it was stored in another tenant")
	}
	if n := s.head(tandem.Address{Tenant: "default", Workflow: "acme:support", Participant: "ann"}); n == 0 {
		t.Error("it was not stored where it belongs")
	}
}
