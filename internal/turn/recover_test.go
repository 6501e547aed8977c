package turn

import (
	"context"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
)

// A copy of the folder, taken while the first process goes on, is what a crash
// leaves. What was said is told to have been interrupted, with the text of the
// checkpoints; what was asked and not begun has failed; what waited is asked
// now. Each ends exactly once. Seen to fail by asking again what had been asked,
// and by leaving the answer open.
func TestStart_takesUpWhatACrashLeft(t *testing.T) {
	mute, talk := make(chan struct{}), newStand()
	b := with(t, replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		if q.Participant == "bob" {
			close(mute)
			return stalls()(ctx, q, emit)
		}
		return talk.Reply(ctx, q, emit)
	}))
	ann := b.ask(who("ann"), "a")
	b.ask(who("ann"), "b")
	b.ask(who("bob"), "m")
	talk.token(t)
	<-mute
	talk.token(t) // published, and in no checkpoint yet
	dir := b.snapshot()

	again := open(t, dir, Options{Agents: []Spec{spec(says("after"))}})
	defer again.stop()
	again.wants(who("ann"), "user:a | user:b | start | interrupted:a1  | start | stop:after")
	again.wants(who("bob"), "user:m | failed:unavailable")
	end := again.log(who("ann"))[3]
	m := body[tandem.Message](t, end)
	if end.ID != ann.answer || m.Name != "bot" || m.RequestID != "req-"+ann.id || m.Started == 0 || end.Meta.InReplyTo != ann.id {
		t.Errorf("the end is %+v of %+v", m, end.Meta)
	}
}

// Checkpoints join to the text, and a crash after the second keeps both.
func TestStart_joinsTheCheckpoints(t *testing.T) {
	s := newStand()
	b := with(t, s)
	a := who("ann")
	q := b.ask(a, "é")
	s.token(t)
	s.token(t)
	b.run.checkpoint(b.run.turn(a, q.id))
	s.token(t)
	b.run.checkpoint(b.run.turn(a, q.id))
	n := count(t, b.set.Store.Appends)
	if b.run.checkpoint(b.run.turn(a, q.id)); count(t, b.set.Store.Appends) != n {
		t.Error("written although nothing grew")
	}
	s.token(t)
	dir := b.snapshot()
	again := open(t, dir, Options{})
	defer again.stop()
	again.wants(a, "user:é | start | interrupted:é1 é2 é3 ")
}

// What was posted before the start waits for it, and is answered after what is
// owed from before, once. Seen to fail by taking up what is known already, and
// by not sorting.
func TestStart_comesBeforeWhatIsPostedMeanwhile(t *testing.T) {
	dir := folder(t)
	b := prepare(t, dir, Options{})
	a := who("ann")
	b.ask(a, "1")
	b.stop()
	b = prepare(t, dir, Options{Agents: []Spec{spec(replies(func(_ context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		return emit(tandem.Piece{Text: "to " + q.Message})
	}))}})
	defer b.stop()
	b.ask(a, "2")
	b.ask(a, "3")
	if err := b.run.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wants(a, "user:1 | user:2 | user:3 | start | stop:to 1 | start | stop:to 2 | start | stop:to 3")
	if err := b.run.Start(t.Context()); err != nil {
		t.Error(err)
	}
}

// A question of which nobody knows any more is dropped; one whose agent is gone
// has failed.
func TestStart_withoutTheQuestionOrItsAgent(t *testing.T) {
	dir := folder(t)
	b := open(t, dir, Options{Agents: []Spec{spec(says("x"))}})
	b.run.Stop(t.Context())
	a, gone := who("ann"), who("bob")
	b.ask(a, "q")
	b.ask(gone, "q", func(_ *tandem.Message, turn *storeTurn) { turn.Question = 7 })
	b.close()
	b = open(t, dir, Options{})
	defer b.stop()
	b.wants(a, "user:q | failed:unavailable")
	b.wants(gone, "user:q")
}
