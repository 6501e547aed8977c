package desk

import (
	"context"
	"time"
)

// What a stream does by the clock.

// timed is what is due at now: the credential's end, the warning before it, or a
// heartbeat.
func (f *Follower) timed(now time.Time) (Batch, bool) {
	if p := f.watch.Principal(); !p.Expires.IsZero() {
		if !now.Before(p.Expires.Add(Leeway)) {
			return Batch{Ended: EndExpired}, true
		}
		if f.warn > 0 && f.warned != p.Expires && !now.Before(p.Expires.Add(-f.warn)) {
			f.warned = p.Expires
			return Batch{Expiring: p.Expires}, true
		}
	}
	if !f.until.IsZero() && !now.Before(f.until) {
		return Batch{Ended: EndSessionExpired}, true
	}
	if f.heartbeat > 0 && !now.Before(f.beat) {
		for !f.beat.After(now) {
			f.beat = f.beat.Add(f.heartbeat)
		}
		f.doubt = f.desk.hub.Lossy()
		return f.pulse(), true
	}
	return Batch{}, false
}

// verify looks, after a heartbeat, whether the log goes on although no bell rang:
// a lost ring costs a late read, no more. One follower of a thread does it for all.
func (f *Follower) verify(ctx context.Context) error {
	if !f.doubt {
		return nil
	}
	f.doubt = false
	if !f.watch.Verify(f.desk.clock(), f.heartbeat/2) {
		return nil
	}
	head, err := f.desk.store.Head(ctx, f.address)
	if err == nil && head > f.cursor.Seq {
		f.watch.Doubt()
	}
	return err
}

// wait waits for the bell or until something is due by the clock.
func (f *Follower) wait(ctx context.Context) error {
	f.timer.Reset(f.due().Sub(f.desk.clock()))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.watch.Bell():
	case <-f.timer.C:
	}
	return nil
}

func (f *Follower) pulse() Batch {
	b := Batch{Heartbeat: true}
	if at := f.Cursor(); at.Seq > f.told {
		b.Passed, f.told = at, at.Seq
	}
	return b
}

// due is when Next has to wake by itself.
func (f *Follower) due() time.Time {
	p := f.watch.Principal()
	at := f.desk.clock().Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	if f.heartbeat > 0 {
		sooner(f.beat)
	}
	if !f.until.IsZero() {
		sooner(f.until)
	}
	if !p.Expires.IsZero() {
		sooner(p.Expires.Add(Leeway))
		if f.warn > 0 && f.warned != p.Expires {
			sooner(p.Expires.Add(-f.warn))
		}
	}
	return at
}
