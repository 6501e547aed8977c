package turn

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Why a cut was not made. errMoved stays inside.
var (
	errMoved = tandem.Errorf(tandem.Conflict, "another answer is under way")
	errLate  = &tandem.Error{Kind: tandem.Unavailable, Message: "This could not be done in time. Nothing has changed.", RetryAfter: time.Second}
)

// Seize ends every turn of ap's first thread and does in the same append what ap
// decides: a takeover, a transfer, the conversation's end, an erasure. Of the
// answer under way exactly what was published is stored, as one that finished so;
// of what had no token yet, nothing is. When Seize returns without error, no word
// of those answers follows anywhere; with an error, nothing has changed, and the
// answers go on.
//
// ap.Decide is given the first thread as the answer's end leaves it: no Answer,
// and Head+1 is the seq of Decide's own first event (HeadHash and HeadAt are not
// told). It has to raise the control's epoch: that drops the questions that were
// posted too late to be seen here. It may refuse; its error is returned. It must
// not start a turn. The Result's events are Decide's own, without the answer's
// end.
//
// If ctx ends before the store has decided, the append is taken back and the
// error is of kind Unavailable; afterwards the commit is waited for, whatever ctx
// does. So whoever is told Unavailable may rely on it.
func (r *Runner) Seize(ctx context.Context, finish tandem.Finish, ap store.Append) (store.Result, error) {
	a := ap.Threads[0]
	var lost *turn
	for {
		turns := r.line(a)
		if lost != nil {
			turns = append(turns, lost)
			defer lost.cancel(errOver)
		}
		h, err := freeze(ctx, turns)
		if err != nil {
			return store.Result{}, err
		}
		h.all = true
		res, err := r.cut(ctx, h, finish, ap)
		if err != errMoved {
			return res, err
		}
		if !pause(ctx, jitter(time.Millisecond)) {
			return store.Result{}, errLate
		}
		if lost, err = r.lost(ctx, a); err != nil {
			return store.Result{}, late(ctx, err)
		}
	}
}

// line returns the thread's open turns, in the order of their questions.
func (r *Runner) line(a tandem.Address) []*turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lines[a]
	if l == nil {
		return nil
	}
	return slices.Clone(l.turns)
}

// lost returns the turn of an answer that is under way as far as the log tells,
// and that nobody on this node works on; nil if there is none. Its text is that of
// its checkpoints.
func (r *Runner) lost(ctx context.Context, a tandem.Address) (*turn, error) {
	thread, err := r.store.Thread(ctx, a)
	if err != nil || thread.Answer == 0 {
		return nil, err
	}
	rows, err := r.store.Turns(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(rows, func(row store.Turn) bool { return row.Address == a && row.Started == thread.Answer })
	if i < 0 || slices.ContainsFunc(r.line(a), func(t *turn) bool { return t.row.Question == rows[i].Question }) {
		return nil, nil // ended meanwhile, or begun
	}
	return r.restore(ctx, rows[i])
}

// late is err, or errLate if that is why.
func late(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errLate
	}
	return err
}

// The ways of an offer.
const (
	offered   int32 = iota
	decided         // the store has begun to decide: its outcome counts
	takenBack       // it will be refused
)

// offer submits ap. When ctx ends before ap was decided it is taken back, at once,
// even if the store is stuck, and the error is errLate. Later the outcome is
// waited for.
func offer(ctx context.Context, put func(context.Context, store.Append) (store.Result, error), ap store.Append) (store.Result, error) {
	var stage atomic.Int32
	decide := ap.Decide
	ap.Decide = func(now time.Time, on []store.State) ([]store.Write, error) {
		if ctx.Err() != nil {
			stage.CompareAndSwap(offered, takenBack)
		}
		stage.CompareAndSwap(offered, decided)
		if stage.Load() == takenBack {
			return nil, errLate
		}
		return decide(now, on)
	}
	wait, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	defer context.AfterFunc(ctx, func() {
		if stage.CompareAndSwap(offered, takenBack) {
			leave()
		}
	})()
	res, err := put(wait, ap)
	if wait.Err() != nil {
		return store.Result{}, errLate
	}
	return res, err
}
