package desk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Send is something for a user's sessions, or for one of them.
type Send struct {
	User    string // empty: whose Session is
	Session string // empty: all of User's
	Event   string // what it is; empty: MESSAGE
	Message json.RawMessage
	Key     string // Idempotency-Key
}

// Send tells a user's sessions something, and returns how many they are. If there
// is none it is kept for the user's next one, for [InboxTTL]. Errors: Forbidden;
// Invalid; TooLarge; NotFound for a session that is not there, if no user is named;
// Conflict for one of another user; Mismatch; TooMany if too much is kept already.
func (d *Desk) Send(ctx context.Context, p tandem.Principal, in Send) (sessions int, err error) {
	if p.Role != tandem.Agent && !p.Staff() || p.Workflow != "" {
		return 0, errForbidden()
	}
	if err := d.checkSend(p, &in); err != nil {
		return 0, err
	}
	s := sending{desk: d, user: in.User, sum: sha256.Sum256(encodeSend(in)), key: keyOf(p, in.Key)}
	body, err := plainJSON(tandem.Push{Event: in.Event, Message: in.Message})
	if err != nil {
		return 0, err
	}
	s.event = tandem.Event{Kind: tandem.KindPush, Body: body, Meta: metaOf(ctx, p, "")}
	err = again(func() error {
		if err := s.find(ctx, p.Tenant, in.Session); err != nil {
			return err
		}
		res, err := d.store.Append(ctx, store.Append{Threads: s.threads, Key: s.key, KeySum: s.sum, Decide: s.decide})
		if err != nil {
			return err
		}
		sessions, err = told(res)
		return err
	})
	if err == nil {
		d.metric.HTTP.Posts.Of("session").Inc()
	}
	return sessions, err
}

// encodeSend is what a repeat with the same key must have in common.
func encodeSend(in Send) []byte {
	in.Key = ""
	b, _ := json.Marshal(in) // of strings and valid JSON
	return b
}

// told counts the sessions that an append told; of a repeat, that the first did.
func told(res store.Result) (n int, err error) {
	if res.Repeat {
		var push tandem.Push
		err := json.Unmarshal(res.Events[0][0].Body, &push)
		return push.Sessions, err
	}
	for _, events := range res.Events[1:] {
		n += len(events)
	}
	return n, nil
}

func (d *Desk) checkSend(p tandem.Principal, in *Send) (err error) {
	if in.User != "" || in.Session == "" {
		if in.User, err = userName(in.User); err != nil {
			return err
		}
	}
	if in.Session != "" {
		if err := sessionID(tandem.Principal{}, in.Session); err != nil {
			return err
		}
	}
	if in.Event == "" {
		in.Event = "MESSAGE"
	}
	for _, l := range []struct{ what, value string }{{"event", in.Event}, {"Idempotency-Key", in.Key}} {
		if err := tandem.ValidLabel(l.what, l.value); err != nil {
			return err
		}
	}
	return d.checkMessage(p, in)
}

// checkMessage takes a text or an object.
func (d *Desk) checkMessage(p tandem.Principal, in *Send) (err error) {
	if n := d.limits.Answer; n > 0 && len(in.Message) > n {
		return tandem.Errorf(tandem.TooLarge, "message cannot exceed %d bytes", n)
	}
	if in.Message, err = d.checkData(in.Message); err != nil {
		return err
	}
	var text string
	switch {
	case in.Message == nil:
		return tandem.Errorf(tandem.Invalid, "message is required")
	case bytes.HasPrefix(in.Message, []byte("{")):
		return nil
	case json.Unmarshal(in.Message, &text) != nil:
		return tandem.Errorf(tandem.Invalid, "message must be a text or an object")
	case strings.TrimSpace(text) == "":
		return tandem.Errorf(tandem.Invalid, "message is required")
	case p.Staff():
		return d.CheckText(text)
	}
	return nil
}

// sending is one thing on its way to a user.
type sending struct {
	desk  *Desk
	user  string
	key   string
	sum   tandem.Hash
	event tandem.Event

	of      store.UserSessions
	threads []tandem.Address // the inbox's, and those of the sessions
	ids     []string         // of the event on each
}

// find reads whom it goes to.
func (s *sending) find(ctx context.Context, tenant, session string) (err error) {
	d, now := s.desk, s.desk.clock()
	user, only := s.user, tandem.Address{}
	if session != "" {
		only = tandem.SessionAddress(tenant, session)
		one, err := d.store.Session(ctx, only)
		if err != nil {
			return err
		}
		switch {
		case user == "" && !one.Live(now):
			return errNoSession()
		case user == "":
			user = one.User
		case one.Live(now) && one.User != user:
			return tandem.Errorf(tandem.Conflict, "This session is another user's.")
		}
	}
	if s.of, err = d.store.SessionsOf(ctx, tenant, user, now, now.Add(-InboxTTL)); err != nil {
		return err
	}
	s.threads = []tandem.Address{s.of.Inbox.Address}
	for i := range s.of.Live {
		if a := s.of.Live[i].Address; session == "" || a == only {
			s.threads = append(s.threads, a)
		}
	}
	s.ids = make([]string, len(s.threads))
	for i := range s.ids {
		s.ids[i] = tandem.NewID("evt_", now)
	}
	return nil
}

// decide tells every session that still lives, or keeps it for the next one. With
// a key the inbox remembers it.
func (s *sending) decide(now time.Time, on []store.State) ([]store.Write, error) {
	inbox := on[0].Thread
	if inbox.Control.Epoch != s.of.Inbox.Control.Epoch {
		return nil, errOutdated
	}
	writes, n := make([]store.Write, len(on)), 0
	for i := 1; i < len(on); i++ {
		writes[i].Thread = on[i].Thread
		if on[i].Session.Live(now) {
			writes[i].Events = []tandem.Event{s.entry(i)}
			n++
		}
	}
	inbox.ChatMark = max(inbox.ChatMark, s.of.Stale)
	if n > 0 && s.key == "" {
		writes[0].Thread = inbox
		return writes, nil
	}
	most := s.desk.limits.Inbox
	e := s.entry(0)
	switch {
	case n == 0 && most > 0 && inbox.Head-inbox.ChatMark >= int64(most):
		return nil, tandem.Errorf(tandem.TooMany, "Too much is kept for this user already.")
	case n > 0:
		body, err := json.Marshal(tandem.Push{Sessions: n})
		if err != nil {
			return nil, err
		}
		e.Body = body
		if inbox.ChatMark == inbox.Head { // nothing waits: neither does this
			inbox.ChatMark++
		}
	}
	writes[0] = store.Write{Thread: inbox, Events: []tandem.Event{e}}
	return writes, nil
}

// entry is the event for one of the threads.
func (s *sending) entry(i int) tandem.Event {
	e := s.event
	e.ID = s.ids[i]
	return e
}
