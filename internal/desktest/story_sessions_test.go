package desktest_test

import (
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// house is one without an agent.
func house(t *testing.T) *desktest.Tandem { return desktest.Start(t, desktest.Options{}) }

func TestStory_aUserOpensASessionAndIsTold(t *testing.T) {
	s := house(t)
	s.As("ann").Connects("pay-1")
	s.As("bob").Connects("pay-2")
	s.Engine().Sends("ann", "paid", 1)
	s.As("ann").Sees("pay-1 ", `"message":"paid"`)
	s.Op("maya").Sends("ann", "Thank you!", 1)
	s.As("ann").Sees("pay-1 ", "Thank you!")
	s.Engine().Sends("bob", "and you", 1)
	s.As("bob").Sees("pay-2 ", "and you")
	if s.As("bob").Saw("paid") != 0 {
		t.Error("another is told")
	}
}

func TestStory_anEngineMakesASessionAhead(t *testing.T) {
	s := house(t)
	s.Engine().Makes("ann", "pay-1", false)
	s.Engine().Sends("ann", "paid", 1) // before the page comes
	s.As("ann").Connects("pay-1")
	s.As("ann").Sees("pay-1 ", "paid")
	s.Engine().Connects("pay-1")
	s.Engine().Connects("pay-unheard-of")
	s.Engine().IsRefused("401")
}

func TestStory_anIdIsACredentialIfItWasMadeSo(t *testing.T) {
	s := house(t)
	id := s.Engine().Makes("ann", "", true)
	own := s.Engine().Makes("ann", "payment-reference-1", true)
	plain := s.Engine().Makes("ann", "", false)
	s.Visitor().Connects(id)
	s.Visitor().Connects(own)
	s.Engine().Sends("ann", "paid", 3)
	s.Visitor().Sees(id, "paid")
	s.Visitor().Sees(own, "paid")
	s.Visitor().Connects(plain)
	s.Visitor().IsRefused("401")
	s.As("bob").Connects(id) // a credential that is presented is judged by itself
	s.As("bob").IsRefused("401")
}

func TestStory_whatWasSentBeforeIsKeptForTheNextSession(t *testing.T) {
	s := house(t)
	s.Engine().Sends("ann", "paid", 0)
	s.As("ann").Connects("pay-1")
	s.As("ann").Sees("pay-1 ", "paid")
	s.As("ann").Connects("pay-2")
	s.Engine().Sends("ann", "shipped", 2)
	s.As("ann").Sees("pay-2 ", "shipped")
	if s.As("ann").Saw("pay-2 ", `"paid"`) != 0 {
		t.Error("told twice")
	}
}

func TestStory_aSessionHasSeveralConnections(t *testing.T) {
	s := house(t)
	s.As("ann").Connects("pay-1")
	s.As("ann").Connects("pay-1")
	s.Engine().Sends("ann", "paid", 1) // sessions are counted, not connections
	s.As("ann").SeesTimes(2, "pay-1 ", "paid")
}

func TestStory_aSessionGoesOnWhereItBrokeOff(t *testing.T) {
	s := house(t)
	s.As("ann").Connects("pay-1")
	s.Engine().Tells("ann", "one")
	s.As("ann").Sees("pay-1 ", "one")
	s.As("ann").Drops("pay-1")
	s.Engine().Tells("ann", "two")
	s.As("ann").Reconnects("pay-1")
	s.As("ann").Sees("pay-1 ", "two")
	s.Engine().Tells("ann", "three")
	s.As("ann").Sees("pay-1 ", "three")
	if s.As("ann").Saw("pay-1 ", `"one"`) != 1 || s.As("ann").Saw("pay-1 ", `"two"`) != 1 {
		t.Error("told twice")
	}
}

func TestStory_aDisconnectEndsItEverywhere(t *testing.T) {
	s := house(t)
	s.As("ann").Connects("pay-1")
	s.As("ann").Connects("pay-1")
	s.As("bob").Disconnects("pay-1")
	s.As("bob").IsRefused("401")
	s.As("ann").Disconnects("pay-1")
	s.As("ann").SeesTimes(2, "pay-1 disconnected", "session disconnected")
	s.As("ann").IsCutOff("pay-1")
	s.As("ann").Reconnects("pay-1") // as a browser does by itself
	s.As("ann").IsRefused("204")
	s.As("ann").Disconnects("pay-1")
	s.As("ann").IsRefused(`{"message":"Session not found","status":"404"}`)
	s.As("ann").Connects("pay-1") // a new one
	s.Engine().Sends("ann", "again", 1)
	s.As("ann").Sees("pay-1 ", "again")
}

func TestStory_anotherUsersSessionIsRefused(t *testing.T) {
	s := house(t)
	s.As("ann").Connects("pay-1")
	s.As("bob").Connects("pay-1")
	s.As("bob").IsRefused(`"status":"401"`)
	s.As("bob").Connects("PAY-1") // ids are told apart by case
	s.Engine().Posts("/sse/send", map[string]string{"userId": "bob", "sessionId": "pay-1", "message": "paid"})
	s.Engine().IsRefused("409")
	s.As("ann").Tells("bob", "hi")
	s.As("ann").IsRefused("403")
	s.Engine().Tells("", "hi")
	s.Engine().IsRefused("400")
}

func TestStory_anEventHasItsName(t *testing.T) {
	s := house(t)
	s.As("ann").Connects("pay-1")
	s.Engine().Posts("/sse/send", map[string]any{"userId": "ann", "event": "PAYMENT", "message": map[string]int{"amount": 20}})
	s.As("ann").Sees("pay-1 ", `"event":"PAYMENT"`, `"message":{"amount":20}`)
	s.Staff("olga", tandem.Owner).Sends("ann", "from the owner", 1)
	s.As("ann").Sees("pay-1 ", "from the owner")
}
