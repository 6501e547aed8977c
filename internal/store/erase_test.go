package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// erasing is an append that erases the thread.
func erasing(a tandem.Address) Append {
	id := tandem.NewID("evt_", time.Now())
	return Append{Threads: []tandem.Address{a}, Decide: func(_ time.Time, on []State) ([]Write, error) {
		w := Write{Thread: on[0].Thread, Erase: &Erase{}, Events: []tandem.Event{{Kind: tandem.KindErased, ID: id, Body: []byte(`{"by":"owner"}`)}}}
		w.Thread.Control.Epoch++
		return []Write{w}, nil
	}}
}

// secret is part of everything that somebody said or chose in these tests.
const secret = "ZEBRA"

// confide appends all that can hang on a thread, each with the secret in it.
func confide(t *testing.T, s *Store, a tandem.Address, n int) {
	t.Helper()
	for i := range n {
		text := strings.Repeat(fmt.Sprint(secret, " ", i, " "), 1+i*i*10)
		first := change(a, "conv_"+a.Participant, func(w *Write, c *tandem.Conversation) {
			c.Name, c.MobileNo, c.Reason, c.CallID, c.Holder, c.AdminID = text, secret, text, "call_"+secret, secret, secret
			w.Events[0].Body = []byte(`{"text":"` + text + `"}`)
			w.Events[0].Meta = tandem.Meta{Principal: a.Participant, InReplyTo: secret, ClientTime: secret, Traceparent: secret}
			w.Events = append(w.Events, tandem.Event{Kind: tandem.KindAnswerStarted, ID: tandem.NewID("evt_", noon), Body: []byte(`{}`)})
			w.Turn = &Turn{Question: w.Thread.Head + 1, Answer: secret, RequestID: secret, Scope: secret, User: []byte(`"` + text + `"`)}
			w.Started = w.Turn
			w.Checkpoint = &Checkpoint{Text: text}
			w.Dues = []Due{{Conversation: c.ID, Kind: DueIdle, At: noon}}
			w.Acks = []Ack{{Reader: secret, Read: 1}}
			w.Thread.Control.Holder, w.Thread.Control.Reserved = secret, secret
		})
		first.Key, first.KeySum = fmt.Sprint(secret, i), tandem.Hash{1}
		mustAppend(t, s, first)
	}
}

