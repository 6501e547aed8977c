package desk

import (
	"context"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Watching says who wants to watch the tenant's board, and which conversations
// with it.
type Watching struct {
	Principal tandem.Principal
	IDs       []string // conversations whose streams are shown on the same connection
	After     string   // the place to go on from, as Board.Place gave it; empty: none
	Heartbeat time.Duration
	Hangup    func() // see Follow
}

// Board is one reader's way along a tenant's board: the same loop as a Follower's.
// Next may be called by one goroutine at a time.
type Board struct {
	desk      *Desk
	watch     *hub.Watcher
	bell      chan struct{}
	cursor    tandem.BoardCursor
	since     time.Time       // when the change at the cursor was made
	had       map[string]bool // conversations that the reader was shown on this connection
	whole     bool            // the reader was shown all that there was when it came
	fresh     bool            // the board must be read whatever the bell says
	snapshot  bool            // a snapshot is to be told first
	rings     uint64
	noticed   uint64
	parts     []*part
	turn      int // the part that is looked at first, so that none waits for the others for ever
	timer     *time.Timer
	beat      time.Time
	heartbeat time.Duration
}

// BoardBatch is what Board.Next yields: one kind of thing at a time.
type BoardBatch struct {
	Snapshot  []Seen   // of all that the reader may see; not nil, but perhaps empty
	Changes   []Change // in the order in which they were made
	Hints     []tandem.Notice
	Watched   string // id of the conversation that Part or Failed is of
	Nth       int    // its number among those watched
	Part      *Batch
	View      tandem.View // of Part
	Failed    error
	Heartbeat bool
	Ended     string
}

// Change is one change of the board.
type Change struct {
	Seen    // as it is now; of one that is gone only the id
	Removed bool
	After   tandem.BoardCursor // the board's place after it
}

// Watch begins to watch the board. Back ends and people who answer may. Errors:
// Forbidden; Invalid for too many conversations; TooMany for one stream too many.
// The caller must Close the board.
func (d *Desk) Watch(ctx context.Context, req Watching) (*Board, error) {
	p := req.Principal
	if p.Role == tandem.Participant || p.Session != "" {
		return nil, errDenied()
	}
	if n := d.limits.Watch; n > 0 && len(req.IDs) > n {
		return nil, tandem.Errorf(tandem.Invalid, "watch cannot name more than %d conversations", n)
	}
	p = d.known(ctx, p)
	b := &Board{desk: d, bell: make(chan struct{}, 1), had: map[string]bool{}, fresh: true, heartbeat: req.Heartbeat}
	w, err := d.hub.Watch(tandem.BoardAddress(p.Tenant), p, hub.WatchOptions{
		Face: tandem.FaceBoard, Max: d.limits.Streams, Hangup: req.Hangup, Bell: b.bell,
	})
	if err != nil {
		return nil, err
	}
	b.watch, b.noticed = w, w.LastNotice()
	b.timer, b.beat = time.NewTimer(time.Hour), d.clock().Add(req.Heartbeat)
	if err := b.seek(ctx, req); err != nil {
		b.Close()
		return nil, err
	}
	if err := d.comesBack(ctx, p); err != nil {
		d.log.Warn("a holder came back, and the countdown goes on", "err", err)
	}
	return b, nil
}

// seek finds where the board and each of its parts go on.
func (b *Board) seek(ctx context.Context, req Watching) error {
	places := strings.Split(req.After, "~")
	after, err := tandem.ParseBoardCursor(places[0])
	b.snapshot = true
	if err == nil {
		page, err := b.desk.store.Board(ctx, req.Principal.Tenant, after, 1)
		if err != nil {
			return err
		}
		if page.Known {
			b.cursor, b.snapshot = after, false
			if b.since, err = b.desk.store.BoardAt(ctx, req.Principal.Tenant, after); err != nil {
				return err
			}
		}
	}
	same := len(places) == len(req.IDs)+1
	for i, id := range req.IDs {
		f := Follow{
			Principal: req.Principal, Conversation: id, bell: b.bell,
			View: tandem.View{Face: tandem.FaceConversation, Audience: req.Principal.Audience()},
		}
		at := noPlace
		if same && places[i+1] != noPlace {
			if c, err := tandem.ParseCursor(places[i+1]); err == nil {
				f.After, at = &c, c.String()
			}
		}
		if err := b.join(ctx, id, at, f); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the watching.
func (b *Board) Close() {
	b.timer.Stop()
	for _, p := range b.parts {
		if p.follower != nil {
			p.follower.Close()
		}
	}
	b.watch.Close()
}

// Next waits for the next batch. It returns ctx's error when ctx ends.
func (b *Board) Next(ctx context.Context) (out BoardBatch, err error) {
	for {
		done, err := b.look(ctx, &out)
		if done || err != nil {
			return out, err
		}
		b.timer.Reset(b.due().Sub(b.desk.clock()))
		select {
		case <-ctx.Done():
			return out, ctx.Err()
		case <-b.bell:
		case <-b.timer.C:
		}
	}
}

// look puts what there is into out; done is false if there is nothing.
//
//go:noinline
func (b *Board) look(ctx context.Context, out *BoardBatch) (done bool, err error) {
	if done := b.first(out); done {
		return true, nil
	}
	if b.snapshot {
		return true, b.whoIsThere(ctx, out)
	}
	rings := b.watch.Rings()
	for b.fresh || rings != b.rings {
		more, err := b.read(ctx, out)
		if err != nil {
			return false, err
		}
		if !more {
			b.fresh, b.rings = false, rings
		}
		if len(out.Changes) > 0 || b.snapshot {
			return !b.snapshot, nil
		}
	}
	if b.hints(out) {
		return true, nil
	}
	for range b.parts {
		n := b.turn % len(b.parts)
		b.turn = n + 1
		if done, err := b.lookAt(ctx, n, out); done || err != nil {
			if out.Part != nil && out.Part.Initial != nil {
				b.turn = n // its row comes right after it
			}
			return done, err
		}
	}
	return false, nil
}

// first is what has to be told before anything else.
func (b *Board) first(out *BoardBatch) bool {
	if why := b.watch.Ended(); why != "" {
		out.Ended = why
		return true
	}
	now := b.desk.clock()
	if p := b.watch.Principal(); !p.Expires.IsZero() && !now.Before(p.Expires.Add(Leeway)) {
		out.Ended = EndExpired
		return true
	}
	if b.heartbeat <= 0 || now.Before(b.beat) {
		return false
	}
	for !b.beat.After(now) {
		b.beat = b.beat.Add(b.heartbeat)
	}
	out.Heartbeat = true
	if !b.desk.hub.Lossy() {
		return true
	}
	b.fresh = true // a lost ring costs a late read
	for _, p := range b.parts {
		if p.follower != nil {
			p.follower.doubt = true
		}
	}
	return true
}

// due is when Next has to wake by itself.
func (b *Board) due() time.Time {
	at := b.desk.clock().Add(time.Hour)
	if b.heartbeat > 0 && b.beat.Before(at) {
		at = b.beat
	}
	if p := b.watch.Principal(); !p.Expires.IsZero() && p.Expires.Add(Leeway).Before(at) {
		at = p.Expires.Add(Leeway)
	}
	return at
}

// whoIsThere makes the snapshot: all ACTIVE conversations that the reader may see.
func (b *Board) whoIsThere(ctx context.Context, out *BoardBatch) error {
	d, p := b.desk, b.watch.Principal()
	rings := b.watch.Rings()
	list, head, err := d.store.BoardSnapshot(ctx, boardFilter(p))
	if err != nil {
		return err
	}
	out.Snapshot = []Seen{}
	b.had, b.whole = map[string]bool{}, true
	for i := range list {
		if p.MaySee(&list[i]) {
			out.Snapshot = append(out.Snapshot, Seen{Conversation: list[i]})
			b.had[list[i].ID] = true
		}
	}
	if err := d.rows(ctx, out.Snapshot); err != nil {
		return err
	}
	b.cursor, b.snapshot, b.fresh, b.rings = head, false, false, rings
	return nil
}

func boardFilter(p *tandem.Principal) store.ConversationFilter {
	f := store.ConversationFilter{Tenant: p.Tenant, Workflow: p.Workflow, Workflows: p.Workflows, Status: tandem.StatusActive}
	if p.Role == tandem.Operator {
		f.Visible = p.Subject
	}
	return f
}

// read takes the next changes of the board.
func (b *Board) read(ctx context.Context, out *BoardBatch) (more bool, err error) {
	p := b.watch.Principal()
	page, err := b.desk.store.Board(ctx, p.Tenant, b.cursor, pageLen)
	if err != nil {
		return false, err
	}
	if !page.Known { // retention overtook this reader, or another database was put in its place
		b.snapshot = true
		return false, nil
	}
	var shown []Seen
	for i := range page.Conversations {
		c := &page.Conversations[i]
		ch := Change{After: page.Places[i]}
		switch {
		case c.Status != tandem.StatusErased && p.MaySee(c):
			shown = append(shown, Seen{Conversation: *c})
			b.had[c.ID] = true
		case b.mayHaveHad(p, c):
			ch.ID, ch.Removed = c.ID, true
			delete(b.had, c.ID)
		default:
			continue
		}
		out.Changes = append(out.Changes, ch)
	}
	if err := b.desk.rows(ctx, shown); err != nil {
		return false, err
	}
	for i := range out.Changes {
		if ch := &out.Changes[i]; !ch.Removed {
			ch.Seen, shown = shown[0], shown[1:]
		}
	}
	b.cursor = page.Cursor
	return page.More, nil
}

// mayHaveHad reports whether the reader may have been shown a conversation before.
// On a connection that began with a snapshot that is known; one that came back may
// have had whatever was there before its place.
func (b *Board) mayHaveHad(p *tandem.Principal, c *tandem.Conversation) bool {
	if b.had[c.ID] {
		return true
	}
	return !b.whole && p.Serves(c.Address.Workflow) && !c.OpenedAt.After(b.since)
}

// hints takes the newest last words of each conversation.
func (b *Board) hints(out *BoardBatch) bool {
	list, next := b.watch.Notices(b.noticed)
	b.noticed = next
	p := b.watch.Principal()
	at := map[string]int{}
	for _, n := range list {
		if n.Kind != tandem.NoticeHint || n.Row == nil || !p.MaySee(n.Row) {
			continue
		}
		if i, known := at[n.Conversation]; known {
			out.Hints[i] = n.Notice
			continue
		}
		at[n.Conversation] = len(out.Hints)
		out.Hints = append(out.Hints, n.Notice)
	}
	return len(out.Hints) > 0
}
