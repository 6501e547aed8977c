package turn

import (
	"context"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
)

// The whole way of an answer. Seen to fail by ringing before the commit, and by
// leaving Thread.Answer.
func TestAnswer_isStartedTellsItsTokensAndEndsOnce(t *testing.T) {
	first, go2 := make(chan struct{}), make(chan struct{})
	b := with(t, replies(func(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
		if err := emit(tandem.Piece{Text: "Hel"}); err != nil {
			return err
		}
		close(first)
		<-go2
		emit(tandem.Piece{Sources: "faq"})
		return emit(tandem.Piece{Text: "lo"})
	}))
	a := who("ann")
	q := b.ask(a, "hi")
	<-first
	th, err := b.store.Thread(t.Context(), a)
	if err != nil || th.Answer != 2 {
		t.Fatalf("answer under way is %d, %v; want 2", th.Answer, err)
	}
	if text, err := b.store.Checkpoint(t.Context(), a, 2); text != "Hel" || err != nil {
		t.Errorf("checkpoint %q, %v", text, err)
	}
	close(go2)
	b.wants(a, "user:hi | start | stop:Hello")
	log := b.log(a)
	s, e := body[tandem.AnswerStarted](t, log[1]), log[2]
	if s.MessageID != q.answer || e.ID != q.answer || s.Name != "bot" || s.Role != tandem.RoleAssistant || s.RequestID != "req-"+q.id || s.Conversation == "" {
		t.Errorf("started %+v, ended %s, want id %s", s, e.ID, q.answer)
	}
	m := body[tandem.Message](t, e)
	want := tandem.Message{
		Direction: tandem.Outgoing, Type: tandem.Chat, Role: tandem.RoleAssistant, Name: "bot", Text: "Hello",
		RequestID: "req-" + q.id, Conversation: s.Conversation, Medium: "Text", Sources: "faq", Finish: tandem.FinishStop, Started: 2,
	}
	if string(e.Body) != string(mustJSON(t, want)) {
		t.Errorf("got %+v\nwant %+v", m, want)
	}
	if e.Meta.InReplyTo != q.id || log[1].Meta.InReplyTo != q.id || e.Meta.Credential != "agent" || e.Meta.Principal != "bot" {
		t.Errorf("meta %+v", e.Meta)
	}
	if text, _ := b.store.Checkpoint(t.Context(), a, 2); text != "" {
		t.Errorf("checkpoints are left: %q", text)
	}
	b.until("its readers were shown all of it", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.shown[q.answer] == "Hello"
	})
}
