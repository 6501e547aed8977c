package client

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
)

func TestQueue_isBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, put := newQueue(), 0
		full := errors.New("full")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() {
			for {
				if err := q.put(ctx, Event{Type: State, Code: strconv.Itoa(put)}); err != nil {
					ended <- err
					return
				}
				put++
			}
		}()
		synctest.Wait()
		if put != queueMost {
			t.Errorf("%d events are kept", put)
		}
		for i := range 10 {
			if e, err := q.take(t.Context()); err != nil || e.Code != strconv.Itoa(i) {
				t.Errorf("took %v, %v", e.Code, err)
			}
		}
		synctest.Wait()
		if put != queueMost+10 {
			t.Errorf("%d events were kept", put)
		}
		cancel(full)
		if err := <-ended; err != full {
			t.Error(err)
		}
	})
}

// Who takes events slowly gets larger tokens of the same text.
func TestQueue_mergesTokens(t *testing.T) {
	q, ctx := newQueue(), t.Context()
	const tokens = 1000
	for i := range tokens {
		q.put(ctx, Event{Type: Token, MessageID: "a", Text: strconv.Itoa(i % 10)})
	}
	q.put(ctx, Event{Type: Token, MessageID: "b", Text: "b"})
	q.end(errors.New("over"))
	text, n := "", 0
	for {
		e, err := q.take(ctx)
		if err != nil {
			break
		}
		n++
		text += e.Text
	}
	if len(text) != tokens+1 || text[995:] != "56789b" || n != queueMerge+1 {
		t.Errorf("%d events with %d bytes, at last %q", n, len(text), text[995:])
	}
	if _, err := q.take(ctx); err == nil {
		t.Error("the end comes only once")
	}
}

func TestQueue_wakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		got := make(chan error, 3)
		for range 3 {
			go func() { _, err := q.take(t.Context()); got <- err }()
		}
		synctest.Wait()
		over := errors.New("over")
		q.mu.Lock() // so that one signal stands for both
		q.events, q.err = append(q.events, Event{}), over
		q.mu.Unlock()
		signal(q.ready)
		a, b, c := <-got, <-got, <-got
		if count(nil, a, b, c) != 1 || count(over, a, b, c) != 2 {
			t.Error(a, b, c)
		}
	})
}

func count(want error, errs ...error) (n int) {
	for _, err := range errs {
		if err == want {
			n++
		}
	}
	return n
}
