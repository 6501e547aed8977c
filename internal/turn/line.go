package turn

import (
	"slices"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A line is the turns of one thread, in the order of their questions. One
// goroutine serves it while there is something to do, one turn at a time: a
// thread has one ACTIVE conversation and room for one answer under way.
type line struct {
	turns   []*turn // that have not ended
	serving *turn   // one of them
	served  bool    // by a goroutine
}

func (l *line) find(match func(*turn) bool) *turn {
	if i := slices.IndexFunc(l.turns, match); i >= 0 {
		return l.turns[i]
	}
	return nil
}

// enqueue puts t at the end of its line. mu is held.
func (r *Runner) enqueue(a tandem.Address, t *turn) {
	l := r.lines[a]
	if l == nil {
		l = &line{}
		r.lines[a] = l
	}
	if l.find(func(known *turn) bool { return known.row.Question == t.row.Question }) != nil {
		return
	}
	l.turns = append(l.turns, t)
	r.metric.Turn.Queued.Inc()
	r.attend(a, l)
}

// attend has the line served if it is not. mu is held.
func (r *Runner) attend(a tandem.Address, l *line) {
	if r.phase == running && !l.served {
		l.served = true
		r.work.Go(func() { r.serve(a, l) })
	}
}

func (r *Runner) serve(a tandem.Address, l *line) {
	for t := r.next(a, l); t != nil; t = r.next(a, l) {
		r.run(t)
	}
}

// next takes leave of the turn that was served and returns the one to serve now;
// nil if there is none, or none may begin. A turn that could not be ended stays
// in the store, for the next start.
func (r *Runner) next(a tandem.Address, l *line) *turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := l.serving; t != nil {
		l.serving = nil
		if !t.parked {
			r.unqueue(l, t)
		}
	}
	if r.phase == running {
		l.serving = l.find(func(t *turn) bool { return !t.parked })
	}
	t := l.serving
	if t == nil {
		l.served = false
		if len(l.turns) == 0 {
			delete(r.lines, a)
		}
		return nil
	}
	if !t.served { // else it was parked
		t.served = true
		r.metric.Turn.Queued.Dec()
	}
	return t
}

// unqueue takes a turn that has ended out of its line, unless it is being served, which takes it out
// by itself. mu is held.
func (r *Runner) unqueue(l *line, t *turn) {
	i := slices.Index(l.turns, t)
	if i < 0 || l.serving == t {
		return
	}
	l.turns = slices.Delete(l.turns, i, i+1)
	if !t.served {
		r.metric.Turn.Queued.Dec()
	}
	if t.timer != nil {
		t.timer.Stop()
	}
	t.cancel(errOver) // gives its context back
	if len(l.turns) == 0 && !l.served {
		delete(r.lines, t.row.Address)
	}
}

// park leaves t open and lets the line go on. With a total it fails when that
// has passed since the question.
func (r *Runner) park(t *turn, total time.Duration) {
	var early bool
	t.set(func() { t.later, early = true, t.early })
	if early { // the push was faster than we are
		r.drop(t, "stop")
		return
	}
	r.metric.Turn.Ended.Of("later").Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	t.parked = true
	if total > 0 && r.phase == running {
		t.timer = time.AfterFunc(r.left(t.row.CreatedAt, total), func() { r.expire(t) })
	}
}

// unpark has a parked turn served once more: it has been fenced, or who pushes has
// come. mu is held.
func (r *Runner) unpark(l *line, t *turn) {
	if t.parked {
		t.parked = false
		if t.timer != nil {
			t.timer.Stop()
		}
		r.attend(t.row.Address, l)
	}
}

// left is how much of a time that began at from is left.
func (r *Runner) left(from time.Time, total time.Duration) time.Duration {
	return max(0, from.Add(total).Sub(r.clock()))
}

// expire ends a parked turn whose time is up. It is a timer's goroutine until it
// has joined the Runner's work.
func (r *Runner) expire(t *turn) {
	r.mu.Lock()
	if r.phase != running || !t.parked {
		r.mu.Unlock()
		return
	}
	if wait := r.claimed(t); wait > 0 {
		t.timer.Reset(wait)
		r.mu.Unlock()
		return
	}
	r.work.Add(1)
	r.mu.Unlock()
	defer r.work.Done()
	r.drop(t, "failed") // nobody was called, so nobody failed: the participant is told nothing
}

// claimed is how long a push for t may still be on its way.
func (r *Runner) claimed(t *turn) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.claimed.Add(claim).Sub(r.clock())
}
