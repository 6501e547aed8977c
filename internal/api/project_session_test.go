package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// The exact bytes of every frame of a session's stream. Seen to fail by an event
// line, by moving a field, and by the time at which what waited was moved.
func TestSessionProjection_writesFramesWithoutAName(t *testing.T) {
	view := tandem.View{Face: tandem.FaceSession}
	show := func(e *tandem.Event) []byte { return Codec().Event(view, tandem.SessionAddress("default", "s1"), e, 0) }
	push := func(seq int64, p tandem.Push) *tandem.Event { return kindEvent(seq, tandem.KindPush, p) }
	evil := "x\nevent: y\rid: 1-aaaaaaaa\r\n\r\ndata: {}\x00\u2028<script>"
	quoted, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	text := push(2, tandem.Push{Event: "MESSAGE", Message: json.RawMessage(`"héllo <ann>"`)})
	var got strings.Builder
	for _, c := range []struct {
		name  string
		bytes []byte
	}{
		{"a stream begins", sessionHello(testAddress.Start(), 1234*time.Millisecond)},
		{"a text", show(text)},
		{"an object", show(push(3, tandem.Push{Event: "PAYMENT", Message: json.RawMessage(`{"amount":12.50,"state":"paid"}`)}))},
		{"what has waited", show(push(4, tandem.Push{Event: "WITHDRAWAL", Message: json.RawMessage(`"x"`), Sent: testAt.Add(-time.Minute)}))},
		{"what would be another frame", show(push(5, tandem.Push{Event: evil, Message: quoted}))},
		{"the session began", show(kindEvent(6, tandem.KindSession, tandem.SessionChange{}))},
		{"the session ended", show(kindEvent(7, tandem.KindSession, tandem.SessionChange{Ended: true}))},
		{"a message of a conversation", show(messageEvent(8, tandem.Message{Direction: tandem.Outgoing, Type: tandem.Chat, Text: "hi"}))},
		{"a heartbeat", sessionBeat(tandem.Cursor{})},
		{"a heartbeat after what was not shown", sessionBeat(text.Cursor())},
	} {
		fmt.Fprintf(&got, "# %s\n%s", c.name, c.bytes)
		heldOn(t, "/sse/connect/s1", c.bytes)
	}
	chatGolden(t, "session_project.txt", got.String())
}
