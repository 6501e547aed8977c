package turn

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// stalls is an agent that says the tokens and then nothing until it is told to stop.
func stalls(tokens ...string) replies {
	return func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		if err := says(tokens...)(ctx, q, emit); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}
}

// ticks is an agent that says n tokens, one each so often.
func ticks(every time.Duration, n int) replies {
	return func(ctx context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
		for range n {
			select {
			case <-time.After(every):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if err := emit(tandem.Piece{Text: "x"}); err != nil {
				return err
			}
		}
		return nil
	}
}

// Each time-out alone, at the limit and past it. Seen to fail by not stopping the
// first timer, by not resetting the idle one, and by giving each attempt a total
// of its own.
func TestTimeouts_endTheAnswerAndKeepItsText(t *testing.T) {
	for _, c := range []struct {
		name  string
		agent Agent
		spec  func(*Spec)
		took  time.Duration
		want  string
	}{
		{"first token never", stalls(), func(s *Spec) { s.FirstToken = 3 * time.Second }, 3 * time.Second, "failed:timeout"},
		{"first token in time", ticks(2999*time.Millisecond, 2), func(s *Spec) { s.FirstToken = 3 * time.Second }, 5998 * time.Millisecond, "start | stop:xx"},
		{"idle", stalls("a", "b"), func(s *Spec) { s.Idle = 4 * time.Second }, 4 * time.Second, "start | error:ab"},
		{"never idle for long", ticks(3999*time.Millisecond, 3), func(s *Spec) { s.Idle = 4 * time.Second }, 3 * 3999 * time.Millisecond, "start | stop:xxx"},
		{"total", ticks(time.Second, 100), func(s *Spec) { s.Total = 2500 * time.Millisecond }, 2500 * time.Millisecond, "start | error:xx"},
		{"total over all attempts", stalls(), func(s *Spec) { s.FirstToken, s.Total, s.Retries = time.Second, 10*time.Second, 100 }, 10 * time.Second, "failed:timeout"},
		{"none", ticks(time.Hour, 2), func(*Spec) {}, 2 * time.Hour, "start | stop:xx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := with(t, c.agent, func(s *Spec) {
					s.FirstToken, s.Idle, s.Total, s.Retries = 0, 0, 0, 0
					c.spec(s)
				})
				a, began := who("ann"), time.Now()
				b.ask(a, "q")
				b.wants(a, "user:q | "+c.want)
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
			})
		})
	}
}

// flaky fails the first calls in the way of err, after the tokens.
func flaky(calls *atomic.Int32, failures int32, err error, tokens ...string) replies {
	return func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		if n := calls.Add(1); n > failures {
			return emit(tandem.Piece{Text: strings.Repeat("k", q.Attempt)})
		}
		if err := says(tokens...)(ctx, q, emit); err != nil {
			return err
		}
		return err
	}
}

// Seen to fail by retrying whatever error, by forgetting that something was said,
// and by one attempt too many.
func TestRetries_happenBeforeTheFirstPieceOnly(t *testing.T) {
	down := tandem.Errorf(tandem.Unavailable, "down")
	for _, c := range []struct {
		name     string
		failures int32
		err      error
		tokens   []string
		calls    int32
		want     string
	}{
		{"the last one helps", 2, down, nil, 3, "start | stop:kkk"},
		{"one too many", 3, down, nil, 3, "failed:unavailable"},
		{"a token was said", 1, down, []string{"so"}, 1, "start | error:so"},
		{"half a rune was said", 1, down, []string{"\xe2\x82"}, 1, "failed:unavailable"},
		{"it would not help", 1, tandem.Errorf(tandem.Invalid, "no"), nil, 1, "failed:unavailable"},
		{"nobody knows whether it would", 1, errors.New("?"), nil, 1, "failed:unavailable"},
		{"a time-out of its own", 1, tandem.Errorf(tandem.Timeout, "slow"), nil, 2, "start | stop:kk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				b := with(t, flaky(&calls, c.failures, c.err, c.tokens...))
				a := who("ann")
				b.ask(a, "q")
				b.wants(a, "user:q | "+c.want)
				if n := calls.Load(); n != c.calls {
					t.Errorf("%d calls, want %d", n, c.calls)
				}
			})
		})
	}
}

func TestRetries_leaveTheAgentAloneForAsLongAsItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		b := with(t, flaky(&calls, 1, &tandem.Error{Kind: tandem.TooMany, Message: "busy", RetryAfter: 7 * time.Second}))
		a, began := who("ann"), time.Now()
		b.ask(a, "q")
		b.wants(a, "user:q | start | stop:kk")
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("asked again after %v", took)
		}
	})
}

