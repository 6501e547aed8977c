package desk

import (
	"context"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
)

// Follow says who wants to follow what, from where.
type Follow struct {
	Principal tandem.Principal
	Address   tandem.Address
	View      tandem.View // Audience is lowered to what the principal may see

	// Conversation, if set, is the one to follow, in place of a whole thread: the
	// stream begins with its messages and ends with it.
	Conversation string

	Filter tandem.Filter

	// After is the place to go on from. Without it and without Unknown the
	// stream starts at the head.
	After   *tandem.Cursor
	Unknown bool // a place was given that is none of ours: the stream begins with a reset

	// Replay, of a chat socket without a place: answers finished after the
	// thread's chat mark and within this time are shown again first.
	Replay time.Duration

	Heartbeat time.Duration // silence after which Next returns a heartbeat; 0: never
	Warn      time.Duration // how long before the credential's end Next says so; 0: never

	// Hangup, if set, is called when the stream has to end, by whoever ends it;
	// it must not block. It is for a writer that is stuck in a socket.
	Hangup func()

	// Note, if set, is called whenever the reader is at a place, with everything
	// up to it shown: for a frame that this connection alone is to see there, such
	// as the word that its own message was stored. It returns nil for none.
	Note func(at tandem.Cursor) []byte

	// Own, if set, reports whether this very connection caused the message, and
	// needs not be shown it again.
	Own func(id string) bool

	bell    chan struct{} // of the stream that this one is a part of
	session bool          // it is a session's, and Connect has judged who follows
}

// Follower is one reader's way along a thread: the one loop that serves history
// and live alike. It watches, then reads, then waits, so there is no seam at
// which an event could be lost or doubled. Next may be called by one goroutine
// at a time; Renew and End by any.
type Follower struct {
	desk    *Desk
	watch   *hub.Watcher
	address tandem.Address
	view    tandem.View
	filter  tandem.Filter
	note    func(at tandem.Cursor) []byte // may be nil
	own     func(id string) bool          // may be nil
	warn    time.Duration

	cursor tandem.Cursor // everything up to here was shown
	told   int64         // seq up to which the client knows its place by an id
	fresh  bool          // the log must be read whatever the bell says
	deep   bool          // ... and from the store, whatever the tail says
	doubt  bool          // a heartbeat has passed: see whether a ring was lost
	rings  uint64        // the bell's count when the log was last read to its end
	gap    *tandem.Gap   // to be told first
	reset  bool          // to be told first
	last   bool          // the server ends: after one more look at what there is, so does the stream
	hidden int64         // of a participant: up to here it deleted what there was

	// Of a stream of one conversation; see show_conversation.go.
	initial  *Snapshot     // to be told first
	row      *Seen         // to be told after it
	total    int           // messages that count, up to cursor
	group    []*hub.Entry  // messages of one append, of which more are to come
	before   tandem.Cursor // the place before the first of them
	finished string        // why the stream ends, once what there is was shown

	session *connection // of the stream of a session
	until   time.Time   // ... that ends then; zero: never

	noticed uint64       // number of the last notice that was shown
	there   *hub.Noticed // who is there already, to be told once

	open   open  // the answer under way at cursor
	replay int64 // up to this seq only finished answers are shown
	since  time.Time

	timer     *time.Timer
	beat      time.Time // when the next heartbeat is due
	warned    time.Time // the expiry that was warned of
	heartbeat time.Duration
}

// open is an answer that has begun at or before the cursor and not ended.
type open struct {
	seq   int64 // of its answer-started; 0: there is none
	event *tandem.Event
	start tandem.AnswerStarted
	shown bool // the view and the filter show it
	begun bool // its stream-start was sent
	sent  int  // bytes of its text that were shown
	stale bool // the hub does not know it: its text is in the store
}

