package agent_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
	"github.com/seed4677ff1f/tandem/internal/metric"
)

// A tally is a counter that can be read.
type tally struct {
	prometheus.Counter
	n atomic.Int32
}

func (c *tally) Inc() { c.n.Add(1) }

func (c *tally) agent() metric.Agent { return metric.Agent{Unknown: c} }

const (
	stream = "text/event-stream; charset=utf-8"
	lines  = "application/x-ndjson"
	text   = "text/plain; charset=utf-8"
	whole  = "application/json"
)

// A form is an answer as its parts arrive, and what is heard of it.
type form struct {
	name, contentType string
	parts             []string
	want              string
	unknown           int32
}

func (c form) run(t *testing.T) {
	var unknown tally
	a := open(t, agent.Config{URL: serve(t, streams(c.contentType, c.parts...)), Metric: unknown.agent()})
	got, err := ask(t, a, question())
	if got != c.want || err != nil {
		t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
	}
	if n := unknown.n.Load(); n != c.unknown {
		t.Errorf("%d unknown objects, want %d", n, c.unknown)
	}
}

func TestAnswer_readsEventStreams(t *testing.T) {
	chunk := func(delta string) string { return `data: {"choices":[{"index":0,"delta":{` + delta + `}}]}` + "\n\n" }
	for _, c := range []form{
		{"plain tokens keep all spaces but the first", stream, []string{"data: Hello\n\n", "data:  world\n\n", "data:.\n\n", "data:   two \n\n"}, "Hello world.  two ", 0},
		{"several data lines are joined", stream, []string{"data: one\ndata: two\ndata:\n\n", "data\n\n", "data: three\n\n"}, "one\ntwo\nthree", 0},
		{"line ends of all three kinds", stream, []string{"data: one\r\n\r\ndata: ", " two\r\rdata: three\n\n"}, "one twothree", 0},
		{"text stays text", stream, []string{"data: Look\n\n", "data: {\"token\":\"x\"}\n\n", "data: {\"handoff\":{\"to\":\"person\"}}\n\n"}, `Look{"token":"x"}{"handoff":{"to":"person"}}`, 0},
		{"an empty line fixes nothing", stream, []string{": hello\n\n", "data:\n\n", "data: {\"token\":\"x\"}\n\n"}, "x", 0},
		{"what is nearly JSON is text", stream, []string{"data: {not json}\n\n", "data: {\"token\":\"x\"}\n\n"}, `{not json}{"token":"x"}`, 0},
		{"a number, a string, a list are text", stream, []string{"data: 42\n\n", "data: \"a\"\n\n", "data: [1]\n\n"}, `42"a"[1]`, 0},
		{"nothing after the end", stream, []string{"data: one\n\ndata: [DONE]\n\n", "data: two\n\n"}, "one", 0},
		{"only exactly the end is the end", stream, []string{"data: a\n\ndata:  [DONE]\n\n", "data: b\n\n"}, "a [DONE]b", 0},
		{"the end alone", stream, []string{"data: [DONE]\n\n"}, "", 0},
		{"bytes that are no text", stream, []string{"data: a\xffb\n\n"}, "a\uFFFDb", 0},
		{"every key of text", stream, []string{`data: {"token":"1"}` + "\n\n", `data: {"delta":"2"}` + "\n\n", `data: {"content":"3"}` + "\n\n", `data: {"text":"4"}` + "\n\n", `data: {"answer":"5"}` + "\n\n"}, "12345", 0},
		{"the first key that is a string", stream, []string{`data: {"token":{"id":5},"text":"a","answer":"b"}` + "\n\n", `data: {"token":null,"text":""}` + "\n\n"}, "a", 0},
		{
			"everything but text", stream,
			[]string{`data: {"reasoning":"hm"}` + "\n\n", `data: {"tool":{"name":"look up"}}` + "\n\n", `data: {"data":[1, 2]}` + "\n\n", `data: {"sources":"A, B"}` + "\n\n"},
			`[reasoning "hm"][tool {"name":"look up"}][data [1, 2]][sources A, B]`, 0,
		},
		{"sources as a list", stream, []string{`data: {"sources":["A",{"title":"B"},{"url":"C"},{"x":1},7]}` + "\n\n"}, "[sources A, B, C]", 0},
		{
			"all at once", stream,
			[]string{`data: {"handoff":{"to":"billing","reason":"money","urgency":"critical"},"text":"Wait","sources":["A"],"reasoning":{"a":1}}` + "\n\n"},
			`[reasoning {"a":1}]Wait[sources A][handoff billing CRITICAL "money"]`, 0,
		},
		{
			"a handoff that says little", stream,
			[]string{`data: {"handoff":"person"}` + "\n\n", `data: {"handoff":{}}` + "\n\n", `data: {"handoff":{"urgency":"very","reason":7}}` + "\n\n"},
			strings.Repeat(`[handoff person NORMAL ""]`, 3), 0,
		},
		{"what is unknown is counted", stream, []string{`data: {"type":"start"}` + "\n\n", `data: {"token":7}` + "\n\n", `data: {"data":null,"error":null,"sources":[]}` + "\n\n", "data: ping\n\n", `data: {"token":"x"}` + "\n\n"}, "x", 4},
		{"chunks", stream, []string{chunk(`"role":"assistant","content":""`), chunk(`"content":"one"`), chunk(`"content":" two"`), "data: [DONE]\n\n"}, "one two", 0},
		{"only the first choice", stream, []string{`data: {"choices":[{"index":1,"delta":{"content":"x"}},{"index":0,"delta":{"content":"y"}}]}` + "\n\n", "data: [DONE]\n\n"}, "y", 0},
		{"a refusal", stream, []string{chunk(`"refusal":"I cannot"`), "data: [DONE]\n\n"}, "I cannot", 0},
		{
			"reasoning is one piece", stream,
			[]string{chunk(`"reasoning_content":"h"`), chunk(`"reasoning_content":"m"`), chunk(`"content":"yes"`), chunk(`"reasoning":"more"`), "data: [DONE]\n\n"},
			`[reasoning "hm"]yes[reasoning "more"]`, 0,
		},
		{"usage and empty chunks", stream, []string{`data: {"choices":[]}` + "\n\n", chunk(`"content":"a"`), chunk(`"content":null`), `data: {"choices":[],"usage":{"total_tokens":3}}` + "\n\n", "data: [DONE]\n\n"}, "a", 0},
		{"a function that an http agent was not offered", stream, []string{chunk(`"tool_calls":[{"index":0,"function":{"name":"ask_a_person","arguments":"{}"}}]`), "data: [DONE]\n\n"}, "", 1},
	} {
		t.Run(c.name, c.run)
	}
}

