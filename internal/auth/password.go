package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	tandem "github.com/seed4677ff1f/tandem"
)

// The shortest and the longest password that may be set.
const (
	MinPassword = 8    // Unicode code points
	MaxPassword = 1024 // bytes
)

// hashing is how a password was hashed: argon2id (RFC 9106) with these costs.
type hashing struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
	salt   []byte
	sum    []byte
}

// The costs of new hashes, and the most that is believed of a stored one.
const (
	hashMemory, maxHashMemory = 19 << 10, 256 << 10 // KiB
	hashPasses, maxHashPasses = 2, 16
	hashLanes, maxHashLanes   = 1, 8
	hashSalt, hashSum         = 16, 32 // bytes
)

// hashWait is how long somebody waits for a turn at hashing before being asked to
// come again.
const hashWait = 5 * time.Second

// hasher hashes passwords, only a few at a time: each takes much memory, and who
// signs in must not slow down who converses.
type hasher struct{ slots chan struct{} }

func newHasher() hasher {
	return hasher{make(chan struct{}, min(4, runtime.GOMAXPROCS(0)))}
}

// hash hashes a new password with a salt of its own, into the PHC string format
// that [hasher.matches] reads.
func (h hasher) hash(ctx context.Context, password Secret) (string, error) {
	p := hashing{memory: hashMemory, passes: hashPasses, lanes: hashLanes, salt: make([]byte, hashSalt), sum: make([]byte, hashSum)}
	rand.Read(p.salt)
	var err error
	p.sum, err = h.derive(ctx, password, p)
	return p.String(), err
}

// matches reports whether password is the one that encoded was made from. What is
// no hash, or none that can be read, matches nothing, and to find that out costs
// the same.
func (h hasher) matches(ctx context.Context, password Secret, encoded string) (bool, error) {
	p, readable := parseHashing(encoded)
	if !readable {
		p = hashing{memory: hashMemory, passes: hashPasses, lanes: hashLanes, salt: make([]byte, hashSalt), sum: make([]byte, hashSum)}
	}
	sum, err := h.derive(ctx, password, p)
	return err == nil && subtle.ConstantTimeCompare(sum, p.sum) == 1 && readable, err
}

// derive computes the hash when its turn comes. Unavailable if it does not.
func (h hasher) derive(ctx context.Context, password Secret, p hashing) ([]byte, error) {
	patience := time.NewTimer(hashWait)
	defer patience.Stop()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-patience.C:
		return nil, &tandem.Error{Kind: tandem.Unavailable, Message: "Too many people are signing in. Please try again.", RetryAfter: hashWait}
	}
	return argon2.IDKey([]byte(password.Reveal()), p.salt, p.passes, p.memory, p.lanes, uint32(len(p.sum))), nil
}

// String is the PHC string format, as other programs write argon2id too.
func (p hashing) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, p.lanes, b64.EncodeToString(p.salt), b64.EncodeToString(p.sum))
}

func parseHashing(s string) (p hashing, ok bool) {
	part := strings.Split(s, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, false
	}
	if n, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.lanes); n != 3 || err != nil {
		return p, false
	}
	if p.memory < 8 || p.memory > maxHashMemory || p.passes < 1 || p.passes > maxHashPasses || p.lanes < 1 || p.lanes > maxHashLanes {
		return p, false
	}
	var salted, summed error
	p.salt, salted = base64.RawStdEncoding.Strict().DecodeString(part[4])
	p.sum, summed = base64.RawStdEncoding.Strict().DecodeString(part[5])
	return p, salted == nil && summed == nil && len(p.salt) >= 8 && len(p.sum) >= 16 && len(p.sum) <= 64
}

// checkPassword says why a password may not be set.
func checkPassword(password Secret) error {
	s := password.Reveal()
	switch {
	case !utf8.ValidString(s):
		return tandem.Errorf(tandem.Invalid, "password is not valid UTF-8")
	case utf8.RuneCountInString(s) < MinPassword:
		return tandem.Errorf(tandem.Invalid, "password must have at least %d characters", MinPassword)
	case len(s) > MaxPassword:
		return tandem.Errorf(tandem.Invalid, "password cannot exceed %d bytes", MaxPassword)
	}
	return nil
}

// letters are those of generated passwords: none looks like another.
const letters = "abcdefghijkmnpqrstuvwxyz23456789"

// NewPassword makes a password of 80 random bits that can be read out aloud.
func NewPassword() Secret {
	b := make([]byte, 10)
	rand.Read(b)
	s := base32.NewEncoding(letters).EncodeToString(b)
	return Secret(s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:])
}
