package desk

import (
	"context"
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Connect says who wants to follow which session, from where.
type Connect struct {
	Principal tandem.Principal
	Session   string // its id
	After     *tandem.Cursor
	Unknown   bool // a place was given that is none of ours
	Heartbeat time.Duration
	Hangup    func() // as of [Follow]
}

// Reasons for which streams of a session end; clients see them.
const (
	EndDisconnected   = "session disconnected"
	EndSessionExpired = "session expired"
)

// Connect begins to follow a session. A participant or a person of the staff makes
// it by that if there is none: it is theirs. Without a place the stream goes on
// where the session's connections had got. Errors: Invalid; Unauthorized for
// somebody else's session; Gone for who comes back to one that is over; TooMany.
func (d *Desk) Connect(ctx context.Context, req Connect) (*Follower, error) {
	p := req.Principal
	if err := sessionID(p, req.Session); err != nil {
		return nil, err
	}
	next := store.Session{Address: tandem.SessionAddress(p.Tenant, req.Session), User: userOfSession(p)}
	if p.Role == tandem.Agent { // it uses what it made for somebody else
		was, err := d.store.Session(ctx, next.Address)
		if err != nil {
			return nil, err
		}
		if was == nil {
			return nil, errNotYours()
		}
		next.User = was.User
	}
	s, t, err := d.begin(ctx, beginning{next: next, meta: metaOf(ctx, p, ""), connect: true, judge: func(was *store.Session, now time.Time) (bool, error) {
		return was.Live(now), mayConnect(p, was, &req, next.User, now)
	}})
	if err != nil {
		return nil, err
	}
	at, gap, reset, err := d.placeOf(ctx, &s, t, &req)
	if err != nil {
		return nil, err
	}
	f, err := d.Follow(ctx, Follow{
		Principal: p, Address: s.Address, View: tandem.View{Face: tandem.FaceSession}, After: &at,
		Heartbeat: req.Heartbeat, Hangup: req.Hangup, session: true,
	})
	if err != nil {
		return nil, err
	}
	if gap != nil {
		f.gap = gap
	}
	f.reset = f.reset || reset
	f.session = &connection{desk: d, address: s.Address, floor: s.Floor, mark: t.ChatMark, renew: d.clock().Add(renewEvery)}
	if s.Fixed {
		f.until = s.Expires
	}
	return f, nil
}

// mayConnect judges who connects to the session that is there, dead, alive or nil,
// for a user, and tells who comes back to one that is over.
func mayConnect(p tandem.Principal, was *store.Session, req *Connect, user string, now time.Time) error {
	live := was.Live(now)
	over := was != nil && !live && buried(was, now)
	if (live || over) && !mayUse(p, was) {
		return errNotYours()
	}
	if p.Kind == tandem.CredentialSession || p.Role == tandem.Agent { // only what was made ahead, within its time
		if was == nil || !was.Ahead || was.User != user || !now.Before(was.Expires) {
			return errNotYours()
		}
	}
	if over && (req.After != nil || req.Unknown) {
		return errSessionOver()
	}
	if user == "" {
		return errNotYours()
	}
	return nil
}

func errSessionOver() error { return tandem.Errorf(tandem.Gone, "This session is over.") }

// placeOf finds where a stream of the session goes on.
func (d *Desk) placeOf(ctx context.Context, s *store.Session, t tandem.Thread, req *Connect) (at tandem.Cursor, gap *tandem.Gap, reset bool, err error) {
	floor := max(s.Floor, t.Trim)
	place := func(seq int64) (tandem.Cursor, error) { return d.store.CursorAt(ctx, t, seq, time.Time{}) } // nothing is older than that
	if req.After == nil {
		seq := max(floor, t.ChatMark)
		if req.Unknown {
			seq = floor
		}
		at, err = place(seq)
		return at, nil, req.Unknown, err
	}
	page, err := d.store.Read(ctx, s.Address, *req.After, 0)
	if err != nil {
		return at, nil, false, err
	}
	after := req.After.Seq
	if !page.Reset && after <= s.Buried {
		return at, nil, false, errSessionOver()
	}
	if !page.Reset && page.Gap == nil && after >= s.Floor {
		return *req.After, nil, false, nil
	}
	if at, err = place(floor); err != nil {
		return at, nil, false, err
	}
	if page.Reset {
		return at, nil, true, nil
	}
	if first, last := after+1, lastMissing(s, t); first <= last {
		gap = &tandem.Gap{From: first, To: last}
	}
	return at, gap, false, nil
}

// lastMissing is the last event that a stream which begins at the session's floor
// cannot show: the one at the floor itself says only that the session began.
func lastMissing(s *store.Session, t tandem.Thread) int64 {
	if t.Trim >= s.Floor {
		return t.Trim
	}
	return s.Floor - 1
}

// Until is when the stream ends by itself, whoever follows: the end of a session
// whose time is fixed. Zero: no such time.
func (f *Follower) Until() time.Time { return f.until }

// connection is what a stream of a session owes it.
type connection struct {
	desk    *Desk
	address tandem.Address
	floor   int64     // which of the sessions of that id it is
	mark    int64     // the session's mark, as far as this connection knows
	renew   time.Time // when to say that the session is in use
}

// Shown notes that everything up to the cursor was written, for the stream of a
// session: it moves the session's mark, and says now and then that the session is
// in use. Of other streams it does nothing.
func (f *Follower) Shown(ctx context.Context) {
	c := f.session
	if c == nil || f.cursor.Seq <= c.mark && f.desk.clock().Before(c.renew) {
		return
	}
	seq := f.cursor.Seq
	c.update(context.WithoutCancel(ctx), func(now time.Time, s *store.Session, t *tandem.Thread) {
		t.ChatMark = max(t.ChatMark, min(seq, t.Head))
		*s = used(*s, now)
	})
	c.mark, c.renew = max(c.mark, seq), c.desk.clock().Add(renewEvery)
}

// showSession ends the stream of a session that is over: it was ended, or another
// one of that id has begun, perhaps of somebody else.
func (f *Follower) showSession(e *tandem.Event) error {
	if f.session == nil || e.Seq <= f.session.floor {
		return nil
	}
	var c tandem.SessionChange
	err := json.Unmarshal(e.Body, &c)
	f.finished = EndSessionExpired
	if c.Ended {
		f.finished = EndDisconnected
	}
	return err
}

// closed notes that the connection is no more. If it was the last, the session's
// last day begins.
func (c *connection) closed() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c.update(ctx, func(now time.Time, s *store.Session, _ *tandem.Thread) {
		if !s.Fixed {
			s.Expires = now.Add(SessionIdle)
		}
	})
}

// update changes the session, if it is still the same and lives. What it writes is
// not worth ending a stream for.
func (c *connection) update(ctx context.Context, change func(now time.Time, s *store.Session, t *tandem.Thread)) {
	_, err := c.desk.store.Append(ctx, store.Append{Threads: []tandem.Address{c.address}, Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
		was, w := on[0].Session, store.Write{Thread: on[0].Thread}
		if was.Live(now) && was.Floor == c.floor {
			s := *was
			change(now, &s, &w.Thread)
			w.Session = &s
		}
		return []store.Write{w}, nil
	}})
	if err != nil {
		c.desk.log.Debug("cannot note how far a session got", "err", err)
	}
}
