package tandem

import (
	"errors"
	"fmt"
	"time"
)

// ErrorKind says what sort of no an error is. Each face maps a kind to its own
// status and body in one table; whether a client may simply try again is part of
// the kind.
type ErrorKind uint8

// The kinds of errors. The zero kind is Internal: what nobody classified is ours.
const (
	Internal     ErrorKind = iota // our fault; "internal" outside, the full text in the log
	Invalid                       // the request can never succeed as it is
	Unauthorized                  // no credential, or a bad one
	Forbidden                     // a good credential that may not do this
	NotFound                      // there is no such thing, or not for this caller
	Conflict                      // the state of things does not allow it now
	Held                          // somebody else may speak; see Control
	Mismatch                      // a key was used again for something else
	TooLarge                      // over a size limit
	TooMany                       // over a rate or a count; retry after RetryAfter
	Timeout                       // nothing came in time; retryable
	Unavailable                   // cannot be served now; retryable after RetryAfter
	Gone                          // was there, is not any more
)

// Retryable reports whether the same request may succeed later unchanged.
func (k ErrorKind) Retryable() bool { return k == TooMany || k == Timeout || k == Unavailable }

// An Error is a refusal with a sentence that is safe to show to a client. Err,
// if any, is the cause: it goes to the log and never outside.
type Error struct {
	Kind       ErrorKind
	Message    string
	Err        error
	RetryAfter time.Duration
	Epoch      int64 // of Held: the control epoch as it is now; 0: unknown
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an [Error] of a kind with a safe sentence. A %w operand becomes
// its cause and is left out of the sentence.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	if cause := errors.Unwrap(err); cause != nil {
		return &Error{Kind: kind, Message: trimCause(err.Error(), cause.Error()), Err: cause}
	}
	return &Error{Kind: kind, Message: err.Error()}
}

func trimCause(msg, cause string) string {
	if n := len(msg) - len(cause); n > 0 && msg[n:] == cause {
		msg = msg[:n]
		for len(msg) > 0 && (msg[len(msg)-1] == ' ' || msg[len(msg)-1] == ':') {
			msg = msg[:len(msg)-1]
		}
	}
	return msg
}

// KindOf returns the kind of err: Internal for an error that is no [Error].
func KindOf(err error) ErrorKind {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
