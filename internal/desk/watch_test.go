package desk_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// screen is what somebody who watches the board has on it, over any number of
// connections.
type screen struct {
	o     *office
	who   tandem.Principal
	place string
	rows  map[string]desk.Seen
	revs  []int64 // of upserts, in order
	gone  []string
	b     *desk.Board
}

func (o *office) watches(p tandem.Principal) *screen {
	o.t.Helper()
	s := &screen{o: o, who: p, rows: map[string]desk.Seen{}}
	s.connect()
	return s
}

func (s *screen) connect() {
	s.o.t.Helper()
	b, err := s.o.desk.Watch(s.o.t.Context(), desk.Watching{Principal: s.who, After: s.place, Heartbeat: 50 * time.Millisecond})
	if err != nil {
		s.o.t.Fatal(err)
	}
	s.b = b
}

// step takes one batch; false after a heartbeat.
func (s *screen) step() bool {
	s.o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	b, err := s.b.Next(ctx)
	if err != nil {
		s.o.t.Fatal(err)
	}
	if b.Snapshot != nil {
		clear(s.rows)
		for _, r := range b.Snapshot {
			s.rows[r.ID] = r
		}
	}
	for _, c := range b.Changes {
		if c.Removed {
			delete(s.rows, c.ID)
			s.gone = append(s.gone, c.ID)
			continue
		}
		s.rows[c.ID] = c.Seen
		s.revs = append(s.revs, c.Rev)
	}
	s.place = s.b.Place()
	return !b.Heartbeat
}

func TestWatch_everyRevisionOnceOverReconnects(t *testing.T) {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(1, 2))
	o := open(t, setup{lose: func() bool { mu.Lock(); defer mu.Unlock(); return dice.IntN(2) == 0 }})
	lee := o.watches(staff("lee", tandem.Supervisor))
	lee.step()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 30 {
			name := fmt.Sprintf("p%d", i%6)
			if _, err := o.desk.Post(context.Background(), participant(name), desk.Post{Address: addr(name), Type: tandem.Chat, Text: "hi"}); err != nil {
				t.Error(err)
			}
			th, err := o.store.Thread(context.Background(), addr(name))
			if err != nil {
				t.Error(err)
			}
			id := th.Control.Conversation
			if _, err := o.desk.Takeover(context.Background(), operator("maya"), id, false); err != nil {
				t.Error(err)
			}
			if i%3 == 0 {
				if _, err := o.desk.End(context.Background(), operator("maya"), id, ""); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	over := false
	for quiet := 0; quiet < 3; {
		select {
		case <-done:
			over = true
		default:
		}
		switch {
		case lee.step():
			quiet = 0
		case over:
			quiet++
		}
		if !over && len(lee.revs)%5 == 4 {
			lee.b.Close()
			lee.connect()
		}
	}
	defer lee.b.Close()
	if !slices.IsSorted(lee.revs) || len(slices.Compact(slices.Clone(lee.revs))) != len(lee.revs) {
		t.Errorf("revisions out of order or twice: %v", lee.revs)
	}
	for i := range 6 {
		c := o.latest(fmt.Sprintf("p%d", i))
		if row := lee.rows[c.ID]; row.Rev != c.Rev || row.Status != c.Status || row.AdminID != c.AdminID {
			t.Errorf("on the board %+v, in the store %+v", row.Conversation, c)
		}
	}
}

// latest is the newest conversation of somebody, whatever its status.
func (o *office) latest(name string) tandem.Conversation {
	o.t.Helper()
	var newest tandem.Conversation
	for _, status := range []tandem.Status{tandem.StatusActive, tandem.StatusEnded} {
		list, _, err := o.desk.Conversations(o.t.Context(), staff("lee", tandem.Supervisor), desk.List{Status: status, Limit: 100})
		if err != nil {
			o.t.Fatal(err)
		}
		for _, c := range list {
			if c.Address == addr(name) && c.Rev > newest.Rev {
				newest = c.Conversation
			}
		}
	}
	return newest
}

func TestWatch_takesAwayWhatIsSomebodyElses(t *testing.T) {
	o := open(t, setup{})
	id := o.openFor("ann")
	zoe := o.watches(operator("zoe"))
	zoe.step()
	if len(zoe.rows) != 1 || zoe.rows[id].Words.Text != "hello" || zoe.rows[id].Words.Unread != 1 || zoe.rows[id].Place != 1 {
		t.Fatalf("%+v", zoe.rows)
	}
	o.takes("maya", id)
	for len(zoe.gone) == 0 {
		zoe.step()
	}
	hidden := o.openFor("bob") // seen for a moment
	o.takes("maya", hidden)
	place := zoe.place
	zoe.b.Close()
	unseen := o.openFor("cid")
	o.takes("maya", unseen)
	zoe.place = place
	zoe.connect()
	defer zoe.b.Close()
	last := o.openFor("dan")
	for zoe.rows[last].ID == "" {
		zoe.step()
	}
	if slices.Contains(zoe.gone, unseen) {
		t.Error("told to remove what it was never shown")
	}
	if len(zoe.rows) != 1 {
		t.Errorf("%+v", zoe.rows)
	}
	foreign := operator("eve")
	foreign.Tenant = "elsewhere"
	_, err := o.desk.Watch(t.Context(), desk.Watching{Principal: participant("ann")})
	refused(t, err, tandem.Forbidden, "")
	_, err = o.desk.Watch(t.Context(), desk.Watching{Principal: operator("zoe"), IDs: make([]string, 51)})
	refused(t, err, tandem.Invalid, "50 conversations")
}

func TestWatch_withConversations(t *testing.T) {
	o := open(t, setup{})
	id, other := o.openFor("ann"), o.openFor("bob")
	watch := func(after string, ids ...string) *desk.Board {
		t.Helper()
		b, err := o.desk.Watch(t.Context(), desk.Watching{Principal: operator("maya"), IDs: ids, After: after})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	next := func(b *desk.Board) desk.BoardBatch {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		out, err := b.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	b := watch("", id, "conv_none")
	if first := next(b); len(first.Snapshot) != 2 {
		t.Fatalf("%+v", first)
	}
	if part := next(b); part.Watched != id || part.Part == nil || part.Part.Initial == nil {
		t.Fatalf("%+v", part)
	}
	if row := next(b); row.Part == nil || row.Part.Row == nil {
		t.Fatalf("%+v", row)
	}
	if failed := next(b); failed.Watched != "conv_none" || tandem.KindOf(failed.Failed) != tandem.NotFound {
		t.Fatalf("%+v", failed)
	}
	o.says("ann", "more")
	if part := next(b); part.Part == nil || len(part.Part.Frames) != 1 {
		t.Fatalf("%+v", part)
	}
	place := b.Place()
	b.Close()
	o.says("ann", "missed")
	b = watch(place, id, "conv_none")
	if part := next(b); part.Part == nil || len(part.Part.Frames) != 1 || part.Part.Initial != nil {
		t.Fatalf("the one that was missed: %+v", part)
	}
	b.Close()
	b = watch(place, other) // another list
	defer b.Close()
	if part := next(b); part.Watched != other || part.Part == nil || part.Part.Initial == nil {
		t.Fatalf("%+v", part)
	}
}
