package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// follow reads the board from the cursor to its end, in pages of so many, and
// returns "id@rev" for each row.
func follow(t *testing.T, s *Store, after tandem.BoardCursor, limit int) (rows []string, at tandem.BoardCursor) {
	t.Helper()
	for {
		p, err := s.Board(t.Context(), "default", after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Known {
			t.Fatalf("the cursor %v is not known", after)
		}
		if len(p.Conversations) > limit {
			t.Fatalf("a page of %d, limit %d", len(p.Conversations), limit)
		}
		for i, c := range p.Conversations {
			rows = append(rows, fmt.Sprint(c.ID, "@", c.Rev))
			if at := p.Places[i]; at.Rev != c.Rev {
				t.Fatalf("the place after %s@%d is %v", c.ID, c.Rev, at)
			}
			if after, err := s.Board(t.Context(), "default", p.Places[i], 1); err != nil || !after.Known {
				t.Fatalf("the place after %s@%d is not known: %v", c.ID, c.Rev, err)
			}
		}
		after = p.Cursor
		if !p.More {
			if p.Cursor != p.Head {
				t.Fatalf("the last page ends at %v, the board at %v", p.Cursor, p.Head)
			}
			return rows, after
		}
	}
}

// The board: each change takes one revision, a reader gets the last of each
// conversation, whatever the pages and wherever it was. Broken by paging by
// conversation instead of revision, by a cursor of the head on a page with more,
// by >= (the last one twice).
func TestBoard_tellsTheLastChangeOfEachOnce(t *testing.T) {
	s := open(t, Options{})
	start, err := s.BoardHead(t.Context(), "default")
	if err != nil || start.Rev != 0 {
		t.Fatal(start, err)
	}
	touch := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			mustAppend(t, s, change(address(t, id), id, nothing))
		}
	}
	touch("a", "b", "c", "a", "d", "b")
	mustAppend(t, s, say(address(t, "a"), "", `{}`)) // words do not touch it
	for _, limit := range []int{1, 2, 3, 100} {
		rows, at := follow(t, s, start, limit)
		if got := strings.Join(rows, " "); got != "c@3 a@4 d@5 b@6" {
			t.Errorf("by %d: %s", limit, got)
		}
		if at.Rev != 6 {
			t.Errorf("by %d: ends at %v", limit, at)
		}
		if rows, again := follow(t, s, at, limit); len(rows) != 0 || again != at {
			t.Errorf("caught up, and told %v", rows)
		}
	}
	_, at := follow(t, s, start, 1)
	touch("c", "e", "c")
	if rows, _ := follow(t, s, at, 2); strings.Join(rows, " ") != "e@8 c@9" {
		t.Errorf("after %v: %v", at, rows)
	}
	all := map[int64]bool{}
	for rev := int64(0); rev <= 9; rev++ { // from each place that ever was a head
		c := boardCursor(t, s, rev)
		rows, _ := follow(t, s, c, 3)
		for _, r := range rows {
			if _, n, _ := strings.Cut(r, "@"); n <= fmt.Sprint(rev) {
				t.Errorf("after %d comes %s", rev, r)
			}
		}
		all[c.Rev] = true
	}
	if len(all) != 10 {
		t.Errorf("%d places", len(all))
	}
}

// boardCursor is the cursor after the revision, as it was told when it was the head.
func boardCursor(t *testing.T, s *Store, rev int64) tandem.BoardCursor {
	t.Helper()
	if rev == 0 {
		return tandem.BoardCursor{Tag: tandem.BoardAddress("default").Root().Tag()}
	}
	var hash []byte
	err := s.readers.QueryRowContext(t.Context(), `select hash from board where tenant = 1 and rev = ?`, rev).Scan(&hash)
	if err != nil {
		t.Fatal(err)
	}
	return tandem.BoardCursor{Rev: rev, Tag: tagOf(hash)}
}

