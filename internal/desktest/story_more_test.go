package desktest_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

func TestStory_anUrgencyIsChangedForAll(t *testing.T) {
	s := house(t)
	s.As("ann").Says("hello?")
	s.Op("maya").Watches("ann")
	s.Lead("lee").Changes("ann", map[string]string{"urgency": "CRITICAL"})
	s.Op("maya").Sees("of ann updated", `"urgency":"CRITICAL"`)
	s.Op("maya").SeesOnBoard("ann", "upsert", `"urgency":"CRITICAL"`)
	s.Op("maya").Changes("ann", map[string]string{"urgency": "SOON"})
	s.Op("maya").IsRefused("400")
}

func TestStory_aStatusThatIsSetToEndedEndsIt(t *testing.T) {
	s := house(t)
	s.As("ann").Says("hello?")
	s.As("ann").Watches("ann")
	s.Op("maya").Changes("ann", map[string]string{"status": "ENDED"})
	s.Op("maya").IsRefused("Take the conversation over first.")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Changes("ann", map[string]string{"status": "ENDED"})
	s.As("ann").Sees("of ann ended", "Conversation has ended")
	s.As("ann").IsCutOff("of ann")
}

func TestStory_whoStepsInTakesItOverAndSpeaks(t *testing.T) {
	s := helped(t)
	s.As("ann").Says("hello?")
	s.Lead("lee").Watches("ann")
	s.Op("maya").StepsIn("ann", "I am here.")
	s.As("ann").Sees("Chat I am here.")
	s.Lead("lee").Sees("of ann updated", `"mode":"operator"`, `"holder":"Maya"`)
	s.Lead("lee").Sees("of ann new_messages", "I am here.")
	s.Op("tom").StepsIn("ann", "Me too.")
	s.Op("tom").IsRefused("Maya")
	s.Op("maya").Answers("Go on.")
	s.As("ann").Sees("Chat Go on.")
	if s.As("ann").Saw("Me too.") != 0 {
		t.Error("who was refused was heard")
	}
}

func TestStory_aPushThatWantsNoDraftIsRefused(t *testing.T) {
	s := house(t)
	s.As("ann").Says("how much?")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Watches("ann")
	s.Engine().PostsTo("ann", map[string]any{"content": "It is 20 euros.", "on_held": "refuse"})
	s.Engine().IsRefused(`"control_epoch":1`)
	s.Engine().PostsTo("ann", map[string]any{"content": "It is 20 euros.", "on_held": "refuse"})
	s.Engine().IsRefused("409")
	s.Op("maya").Answers("It is 10 euros.")
	s.Op("maya").Sees("of ann new_messages", "It is 10 euros.")
	s.As("ann").Sees("Chat It is 10 euros.")
	if s.As("ann").Saw("20 euros") != 0 || s.Op("maya").Saw("of ann", "20 euros") != 0 {
		t.Error("what was refused is shown")
	}
}

func TestStory_whatWasHeardIsStoredThoughSomebodyHolds(t *testing.T) {
	s := house(t)
	s.As("ann").Says("how much?")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Watches("ann")
	s.Engine().PostsTo("ann", map[string]any{"content": "It is 20 euros.", "spoken": true, "on_held": "refuse"})
	s.As("ann").Sees("Chat It is 20 euros.")
	s.Op("maya").Sees("of ann new_messages", "It is 20 euros.", `"spoken":true`, `"held":true`)
	if got := s.Op("maya").Gets("/api/conversation/" + s.Conversation("ann")); !strings.Contains(got, "It is 20 euros.") {
		t.Errorf("not stored: %s", got)
	}
}

func TestStory_aDraftThatIsDroppedIsNeverSent(t *testing.T) {
	s := house(t)
	s.As("ann").Says("how much?")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Watches("ann")
	s.As("ann").Hears(tandem.Chat, "It is 20 euros.")
	s.Op("maya").DropsDraft("It is 20 euros.")
	s.Op("maya").Sees("of ann draft-gone")
	s.Op("maya").SendsDraft("It is 20 euros.")
	s.Op("maya").IsRefused("This draft was already sent or dropped.")
	s.Op("maya").Answers("It is 10 euros.")
	s.As("ann").Sees("Chat It is 10 euros.")
	if s.As("ann").Saw("20 euros") != 0 {
		t.Error("a participant is told what was dropped")
	}
}

