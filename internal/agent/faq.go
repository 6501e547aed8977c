package agent

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"unicode"
)

// aboutTandem is what the concierge answers from when it is given no file.
//
//go:embed faq.md
var aboutTandem string

// An entry is an answer and the ways to ask for it.
type entry struct {
	asks   []string // headings; the first is shown as an example
	words  [][]string
	answer string
	lang   string
}

// A faq finds the answer to a question by the words they share.
type faq struct {
	entries []entry
	weight  map[string]float64 // of each word in some heading: the rarer, the more
	most    float64            // weight of a word that is in none
}

// openFAQ reads a file, or the built-in answers if path is empty.
func openFAQ(path string, langs []*language) (*faq, error) {
	text := aboutTandem
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("faq: %w", err)
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxEvent+1))
		if err != nil {
			return nil, fmt.Errorf("faq: %w", err)
		}
		if len(b) > maxEvent {
			return nil, fmt.Errorf("faq: %s is larger than 1 MiB", path)
		}
		text = string(b)
	}
	entries, err := parseFAQ(text)
	if err != nil {
		return nil, fmt.Errorf("faq: %s: %w", path, err)
	}
	return index(entries, langs), nil
}

// parseFAQ reads Markdown: "## " begins a question, several in a row share the
// text below them, and what stands before the first is for the file's readers.
func parseFAQ(text string) ([]entry, error) {
	var entries []entry
	var e entry
	var answer strings.Builder
	flush := func(line int) error {
		e.answer = strings.TrimSpace(answer.String())
		answer.Reset()
		if len(e.asks) == 0 {
			return nil
		}
		if e.answer == "" {
			return fmt.Errorf("line %d: no answer below %q", line, e.asks[0])
		}
		entries = append(entries, e)
		e = entry{}
		return nil
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, maxEvent+1)
	n := 0
	for lines.Scan() {
		n++
		ask, heading := strings.CutPrefix(lines.Text(), "## ")
		if !heading {
			answer.WriteString(lines.Text() + "\n")
			continue
		}
		if strings.TrimSpace(answer.String()) != "" {
			if err := flush(n); err != nil {
				return nil, err
			}
		}
		e.asks = append(e.asks, strings.TrimSpace(ask))
	}
	if err := flush(n); err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, errors.New(`no question: write "## " in front of each, and its answer below`)
	}
	return entries, nil
}

// index counts in how many entries each word is.
func index(entries []entry, langs []*language) *faq {
	f := &faq{entries: entries, weight: map[string]float64{}, most: math.Log(2 + float64(len(entries)))}
	in := map[string]int{}
	for i := range entries {
		e := &entries[i]
		e.lang = detect(e.asks[0], "", langs).tag
		seen := map[string]bool{}
		for _, ask := range e.asks {
			words := content(ask, langs)
			e.words = append(e.words, words)
			for _, w := range words {
				if !seen[w] {
					seen[w] = true
					in[w]++
				}
			}
		}
	}
	for w, n := range in {
		f.weight[w] = math.Log(1 + float64(len(entries)+1)/float64(n))
	}
	return f
}

func (f *faq) weigh(words []string) (sum float64) {
	for _, w := range words {
		sum += f.of(w)
	}
	return sum
}

func (f *faq) of(w string) float64 {
	if n, ok := f.weight[w]; ok {
		return n
	}
	return f.most
}

// find returns the entry with the heading nearest to the question and how near
// that is: 1 if they have the same words, 0 if they share none (the F1 measure
// of the words' weights). Of two as near the one in the language lang wins.
func (f *faq) find(question []string, lang string) (best *entry, score float64) {
	all := f.weigh(question)
	for i := range f.entries {
		for _, heading := range f.entries[i].words {
			shared := 0.0
			for _, w := range heading {
				if slices.Contains(question, w) {
					shared += f.of(w)
				}
			}
			s := 2 * shared / (all + f.weigh(heading))
			if s > score || s == score && s > 0 && best.lang != lang && f.entries[i].lang == lang {
				best, score = &f.entries[i], s
			}
		}
	}
	return best, score
}

// stop is the token that stands for the end of a clause.
const stop = "|"

// spelling takes away what people leave out: apostrophes, Spanish accents, the
// dot below Devanagari letters (in both of its encodings), and the difference
// between its two nasal signs.
var spelling = strings.NewReplacer("'", "", "’", "",
	"á", "a", "é", "e", "í", "i", "ó", "o", "ú", "u", "ü", "u", "ñ", "n",
	"Á", "a", "É", "e", "Í", "i", "Ó", "o", "Ú", "u", "Ü", "u", "Ñ", "n",
	"\u093c", "", "\u0958", "\u0915", "\u0959", "\u0916", "\u095a", "\u0917", "\u095b", "\u091c",
	"\u095c", "\u0921", "\u095d", "\u0922", "\u095e", "\u092b", "\u095f", "\u092f", "\u0901", "\u0902")

// tokens cuts text into words in lower case and one spelling; a punctuation mark
// becomes stop.
func tokens(text string) []string {
	var out []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			out = append(out, word.String())
			word.Reset()
		}
	}
	for _, r := range strings.ToLower(spelling.Replace(text)) {
		switch {
		case unicode.IsLetter(r), unicode.IsMark(r), unicode.IsDigit(r):
			word.WriteRune(r)
		case strings.ContainsRune(".,;:!?¡¿।\n", r):
			flush()
			out = append(out, stop)
		default:
			flush()
		}
	}
	flush()
	return out
}

// content is the stems of the words of text that say something, each once; of
// all its words if none does ("Who are you?").
func content(text string, langs []*language) []string {
	var out, all []string
	for _, w := range tokens(text) {
		if w == stop {
			continue
		}
		s := stem(w)
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
		if !filler(w, langs) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return all
	}
	return out
}

// stem cuts the endings off that most often keep two forms of a word apart.
func stem(w string) string {
	for _, end := range []string{"ings", "ing", "ers", "er", "ed", "es", "s", "e"} {
		if cut, ok := strings.CutSuffix(w, end); ok && len(cut) >= 3 {
			return cut
		}
	}
	return w
}
