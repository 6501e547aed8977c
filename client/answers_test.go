package client

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAnswers tells frames as "start", "+text" and "end", of answer a unless
// another is named before a slash; what comes out as well, with the whole text at
// the end and "again" for a start anew.
func TestAnswers(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"one answer", "start +He +llo end", "start +He +llo end:Hello"},
		{"two at once", "a/start b/start a/+x b/+y b/end a/end", "a/start b/start a/+x b/+y b/end:y a/end:x"},
		{"nothing said", "start end", "start end:"},
		{"begun anew with the same text", "start +Hello start +Hello +! end", "start +Hello +! end:Hello!"},
		{"begun anew with more", "start +He start +Hello end", "start +He +llo end:Hello"},
		{"begun anew with less, then the rest", "start +Hello start +He +llo +! end", "start +Hello +! end:Hello!"},
		{"a piece across the place", "start +Hello start +He +llo! end", "start +Hello +! end:Hello!"},
		{"begun anew twice", "start +He start +H start +Hello end", "start +He +llo end:Hello"},
		{"begun anew with nothing yet", "start start +Hello end", "start +Hello end:Hello"},
		{"another text", "start +Hello start +Hey end", "start +Hello again +Hey end:Hey"},
		{"another text, longer", "start +Hello start +Help_me +! end", "start +Hello again +Help_me +! end:Help_me!"},
		{"a shorter text in the end", "start +Hello start +Hell end", "start +Hello again +Hell end:Hell"},
		{"no text in the end", "start +Hello start end", "start +Hello again end:"},
		{"told again after its end", "start +Hello end start +Hello end", "start +Hello end:Hello"},
		{"never begun", "+Hello end b/start", "b/start"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a answers
			var got []string
			for i, word := range strings.Fields(tt.in) {
				id, what, ok := strings.Cut(word, "/")
				if !ok {
					id, what = "a", word
				}
				before := fmt.Sprintf("%d-x", i)
				e := Event{Type: Start, MessageID: id, Cursor: before}
				if text, is := strings.CutPrefix(what, "+"); is {
					e.Type, e.Text = Token, text
				} else if what == "end" {
					e.Type, e.Cursor = End, fmt.Sprintf("%d-x", i+1)
				}
				for _, out := range a.take(e, before) {
					got = append(got, show(out, ok))
					if want := before; out.Cursor != want && out.Type != End {
						t.Errorf("%s: the cursor is %s before %s has passed", show(out, ok), out.Cursor, e.Cursor)
					}
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
			if strings.HasSuffix(tt.in, "end") && len(a.open) != 0 {
				t.Error("kept after its end")
			}
		})
	}
}

func show(e Event, named bool) string {
	word := map[EventType]string{Start: "start", Token: "+" + e.Text, End: "end:" + e.Text}[e.Type]
	if e.Again {
		word = "again"
	}
	if named {
		return e.MessageID + "/" + word
	}
	return word
}

func TestAnswers_forgetsOldEnds(t *testing.T) {
	var a answers
	for i := range endedKept + 10 {
		id := fmt.Sprint(i)
		a.take(Event{Type: Start, MessageID: id}, "")
		a.take(Event{Type: End, MessageID: id}, "")
	}
	if len(a.ended) != endedKept || len(a.open) != 0 {
		t.Errorf("%d ended ones are kept, %d open ones", len(a.ended), len(a.open))
	}
}
