// Package tandem is the vocabulary of Tandem, a self-hosted conversation server
// in which AI agents and people answer in tandem.
//
// It holds the words every other package speaks and nothing that does I/O:
//
//   - an [Address] names a thread: one participant on one workflow of one tenant;
//   - an [Event] is one entry of a thread's log, numbered densely and chained by hash;
//   - a [Cursor] is a place in that log that cannot be mistaken for another;
//   - a [Conversation] is one episode on a thread, and [Control] says who may speak in it;
//   - a [Principal] is who is asking, once a credential has been judged;
//   - a [Question] and its [Piece]s are what goes to an agent and comes back;
//   - a [View] is the part of a log that one reader sees, as a plain value;
//   - [Limits] are the numbers at which Tandem says no, and an [Error] is how it says it.
//
// The package depends on the standard library alone. It is public API (v0).
package tandem

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// Version is the release that this source becomes.
const Version = "0.1.0"

// Clock tells the time. The server is given one ([time.Now]); tests give their own.
type Clock func() time.Time

// base32Lower is RFC 4648 base 32 in lower case without padding: it survives
// URLs, header fields and being read aloud.
var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID returns prefix followed by 26 characters: 48 bits of time in
// milliseconds, so that ids made later sort later, and 80 random bits. Ids name
// things; the order of events is told by their sequence numbers only.
func NewID(prefix string, now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:])
	const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var id strings.Builder
	id.Grow(len(prefix) + 26)
	id.WriteString(prefix)
	// 128 bits are 26 digits of 5 bits, the first of which holds 3 (the ULID form).
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	for shift := 125; shift >= 0; shift -= 5 {
		var v uint64
		switch {
		case shift >= 64:
			v = hi >> (shift - 64)
		case shift > 59:
			v = hi<<(64-shift) | lo>>shift
		default:
			v = lo >> shift
		}
		id.WriteByte(crockford[v&31])
	}
	return id.String()
}
