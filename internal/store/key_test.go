package store

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// stopped is a clock that shows what its owner sets.
type stopped struct{ now time.Time }

func (c *stopped) clock() time.Time { return c.now }

func aKey(id string) Key {
	return Key{ID: id, Tenant: "default", Name: "back end", Role: tandem.Agent, Created: noon}
}

func addKey(t *testing.T, s *Store, k Key) tandem.Hash {
	t.Helper()
	h := tandem.Hash(sha256.Sum256([]byte(k.ID)))
	if err := s.AddKey(context.Background(), k, h, Audit{}); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestKey_comesBackAsItWasStored(t *testing.T) {
	ctx := context.Background()
	s := open(t, Options{})
	want := Key{
		ID: "key_1", Tenant: "default", Name: "a page", Role: tandem.Participant, Workflow: "support", Subject: "ann",
		Rate: tandem.Rate{N: 7, Per: time.Minute}, Created: noon, Expires: noon.Add(time.Hour),
	}
	h := addKey(t, s, want)
	got, err := s.KeyByHash(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got, err := s.Key(ctx, "key_1"); err != nil || got.Name != "a page" {
		t.Error(got, err)
	}
	if _, err := s.KeyByHash(ctx, tandem.Hash{1}); tandem.KindOf(err) != tandem.NotFound {
		t.Error("an unknown hash must be NotFound:", err)
	}
	if _, err := s.Key(ctx, "key_2"); tandem.KindOf(err) != tandem.NotFound {
		t.Error("an unknown id must be NotFound:", err)
	}
}

func TestKey_needsItsTenant(t *testing.T) {
	s := open(t, Options{})
	k := aKey("key_1")
	k.Tenant = "nobody"
	if err := s.AddKey(context.Background(), k, tandem.Hash{}, Audit{}); tandem.KindOf(err) != tandem.NotFound {
		t.Error("a key of a tenant that does not exist must be NotFound:", err)
	}
}

// Fails if the tenant is left out of the condition in Keys or RevokeKey.
func TestKey_staysInItsTenant(t *testing.T) {
	ctx := context.Background()
	s := open(t, Options{})
	if err := s.EnsureTenant(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	addKey(t, s, aKey("key_1"))
	foreign := aKey("key_2")
	foreign.Tenant = "other"
	addKey(t, s, foreign)
	for tenant, want := range map[string][]string{"default": {"key_1"}, "other": {"key_2"}, "": {"key_1", "key_2"}, "none": nil} {
		keys, err := s.Keys(ctx, tenant)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range keys {
			got = append(got, k.ID)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("keys of %q: %s", tenant, d)
		}
	}
	if err := s.RevokeKey(ctx, "default", "key_2", noon, Audit{}); tandem.KindOf(err) != tandem.NotFound {
		t.Error("another tenant's key must be NotFound:", err)
	}
	if k, err := s.Key(ctx, "key_2"); err != nil || !k.Revoked.IsZero() {
		t.Error("another tenant's key was revoked", err)
	}
	if err := s.RevokeKey(ctx, "", "key_2", noon, Audit{}); err != nil {
		t.Error("a command that names no tenant may revoke any key:", err)
	}
}

func TestKey_revokedOnceKeepsItsFirstTime(t *testing.T) {
	ctx := context.Background()
	c := &stopped{noon}
	s := open(t, Options{Clock: c.clock})
	addKey(t, s, aKey("key_1"))
	for range 2 {
		if err := s.RevokeKey(ctx, "default", "key_1", noon.Add(time.Hour), Audit{}); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.Add(time.Minute)
	}
	k, err := s.Key(ctx, "key_1")
	if err != nil {
		t.Fatal(err)
	}
	if !k.Revoked.Equal(noon) {
		t.Errorf("revoked at %v, want %v", k.Revoked, noon)
	}
	if rev, err := s.RevocationsRev(ctx); err != nil || rev != 2 {
		t.Errorf("rev = %d, %v; each revocation must raise it", rev, err)
	}
}

func TestKey_isSeenInABrowserOnceADay(t *testing.T) {
	ctx := context.Background()
	s := open(t, Options{})
	addKey(t, s, aKey("key_1"))
	midnight := time.Date(2026, 5, 5, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		at    time.Time
		first bool
	}{
		{noon, true},
		{noon, false},
		{midnight.Add(-time.Microsecond), false},
		{midnight, true},
		{noon, false}, // a clock that went back
	} {
		first, err := s.SeenInBrowser(ctx, "key_1", step.at)
		if err != nil || first != step.first {
			t.Errorf("at %v: first = %v, %v; want %v", step.at, first, err, step.first)
		}
	}
	if k, err := s.Key(ctx, "key_1"); err != nil || !k.Seen.Equal(midnight) {
		t.Error("seen on", k.Seen, err)
	}
	if first, err := s.SeenInBrowser(ctx, "key_2", noon); first || err != nil {
		t.Error("a key that is not there:", first, err)
	}
}