// everything is the content of all tables of the database, as text.
func everything(t *testing.T, s *Store) string {
	t.Helper()
	var all strings.Builder
	tables, err := s.readers.QueryContext(t.Context(), `select name from sqlite_master where type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	for tables.Next() {
		var name string
		if err := tables.Scan(&name); err != nil {
			t.Fatal(err)
		}
		rows, err := s.readers.QueryContext(t.Context(), `select * from "`+name+`"`)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			row := make([][]byte, len(columns))
			into := make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			for i, v := range row {
				fmt.Fprintf(&all, "%s.%s: %s\n", name, columns[i], v)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// Erasure leaves no word, neither in a table nor in the files. Broken by leaving
// out any of the deletes, a column of the update, a page, or the tombstone; by opening
// without secure_delete (free pages), and by leaving the journal as it is.
func TestErase_leavesNoWord(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ann, bob := address(t, "ann"), address(t, "bob")
	confide(t, s, ann, 12)
	many := make([]string, 600) // more than are erased at a time
	for i := range many {
		many[i] = fmt.Sprintf(`"%s %d"`, secret, i)
	}
	mustAppend(t, s, sayAll(ann, nil, many...))
	mustAppend(t, s, change(bob, "conv_bob", func(w *Write, _ *tandem.Conversation) {
		w.Dues, w.Acks = []Due{{Conversation: "conv_bob", Kind: DueIdle, At: noon}}, []Ack{{Reader: "op", Read: 1}}
	}))
	before := everything(t, s)
	for _, column := range []string{"event.body", "event.client_key", "turn.asker", "checkpoint.chunk", "conversation.body", "conversation.call_id", "ack.reader", "thread.holder"} {
		if !strings.Contains(before, column+": ") || !strings.Contains(before, secret) {
			t.Fatalf("the search does not see %s", column)
		}
	}
	if err := s.Verify(t.Context(), ann); err != nil {
		t.Fatalf("before: %v", err)
	}
	mustAppend(t, s, erasing(ann))
	for line := range strings.Lines(everything(t, s)) {
		if strings.Contains(line, secret) {
			t.Errorf("still there: %.200s", line)
		}
	}
	files := func() {
		t.Helper()
		list, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(b, []byte(secret)); n > 0 {
				t.Errorf("%d times in %s", n, filepath.Base(f))
			}
		}
	}
	files()
	if err := s.Verify(t.Context(), ann); err != nil {
		t.Errorf("after: %v", err)
	}
	dues, err := s.Dues(t.Context())
	if err != nil || len(dues) != 1 || dues[0].Address != bob {
		t.Errorf("what is due: %v (%v)", dues, err)
	}
	if acks, err := s.Acks(t.Context(), bob); err != nil || len(acks) != 1 {
		t.Errorf("another thread's positions: %v (%v)", acks, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files()
}

// Broken by a Read that takes old cursors for a gap, and by any reader that does
// not ask for the codec.
func TestErase_makesWhatWasUnknown(t *testing.T) {
	c := &stopped{noon}
	s := open(t, Options{Clock: c.clock})
	a := address(t, "ann")
	confide(t, s, a, 3)
	old := read(t, s, a, a.Start()).Events
	was, err := s.Thread(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	res := mustAppend(t, s, erasing(a))
	now := res.Threads[0]
	if now.Erased != 6 || now.Trim != 6 || now.Head != 7 || now.Control.Holder+now.Control.Conversation+now.Control.Reserved != "" || res.Active[0] != nil {
		t.Errorf("the thread: %+v", now)
	}
	if stored, err := s.Thread(t.Context(), a); err != nil || stored != now {
		t.Errorf("stored %+v (%v), told %+v", stored, err, now)
	}
	for _, e := range old[:5] {
		if p := read(t, s, a, e.Cursor()); !p.Reset || p.Gap != nil || len(p.Events) != 1 || p.Events[0].Kind != tandem.KindErased {
			t.Errorf("after %d: reset %v, gap %v, %d events", e.Seq, p.Reset, p.Gap, len(p.Events))
		}
	}
	if p := read(t, s, a, a.Start()); !p.Reset {
		t.Error("the start of what was erased was believed")
	}
	if p := read(t, s, a, was.HeadCursor()); p.Reset || p.Gap != nil || len(p.Events) != 1 {
		t.Error("who had seen everything was not told of the erasure alone")
	}
	if _, err := s.Find(t.Context(), a, old[0].ID); tandem.KindOf(err) != tandem.NotFound {
		t.Errorf("found by id: %v", err)
	}
	if _, err := s.Event(t.Context(), a, 1); tandem.KindOf(err) != tandem.NotFound {
		t.Errorf("found by number: %v", err)
	}
	if list, err := s.Before(t.Context(), a, 100, 100); err != nil || len(list) != 1 {
		t.Errorf("%d events before 100 (%v)", len(list), err)
	}
	if e, err := s.AnswerAt(t.Context(), was, 6); err != nil || e != nil {
		t.Errorf("an answer under way: %v (%v)", e, err)
	}
	if turns, err := s.Turns(t.Context()); err != nil || len(turns) != 0 {
		t.Errorf("%d turns (%v)", len(turns), err)
	}
	for i := range 3 {
		c.now = noon.Add(time.Duration(i+1) * time.Hour)
		mustAppend(t, s, say(a, "", `{}`))
	}
	if _, err := s.Trim(t.Context(), noon.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if p := read(t, s, a, old[3].Cursor()); !p.Reset || p.Gap != nil {
		t.Errorf("an erased place, trimmed later: reset %v, gap %v", p.Reset, p.Gap)
	}
	if p := read(t, s, a, now.HeadCursor()); p.Reset || p.Gap == nil || *p.Gap != (tandem.Gap{From: 8, To: 8}) {
		t.Errorf("a place after the erasure, trimmed later: reset %v, gap %v", p.Reset, p.Gap)
	}
	if err := s.Verify(t.Context(), a); err != nil {
		t.Error(err)
	}
}

// Broken by keeping the conversation in a list, by a tombstone without a revision
// of its own, and by removing the row at once (nobody is told).
func TestErase_leavesATombstoneOnTheBoard(t *testing.T) {
	told := []Committed{}
	s := open(t, Options{Committed: func(c []Committed) { told = append(told, c...) }})
	a := address(t, "ann")
	for i, id := range []string{"conv_1", "conv_2"} {
		mustAppend(t, s, change(a, id, func(w *Write, c *tandem.Conversation) {
			c.CallID, c.AdminID, c.Name = "call_1", "op", "Ann"
			if i == 0 {
				c.Status, c.EndedAt, c.LastSeq = tandem.StatusEnded, noon, w.Thread.Head+1
			}
		}))
	}
	at, err := s.BoardHead(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, erasing(a))
	if last := told[len(told)-1]; !last.Erased || last.Thread.Erased != 2 || told[0].Erased {
		t.Errorf("told %+v", last)
	}
	p, err := s.Board(t.Context(), "default", at, 10)
	if err != nil || len(p.Conversations) != 2 || p.Head.Rev != at.Rev+2 {
		t.Fatalf("the board tells of %d at %v (%v)", len(p.Conversations), p.Head, err)
	}
	for i, c := range p.Conversations {
		if c.ID != fmt.Sprint("conv_", i+1) || c.Address != a || c.Status != tandem.StatusErased || c.AdminID+c.CallID+c.Name != "" || c.EndedAt.IsZero() {
			t.Errorf("tombstone %+v", c)
		}
		if _, err := s.Conversation(t.Context(), "default", c.ID); tandem.KindOf(err) != tandem.NotFound {
			t.Errorf("%s: %v", c.ID, err)
		}
		if _, err := s.Snapshot(t.Context(), "default", c.ID); tandem.KindOf(err) != tandem.NotFound {
			t.Errorf("snapshot of %s: %v", c.ID, err)
		}
	}
	if _, err := s.Call(t.Context(), "default", "call_1"); tandem.KindOf(err) != tandem.NotFound {
		t.Errorf("the call: %v", err)
	}
	for name, f := range map[string]ConversationFilter{"all": {}, "erased": {Status: tandem.StatusErased}} {
		f.Tenant = "default"
		if list, err := s.Conversations(t.Context(), f); err != nil || len(list) != 0 {
			t.Errorf("%s: %d listed (%v)", name, len(list), err)
		}
	}
	if list, _, err := s.BoardSnapshot(t.Context(), ConversationFilter{Tenant: "default"}); err != nil || len(list) != 0 {
		t.Errorf("%d in the snapshot (%v)", len(list), err)
	}
}

// What is before and after an erasure in the same transaction. Broken by erasing
// only what is in the database, by erasing what comes after, and by keeping the
// keys in the batch's memory.
func TestErase_inTheMiddleOfABatch(t *testing.T) {
	s := open(t, Options{})
	a := address(t, "ann")
	mustAppend(t, s, change(a, "conv_0", nothing))
	seen := make([]string, 2)
	look := func(i int, id string) Append {
		look := change(address(t, "bob"), id, nothing)
		look.Decide = func(_ time.Time, on []State) ([]Write, error) {
			if seen[i] = "none"; on[0].Named != nil {
				seen[i] = string(on[0].Named.Status)
			}
			return []Write{{Thread: on[0].Thread}}, nil
		}
		return look
	}
	writes := 0
	s.writer.fault = func(stage string, _ *batch) error {
		if stage == "write" {
			writes++
		}
		return nil
	}
	_, errs := together(t, s, []Append{
		say(a, "c:1", `"`+secret+`"`), change(a, "conv_1", func(_ *Write, c *tandem.Conversation) { c.Name = secret }),
		erasing(a), look(0, "conv_0"), look(1, "conv_1"), say(a, "c:2", `"after"`), change(a, "conv_2", nothing),
	})
	if err := errors.Join(errs...); err != nil || writes != 1 {
		t.Fatalf("%v, in %d transactions", err, writes)
	}
	if seen[0] != "ERASED" || seen[1] != "ERASED" {
		t.Errorf("the rest of the batch saw %v", seen)
	}
	if all := everything(t, s); strings.Contains(all, secret) || !strings.Contains(all, "after") {
		t.Error("erased too little or too much")
	}
	if p := read(t, s, a, a.Start()); len(p.Events) != 3 || p.Events[0].Seq != 4 {
		t.Errorf("%d events are left", len(p.Events))
	}
	if c, err := s.Conversation(t.Context(), "default", "conv_2"); err != nil || c.Status != tandem.StatusActive {
		t.Errorf("the conversation that followed: %v %v", c.Status, err)
	}
	if res := mustAppend(t, s, say(a, "c:1", `other`)); res.Repeat {
		t.Error("a key that was erased is remembered")
	}
	if res := mustAppend(t, s, say(a, "c:2", `"after"`)); !res.Repeat {
		t.Error("a key used after the erasure is not")
	}
	if err := s.Verify(t.Context(), a); err != nil {
		t.Error(err)
	}
	wrong := erasing(a)
	decide := wrong.Decide
	wrong.Decide = func(now time.Time, on []State) ([]Write, error) {
		w, err := decide(now, on)
		w[0].Conversation = &tandem.Conversation{ID: "conv_3", Status: tandem.StatusActive}
		return w, err
	}
	if _, err := s.Append(t.Context(), wrong); err == nil {
		t.Error("erased, and went on with a conversation")
	}
}

// Broken by leaving any comparison out of follows or of Verify's end.
func TestVerify_seesWhatWasTamperedWith(t *testing.T) {
	s := open(t, Options{})
	for name, query := range map[string]string{
		"a body":             `update event set body = '{"n":9}' where thread = ?1 and seq = 5`,
		"an erased hash":     `update event set body = zeroblob(32) where thread = ?1 and seq = 2`,
		"no hash":            `update event set body = 'x' where thread = ?1 and seq = 2`,
		"a time":             `update event set at = at + 1 where thread = ?1 and seq = 5`,
		"an audience":        `update event set audience = 1 where thread = ?1 and seq = 5`,
		"a missing event":    `delete from event where thread = ?1 and seq = 5`,
		"a missing last one": `delete from event where thread = ?1 and seq = 6`,
		"two exchanged":      `update event set seq = -seq where thread = ?1 and seq > 4; update event set seq = 11 + seq where thread = ?1 and seq < 0`,
		"the thread's head":  `update thread set head_hash = zeroblob(32) where id = ?1`,
		"the horizon":        `update thread set trim_hash = zeroblob(32) where id = ?1`,
	} {
		a := address(t, name)
		for i := range 3 {
			mustAppend(t, s, say(a, "", fmt.Sprintf(`{"n":%d}`, i)))
		}
		mustAppend(t, s, erasing(a))
		mustAppend(t, s, say(a, "", `{"n":4}`))
		thread := mustAppend(t, s, say(a, "", `{"n":5}`)).Threads[0].ID
		if err := s.Verify(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		err := s.update(t.Context(), func(ctx context.Context, q querier) error {
			_, err := q.ExecContext(ctx, query, thread)
			return err
		})
		if err != nil {
			t.Fatal(name, err)
		}
		if err := s.Verify(t.Context(), a); err == nil {
			t.Errorf("%s: not seen", name)
		}
	}
}

// Tombstones, the board's history and the hashes of erased bodies are kept for the
// retention time and no longer. Broken by removing them with the thread's events,
// or never, or by telling a reader whose place is gone that nothing changed.
func TestTrim_keepsTracesForTheRetentionTime(t *testing.T) {
	c := &stopped{noon}
	s := open(t, Options{Clock: c.clock})
	ann, bob := address(t, "ann"), address(t, "bob")
	count := func(query string) (n int) {
		t.Helper()
		if err := s.readers.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	trim := func(before time.Time) {
		t.Helper()
		if _, err := s.Trim(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		for _, a := range []tandem.Address{ann, bob} {
			if err := s.Verify(t.Context(), a); err != nil {
				t.Errorf("trimmed to %v: %v", before, err)
			}
		}
	}
	start, _ := s.BoardHead(t.Context(), "default")
	confide(t, s, ann, 1)
	mustAppend(t, s, change(bob, "conv_bob", func(w *Write, c *tandem.Conversation) {
		c.Status, c.EndedAt, c.LastSeq = tandem.StatusEnded, noon, w.Thread.Head+1
		w.Dues, w.Acks = []Due{{Conversation: c.ID, Kind: DueIdle, At: noon}}, []Ack{{Reader: "op", Read: 1}}
	}))
	second, _ := s.BoardHead(t.Context(), "default")
	c.now = noon.Add(time.Hour)
	mustAppend(t, s, erasing(ann))
	last, _ := s.BoardHead(t.Context(), "default")
	known := func(want ...bool) {
		t.Helper()
		for i, at := range []tandem.BoardCursor{start, second, last} {
			p, err := s.Board(t.Context(), "default", at, 10)
			if err != nil || p.Known != want[i] {
				t.Errorf("place %d of the board is known: %v (%v), want %v", i, p.Known, err, want[i])
			}
		}
	}
	trim(noon)
	known(true, true, true)
	const tombstones, hashes = `select count(*) from conversation where status = 'ERASED'`, `select count(*) from event where codec = 1`
	trim(noon.Add(time.Minute))
	known(false, true, true)
	if count(tombstones) != 1 || count(hashes) != 0 || count(`select count(*) from board`) != 2 {
		t.Errorf("%d tombstones, %d hashes, %d changes", count(tombstones), count(hashes), count(`select count(*) from board`))
	}
	if n := count(`select count(*) from due`); n != 0 {
		t.Errorf("%d things are due of what is gone", n)
	}
	if acks, err := s.Acks(t.Context(), bob); err != nil || len(acks) != 1 {
		t.Errorf("positions: %v (%v)", acks, err)
	}
	trim(noon.Add(2 * time.Hour))
	known(false, false, true)
	if count(tombstones) != 0 || count(`select count(*) from board`) != 1 || count(`select count(*) from event`) != 0 {
		t.Error("traces are kept for ever")
	}
	mustAppend(t, s, change(ann, "conv_new", nothing))
	known(false, false, true)
	trim(noon)
}
