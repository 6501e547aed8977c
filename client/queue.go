package client

import (
	"context"
	"sync"
)

const (
	queueMost  = 4096 // events that wait for the caller; then the socket is not read on
	queueMerge = 64   // from here on, tokens of one answer are put together
)

// queue holds the events that the caller has not taken yet.
type queue struct {
	mu     sync.Mutex // guards events, err
	events []Event
	err    error // comes after the last event

	ready chan struct{} // holds one if there may be something to take
	room  chan struct{} // holds one if there may be room
}

func newQueue() *queue {
	return &queue{ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put appends e, when there is room. A caller who takes its time gets larger
// tokens, not more of them.
func (q *queue) put(ctx context.Context, e Event) error {
	for {
		q.mu.Lock()
		n := len(q.events)
		if n >= queueMerge && e.Type == Token && q.events[n-1].Type == Token && q.events[n-1].MessageID == e.MessageID {
			q.events[n-1].Text += e.Text
			q.events[n-1].Data = nil
			q.mu.Unlock()
			return nil
		}
		if n < queueMost {
			q.events = append(q.events, e)
			q.mu.Unlock()
			signal(q.ready)
			return nil
		}
		q.mu.Unlock()
		select {
		case <-q.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// end makes err what comes after the last event.
func (q *queue) end(err error) {
	q.mu.Lock()
	q.err = err
	q.mu.Unlock()
	signal(q.ready)
}

// take waits for the next event.
func (q *queue) take(ctx context.Context) (Event, error) {
	for {
		q.mu.Lock()
		if len(q.events) > 0 {
			e := q.events[0]
			q.events[0] = Event{}
			q.events = q.events[1:]
			more := len(q.events) > 0 || q.err != nil
			q.mu.Unlock()
			signal(q.room)
			if more {
				signal(q.ready)
			}
			return e, nil
		}
		err := q.err
		q.mu.Unlock()
		if err != nil {
			signal(q.ready)
			return Event{}, err
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
			return Event{}, context.Cause(ctx)
		}
	}
}
