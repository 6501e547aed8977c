package desk

import (
	"context"
	"errors"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// How long sessions last.
const (
	SessionIdle   = 24 * time.Hour      // after its last connection closed
	SessionBuried = 24 * time.Hour      // who comes back to one that is over is told so for so long
	CapabilityTTL = time.Hour           // of one whose id is a credential, unless its maker says more or less
	MaxSessionTTL = 30 * 24 * time.Hour // that a maker may ask for
	InboxTTL      = 10 * time.Minute    // what is kept for a user without a session
)

// The length of an id that is a credential, if a back end chooses it, in characters.
const (
	MinCapability = 16
	MaxCapability = 128
)

// attempts is how often something is decided anew because what it was decided on
// had changed before it was written.
const attempts = 10

// errOutdated says that what a decision was made on has changed.
var errOutdated = errors.New("sessions of this user have changed meanwhile")

// again does something until it is not decided on what has changed meanwhile.
func again(do func() error) error {
	for range attempts {
		if err := do(); !errors.Is(err, errOutdated) {
			return err
		}
	}
	return &tandem.Error{Kind: tandem.Unavailable, Message: "Too much happens to this user's sessions. Please try again.", Err: errOutdated, RetryAfter: time.Second}
}

func errNotYours() error {
	return tandem.Errorf(tandem.Unauthorized, "This session is not yours.")
}

func errNoSession() error { return tandem.Errorf(tandem.NotFound, "Session not found") }

// sessionID refuses an id that a session cannot have, and one that the credential
// is not for.
func sessionID(p tandem.Principal, id string) error {
	if strings.TrimSpace(id) == "" {
		return tandem.Errorf(tandem.Invalid, "sessionId is required")
	}
	if err := tandem.ValidLabel("sessionId", id); err != nil {
		return err
	}
	if p.Session != "" && p.Session != id {
		return errNotYours()
	}
	return nil
}

// userOfSession is the user that a session of p's own belongs to.
func userOfSession(p tandem.Principal) string { return strings.ToLower(p.Subject) }

// mayUse reports whether p may connect to a session that is there and disconnect
// it: whose it is, who has it as a credential, and a back end, if it made it.
func mayUse(p tandem.Principal, s *store.Session) bool {
	switch {
	case p.Kind == tandem.CredentialSession:
		return s.Capability
	case p.Role == tandem.Agent:
		return s.Ahead
	}
	return s.User == userOfSession(p)
}

// Disconnect ends a session: all its connections, on every node, are closed with a
// word. Errors: Invalid; Unauthorized if it is not p's; NotFound if there is none.
func (d *Desk) Disconnect(ctx context.Context, p tandem.Principal, id string) error {
	if err := sessionID(p, id); err != nil {
		return err
	}
	a := tandem.SessionAddress(p.Tenant, id)
	return again(func() error {
		s, err := d.store.Session(ctx, a)
		if err != nil {
			return err
		}
		if err := mayEnd(p, s, d.clock()); err != nil {
			return err
		}
		// Before it is so: who connects once it is begins a new session, which goes
		// on. The log tells those that this does not reach, on other nodes too.
		d.hub.EndThread(a, EndDisconnected)
		ended, err := d.sessionEvent(tandem.KindSession, tandem.SessionChange{Ended: true}, metaOf(ctx, p, ""))
		if err != nil {
			return err
		}
		_, err = d.store.Append(ctx, store.Append{
			Threads: []tandem.Address{a, tandem.InboxAddress(p.Tenant, s.User)},
			Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
				if err := mayEnd(p, on[0].Session, now); err != nil {
					return nil, err
				}
				over, inbox := *on[0].Session, on[1].Thread
				if over.User != s.User {
					return nil, errOutdated
				}
				over.Ended = now
				inbox.Control.Epoch++
				return []store.Write{{Thread: on[0].Thread, Session: &over, Events: []tandem.Event{ended}}, {Thread: inbox}}, nil
			},
		})
		return err
	})
}

func mayEnd(p tandem.Principal, s *store.Session, now time.Time) error {
	switch {
	case !s.Live(now):
		return errNoSession()
	case !mayUse(p, s):
		return errNotYours()
	}
	return nil
}
