package store

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
)

func aTicket(id string) Ticket {
	return Ticket{
		ID: id, Tenant: "default", Purpose: "stream", Parent: "key_1", Principal: []byte(`{"Subject":"ann"}`),
		Created: noon, FirstBy: noon.Add(time.Minute), Expires: noon.Add(time.Hour),
	}
}

func addTicket(t *testing.T, s *Store, k Ticket) tandem.Hash {
	t.Helper()
	var h tandem.Hash
	copy(h[:], k.ID)
	if err := s.AddTicket(context.Background(), k, h); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestTicket_survivesARestart(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	want := aTicket("ticket_1")
	h := addTicket(t, s, want)
	if first, err := s.UseTicket(ctx, want.ID, []byte(`{}`), noon); !first || err != nil {
		t.Fatal(first, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, Options{Dir: dir}).TicketByHash(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	want.Used, want.Bound = noon, []byte(`{}`)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTicket_unknownIsNotFound(t *testing.T) {
	ctx := context.Background()
	s := open(t, Options{})
	if _, err := s.TicketByHash(ctx, tandem.Hash{1}); tandem.KindOf(err) != tandem.NotFound {
		t.Error(err)
	}
	k := aTicket("ticket_1")
	k.Tenant = "nobody"
	if err := s.AddTicket(ctx, k, tandem.Hash{}); tandem.KindOf(err) != tandem.NotFound {
		t.Error("a ticket of a tenant that does not exist:", err)
	}
}

// Fails without "and used_at = 0" in UseTicket.
func TestTicket_hasOneFirstUse(t *testing.T) {
	dir := t.TempDir()
	stores := []*Store{open(t, Options{Dir: dir}), open(t, Options{Dir: dir})}
	h := addTicket(t, stores[0], aTicket("ticket_1"))
	var firsts atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			first, err := stores[i%2].UseTicket(context.Background(), "ticket_1", []byte{byte('a' + i)}, noon)
			if err != nil {
				t.Error(err)
			}
			if first {
				firsts.Add(1)
			}
		})
	}
	wg.Wait()
	if n := firsts.Load(); n != 1 {
		t.Errorf("%d first uses", n)
	}
	if k, err := stores[1].TicketByHash(context.Background(), h); err != nil || len(k.Bound) != 1 {
		t.Errorf("bound to %q, %v", k.Bound, err)
	}
}

func TestTrimCredentials_keepsWhatMayStillMatter(t *testing.T) {
	ctx := context.Background()
	c := &stopped{noon}
	s := open(t, Options{Clock: c.clock})
	hashes := map[string]tandem.Hash{}
	add := func(id string, used bool, change func(*Ticket)) {
		k := aTicket(id)
		if change != nil {
			change(&k)
		}
		hashes[id] = addTicket(t, s, k)
		if used {
			if _, err := s.UseTicket(ctx, id, []byte(`{}`), noon); err != nil {
				t.Fatal(err)
			}
		}
	}
	add("unused", false, nil)
	add("unused-later", false, func(k *Ticket) { k.FirstBy = noon.Add(31 * time.Minute) })
	add("used", true, nil)
	add("used-expired", true, func(k *Ticket) { k.Expires = noon.Add(29 * time.Minute) })
	add("used-for-ever", true, func(k *Ticket) { k.Expires = time.Time{} })
	add("socket", true, func(k *Ticket) { k.Purpose = "socket" })
	for name, until := range map[string]time.Time{"past": noon.Add(29 * time.Minute), "kept": noon.Add(31 * time.Minute)} {
		if err := s.Revoke(ctx, Revocation{What: RevokedJTI, Tenant: "default", Name: name, Until: until}, Audit{}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := s.SigningKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.RotateSigningKey(ctx, noon.Add(29*time.Minute)); err != nil {
		t.Fatal(err)
	}

	if err := s.TrimCredentials(ctx, noon.Add(30*time.Minute), noon); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"unused": false, "unused-later": true, "used": true, "used-expired": false, "used-for-ever": true, "socket": false}
	for id, kept := range want {
		if _, err := s.TicketByHash(ctx, hashes[id]); (err == nil) != kept {
			t.Errorf("ticket %s kept: %v, want %v (%v)", id, err == nil, kept, err)
		}
	}
	list, err := s.Revocations(ctx, 0)
	if err != nil || len(list) != 1 || list[0].Name != "kept" {
		t.Error("revocations left:", list, err)
	}
	if _, err := s.SigningKeyByID(ctx, first.ID); tandem.KindOf(err) != tandem.NotFound {
		t.Error("a retired secret past its time must be gone:", err)
	}
	if _, err := s.SigningKey(ctx); err != nil {
		t.Error("the current secret must stay:", err)
	}
	if err := s.TrimCredentials(ctx, noon.Add(30*time.Minute), noon.Add(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.TicketByHash(ctx, hashes["used-for-ever"]); err != nil {
		t.Error("a ticket first used at the idle limit must stay to the microsecond:", err)
	}
	if err := s.TrimCredentials(ctx, noon.Add(30*time.Minute), noon.Add(time.Microsecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.TicketByHash(ctx, hashes["used-for-ever"]); tandem.KindOf(err) != tandem.NotFound {
		t.Error("one past the idle limit must go:", err)
	}
}