// No new call is made once the Runner stops, also not a second try.
func TestRetries_stopWithTheRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		b := with(t, flaky(&calls, 100, tandem.Errorf(tandem.Unavailable, "down")), func(s *Spec) { s.Retries = 100 })
		a := who("ann")
		b.ask(a, "q")
		synctest.Wait() // it pauses before the second call
		b.run.Stop(t.Context())
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		b.wants(a, "user:q | failed:unavailable")
	})
}

// Seen to fail by counting cuts as failures, by opening one failure later, and by
// reporting a trial's success only at the answer's end.
func TestBreaker_sparesAnAgentThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		well := make(chan struct{}) // closed: the agent is well
		last := make(chan struct{}) // closed: it may end its answers
		b := with(t, replies(func(ctx context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
			calls.Add(1)
			select {
			case <-well:
			default:
				return tandem.Errorf(tandem.Unavailable, "down")
			}
			if err := emit(tandem.Piece{Text: "well"}); err != nil {
				return err
			}
			<-last
			return nil
		}), func(s *Spec) { s.Retries, s.Concurrency = 0, 1 })
		gate := b.run.agents.Load().list[0].gate
		is := func(state string, n int32) {
			t.Helper()
			h := b.run.Health()[0]
			if h.Breaker != state || calls.Load() != n {
				t.Errorf("breaker %s after %d calls, want %s after %d", h.Breaker, calls.Load(), state, n)
			}
		}
		for n := range int32(breakerFailures) {
			is("closed", n)
			b.ask(who("ann"), "q")
			b.settled(who("ann"))
		}
		is("open", breakerFailures)
		if err := gate.enter(t.Context()); err != nil { // no slot is free
			t.Fatal(err)
		}
		began := time.Now()
		b.ask(who("bob"), "q")
		b.wants(who("bob"), "user:q | failed:unavailable")
		gate.leave()
		if took := time.Since(began); took != 0 {
			t.Errorf("it failed after %v", took)
		}
		is("open", breakerFailures)

		pass(breakerRest + 1)
		b.ask(who("bob"), "q") // still ill: open again
		b.settled(who("bob"))
		is("open", breakerFailures+1)

		close(well)
		pass(breakerRest + 1)
		is("half-open", breakerFailures+1)
		b.ask(who("cas"), "q")
		b.until("cas has a token", func() bool { return strings.Contains(b.story(who("cas")), "start") })
		is("closed", breakerFailures+2) // although the answer goes on
		close(last)
		b.wants(who("cas"), "user:q | start | stop:well")
	})
}

// A cut, a question that the agent refuses, and an answer that is too long say
// nothing about the agent's health.
func TestBreaker_countsOnlyTheAgentsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := tandem.DefaultLimits()
		limits.Answer = 4
		b := start(t, Options{Limits: limits, Agents: []Spec{spec(replies(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
			switch q.Message {
			case "refuse":
				return tandem.Errorf(tandem.Invalid, "no")
			case "long":
				return emit(tandem.Piece{Text: "12345"})
			}
			return stalls("a")(ctx, q, emit)
		}))}})
		a := who("ann")
		for range 2 * breakerFailures {
			b.ask(a, "refuse")
			b.settled(a)
			b.ask(a, "long")
			b.settled(a)
			q := b.ask(a, "cut")
			b.until("it begins", func() bool { return b.run.Cancel(t.Context(), a, q.id) == nil })
		}
		if h := b.run.Health()[0]; h.Breaker != "closed" {
			t.Errorf("breaker is %s", h.Breaker)
		}
	})
}

// The text of a slow answer is in the store once a second, in pieces. Seen to
// fail by writing the whole text each time, and by writing when nothing grew.
func TestCheckpoints_followTheTextOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := with(t, ticks(450*time.Millisecond, 20))
		a := who("ann")
		b.ask(a, "q")
		for _, c := range []struct {
			at   time.Duration
			text string
		}{{500 * time.Millisecond, "x"}, {950 * time.Millisecond, "x"}, {1100 * time.Millisecond, "xx"}, {1900 * time.Millisecond, "xx"}, {2100 * time.Millisecond, "xxxx"}} {
			pass(c.at - time.Since(epoch))
			synctest.Wait()
			if text, err := b.store.Checkpoint(t.Context(), a, 2); text != c.text || err != nil {
				t.Errorf("after %v the store has %q, %v; want %q", c.at, text, err, c.text)
			}
		}
		b.wants(a, "user:q | start | stop:"+strings.Repeat("x", 20))
	})
}

// epoch is when a bubble's clock begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// pass lets time go by on a bubble's clock.
func pass(d time.Duration) { <-time.After(d) }
