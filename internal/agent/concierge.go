package agent

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	tandem "github.com/seed4677ff1f/tandem"
)

// A concierge is the agent that is built in. It is a small program with a list
// of questions and answers, says so, and needs no network.
type concierge struct {
	faq   *faq
	langs []*language
	pause time.Duration // between two words
}

func newConcierge(c Config) (Agent, error) {
	langs := languages()
	faq, err := openFAQ(c.FAQ, langs)
	if err != nil {
		return nil, err
	}
	pause := c.Pause
	if pause == 0 {
		pause = 25 * time.Millisecond
	}
	return &concierge{faq, langs, pause}, nil
}

func (*concierge) Close() {}

// Reply says its answer word by word, as a model does.
func (c *concierge) Reply(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
	text, handoff := c.answer(q)
	for i, word := range strings.SplitAfter(text, " ") {
		if word == "" {
			continue
		}
		if i > 0 && c.pause > 0 {
			timer := time.NewTimer(c.pause)
			select {
			case <-ctx.Done():
				timer.Stop()
			case <-timer.C:
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := emit(tandem.Piece{Text: word}); err != nil {
			return err
		}
	}
	if handoff == nil {
		return nil
	}
	return emit(tandem.Piece{Handoff: handoff})
}

// How near a heading must be to a question: to answer it, and to answer it even
// if the question's words could also mean something else.
const (
	nearEnough = 0.5
	nearly     = 0.85
)

// answer is what it says, and whether it asks for a person.
func (c *concierge) answer(q tandem.Question) (string, *tandem.HandoffRequest) {
	words := tokens(q.Message)
	l := detect(q.Message, q.Locale, c.langs)
	found, how := c.faq.find(content(q.Message, c.langs), l.tag)
	waiting := q.Mode == tandem.ModeWaiting
	switch {
	case len(words) == 0:
		return c.hello(l), nil
	case how >= nearly:
		return found.answer, nil
	case l.wantsPerson(words):
		return c.ask(l, words, q.Message, waiting)
	case c.offered(q.History) && l.only(words, l.yes):
		return c.ask(l, words, lastWords(q.History), waiting)
	case l.asksWhatItIs(words):
		return l.about, nil
	case l.only(words, l.people): // "a person, please"
		return c.ask(l, words, q.Message, waiting)
	case how >= nearEnough:
		return found.answer, nil
	case l.only(words, l.thanks):
		return l.welcome, nil
	case l.only(words, l.greeting):
		return c.hello(l), nil
	case waiting:
		return l.still, nil
	}
	return l.unknown, nil
}

// ask asks for a person, unless that was done before.
func (c *concierge) ask(l *language, words []string, reason string, waiting bool) (string, *tandem.HandoffRequest) {
	if waiting {
		return l.waiting, nil
	}
	h := &tandem.HandoffRequest{To: person, Reason: clip(reason, 200), Urgency: tandem.UrgencyNormal}
	if anyIn(words, l.urgent) || anyIn(tokens(reason), l.urgent) {
		h.Urgency = tandem.UrgencyUrgent
	}
	return l.person, h
}

// offered reports whether the last thing said was the offer to ask for a person.
func (c *concierge) offered(history []tandem.Turn) bool {
	if len(history) == 0 {
		return false
	}
	last := history[len(history)-1]
	for _, l := range c.langs {
		if last.Role == tandem.RoleAssistant && last.Content == l.unknown {
			return true
		}
	}
	return false
}

// lastWords is the last thing that the user said.
func lastWords(history []tandem.Turn) string {
	for i := len(history) - 1; i >= 0; i-- {
		if history[i].Role == tandem.RoleUser {
			return history[i].Content
		}
	}
	return ""
}

// hello greets, with up to three examples in the user's language if there are any.
func (c *concierge) hello(l *language) string {
	var own, any []string
	for _, e := range c.faq.entries {
		if e.lang == l.tag {
			own = append(own, "- "+e.asks[0])
		}
		any = append(any, "- "+e.asks[0])
	}
	if len(own) == 0 {
		own = any
	}
	return fmt.Sprintf(l.hello, strings.Join(own[:min(3, len(own))], "\n"))
}

// clip is s without what is beyond n bytes, cut at a rune.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
