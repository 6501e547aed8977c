package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// sayAll is an append of a message for each body, under the keys of the same
// order ("" for none); their ids are made inside.
func sayAll(a tandem.Address, keys []string, bodies ...string) Append {
	all := Append{Threads: []tandem.Address{a}}
	for i, k := range keys {
		all.Keys = append(all.Keys, KeyUse{k, sha256.Sum256([]byte(bodies[i]))})
	}
	all.Decide = func(_ time.Time, on []State) ([]Write, error) {
		w := Write{Thread: on[0].Thread}
		for _, b := range bodies {
			w.Thread.Counter++
			w.Events = append(w.Events, tandem.Event{Kind: tandem.KindMessage, ID: fmt.Sprintf("msg_%04d", w.Thread.Counter), Body: []byte(b)})
		}
		return []Write{w}, nil
	}
	return all
}

// Law 8 for several messages in one. Broken by asking for the first key only, by
// answering a mix as a repeat, and by giving the keys in the order of the rows.
func TestAppend_knowsEachOfManyKeys(t *testing.T) {
	for _, shared := range []bool{false, true} {
		s := open(t, Options{})
		a := address(t, "ann")
		appends := []Append{
			sayAll(a, []string{"m:1", "", "m:3"}, `1`, `2`, `3`),
			sayAll(a, []string{"m:3", "m:1"}, `3`, `1`),
			sayAll(a, []string{"m:1", "m:4"}, `1`, `4`),
			sayAll(a, []string{"m:4", "m:3"}, `4`, `3`),
			sayAll(a, []string{"m:1", "m:3"}, `1`, `other`),
			sayAll(a, []string{"m:5", "m:5"}, `5`, `5`),
			sayAll(address(t, "bob"), []string{"m:1", "m:4"}, `1`, `4`),
			sayAll(a, []string{"m:4", "m:5"}, `4`, `5`),
		}
		var results []Result
		var errs []error
		if shared {
			writes := 0
			s.writer.fault = func(at string, b *batch) error {
				if at == "write" {
					writes++
				}
				return nil
			}
			if results, errs = together(t, s, appends); writes != 1 {
				t.Errorf("a batch with repeats was written in %d transactions", writes)
			}
		} else {
			for _, one := range appends {
				res, err := s.Append(t.Context(), one)
				results, errs = append(results, res), append(errs, err)
			}
		}
		for i, want := range []struct {
			kind   tandem.ErrorKind
			repeat bool
			seqs   []int64
		}{
			{0, false, []int64{1, 2, 3}},
			{0, true, []int64{3, 1}},
			{tandem.Conflict, false, nil},
			{tandem.Conflict, false, nil},
			{tandem.Mismatch, false, nil},
			{tandem.Invalid, false, nil},
			{0, false, []int64{1, 2}},
			{0, false, []int64{4, 5}},
		} {
			if errs[i] == nil != (want.seqs != nil) || errs[i] != nil && tandem.KindOf(errs[i]) != want.kind {
				t.Errorf("in a batch %v: append %d: %v, want kind %v", shared, i, errs[i], want.kind)
				continue
			}
			if errs[i] != nil {
				continue
			}
			var seqs []int64
			for _, e := range results[i].Events[0] {
				seqs = append(seqs, e.Seq)
			}
			if fmt.Sprint(seqs) != fmt.Sprint(want.seqs) || results[i].Repeat != want.repeat || results[i].Threads[0].ID == 0 {
				t.Errorf("in a batch %v: append %d gave %v, repeat %v, thread %d; want %v, %v", shared, i, seqs, results[i].Repeat, results[i].Threads[0].ID, want.seqs, want.repeat)
			}
		}
		if n := len(readAll(t, s, a)); n != 5 {
			t.Errorf("%d events", n)
		}
	}
}

func TestAppend_isWrongWithMoreKeysThanEventsOrTwoKindsOfKeys(t *testing.T) {
	s := open(t, Options{})
	a := address(t, "ann")
	more := sayAll(a, []string{"m:1"}, `1`)
	more.Keys = append(more.Keys, KeyUse{Key: "m:2"})
	both := sayAll(a, []string{"m:1"}, `1`)
	both.Key = "h:1"
	for name, wrong := range map[string]Append{"more": more, "both": both} {
		if _, err := s.Append(t.Context(), wrong); err == nil || tandem.KindOf(err) != tandem.KindOf(errors.New("x")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(readAll(t, s, a)); n != 0 {
		t.Errorf("%d events", n)
	}
}

// Decision 13. Ids come from the thread's counter, nobody knows whether a COMMIT
// happened, and the first append decides otherwise at its second try. Broken by
// comparing number and id: the second append's were given to the first's second
// event, so it is taken for stored and lost. Broken by not asking: all twice.
func TestAppend_findsWhatLandedByNumberAndHash(t *testing.T) {
	for stage, want := range map[string]int{"commit": 4, "committed": 3} { // before it happens, after it did
		s := open(t, Options{})
		a := address(t, "ann")
		once := true
		s.writer.fault = func(at string, b *batch) error {
			if at == stage && b != nil && once {
				once = false
				return errors.New("the answer was lost")
			}
			return nil
		}
		first, tries := sayAll(a, nil, `same`), 0
		one, two := first.Decide, sayAll(a, nil, `same`, `same`).Decide
		first.Decide = func(now time.Time, on []State) ([]Write, error) {
			if tries++; tries == 2 {
				return two(now, on)
			}
			return one(now, on)
		}
		results, errs := together(t, s, []Append{first, sayAll(a, nil, `same`), sayAll(a, nil, `same`)})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		var told []tandem.Event
		for _, r := range results {
			told = append(told, r.Events[0]...)
		}
		events := readAll(t, s, a)
		if len(events) != want || len(told) != want {
			t.Fatalf("failed at %s: %d events, %d told, want %d", stage, len(events), len(told), want)
		}
		for i, e := range events {
			if e.ID != fmt.Sprintf("msg_%04d", i+1) || told[i].ID != e.ID || told[i].Hash != e.Hash {
				t.Errorf("event %d is %s, its poster was told of %s", i+1, e.ID, told[i].ID)
			}
		}
	}
}
