package tandem

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
)

// A Hash is a SHA-256 digest; of an event, the chain hash of the log up to it.
type Hash [sha256.Size]byte

// Tag is the first 40 bits of h as 8 base 32 characters: the part of a cursor
// that tells one history from another.
func (h Hash) Tag() Tag { return Tag(base32Lower.EncodeToString(h[:5])) }

// Tag is the second part of a [Cursor].
type Tag string

// A Cursor is a place in one log: after the event Seq of the history whose hash
// begins with Tag. It is opaque to clients. The zero Cursor is "no cursor".
type Cursor struct {
	Seq int64
	Tag Tag
}

// IsZero reports whether c is "no cursor".
func (c Cursor) IsZero() bool { return c == Cursor{} }

// String is the form that clients see, <seq>-<tag>; empty for the zero Cursor.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	return strconv.FormatInt(c.Seq, 10) + "-" + string(c.Tag)
}

// ParseCursor reads a cursor. Only the form that String writes is accepted; the
// error is of kind [Invalid]. What looks like no cursor of ours must be treated
// as unknown, never as caught up.
func ParseCursor(s string) (Cursor, error) {
	bad := Errorf(Invalid, "not a cursor")
	seq, tag, ok := strings.Cut(s, "-")
	if !ok || len(tag) != 8 || seq == "" || len(seq) > 18 || (seq[0] == '0' && seq != "0") {
		return Cursor{}, bad
	}
	for _, c := range []byte(seq) {
		if c < '0' || c > '9' {
			return Cursor{}, bad
		}
	}
	for _, c := range []byte(tag) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return Cursor{}, bad
		}
	}
	n, err := strconv.ParseInt(seq, 10, 64)
	if err != nil {
		return Cursor{}, bad
	}
	return Cursor{n, Tag(tag)}, nil
}

// A BoardCursor is a place on a tenant's board: after the change Rev of the
// history whose hash begins with Tag.
type BoardCursor struct {
	Rev int64
	Tag Tag
}

// IsZero reports whether c is "no cursor".
func (c BoardCursor) IsZero() bool { return c == BoardCursor{} }

// String is the form that clients see, b<rev>-<tag>; empty for the zero cursor.
func (c BoardCursor) String() string {
	if c.IsZero() {
		return ""
	}
	return "b" + Cursor{c.Rev, c.Tag}.String()
}

// ParseBoardCursor reads a cursor of the board; the error is of kind [Invalid].
func ParseBoardCursor(s string) (BoardCursor, error) {
	rest, ok := strings.CutPrefix(s, "b")
	if !ok {
		return BoardCursor{}, Errorf(Invalid, "not a cursor")
	}
	c, err := ParseCursor(rest)
	return BoardCursor{c.Seq, c.Tag}, err
}

// A Gap is a range of sequence numbers that were there and are kept no more,
// both ends included.
type Gap struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Chain returns the hash of e on top of prev:
//
//	SHA-256( prev | seq | kind | version | id | at | audience | principal | SHA-256(body) )
//
// prev and the body's hash are 32 bytes as they are; every other field is
// prefixed with its length as a big-endian uint32, numbers being big-endian
// int64 (at in microseconds since 1970 UTC). Node, trace and keys are not part
// of it. Hashing the body's hash lets a body be erased without breaking the
// chain. docs/architecture.md states the same bytes; a golden test holds them.
func (e *Event) Chain(prev Hash) Hash { return e.ChainSum(prev, sha256.Sum256(e.Body)) }

// ChainSum is Chain for an event of whose body only the hash is left.
func (e *Event) ChainSum(prev, body Hash) Hash {
	buf := make([]byte, 0, 192)
	buf = append(buf, prev[:]...)
	buf = appendSizedInt(buf, e.Seq)
	buf = appendSized(buf, string(e.Kind))
	buf = appendSizedInt(buf, int64(e.Version))
	buf = appendSized(buf, e.ID)
	buf = appendSizedInt(buf, e.At.UnixMicro())
	buf = appendSizedInt(buf, int64(e.Audience))
	buf = appendSized(buf, e.Meta.Principal)
	buf = append(buf, body[:]...)
	return sha256.Sum256(buf)
}

func appendSized(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func appendSizedInt(b []byte, n int64) []byte {
	b = binary.BigEndian.AppendUint32(b, 8)
	return binary.BigEndian.AppendUint64(b, uint64(n))
}
