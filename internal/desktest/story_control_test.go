package desktest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// helped is a house in which an agent helps.
func helped(t *testing.T) *desktest.Tandem {
	return desktest.Start(t, desktest.Options{Agents: desktest.Answers("The agent helps.")})
}

// ruled is one without, with rules.
func ruled(t *testing.T, r desk.Rules) *desktest.Tandem {
	return desktest.Start(t, desktest.Options{Rules: &r})
}

func TestStory_aTakeoverCutsAnAnswerAndAllSeeTheSame(t *testing.T) {
	agent := make(desktest.Fed)
	s := desktest.Start(t, desktest.Options{Agents: desktest.AnsweredBy(agent)})
	s.Staff("op", tandem.Operator)
	s.As("ann").Says("help")
	for _, who := range []*desktest.Person{s.As("ann"), s.As("op"), s.Lead("lee")} {
		who.Watches("ann")
	}
	agent <- "I will n"
	for _, who := range []*desktest.Person{s.As("ann"), s.As("op"), s.Lead("lee")} {
		who.Sees("of ann stream-", "I will n") // of those who come late in the start
	}
	s.As("op").TakesOver("ann")
	s.As("op").Answers("I am Op. What is it?")
	for _, who := range []*desktest.Person{s.As("ann"), s.As("op"), s.Lead("lee")} {
		who.Sees("of ann new_messages", `"content":"I will n"`, `"finish_reason":"interrupted"`)
		who.Sees("of ann updated", `"mode":"operator"`, `"holder":"Op"`)
		who.Sees("of ann new_messages", `"role":"operator"`, "I am Op. What is it?")
	}
	s.As("ann").Sees("Chat I will n")
	s.As("ann").Sees("Chat I am Op. What is it?")
	if s.As("ann").Saw(`"admin_id":"op"`) != 0 {
		t.Error("a participant sees a login")
	}
}

func TestStory_aSecondOperatorIsRefusedWithTheName(t *testing.T) {
	s := helped(t)
	s.As("ann").Says("help")
	s.Op("maya").TakesOver("ann")
	s.Op("zoe").TakesOver("ann")
	s.Op("zoe").IsRefused("Maya holds this conversation.")
	s.Op("zoe").Answers("But I can help!")
	s.Op("zoe").IsRefused("409")
	s.Op("zoe").Watches("ann")
	s.Op("zoe").Sees("of ann error", "Access denied.")
	s.Op("zoe").IsCutOff("of ann")
}

func TestStory_whoDoesNotHoldItDoesNotSpeak(t *testing.T) {
	s := helped(t)
	s.As("ann").Says("help")
	s.Op("maya").Watches("ann")
	s.Op("maya").Answers("hello")
	s.Op("maya").IsRefused("Take the conversation over first.")
}

func TestStory_aSupervisorForces(t *testing.T) {
	s := helped(t)
	s.As("ann").Says("help")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Watches("ann")
	s.Lead("lee").TakesOver("ann")
	s.Lead("lee").IsRefused("Maya holds this conversation.")
	s.Lead("lee").Forces("ann")
	s.Lead("lee").Answers("I see to it.")
	s.As("ann").Sees("Chat I see to it.")
	s.Op("maya").IsCutOff("of ann")
	s.Op("maya").Answers("still me")
	s.Op("maya").IsRefused("Lee holds this conversation.")
}

func TestStory_aReleaseGivesItBackToTheAgent(t *testing.T) {
	s := desktest.Start(t, desktest.Options{Agents: desktest.Echo()})
	s.As("ann").Says("help")
	s.As("ann").Sees("Chat help")
	s.Op("maya").TakesOver("ann")
	s.As("ann").Says("is anybody there?")
	s.Op("maya").Answers("Me.")
	s.Op("maya").HandsBack()
	s.Op("maya").SeesOnBoard("ann", `"mode":"agent"`, `"admin_id":null`, `"control_epoch":2`)
	s.As("ann").Says("and now?")
	s.As("ann").Sees("Chat and now?")
	if s.As("ann").Saw("Chat is anybody there?") != 0 {
		t.Error("the agent answered while somebody held it")
	}
}

