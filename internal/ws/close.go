package ws

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Code says why a connection was closed (RFC 6455, section 7.4, and IANA's
// registry that goes on from it).
type Code uint16

// The codes that Tandem sends or tells apart.
const (
	Normal         Code = 1000
	GoingAway      Code = 1001
	ProtocolError  Code = 1002
	Unsupported    Code = 1003 // a binary message
	NoStatus       Code = 1005 // never sent: the peer's close frame gave no code
	InvalidText    Code = 1007 // not UTF-8
	Policy         Code = 1008
	TooLarge       Code = 1009
	InternalError  Code = 1011
	ServiceRestart Code = 1012
	TryLater       Code = 1013
	Expired        Code = 4401 // Tandem's own: the credential ended
)

// sendable reports whether a close frame may carry the code.
func (c Code) sendable() bool {
	switch {
	case c >= 1000 && c <= 1003, c >= 1007 && c <= 1014: // registered
		return true
	}
	return c >= 3000 && c <= 4999 // for libraries and for applications
}

// A CloseError is how a connection ended: by the peer's close frame, or by ours
// because of what the peer did.
type CloseError struct {
	Code   Code
	Reason string
	Remote bool // the peer's close frame said so
}

func (e *CloseError) Error() string {
	who := "closed"
	if e.Remote {
		who = "closed by the peer"
	}
	if e.Reason == "" {
		return fmt.Sprintf("ws: %s: %d", who, e.Code)
	}
	return fmt.Sprintf("ws: %s: %d %s", who, e.Code, e.Reason)
}

// parseClose reads a close frame's payload. What the frame may not say is a
// protocol error of the peer.
func parseClose(payload []byte) *CloseError {
	if len(payload) == 0 {
		return &CloseError{Code: NoStatus, Remote: true}
	}
	if len(payload) == 1 {
		return &CloseError{Code: ProtocolError, Reason: "half a close code"}
	}
	code := Code(binary.BigEndian.Uint16(payload))
	switch reason := payload[2:]; {
	case !code.sendable():
		return &CloseError{Code: ProtocolError, Reason: "a close code that may not be sent"}
	case !utf8.Valid(reason):
		return &CloseError{Code: InvalidText, Reason: "a close reason that is not UTF-8"}
	default:
		return &CloseError{Code: code, Reason: string(reason), Remote: true}
	}
}
