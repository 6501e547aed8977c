package turn

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// streams is a push that says what s says; it names a new message.
func (b *bench) streams(ctx context.Context, a tandem.Address, requestID string, s Agent) (PushedEnd, error) {
	return b.run.Pushed(ctx, a, PushedAnswer{
		RequestID: requestID, Name: "engine", Meta: tandem.Meta{Principal: "key_1", Credential: "key"},
		Begin: func(on store.State, w *store.Write) (string, error) {
			if on.Thread.Control.Holder != "" {
				return "", errTaken
			}
			return tandem.NewID("msg_", time.Now()), nil
		},
	}, func(ctx context.Context, emit func(tandem.Piece) error) error {
		return s.Reply(ctx, tandem.Question{Message: "p"}, emit)
	})
}

// streaming is streams, going on.
type streaming struct {
	end PushedEnd
	err error
}

func (b *bench) stream(ctx context.Context, a tandem.Address, requestID string, s Agent) chan streaming {
	result := make(chan streaming, 1)
	go func() {
		end, err := b.streams(ctx, a, requestID, s)
		result <- streaming{end, err}
	}()
	return result
}

// A push that streams is shown as an answer is, in its turn.
func TestPushed_isAnAnswerInItsTurn(t *testing.T) {
	s, p := newStand(), newStand()
	b := with(t, s)
	a := who("ann")
	r := b.reads(a, nil)
	b.ask(a, "a")
	s.token(t)
	result := b.stream(t.Context(), a, "", p)
	b.until("it is in the line", func() bool { return len(b.run.line(a)) == 2 })
	b.ask(a, "b")
	if len(p.asked) != 0 {
		t.Error("it is read before its turn")
	}
	s.next <- struct{}{}
	<-s.said
	s.next <- struct{}{}
	<-s.said
	if err := b.run.Cancel(t.Context(), a, b.run.line(a)[0].row.Answer); err != nil {
		t.Fatal(err)
	}
	p.token(t)
	p.token(t)
	close(p.next)
	got := <-result
	if got.err != nil || got.end.Finish != tandem.FinishStop {
		t.Fatal(got)
	}
	if m := body[tandem.Message](t, got.end.Event); m.Text != "p1 p2 " || m.Name != "engine" || got.end.Event.Meta.Principal != "key_1" || m.Conversation == "" || m.Medium != "Text" {
		t.Errorf("it ended as %+v by %+v", m, got.end.Event.Meta)
	}
	s.token(t)
	close(s.next)
	b.wants(a, "user:a | start | user:b | cancelled:a1 a2 a3  | start | stop:p1 p2  | start | stop:b1 ")
	if got := r.ends(); !slices.Equal(got, []string{"cancelled:a1 a2 a3 ", "stop:p1 p2 ", "stop:b1 "}) {
		t.Errorf("a reader was shown %q", got)
	}
}