// Follow begins to follow. The watching stands when it returns, so what is posted
// from now on will be seen. Errors: Forbidden; TooMany for one stream too many.
// The caller must Close the follower.
func (d *Desk) Follow(ctx context.Context, req Follow) (*Follower, error) {
	if err := d.mayFollow(ctx, &req); err != nil {
		return nil, err
	}
	w, err := d.hub.Watch(req.Address, req.Principal, hub.WatchOptions{
		Face: req.View.Face, Conversation: req.View.Conversation, Max: d.limits.Streams, Hangup: req.Hangup,
		Bell: req.bell, Part: req.bell != nil, Curious: req.View.Presence && req.View.Face != tandem.FaceChat,
	})
	if err != nil {
		return nil, err
	}
	f := &Follower{
		desk: d, watch: w, address: req.Address, view: req.View, filter: req.Filter, note: req.Note, own: req.Own,
		warn: req.Warn, heartbeat: req.Heartbeat, fresh: true,
	}
	if a := req.Principal.Audience(); a != tandem.Operators && f.view.Audience != a {
		f.view.Audience = a
	}
	f.noticed = w.LastNotice()
	place := f.place
	if req.Conversation != "" {
		place = f.placeConversation
	}
	if err := place(ctx, &req); err != nil {
		w.Close()
		return nil, err
	}
	f.there = f.others()
	if err := d.comesBack(ctx, req.Principal); err != nil {
		d.log.Warn("a holder came back, and the countdown goes on", "err", err)
	}
	f.timer = time.NewTimer(time.Hour)
	f.beat = d.clock().Add(f.heartbeat)
	return f, nil
}

// mayFollow judges whether the principal may follow what it asks for, and finds
// the thread of a conversation.
func (d *Desk) mayFollow(ctx context.Context, req *Follow) error {
	if req.session {
		return nil
	}
	if req.Conversation == "" {
		return mayRead(req.Principal, req.Address)
	}
	req.Principal = d.known(ctx, req.Principal)
	c, err := d.conversation(ctx, req.Principal, req.Conversation)
	req.Address, req.View.Conversation, req.View.Presence, req.View.Tokens = c.Address, c.ID, true, true
	req.View.Medium, req.View.Offset = c.Medium, offsetOf(c.Timestamp)
	return err
}

// place finds where the stream begins.
func (f *Follower) place(ctx context.Context, req *Follow) error {
	st := f.desk.store
	after := f.address.Start()
	if req.After != nil {
		after = *req.After
	}
	rings := f.watch.Rings()
	page, err := st.Read(ctx, f.address, after, 0)
	if err != nil {
		return err
	}
	switch {
	case req.Unknown:
		f.cursor, f.reset = page.Thread.TrimCursor(), true
	case req.After != nil && req.After.Seq <= page.Thread.Erased && page.Thread.Erased > 0: // what was there is gone, all of it
		f.cursor, f.reset = page.Thread.TrimCursor(), true
	case req.After != nil:
		f.cursor, f.gap, f.reset = page.From, page.Gap, page.Reset
	case req.Replay > 0:
		f.replay = page.Thread.Head
		f.since = f.desk.clock().Add(-req.Replay)
		mark, err := st.CursorAt(ctx, page.Thread, max(page.Thread.ChatMark, page.Thread.Trim), f.since)
		if err != nil {
			return err
		}
		f.cursor = mark
	default:
		f.cursor = page.Thread.HeadCursor()
	}
	f.told = f.cursor.Seq
	if f.view.Audience == tandem.Everyone {
		f.hidden = page.Thread.Hidden
	}
	if f.cursor.Seq == page.Thread.Head { // nothing to read until the next ring
		f.fresh, f.rings = false, rings
	}
	return f.join(ctx, page.Thread)
}

// join finds the answer that was under way at the cursor, so that whoever comes
// in its middle gets its start and all of its text.
func (f *Follower) join(ctx context.Context, t tandem.Thread) error {
	f.open = open{}
	if f.cursor.Seq == t.Head && t.Answer == 0 {
		return nil
	}
	e, err := f.desk.store.AnswerAt(ctx, t, f.cursor.Seq)
	if err == nil && e != nil {
		f.begin(e)
	}
	return err
}

// Cursor is the place from which the stream goes on: at first the one to tell in
// the stream's first event.
func (f *Follower) Cursor() tandem.Cursor {
	if len(f.group) > 0 { // nothing of it was shown yet
		return f.before
	}
	return f.cursor
}

// resumable reports whether the stream may be resumed from its place: not before the
// conversation as it is was shown.
func (f *Follower) resumable() bool { return f.initial == nil && f.gap == nil && !f.reset }

// View is how the stream is shown: as was asked for, within what the principal may
// see, and with what is known of the conversation.
func (f *Follower) View() tandem.View { return f.view }

// Renew replaces the credential that the stream stands on.
func (f *Follower) Renew(p tandem.Principal) {
	f.watch.SetPrincipal(p)
}

