package client

import (
	"fmt"
	"testing"
)

// Of acknowledged messages only those are remembered that a new connection may
// show: what the chat has passed is not.
func TestChat_remembersFewAcks(t *testing.T) {
	ch := &Chat{acked: map[string]string{}}
	for n := 1; n <= 1000; n++ {
		id, cursor := fmt.Sprint(n), fmt.Sprintf("%d-abcdefgh", 2*n)
		m := &outgoing{id: id, answer: make(chan reply, 1)}
		ch.unacked = append(ch.unacked, m)
		ch.settle(Event{Name: "ack"}, wire{ClientID: id, MessageID: "msg", Cursor: cursor})
		if r := <-m.answer; r.err != nil || r.ack.Cursor != cursor {
			t.Fatalf("%+v", r)
		}
		ch.cursor = fmt.Sprintf("%d-abcdefgh", 2*n+1) // the answer's end
	}
	if len(ch.acked) > 1 || len(ch.unacked) != 0 {
		t.Errorf("%d acknowledged messages are remembered, and %d are waited for", len(ch.acked), len(ch.unacked))
	}
}
