package desk

import (
	"cmp"
	"context"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// hintEvery is the least time between two hints of the board: at most 4 a second
// for a conversation (DESIGN: "The board").
const hintEvery = 250 * time.Millisecond

// Run serves the timers and tells places in queues and last words, until ctx
// ends. The server runs it once, after the desk has taken up what was stored.
func (d *Desk) Run(ctx context.Context) {
	for !d.takeUp(ctx) {
		if !sleep(ctx, time.Second) {
			return
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	places := map[queueKey]map[string]int{}
	for {
		now := d.clock()
		due, queues, words, at := d.agenda.next(now)
		for _, one := range due {
			if err := d.fire(ctx, one); err != nil && ctx.Err() == nil {
				d.log.Warn("a timer could not be served yet", "kind", one.Kind, "err", err)
				d.agenda.again(one, now.Add(time.Second))
			}
		}
		for _, q := range queues {
			d.tellPlaces(ctx, q, places)
		}
		for _, a := range words {
			d.tellWords(ctx, a)
		}
		if len(words) > 0 && !sleep(ctx, hintEvery) {
			return
		}
		timer.Reset(at.Sub(d.clock()))
		select {
		case <-ctx.Done():
			return
		case <-d.agenda.bell:
		case <-timer.C:
		}
	}
}

// takeUp reads the timers that were stored, and gives back what somebody holds
// whose account was disabled meanwhile.
func (d *Desk) takeUp(ctx context.Context) bool {
	list, err := d.store.Dues(ctx)
	if err == nil {
		d.agenda.mu.Lock()
		d.agenda.add(list)
		d.agenda.mu.Unlock()
		err = d.queueDisabled(ctx)
	}
	if err != nil && ctx.Err() == nil {
		d.log.Warn("the timers cannot be read", "err", err)
	}
	return err == nil
}

func sleep(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// system is who acts when a timer does.
func system(tenant string) tandem.Principal {
	return tandem.Principal{Tenant: tenant, Subject: "tandem", Role: tandem.Owner, Name: "Tandem", Kind: tandem.CredentialSystem}
}

// errStale ends a timer that was armed under another epoch.
var errStale error = tandem.Errorf(tandem.Gone, "the timer is stale")

// fire serves one timer. An error means that it has to be tried again.
func (d *Desk) fire(ctx context.Context, due store.Due) error {
	c, err := d.named(ctx, due.Tenant, due.Conversation)
	switch {
	case err != nil && tandem.KindOf(err) == tandem.NotFound:
		return nil
	case err != nil:
		return err
	case c.Status != tandem.StatusActive || c.Epoch != due.Epoch:
		return nil
	}
	switch due.Kind {
	case duePickup:
		err = d.unanswered(ctx, c, due)
	case dueSilence:
		err = d.silent(ctx, c, due)
	case dueReturn:
		err = d.goesBack(ctx, c, due)
	case dueIdle:
		err = d.idle(ctx, c, due)
	}
	switch tandem.KindOf(err) {
	case tandem.Gone, tandem.Conflict, tandem.NotFound:
		return nil // overtaken by somebody: nothing is due any more
	}
	return err
}

// revise changes the conversation without touching control, if the timer is still
// good.
func (d *Desk) revise(ctx context.Context, c tandem.Conversation, due store.Due, change func(now time.Time, w *store.Write, c *tandem.Conversation) (news bool)) error {
	event := tandem.NewID("evt_", d.clock())
	due.At = time.Time{}
	_, err := d.Append(ctx, store.Append{Threads: []tandem.Address{c.Address}, Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
		w := store.Write{Thread: on[0].Thread, Dues: []store.Due{due}}
		if on[0].Active == nil || on[0].Active.ID != c.ID || on[0].Thread.Control.Epoch != due.Epoch {
			return nil, errStale
		}
		is := *on[0].Active
		if change(now, &w, &is) {
			if err := addState(&w, event, &is); err != nil {
				return nil, err
			}
		}
		return []store.Write{w}, nil
	}})
	return err
}

// unanswered makes a conversation that nobody took more urgent, once.
func (d *Desk) unanswered(ctx context.Context, c tandem.Conversation, due store.Due) error {
	return d.revise(ctx, c, due, func(_ time.Time, _ *store.Write, c *tandem.Conversation) bool {
		if c.Mode != tandem.ModeWaiting || c.Unanswered {
			return false
		}
		c.Unanswered = true
		switch c.Urgency {
		case tandem.UrgencyNormal:
			c.Urgency = tandem.UrgencyUrgent
		case tandem.UrgencyUrgent:
			c.Urgency = tandem.UrgencyCritical
		}
		return true
	})
}

// present is when the holder last gave a sign: wrote, or had a stream open. now if
// one is open.
func (d *Desk) present(ctx context.Context, c *tandem.Conversation, now time.Time) (time.Time, error) {
	since, open := d.hub.Seen(c.Address.Tenant, c.AdminID)
	if open {
		return now, nil
	}
	wrote, err := d.lastWord(ctx, c, func(m *tandem.Message) bool { return m.Role == tandem.RoleOperator && m.Speaker == c.AdminID })
	if wrote.After(since) {
		since = wrote
	}
	return since, err
}

// silent shows that a holder who neither wrote nor is here loses the conversation
// soon.
func (d *Desk) silent(ctx context.Context, c tandem.Conversation, due store.Due) error {
	now := d.clock()
	since, err := d.present(ctx, &c, now)
	if err != nil {
		return err
	}
	if next := since.Add(d.rules.SilenceAfter); next.After(now) {
		return d.rearm(ctx, c, due, next)
	}
	return d.revise(ctx, c, due, func(now time.Time, w *store.Write, c *tandem.Conversation) bool {
		c.ReturnsAt = now.Add(min(countdown, d.rules.SilenceAfter)).UTC()
		w.Dues = append(w.Dues, store.Due{
			Tenant: due.Tenant, Conversation: c.ID, Kind: dueReturn, Address: c.Address, At: c.ReturnsAt, Epoch: due.Epoch,
		})
		return true
	})
}

// rearm puts a timer off.
func (d *Desk) rearm(ctx context.Context, c tandem.Conversation, due store.Due, at time.Time) error {
	return d.revise(ctx, c, due, func(_ time.Time, w *store.Write, _ *tandem.Conversation) bool {
		due.At = at
		w.Dues = []store.Due{due}
		return false
	})
}

// goesBack takes a conversation from a holder who stayed silent.
func (d *Desk) goesBack(ctx context.Context, c tandem.Conversation, due store.Due) error {
	now := d.clock()
	since, err := d.present(ctx, &c, now)
	if err != nil {
		return err
	}
	if since.Add(d.rules.SilenceAfter).After(now) { // came back, and nobody saw to it
		return d.cameBack(ctx, c)
	}
	to := d.rules.OnSilence
	if c.Urgency == tandem.UrgencyCritical {
		to = "queue"
	}
	return d.queue(ctx, c, due.Epoch, to, "silence")
}

// queue takes a conversation from its holder, if the epoch is still the same.
func (d *Desk) queue(ctx context.Context, c tandem.Conversation, epoch int64, to, why string) error {
	_, _, err := d.control(ctx, c, change{by: system(c.Address.Tenant), action: "release", object: why, decide: func(now time.Time, c *tandem.Conversation) (bool, error) {
		if c.Epoch != epoch || c.AdminID == "" {
			return false, errStale
		}
		if to == "agent" {
			if _, has := d.turns.Closest(c.Address.Tenant, answering(c, c.Address)); !has {
				to = "queue"
			}
		}
		return false, d.giveBack(now, c, to)
	}})
	return err
}

// idle ends a text conversation in which nobody has said a word.
func (d *Desk) idle(ctx context.Context, c tandem.Conversation, due store.Due) error {
	now := d.clock()
	last, err := d.lastWord(ctx, &c, func(*tandem.Message) bool { return true })
	if err != nil {
		return err
	}
	if last.Before(c.OpenedAt) {
		last = c.OpenedAt
	}
	if next := last.Add(d.rules.EndAfter); next.After(now) {
		return d.rearm(ctx, c, due, next)
	}
	_, _, err = d.control(ctx, c, change{by: system(c.Address.Tenant), action: "end", object: tandem.EndIdle, decide: func(_ time.Time, c *tandem.Conversation) (bool, error) {
		if c.Epoch != due.Epoch {
			return false, errStale
		}
		finished(c, tandem.EndIdle)
		return false, nil
	}})
	return err
}

// lastWord is when the last message of the conversation that matches was stored;
// the zero time if there is none among the latest.
func (d *Desk) lastWord(ctx context.Context, c *tandem.Conversation, match func(*tandem.Message) bool) (time.Time, error) {
	before := int64(1) << 62
	for range tries {
		events, err := d.store.Before(ctx, c.Address, before, 256)
		if err != nil || len(events) == 0 {
			return time.Time{}, err
		}
		for i := range events {
			before = events[i].Seq
			if before < c.FirstSeq {
				return time.Time{}, nil
			}
			if m, ok := messageIn(&events[i], c.ID); ok && match(&m) {
				return events[i].At, nil
			}
		}
	}
	return time.Time{}, nil
}

// cameBack takes the countdown away from a holder who is there again.
func (d *Desk) cameBack(ctx context.Context, c tandem.Conversation) error {
	due := store.Due{Tenant: c.Address.Tenant, Conversation: c.ID, Kind: dueReturn, Address: c.Address, Epoch: c.Epoch}
	err := d.revise(ctx, c, due, func(now time.Time, w *store.Write, c *tandem.Conversation) bool {
		if c.ReturnsAt.IsZero() {
			return false
		}
		c.ReturnsAt = time.Time{}
		w.Dues = append(w.Dues, d.dues(now, c)...)
		return true
	})
	if tandem.KindOf(err) == tandem.Gone {
		return nil
	}
	return err
}

// comesBack is called when somebody who answers has opened a stream: what p holds
// and was about to lose stays.
func (d *Desk) comesBack(ctx context.Context, p tandem.Principal) error {
	if !p.Staff() {
		return nil
	}
	held, err := d.store.HeldBy(ctx, p.Tenant, p.Subject)
	for i := range held {
		if err == nil && !held[i].ReturnsAt.IsZero() {
			err = d.cameBack(ctx, held[i])
		}
	}
	return err
}

// AccountDisabled gives back what somebody holds whose account was disabled. The
// wiring calls it when it learns of it.
func (d *Desk) AccountDisabled(ctx context.Context, tenant, subject string) error {
	held, err := d.store.HeldBy(ctx, tenant, subject)
	return cmp.Or(err, d.queueAll(ctx, held))
}

func (d *Desk) queueDisabled(ctx context.Context) error {
	held, err := d.store.HeldByDisabled(ctx)
	return cmp.Or(err, d.queueAll(ctx, held))
}

func (d *Desk) queueAll(ctx context.Context, held []tandem.Conversation) error {
	var failed error
	for _, c := range held {
		err := d.queue(ctx, c, c.Epoch, "queue", "account disabled")
		if k := tandem.KindOf(err); err != nil && k != tandem.Gone && k != tandem.Conflict {
			failed = err
		}
	}
	return failed
}