// Law 4 for the board. Broken by comparing revisions alone, and by taking what is
// above the head for caught up.
func TestBoard_isHonestAboutItsCursor(t *testing.T) {
	s := open(t, Options{})
	if err := s.EnsureTenant(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	foreign := tandem.Address{Tenant: "other", Workflow: "support", Participant: "ann"}
	none, _ := s.BoardHead(t.Context(), "other")
	for i := range 3 {
		mustAppend(t, s, change(address(t, "ann"), "conv_a", nothing))
		mustAppend(t, s, change(foreign, fmt.Sprint("conv_", i), nothing))
	}
	head, err := s.BoardHead(t.Context(), "default")
	if err != nil || head != boardCursor(t, s, 3) {
		t.Fatalf("head %v (%v), want %v", head, err, boardCursor(t, s, 3))
	}
	other, _ := s.BoardHead(t.Context(), "other")
	for name, c := range map[string]struct {
		after tandem.BoardCursor
		known bool
	}{
		"the head":                   {head, true},
		"the start":                  {boardCursor(t, s, 0), true},
		"in between":                 {boardCursor(t, s, 2), true},
		"none":                       {tandem.BoardCursor{}, false},
		"another tenant's head":      {other, false},
		"another tenant's start":     {none, false},
		"above the head":             {tandem.BoardCursor{Rev: 4, Tag: head.Tag}, false},
		"the head with another tag":  {tandem.BoardCursor{Rev: 3, Tag: "aaaaaaaa"}, false},
		"a place with another's tag": {tandem.BoardCursor{Rev: 2, Tag: head.Tag}, false},
	} {
		p, err := s.Board(t.Context(), "default", c.after, 10)
		if err != nil || p.Known != c.known || !c.known && len(p.Conversations) > 0 || p.Head != head {
			t.Errorf("%s: known %v, %d rows, head %v (%v)", name, p.Known, len(p.Conversations), p.Head, err)
		}
	}
	for _, c := range []tandem.BoardCursor{{}, head} {
		if _, err := s.Board(t.Context(), "nobody", c, 10); tandem.KindOf(err) != tandem.NotFound {
			t.Errorf("of no tenant: %v", err)
		}
	}
}

// Broken by reading the list and the cursor in two transactions: what comes
// between is in neither, or by leaving the status out.
func TestBoardSnapshot_goesWithItsCursor(t *testing.T) {
	s := open(t, Options{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 80 {
			id := fmt.Sprint("conv_", i)
			if _, err := s.Append(t.Context(), change(tandem.Address{Tenant: "default", Workflow: "support", Participant: id}, id, func(_ *Write, c *tandem.Conversation) {
				if i%4 == 0 {
					c.Status, c.EndedAt = tandem.StatusEnded, noon
				}
			})); err != nil {
				t.Error(err)
			}
		}
	}()
	for n := 0; n < 60; {
		list, at, err := s.BoardSnapshot(t.Context(), ConversationFilter{Tenant: "default"})
		if err != nil {
			t.Fatal(err)
		}
		n = len(list)
		if want := at.Rev - (at.Rev+3)/4; int64(n) != want {
			t.Fatalf("%d conversations at revision %d, want %d", n, at.Rev, want)
		}
	}
	<-done
	list, _, err := s.BoardSnapshot(t.Context(), ConversationFilter{Tenant: "default", Workflows: []string{"billing"}})
	if err != nil || len(list) != 0 {
		t.Errorf("%d conversations of another workflow (%v)", len(list), err)
	}
	if _, _, err := s.BoardSnapshot(t.Context(), ConversationFilter{Tenant: "nobody"}); tandem.KindOf(err) != tandem.NotFound {
		t.Errorf("of no tenant: %v", err)
	}
}

// The feed of a workflow: complete, also when threads are appended to between two
// pages. Broken by ordering by number, by > instead of >= for the time, and by
// letting marks touch a thread.
func TestTouched_pagesThroughWhatChanged(t *testing.T) {
	c := &stopped{noon}
	s := open(t, Options{Clock: c.clock})
	at := func(second int) time.Time { return noon.Add(time.Duration(second) * time.Second) }
	post := func(second int, names ...string) {
		t.Helper()
		for _, n := range names {
			c.now = at(second)
			mustAppend(t, s, say(address(t, n), "", `{}`))
		}
	}
	post(1, "a", "b", "c", "d")
	c.now = at(1)
	mustAppend(t, s, say(tandem.Address{Tenant: "default", Workflow: "billing", Participant: "z"}, "", `{}`))
	post(2, "b")
	post(3, "a")
	c.now = at(9)
	mustAppend(t, s, Append{Threads: []tandem.Address{address(t, "c")}, Decide: func(_ time.Time, on []State) ([]Write, error) {
		w := Write{Thread: on[0].Thread, Acks: []Ack{{Reader: "op", Read: 1}}}
		w.Thread.ChatMark = 1
		return []Write{w}, nil
	}})
	touched := func(since time.Time, after int64, limit int) (names []string, last Touch) {
		t.Helper()
		list, err := s.Touched(t.Context(), "default", "support", since, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			names = append(names, x.Thread.Address.Participant)
			stored, err := s.Thread(t.Context(), x.Thread.Address)
			if err != nil || stored != x.Thread {
				t.Errorf("thread %+v, stored %+v (%v)", x.Thread, stored, err)
			}
			last = x
		}
		return names, last
	}
	for since, want := range map[int]string{0: "c d b a", 1: "c d b a", 2: "b a", 3: "a", 4: ""} {
		if names, _ := touched(at(since), 0, 100); strings.Join(names, " ") != want {
			t.Errorf("since %d: %v, want %s", since, names, want)
		}
	}
	var seen []string
	names, last := touched(at(1), 0, 1)
	for i := 0; len(names) > 0; i++ {
		seen = append(seen, names...)
		if i == 1 {
			post(4, "c") // passed already: comes again, at the end
		}
		names, last = touched(last.At, last.Thread.ID, 1)
	}
	if strings.Join(seen, " ") != "c d b a c" {
		t.Errorf("page by page: %v", seen)
	}
	if list, err := s.Touched(t.Context(), "other", "support", at(0), 0, 9); err != nil || len(list) != 0 {
		t.Errorf("another tenant sees %d (%v)", len(list), err)
	}
}
