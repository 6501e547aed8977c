package store

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
)

// The two handles are what a command and a server on one data folder are.
func TestRevoke_isSeenByAnotherHandle(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	c := &stopped{noon}
	command, server := open(t, Options{Dir: dir, Clock: c.clock}), open(t, Options{Dir: dir})
	until := noon.Add(time.Hour)
	for _, r := range []Revocation{
		{What: RevokedJTI, Tenant: "default", Name: "j1", Until: until},
		{What: RevokedSubject, Tenant: "default", Name: "ann", Until: until},
	} {
		if err := command.Revoke(ctx, r, Audit{}); err != nil {
			t.Fatal(err)
		}
	}
	if rev, err := server.RevocationsRev(ctx); err != nil || rev != 2 {
		t.Errorf("rev = %d, %v", rev, err)
	}
	got, err := server.Revocations(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []Revocation{{What: RevokedSubject, Tenant: "default", Name: "ann", At: noon, Until: until, Rev: 2}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRevoke_ofTheSameKeepsTheLatest(t *testing.T) {
	ctx := context.Background()
	c := &stopped{noon}
	s := open(t, Options{Clock: c.clock})
	for _, step := range []time.Duration{0, time.Hour, -time.Hour} { // the last: a clock that went back
		c.now = noon.Add(step)
		r := Revocation{What: RevokedSubject, Tenant: "default", Name: "ann", Until: c.now.Add(time.Minute)}
		if err := s.Revoke(ctx, r, Audit{}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Revocations(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := []Revocation{{What: RevokedSubject, Tenant: "default", Name: "ann", At: noon.Add(time.Hour), Until: noon.Add(61 * time.Minute), Rev: 3}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Fails if Revoke forgets the keys, or forgets tenant or role in the condition.
func TestRevoke_ofASubjectTakesTheirKeysOnly(t *testing.T) {
	ctx := context.Background()
	s := open(t, Options{})
	if err := s.EnsureTenant(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	anns, bobs, namesake, agents := aKey("key_ann"), aKey("key_bob"), aKey("key_namesake"), aKey("key_agent")
	anns.Role, anns.Subject = tandem.Participant, "ann"
	bobs.Role, bobs.Subject = tandem.Participant, "bob"
	namesake.Role, namesake.Subject, namesake.Tenant = tandem.Participant, "ann", "other"
	agents.Name, agents.Subject = "ann", "ann"
	for _, k := range []Key{anns, bobs, namesake, agents} {
		addKey(t, s, k)
	}
	if err := s.Revoke(ctx, Revocation{What: RevokedSubject, Tenant: "default", Name: "ann", Until: noon}, Audit{}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"key_ann": true, "key_bob": false, "key_namesake": false, "key_agent": false} {
		if k, err := s.Key(ctx, id); err != nil || !k.Revoked.IsZero() != want {
			t.Errorf("%s revoked at %v, %v; want revoked %v", id, k.Revoked, err, want)
		}
	}
}

func TestRevoke_needsItsTenant(t *testing.T) {
	ctx := context.Background()
	s := open(t, Options{})
	err := s.Revoke(ctx, Revocation{What: RevokedJTI, Tenant: "nobody", Name: "j1", Until: noon}, Audit{})
	if tandem.KindOf(err) != tandem.NotFound {
		t.Error(err)
	}
	if rev, err := s.RevocationsRev(ctx); rev != 0 || err != nil {
		t.Error("a revocation that failed must not raise rev:", rev, err)
	}
}
