package agent_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
)

const done = "data: [DONE]\n\n"

func TestOpenAI_sendsTheConversation(t *testing.T) {
	requests := make(chan string, 1)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		requests <- r.URL.RequestURI() + " " + r.Header.Get("Authorization") + r.Header.Get("Webhook-Id") + "\n" + string(b)
		streams("text/event-stream", done)(w, r)
	})
	a := open(t, agent.Config{URL: "openai+" + url + "/v1?model=m&v=2", Key: "sk-1", Secret: secret, System: "Be kind.", HandoffTool: true})
	q := question()
	q.History = []tandem.Turn{
		{Role: tandem.RoleUser, Content: "Hello", Name: "Ann"},
		{Role: tandem.RoleAssistant, Content: "Hello."},
		{Role: tandem.RoleAssistant, Content: ""}, // cut before its first token; some servers refuse it
		{Role: tandem.RoleOperator, Content: "Maya here.", Name: "Maya <b> Ö."},
		{Role: tandem.RoleOperator, Content: "Still here."},
		{Role: tandem.RoleSystem, Content: "Offer a refund."},
	}
	if _, err := ask(t, a, q); err != nil {
		t.Fatal(err)
	}
	const want = `/v1/chat/completions?v=2 Bearer sk-1` + "\n" +
		`{"model":"m","messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Hello"},{"role":"assistant","content":"Hello."},` +
		`{"role":"assistant","name":"Maya__b__Ö.","content":"Maya here."},{"role":"assistant","name":"Support","content":"Still here."},` +
		`{"role":"system","content":"Offer a refund."},{"role":"user","content":"Where is my parcel?\n\n{\"order\":7}"}],"stream":true,"tools":`
	got := <-requests
	if !strings.HasPrefix(got, want) || !json.Valid([]byte(got[strings.Index(got, "\n"):])) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !strings.Contains(got, `"name":"ask_a_person"`) {
		t.Error("nobody can be asked for")
	}

	// Asking again would do nothing, and say nothing to the user.
	q.Mode = tandem.ModeWaiting
	if _, err := ask(t, a, q); err != nil {
		t.Fatal(err)
	}
	if got := <-requests; strings.Contains(got, "tools") {
		t.Errorf("while waiting: %s", got)
	}
	without := open(t, agent.Config{URL: "openai+" + url + "/v1?model=m"})
	if _, err := ask(t, without, question()); err != nil {
		t.Fatal(err)
	}
	if got := <-requests; strings.Contains(got, "tools") || !strings.HasPrefix(got, "/v1/chat/completions \n") {
		t.Errorf("without the tool and a key: %s", got)
	}
}

func TestOpenAI_handsOver(t *testing.T) {
	calls := func(list string) string {
		return `data: {"choices":[{"index":0,"delta":{"tool_calls":[` + list + `]}}]}` + "\n\n"
	}
	const reason = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\n"
	for _, c := range []struct {
		name    string
		parts   []string
		want    string
		unknown int32
	}{
		{"arguments in fragments", []string{
			`data: {"choices":[{"index":0,"delta":{"content":"One moment."}}]}` + "\n\n",
			calls(`{"index":0,"id":"c1","type":"function","function":{"name":"ask_a_person","arguments":""}}`),
			calls(`{"index":0,"function":{"arguments":"{\"reason\":\"a re"}}`),
			calls(`{"index":0,"function":{"arguments":"fund\",\"urgency\":\"URGENT\"}"}}`), reason, done,
		}, `One moment.[handoff person URGENT "a refund"]`, 0},
		{"calls that interleave", []string{
			calls(`{"index":0,"id":"c1","function":{"name":"look_up","arguments":"{"}},{"index":1,"id":"c2","function":{"name":"ask_a_person","arguments":"{\"rea"}}`),
			calls(`{"index":1,"function":{"arguments":"son\":\"b\"}"}},{"index":0,"function":{"arguments":"}"}}`), reason,
		}, `[handoff person NORMAL "b"]`, 1},
		{"no index", []string{
			calls(`{"id":"c1","function":{"name":"look_up","arguments":"{}"}}`),
			calls(`{"id":"c2","function":{"name":"ask_a_person","arguments":"{\"reason\":"}}`),
			calls(`{"function":{"arguments":"\"c\"}"}}`), done,
		}, `[handoff person NORMAL "c"]`, 1},
		{"one index for all", []string{
			calls(`{"index":0,"id":"c1","function":{"name":"look_up","arguments":"{}"}}`),
			calls(`{"index":0,"id":"c2","function":{"name":"ask_a_person","arguments":"{\"reason\":\"d\"}"}}`), done,
		}, `[handoff person NORMAL "d"]`, 1},
		{"asked twice", []string{
			calls(`{"index":0,"function":{"name":"ask_a_person","arguments":"{\"reason\":\"e\"}"}},{"index":1,"function":{"name":"ask_a_person","arguments":"{}"}}`), done,
		}, `[handoff person NORMAL "e"]`, 0},
		{"arguments that cannot be read", []string{calls(`{"index":0,"function":{"name":"ask_a_person","arguments":"{\"reason\":"}}`), done}, `[handoff person NORMAL ""]`, 0},
		{"arguments as an object", []string{calls(`{"index":0,"function":{"name":"ask_a_person","arguments":{"reason":"f","to":"x"}}}`), done}, `[handoff person NORMAL "f"]`, 0},
		{"only another function", []string{calls(`{"index":0,"function":{"name":"rm","arguments":"{}"}}`), done}, "", 1},
		{"choices that are none", []string{`data: {"choices":"x"}` + "\n\n", done}, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var unknown tally
			url := "openai+" + serve(t, streams("text/event-stream", c.parts...)) + "/v1?model=m"
			got, err := ask(t, open(t, agent.Config{URL: url, HandoffTool: true, Metric: unknown.agent()}), question())
			if got != c.want || err != nil {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
			if n := unknown.n.Load(); n != c.unknown {
				t.Errorf("%d unknown, want %d", n, c.unknown)
			}
			off, err := ask(t, open(t, agent.Config{URL: url}), question())
			if strings.Contains(off, "handoff") || err != nil {
				t.Errorf("not offered: got %s, %v", off, err)
			}
		})
	}
	// A call that was cut off is not one.
	url := "openai+" + serve(t, streams("text/event-stream", calls(`{"index":0,"function":{"name":"ask_a_person","arguments":"{}"}}`))) + "/v1?model=m"
	if got, err := ask(t, open(t, agent.Config{URL: url, HandoffTool: true}), question()); got != "" || tandem.KindOf(err) != tandem.Unavailable {
		t.Errorf("cut off: got %s, %v", got, err)
	}
}
