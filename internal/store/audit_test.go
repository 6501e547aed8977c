package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
)

var boss = tandem.Principal{Tenant: "default", Subject: "boss", Role: tandem.Owner, Kind: tandem.CredentialJWT, From: "127.0.0.1"}

func audits(t *testing.T, s *Store, f AuditFilter) []Audit {
	t.Helper()
	var all []Audit
	for {
		page, next, err := s.Audits(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if next == 0 {
			return all
		}
		if len(page) != f.Limit {
			t.Fatalf("a page of %d that is not the last, limit %d", len(page), f.Limit)
		}
		f.Before = next
	}
}

// Issue 3, point 6. Broken by paging with <= (an entry twice) and by leaving a
// condition of the filter out.
func TestAudit_tellsWhoDidWhatNewestFirst(t *testing.T) {
	c := &stopped{noon}
	s := open(t, Options{Clock: c.clock})
	if err := s.EnsureTenant(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	operator := boss
	operator.Subject, operator.Role = "op", tandem.Operator
	for i, a := range []Audit{
		AuditOf(operator, "takeover", "conv_1", ""), AuditOf(boss, "user-add", "", "op"), AuditOf(operator, "end", "conv_1", ""),
		AuditOf(boss, "takeover", "conv_2", ""), AuditOf(tandem.Principal{Tenant: "other", Subject: "boss"}, "takeover", "conv_1", ""),
	} {
		c.now = noon.Add(time.Duration(i) * time.Second)
		if err := s.Audit(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	for name, q := range map[string]struct {
		f    AuditFilter
		want string
	}{
		"all":             {AuditFilter{}, "takeover conv_2, end conv_1, user-add , takeover conv_1"},
		"a conversation":  {AuditFilter{Conversation: "conv_1"}, "end conv_1, takeover conv_1"},
		"a person":        {AuditFilter{Principal: "boss"}, "takeover conv_2, user-add "},
		"an action":       {AuditFilter{Action: "takeover"}, "takeover conv_2, takeover conv_1"},
		"all of it":       {AuditFilter{Action: "takeover", Principal: "op", Conversation: "conv_1"}, "takeover conv_1"},
		"nobody's action": {AuditFilter{Action: "erase"}, ""},
	} {
		for _, limit := range []int{1, 2, 4, 100} {
			q.f.Tenant, q.f.Limit = "default", limit
			var got []string
			for _, a := range audits(t, s, q.f) {
				got = append(got, a.Action+" "+a.Conversation)
			}
			if got := strings.Join(got, ", "); got != q.want {
				t.Errorf("%s by %d: %q, want %q", name, limit, got, q.want)
			}
		}
	}
	last := audits(t, s, AuditFilter{Tenant: "default", Limit: 1})[0]
	last.ID = ""
	want := AuditOf(boss, "takeover", "conv_2", "")
	want.At = noon.Add(3 * time.Second)
	if d := cmp.Diff(want, last); d != "" {
		t.Error(d)
	}
	if err := s.Audit(t.Context(), Audit{Tenant: "nobody", Action: "login"}); tandem.KindOf(err) != tandem.NotFound {
		t.Errorf("of no tenant: %v", err)
	}
}

// Broken by dropping any of the three triggers. The statements are those that a
// program of somebody else's would send to the file.
func TestAudit_canOnlyGrow(t *testing.T) {
	c := &stopped{time.Now().AddDate(-AuditKept, 0, 1)}
	s := open(t, Options{Clock: c.clock})
	store := func() {
		t.Helper()
		if err := s.Audit(t.Context(), AuditOf(boss, "login", "", "")); err != nil {
			t.Fatal(err)
		}
	}
	exec := func(query string) error {
		return s.update(context.Background(), func(ctx context.Context, q querier) error {
			_, err := q.ExecContext(ctx, query)
			return err
		})
	}
	store()
	before := audits(t, s, AuditFilter{Tenant: "default", Limit: 10})
	for _, query := range []string{
		`update audit set action = 'logout'`,
		`update audit set at = 0`,
		`delete from audit`,
		`insert into audit select * from audit on conflict (id) do update set action = 'logout'`,
	} {
		if err := exec(query); err == nil && query[:6] != "insert" {
			t.Errorf("%s was done", query)
		}
	}
	replace := fmt.Sprintf(`insert or replace into audit (row, id, at, tenant, principal, role, credential, action, conversation, object, came_from)
		select row, '%s', 0, tenant, '', '', '', 'nothing', '', '', '' from audit`, before[0].ID)
	if err := exec(replace); err != nil {
		t.Fatal(err)
	}
	if err := exec(strings.Replace(replace, before[0].ID, "another", 1)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, audits(t, s, AuditFilter{Tenant: "default", Limit: 10})); d != "" {
		t.Error(d)
	}

	if err := s.TrimAudit(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if n := len(audits(t, s, AuditFilter{Tenant: "default", Limit: 10})); n != 1 {
		t.Errorf("%d entries are left of one that is a day younger than two years", n)
	}
	c.now = time.Now().AddDate(-AuditKept, 0, -1)
	store()
	if err := s.TrimAudit(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if left := audits(t, s, AuditFilter{Tenant: "default", Limit: 10}); cmp.Diff(before, left) != "" {
		t.Errorf("what is older than two years stayed: %v", left)
	}
}

// The entry and what it tells of are one: both or neither, once. Broken by
// writing the audit outside the append's transaction.
func TestAudit_isWrittenWithTheAppendItTellsOf(t *testing.T) {
	s := open(t, Options{})
	a := address(t, "ann")
	entry := AuditOf(boss, "takeover", "conv_1", "ann")
	entry.ID = "aud_1"
	take := func(refused error) Append {
		take := say(a, "c:1", `{}`)
		decide := take.Decide
		take.Decide = func(now time.Time, on []State) ([]Write, error) {
			w, err := decide(now, on)
			w[0].Audits = []Audit{entry}
			return w, errors.Join(err, refused)
		}
		return take
	}
	if _, err := s.Append(t.Context(), take(tandem.Errorf(tandem.Held, "no"))); err == nil {
		t.Fatal("not refused")
	}
	if n := len(audits(t, s, AuditFilter{Tenant: "default", Limit: 10})); n != 0 {
		t.Fatalf("%d entries of what was refused", n)
	}
	once := true
	s.writer.fault = func(stage string, _ *batch) error {
		if stage == "committed" && once {
			once = false
			return errors.New("the answer was lost")
		}
		return nil
	}
	mustAppend(t, s, take(nil))
	mustAppend(t, s, take(nil)) // a repeat
	list := audits(t, s, AuditFilter{Tenant: "default", Limit: 10})
	if len(list) != 1 || list[0].Action != "takeover" || list[0].At.IsZero() {
		t.Errorf("entries %+v", list)
	}
}

// Broken by leaving a column out of adopt, of the statement or of scanThread.
func TestAppend_keepsWhatADecisionSaysOfTheThread(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	a := address(t, "ann")
	want := tandem.Thread{
		Control: tandem.Control{Epoch: 3, Holder: "op", Conversation: "", Reserved: "conv_2", Taken: 1, Serves: "billing"},
		Answer:  1, ChatMark: 1, Hidden: 1, Counter: 7,
	}
	for range 2 { // a new row, then one that is there
		say := say(a, "", `{}`)
		decide := say.Decide
		say.Decide = func(now time.Time, on []State) ([]Write, error) {
			w, err := decide(now, on)
			w[0].Thread.Control, w[0].Thread.Answer, w[0].Thread.ChatMark = want.Control, want.Answer, want.ChatMark
			w[0].Thread.Hidden, w[0].Thread.Counter = want.Hidden, want.Counter
			return w, err
		}
		res := mustAppend(t, s, say)
		stored, err := open(t, Options{Dir: dir}).Thread(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(res.Threads[0], stored); d != "" {
			t.Errorf("the result and the row: %s", d)
		}
		got := tandem.Thread{Control: stored.Control, Answer: stored.Answer, ChatMark: stored.ChatMark, Hidden: stored.Hidden, Counter: stored.Counter}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		want.Control.Epoch, want.Control.Taken, want.Control.Serves, want.Hidden, want.Counter = 4, 2, "", 2, 8
	}
}
