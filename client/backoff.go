package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

const (
	firstWait = 250 * time.Millisecond // before the first repeat, if the server names no time
	mostWait  = 30 * time.Second       // between two of our own choosing
)

// backoff counts failures in a row. The zero value has seen none.
type backoff struct{ failures int }

// next is how long to wait after one more failure: never less than least, which
// is the server's wish, and then twice as long each time; up to half as long
// again at random, so that clients that lost the same server do not come back all
// at once.
func (b *backoff) next(least time.Duration) time.Duration {
	wait := min(mostWait, firstWait<<min(b.failures, 16))
	b.failures++
	wait = max(wait, least)
	return wait + rand.N(wait/2+1)
}

func (b *backoff) reset() { b.failures = 0 }

// pause waits, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// retryAfter is how long the server asked to be left alone.
func retryAfter(err error) time.Duration {
	if e := (*tandem.Error)(nil); errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}
