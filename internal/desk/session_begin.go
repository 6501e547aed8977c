package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// beginning is the wish for a session.
type beginning struct {
	next    store.Session // as it shall be, if a new one begins
	ttl     time.Duration // of a new one; 0: it lasts as long as it is used
	meta    tandem.Meta
	connect bool // somebody is about to connect

	// judge is asked about the one that is there, dead, alive or nil: whether to
	// keep it, else a new one takes its place.
	judge func(was *store.Session, now time.Time) (keep bool, err error)

	// What was read for this try.
	desk    *Desk
	user    store.UserSessions
	events  []tandem.Event   // what a new session begins with
	threads []tandem.Address // the session's, the inbox's, and that of a session which has to make room
	oldest  *store.Session   // that one; nil: there is room, or nobody can make it
}

// begin returns the session that b wishes for, and its thread. A new one gets what
// was kept for its user, in the same append.
func (d *Desk) begin(ctx context.Context, b beginning) (s store.Session, t tandem.Thread, err error) {
	b.desk = d
	err = again(func() error {
		try := b
		if err := try.prepare(ctx); err != nil {
			return err
		}
		res, err := d.store.Append(ctx, store.Append{Threads: try.threads, Decide: try.decide})
		if err == nil {
			s, t = *res.Sessions[0], res.Threads[0]
		}
		return err
	})
	return s, t, err
}

// prepare reads what the decision needs besides the rows.
func (b *beginning) prepare(ctx context.Context) (err error) {
	d, now := b.desk, b.desk.clock()
	b.user, err = d.store.SessionsOf(ctx, b.next.Address.Tenant, b.next.User, now, now.Add(-InboxTTL))
	if err != nil {
		return err
	}
	kept, err := d.store.Kept(ctx, b.user.Inbox, b.user.Stale)
	if err != nil {
		return err
	}
	began, err := d.sessionEvent(tandem.KindSession, tandem.SessionChange{}, b.meta)
	if err != nil {
		return err
	}
	b.events = []tandem.Event{began}
	for i := range kept {
		if err := b.move(&kept[i]); err != nil {
			return err
		}
	}
	b.threads = []tandem.Address{b.next.Address, b.user.Inbox.Address}
	if b.full() {
		b.oldest = idle(b.user.Live, now)
	}
	if b.oldest != nil {
		b.threads = append(b.threads, b.oldest.Address)
	}
	return nil
}

// sessionEvent is a new event for a session's thread.
func (d *Desk) sessionEvent(kind tandem.Kind, body any, meta tandem.Meta) (tandem.Event, error) {
	data, err := plainJSON(body)
	return tandem.Event{Kind: kind, ID: tandem.NewID("evt_", d.clock()), Body: data, Meta: meta}, err
}

// plainJSON leaves <, > and & as they are, so that a page gets the object that was
// sent to it.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// move takes what was kept over, with the time at which it was sent.
func (b *beginning) move(e *tandem.Event) error {
	var push tandem.Push
	if err := json.Unmarshal(e.Body, &push); err != nil || push.Sessions > 0 {
		return err // what only remembers a key stays
	}
	push.Sent = e.At
	moved, err := b.desk.sessionEvent(tandem.KindPush, push, tandem.Meta{
		Principal: e.Meta.Principal, Credential: e.Meta.Credential, InReplyTo: e.ID, Traceparent: e.Meta.Traceparent,
	})
	b.events = append(b.events, moved)
	return err
}

// full reports whether the user has as many sessions as there may be.
func (b *beginning) full() bool {
	n := b.desk.limits.Sessions
	return n > 0 && len(b.user.Live) >= n
}

// idle is the session that has to make room for one more: of those that last as
// long as they are used, the one that nobody has been connected to for the longest
// time. nil if somebody is connected to each.
func idle(live []store.Session, now time.Time) *store.Session {
	for i := range live {
		if s := &live[i]; !s.Fixed && !s.Expires.After(now.Add(SessionIdle)) {
			return s
		}
	}
	return nil
}

// decide says, in the transaction, how the session and its user's inbox shall be.
func (b *beginning) decide(now time.Time, on []store.State) ([]store.Write, error) {
	writes := make([]store.Write, len(on))
	for i := range on {
		writes[i].Thread = on[i].Thread
	}
	was := on[0].Session
	keep, err := b.judge(was, now)
	if err != nil {
		return nil, err
	}
	if keep {
		s := used(*was, now)
		writes[0].Session = &s
		return writes, nil
	}
	inbox := &writes[1].Thread
	if inbox.Control.Epoch != b.user.Inbox.Control.Epoch || inbox.Head != b.user.Inbox.Head {
		return nil, errOutdated
	}
	if b.full() {
		if b.oldest == nil {
			return nil, tandem.Errorf(tandem.TooMany, "This user has too many sessions.")
		}
		over := on[2].Session
		if over == nil || !over.Expires.Equal(b.oldest.Expires) {
			return nil, errOutdated
		}
		expired := *over
		expired.Expires = now.Add(-SessionBuried) // nobody has to be told: the next trim takes it
		writes[2].Session = &expired
	}
	s := b.succeed(was, now, on[0].Thread.Head+1)
	writes[0].Session, writes[0].Events = &s, slices.Clone(b.events)
	inbox.Control.Epoch++
	inbox.ChatMark = inbox.Head
	return writes, nil
}

// succeed is the session that begins with the event floor, in the place of was.
// One that was made ahead, and was ended before its time, is there again as it was
// made.
func (b *beginning) succeed(was *store.Session, now time.Time, floor int64) store.Session {
	s := b.next
	switch {
	case was != nil && was.Ahead && !s.Ahead && was.User == s.User && now.Before(was.Expires):
		s = *was
		s.Ended = time.Time{}
	case b.ttl > 0:
		s.Fixed, s.Expires = true, now.Add(b.ttl)
	}
	if !s.Fixed {
		s.Expires = now.Add(SessionIdle)
	}
	if b.connect {
		s = used(s, now)
	}
	s.Floor, s.Created = floor, now
	if was != nil && buried(was, now) {
		s.Buried = floor - 1
	} else if was != nil {
		s.Buried = was.Buried
	}
	return s
}

// buried reports whether a session is over for good, and was not long ago: it was
// ended, or its maker's time for it has passed.
func buried(s *store.Session, now time.Time) bool {
	over := s.Ended
	if over.IsZero() && s.Fixed {
		over = s.Expires
	}
	return !over.IsZero() && !now.Before(over) && now.Before(over.Add(SessionBuried))
}

// renewEvery is how often an open connection says that its session is in use.
const renewEvery = 10 * time.Minute

// used is a session while somebody is connected: should the server be killed, it
// lasts a little longer than it would, never shorter.
func used(s store.Session, now time.Time) store.Session {
	if !s.Fixed {
		s.Expires = now.Add(SessionIdle + renewEvery)
	}
	return s
}