func TestStory_aReleaseToTheQueueTellsThePlace(t *testing.T) {
	s := helped(t)
	s.As("ann").Says("help")
	s.Op("maya").TakesOver("ann")
	s.As("ann").Watches("ann")
	s.As("bob").Says("help too")
	s.Engine().Escalates("bob", "angry", "CRITICAL")
	s.Op("maya").Queues()
	s.As("ann").Sees("of ann updated", `"mode":"waiting"`, `"queue_place":2`)
	s.Op("maya").TakesOver("bob")
	s.As("ann").Sees("of ann updated", `"queue_place":1`)
}

func TestStory_aTransferEndsTheOldHoldersStream(t *testing.T) {
	s := helped(t)
	s.Op("zoe") // is here
	s.As("ann").Says("help")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Watches("ann")
	s.Op("maya").TransfersTo("nobody")
	s.Op("maya").IsRefused("There is no operator 'nobody' who could take this conversation.")
	s.Op("maya").TransfersTo("zoe")
	s.Op("maya").IsCutOff("of ann")
	s.Op("zoe").Watches("ann")
	s.Op("zoe").Answers("Now I am here.")
	s.As("ann").Sees("Chat Now I am here.")
}

func TestStory_itEndsForGoodAndTheNextWordOpensANewOne(t *testing.T) {
	s := helped(t)
	s.As("ann").Says("help")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Watches("ann")
	s.Op("maya").Ends()
	s.Op("maya").Sees("of ann ended", "Conversation has ended")
	s.Op("maya").IsCutOff("of ann")
	s.Op("maya").Rewatches("ann")
	s.Op("maya").IsRefused("204")
	s.Op("maya").Answers("one more thing")
	s.Op("maya").IsRefused("Conversation has ended")
	old := s.Conversation("ann")
	s.As("ann").Says("me again")
	if now := s.Conversation("ann"); now == old {
		t.Errorf("%s goes on", now)
	}
}

func TestStory_aReconnectIsToldWhatWasMissed(t *testing.T) {
	s := desktest.Start(t, desktest.Options{})
	s.As("ann").Says("one")
	s.Op("maya").Watches("ann")
	s.Op("maya").Sees("of ann initial", "one")
	s.Op("maya").Drops("of ann")
	s.As("ann").Says("two")
	s.Op("maya").Rewatches("ann")
	s.Op("maya").Sees("of ann new_messages", "two", `"total_messages":2`)
	if s.Op("maya").Saw("of ann initial") != 1 {
		t.Error("it began anew")
	}
}

func TestStory_aParticipantSeesNoNote(t *testing.T) {
	s := helped(t)
	s.As("ann").Says("help")
	s.As("ann").Watches("ann")
	for _, name := range []string{"maya", "zoe"} {
		s.Op(name).Watches("ann")
	}
	s.Op("zoe").Notes("She called yesterday.") // needs no holding
	s.Op("maya").Sees("of ann note", "She called yesterday.")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Answers("Hello again!")
	s.As("ann").Sees("of ann new_messages", "Hello again!")
	if s.As("ann").Saw("yesterday") != 0 {
		t.Error("a participant sees a note")
	}
}

func TestStory_steeringReachesTheAgentsNextQuestion(t *testing.T) {
	s := desktest.Start(t, desktest.Options{Agents: desktest.AnsweredBy(desktest.AgentFunc(
		func(_ context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
			for _, turn := range q.History {
				if strings.Contains(turn.Content, "refund") {
					return emit(tandem.Piece{Text: "You get your money back."})
				}
			}
			return emit(tandem.Piece{Text: "No."})
		}))})
	s.As("ann").Says("my money?")
	s.As("ann").Sees("Chat No.")
	s.Op("maya").Watches("ann")
	s.Op("maya").Steers("offer a refund")
	s.As("ann").Says("please")
	s.As("ann").Sees("Chat You get your money back.")
	if s.As("ann").Saw("refund") != 0 {
		t.Error("a participant sees the steering")
	}
}

