package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	tandem "github.com/seed4677ff1f/tandem"
)

// A KeyUse is a client's own key, with a hash of what it is used for.
type KeyUse struct {
	Key string
	Sum tandem.Hash
}

type threadKey struct {
	address tandem.Address
	key     string
}

// uses returns the append's keys: the k-th belongs to the k-th event.
func (a *Append) uses() ([]KeyUse, error) {
	if a.Key == "" {
		return a.Keys, nil
	}
	if len(a.Keys) > 0 {
		return nil, fmt.Errorf("an append with both Key and Keys")
	}
	return []KeyUse{{a.Key, a.KeySum}}, nil
}

// lookUpKeys finds which keys of the jobs were used before, in one statement.
func (b *batch) lookUpKeys(ctx context.Context, jobs []*job) error {
	var pairs [][]any
	address := map[int64]tandem.Address{}
	for _, j := range jobs {
		uses, err := j.append.uses()
		if err != nil {
			return err
		}
		if len(uses) == 0 {
			continue
		}
		r, err := b.load(ctx, j.append.Threads[0])
		if refused := (*tandem.Error)(nil); errors.As(err, &refused) {
			continue // decide will say so
		}
		if err != nil {
			return err
		}
		id := r.Thread.ID
		if id == 0 {
			continue
		}
		address[id] = j.append.Threads[0]
		for _, u := range uses {
			if u.Key != "" {
				pairs = append(pairs, []any{id, u.Key})
			}
		}
	}
	return b.w.bulkQuery(ctx, b.w.keys, pairs, func(rows *sql.Rows) error {
		var thread int64
		e, err := scanEvent(withThread{rows, &thread})
		if err == nil {
			b.used[threadKey{address[thread], e.Key}] = &e
		}
		return err
	})
}

// known answers an append whose keys were used before, in the database or earlier
// in this batch, and refuses one that mixes old with new.
func (b *batch) known(j *job, r *row) (bool, error) {
	uses, err := j.append.uses()
	if err != nil {
		return false, err
	}
	asked, first := 0, []tandem.Event(nil)
	twice := map[string]bool{}
	for _, u := range uses {
		if u.Key == "" {
			continue
		}
		if twice[u.Key] {
			return true, tandem.Errorf(tandem.Invalid, "two of these messages have the same key")
		}
		twice[u.Key] = true
		asked++
		e := b.used[threadKey{j.append.Threads[0], u.Key}]
		if e == nil {
			continue
		}
		if e.KeySum != u.Sum {
			return true, tandem.Errorf(tandem.Mismatch, "this key was already used for another message")
		}
		first = append(first, *e)
	}
	switch len(first) {
	case 0:
		return false, nil
	case asked:
		j.result = Result{Repeat: true, Threads: []tandem.Thread{r.Thread}, Events: [][]tandem.Event{first}, Active: []*tandem.Conversation{r.Active}}
		return true, nil
	}
	return true, tandem.Errorf(tandem.Conflict, "some of these messages were stored before")
}

// giveKeys gives the events of an append's first thread their keys, and
// remembers them for the rest of the batch.
func (b *batch) giveKeys(a *Append, events []tandem.Event) error {
	uses, err := a.uses()
	if err != nil {
		return err
	}
	for k, u := range uses {
		if u.Key == "" || len(events) == 0 {
			continue
		}
		if k >= len(events) {
			return fmt.Errorf("%d events for %d keys", len(events), len(uses))
		}
		events[k].Key, events[k].KeySum = u.Key, u.Sum
		b.used[threadKey{a.Threads[0], u.Key}] = &events[k]
	}
	return nil
}
