package tandem

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// An Address names a thread: one participant on one workflow of one tenant, for
// ever. It is a struct and is never glued into a string, so that no choice of
// names can make one tenant's address look like another's. Make one with
// [NewAddress]; it is comparable and may be a map key.
type Address struct {
	Tenant      string
	Workflow    string
	Participant string // always in lower case
}

// ReservedPrefix begins the names of workflows that Tandem keeps for itself.
const ReservedPrefix = "$"

// NewAddress checks the three names and returns the address. The participant's
// part is lower-cased here and nowhere else. The error is of kind [Invalid].
func NewAddress(tenant, workflow, participant string) (Address, error) {
	if !ValidTenant(tenant) {
		return Address{}, Errorf(Invalid, "invalid tenant name")
	}
	if strings.HasPrefix(workflow, ReservedPrefix) {
		return Address{}, Errorf(Invalid, "workflow names that begin with %q are reserved", ReservedPrefix)
	}
	if err := validName("workflow", workflow); err != nil {
		return Address{}, err
	}
	if err := validName("participantId", participant); err != nil {
		return Address{}, err
	}
	return Address{tenant, workflow, strings.ToLower(participant)}, nil
}

// The workflows that Tandem keeps for itself.
const (
	workflowSessions = ReservedPrefix + "sessions" // one thread for each session of the session events
	workflowInbox    = ReservedPrefix + "inbox"    // what waits for a user's next session
)

// SessionAddress is the thread of a session of the session events. A session's id
// may itself be a credential, and it is case-sensitive, so the thread's participant
// is the hex of the id's SHA-256: the id is kept nowhere.
func SessionAddress(tenant, id string) Address {
	sum := sha256.Sum256([]byte(id))
	return Address{tenant, workflowSessions, hex.EncodeToString(sum[:])}
}

// InboxAddress is the thread that keeps what was sent to a user who has no
// session. Users are told apart without regard to letter case, as participants are.
func InboxAddress(tenant, user string) Address {
	return Address{tenant, workflowInbox, hex.EncodeToString([]byte(strings.ToLower(user)))}
}

// BoardAddress is what a follower of the tenant's board watches. It is no thread:
// nothing is ever appended to it.
func BoardAddress(tenant string) Address { return Address{Tenant: tenant} }

// FeedAddress is what a follower of all threads of a workflow watches. It is no
// thread: nothing is ever appended to it.
func FeedAddress(tenant, workflow string) Address { return Address{Tenant: tenant, Workflow: workflow} }

// Internal reports whether a is one of Tandem's own threads, which no door shows.
func (a Address) Internal() bool { return strings.HasPrefix(a.Workflow, ReservedPrefix) }

// ParseWorkflow reads the documents' workflow parameter: a type, or an id that
// begins with the tenant's own name and a colon. Another tenant's prefix is part
// of a type, never a tenant.
func ParseWorkflow(tenant, s string) string {
	if w, ok := strings.CutPrefix(s, tenant+":"); ok && w != "" {
		return w
	}
	return s
}

// WorkflowID is the thread's workflow as the documents write it: tenant:type.
func (a Address) WorkflowID() string { return a.Tenant + ":" + a.Workflow }

// ThreadID is the thread's public name. It is derived from the address, so it is
// known before the first event and is the same in every copy of the data.
func (a Address) ThreadID() string {
	h := a.Root()
	return "thread_" + base32Lower.EncodeToString(h[:15])
}

// Root is the hash before a thread's first event: SHA-256 over the
// length-prefixed tenant, workflow and participant.
func (a Address) Root() Hash {
	h := sha256.New()
	var buf []byte
	for _, s := range []string{a.Tenant, a.Workflow, a.Participant} {
		buf = appendSized(buf[:0], s)
		h.Write(buf)
	}
	return Hash(h.Sum(nil))
}

// Start is the cursor before the thread's first event.
func (a Address) Start() Cursor { return Cursor{Seq: 0, Tag: a.Root().Tag()} }

// IsZero reports whether a names no thread.
func (a Address) IsZero() bool { return a == Address{} }

// ValidTenant reports whether s is a tenant name: [a-z0-9][a-z0-9._-]{0,62}.
func ValidTenant(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// MaxName is the length in bytes of the longest workflow name, participant id,
// scope, request id, client message id and Idempotency-Key.
const MaxName = 256

// validName refuses what could not be a field, a header or a log value: empty,
// over-long, not UTF-8, or with control characters in it.
func validName(what, s string) error {
	if strings.TrimSpace(s) == "" {
		return Errorf(Invalid, "%s is required", what)
	}
	return ValidLabel(what, s)
}

// ValidLabel checks an optional short value that a client chose (a scope, a
// request id, a key): at most [MaxName] bytes of UTF-8 without control
// characters. The error is of kind [Invalid] and names what.
func ValidLabel(what, s string) error {
	if len(s) > MaxName {
		return Errorf(Invalid, "%s cannot exceed %d bytes", what, MaxName)
	}
	if !utf8.ValidString(s) {
		return Errorf(Invalid, "%s is not valid UTF-8", what)
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return Errorf(Invalid, "%s must not contain control characters", what)
		}
	}
	return nil
}

// Control says who may speak on a thread. It lives in the thread's row, the row
// that every append locks, and its epoch only grows: a write made for a holder
// carries the epoch it began under and is refused once that has passed.
type Control struct {
	Epoch        int64
	Holder       string // subject of the operator who holds the conversation; empty: nobody
	Conversation string // id of the ACTIVE conversation; empty: none
	Reserved     string // id that the next conversation will have; empty: not yet chosen
	Taken        int64  // seq of the last takeover or transfer; what was asked before it is stale
	Serves       string // on the thread of a handoff's target: the workflow whose conversation its agent answers
}

// Thread is a thread's row as it was at one moment.
type Thread struct {
	ID       int64 // row number in this store; 0 if there is no row yet
	Address  Address
	Head     int64     // seq of the last event; 0 before the first
	HeadHash Hash      // its hash, or Address.Root() before the first
	HeadAt   time.Time // its time
	Trim     int64     // events up to and including this seq are no longer kept
	TrimHash Hash
	Control  Control
	Answer   int64 // seq of the answer-started event that has no end yet; 0: none
	ChatMark int64 // seq up to which some chat socket has shown everything
	Hidden   int64 // the participant deleted the history: events up to this seq are not shown to it
	Erased   int64 // an owner erased it: bodies up to this seq are gone, cursors below are unknown
	Counter  int64 // of the message ids with a number in the conversation: the last one given
}

// HeadCursor is the cursor after the thread's last event.
func (t Thread) HeadCursor() Cursor { return Cursor{t.Head, t.HeadHash.Tag()} }

// TrimCursor is the cursor just before the oldest event that is kept.
func (t Thread) TrimCursor() Cursor { return Cursor{t.Trim, t.TrimHash.Tag()} }
