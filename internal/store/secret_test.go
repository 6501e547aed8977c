package store

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A command and a server that start at once on a new data folder must agree.
// Fails if SigningKey inserts without "on conflict do nothing".
func TestSigningKey_isMadeOnceByWhoeverIsFirst(t *testing.T) {
	dir := t.TempDir()
	stores := []*Store{open(t, Options{Dir: dir}), open(t, Options{Dir: dir})}
	keys := make([]SigningKey, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			k, err := stores[i%2].SigningKey(context.Background())
			if err != nil {
				t.Error(err)
			}
			keys[i] = k
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k.ID != keys[0].ID || !bytes.Equal(k.Bytes, keys[0].Bytes) || len(k.Bytes) != 32 || !k.Current {
			t.Fatalf("keys differ: %s and %s (%d bytes)", k.ID, keys[0].ID, len(k.Bytes))
		}
	}
}

func TestRotateSigningKey_keepsTheOldOneForAWhile(t *testing.T) {
	ctx := context.Background()
	s := open(t, Options{})
	old, err := s.SigningKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	until := noon.Add(time.Hour)
	made, err := s.RotateSigningKey(ctx, until)
	if err != nil {
		t.Fatal(err)
	}
	if now, err := s.SigningKey(ctx); err != nil || now.ID != made.ID || now.ID == old.ID || bytes.Equal(now.Bytes, old.Bytes) {
		t.Errorf("current is %s, made was %s, old was %s, %v", now.ID, made.ID, old.ID, err)
	}
	kept, err := s.SigningKeyByID(ctx, old.ID)
	if err != nil || kept.Current || !kept.Until.Equal(until) || !bytes.Equal(kept.Bytes, old.Bytes) {
		t.Errorf("the old one: current %v, until %v, %v", kept.Current, kept.Until, err)
	}
	if rev, err := s.RevocationsRev(ctx); err != nil || rev == 0 {
		t.Error("servers remember the secret until rev changes: it must", rev, err)
	}
	if list, err := s.Revocations(ctx, 0); err != nil || len(list) != 0 {
		t.Error("nothing was revoked:", list, err)
	}
}

func TestRotateSigningKey_atOnceRevokesAllEarlierOnes(t *testing.T) {
	ctx := context.Background()
	s := open(t, Options{})
	first, err := s.SigningKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.RotateSigningKey(ctx, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	third, err := s.RotateSigningKey(ctx, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []SigningKey{first, second} {
		if _, err := s.SigningKeyByID(ctx, k.ID); tandem.KindOf(err) != tandem.NotFound {
			t.Error(k.ID, "must be gone:", err)
		}
	}
	list, err := s.Revocations(ctx, 0)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	for _, r := range list {
		if r.What != RevokedSecret || r.Tenant != "" || (r.Name != first.ID && r.Name != second.ID) {
			t.Errorf("%+v", r)
		}
	}
	if now, err := s.SigningKey(ctx); err != nil || now.ID != third.ID {
		t.Error(now.ID, err)
	}
}
