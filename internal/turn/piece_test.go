package turn

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"pgregory.net/rapid"

	tandem "github.com/seed4677ff1f/tandem"
)

// pieces is an agent that says these pieces.
func pieces(all ...tandem.Piece) replies {
	return func(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
		for _, p := range all {
			if err := emit(p); err != nil {
				return err
			}
		}
		return nil
	}
}

// Seen to fail by emitting the tail with each piece.
func TestText_isWholeRunesWhereverItWasCut(t *testing.T) {
	const text = "नमस्ते €5 👍🏽 \x80ok\xff"
	const want = "नमस्ते €5 👍🏽 \uFFFDok\uFFFD"
	var single []string
	for i := range len(text) {
		single = append(single, text[i:i+1])
	}
	b := with(t, replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		if q.Message == "half" {
			return says("half a rune: \xe2\x82")(ctx, q, emit)
		}
		return says(single...)(ctx, q, emit)
	}))
	a := who("ann")
	b.ask(a, "q")
	b.wants(a, "user:q | start | stop:"+want)
	b.ask(who("bob"), "half")
	b.wants(who("bob"), "user:half | start | stop:half a rune: \uFFFD\uFFFD")
}

// However text is cut into pieces, the joined runes are the same.
func TestJoiner_doesNotDependOnTheCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\xe2", "\x82\xac", "\xff", "\xf0\x9f", "\x91", "\x8d", "é"}))).Draw(t, "parts")
		var j joiner
		got := ""
		for _, p := range parts {
			s := j.add(p)
			if !utf8.ValidString(s) {
				t.Fatalf("%q is not whole", s)
			}
			got += s
		}
		got += j.rest()
		if want := string([]rune(strings.Join(parts, ""))); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

// At the limit and one byte past it, in one piece and in several, and where the
// limit is inside of a rune.
func TestAnswer_thatIsTooLongIsCutAndKept(t *testing.T) {
	cases := []struct {
		name   string
		tokens []string
		want   string
	}{
		{"just fits", []string{"12345678"}, "stop:12345678"},
		{"just fits, in parts", []string{"1234", "5678"}, "stop:12345678"},
		{"one more", []string{"123456789"}, "error:12345678"},
		{"one more, in parts", []string{"12345678", "9", "0"}, "error:12345678"},
		{"a rune across the limit", []string{"123456", "€uro"}, "error:123456"},
		{"a rune across it in the first piece", []string{"1234567€"}, "error:1234567"},
	}
	limits := tandem.DefaultLimits()
	limits.Answer = 8
	b := start(t, Options{Limits: limits, Agents: []Spec{spec(replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		for _, c := range cases {
			if c.name == q.Message {
				return says(c.tokens...)(ctx, q, emit)
			}
		}
		return nil
	}))}})
	for _, c := range cases {
		b.ask(who(c.name), c.name)
		b.wants(who(c.name), "user:"+c.name+" | start | "+c.want)
	}
}

func TestAnswer_withoutTextLeavesNoAnswer(t *testing.T) {
	b := with(t, pieces(tandem.Piece{}, tandem.Piece{Sources: "x"}))
	b.ask(who("ann"), "q")
	b.wants(who("ann"), "user:q")
}

// Data, reasoning and tools become messages of their own, in order with the text.
func TestPieces_becomeMessagesOfTheirOwn(t *testing.T) {
	b := with(t, pieces(
		tandem.Piece{Reasoning: json.RawMessage(`"hm"`)}, tandem.Piece{Text: "one "}, tandem.Piece{Data: json.RawMessage(`{"a":1}`)},
		tandem.Piece{Text: "two"}, tandem.Piece{Tool: json.RawMessage(`{"t":2}`)},
	))
	a := who("ann")
	q := b.ask(a, "q", func(m *tandem.Message, _ *storeTurn) { m.Scope = "s" })
	b.wants(a, `user:q | Reasoning:"hm" | start | Data:{"a":1} | Tool:{"t":2} | stop:one two`)
	m := body[tandem.Message](t, b.log(a)[3])
	if m.Direction != tandem.Outgoing || m.Role != tandem.RoleAssistant || m.Name != "bot" || m.RequestID != "req-"+q.id || m.Scope != "s" || m.Conversation == "" {
		t.Errorf("data is %+v", m)
	}
}

