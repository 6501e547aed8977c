package store

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

func read(t *testing.T, s *Store, a tandem.Address, after tandem.Cursor) Page {
	t.Helper()
	p, err := s.Read(context.Background(), a, after, 100)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Law 4. Broken by comparing seq only (a foreign history is taken for ours) and
// by treating an unknown cursor as the head (silently caught up).
func TestRead_isHonestAboutItsCursor(t *testing.T) {
	s := open(t, Options{})
	a, b := address(t, "ann"), address(t, "bob")
	var cursors []tandem.Cursor
	for range 5 {
		cursors = append(cursors, mustAppend(t, s, say(a, "", `{}`)).Events[0][0].Cursor())
		mustAppend(t, s, say(b, "", `{}`))
	}
	for name, c := range map[string]struct {
		after tandem.Cursor
		reset bool
		n     int
	}{
		"before the first":        {a.Start(), false, 5},
		"in the middle":           {cursors[1], false, 3},
		"at the head":             {cursors[4], false, 0},
		"another thread's start":  {b.Start(), true, 5},
		"another thread's event":  {read(t, s, b, b.Start()).Events[2].Cursor(), true, 5},
		"above the head":          {tandem.Cursor{Seq: 6, Tag: cursors[4].Tag}, true, 5},
		"right number, wrong tag": {tandem.Cursor{Seq: 3, Tag: cursors[3].Tag}, true, 5},
	} {
		p := read(t, s, a, c.after)
		if p.Reset != c.reset || p.Gap != nil || len(p.Events) != c.n {
			t.Errorf("%s: reset %v, gap %v, %d events; want %v, none, %d", name, p.Reset, p.Gap, len(p.Events), c.reset, c.n)
		}
	}
	none := address(t, "nobody")
	if p := read(t, s, none, none.Start()); p.Reset || len(p.Events) != 0 || p.Thread.ID != 0 {
		t.Errorf("a thread without a row: %+v", p)
	}
	if p := read(t, s, none, cursors[0]); !p.Reset {
		t.Error("a cursor of a log that does not exist was believed")
	}
}

// Law 4: a backup put back by any means is caught, also when as many new events
// came after it.
func TestRead_resetsAfterAnOlderCopyWasPutBack(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()
	a := address(t, "ann")
	s, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	shared := mustAppend(t, s, say(a, "", `{"n":1}`)).Events[0][0].Cursor()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(dir, Database), filepath.Join(backup, Database))
	if s, err = Open(context.Background(), Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	lost := mustAppend(t, s, say(a, "", `{"n":2}`)).Events[0][0].Cursor()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	old := open(t, Options{Dir: backup})
	if p := read(t, old, a, lost); !p.Reset {
		t.Error("a cursor of what the backup does not have was believed")
	}
	mustAppend(t, old, say(a, "", `{"n":3}`))
	if p := read(t, old, a, lost); !p.Reset {
		t.Error("a cursor of another history of the same length was believed")
	}
	if p := read(t, old, a, shared); p.Reset || len(p.Events) != 1 {
		t.Error("a cursor of what both have was not believed")
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}

// talk appends a whole conversation of n messages that ends at its last.
func talk(t *testing.T, s *Store, a tandem.Address, id string, n int, ended bool) {
	t.Helper()
	for i := range n {
		say := say(a, "", `{}`)
		decide := say.Decide
		say.Decide = func(now time.Time, on []State) ([]Write, error) {
			w, err := decide(now, on)
			c := tandem.Conversation{ID: id, Address: a, Status: tandem.StatusActive, OpenedAt: now, FirstSeq: on[0].Thread.Head + 1}
			if on[0].Active != nil {
				c = *on[0].Active
			}
			w[0].Thread.Control.Conversation = id
			if i == n-1 && ended {
				c.Status, c.EndedAt = tandem.StatusEnded, now
				w[0].Thread.Control.Conversation = ""
			}
			w[0].Conversation = &c
			return w, err
		}
		mustAppend(t, s, say)
	}
}

// Retention takes whole ended conversations, a prefix, and readers below it are
// told the range. Broken by trimming by time alone: a conversation in half.
func TestTrim_takesWholeEndedConversationsAndLeavesAnHonestGap(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := open(t, Options{Clock: func() time.Time { return now }})
	a := address(t, "ann")
	day := 24 * time.Hour
	talk(t, s, a, "first", 3, true) // 1-3
	old := read(t, s, a, a.Start()).Events[1].Cursor()
	now = now.Add(day)
	mustAppend(t, s, say(a, "", `{}`)) // 4: outside any
	now = now.Add(day)
	talk(t, s, a, "second", 2, false) // 5-6, goes on
	now = now.Add(10 * day)
	talk(t, s, a, "second", 1, true) // 7: ends late
	trim := func(before time.Time, want int) {
		t.Helper()
		if n, err := s.Trim(context.Background(), before); err != nil || n != want {
			t.Fatalf("trimmed %d (%v), want %d", n, err, want)
		}
	}
	trim(now.Add(-30*day), 0)
	trim(now.Add(-5*day), 4)
	p := read(t, s, a, old)
	if p.Gap == nil || *p.Gap != (tandem.Gap{From: 3, To: 4}) || p.Reset {
		t.Errorf("gap %v, reset %v", p.Gap, p.Reset)
	}
	if len(p.Events) != 3 || p.Events[0].Seq != 5 || p.Events[0].Hash != p.Events[0].Chain(p.Thread.TrimHash) {
		t.Errorf("what is left does not begin at 5 on the trimmed hash")
	}
	if p := read(t, s, a, a.Start()); p.Gap == nil || p.Gap.From != 1 {
		t.Errorf("from the start: %v", p.Gap)
	}
	if p := read(t, s, a, tandem.Cursor{Seq: 0, Tag: "aaaaaaaa"}); !p.Reset {
		t.Error("a foreign start below the horizon is a reset")
	}
	if p := read(t, s, a, p.From); p.Gap != nil || p.Reset || len(p.Events) != 3 {
		t.Error("the horizon itself is a good place to go on from")
	}
	if _, err := s.Conversation(context.Background(), "default", "first"); tandem.KindOf(err) != tandem.NotFound {
		t.Errorf("the trimmed conversation: %v", err)
	}
	if c, err := s.Conversation(context.Background(), "default", "second"); err != nil || c.Status != tandem.StatusEnded {
		t.Errorf("the kept conversation: %v %v", c.Status, err)
	}
	trim(now.Add(time.Hour), 3)
	e := mustAppend(t, s, say(a, "", `{}`)).Events[0][0]
	if e.Seq != 8 {
		t.Errorf("after everything was trimmed the next is %d", e.Seq)
	}
}

func TestConversations_listsUrgentFirstThenLongestWaiting(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := open(t, Options{Clock: func() time.Time { return now }})
	for _, c := range []struct {
		id      string
		urgency tandem.Urgency
		waits   time.Duration
	}{{"calm", "NORMAL", 0}, {"waits", "NORMAL", 3}, {"longer", "NORMAL", 2}, {"critical", "CRITICAL", 0}, {"urgent", "URGENT", 9}} {
		a := address(t, c.id)
		mustAppend(t, s, Append{Threads: []tandem.Address{a}, Decide: func(_ time.Time, on []State) ([]Write, error) {
			conv := &tandem.Conversation{ID: c.id, Address: a, Status: tandem.StatusActive, Urgency: c.urgency, OpenedAt: now}
			if c.waits > 0 {
				conv.WaitingSince = now.Add(c.waits)
			}
			return []Write{{Thread: on[0].Thread, Conversation: conv}}, nil
		}})
	}
	var got []string
	f := ConversationFilter{Tenant: "default", Limit: 2}
	for {
		list, err := s.Conversations(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, c := range list {
			got = append(got, c.ID)
		}
		after := Place(&list[len(list)-1])
		f.After = &after
	}
	want := []string{"critical", "urgent", "longer", "waits", "calm"}
	if len(got) != len(want) {
		t.Fatalf("listed %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("listed %v, want %v", got, want)
		}
	}
	if list, err := s.Conversations(context.Background(), ConversationFilter{Tenant: "other", Limit: 9}); err != nil || len(list) != 0 {
		t.Errorf("another tenant sees %d (%v)", len(list), err)
	}
}

// Law 10: a page is full after so many events, or with the one that brings its
// bodies to PageSize. Broken by counting events alone.
func TestRead_pagesAreBoundedInBytesToo(t *testing.T) {
	s := open(t, Options{})
	a := address(t, "ann")
	body := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	for _, n := range []int{PageSize - 1, 10, PageSize, 2 * PageSize, 10} {
		mustAppend(t, s, say(a, "", body(n)))
	}
	at := a.Start()
	for i, want := range []struct {
		n    int
		more bool
	}{{2, true}, {1, true}, {1, true}, {1, false}, {0, false}} {
		p := read(t, s, a, at)
		if len(p.Events) != want.n || p.More != want.more {
			t.Errorf("page %d: %d events, more %v; want %d, %v", i, len(p.Events), p.More, want.n, want.more)
		}
		if len(p.Events) > 0 {
			at = p.Events[len(p.Events)-1].Cursor()
		}
	}
	p, err := s.Read(t.Context(), a, a.Start(), 1)
	if err != nil || len(p.Events) != 1 || !p.More {
		t.Errorf("a page of one: %d events, more %v, %v", len(p.Events), p.More, err)
	}
}
