package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/spec/check"
)

// heldOn holds the bytes of a stream at the path against the specification.
func heldOn(t *testing.T, path string, stream []byte) {
	t.Helper()
	req, err := http.NewRequest("GET", "http://x"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res := &http.Response{StatusCode: 200, Header: http.Header{
		"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-cache, no-transform"}, "X-Accel-Buffering": {"no"},
	}}
	check.Response(t, req, res, stream)
}

// The exact bytes of the board's events. Seen to fail by leaving unread out where
// it is 0, and by last words in UTC.
func TestBoardProjection_writesEachEvent(t *testing.T) {
	held := heldConversation()
	said := desk.Seen{Conversation: held, Words: desk.Words{Text: "Help", Role: tandem.RoleUser, At: testAt, Unread: 2}}
	waiting := documentConv
	waiting.Mode, waiting.WaitingSince = tandem.ModeWaiting, testAt
	silent := desk.Seen{Conversation: waiting, Place: 3}
	at := "b7-aaaaaaaa~4-bbbbbbbb"
	hint := tandem.Notice{Kind: tandem.NoticeHint, At: testAt, Conversation: held.ID, Role: tandem.RoleAssistant, Text: "Stay calm.", Row: &held}
	var got strings.Builder
	for _, c := range []conversationCase{
		{"the board begins", boardHello("", 1234*time.Millisecond)},
		{"the board goes on", boardHello(at, 1234*time.Millisecond)},
		{"all that there are", snapshotEvent(tandem.Operators, []desk.Seen{said, silent}, at)},
		{"none", snapshotEvent(tandem.Operators, nil, "b0-aaaaaaaa")},
		{"one came or changed", placed("upsert", boardUpsert{boardRow(tandem.Operators, &silent)}, at)},
		{"one is gone", placed("removed", boardRemoved{held.ID}, at)},
		{"last words", event("hint", hintOf(hint))},
		{"all is read, and nothing was said", event("hint", hintOf(tandem.Notice{Conversation: held.ID}))},
		{"a heartbeat", boardBeat(testAt, "")},
		{"a heartbeat after what was not shown", boardBeat(testAt, at)},
		{"an error", conversationError("", textExpired, time.Minute)},
	} {
		fmt.Fprintf(&got, "# %s\n%s", c.name, c.bytes)
		heldOn(t, "/api/conversations/stream", c.bytes)
	}
	chatGolden(t, "board_project.txt", got.String())
}

// An event's own place is taken off its end and nowhere else, and what other
// streams share is not written to. Seen to fail by cutting at the first "id: ",
// and by appending to the shared bytes.
func TestBoard_cutID(t *testing.T) {
	frame := []byte("event: a\ndata: {\"x\":\"\\nid: 9\"}\n\nevent: b\ndata: {}\nid: 4-aaaaaaaa\n\n")
	head, id := cutID(frame)
	if id != "4-aaaaaaaa" || string(head) != string(frame[:len(frame)-len("4-aaaaaaaa\n\n")]) {
		t.Errorf("%q %q", head, id)
	}
	if _ = append(head, "overwritten"...); !strings.HasSuffix(string(frame), "4-aaaaaaaa\n\n") {
		t.Error("the shared bytes were written to")
	}
	if head, id := cutID([]byte("event: a\ndata: {}\n\n")); id != "" || len(head) != 19 {
		t.Errorf("%q %q", head, id)
	}
}