// Wake makes Next look around at once.
func (f *Follower) Wake() { f.watch.Wake() }

// Subscribers is how many streams follow the thread.
func (f *Follower) Subscribers() int { return f.desk.hub.Subscribers(f.address) }

// Close ends the following.
func (f *Follower) Close() {
	f.timer.Stop()
	f.watch.Close()
	if f.session != nil {
		f.session.closed()
	}
}

// Batch is what Next yields: exactly one of its parts is set, but that Frames
// and Answered come together.
type Batch struct {
	Frames    [][]byte      // frames to write, in order; shared, not to be changed
	Newest    time.Time     // when the newest event among them was committed
	Answered  int64         // not 0: seq of the last event among them that ends an answer
	Heartbeat bool          // nothing to show for an interval
	Passed    tandem.Cursor // of a heartbeat: not zero if events passed that were not shown
	Gap       *tandem.Gap   // these events are kept no more
	Reset     bool          // the place given is not of this log
	Initial   *Snapshot     // the conversation as it is; everything from its cursor on follows
	Row       *Seen         // its present row, after Initial
	Expiring  time.Time     // not zero: the credential ends then
	Ended     string        // why the stream has to end
}

// pageLen is how many events are read from the store at once.
const pageLen = 64

// Next waits for the next batch. It returns ctx's error when ctx ends. What waits
// is what an idle stream costs: look's work is done, and its stack free, by then.
func (f *Follower) Next(ctx context.Context) (b Batch, err error) {
	for {
		done, err := f.look(ctx, &b)
		if done || err != nil {
			return b, err
		}
		if err := f.wait(ctx); err != nil {
			return Batch{}, err
		}
	}
}

// look puts what there is for the reader into b; done is false if there is nothing.
//
//go:noinline
func (f *Follower) look(ctx context.Context, b *Batch) (done bool, err error) {
	for {
		if *b, done = f.first(); done {
			return true, nil
		}
		if err := f.verify(ctx); err != nil {
			return false, err
		}
		f.last = orderly(f.watch.Ended())
		rings := f.watch.Rings()
		if f.fresh || f.last || rings != f.rings {
			var more bool
			if *b, more, err = f.read(ctx); err != nil {
				return false, err
			}
			if !more {
				f.fresh, f.deep, f.rings = false, false, rings
			}
			if len(b.Frames) > 0 {
				return true, nil
			}
			if more || f.finished != "" || f.initial != nil {
				continue
			}
		}
		if f.note != nil {
			if frame := f.note(f.cursor); frame != nil {
				b.Frames = [][]byte{frame}
				return true, nil
			}
		}
		if *b, done, err = f.tokens(ctx); err != nil || done {
			return done, err
		}
		if *b, done = f.notices(); done {
			return true, nil
		}
		if !f.fresh && !f.last { // else the answer under way has ended: read its end
			return false, nil
		}
	}
}

// first is what has to be told before anything else: the end, what is due by the
// clock however much there is to read, and where the stream really begins. When
// the server ends, what it waited for, the end of an answer above all, is shown
// before.
func (f *Follower) first() (Batch, bool) {
	if why := f.watch.Ended(); why != "" && (!orderly(why) || f.last) {
		return Batch{Ended: why}, true
	}
	if b, ok := f.timed(f.desk.clock()); ok {
		return b, true
	}
	if g := f.gap; g != nil {
		f.gap = nil
		return Batch{Gap: g}, true
	}
	if f.reset {
		f.reset = false
		return Batch{Reset: true}, true
	}
	if s := f.initial; s != nil {
		f.initial = nil
		return Batch{Initial: s}, true
	}
	if r := f.row; r != nil {
		f.row = nil
		return Batch{Row: r}, true
	}
	return Batch{Ended: f.finished}, f.finished != ""
}

// orderly reports whether a stream that ends for this reason first shows what
// there is.
func orderly(why string) bool { return why == EndShutdown || why == EndDisconnected }

// Reasons for which streams end; clients see them.
const (
	EndExpired  = "token expired"
	EndShutdown = "server shutting down"
	EndReplaced = hub.EndReplaced

	EndConversation = "conversation ended" // the last frame said so
	EndDenied       = "access"             // the conversation was given to somebody else
	EndDeleted      = "thread deleted"     // an owner erased it, or the participant deleted it
)
