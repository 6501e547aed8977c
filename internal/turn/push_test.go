package turn

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// putsOff is an agent that answers "later" with a 202.
func putsOff(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
	return emit(tandem.Piece{Later: true})
}

// push posts what an outside agent says, as the desk does.
func (b *bench) push(a tandem.Address, requestID, text string) (answers bool) {
	b.t.Helper()
	question, answers := b.run.Waiting(a, requestID)
	b.write(a, func(on store.State, w *store.Write) {
		m := tandem.Message{Direction: tandem.Outgoing, Type: tandem.Chat, Role: tandem.RoleAssistant, Text: text, RequestID: requestID}
		w.Events = []tandem.Event{{Kind: tandem.KindMessage, ID: tandem.NewID("msg_", time.Now()), Body: mustJSON(b.t, m)}}
		if answers {
			w.EndTurns = []int64{question}
		}
	})
	return answers
}

// waits lets the bubble come to rest and expects the turn to wait for a push.
func (b *bench) waits(a tandem.Address, requestID string) {
	b.t.Helper()
	synctest.Wait()
	if _, ok := b.run.Waiting(a, requestID); !ok {
		b.t.Fatal("it does not wait for a push")
	}
}

// The line waits for an answer that was put off, but it takes no slot. Seen to
// fail by serving the next, and by keeping the slot.
func TestLater_waitsForThePush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := with(t, replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
			if q.Message == "slow" {
				return putsOff(ctx, q, emit)
			}
			return says("now")(ctx, q, emit)
		}), func(s *Spec) { s.Concurrency = 1 })
		a := who("ann")
		q := b.ask(a, "slow")
		b.ask(a, "fast")
		b.waits(a, "req-"+q.id)
		b.ask(who("bob"), "fast")
		b.wants(who("bob"), "user:fast | start | stop:now")
		if b.push(a, "req-other", "by the way") {
			t.Error("a push with another requestId answers")
		}
		if !b.push(a, "req-"+q.id, "at last") {
			t.Error("the push does not answer")
		}
		b.wants(a, "user:slow | user:fast | assistant:by the way | assistant:at last | start | stop:now")
		if b.push(a, "req-"+q.id, "once more") {
			t.Error("a second push answers too")
		}
	})
}

// At total, counted from the call, the answer has failed; a push on its way is
// waited for a little longer.
func TestLater_failsWhenNothingWasPushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := with(t, replies(putsOff), func(s *Spec) { s.Total = time.Minute })
		a, began := who("ann"), time.Now()
		q := b.ask(a, "q")
		b.wants(a, "user:q | failed:timeout")
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it failed after %v", took)
		}
		if b.push(a, "req-"+q.id, "too late") {
			t.Error("a late push answers")
		}

		began = time.Now()
		q = b.ask(a, "r")
		pass(time.Minute - time.Second)
		if _, ok := b.run.Waiting(a, "req-"+q.id); !ok {
			t.Error("it does not wait")
		}
		b.settled(a)
		if took := time.Since(began); took != time.Minute+claim-time.Second {
			t.Errorf("with a push on its way it failed after %v", took)
		}
	})
}

// An engine may push before its own 202 has arrived.
func TestLater_remembersAPushThatWasFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, goOn := make(chan struct{}), make(chan struct{})
		b := with(t, replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
			close(asked)
			<-goOn
			return putsOff(ctx, q, emit)
		}))
		a := who("ann")
		q := b.ask(a, "q")
		<-asked
		if b.push(a, "req-"+q.id, "here") {
			t.Error("it answers a question that may still get an answer")
		}
		began := time.Now()
		close(goOn)
		b.wants(a, "user:q | assistant:here")
		if took := time.Since(began); took != 0 {
			t.Errorf("it waited %v", took)
		}
	})
}

func TestLater_thatGoesOnTalkingFails(t *testing.T) {
	b := with(t, replies(func(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
		return errors.Join(emit(tandem.Piece{Later: true}), emit(tandem.Piece{Text: "now"}))
	}))
	b.ask(who("ann"), "q")
	b.wants(who("ann"), "user:q | failed:unavailable")
}

// Cancel, and a takeover, end the waiting.
func TestLater_canBeCancelledAndFenced(t *testing.T) {
	for name, end := range map[string]func(*bench, asked){
		"cancelled": func(b *bench, q asked) {
			if err := b.run.Cancel(context.Background(), q.address, q.id); err != nil {
				b.t.Error(err)
			}
		},
		"fenced": func(b *bench, q asked) {
			b.write(q.address, func(_ store.State, w *store.Write) { w.Thread.Control.Epoch++ })
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, push := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					b := with(t, replies(putsOff), func(s *Spec) { s.Push = push })
					a := who("ann")
					q := b.ask(a, "q")
					b.waits(a, "req-"+q.id)
					end(b, q)
					b.wants(a, "user:q")
				})
			}
		})
	}
}