func TestStory_aDraftIsSentOnce(t *testing.T) {
	s := desktest.Start(t, desktest.Options{})
	s.As("ann").Says("how much?")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Watches("ann")
	s.As("ann").Hears(tandem.Chat, "It is 20 euros.")
	s.Op("maya").Sees("of ann draft ", "It is 20 euros.")
	s.Op("maya").SendsDraft("It is 20 euros.")
	s.Op("maya").Sees("of ann draft-gone")
	s.Op("maya").Answers("Anything else?")
	s.As("ann").Sees("Chat Anything else?")
	if n := s.As("ann").Saw("Chat It is 20 euros."); n != 1 {
		t.Errorf("a participant is told so %d times", n)
	}
	s.Op("maya").SendsDraft("It is 20 euros.")
	s.Op("maya").IsRefused("This draft was already sent or dropped.")
}

func TestStory_typingAndReadingGoBothWays(t *testing.T) {
	s := desktest.Start(t, desktest.Options{})
	s.As("ann").Says("hello?")
	s.Op("maya").TakesOver("ann")
	s.Op("maya").Watches("ann")
	s.As("ann").Watches("ann")
	s.As("ann").Types()
	s.Op("maya").Sees("of ann typing", `"role":"user"`)
	s.Op("maya").Types()
	s.As("ann").Sees("of ann typing", `"name":"Maya"`)
	s.Op("maya").Answers("Hello!")
	s.As("ann").Reads("Hello!")
	s.Op("maya").Sees("of ann read", `"role":"user"`)
	s.As("ann").Says("Good that you are there.")
	s.Op("maya").Reads("Good that you are there.")
	s.As("ann").Sees("of ann read", `"name":"Maya"`)
}

func TestStory_whatNobodyAnswersBecomesUrgent(t *testing.T) {
	s := ruled(t, desk.Rules{PickupAfter: 30 * time.Millisecond})
	s.Op("maya")
	s.As("ann").Says("hello?")
	s.Op("maya").SeesOnBoard("ann", `"urgency":"URGENT"`, `"mode":"waiting"`)
}

func TestStory_aSilentHolderLosesIt(t *testing.T) {
	s := ruled(t, desk.Rules{SilenceAfter: 30 * time.Millisecond, OnSilence: "queue"})
	s.As("ann").Says("hello?")
	s.As("ann").Watches("ann")
	s.Op("maya").TakesOver("ann")
	s.As("ann").Sees("of ann updated", `"holder":"Maya"`)
	s.Op("maya").Drops("board") // and goes home
	s.As("ann").Sees("of ann updated", `"mode":"operator"`, `"returns_at":"`)
	s.As("ann").Sees("of ann updated", `"mode":"waiting"`, `"holder":null`, `"control_epoch":2`)
}

func TestStory_whatIsIdleEnds(t *testing.T) {
	s := ruled(t, desk.Rules{EndAfter: 200 * time.Millisecond})
	s.As("ann").Says("never mind")
	s.As("ann").Watches("ann")
	s.As("ann").Sees("of ann ended", "Conversation has ended")
	s.As("ann").IsCutOff("of ann")
}

func TestStory_anEscalationTellsOfWhoIsOnDuty(t *testing.T) {
	s := helped(t)
	ann := opens(s, s.Token("ann", tandem.Participant), "/ws?workflow=support")
	ann.sees("connection", "Connected")
	ann.says(`{"type":"human-escalation","reason":"I want a person","urgency":"URGENT"}`)
	ann.sees("human-escalation-response", "Nobody is on duty now. We keep your message.")
	s.Op("maya").SeesOnBoard("ann", "I want a person")
	bob := opens(s, s.Token("bob", tandem.Participant), "/ws?workflow=support")
	bob.says(`{"type":"human-escalation","reason":"me too"}`)
	if told := bob.sees("human-escalation-response", "message"); strings.Contains(told.data, "Nobody") {
		t.Errorf("told %s, and Maya is here", told.data)
	}
}

func (s *stream) says(frame string) {
	s.t.Helper()
	if err := s.socket.Write(s.t.Context(), websocket.MessageText, []byte(frame)); err != nil {
		s.t.Fatal(err)
	}
}
