package desk

import (
	"context"
	"encoding/json"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
)

// A stream of one conversation (WIRE, section 3) is the same loop over the same
// log: it begins with a snapshot in place of the head, leaves out what is of
// another conversation, counts the messages, and ends with the conversation or
// with the access to it.

// errOver says that there is nothing more to come, and nothing was missed.
func errOver() error { return tandem.Errorf(tandem.Gone, "Conversation has ended") }

// placeConversation finds where the stream begins. The conversation is judged
// again now that the watching stands: it may have changed hands meanwhile.
func (f *Follower) placeConversation(ctx context.Context, req *Follow) error {
	f.reset = req.Unknown
	if req.After == nil || req.Unknown {
		return f.anew(ctx)
	}
	d := f.desk
	page, err := d.store.Read(ctx, f.address, *req.After, 0)
	if err != nil {
		return err
	}
	if f.gap, f.reset = page.Gap, page.Reset; page.Gap != nil || page.Reset {
		return f.anew(ctx)
	}
	c, err := d.conversation(ctx, *f.watch.Principal(), f.view.Conversation)
	if err != nil {
		return err
	}
	if c.Status == tandem.StatusEnded && req.After.Seq >= c.LastSeq {
		return errOver()
	}
	read, err := d.store.Snapshot(ctx, f.address.Tenant, c.ID)
	if err != nil {
		return err
	}
	f.cursor, f.told = page.From, page.From.Seq
	for i := range read.Events {
		e := &read.Events[i]
		if m, ok := messageIn(e, c.ID); ok && e.Seq <= f.cursor.Seq && m.Counts(e.Audience) {
			f.total++
		}
	}
	return f.join(ctx, page.Thread)
}

// anew makes the stream begin with the conversation as it is. Of one that has
// ended the end is still to be shown.
func (f *Follower) anew(ctx context.Context) error {
	s, t, err := f.desk.snapshot(ctx, *f.watch.Principal(), f.view.Conversation)
	if err != nil {
		return err
	}
	f.group = nil
	if s.LastSeq > 0 {
		e, err := f.desk.store.Event(ctx, f.address, s.LastSeq-1)
		if err != nil {
			return err
		}
		s.Cursor = e.Cursor()
	}
	f.initial, f.row, f.total = &s, &s.Seen, s.Total
	f.cursor, f.told, f.fresh, f.deep = s.Cursor, s.Cursor.Seq, true, true
	return f.join(ctx, t)
}

// showConversation adds what the conversation's view makes of one event.
func (f *Follower) showConversation(ctx context.Context, b *Batch, entry *hub.Entry) error {
	e, own := entry.Event, f.view.Conversation
	switch e.Kind {
	case tandem.KindAnswerStarted:
		f.begin(e)
		if f.open.shown = f.open.start.Conversation == own; f.open.shown {
			f.add(b, e, f.desk.hub.StartFrame(f.address, f.view, f.open.start, e), false)
			f.open.begun = true
		}
	case tandem.KindAnswerEnded:
		m, ok := messageIn(e, own)
		if !ok {
			f.open = open{}
			return nil
		}
		if m.Counts(e.Audience) {
			f.total++
		}
		return f.finish(b, entry)
	case tandem.KindMessage:
		if m, ok := messageIn(e, own); ok {
			f.showMessage(b, entry, &m)
		}
	case tandem.KindDraftGone:
		if g, ok := draftGone(e); ok && g.Conversation == own {
			f.add(b, e, f.desk.hub.Frame(f.address, f.view, entry, f.total), false)
		}
	case tandem.KindState:
		f.showState(b, entry)
	}
	return nil
}

// showMessage shows a message; those of one append that count are shown together,
// and what stands between them with them: an id after it would leave them out.
func (f *Follower) showMessage(b *Batch, entry *hub.Entry, m *tandem.Message) {
	counts := m.Counts(entry.Event.Audience)
	if counts {
		f.total++
	}
	switch {
	case len(f.group) > 0:
	case !counts:
		f.add(b, entry.Event, f.desk.hub.Frame(f.address, f.view, entry, f.total), false)
		return
	default:
		f.before = f.cursor
	}
	f.group = append(f.group, entry)
	if m.Follow > 0 || !counts {
		return
	}
	group := f.group
	f.group = nil
	if len(group) == 1 {
		f.add(b, entry.Event, f.desk.hub.Frame(f.address, f.view, entry, f.total), true)
		return
	}
	f.add(b, entry.Event, f.desk.hub.MessagesFrame(f.address, f.view, group, f.total), true)
}

// showState shows a change of the conversation: who may not see it any more
// learns nothing of it, and its end ends the stream.
func (f *Follower) showState(b *Batch, entry *hub.Entry) {
	var c tandem.Conversation
	if json.Unmarshal(entry.Event.Body, &c) != nil || c.ID != f.view.Conversation {
		return
	}
	c.Address = f.address
	if !f.watch.Principal().MaySee(&c) {
		f.finished = EndDenied
		return
	}
	f.add(b, entry.Event, f.desk.hub.Frame(f.address, f.view, entry, f.total), true)
	if c.Status == tandem.StatusEnded {
		f.finished = EndConversation
	}
}

// notices takes what passed since the last ones that were shown: of the
// conversation, for the reader's eyes, and not its own doing.
func (f *Follower) notices() (Batch, bool) {
	list, next := f.watch.Notices(f.noticed)
	f.noticed = next
	if !f.view.Presence {
		return Batch{}, false
	}
	var b Batch
	if n := f.there; n != nil {
		f.there = nil
		if frame := f.desk.hub.NoticeFrame(f.address, f.view, n); frame != nil {
			b.Frames = append(b.Frames, frame)
		}
	}
	p := f.watch.Principal()
	for _, n := range list {
		switch {
		case !n.Audience.VisibleTo(f.view.Audience):
		case f.view.Conversation != "" && n.Conversation != "" && n.Conversation != f.view.Conversation:
		case n.Kind != tandem.NoticePresence && n.Kind != tandem.NoticeQueue && n.Subject == p.Subject && n.Role == roleOf(*p):
		default:
			if n.Kind == tandem.NoticeQueue { // a state, and so with a place to go on from: each reader's own
				own := n.Notice
				own.Cursor = f.cursor
				n = &hub.Noticed{Notice: own}
			}
			if frame := f.desk.hub.NoticeFrame(f.address, f.view, n); frame != nil {
				b.Frames = append(b.Frames, frame)
			}
		}
	}
	return b, len(b.Frames) > 0
}

// others is who is there when the stream begins, if anybody else is and the reader
// wants to know.
func (f *Follower) others() *hub.Noticed {
	if !f.view.Presence {
		return nil
	}
	p, all := f.watch.Principal(), f.desk.hub.Present(f.address)
	for _, w := range all {
		if w.Subject != p.Subject || w.Role != roleOf(*p) {
			return &hub.Noticed{Notice: tandem.Notice{
				Kind: tandem.NoticePresence, At: f.desk.clock().UTC(), Conversation: f.view.Conversation, Watching: all,
			}}
		}
	}
	return nil
}
