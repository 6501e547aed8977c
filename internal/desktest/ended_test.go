package desktest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// Of what is said in the same moment as the end, each word that was accepted into
// the conversation is shown before `ended`, to all that watch it, and nothing comes
// after. Seen to fail by a stream that shows the end as soon as it can see it, and by
// words that are accepted after it.
func TestEnd_comesAfterWhatWasSaidInTheSameMoment(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 15
	}
	x := desktest.Start(t, desktest.Options{})
	lead := x.Token("lee", tandem.Supervisor)
	accepted := 0
	for i := range rounds {
		a := desktest.Address(fmt.Sprint("user-", i))
		c, _, err := x.Desk.Open(t.Context(), backEnd(), desk.Opening{Address: a})
		if err != nil {
			t.Fatal(err)
		}
		watchers := []*stream{
			opens(x, lead, "/api/conversation/"+c.ID+"/stream"),
			opens(x, x.Token(a.Participant, tandem.Participant), "/api/conversation/"+c.ID+"/stream"),
			opens(x, lead, "/api/conversations/stream?watch="+c.ID),
		}
		watchers[2].sees("initial", c.ID)
		said := saidWhileItEnds(x, a, c.ID)
		accepted += len(said)
		for _, s := range watchers {
			s.sees("ended", c.ID)
			shown := saidBefore(t, s, c.ID)
			for text := range said {
				if shown[text] != 1 {
					t.Errorf("%s: %q was accepted, and is shown %d times before the end", s.name, text, shown[text])
				}
			}
			if len(shown) != len(said) {
				t.Errorf("%s: %d words are shown, %d were accepted", s.name, len(shown), len(said))
			}
		}
		for _, s := range watchers[:2] {
			if last := s.ended(); last.name != "ended" {
				t.Errorf("%s: after the end comes %v", s.name, last)
			}
		}
		watchers[2].close()
	}
	t.Logf("%d words in the moments of %d ends", accepted, rounds)
}

// saidWhileItEnds has several speak while the conversation is ended, and returns
// what was accepted.
func saidWhileItEnds(x *desktest.Tandem, a tandem.Address, id string) map[string]bool {
	var mu sync.Mutex // guards said
	said := map[string]bool{}
	note := func(text string, events ...tandem.Event) {
		mu.Lock()
		defer mu.Unlock()
		for i := range events {
			if m, err := events[i].Message(); err == nil && m.Conversation == id {
				said[text] = true
			}
		}
	}
	var all sync.WaitGroup
	for who := range 4 {
		all.Go(func() {
			for k := range 3 {
				text := fmt.Sprintf("word-%d-%d of %s", who, k, a.Participant)
				if who == 0 {
					p, err := x.Desk.Post(x.T.Context(), person(a.Participant, tandem.Participant), desk.Post{Address: a, Type: tandem.Chat, Text: text})
					if err != nil {
						x.T.Error(err)
					}
					note(text, p.Event)
					continue
				}
				s, err := x.Desk.Say(x.T.Context(), backEnd(), desk.Say{Conversation: id, Messages: []desk.Saying{{Content: text}}})
				if err != nil && tandem.KindOf(err) != tandem.Conflict {
					x.T.Error(err)
				}
				note(text, s.Events...)
			}
		})
	}
	all.Go(func() {
		waitFor(x.T.Context(), time.Duration(rand.N(5000))*time.Microsecond)
		if _, err := x.Desk.End(x.T.Context(), person("lee", tandem.Supervisor), id, ""); err != nil {
			x.T.Error(err)
		}
	})
	all.Wait()
	return said
}

// saidBefore counts what a stream has shown of a conversation before its end.
func saidBefore(t *testing.T, s *stream, id string) map[string]int {
	shown := map[string]int{}
	over := false
	all, _ := s.all()
	for _, e := range all {
		if e.name == "ended" && strings.Contains(e.data, id) {
			over = true
		}
		if e.name != "new_messages" {
			continue
		}
		var f struct {
			ID       string `json:"conversation_id"`
			Messages []struct{ Content string }
		}
		if err := json.Unmarshal([]byte(e.data), &f); err != nil {
			t.Error(err)
		}
		for _, m := range f.Messages {
			if shown[m.Content]++; over && f.ID == id {
				t.Errorf("%s: %q comes after the end", s.name, m.Content)
			}
		}
	}
	return shown
}
