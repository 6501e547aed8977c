package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
)

func says(t *testing.T, a agent.Agent, message string, change ...func(*tandem.Question)) string {
	t.Helper()
	q := tandem.Question{Message: message, Mode: tandem.ModeAgent}
	for _, c := range change {
		c(&q)
	}
	got, err := ask(t, a, q)
	if err != nil {
		t.Errorf("%s: %v", message, err)
	}
	return got
}

func concierge(t *testing.T) agent.Agent {
	return open(t, agent.Config{URL: "concierge", Pause: -1})
}

func TestConcierge_answersWhatItKnows(t *testing.T) {
	a := concierge(t)
	for message, want := range map[string]string{
		"What is Tandem?":                         "Tandem is a conversation server that you run yourself",
		"hi there, so what exactly is tandem":     "Tandem is a conversation server that you run yourself",
		"How can I connect my own FastAPI agent?": "If your agent answers over HTTP",
		"how much does it cost":                   "Nothing. It is open source",
		"is it open source?":                      "Nothing. It is open source",
		"Where do you store my messages?":         "On the machine that runs Tandem",
		"what happens if I lose my connection":    "The answer goes on without you",
		"What happens when I ask for a person?":   "The conversation is marked as waiting",
		"how do I install this":                   "With Go installed",
		"¿Qué es Tandem?":                         "Tandem es un servidor de conversaciones",
		"que es tandem":                           "Tandem es un servidor de conversaciones",
		"donde se guardan mis datos":              "En la máquina donde funciona Tandem",
		"Tandem क्या है?":                         "Tandem एक बातचीत सर्वर है",
		"मेरा डेटा कहाँ रहता है":                  "उसी मशीन पर",
		"Hello!":                         "Hello. I am the concierge",
		"good morning":                   "Hello. I am the concierge",
		"help":                           "Hello. I am the concierge",
		"Hola, buenos días":              "Hola. Soy el conserje",
		"नमस्ते":                         "नमस्ते। मैं Tandem में बना",
		"":                               "Hello. I am the concierge",
		"Are you a bot?":                 "I am the concierge, a small program",
		"am I talking to a real person?": "I am the concierge, a small program",
		"Who are you":                    "I am the concierge, a small program",
		"¿Eres una persona?":             "Soy el conserje, un pequeño programa",
		"क्या आप इंसान हैं?": "मैं Tandem में बना एक छोटा-सा प्रोग्राम हूँ। मैं इंसान नहीं हूँ",
		"Thanks a lot!":                                "You are welcome.",
		"muchas gracias":                               "De nada.",
		"धन्यवाद":                                      "आपका स्वागत है।",
		"What is the capital of France?":               "I do not know that.",
		"My parcel has not come and I paid on Tuesday": "I do not know that.",
		"¿Cuál es la capital de Francia?":              "Eso no lo sé.",
		"फ़्रांस की राजधानी क्या है?":      "यह मुझे नहीं पता।",
		"I don't want to talk to a person": "I do not know that.",
		"no quiero hablar con una persona": "Eso no lo sé.",
		"मुझे इंसान से बात नहीं करनी":      "यह मुझे नहीं पता।",
		"😀😀": "Hello. I am the concierge",
	} {
		if got := says(t, a, message); !strings.HasPrefix(got, want) || strings.Contains(got, "[handoff") {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
}

func TestConcierge_asksForAPersonWhenAskedTo(t *testing.T) {
	a := concierge(t)
	for _, message := range []string{
		"I want to talk to a person", "can I speak with a real human please", "Get me an operator", "human", "A person, please!",
		"connect me to one of your agents or colleague", "I do not understand. I want a person.", "No, I want a human!", "is there someone I can talk to? transfer me to someone",
		"Are you a bot? I want a person", "please put me through to your manager", "can I talk to a HUMAN’s ear, a human",
		"Quiero hablar con una persona", "¿me puede pasar con un operador?", "necesito un humano", "Una persona, por favor",
		"मुझे किसी इंसान से बात करनी है", "कोई व्यक्ति चाहिए", "क्या आप मुझे ऑपरेटर से जोड़ सकते हैं?", "इंसान", "mujhe insaan se baat karni hai",
	} {
		got := says(t, a, message)
		text, request, ok := strings.Cut(got, "[handoff person NORMAL ")
		if !ok || !strings.Contains(request, message[:5]) {
			t.Errorf("%q: got %q", message, got)
		}
		own := strings.HasPrefix(text, "I am asking") || strings.HasPrefix(text, "Estoy avisando") || strings.HasPrefix(text, "मैं अभी किसी व्यक्ति को बुला रहा हूँ")
		if !own {
			t.Errorf("%q: says %q", message, text)
		}
	}
	if got := says(t, a, "This is urgent, get me a person"); !strings.Contains(got, "[handoff person URGENT") {
		t.Errorf("urgent: got %q", got)
	}
	long := says(t, a, "I want to talk to a person "+strings.Repeat("😀", 500))
	if _, reason, _ := strings.Cut(long, "NORMAL "); len(reason) > 250 || !strings.HasSuffix(reason, `😀…"]`) {
		t.Errorf("a long reason: %q", reason)
	}
	waiting := func(q *tandem.Question) { q.Mode = tandem.ModeWaiting }
	if got := says(t, a, "I want a person", waiting); !strings.HasPrefix(got, "A person has been asked for already.") || strings.Contains(got, "[") {
		t.Errorf("while waiting: got %q", got)
	}
	if got := says(t, a, "What is the capital of France?", waiting); !strings.HasPrefix(got, "I do not know that. The person who was asked for") {
		t.Errorf("while waiting: got %q", got)
	}
}

// Yes means something only after the offer.
func TestConcierge_takesYesForAnAnswer(t *testing.T) {
	a := concierge(t)
	for message, yes := range map[string]string{
		"Where is my parcel?":     "yes please",
		"¿Dónde está mi paquete?": "sí, por favor",
		"मेरा पार्सल कहाँ अटका हुआ?": "जी हाँ",
	} {
		offer := says(t, a, message)
		history := func(q *tandem.Question) {
			q.History = []tandem.Turn{{Role: tandem.RoleUser, Content: message}, {Role: tandem.RoleAssistant, Content: offer}}
		}
		if got := says(t, a, yes, history); !strings.Contains(got, "[handoff person NORMAL \""+message+`"]`) {
			t.Errorf("%q after %q: got %q", yes, offer, got)
		}
		if got := says(t, a, yes); strings.Contains(got, "[handoff") {
			t.Errorf("%q out of nowhere: got %q", yes, got)
		}
	}
}

func TestConcierge_speaksTheLanguageOfTheLocaleIfNothingElseTells(t *testing.T) {
	a := concierge(t)
	for locale, want := range map[string]string{"es-MX": "Eso no lo sé.", "hi_IN": "यह मुझे नहीं पता।", "de": "I do not know that.", "": "I do not know that."} {
		if got := says(t, a, "xyzzy 123", func(q *tandem.Question) { q.Locale = locale }); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q", locale, got)
		}
	}
}

func TestConcierge_answersFromAFile(t *testing.T) {
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "faq.md")
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	a := open(t, agent.Config{URL: "concierge", Pause: -1, FAQ: file("# Our shop\n\nNotes.\n\n## What are your opening hours?\n## When are you open?\n\nFrom 9 to 5.\n\nNot on Sundays.\n\n## Do you ship abroad?\r\n\r\nYes.\r\n\n## What can you do?\n\nSell.")})
	for message, want := range map[string]string{
		"Hi, what are the opening hours?": "From 9 to 5.\n\nNot on Sundays.",
		"are you open on Sunday":          "From 9 to 5.\n\nNot on Sundays.",
		"do you ship abroad":              "Yes.",
		"What can you do":                 "Sell.",
		"What is Tandem?":                 "I do not know that.",
	} {
		if got := says(t, a, message); !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %q", message, got)
		}
	}
	if got := says(t, a, "hello"); !strings.Contains(got, "\n- What are your opening hours?\n- Do you ship abroad?\n") {
		t.Errorf("its examples: %q", got)
	}
	for text, want := range map[string]string{
		"":                           `no question: write "## " in front of each, and its answer below`,
		"## One?\n## Two?\n":         `line 2: no answer below "One?"`,
		strings.Repeat("x", 1<<20+1): "is larger than 1 MiB",
	} {
		if _, err := agent.New(agent.Config{URL: "concierge", FAQ: file(text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v, want %q", text, err, want)
		}
	}
}

func TestConcierge_speaksWordByWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, agent.Config{URL: "concierge", Pause: 10 * time.Millisecond})
		began := time.Now()
		var words []string
		err := a.Reply(t.Context(), tandem.Question{Message: "thanks"}, func(p tandem.Piece) error {
			words = append(words, p.Text)
			if d := time.Since(began); d != time.Duration(len(words)-1)*10*time.Millisecond {
				t.Errorf("%q came after %v", p.Text, d)
			}
			return nil
		})
		if got := strings.Join(words, "|"); got != "You |are |welcome." || err != nil {
			t.Errorf("got %s, %v", got, err)
		}

		// It stops in mid-sentence, in the pause or when a word is refused.
		cut := errors.New("cut")
		ctx, cancel := context.WithCancelCause(t.Context())
		n := 0
		time.AfterFunc(15*time.Millisecond, func() { cancel(cut) })
		if err := a.Reply(ctx, tandem.Question{Message: "hello"}, func(tandem.Piece) error { n++; return nil }); err != cut || n != 2 {
			t.Errorf("cut in the pause: %v after %d words", err, n)
		}
		n = 0
		if err := a.Reply(t.Context(), tandem.Question{Message: "I want a person"}, func(tandem.Piece) error { n++; return cut }); err != cut || n != 1 {
			t.Errorf("cut by emit: %v after %d words", err, n)
		}
	})
}
