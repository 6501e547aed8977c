package api

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// How long a client is told to wait before it comes back after a drop: not all at
// once, and after an error that will not go away soon, long.
const (
	retryLeast  = 1 * time.Second
	retryMost   = 3 * time.Second
	retryFailed = 60 * time.Second
)

// defaultHeartbeat is the document's: a stream that is silent for so long says
// that it is still there.
const defaultHeartbeat = 5

// events streams a participant's thread. The subscription stands before the first
// byte is sent, so whoever has read it misses nothing that is posted from then on.
func (s *Server) events(w http.ResponseWriter, r *http.Request, _ tandem.Principal) error {
	req, err := s.followOf(r)
	if err != nil {
		return err
	}
	if !s.open.enter() {
		return errStopping()
	}
	st, err := s.subscribe(r.Context(), req)
	if err != nil {
		s.open.leave()
		return err
	}
	return st.start(w, r)
}

// followOf judges the credential and reads the query.
func (s *Server) followOf(r *http.Request) (desk.Follow, error) {
	q, parsed := query(r)
	p, err := s.principal(r, auth.Use{Purpose: auth.Stream, Route: r.Pattern, Address: func(p tandem.Principal) (tandem.Address, error) {
		return eventsThread(p, q, parsed)
	}})
	if err != nil {
		return desk.Follow{}, err
	}
	p.Claims = nil // only who posts is asked for them; an open stream need not keep them
	req := desk.Follow{Principal: p, Filter: tandem.Filter{Scope: q.Get("scope")}}
	if req.Address, err = eventsThread(p, q, parsed); err != nil {
		return req, err
	}
	if err := tandem.ValidLabel("scope", req.Filter.Scope); err != nil {
		return req, err
	}
	every, err := number(q, "heartbeatSeconds", defaultHeartbeat)
	if err != nil {
		return req, err
	}
	l := s.opt.Limits
	req.Heartbeat = max(l.HeartbeatMin, min(l.HeartbeatMax, time.Duration(min(max(every, 0), 1<<20))*time.Second))
	req.View = tandem.View{Face: tandem.FaceEvents, Echo: q.Get("echo") == "true", Tokens: q.Get("tokens") == "true", Audience: p.Audience()}
	req.After, req.Unknown = lastEventID(r, q)
	return req, nil
}

func eventsThread(p tandem.Principal, q url.Values, err error) (tandem.Address, error) {
	if err != nil {
		return tandem.Address{}, err
	}
	return threadOf(p, q, "Workflow and participantId are required parameters")
}

// lastEventID is where a client wants to go on: the header, which a browser sends
// by itself and is newer, or the query. unknown: it names a place, but none of ours.
func lastEventID(r *http.Request, q url.Values) (after *tandem.Cursor, unknown bool) {
	id := first(r.Header.Get("Last-Event-ID"), q.Get("lastEventId"))
	if id == "" {
		return nil, false
	}
	c, err := tandem.ParseCursor(id)
	if err != nil {
		return nil, true
	}
	return &c, false
}

// stream is one open participant stream. It keeps neither the request nor the
// buffers of net/http: they are most of what a connection costs.
type stream struct {
	server  *Server
	address tandem.Address
	from    *desk.Follower
	to      peer

	batch desk.Batch // what from yielded last, and its error: here, so that the stack stays small
	err   error
}

// subscribe begins to follow, and looks once more whether the credential is still
// good: what was revoked before the subscription stood has told nobody.
func (s *Server) subscribe(ctx context.Context, req desk.Follow) (*stream, error) {
	st := &stream{server: s, address: req.Address}
	req.Hangup = st.to.hangUp
	f, err := s.opt.Desk.Follow(ctx, req)
	if tandem.KindOf(err) == tandem.TooMany && err != nil {
		s.opt.Metric.HTTP.Limited.Of("streams").Inc()
	}
	if err != nil {
		return nil, err
	}
	if err := s.opt.Auth.Recheck(ctx, req.Principal); err != nil {
		f.Close()
		return nil, err
	}
	st.from = f
	st.to.stall = s.opt.Limits.Stall
	if end := s.opt.Auth.Deadline(req.Principal); !end.IsZero() {
		// One second more, in which the reader is told.
		st.to.until = time.Now().Add(end.Sub(s.opt.Clock()) + time.Second)
	}
	return st, nil
}