func TestAnswer_readsTheOtherForms(t *testing.T) {
	for _, c := range []form{
		{"lines", lines, []string{"{\"token\":\"one\"}\n{\"tok", "en\":\" two\"}\r\n\n{\"x\":1}\n5\n", "{\"handoff\":\"person\"}"}, `one two[handoff person NORMAL ""]`, 2},
		{"lines have an end too", lines, []string{"{\"token\":\"one\"}\n[DONE]\n{\"token\":\"two\"}\n"}, "one", 0},
		{"text is never looked at", text, []string{"data: a\n\n", "[DONE]", `{"token":"x"}`}, `data: a` + "\n\n" + `[DONE]{"token":"x"}`, 0},
		{"runes that are split", text, []string{"h\xc3", "\xa9 \xf0", "\x9f", "\x98", "\x80 \xe2\x82", "\xac"}, "hé 😀 €", 0},
		{"runes that never end", text, []string{"a\xe2\x82", "b\xf0\x9f"}, "a\uFFFD\uFFFDb\uFFFD\uFFFD", 0},
		{"no text at all", text, nil, "", 0},
		{"a whole object", whole, []string{`{"answer":"Yes","sources":["A"],"data":{"a":1}}`}, `[data {"a":1}]Yes[sources A]`, 0},
		{"a whole string", whole, []string{` "Yes\n\u00e9" `}, "Yes\né", 0},
		{"a whole completion", whole, []string{`{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Yes","reasoning_content":"hm"},"finish_reason":"stop"}]}`}, `[reasoning "hm"]Yes`, 0},
	} {
		t.Run(c.name, c.run)
	}
}

// Every piece is whole runes: what follows cuts and counts by them.
func TestAnswer_neverSplitsARune(t *testing.T) {
	var parts []string
	for _, b := range []byte(strings.Repeat("aé€😀", 50)) {
		parts = append(parts, string([]byte{b}))
	}
	a := open(t, agent.Config{URL: serve(t, streams("text/plain", parts...))})
	var all strings.Builder
	err := a.Reply(t.Context(), question(), func(p tandem.Piece) error {
		if strings.ContainsRune(p.Text, '\uFFFD') || p.Text == "" {
			t.Errorf("a piece is %q", p.Text)
		}
		all.WriteString(p.Text)
		return nil
	})
	if err != nil || all.String() != strings.Repeat("aé€😀", 50) {
		t.Errorf("got %q, %v", all.String(), err)
	}
}

func TestAnswer_boundsOneEvent(t *testing.T) {
	const most = 1 << 20
	token := func(n int) string { return `{"token":"` + strings.Repeat("x", n-len(`{"token":""}`)) + `"}` }
	for _, c := range []struct {
		name, contentType string
		body              func(n int) string
		shown             int // of n bytes
	}{
		{"an event's data", "text/event-stream", func(n int) string {
			return "data: " + strings.Repeat("x", n/2) + "\ndata: " + strings.Repeat("x", n-n/2-1) + "\n\n"
		}, 0},
		{"a line of an event stream", "text/event-stream", func(n int) string { return "data: " + strings.Repeat("x", n-6) + "\n\n" }, 6},
		{"a line", "application/x-ndjson", func(n int) string { return token(n) + "\n" }, len(`{"token":""}`)},
		{"a document", "application/json", token, len(`{"token":""}`)},
	} {
		for n, ok := range map[int]bool{most: true, most + 1: false} {
			a := open(t, agent.Config{URL: serve(t, streams(c.contentType, c.body(n)))})
			got, err := ask(t, a, question())
			if ok && (err != nil || len(got) != n-c.shown) {
				t.Errorf("%s of %d bytes: got %d, %v", c.name, n, len(got), err)
			}
			if !ok && (tandem.KindOf(err) != tandem.TooLarge || got != "") {
				t.Errorf("%s of %d bytes: got %d, %v", c.name, n, len(got), err)
			}
		}
	}
}
