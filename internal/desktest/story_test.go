package desktest_test

import (
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStory_aPersonAsksAndTheAgentAnswers(t *testing.T) {
	x := desktest.Start(t, desktest.Options{Agents: desktest.Answers("Hello, how can I help?")})
	ann, bob := x.As("ann"), x.As("bob")
	ann.Says("hi")
	ann.Sees("Chat Hello, how can I help?")
	bob.Hears(tandem.Data, "news")
	bob.Sees("Data news")
	if ann.Saw("news") != 0 || bob.Saw("Hello") != 0 {
		t.Error("one saw the other's")
	}
}

func TestStory_nobodyAnswersWhereThereIsNoAgent(t *testing.T) {
	x := desktest.Start(t, desktest.Options{})
	x.As("ann").Says("is anybody there?")
	x.As("ann").Hears(tandem.Chat, "We are back tomorrow.")
	x.As("ann").Sees("Chat We are back tomorrow.")
}

func TestStory_aServerThatStopsSaysSo(t *testing.T) {
	x := desktest.Start(t, desktest.Options{})
	ann := x.As("ann")
	x.Stop()
	ann.Sees("disconnected server shutting down")
}

func TestStory_overHTTP2(t *testing.T) {
	x := desktest.Start(t, desktest.Options{Agents: desktest.Echo(), TLS: true})
	x.As("ann").Says("über TLS")
	x.As("ann").Sees("Chat über TLS")
}
