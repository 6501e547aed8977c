package api

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// board streams the tenant's conversations as they come, change and go; with
// `watch`, also the streams of some of them, on the same connection.
func (s *Server) board(w http.ResponseWriter, r *http.Request, _ tandem.Principal) error {
	p, err := s.principal(r, auth.Use{Purpose: auth.Stream, Route: r.Pattern, Address: func(p tandem.Principal) (tandem.Address, error) {
		return tandem.BoardAddress(p.Tenant), nil
	}})
	if err != nil {
		return err
	}
	q, err := query(r)
	if err != nil {
		return err
	}
	if err := ownTenant(p, q.Get("tenantId")); err != nil {
		return err
	}
	p.Claims = nil // only who posts is asked for them; an open stream need not keep them
	req := desk.Watching{
		Principal: p, IDs: watched(q.Get("watch")), After: first(r.Header.Get("Last-Event-ID"), q.Get("lastEventId")), Heartbeat: conversationHeartbeat,
	}
	return s.stream(w, r, p, s.tellBoard(r.Context(), req))
}

// watched reads a list of ids. One that is there twice counts once.
func watched(list string) []string {
	var ids []string
	seen := map[string]bool{"": true}
	for id := range strings.SplitSeq(list, ",") {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, strings.Clone(id)) // not the whole request line with it
		}
	}
	return ids
}

// boardTeller tells a tenant's board.
type boardTeller struct {
	server *Server
	view   tandem.View
	from   *desk.Board
	after  string // where the client said that it is
	place  string // where the client knows that it is
	batch  desk.BoardBatch
}

func (s *Server) tellBoard(ctx context.Context, req desk.Watching) func(hangup func()) (teller, error) {
	return func(hangup func()) (teller, error) {
		req.Hangup = hangup
		b, err := s.opt.Desk.Watch(ctx, req)
		if err != nil {
			return nil, err
		}
		return &boardTeller{server: s, view: viewOf(req.Principal), from: b, after: req.After}, nil
	}
}

func (t *boardTeller) face() tandem.Face { return tandem.FaceBoard }

func (t *boardTeller) close() { t.from.Close() }

// hello says the place of a stream that goes on; a new one is told its place by
// the snapshot.
func (t *boardTeller) hello(retry time.Duration) []byte {
	if at := t.from.Place(); at == t.after {
		t.place = at
	}
	return boardHello(t.place, retry)
}

func (t *boardTeller) failed() []byte { return conversationError("", textFailed, retryFailed) }

func (t *boardTeller) next(ctx context.Context, out *told) (err error) {
	if t.batch, err = t.from.Next(ctx); err != nil {
		return err
	}
	out.frames, out.last = t.frames(), t.batch.Ended != ""
	if t.batch.Part != nil {
		out.newest = t.batch.Part.Newest
	}
	t.batch = desk.BoardBatch{}
	return nil
}

// frames are what a batch becomes on the wire.
func (t *boardTeller) frames() net.Buffers {
	s, b := t.server, &t.batch
	switch {
	case b.Ended != "":
		return s.conversationBye("", b.Ended)
	case b.Heartbeat:
		s.opt.Metric.Hub.Heartbeats.Inc()
		return net.Buffers{boardBeat(s.opt.Clock(), t.news(t.from.Place()))}
	case b.Snapshot != nil:
		t.place = t.from.Place()
		return net.Buffers{snapshotEvent(t.view.Audience, b.Snapshot, t.place)}
	case b.Failed != nil:
		return net.Buffers{conversationError(b.Watched, message(b.Failed), 0)}
	case b.Part != nil:
		return t.part()
	}
	var frames net.Buffers
	for i := range b.Changes {
		frames = append(frames, t.change(&b.Changes[i]))
	}
	for _, n := range b.Hints {
		frames = append(frames, event("hint", hintOf(n)))
	}
	return frames
}

func (t *boardTeller) change(c *desk.Change) []byte {
	t.place = t.from.PlaceAfter(c.After)
	if c.Removed {
		return placed("removed", boardRemoved{c.ID}, t.place)
	}
	return placed("upsert", boardUpsert{boardRow(t.view.Audience, &c.Seen)}, t.place)
}

// part is what a conversation that is watched has to tell: the events of its own
// stream, with the ids of this one.
func (t *boardTeller) part() net.Buffers {
	b := t.batch.Part
	var frames net.Buffers
	switch {
	case b.Ended != "":
		return t.server.partBye(t.batch.View.Conversation, b.Ended)
	case b.Initial != nil:
		frames = net.Buffers{conversationBegins(t.batch.View, wholeOf(b.Initial), b.Initial.Cursor)}
	default:
		frames = conversationFrames(t.batch.View, b)
	}
	var out net.Buffers
	for _, frame := range frames {
		head, id := cutID(frame)
		if id == "" {
			out = append(out, frame)
			continue
		}
		t.place = t.from.PlaceWith(t.batch.Nth, id)
		out = append(out, head, []byte(t.place+"\n\n"))
	}
	return out
}

// cutID takes the id off an event that ends with one. The bytes before it are
// shared with other streams, and stay as they are.
func cutID(frame []byte) (head []byte, id string) {
	const field = "\nid: "
	i := bytes.LastIndex(frame, []byte(field))
	if i < 0 {
		return frame, ""
	}
	i += len(field)
	return frame[:i:i], string(bytes.TrimRight(frame[i:], "\n"))
}

// partBye is the last thing said of a conversation that is watched. The stream
// goes on.
func (s *Server) partBye(id, why string) net.Buffers {
	switch why {
	case desk.EndConversation:
		return nil
	case desk.EndDeleted:
		return net.Buffers{conversationError(id, "Conversation '"+id+"' not found", 0)}
	}
	return net.Buffers{conversationError(id, textDenied, 0)}
}

// news is the place, if the client does not know it yet.
func (t *boardTeller) news(at string) string {
	if at == t.place {
		return ""
	}
	t.place = at
	return at
}
