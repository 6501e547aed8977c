package tandem

import "time"

// PrincipalRole is what a credential lets its bearer be.
type PrincipalRole string

// The roles of a principal.
const (
	Participant PrincipalRole = "participant" // own threads, sessions and conversations
	Agent       PrincipalRole = "agent"       // posts to and reads any thread of its tenant (or workflow)
	Operator    PrincipalRole = "operator"    // conversations assigned to them, and unassigned ones
	Supervisor  PrincipalRole = "supervisor"  // all conversations of the tenant
	Owner       PrincipalRole = "owner"       // administers the tenant
)

// ParseRole reads a role; the error is of kind [Invalid].
func ParseRole(s string) (PrincipalRole, error) {
	switch r := PrincipalRole(s); r {
	case Participant, Agent, Operator, Supervisor, Owner:
		return r, nil
	}
	return "", Errorf(Invalid, "role must be participant, operator, supervisor, agent or owner")
}

// CredentialKind is the form a credential had.
type CredentialKind string

// The kinds of credentials.
const (
	CredentialJWT    CredentialKind = "jwt"
	CredentialKey    CredentialKind = "key"
	CredentialTicket CredentialKind = "ticket"
	CredentialSystem CredentialKind = "system" // Tandem itself: timers, recovery, the agents it calls
)

// A Principal is who is asking, after a credential was judged. Package auth
// makes them; a handler passes one on and never makes its own. It holds no
// secret and may be logged by its ID and Kind.
type Principal struct {
	Tenant   string
	Subject  string // the participant's or operator's id; of a key its name; lower case for participants
	Role     PrincipalRole
	Workflow string // not empty: only this workflow
	Session  string // not empty: only this session
	Name     string // display name; may be empty
	Email    string
	Kind     CredentialKind
	ID       string         // jti, key id or ticket id: what a revocation names
	Parent   string         // of a ticket: ID of the credential it was made with
	Issuer   string         // of a token of somebody else's (and its tickets): its iss
	Signer   string         // of a token of the server's own (and its tickets): kid of the secret that signed it
	Issued   time.Time      // zero if unknown
	Expires  time.Time      // zero: never. Expiry plus leeway ends open streams too
	Claims   map[string]any // claims of the token, for an agent's user_claims
	Rate     Rate           // the credential's own rate; zero: the default for its role
}

// Display is the name that others may see: never a login.
func (p Principal) Display() string {
	if p.Name != "" {
		return p.Name
	}
	switch p.Role {
	case Operator, Supervisor, Owner:
		return "Support"
	case Agent:
		return "Assistant"
	}
	return ""
}

// MayRead reports whether p may read the thread at all; what of it is the
// audience's business.
func (p Principal) MayRead(a Address) bool {
	if p.Tenant != a.Tenant || (p.Workflow != "" && p.Workflow != a.Workflow) {
		return false
	}
	return p.Role != Participant || p.Subject == a.Participant
}

// Audience is the most that p may see. A reader sees an event if
// [Audience.VisibleTo] of it holds.
func (p Principal) Audience() Audience {
	switch p.Role {
	case Operator, Supervisor, Owner:
		return Operators
	case Agent:
		return Agents
	}
	return Everyone
}

// VisibleTo reports whether an event of audience a may be seen by a reader
// whose own audience is reader.
func (a Audience) VisibleTo(reader Audience) bool {
	switch a {
	case Everyone:
		return true
	case Agents:
		return reader == Agents || reader == Operators
	case Operators:
		return reader == Operators
	}
	return false
}
