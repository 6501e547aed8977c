package client_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// An engine in a few lines: it follows the feed from where it was, answers with what
// the feed gave it, and learns that a person has taken over. Seen to fail by a cursor
// that is that of a message.
func TestFeed_isAllThatAnEngineNeeds(t *testing.T) {
	x := desktest.Start(t, desktest.Options{})
	engine, err := client.New(x.URL, client.Options{Token: x.Key(tandem.Agent)})
	if err != nil {
		t.Fatal(err)
	}
	ann, err := client.New(x.URL, client.Options{Token: x.Token("ann", tandem.Participant)})
	if err != nil {
		t.Fatal(err)
	}
	post := func(text string) {
		t.Helper()
		if _, err := ann.Post(t.Context(), client.Post{Workflow: "support", Participant: "ann", Text: text, RequestID: "r-" + text}); err != nil {
			t.Fatal(err)
		}
	}
	told := func(after string, until int) (lines []string, place string) {
		t.Helper()
		for e, err := range engine.Feed(t.Context(), client.Feed{Workflow: "support", After: after, Heartbeat: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			place = e.Cursor
			switch e.Type {
			case client.Connected:
				if after == "" {
					post("hello")
				}
			case client.Said:
				lines = append(lines, fmt.Sprintf("%s %s %d", e.Message.Participant, e.Message.Text, e.Message.Epoch))
				got, err := engine.Push(t.Context(), client.Push{
					Workflow: "support", Participant: e.Message.Participant, Text: "to " + e.Message.Text, RequestID: e.Message.RequestID, Epoch: &e.Message.Epoch,
				})
				if err != nil || got.Draft {
					t.Errorf("%+v, %v", got, err)
				}
			case client.Updated:
				if e.MessageID == "" || e.Conversation == "" {
					t.Errorf("%+v", e)
				}
				lines = append(lines, fmt.Sprintf("%s %s", e.Row.Mode, e.Row.Status))
			case client.Heartbeat:
				if len(lines) >= until {
					return lines, place
				}
			}
		}
		return lines, place
	}
	lines, place := told("", 2)
	if diff := cmp.Diff([]string{"ann hello 0", "waiting ACTIVE"}, lines); diff != "" {
		t.Error(diff)
	}
	post("again")
	lines, _ = told(place, 3)
	if diff := cmp.Diff([]string{"ann hello 0", "waiting ACTIVE", "ann again 0"}, lines); diff != "" {
		t.Error(diff)
	}
}
