package api_test

import (
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// What an owner erased is not there any more, for whoever looks or watches, and the
// board takes it away. Seen to fail by ending the stream without a word, and by an
// upsert of the tombstone.
func TestConversation_isGoneWhenErased(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, maya, owner := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator), s.Key(tandem.Owner)
	one := s.opened(gateway)
	s.says(gateway, one, "my secret")
	l, b := s.stream(one+"/stream", maya), s.stream(boardPath+"?watch=case-1", maya)
	initial := l.holds("initial", "my secret", 1)
	b.snapshot()
	place := b.holds("initial", "my secret", 1)
	s.must(200, "DELETE", "/api/user/rest/thread?"+annsThread, owner, "")

	gone := `"error":"Conversation 'case-1' not found"`
	if e := l.untilEvent("error"); !strings.Contains(e.data, gone) || e.retry != "60000" {
		t.Errorf("got %+v", e)
	}
	l.over()
	seen := map[string]bool{}
	for len(seen) < 2 {
		e, ok := b.next()
		if !ok {
			t.Fatalf("the board ended: %s", b.all.String())
		}
		if e.event == "removed" && strings.Contains(e.data, "case-1") || e.event == "error" && strings.Contains(e.data, gone) {
			seen[e.event] = true
		}
		if e.event == "upsert" {
			t.Errorf("got %+v", e)
		}
	}
	s.must(404, "GET", one, maya, "")
	s.must(404, "POST", one+"/takeover", maya, "")
	for _, place := range []string{"", initial.id} {
		again := s.stream(one+"/stream", maya, "Last-Event-ID", place)
		if e := again.untilEvent("error"); !strings.Contains(e.data, gone) {
			t.Errorf("got %+v", e)
		}
		again.over()
	}
	back := s.stream(boardPath+"?watch=case-1", maya, "Last-Event-ID", place.id)
	if e := back.untilEvent("removed"); !strings.Contains(e.data, "case-1") {
		t.Errorf("got %+v", e)
	}
	if list := s.must(200, "GET", "/api/conversations", maya, ""); strings.Contains(list, "case-1") {
		t.Errorf("the list has it: %s", list)
	}
}

// A participant's own deletion ends the conversation: it is not there for the
// participant any more, and stays for operators.
func TestConversation_isHiddenFromWhoDeletedIt(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, maya, ann := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator), s.Token("ann", tandem.Participant)
	one := s.opened(gateway)
	s.says(gateway, one, "my secret")
	hers, theirs := s.stream(one+"/stream", ann), s.stream(one+"/stream", maya)
	hers.only("initial")
	theirs.only("initial")
	s.must(200, "DELETE", "/api/user/rest/thread?"+annsThread, ann, "")
	theirs.only("ended")
	theirs.over()
	for {
		if _, ok := hers.next(); !ok {
			break
		}
	}
	if got := s.must(404, "GET", one, ann, ""); got != `{"detail":"Conversation 'case-1' not found"}` {
		t.Errorf("got %s", got)
	}
	if got := s.must(200, "GET", one, maya, ""); !strings.Contains(got, "my secret") || !strings.Contains(got, `"status":"ENDED"`) {
		t.Errorf("got %s", got)
	}
	again := s.stream(one+"/stream", ann)
	again.only("error")
	again.over()
}
