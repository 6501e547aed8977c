package desk

import (
	"context"
	"slices"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
)

// Feeding says who wants to follow all threads of a workflow, from where.
type Feeding struct {
	Principal tandem.Principal
	Workflow  string
	After     string        // the place to go on from, as Feed.Place gave it; empty: only what comes from now on
	Heartbeat time.Duration // also how soon a lost ring is noticed
	Hangup    func()        // see Follow
}

// Feed is a back end's way along all threads of a workflow: what participants
// say, what people tell the agent, handoffs, and every change of control. Each
// thread is told in its order, completely, and each event at least once.
//
// Its place is a time: everything that was committed before it was told, but for
// what was on its way then. So who comes back is told again what is younger than
// the place less [feedOverlap], and nothing older. The place moves when all threads
// that were touched since have been looked at. Between two such looks notices tell
// which threads have something new. Next may be called by one goroutine at a time.
type Feed struct {
	desk    *Desk
	watch   *hub.Watcher
	address tandem.Address // what it watches
	view    tandem.View

	place time.Time // zero: all that is kept is to be told
	reset bool      // to be told first

	marks map[tandem.Address]mark // of the threads that were touched lately
	todo  []tandem.Address        // to be read now
	front *mark                   // how far the first of them was; nil: it was not begun
	scan  *scan                   // the look under way; nil: none

	noticed   uint64
	stirred   bool // something was heard of since the last look
	beating   bool // a heartbeat is to be told when the look has been finished
	timer     *time.Timer
	beat      time.Time
	heartbeat time.Duration
}

// mark is how far a thread was told.
type mark struct {
	cursor tandem.Cursor
	at     time.Time // of the event before
}

// scan is a look at all threads that were touched lately.
type scan struct {
	began time.Time // by the clock of the store
	since time.Time // the place in the order of their touches
	after int64
	done  bool // no thread is left
}

// feedOverlap is how long an append may be on its way from being dated to being
// seen, and how far the clocks of two nodes may be apart.
const feedOverlap = 20 * time.Second

// maxMarks bounds what a feed remembers. Beyond it threads are told again from the
// place less the overlap.
const maxMarks = 1 << 16

// FeedBatch is what Feed.Next yields.
type FeedBatch struct {
	Frames    [][]byte  // to write, in order; shared, not to be changed
	Newest    time.Time // when the newest event among them was committed
	Reset     bool      // the place given is not of this feed: all that is kept follows
	Passed    bool      // the place has moved
	Heartbeat bool      // and it is time for a heartbeat
	Ended     string    // why the stream has to end
}

