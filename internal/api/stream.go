package api

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// How long a client is told to wait before it comes back after a drop: not all at
// once, and after an error that will not go away soon, long.
const (
	retryLeast  = 1 * time.Second
	retryMost   = 3 * time.Second
	retryFailed = 60 * time.Second
)

// A teller is what a stream tells: each face has its own.
type teller interface {
	face() tandem.Face

	// hello is how the stream begins. retry is how long its reader shall wait
	// after a drop.
	hello(retry time.Duration) []byte

	// next waits for what there is to tell. An error, but for ctx's, is told as
	// the last thing by failed.
	next(ctx context.Context, out *told) error

	// failed is what is told of a stream that cannot go on.
	failed() []byte

	close()
}

// told is what a stream writes at once.
type told struct {
	frames net.Buffers
	newest time.Time // when the newest event among them was committed; zero: there is none
	last   bool      // the stream ends with it
}

// stream is one open event stream. It keeps neither the request nor the buffers
// of net/http: they are most of what a connection costs.
type stream struct {
	server *Server
	tells  teller
	to     peer
	out    told // what was told last: here, so that the stack stays small
}

// subscribe makes a stream of what begin returns, and looks once more whether the
// credential is still good: what was revoked before the subscription stood has
// told nobody. The caller has entered s.open; after an error it must leave.
func (s *Server) subscribe(ctx context.Context, p tandem.Principal, begin func(hangup func()) (teller, error)) (*stream, error) {
	st := &stream{server: s}
	t, err := begin(st.to.hangUp)
	if tandem.KindOf(err) == tandem.TooMany && err != nil {
		s.opt.Metric.HTTP.Limited.Of("streams").Inc()
	}
	if err != nil {
		return nil, err
	}
	if err := s.opt.Auth.Recheck(ctx, p); err != nil {
		t.close()
		return nil, err
	}
	st.tells = t
	st.to.stall = s.opt.Limits.Stall
	if end := s.opt.Auth.Deadline(p); !end.IsZero() {
		// One second more, in which the reader is told.
		st.to.until = time.Now().Add(end.Sub(s.opt.Clock()) + time.Second)
	}
	return st, nil
}

// stream answers a request with what begin returns, for as long as it tells. The
// subscription stands before the first byte is sent, so whoever has read it misses
// nothing that is posted from then on.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, p tandem.Principal, begin func(hangup func()) (teller, error)) error {
	if !s.open.enter() {
		return errStopping()
	}
	st, err := s.subscribe(r.Context(), p, begin)
	if err != nil {
		s.open.leave()
		return err
	}
	return st.start(w, r)
}

// streamHead sets the header fields of an event stream.
func streamHead(h http.Header, r *http.Request) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close") // a connection that carried a stream has its deadlines, and nothing to follow
	}
}

// start sends the head and lets the stream run: on its own, if the connection can
// be taken over, else here. Either way the bytes of the body are the same.
func (st *stream) start(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	streamHead(h, r)
	s := st.server
	hello := st.tells.hello(s.jitter(retryLeast, retryMost))
	if r.ProtoMajor == 1 && r.TLS == nil && r.Method == http.MethodGet {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if rec, ok := w.(*recorder); ok {
				rec.status = http.StatusOK
			}
			tune(conn)
			st.to.writing(conn)
			if st.to.chunked = r.ProtoAtLeast(1, 1); st.to.chunked {
				h.Set("Transfer-Encoding", "chunked")
			}
			go st.own(responseHead(h, s.opt.Clock()), hello)
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
func (st *stream) own(head, hello []byte) {
	defer st.end()
	ctx, cancel := context.WithCancel(context.Background()) // the desk ends all streams when the server does
	defer st.server.gone.watch(st.to.conn, cancel)()
	if st.to.begin(head, hello) != nil {
		return
	}
	head, hello = nil, nil
	for st.step(ctx) {
	}
}

// end lets go of all that the stream has.
func (st *stream) end() {
	st.to.close()
	st.tells.close()
	st.server.open.leave()
}

// step waits for what there is to tell and writes it; false at the end.
func (st *stream) step(ctx context.Context) bool {
	err := st.tells.next(ctx, &st.out)
	return ctx.Err() == nil && st.show(err)
}

// show writes what was told; false if it was the last, or nobody takes it.
func (st *stream) show(err error) bool {
	s, out := st.server, &st.out
	if err != nil {
		s.opt.Log.Error("stream failed", "face", st.tells.face().String(), "err", err)
		*out = told{frames: net.Buffers{st.tells.failed()}, last: true}
	}
	if err := st.to.write(out.frames); err != nil {
		if st.to.stalled(err) {
			s.opt.Metric.Hub.Stalled.Inc()
		}
		return false
	}
	if !out.newest.IsZero() {
		s.opt.Metric.Hub.CommitToSocket.Of(st.tells.face().String()).Observe(s.opt.Clock().Sub(out.newest))
	}
	last := out.last
	*out = told{}
	if last {
		_ = st.to.finish() // whoever does not take this has all the rest
	}
	return !last
}

// comeBack is when the reader of a stream that the server ends shall try again.
// If the server goes, all its readers come back: the more there are, the more
// they are spread out.
func (s *Server) comeBack(why string) time.Duration {
	switch why {
	case desk.EndReplaced:
		return retryFailed
	case desk.EndShutdown:
		return s.jitter(retryLeast, min(30*time.Second, retryMost+time.Duration(s.leaving.Load())*5*time.Millisecond))
	}
	return s.jitter(retryLeast, retryMost)
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