func TestStory_aListIsFiltered(t *testing.T) {
	s := house(t)
	for _, who := range []string{"ann", "bob", "cleo", "dan"} {
		s.As(who).Says("hello?")
	}
	s.Lead("lee").Changes("cleo", map[string]string{"urgency": "CRITICAL"})
	s.Op("maya").TakesOver("bob")
	s.Op("maya").TakesOver("dan")
	s.Op("maya").Ends()
	for query, want := range map[string][]string{
		"status=ACTIVE":                 {"cleo", "ann", "bob"}, // critical, then who waits longest
		"status=ENDED":                  {"dan"},
		"urgency=CRITICAL":              {"cleo"},
		"mode=waiting":                  {"cleo", "ann"},
		"mode=operator&status=ACTIVE":   {"bob"},
		"admin_id=maya&status=ACTIVE":   {"bob"},
		"admin_id=tom":                  nil,
		"workflow=support&mode=waiting": {"cleo", "ann"},
		"workflow=billing":              nil,
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Lead("lee").Lists(q); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

func TestStory_anotherTenantsConversationIsNotThere(t *testing.T) {
	s := house(t)
	s.As("ann").Says("hello?")
	id := s.Conversation("ann")
	there := s.Elsewhere("acme")
	there.Gets("/api/conversation/" + id)
	there.IsRefused(`404 Not Found {"detail":"Conversation '` + id + `' not found"}`)
	there.Posts("/api/conversation/"+id+"/messages", map[string]string{"content": "hi"})
	there.IsRefused(`404 Not Found {"detail":"Conversation '` + id + `' not found"}`)
	if found := there.Lists(nil); len(found) != 0 {
		t.Errorf("lists %v", found)
	}
}

func TestStory_whoIsDisabledIsGoneAndWhatWasHeldWaits(t *testing.T) {
	s := house(t)
	_, err := s.Auth.CreateAccount(t.Context(), auth.AccountRequest{Tenant: "default", Username: "maya", Role: tandem.Operator, Password: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	s.As("ann").Says("hello?")
	s.As("ann").Watches("ann")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Watches("ann")
	s.As("ann").Sees("of ann updated", `"mode":"operator"`)
	s.Staff("olga", tandem.Owner).Disables("maya")
	began := time.Now()
	s.Op("maya").IsCutOff("of ann")
	s.Op("maya").IsCutOff("board")
	if took := time.Since(began); took > time.Second {
		t.Errorf("cut off after %v", took)
	}
	s.As("ann").Sees("of ann updated", `"mode":"waiting"`, `"holder":null`)
	s.Op("maya").Answers("Still here.")
	s.Op("maya").IsRefused("401")
}

func TestStory_aSessionEndsWhenItsTimeIsOver(t *testing.T) {
	s := house(t)
	s.As("ann")
	s.Engine().MakesFor("ann", "pay-1", 2)
	s.As("ann").Connects("pay-1")
	s.As("ann").Sees("pay-1 disconnected", "session expired")
	s.As("ann").IsCutOff("pay-1")
	s.Engine().Sends("ann", "paid", 0)
}

func TestStory_aBrowserComesBackToWhatIsOver(t *testing.T) {
	s := house(t)
	page := s.Engine().Makes("ann", "", true)
	s.Visitor().Connects(page)
	s.Engine().Sends("ann", "paid", 1)
	s.Visitor().Sees(page, "paid")
	s.Visitor().Drops(page)
	s.As("ann").Disconnects(page)
	s.Visitor().Reconnects(page)
	s.Visitor().IsRefused("204")
	s.Engine().Sends("bob", "paid", 0)
	s.As("bob")
	s.Engine().MakesFor("bob", "pay-1", 2)
	s.As("bob").Connects("pay-1")
	s.As("bob").Sees("pay-1 ", "paid")
	s.As("bob").IsCutOff("pay-1")
	s.As("bob").Reconnects("pay-1") // it ended by itself
	s.As("bob").IsRefused("204")
}
