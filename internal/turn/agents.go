package turn

import (
	"context"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/seed4677ff1f/tandem/internal/metric"
)

// An agent is a Spec at work.
type agent struct {
	Spec
	*gate
}

// A gate is what an agent's answers have in common. It outlives a new list of
// agents, so that changing one does not forgive the others.
type gate struct {
	limit   int
	slots   *semaphore.Weighted // nil: any number
	breaker breaker
	running atomic.Int64
	metric  metric.Agent
}

func newGate(s Spec, m metric.Agent) *gate {
	g := &gate{limit: s.Concurrency, breaker: newBreaker(m.Breaker), metric: m}
	if s.Concurrency > 0 {
		g.slots = semaphore.NewWeighted(int64(s.Concurrency))
	}
	return g
}

// enter waits until the agent may give one more answer; leave when it has. The
// error is ctx's cause.
func (g *gate) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if g.slots != nil && g.slots.Acquire(ctx, 1) != nil {
		return context.Cause(ctx)
	}
	g.running.Add(1)
	return nil
}

func (g *gate) leave() {
	g.running.Add(-1)
	if g.slots != nil {
		g.slots.Release(1)
	}
}

// serves names a tenant's workflow; either may be "*".
type serves struct{ tenant, workflow string }

// table is the list of agents. It is replaced, never changed.
type table struct {
	list []*agent
	by   map[serves]*agent
}

// closest returns who answers for a workflow, or nil: an exact workflow before
// "*", then an exact tenant before "*".
func (t *table) closest(tenant, workflow string) *agent {
	for _, s := range []serves{{tenant, workflow}, {"*", workflow}, {tenant, "*"}, {"*", "*"}} {
		if a := t.by[s]; a != nil {
			if a.Agent == nil && !a.Push {
				return nil // people only
			}
			return a
		}
	}
	return nil
}

// Closest returns who answers for a workflow of a tenant: an exact workflow
// before "*", an exact tenant before "*". ok is false if only people do. It takes
// no lock and may be called while a store decides.
func (r *Runner) Closest(tenant, workflow string) (spec Spec, ok bool) {
	a := r.agents.Load().closest(tenant, workflow)
	if a == nil {
		return Spec{}, false
	}
	return a.Spec, true
}

// SetAgents replaces the list of agents. Answers under way go on with the agent
// that they have; questions that wait get the new one. Who keeps name and
// concurrency keeps its circuit breaker and its count of answers.
func (r *Runner) SetAgents(specs []Spec) {
	r.renew.Lock()
	defer r.renew.Unlock()
	now := &table{by: map[serves]*agent{}}
	for _, s := range specs {
		a := &agent{Spec: s}
		if i := slices.IndexFunc(r.agents.Load().list, func(old *agent) bool { return old.Name == s.Name && old.limit == s.Concurrency }); i >= 0 {
			a.gate = r.agents.Load().list[i].gate
		} else {
			a.gate = newGate(s, r.metric.Agent(s.Name))
		}
		now.list = append(now.list, a)
		if k := (serves{s.Tenant, s.Workflow}); now.by[k] == nil {
			now.by[k] = a
		}
	}
	r.agents.Store(now)
}

// Health tells how the agents do.
func (r *Runner) Health() []AgentHealth {
	var all []AgentHealth
	for _, a := range r.agents.Load().list {
		if a.Agent != nil || a.Push {
			all = append(all, AgentHealth{Name: a.Name, Breaker: a.breaker.state().String(), Running: int(a.running.Load())})
		}
	}
	return all
}

// theirs reports whether err is a failure of the agent's, and not of this
// question, of ours, or a cut.
func theirs(err error) bool {
	switch err {
	case errOver, errHeld, errHalted, errOpen:
		return false
	}
	return passing(err)
}
