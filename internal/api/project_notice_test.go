package api

import (
	"fmt"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/spec/check"
)

// What passes, on the participant's stream (if asked for) and on the chat socket.
// Seen to fail by an operator's login in a frame, by showing it unasked.
func TestNotices_toParticipants(t *testing.T) {
	asked := participantView
	asked.Presence = true
	waiting := documentConv
	waiting.Mode = tandem.ModeWaiting
	var got strings.Builder
	for _, c := range []struct {
		name string
		n    tandem.Notice
	}{
		{"an operator types", tandem.Notice{Kind: tandem.NoticeTyping, Subject: "maya", Role: tandem.RoleOperator, Name: "Maya"}},
		{"and stops", tandem.Notice{Kind: tandem.NoticeTyping, Subject: "maya", Role: tandem.RoleOperator, Name: "Maya", Stopped: true}},
		{"an operator types a note", tandem.Notice{Kind: tandem.NoticeTyping, Subject: "maya", Role: tandem.RoleOperator, Name: "Maya", Audience: tandem.Operators}},
		{"an operator has read", tandem.Notice{Kind: tandem.NoticeRead, Subject: "maya", Role: tandem.RoleOperator, Name: "Maya", MessageID: "msg_4", Seq: 4}},
		{"it has arrived", tandem.Notice{Kind: tandem.NoticeRead, Subject: "ann", Role: tandem.RoleUser, MessageID: "msg_4", Seq: 4, Delivered: true}},
		{"who is there", tandem.Notice{Kind: tandem.NoticePresence, Watching: []tandem.Watching{{Role: tandem.RoleUser, Subject: "ann", Name: "Ann"}, {Role: tandem.RoleOperator, Subject: "maya", Name: "Maya"}}}},
		{"nobody is there", tandem.Notice{Kind: tandem.NoticePresence}},
		{"the place in the queue", tandem.Notice{Kind: tandem.NoticeQueue, Place: 3, Row: &waiting}},
		{"a hint", tandem.Notice{Kind: tandem.NoticeHint, Text: "help"}},
	} {
		c.n.At, c.n.Conversation = testAt, documentConv.ID
		events := Codec().Notice(asked, testAddress, c.n)
		held(t, events)
		fmt.Fprintf(&got, "# %s\n%s", c.name, events)
		for _, frame := range unframe(t, Codec().Notice(testChatView, testAddress, c.n)) {
			check.Frame(t, check.ToClient, []byte(frame))
			fmt.Fprintf(&got, "%s\n", frame)
		}
		if b := Codec().Notice(participantView, testAddress, c.n); b != nil {
			t.Errorf("%s: shown to a stream that did not ask: %s", c.name, b)
		}
	}
	if strings.Contains(got.String(), "maya") {
		t.Error("a participant is shown a login")
	}
	chatGolden(t, "notices.txt", got.String())
}
