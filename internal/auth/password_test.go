package auth

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/argon2"

	tandem "github.com/seed4677ff1f/tandem"
)

func TestPassword_matchesItselfOnly(t *testing.T) {
	ctx, h := context.Background(), newHasher()
	one, err := h.hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if one == two {
		t.Error("two hashes of a password have one salt")
	}
	if !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(one, "horse") {
		t.Errorf("stored as %s", one)
	}
	for password, want := range map[Secret]bool{"correct horse": true, "correct horsf": false, "Correct horse": false, "": false, "correct horse ": false} {
		if got, err := h.matches(ctx, password, one); err != nil || got != want {
			t.Errorf("%q: %v %v", password.Reveal(), got, err)
		}
	}
}

// A hash that another program made with other costs is read too.
func TestPassword_readsPHCStrings(t *testing.T) {
	salt := []byte("somesalt")
	b64 := base64.RawStdEncoding
	foreign := "$argon2id$v=19$m=64,t=1,p=2$" + b64.EncodeToString(salt) + "$" + b64.EncodeToString(argon2.IDKey([]byte("secret"), salt, 1, 64, 2, 24))
	if got, err := newHasher().matches(context.Background(), "secret", foreign); err != nil || !got {
		t.Error(got, err)
	}
}

// What is no hash matches nothing, costs the same, and can neither crash the
// server nor make it use more memory. Seen to fail without the bounds of memory,
// passes and lanes.
func TestPassword_noHashMatchesNothing(t *testing.T) {
	ctx, h := context.Background(), newHasher()
	decoy := hashing{memory: hashMemory, passes: hashPasses, lanes: hashLanes, salt: make([]byte, hashSalt), sum: make([]byte, hashSum)}
	good := "$" + base64.RawStdEncoding.EncodeToString(make([]byte, 16)) + "$" + base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	for _, s := range []string{
		"", "plain", "$argon2id$v=19$m=19456,t=2,p=1", "$argon2i$v=19$m=64,t=1,p=1" + good, "$argon2id$v=18$m=64,t=1,p=1" + good,
		"$argon2id$v=19$m=262145,t=1,p=1" + good, "$argon2id$v=19$m=64,t=17,p=1" + good, "$argon2id$v=19$m=64,t=0,p=1" + good,
		"$argon2id$v=19$m=64,t=1,p=0" + good, "$argon2id$v=19$m=64,t=1,p=9" + good, "$argon2id$v=19$m=7,t=1,p=1" + good,
		"$argon2id$v=19$m=64,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=64,t=1,p=1$!!!!!!!!!!!!$" + good[24:], "$argon2id$v=19$m=x,t=1,p=1" + good,
	} {
		if _, readable := parseHashing(s); readable {
			t.Errorf("%q is read as a hash", s)
		}
	}
	if p, readable := parseHashing(decoy.String()); !readable || p.memory != hashMemory || len(p.sum) != hashSum {
		t.Errorf("what is written is not read: %v", p)
	}
	if got, err := h.matches(ctx, "", ""); err != nil || got {
		t.Errorf("no password is good for no hash: %v %v", got, err)
	}
}

func TestPassword_whatMayBeSet(t *testing.T) {
	for password, good := range map[string]bool{
		"1234567": false, "12345678": true, "äöüäöüä": false, "äöüäöüäö": true, strings.Repeat("x", MaxPassword): true,
		strings.Repeat("x", MaxPassword+1): false, "12345678\xff": false, "": false,
	} {
		if err := checkPassword(Secret(password)); (err == nil) != good || err != nil && tandem.KindOf(err) != tandem.Invalid {
			t.Errorf("%.20q: %v", password, err)
		}
	}
	one, two := NewPassword(), NewPassword()
	if one == two || checkPassword(one) != nil || len(one) != 19 {
		t.Errorf("made %q and %q", one.Reveal(), two.Reveal())
	}
}

// Only so many hash at once; who waits too long is asked to come again. Seen to
// fail by hashing without a turn.
func TestPassword_isHashedByFewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hasher{make(chan struct{}, 1)}
		h.slots <- struct{}{}
		_, err := h.hash(t.Context(), "correct horse")
		if e, ok := err.(*tandem.Error); !ok || e.Kind != tandem.Unavailable || e.RetryAfter <= 0 {
			t.Errorf("after a long wait: %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.hash(gone, "correct horse"); err != context.Canceled {
			t.Errorf("who is gone waits no more: %v", err)
		}
		<-h.slots
		if _, err := h.hash(t.Context(), "correct horse"); err != nil || len(h.slots) != 0 {
			t.Errorf("its turn: %v, and it is not given back", err)
		}
	})
}
