package desk

import (
	"context"
	"crypto/rand"
	"strings"
	"time"
	"unicode/utf8"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// NewSession is a session that a back end makes before its page comes.
type NewSession struct {
	User       string
	ID         string        // empty: one is made
	TTL        time.Duration // until it ends, whoever is connected; 0: as long as the others, or [CapabilityTTL]
	Capability bool          // the id is itself a credential
}

// Session is a session as its maker is told of it.
type Session struct {
	ID      string
	User    string
	Expires time.Time // of one without a TTL: if nobody connects
}

// MakeSession makes a session for a user. Errors: Forbidden; Invalid; Conflict if
// the id is taken, by anybody if it is to be a credential.
func (d *Desk) MakeSession(ctx context.Context, p tandem.Principal, in NewSession) (Session, error) {
	if err := mayMake(p); err != nil {
		return Session{}, err
	}
	user, err := userName(in.User)
	if err != nil {
		return Session{}, err
	}
	if err := checkNewSession(p, &in); err != nil {
		return Session{}, err
	}
	next := store.Session{Address: tandem.SessionAddress(p.Tenant, in.ID), User: user, Ahead: true, Capability: in.Capability, Fixed: in.TTL > 0}
	if in.Capability {
		taken, err := d.store.Capability(ctx, in.ID)
		if err != nil {
			return Session{}, err
		}
		if taken != nil && taken.Address != next.Address {
			return Session{}, errSessionTaken()
		}
	}
	s, _, err := d.begin(ctx, beginning{next: next, ttl: in.TTL, meta: metaOf(ctx, p, ""), judge: func(was *store.Session, now time.Time) (bool, error) {
		if was.Live(now) {
			return false, errSessionTaken()
		}
		return false, nil
	}})
	return Session{in.ID, in.User, s.Expires}, err
}

func errSessionTaken() error { return tandem.Errorf(tandem.Conflict, "This session id is taken.") }

// TrimSessions forgets sessions that have been over for longer than anybody is told
// so, and what is in an inbox for longer than a key is remembered. It returns how
// many events went.
func (d *Desk) TrimSessions(ctx context.Context) (int, error) {
	return d.store.TrimSessions(ctx, d.clock().Add(-SessionBuried))
}

// mayMake refuses who makes no sessions for others.
func mayMake(p tandem.Principal) error {
	if p.Role != tandem.Agent && p.Role != tandem.Owner || p.Workflow != "" {
		return errForbidden()
	}
	return nil
}

// userName is a user's name as it is compared.
func userName(user string) (string, error) {
	if strings.TrimSpace(user) == "" {
		return "", tandem.Errorf(tandem.Invalid, "userId is required")
	}
	return strings.ToLower(user), tandem.ValidLabel("userId", user)
}

func checkNewSession(p tandem.Principal, in *NewSession) error {
	if in.ID == "" {
		in.ID = "session_" + rand.Text() // at least 128 bits
	}
	if err := sessionID(p, in.ID); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(in.ID); in.Capability && (n < MinCapability || n > MaxCapability) {
		return tandem.Errorf(tandem.Invalid, "A sessionId that is a credential has %d to %d characters.", MinCapability, MaxCapability)
	}
	if in.TTL < 0 || in.TTL > MaxSessionTTL {
		return tandem.Errorf(tandem.Invalid, "ttlSeconds must be 1 to %d.", int(MaxSessionTTL.Seconds()))
	}
	if in.TTL == 0 && in.Capability {
		in.TTL = CapabilityTTL
	}
	return nil
}