// A push agent is not called and nothing waits for it: its questions are all open
// at once, until pushes answer them in any order or their time is up.
func TestPush_agentsAreNotCalledAndNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := with(t, replies(func(context.Context, tandem.Question, func(tandem.Piece) error) error {
			t.Error("it was called")
			return nil
		}), func(s *Spec) { s.Push, s.Total = true, 10*time.Minute })
		a := who("ann")
		one, two, three := b.ask(a, "1"), b.ask(a, "2"), b.ask(a, "3")
		for _, q := range []asked{one, two, three} {
			b.waits(a, "req-"+q.id)
		}
		if !b.push(a, "req-"+two.id, "to 2") || !b.push(a, "req-"+one.id, "to 1") {
			t.Error("a push does not answer")
		}
		began := time.Now()
		pass(10*time.Minute - time.Second)
		b.waits(a, "req-"+three.id) // as a push would ask that is then lost
		pass(claim - time.Nanosecond)
		synctest.Wait()
		if n := b.turns(a); n != 1 {
			t.Errorf("%d turns wait %v after they were asked", n, time.Since(began))
		}
		pass(time.Nanosecond)
		synctest.Wait()
		// Nobody was called and so nobody failed: the participant is told nothing.
		b.wants(a, "user:1 | user:2 | user:3 | assistant:to 2 | assistant:to 1")
		if n := b.turns(a); n != 0 {
			t.Errorf("%d turns wait %v after they were asked", n, time.Since(began))
		}
		b.run.mu.Lock()
		defer b.run.mu.Unlock()
		if len(b.run.lines) != 0 {
			t.Errorf("%d lines are left", len(b.run.lines))
		}
	})
}

// A turn that somebody else has ended writes nothing more, not even an end.
func TestTurn_thatHasEndedIsNotEndedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := with(t, replies(putsOff))
		a := who("ann")
		q := b.ask(a, "q")
		synctest.Wait()
		turn := b.run.turn(a, q.id)
		if !b.push(a, "req-"+q.id, "here") {
			t.Error("the push does not answer")
		}
		b.run.fail(turn, codeTimeout)
		if err := b.run.save(turn, turn.dropping, nil); err != errOver {
			t.Errorf("written: %v", err)
		}
		b.wants(a, "user:q | assistant:here")
	})
}

// After Stop nobody's time runs out, and what comes is not begun.
func TestStop_leavesAloneWhatWaitsForAPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := with(t, replies(putsOff), func(s *Spec) { s.Push, s.Total = true, time.Minute })
		a := who("ann")
		q := b.ask(a, "q")
		b.waits(a, "req-"+q.id)
		b.run.Stop(t.Context())
		b.ask(who("bob"), "q")
		pass(time.Hour)
		synctest.Wait()
		for _, a := range []tandem.Address{a, who("bob")} {
			if n := b.turns(a); n != 1 || b.story(a) != "user:q" {
				t.Errorf("%d turns of %s wait, the log says %s", n, a.Participant, b.story(a))
			}
		}
	})
}

// Over a restart, what waits for a push goes on waiting, for what is left of its
// time.
func TestLater_goesOnWaitingAfterARestart(t *testing.T) {
	for _, push := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dir := folder(t)
			change := func(s *Spec) { s.Push, s.Total = push, 10*time.Minute }
			b := open(t, dir, Options{Agents: []Spec{spec(replies(putsOff), change)}})
			one, two := b.ask(who("ann"), "q"), b.ask(who("bob"), "q")
			b.waits(one.address, "req-"+one.id)
			b.waits(two.address, "req-"+two.id)
			pass(4 * time.Minute)
			b.stop()
			b = open(t, dir, Options{Agents: []Spec{spec(replies(putsOff), change)}})
			defer b.stop()
			b.waits(one.address, "req-"+one.id)
			if !b.push(one.address, "req-"+one.id, "here") {
				t.Error("the push does not answer")
			}
			b.wants(one.address, "user:q | assistant:here")
			began := time.Now()
			if push { // nobody was called: it is over without a word
				pass(6 * time.Minute)
				synctest.Wait()
				if n := b.turns(two.address); n != 0 || b.story(two.address) != "user:q" {
					t.Errorf("%d turns wait, the log says %s", n, b.story(two.address))
				}
				return
			}
			b.wants(two.address, "user:q | failed:timeout")
			if took := time.Since(began); took != 6*time.Minute {
				t.Errorf("it failed %v after the restart", took)
			}
		})
	}
}
