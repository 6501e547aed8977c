package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// together holds the writer back until all appends are queued, so that they
// share one transaction.
func together(t *testing.T, s *Store, appends []Append) ([]Result, []error) {
	t.Helper()
	hold, held := make(chan struct{}), make(chan struct{})
	go s.update(context.Background(), func(context.Context, querier) error { close(held); <-hold; return nil })
	<-held
	results, errs := make([]Result, len(appends)), make([]error, len(appends))
	var wg sync.WaitGroup
	for i, a := range appends {
		j := &job{append: &a, done: make(chan struct{})}
		wg.Go(func() { // entered in order: submit is done by this goroutine's queue send below
			<-j.done
			results[i], errs[i] = j.result, j.err
		})
		s.queue <- j
	}
	close(hold)
	wg.Wait()
	return results, errs
}

func mustAppend(t *testing.T, s *Store, a Append) Result {
	t.Helper()
	res, err := s.Append(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func readAll(t *testing.T, s *Store, a tandem.Address) []tandem.Event {
	t.Helper()
	var all []tandem.Event
	after := a.Start()
	for {
		p, err := s.Read(context.Background(), a, after, 10)
		if err != nil {
			t.Fatal(err)
		}
		if p.Gap != nil {
			after = p.From
		}
		if p.Reset {
			t.Fatalf("reset while reading %v", after)
		}
		if len(p.Events) == 0 {
			return all
		}
		all = append(all, p.Events...)
		after = all[len(all)-1].Cursor()
	}
}

// Law 2. Broken by numbering from the writer's memory without putting a row back
// on refusal (a hole), and by numbering outside the transaction (duplicates).
func TestAppend_numbersDenselyUnderManyWriters(t *testing.T) {
	s := open(t, Options{})
	const posters, each, threads = 64, 20, 8
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			a := address(t, fmt.Sprint("user-", p%threads))
			for i := range each {
				say := say(a, "", `{"n":1}`)
				if i%5 == 4 {
					say.Decide = func(time.Time, []State) ([]Write, error) { return nil, tandem.Errorf(tandem.Held, "no") }
				}
				if _, err := s.Append(context.Background(), say); err != nil && tandem.KindOf(err) != tandem.Held {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range threads {
		a := address(t, fmt.Sprint("user-", i))
		events := readAll(t, s, a)
		if want := posters / threads * each * 4 / 5; len(events) != want {
			t.Errorf("%d events of %d", len(events), want)
		}
		prev := a.Root()
		for k, e := range events {
			if e.Seq != int64(k+1) {
				t.Fatalf("event %d has seq %d", k+1, e.Seq)
			}
			if e.Hash != e.Chain(prev) {
				t.Fatalf("event %d does not chain", e.Seq)
			}
			prev = e.Hash
		}
	}
}

// Law 2. Broken by returning a refusal from batch.decide as an error: all 64 fail.
func TestAppend_oneRefusalInABatchFailsNoNeighbour(t *testing.T) {
	refuse := func(kind tandem.ErrorKind) func(time.Time, []State) ([]Write, error) {
		return func(time.Time, []State) ([]Write, error) { return nil, tandem.Errorf(kind, "refused") }
	}
	a := address(t, "ann")
	for name, bad := range map[string]struct {
		append Append
		kind   tandem.ErrorKind
	}{
		"stale":          {Append{Threads: []tandem.Address{a}, Decide: refuse(tandem.Held)}, tandem.Held},
		"too large":      {Append{Threads: []tandem.Address{a}, Decide: refuse(tandem.TooLarge)}, tandem.TooLarge},
		"key reused":     {say(a, "k", `{"other":1}`), tandem.Mismatch},
		"unknown tenant": {say(tandem.Address{Tenant: "nobody", Workflow: "w", Participant: "p"}, "", `{}`), tandem.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{})
			mustAppend(t, s, say(a, "k", `{"first":1}`))
			appends := make([]Append, 64)
			for i := range appends {
				appends[i] = say(a, fmt.Sprint("c:", i), `{}`)
			}
			appends[31] = bad.append
			_, errs := together(t, s, appends)
			for i, err := range errs {
				if i == 31 {
					if tandem.KindOf(err) != bad.kind {
						t.Errorf("the bad one: %v", err)
					}
				} else if err != nil {
					t.Errorf("neighbour %d: %v", i, err)
				}
			}
			if n := len(readAll(t, s, a)); n != 64 {
				t.Errorf("%d events are stored, want 64", n)
			}
		})
	}
}

// Law 8. Broken by leaving batch.keys out: the second of a batch fails on the index.
func TestAppend_answersARepeatWithItsFirstResult(t *testing.T) {
	s := open(t, Options{})
	a := address(t, "ann")
	first := say(a, "c:1", `{"text":"once"}`)
	results, errs := together(t, s, []Append{first, say(a, "c:1", `{"text":"once"}`), say(a, "c:1", `{"text":"twice"}`)})
	later, err := s.Append(context.Background(), say(a, "c:1", `{"text":"once"}`))
	if err := errors.Join(errs[0], errs[1], err); err != nil {
		t.Fatal(err)
	}
	if tandem.KindOf(errs[2]) != tandem.Mismatch {
		t.Errorf("another body under the same key: %v", errs[2])
	}
	want := results[0].Events[0][0]
	for _, r := range []Result{results[1], later} {
		if e := r.Events[0][0]; !r.Repeat || e.ID != want.ID || e.Cursor() != want.Cursor() {
			t.Errorf("repeat gave %v %v, want %v", r.Repeat, e.Cursor(), want.Cursor())
		}
	}
	if res := mustAppend(t, s, say(address(t, "bob"), "c:1", `{"text":"other"}`)); res.Repeat {
		t.Error("a key of one thread was recognised on another")
	}
	if n := len(readAll(t, s, a)); n != 1 {
		t.Errorf("%d events", n)
	}
}

// Law 2. Broken by failing every append of a batch that failed.
func TestAppend_triesEachAloneAfterAnUnexpectedError(t *testing.T) {
	s := open(t, Options{})
	a := address(t, "ann")
	poison := say(a, "", `poison`)
	failing := errors.New("the row is bad")
	s.writer.fault = func(stage string, b *batch) error {
		if stage == "write" && b.holds("poison") {
			return failing
		}
		return nil
	}
	_, errs := together(t, s, []Append{say(a, "", `1`), poison, say(a, "", `2`)})
	if errs[0] != nil || errs[2] != nil || !errors.Is(errs[1], failing) {
		t.Errorf("errors %v", errs)
	}
	if n := len(readAll(t, s, a)); n != 2 {
		t.Errorf("%d events", n)
	}
}

// holds reports whether an event with this body is about to be written.
func (b *batch) holds(body string) bool {
	for _, p := range b.events {
		if string(p.event.Body) == body {
			return true
		}
	}
	return false
}

// Law 2. Broken by not asking landed: everything is stored twice.
func TestAppend_looksUpWhatAnUnknownCommitDid(t *testing.T) {
	s := open(t, Options{})
	a := address(t, "ann")
	once := true
	s.writer.fault = func(stage string, b *batch) error {
		if stage == "committed" && once {
			once = false
			return errors.New("the answer was lost")
		}
		return nil
	}
	_, errs := together(t, s, []Append{say(a, "c:1", `1`), say(a, "", `2`)})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := len(readAll(t, s, a)); n != 2 {
		t.Errorf("%d events, want each once", n)
	}
}

// errIO is what SQLite says when fsync fails.
type errIO struct{}

func (errIO) Error() string { return "disk I/O error" }
func (errIO) Code() int     { return sqliteIOErr | 4<<8 }

// Law 7. Broken by leaving the fatal flag out of runAppends.
func TestAppend_stopsAfterACommitWithAnIOError(t *testing.T) {
	s := open(t, Options{})
	a := address(t, "ann")
	mustAppend(t, s, say(a, "", `1`))
	s.writer.fault = func(stage string, b *batch) error {
		if stage == "commit" {
			return errIO{}
		}
		return nil
	}
	_, err := s.Append(context.Background(), say(a, "", `2`))
	if tandem.KindOf(err) != tandem.Unavailable || s.Ready() == nil {
		t.Fatalf("append: %v, ready: %v", err, s.Ready())
	}
	<-s.Dead()
	s.writer.fault = nil
	if _, err := s.Append(context.Background(), say(a, "", `3`)); tandem.KindOf(err) != tandem.Unavailable {
		t.Errorf("append after death: %v", err)
	}
}

// Law 7: a full disk is 503 and not ready, readers go on, and it passes.
func TestAppend_refusesWhileTheDiskIsFullAndRecovers(t *testing.T) {
	s := open(t, Options{})
	a := address(t, "ann")
	mustAppend(t, s, say(a, "", `{}`))
	limit := func(pages int64) {
		err := s.update(context.Background(), func(ctx context.Context, q querier) error {
			_, err := q.ExecContext(ctx, fmt.Sprintf("pragma max_page_count = %d", pages))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite does not go below the present size
	body := `"` + fmt.Sprintf("%040000d", 7) + `"`
	var err error
	stored := 1
	for range 100 {
		if _, err = s.Append(context.Background(), say(a, "", body)); err != nil {
			break
		}
		stored++
	}
	var refused *tandem.Error
	if !errors.As(err, &refused) || refused.Kind != tandem.Unavailable || refused.RetryAfter <= 0 {
		t.Fatalf("a full disk gives %v", err)
	}
	if s.Ready() == nil {
		t.Error("still ready on a full disk")
	}
	if n := len(readAll(t, s, a)); n != stored {
		t.Errorf("%d events are readable, %d were accepted", n, stored)
	}
	limit(1 << 30)
	mustAppend(t, s, say(a, "", `{}`))
	if err := s.Ready(); err != nil {
		t.Errorf("not ready after space came back: %v", err)
	}
}

// Law 2: a poster that goes away only stops waiting.
func TestAppend_goesOnWithoutItsPoster(t *testing.T) {
	told := make(chan []Committed, 1)
	s := open(t, Options{Committed: func(c []Committed) { told <- c }})
	a := address(t, "ann")
	ctx, cancel := context.WithCancel(context.Background())
	slow := say(a, "", `{}`)
	decide := slow.Decide
	slow.Decide = func(now time.Time, on []State) ([]Write, error) { cancel(); return decide(now, on) }
	if _, err := s.Append(ctx, slow); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if c := <-told; len(c) != 1 || len(c[0].Events) != 1 {
		t.Errorf("told %v", c)
	}
}

// Law 1: nobody is told before it can be read. Broken by calling Committed
// before commit.
func TestAppend_tellsAfterCommit(t *testing.T) {
	var s *Store
	seen := make(chan int, 100)
	dir := t.TempDir()
	s = open(t, Options{Dir: dir, Committed: func(c []Committed) {
		p, err := s.Read(context.Background(), c[0].Address, c[0].Address.Start(), 100)
		if err != nil {
			t.Error(err)
		}
		seen <- len(p.Events)
	}})
	a := address(t, "ann")
	for i := range 3 {
		mustAppend(t, s, say(a, "", `{}`))
		if n := <-seen; n != i+1 {
			t.Errorf("when told of event %d, %d could be read", i+1, n)
		}
	}
}

func TestAppend_writesTwoThreadsOrNone(t *testing.T) {
	s := open(t, Options{})
	a, b := address(t, "ann"), address(t, "bob")
	two := func(err error) Append {
		return Append{Threads: []tandem.Address{a, b}, Decide: func(_ time.Time, on []State) ([]Write, error) {
			e := []tandem.Event{{Kind: tandem.KindMessage, ID: "same", Body: []byte(`{}`)}}
			return []Write{{Thread: on[0].Thread, Events: e}, {Thread: on[1].Thread, Events: append([]tandem.Event(nil), e...)}}, err
		}}
	}
	if _, err := s.Append(context.Background(), two(tandem.Errorf(tandem.Held, "no"))); err == nil {
		t.Fatal("not refused")
	}
	if n := len(readAll(t, s, a)) + len(readAll(t, s, b)); n != 0 {
		t.Fatalf("%d events of a refused append", n)
	}
	mustAppend(t, s, two(nil))
	if len(readAll(t, s, a)) != 1 || len(readAll(t, s, b)) != 1 {
		t.Error("not on both threads")
	}
}

func TestAppend_neverGoesBackInTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	s := open(t, Options{Clock: func() time.Time { return now }})
	a := address(t, "ann")
	mustAppend(t, s, say(a, "", `{}`))
	was := now
	now = now.Add(-time.Hour)
	if e := mustAppend(t, s, say(a, "", `{}`)).Events[0][0]; !e.At.Equal(was) {
		t.Errorf("at %v after %v", e.At, was)
	}
	now = was.Add(time.Second)
	if e := mustAppend(t, s, say(a, "", `{}`)).Events[0][0]; !e.At.Equal(now) {
		t.Errorf("at %v, want %v", e.At, now)
	}
}

// The writer remembers rows; what a command on the same folder writes must not
// be overlooked. Broken by leaving checkVersion out: a duplicate seq.
func TestAppend_seesWhatAnotherProcessWrote(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, Options{Dir: dir}), open(t, Options{Dir: dir})
	a := address(t, "ann")
	for i := range 6 {
		mustAppend(t, []*Store{s, other}[i%2], say(a, "", fmt.Sprint(i)))
	}
	for i, e := range readAll(t, s, a) {
		if e.Seq != int64(i+1) || string(e.Body) != fmt.Sprint(i) {
			t.Errorf("event %d is %d %s", i+1, e.Seq, e.Body)
		}
	}
}

func TestOpen_keepsTheDatabaseFromOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	mustAppend(t, open(t, Options{Dir: dir}), say(address(t, "ann"), "", `{}`))
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", f.Name(), info.Mode())
		}
	}
}

// Broken by not reading meta.min_writer.
func TestOpen_refusesWhatANewerReleaseWrote(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	err := s.update(t.Context(), func(ctx context.Context, q querier) error {
		_, err := q.ExecContext(ctx, `update meta set v = ? where k = 'min_writer'`, writerVersion+1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir}); err == nil {
		t.Error("opened")
	}
}

// Two servers on one folder would end each other's answers.
func TestOpen_refusesASecondServerOnTheFolder(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(context.Background(), Options{Dir: dir, Lock: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), Options{Dir: dir, Lock: true}); err == nil {
		t.Error("a second server opened the folder")
	}
	open(t, Options{Dir: dir}) // a command may
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Dir: dir, Lock: true})
}