// Feed begins to follow. The watching stands when it returns, so whatever is
// committed from now on will be told. Back ends and owners may. Errors: Forbidden,
// Invalid; TooMany for one stream too many. The caller must Close the feed.
func (d *Desk) Feed(ctx context.Context, req Feeding) (*Feed, error) {
	p := req.Principal
	if p.Role != tandem.Agent && p.Role != tandem.Owner || p.Session != "" || !p.Serves(req.Workflow) {
		return nil, errForbidden()
	}
	if _, err := tandem.NewAddress(p.Tenant, req.Workflow, "x"); err != nil {
		return nil, err
	}
	f := &Feed{
		desk: d, address: tandem.FeedAddress(p.Tenant, req.Workflow), view: tandem.View{Face: tandem.FaceFeed, Audience: tandem.Agents},
		marks: map[tandem.Address]mark{}, heartbeat: req.Heartbeat,
	}
	w, err := d.hub.Watch(f.address, p, hub.WatchOptions{Face: tandem.FaceFeed, Max: d.limits.Streams, Hangup: req.Hangup})
	if err != nil {
		return nil, err
	}
	f.watch, f.noticed = w, w.LastNotice()
	now := d.clock()
	f.timer, f.beat = time.NewTimer(time.Hour), now.Add(req.Heartbeat)
	if req.After == "" {
		f.place = now.UTC().Truncate(time.Microsecond)
		if err := f.skip(ctx); err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
	at, ok := f.parse(req.After)
	f.place, f.reset = at, !ok
	f.look(now)
	return f, nil
}

// Subscribers is how many streams follow the feed.
func (f *Feed) Subscribers() int { return f.desk.hub.Subscribers(f.address) }

// Wake makes Next look around at once.
func (f *Feed) Wake() { f.watch.Wake() }

// Close ends the following.
func (f *Feed) Close() {
	f.timer.Stop()
	f.watch.Close()
}

// floor is the time from which on a thread that is not remembered is told.
func (f *Feed) floor() time.Time {
	if f.place.IsZero() {
		return f.place
	}
	return f.place.Add(-feedOverlap)
}

// skip marks what there is as told, for who begins now.
func (f *Feed) skip(ctx context.Context) error {
	since, after := f.floor(), int64(0)
	for {
		list, err := f.desk.store.Touched(ctx, f.address.Tenant, f.address.Workflow, since, after, pageLen)
		if err != nil {
			return err
		}
		for i := range list {
			t := &list[i].Thread
			f.note(t.Address, mark{t.HeadCursor(), t.HeadAt})
			since, after = list[i].At, t.ID
		}
		if len(list) < pageLen {
			return nil
		}
	}
}

// note remembers how far a thread was told.
func (f *Feed) note(a tandem.Address, m mark) {
	if _, known := f.marks[a]; !known && len(f.marks) >= maxMarks {
		return
	}
	f.marks[a] = m
}

// look begins to look at all threads that were touched since the place.
func (f *Feed) look(now time.Time) {
	if f.scan == nil {
		f.scan = &scan{began: now.UTC().Truncate(time.Microsecond), since: f.floor()}
	}
}

// looked ends the look: everything before it began was told.
func (f *Feed) looked(out *FeedBatch) {
	if f.scan.began.After(f.place) {
		f.place = f.scan.began
	}
	f.scan = nil
	for a, m := range f.marks {
		if m.at.Before(f.floor()) {
			delete(f.marks, a)
		}
	}
	out.Passed, out.Heartbeat = true, f.beating
	f.beating, f.stirred = false, false
}

// Next waits for the next batch. It returns ctx's error when ctx ends.
func (f *Feed) Next(ctx context.Context) (out FeedBatch, err error) {
	for {
		done, err := f.take(ctx, &out)
		if done || err != nil {
			return out, err
		}
		f.timer.Reset(f.due().Sub(f.desk.clock()))
		select {
		case <-ctx.Done():
			return out, ctx.Err()
		case <-f.watch.Bell():
		case <-f.timer.C:
		}
	}
}

// take puts what there is into out; done is false if there is nothing.
//
//go:noinline
func (f *Feed) take(ctx context.Context, out *FeedBatch) (done bool, err error) {
	for {
		if f.first(out) {
			return true, nil
		}
		for len(f.todo) > 0 {
			if err := f.read(ctx, out); err != nil {
				return false, err
			}
			if len(out.Frames) >= pageLen {
				return true, nil
			}
		}
		switch {
		case len(out.Frames) > 0: // before the place moves past them
			return true, nil
		case f.scan == nil && !f.heard():
			return false, nil
		case f.scan == nil:
		case f.scan.done:
			f.looked(out)
			return true, nil
		default:
			if err := f.advance(ctx); err != nil {
				return false, err
			}
		}
	}
}

// first is what has to be told before anything else.
func (f *Feed) first(out *FeedBatch) bool {
	if len(out.Frames) > 0 {
		return false
	}
	now, p := f.desk.clock(), f.watch.Principal()
	switch why := f.watch.Ended(); {
	case why != "":
		out.Ended = why
	case !p.Expires.IsZero() && !now.Before(p.Expires.Add(Leeway)):
		out.Ended = EndExpired
	case f.reset:
		f.reset, out.Reset = false, true
	case f.heartbeat > 0 && !now.Before(f.beat):
		for !f.beat.After(now) {
			f.beat = f.beat.Add(f.heartbeat)
		}
		if !f.quiet() {
			f.beating = true
			f.look(now)
			return false
		}
		f.place, out.Passed, out.Heartbeat = now.UTC().Truncate(time.Microsecond), true, true
	default:
		return false
	}
	return true
}

// due is when Next has to wake by itself.
func (f *Feed) due() time.Time {
	at := f.desk.clock().Add(time.Hour)
	if f.heartbeat > 0 && f.beat.Before(at) {
		at = f.beat
	}
	if p := f.watch.Principal(); !p.Expires.IsZero() && p.Expires.Add(Leeway).Before(at) {
		at = p.Expires.Add(Leeway)
	}
	return at
}

// heard takes the notices of threads that have something new, and reports whether
// there is something to do. If some were lost, all threads are looked at.
func (f *Feed) heard() bool {
	list, next := f.watch.Notices(f.noticed)
	if next == f.noticed {
		return false
	}
	if uint64(len(list)) < next-f.noticed {
		f.look(f.desk.clock())
	}
	f.noticed, f.stirred = next, true
	for _, n := range list {
		if n.Kind == tandem.NoticeFed && !slices.Contains(f.todo, n.Thread) {
			f.todo = append(f.todo, n.Thread)
		}
	}
	return true
}

// advance takes the next threads of the look.
func (f *Feed) advance(ctx context.Context) error {
	list, err := f.desk.store.Touched(ctx, f.address.Tenant, f.address.Workflow, f.scan.since, f.scan.after, pageLen)
	if err != nil {
		return err
	}
	for i := range list {
		t := &list[i].Thread
		f.scan.since, f.scan.after = list[i].At, t.ID
		if m, known := f.marks[t.Address]; !known || m.cursor.Seq != t.Head {
			f.todo = append(f.todo, t.Address)
		}
	}
	f.scan.done = len(list) < pageLen
	return nil
}

// read tells the next events of the first thread to be read.
func (f *Feed) read(ctx context.Context, out *FeedBatch) error {
	a := f.todo[0]
	if f.front == nil {
		m, err := f.from(ctx, a)
		if err != nil {
			return err
		}
		f.front = &m
	}
	page, err := f.desk.store.Read(ctx, a, f.front.cursor, pageLen)
	if err != nil {
		return err
	}
	f.front.cursor = page.From // another only if retention or erasure overtook the feed
	for i := range page.Events {
		e := &page.Events[i]
		if fed(e) {
			if frame := f.desk.hub.Frame(a, f.view, &hub.Entry{Event: e}, 0); frame != nil {
				out.Frames, out.Newest = append(out.Frames, frame), e.At
			}
		}
		*f.front = mark{e.Cursor(), e.At}
	}
	if !page.More {
		f.note(a, *f.front)
		f.todo, f.front = f.todo[1:], nil
	}
	return nil
}

// from is where to go on with a thread.
func (f *Feed) from(ctx context.Context, a tandem.Address) (m mark, err error) {
	if m, known := f.marks[a]; known {
		return m, nil
	}
	t, err := f.desk.store.Thread(ctx, a)
	if err == nil {
		m.cursor, err = f.desk.store.CursorAt(ctx, t, t.Trim, f.floor())
	}
	return m, err
}

// fed reports whether an event is for the agent of its workflow to know.
func fed(e *tandem.Event) bool {
	if !e.Audience.VisibleTo(tandem.Agents) {
		return false
	}
	switch e.Kind {
	case tandem.KindState:
		return true
	case tandem.KindMessage:
		m, err := e.Message()
		return err == nil && (m.Direction == tandem.Incoming || m.Type == tandem.Handoff || e.Audience == tandem.Agents)
	}
	return false
}
