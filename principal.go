package tandem

import (
	"slices"
	"time"
)

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
	CredentialJWT     CredentialKind = "jwt"
	CredentialKey     CredentialKind = "key"
	CredentialTicket  CredentialKind = "ticket"
	CredentialSession CredentialKind = "session" // the id of a session that a back end made for this
	CredentialSystem  CredentialKind = "system"  // Tandem itself: timers, recovery, the agents it calls

	// In the audit only, of who signs in.
	CredentialPassword CredentialKind = "password"
	CredentialLink     CredentialKind = "link"
)

// A Principal is who is asking, after a credential was judged. Package auth
// makes them; a handler passes one on and never makes its own. It holds no
// secret and may be logged by its ID and Kind.
type Principal struct {
	Tenant    string
	Subject   string // the participant's or operator's id; of a key its name; lower case for participants
	Role      PrincipalRole
	Workflow  string   // not empty: only this workflow
	Workflows []string // of an account: only these; none: all of the tenant
	Session   string   // not empty: only this session
	Name      string   // display name; may be empty
	Email     string
	Kind      CredentialKind
	ID        string         // jti, key id or ticket id: what a revocation names
	Parent    string         // of a ticket: ID of the credential it was made with
	Issuer    string         // of a token of somebody else's (and its tickets): its iss
	Signer    string         // of a token of the server's own (and its tickets): kid of the secret that signed it
	Issued    time.Time      // zero if unknown
	Expires   time.Time      // zero: never. Expiry plus leeway ends open streams too
	Claims    map[string]any // claims of the token, for an agent's user_claims
	Rate      Rate           // the credential's own rate; zero: the default for its role
	From      string         // address that the request came from, for the audit; empty: unknown
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

// Staff reports whether p is a person who may answer: an operator, a supervisor
// or an owner.
func (p Principal) Staff() bool {
	return p.Role == Operator || p.Role == Supervisor || p.Role == Owner
}

// Serves reports whether p's credential reaches the workflow at all.
func (p Principal) Serves(workflow string) bool {
	if p.Workflow != "" && p.Workflow != workflow {
		return false
	}
	return len(p.Workflows) == 0 || slices.Contains(p.Workflows, workflow)
}

// MayRead reports whether p may read the whole thread; what of it is the
// audience's business. An operator may not: operators read conversations, see
// [Principal.MaySee].
func (p Principal) MayRead(a Address) bool {
	if p.Tenant != a.Tenant || !p.Serves(a.Workflow) {
		return false
	}
	switch p.Role {
	case Participant:
		return p.Subject == a.Participant
	case Operator:
		return false
	}
	return true
}

// MaySee reports whether p may read the conversation: a participant its own, an
// operator what nobody or the operator holds, everybody else all of the tenant
// and workflows that the credential reaches.
func (p Principal) MaySee(c *Conversation) bool {
	if p.Tenant != c.Address.Tenant || !p.Serves(c.Address.Workflow) {
		return false
	}
	switch p.Role {
	case Participant:
		return p.Subject == c.Address.Participant
	case Operator:
		return c.AdminID == "" || c.AdminID == p.Subject
	}
	return true
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
