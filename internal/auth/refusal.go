package auth

import (
	"errors"

	tandem "github.com/seed4677ff1f/tandem"
)

// Reason says why a credential was refused: for metrics and the log. A client
// only ever sees one of three sentences.
type Reason string

// The reasons, which are also the labels of the metric.
const (
	ReasonNone      Reason = "none"      // nothing was presented
	ReasonMalformed Reason = "malformed" // has no form that we know, or lacks what it must have
	ReasonSignature Reason = "signature" // not signed, or not by a key that its issuer has for this algorithm
	ReasonExpired   Reason = "expired"   // was good once
	ReasonNotYet    Reason = "not-yet"   // will be good
	ReasonRevoked   Reason = "revoked"   // was taken back
	ReasonIssuer    Reason = "issuer"    // a token of somebody whom we do not know
	ReasonAudience  Reason = "audience"  // a token for somebody else
	ReasonTenant    Reason = "tenant"    // no such tenant here, or not one of this issuer
	ReasonRole      Reason = "role"      // a role that its issuer may not grant
	ReasonTicket    Reason = "ticket"    // a ticket used up, too late, or elsewhere
	ReasonUnknown   Reason = "unknown"   // no such key or ticket
	ReasonPassword  Reason = "password"  // no such account, or not its password
)

// What a client is told, as conversation clients know it (docs: conversation
// API, "401"). The other APIs have one fixed body of their own.
const (
	textNone    = "Not authenticated"
	textBad     = "Invalid or expired token"
	textRevoked = "Token has been revoked. Please login again."
)

// refusal is the cause of a 401. why is a fixed text: nothing of the credential
// gets into it.
type refusal struct {
	reason Reason
	why    string
}

func (r *refusal) Error() string { return string(r.reason) + ": " + r.why }

// refuse makes the error for a refused credential. Its kind is Unauthorized.
func refuse(reason Reason, why string) error {
	text := textBad
	switch reason {
	case ReasonNone:
		text = textNone
	case ReasonRevoked:
		text = textRevoked
	}
	return &tandem.Error{Kind: tandem.Unauthorized, Message: text, Err: &refusal{reason, why}}
}

// ReasonOf returns why err refused a credential; empty if err is something else,
// such as a store that could not be read.
func ReasonOf(err error) Reason {
	if r := (*refusal)(nil); errors.As(err, &r) {
		return r.reason
	}
	return ""
}
