package desktest_test

import (
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

func TestStory_theBoardShowsWhatIsNewAndWhatChanges(t *testing.T) {
	s := helped(t)
	s.Op("maya")
	s.As("ann").Says("help")
	s.Op("maya").SeesOnBoard("ann", "upsert", `"mode":"agent"`)
	s.Engine().Escalates("ann", "angry", "CRITICAL")
	s.Op("maya").SeesOnBoard("ann", "upsert", `"mode":"waiting"`, `"urgency":"CRITICAL"`, `"reason":"angry"`)
	s.Op("zoe").Sees("board snapshot", s.Conversation("ann"), "angry") // who comes later is shown all
}

func TestStory_whatAnotherTakesGoesFromTheBoard(t *testing.T) {
	s := helped(t)
	s.Op("maya")
	s.Lead("lee")
	s.As("ann").Says("help")
	s.Op("maya").SeesOnBoard("ann", "upsert")
	s.Op("zoe").TakesOver("ann")
	s.Op("zoe").SeesOnBoard("ann", "upsert", `"admin_id":"zoe"`)
	s.Op("maya").SeesOnBoard("ann", "removed")
	s.Lead("lee").SeesOnBoard("ann", "upsert", `"admin_id":"zoe"`, `"holder":"Zoe"`)
	s.Op("zoe").HandsBack()
	s.Op("maya").SeesOnBoard("ann", "upsert", `"control_epoch":2`)
	if s.Op("maya").Saw(`"admin_id":"zoe"`) != 0 || s.Lead("lee").Saw("removed") != 0 {
		t.Error("one saw too much, or the other too little")
	}
}

func TestStory_whatEndsStaysOnTheBoardAndWhatIsErasedGoes(t *testing.T) {
	s := helped(t)
	s.Op("maya")
	s.As("ann").Says("my number is 4711")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Watches("ann")
	s.Op("maya").Ends()
	s.Op("maya").SeesOnBoard("ann", "upsert", `"status":"ENDED"`)
	id := s.Conversation("ann")
	s.Op("maya").Erases("ann")
	s.Op("maya").IsRefused("403")
	s.Staff("olga", tandem.Owner).Erases("ann")
	s.Op("maya").Sees("board removed", id)
	s.As("ann").Sees("disconnected thread deleted")
}

func TestStory_aWallShowsConversationsOnOneConnection(t *testing.T) {
	s := desktest.Start(t, desktest.Options{})
	s.As("ann").Says("I am Ann.")
	s.As("bob").Says("I am Bob.")
	s.As("zed").Says("I am Zed.")
	s.Op("maya").LooksAt("ann", "bob")
	s.Op("maya").Sees("wall snapshot", s.Conversation("zed"))
	s.Op("maya").Sees("wall initial", "I am Ann.")
	s.Op("maya").Sees("wall initial", "I am Bob.")
	s.As("ann").Says("Help me!")
	s.Op("maya").Sees("wall new_messages", s.Conversation("ann"), "Help me!")
	s.Op("maya").TakesOver("bob")
	s.Op("maya").Sees("wall updated", s.Conversation("bob"), `"admin_id":"maya"`)
	if s.Op("maya").Saw("wall initial") != 2 {
		t.Error("it shows what nobody asked for")
	}
}

// The ids of the published document, made of the number and the time.
func TestStory_aCallHasTheDocumentsIds(t *testing.T) {
	s := helped(t)
	const id = "conv_919325590143_20251003_115804"
	s.Op("maya")
	s.Engine().Posts("/api/conversations", map[string]string{
		"workflow": "support", "mobile_no": "+919325590143", "medium": "Voice", "urgency": "CRITICAL", "timestamp": "2025-10-03T11:58:04+05:30",
	})
	s.Op("maya").Sees("board upsert", id, `"call_id":"call_919325590143_20251003_115804"`, `"medium":"Voice"`, `"timestamp":"2025-10-03T11:58:04+05:30"`)
	s.Op("maya").Watches("worker_919325590143")
	type line struct {
		Role      string `json:"role"`
		Content   string `json:"content"`
		Timestamp string `json:"timestamp"`
	}
	said := s.Engine().Posts("/api/conversation/"+id+"/messages", map[string]any{"messages": []line{
		{"user", "My friend is falling from a floor, what should I do?", "2025-10-03T11:58:04+05:30"},
		{"assistant", "Call for help now.", "2025-10-03T11:58:04+05:30"},
	}})
	for _, want := range []string{"msg_919325590143_20251003_115804_0001", "msg_919325590143_20251003_115804_0002"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %s in %s", want, said)
		}
	}
	s.Op("maya").Sees("new_messages", "_0001", "_0002", `"total_messages":2`) // one append, one event
	s.Engine().HangsUp("worker_919325590143")
	s.Op("maya").Sees(" ended ", `"message":"Call has ended"`, id)
	s.Op("maya").IsCutOff("of worker_919325590143")
}
