package turn

import (
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/seed4677ff1f/tandem/internal/metric"
)

// An agent that fails so often in a row is left alone for so long; then one
// question is let through to see.
const (
	breakerFailures = 5
	breakerRest     = 10 * time.Second
)

// A breaker keeps questions from an agent that is known not to answer, so that
// they fail at once and it can recover.
type breaker struct {
	in *gobreaker.TwoStepCircuitBreaker[struct{}]
}

func newBreaker(shown metric.Gauge) breaker {
	return breaker{gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:       breakerRest,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
		IsExcluded:    func(err error) bool { return err != nil && !theirs(err) },
		OnStateChange: func(_ string, _, to gobreaker.State) { shown.Set(float64(to)) },
	})}
}

func (b breaker) state() gobreaker.State { return b.in.State() }

// closed reports whether questions may come in; while one is let through to see,
// they may try.
func (b breaker) closed() bool { return b.state() != gobreaker.StateOpen }

// A trial is one call that the breaker let through.
type trial struct {
	report func(error)
	probe  bool // it decides whether others are let through
	told   bool
}

// allow lets a call through, or returns errOpen.
func (b breaker) allow() (*trial, error) {
	report, err := b.in.Allow()
	if err != nil {
		return nil, errOpen
	}
	return &trial{report: report, probe: b.state() == gobreaker.StateHalfOpen}, nil
}

// answers tells that a piece came. While the breaker tries the agent out, that is
// enough: the other questions need not wait for the answer's end.
func (t *trial) answers() {
	if t.probe {
		t.ended(nil)
	}
}

// ended tells how the call ended.
func (t *trial) ended(err error) {
	if !t.told {
		t.told = true
		t.report(err)
	}
}