// A takeover cuts it where it is.
func TestPushed_isCutByATakeover(t *testing.T) {
	p := newStand()
	b := with(t, says("x"))
	a := who("ann")
	r := b.reads(a, nil)
	b.ask(a, "a")
	b.wants(a, "user:a | start | stop:x")
	result := b.stream(t.Context(), a, "", p)
	p.token(t)
	if err := b.takes(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if got := <-result; got.err != nil || got.end.Finish != tandem.FinishInterrupted || body[tandem.Message](t, got.end.Event).Text != "p1 " {
		t.Errorf("it ended as %+v", got)
	}
	b.wants(a, "user:a | start | stop:x | start | interrupted:p1  | operator:Good day.")
	if got := r.ends(); !slices.Equal(got, []string{"stop:x", "interrupted:p1 "}) {
		t.Errorf("a reader was shown %q", got)
	}
}

// Before its first word a takeover leaves nothing of it; while an operator holds
// it is refused unread.
func TestPushed_isHeldBeforeItsFirstWord(t *testing.T) {
	for name, waits := range map[string]bool{"in its turn": false, "before its turn": true} {
		t.Run(name, func(t *testing.T) {
			s, p := newStand(), newStand()
			b := with(t, s)
			a := who("ann")
			b.ask(a, "a")
			s.token(t)
			if !waits {
				if err := b.run.Cancel(t.Context(), a, b.run.line(a)[0].row.Answer); err != nil {
					t.Fatal(err)
				}
			}
			result := b.stream(t.Context(), a, "", p)
			if waits {
				b.until("it is in the line", func() bool { return len(b.run.line(a)) == 2 })
			} else {
				<-p.asked
			}
			if err := b.takes(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if got := <-result; tandem.KindOf(got.err) != tandem.Held {
				t.Errorf("it ended as %+v", got)
			}
			if _, err := b.streams(t.Context(), a, "", p); err != errTaken {
				t.Errorf("a push while an operator holds: %v", err)
			}
			if len(p.asked) != 0 {
				t.Error("it was read")
			}
			want := "user:a | start | cancelled:a1  | operator:Good day."
			if waits {
				want = "user:a | start | interrupted:a1  | operator:Good day."
			}
			b.wants(a, want)
		})
	}
}

// It answers the question that waits for it, under the id that the answer was
// promised. If it fails before its first word the question goes on waiting.
func TestPushed_answersTheQuestionThatWaits(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"parked":  func(s *Spec) { s.Agent, s.Push = nil, true },
		"put off": func(*Spec) {},
	} {
		t.Run(name, func(t *testing.T) {
			p := newStand()
			b := with(t, replies(putsOff), change)
			a := who("ann")
			q := b.ask(a, "a")
			b.idles(a)
			broken := errors.New("broken")
			for range 2 {
				_, err := b.streams(t.Context(), a, "req-"+q.id, replies(func(context.Context, tandem.Question, func(tandem.Piece) error) error { return broken }))
				if err != broken {
					t.Fatalf("it said %v", err)
				}
				b.idles(a)
			}
			result := b.stream(t.Context(), a, "req-"+q.id, p)
			p.token(t)
			if b.push(a, "req-"+q.id, "meanwhile") {
				t.Error("a whole push answers what is being answered")
			}
			close(p.next)
			got := <-result
			if got.err != nil || got.end.Event.ID != q.answer || got.end.Event.Meta.InReplyTo != q.id {
				t.Errorf("it ended as %+v", got)
			}
			b.wants(a, "user:a | start | assistant:meanwhile | stop:p1 ")
		})
	}
}

// A whole push that is on its way is not overtaken.
func TestPushed_leavesAPushItsQuestion(t *testing.T) {
	b := with(t, replies(putsOff))
	a := who("ann")
	q := b.ask(a, "a")
	b.idles(a)
	if _, ok := b.run.Waiting(a, "req-"+q.id); !ok {
		t.Fatal("it does not wait")
	}
	if _, err := b.streams(t.Context(), a, "req-"+q.id, says("x")); tandem.KindOf(err) != tandem.Conflict {
		t.Errorf("it said %v", err)
	}
	if !b.push(a, "req-"+q.id, "whole") {
		t.Error("the push answers nothing")
	}
	b.wants(a, "user:a | assistant:whole")
}

// What fails after its first word is an answer that failed; before, it is nothing.
// So is one that says nothing.
func TestPushed_thatFailsOrSaysNothing(t *testing.T) {
	b := with(t, says("x"))
	a := who("ann")
	broken := errors.New("broken")
	fails := func(tokens ...string) Agent {
		return replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
			return errors.Join(says(tokens...)(ctx, q, emit), broken)
		})
	}
	if _, err := b.streams(t.Context(), a, "", fails()); !errors.Is(err, broken) {
		t.Errorf("it said %v", err)
	}
	if end, err := b.streams(t.Context(), a, "", fails("a", "b")); err != nil || end.Finish != tandem.FinishError {
		t.Errorf("it ended as %+v, %v", end, err)
	}
	if end, err := b.streams(t.Context(), a, "none", says()); err != nil || end.Finish != tandem.FinishStop || end.Event.ID != "" {
		t.Errorf("it ended as %+v, %v", end, err)
	}
	b.wants(a, "start | error:ab")
}

// Who pushes may go away: in its turn, and before.
func TestPushed_endsWithWhoPushes(t *testing.T) {
	s, p := newStand(), newStand()
	b := with(t, s)
	a := who("ann")
	b.ask(a, "a")
	s.token(t)
	ctx, cancel := context.WithCancel(t.Context())
	result := b.stream(ctx, a, "", p)
	b.until("it is in the line", func() bool { return len(b.run.line(a)) == 2 })
	cancel()
	if got := <-result; !errors.Is(got.err, context.Canceled) {
		t.Errorf("it ended as %+v", got)
	}
	close(s.next)
	b.wants(a, "user:a | start | stop:a1 ")

	ctx, cancel = context.WithCancel(t.Context())
	result = b.stream(ctx, a, "", p)
	p.token(t)
	cancel()
	if got := <-result; got.err != nil || got.end.Finish != tandem.FinishError {
		t.Errorf("it ended as %+v", got)
	}
	b.wants(a, "user:a | start | stop:a1  | start | error:p1 ")
}

// After a crash an answer that had begun has been interrupted, and nothing is left
// of one that had not. A stop ends both.
func TestPushed_survivesNoRestart(t *testing.T) {
	for name, crash := range map[string]bool{"crash": true, "stop": false} {
		t.Run(name, func(t *testing.T) {
			p, late := newStand(), newStand()
			b := open(t, folder(t), Options{})
			a := who("ann")
			first := b.stream(t.Context(), a, "", p)
			p.token(t)
			second := b.stream(t.Context(), a, "", late)
			b.until("both are in the line", func() bool { return len(b.run.line(a)) == 2 })
			dir := b.dir
			if crash {
				dir = b.snapshot()
			}
			b.stop()
			if got := <-first; got.err != nil || got.end.Finish != tandem.FinishInterrupted {
				t.Errorf("the first ended as %+v", got)
			}
			if got := <-second; tandem.KindOf(got.err) != tandem.Unavailable {
				t.Errorf("the second ended as %+v", got)
			}
			b = open(t, dir, Options{})
			defer b.stop()
			b.wants(a, "start | interrupted:p1 ")
			if _, err := b.streams(t.Context(), a, "", says("again")); err != nil {
				t.Error(err)
			}
			b.wants(a, "start | interrupted:p1  | start | stop:again")
		})
	}
}