// start sends the head and lets the stream run: on its own, if the connection can
// be taken over, else here. Either way the bytes of the body are the same.
func (st *stream) start(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close") // a connection that carried a stream has its deadlines, and nothing to follow
	}
	s := st.server
	hello := participantHello(st.address, st.from.Cursor(), s.opt.Clock(), s.jitter(retryLeast, retryMost))
	if r.ProtoMajor == 1 && r.TLS == nil && r.Method == http.MethodGet {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if rec, ok := w.(*recorder); ok {
				rec.status = http.StatusOK
			}
			tune(conn)
			st.to.writing(conn)
			go st.own(append(responseHead(h, s.opt.Clock()), hello...))
			return nil
		}
	}
	defer st.end()
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	st.to.flushing(w)
	if st.to.write(net.Buffers{hello}) == nil {
		for st.step(r.Context()) {
		}
	}
	return nil
}

// own is the goroutine of a stream that has a connection of its own. Most of the
// time, and for most streams, it waits in the follower: what it holds then is
// what an idle stream costs, so it is kept small.
func (st *stream) own(begin []byte) {
	defer st.end()
	ctx, cancel := context.WithCancel(context.Background()) // the desk ends all streams when the server does
	defer st.server.gone.watch(st.to.conn, cancel)()
	if st.to.write(net.Buffers{begin}) != nil {
		return
	}
	begin = nil
	for st.step(ctx) {
	}
}

// end lets go of all that the stream has.
func (st *stream) end() {
	st.to.close()
	st.from.Close()
	st.server.open.leave()
}

// step waits for what the follower yields and writes it; false at the end.
func (st *stream) step(ctx context.Context) bool {
	st.batch, st.err = st.from.Next(ctx)
	return ctx.Err() == nil && st.show()
}

// show writes the batch; false if it was the last, or nobody takes it.
func (st *stream) show() bool {
	s, b := st.server, &st.batch
	if st.err != nil {
		s.opt.Log.Error("stream failed", "face", "events", "err", st.err)
		b.Ended = "internal error"
	}
	if err := st.to.write(st.frames(b)); err != nil {
		if st.to.stalled(err) {
			s.opt.Metric.Hub.Stalled.Inc()
		}
		return false
	}
	if !b.Newest.IsZero() {
		s.opt.Metric.Hub.CommitToSocket.Of(tandem.FaceEvents.String()).Observe(s.opt.Clock().Sub(b.Newest))
	}
	last := b.Ended != ""
	*b = desk.Batch{}
	return !last
}

// frames are what a batch becomes on the wire.
func (st *stream) frames(b *desk.Batch) net.Buffers {
	s := st.server
	now := s.opt.Clock()
	switch {
	case b.Ended != "":
		return net.Buffers{participantBye(now, b.Ended, st.from.Cursor(), s.comeBack(b.Ended, st.err != nil))}
	case b.Gap != nil:
		return net.Buffers{participantGap(*b.Gap)}
	case b.Reset:
		return net.Buffers{participantReset()}
	case b.Heartbeat:
		s.opt.Metric.Hub.Heartbeats.Inc()
		return net.Buffers{participantBeat(now, st.from.Subscribers(), b.Passed)}
	}
	return b.Frames
}

// comeBack is when the reader of a stream that the server ends shall try again.
// If the server goes, all its readers come back: the more there are, the more
// they are spread out.
func (s *Server) comeBack(why string, failed bool) time.Duration {
	switch {
	case failed, why == desk.EndReplaced:
		return retryFailed
	case why == desk.EndShutdown:
		return s.jitter(retryLeast, min(30*time.Second, retryMost+time.Duration(s.leaving.Load())*5*time.Millisecond))
	}
	return s.jitter(retryLeast, retryMost)
}
