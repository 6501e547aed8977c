package desk

import (
	"context"
	"encoding/json"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// read takes the next events, from memory if it reaches back far enough, and
// turns them into frames. more is true if there may be events after them.
func (f *Follower) read(ctx context.Context) (b Batch, more bool, err error) {
	entries, ok := f.watch.Tail(f.cursor.Seq)
	if ok && !f.deep {
		size := 0
		for i, e := range entries {
			if i == pageLen || size >= store.PageSize { // a reader that is stuck holds no more than this
				return b, true, nil
			}
			size += len(e.Event.Body)
			if err := f.show(ctx, &b, e); err != nil {
				return b, false, err
			}
		}
		return b, false, nil
	}
	f.desk.metric.Hub.TailMisses.Inc()
	page, err := f.desk.store.Read(ctx, f.address, f.cursor, pageLen)
	if err != nil {
		return b, false, err
	}
	if page.Gap != nil || page.Reset { // retention or erasure overtook this reader
		f.cursor, f.told, f.gap, f.reset = page.From, page.From.Seq, page.Gap, page.Reset
		if f.view.Conversation != "" {
			return b, false, f.anew(ctx)
		}
		return b, true, f.join(ctx, page.Thread)
	}
	for i := range page.Events {
		if err := f.show(ctx, &b, &hub.Entry{Event: &page.Events[i]}); err != nil {
			return b, false, err
		}
	}
	return b, page.More, nil
}

// show adds what the view makes of one event, and moves the cursor past it.
func (f *Follower) show(ctx context.Context, b *Batch, entry *hub.Entry) error {
	e := entry.Event
	if f.session != nil && f.finished != "" { // what follows is of a later session of that id
		return nil
	}
	defer func() { f.cursor = e.Cursor() }()
	if !e.Audience.VisibleTo(f.view.Audience) || e.Seq <= f.hidden || f.finished != "" {
		return nil
	}
	if f.view.Conversation != "" {
		return f.showConversation(ctx, b, entry)
	}
	switch e.Kind {
	case tandem.KindSession:
		return f.showSession(e)
	case tandem.KindAnswerStarted:
		if e.Seq <= f.replay && !f.running(ctx, e) {
			return nil // finished in what is replayed: its end shows it whole
		}
		f.begin(e)
		if f.open.shown {
			f.add(b, e, f.desk.hub.StartFrame(f.address, f.view, f.open.start, e), false)
			f.open.begun = true
		}
		return nil
	case tandem.KindAnswerEnded:
		return f.finish(b, entry)
	case tandem.KindMessage:
		m, err := e.Message()
		if err != nil {
			return err
		}
		if m.Type != tandem.Handoff && !f.filter.Shows(m.Scope) {
			return nil
		}
		if f.own != nil && f.own(e.ID) {
			return nil
		}
		if e.Seq <= f.replay && (m.Direction != tandem.Outgoing || m.Type != tandem.Chat || e.At.Before(f.since)) {
			return nil
		}
		f.add(b, e, f.desk.hub.Frame(f.address, f.view, entry, 0), true)
		return nil
	case tandem.KindAnswerFailed:
		var m tandem.AnswerFailed
		if json.Unmarshal(e.Body, &m) != nil || !f.filter.Shows(m.Scope) || e.Seq <= f.replay && e.At.Before(f.since) {
			return nil
		}
		f.add(b, e, f.desk.hub.Frame(f.address, f.view, entry, 0), true) // who was away is told too
		return nil
	}
	if e.Seq > f.replay {
		f.add(b, e, f.desk.hub.Frame(f.address, f.view, entry, 0), false)
	}
	return nil
}

// running reports whether the answer that e starts goes on after what is replayed.
func (f *Follower) running(ctx context.Context, e *tandem.Event) bool {
	t, err := f.desk.store.Thread(ctx, f.address)
	return err == nil && t.Answer == e.Seq
}

// begin notes that an answer is under way.
func (f *Follower) begin(e *tandem.Event) {
	f.open = open{seq: e.Seq, event: e}
	if json.Unmarshal(e.Body, &f.open.start) != nil {
		return
	}
	tokens := f.view.Tokens || f.view.Face == tandem.FaceChat
	f.open.shown = tokens && f.filter.Shows(f.open.start.Scope)
}

// finish shows the end of an answer: first what its reader lacks of the text, as
// one token, then the end. An answer that this reader saw nothing of, or more of
// than was kept, is stated whole from the log.
func (f *Follower) finish(b *Batch, entry *hub.Entry) error {
	e := entry.Event
	m, err := e.Message()
	if err != nil {
		return err
	}
	was := f.open
	f.open = open{}
	if e.Seq <= f.replay && e.At.Before(f.since) || !f.filter.Shows(m.Scope) {
		return nil
	}
	h, a := f.desk.hub, f.address
	if f.view.Tokens || f.view.Face == tandem.FaceChat {
		if was.seq != m.Started || !was.begun || was.sent > len(m.Text) {
			start := tandem.AnswerStarted{MessageID: e.ID, Role: m.Role, Name: m.Name, Scope: m.Scope, RequestID: m.RequestID, Conversation: m.Conversation}
			f.add(b, e, h.StartFrame(a, f.view, start, e), false)
			was.sent = 0
		}
		if rest := m.Text[was.sent:]; rest != "" {
			f.add(b, e, h.DeltaFrame(a, f.view, tandem.Delta{Seq: m.Started, Message: e.ID, Offset: was.sent, Text: rest, At: e.At}), false)
		}
	}
	f.add(b, e, h.Frame(a, f.view, entry, f.total), true)
	return nil
}

// add puts a frame into the batch; ends says that it ends an answer.
func (f *Follower) add(b *Batch, e *tandem.Event, frame []byte, ends bool) {
	if frame == nil {
		return
	}
	b.Frames = append(b.Frames, frame)
	b.Newest = e.At
	if ends {
		b.Answered = e.Seq
	}
	if e.Kind != tandem.KindAnswerStarted && e.Seq > f.told {
		f.told = e.Seq
	}
}

// tokens takes what the answer under way has got beyond what was shown. A reader
// that comes late, or is slow, gets it as one larger piece.
func (f *Follower) tokens(ctx context.Context) (Batch, bool, error) {
	o := &f.open
	if o.seq == 0 || !o.shown {
		return Batch{}, false, nil
	}
	var b Batch
	if !o.begun { // whoever joins in the middle has not seen the start
		b.Frames = append(b.Frames, f.desk.hub.StartFrame(f.address, f.view, o.start, o.event))
		o.begun = true
	}
	rest, err := f.rest(ctx)
	if rest != nil {
		b.Frames = append(b.Frames, rest)
	}
	return b, len(b.Frames) > 0, err
}

// rest is the text that the answer under way has beyond what was shown, as one
// frame; nil if there is none.
func (f *Follower) rest(ctx context.Context) ([]byte, error) {
	o := &f.open
	frame, to, ok := f.watch.Live(f.view, o.seq, o.sent)
	if ok {
		o.sent, o.stale = to, false
		return frame, nil
	}
	if o.stale {
		return nil, nil
	}
	// The hub knows nothing of it: it has ended, or it runs elsewhere, or the
	// server was killed in its middle. The log or its checkpoints tell.
	o.stale, f.fresh, f.deep = true, true, true
	text, err := f.desk.store.Checkpoint(ctx, f.address, o.seq)
	if err != nil || len(text) <= o.sent {
		return nil, err
	}
	d := tandem.Delta{Seq: o.seq, Message: o.start.MessageID, Offset: o.sent, Text: text[o.sent:], At: f.desk.clock().UTC()}
	o.sent = len(text)
	return f.desk.hub.DeltaFrame(f.address, f.view, d), nil
}