// What cannot be stored ends the answer; nothing of it is stored. At the limit it
// can.
func TestPieces_thatCannotBeStoredEndTheAnswer(t *testing.T) {
	deep := func(n int) json.RawMessage {
		return json.RawMessage(strings.Repeat(`[`, n) + strings.Repeat(`]`, n))
	}
	cases := []struct {
		name string
		data json.RawMessage
		want string
	}{
		{"as deep as may be", deep(3), "Data:[[[]]] | stop:ab"},
		{"too deep", deep(4), "error:a"},
		{"brackets in a string", json.RawMessage(`"[[[\"[[[["`), `Data:"[[[\"[[[[" | stop:ab`},
		{"as long as may be", json.RawMessage(`"` + strings.Repeat("x", 14) + `"`), `Data:"xxxxxxxxxxxxxx" | stop:ab`},
		{"too long", json.RawMessage(`"` + strings.Repeat("x", 15) + `"`), "error:a"},
		{"no JSON", json.RawMessage(`{`), "error:a"},
	}
	b := start(t, Options{Limits: tandem.Limits{Answer: 16, Depth: 3}, Agents: []Spec{spec(replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		for _, c := range cases {
			if c.name == q.Message {
				return pieces(tandem.Piece{Text: "a"}, tandem.Piece{Data: c.data}, tandem.Piece{Text: "b"})(ctx, q, emit)
			}
		}
		return nil
	}))}})
	for _, c := range cases {
		b.ask(who(c.name), c.name)
		b.wants(who(c.name), "user:"+c.name+" | start | "+c.want)
	}
}

// The wish comes after what was said before it and is stored before the end; a
// store that cannot write is asked again, a refusal changes nothing.
func TestHandoff_isPassedOnBeforeTheAnswerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		var calls atomic.Int32
		var story string
		want := tandem.HandoffRequest{To: "person", Reason: "asked for", Urgency: tandem.UrgencyUrgent}
		b = start(t, Options{
			Agents: []Spec{spec(pieces(tandem.Piece{Text: "One moment."}, tandem.Piece{Handoff: &want}))},
			Handoff: func(_ context.Context, a tandem.Address, conversation string, req tandem.HandoffRequest) error {
				if calls.Add(1) == 1 {
					return tandem.Errorf(tandem.Unavailable, "later")
				}
				story = b.story(a)
				if a != who("ann") || conversation == "" || req != want {
					t.Errorf("handoff of %v %q: %+v", a, conversation, req)
				}
				return errors.New("refused")
			},
		})
		b.ask(who("ann"), "q")
		b.wants(who("ann"), "user:q | start | stop:One moment.")
		if story != "user:q | start" || calls.Load() != 2 {
			t.Errorf("%d calls; at the last the log said %s", calls.Load(), story)
		}
	})
}

func TestHandoff_aloneIsNoAnswer(t *testing.T) {
	asked := make(chan tandem.HandoffRequest, 1)
	b := start(t, Options{
		Agents: []Spec{spec(pieces(tandem.Piece{Handoff: &tandem.HandoffRequest{To: "person"}}))},
		Handoff: func(_ context.Context, _ tandem.Address, _ string, req tandem.HandoffRequest) error {
			asked <- req
			return nil
		},
	})
	b.ask(who("ann"), "q")
	b.wants(who("ann"), "user:q")
	if r := <-asked; r.To != "person" {
		t.Errorf("asked for %+v", r)
	}
}

// An agent that does not heed an error is not heard again, and one that panics
// fails alone.
func TestAgent_thatBreaksTheRulesFailsAlone(t *testing.T) {
	b := start(t, Options{Limits: tandem.Limits{Answer: 2}, Agents: []Spec{spec(replies(func(_ context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		switch q.Message {
		case "panic":
			panic(q)
		case "nonsense":
			_ = emit(tandem.Piece{Data: json.RawMessage(`{`)})
			_ = emit(tandem.Piece{Text: "x"})
			return nil
		}
		for range 5 {
			_ = emit(tandem.Piece{Text: "abc"})
		}
		return nil
	}))}})
	b.ask(who("ann"), "go on")
	b.ask(who("bob"), "panic")
	b.ask(who("cas"), "nonsense")
	b.wants(who("ann"), "user:go on | start | error:ab")
	b.wants(who("bob"), "user:panic | failed:unavailable")
	b.wants(who("cas"), "user:nonsense | failed:unavailable")
}

// A store that cannot write for a while delays the start and the end of an
// answer, and neither loses nor doubles a byte; who cancels meanwhile gets what
// the store can do. Seen to fail by giving up after one try.
func TestAnswer_outlivesAStoreThatCannotWrite(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		cancel     bool
		refused    bool
		want       string
	}{
		{"at the start", "answer-started", false, false, "user:q | start | stop:abc"},
		{"at the end", "answer-ended", false, false, "user:q | start | stop:abc"},
		{"at the start, cancelled", "answer-started", true, false, "user:q"},
		{"at the end, cancelled in vain", "answer-ended", true, true, "user:q | start | stop:abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			goOn := make(chan struct{})
			b := with(t, replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
				<-goOn
				return says("a", "b", "c")(ctx, q, emit)
			}))
			a := who("ann")
			q := b.ask(a, "q")
			mend := b.broken("event", "new.kind = '"+c.kind+"'")
			close(goOn)
			b.says("the store cannot be written", 2)
			if c.cancel {
				if err := b.run.Cancel(t.Context(), a, q.id); (err != nil) != c.refused || tandem.KindOf(err) == tandem.NotFound {
					t.Errorf("cancelled: %v", err)
				}
			}
			mend()
			b.wants(a, c.want)
		})
	}
}
