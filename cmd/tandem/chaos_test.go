package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestChaos_kill9(t *testing.T) {
	w := newChaosWorld(t, 8, 10*time.Millisecond)
	kills := chaosKills(t, 20)
	rng := rand.New(rand.NewPCG(w.seed, 0))
	w.server.start()
	w.server.ready()
	w.read()
	stop := make(chan struct{})
	w.write(stop, 20*time.Millisecond)
	for range kills {
		if rng.IntN(5) > 0 { // else it may die while it begins
			w.server.ready()
			before := w.accepted.Load()
			chaosUntil(t.Context(), func() bool { return w.accepted.Load() > before })
		}
		chaosPause(t.Context(), chaosSpan(rng, 700*time.Millisecond))
		w.server.kill()
		w.server.start()
	}
	w.server.ready()
	close(stop)
	w.writers.Wait()
	w.settle("last")
	history := w.history()
	if code := w.server.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.audit(history)
}
