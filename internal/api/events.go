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

// defaultHeartbeat is the document's: a stream that is silent for so long says
// that it is still there.
const defaultHeartbeat = 5

// events streams a participant's thread.
func (s *Server) events(w http.ResponseWriter, r *http.Request, _ tandem.Principal) error {
	req, err := s.followOf(r)
	if err != nil {
		return err
	}
	return s.stream(w, r, req.Principal, s.tellParticipant(r.Context(), req))
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
	req.Heartbeat = s.heartbeat(every)
	req.View = tandem.View{
		Face: tandem.FaceEvents, Echo: q.Get("echo") == "true", Tokens: q.Get("tokens") == "true", Presence: q.Get("presence") == "true", Audience: p.Audience(),
	}
	req.After, req.Unknown = lastEventID(r, q)
	return req, nil
}

// heartbeat is an interval as a client wishes it, in seconds, within the limits.
func (s *Server) heartbeat(seconds int) time.Duration {
	l := s.opt.Limits
	return max(l.HeartbeatMin, min(l.HeartbeatMax, time.Duration(min(max(seconds, 0), 1<<20))*time.Second))
}

func eventsThread(p tandem.Principal, q url.Values, err error) (tandem.Address, error) {
	if err != nil {
		return tandem.Address{}, err
	}
	return threadOf(p, q, "Workflow and participantId are required parameters")
}

// participantTeller tells a participant's thread.
type participantTeller struct {
	server  *Server
	address tandem.Address
	from    *desk.Follower
	batch   desk.Batch // what from yielded last: here, so that the stack stays small
}

func (s *Server) tellParticipant(ctx context.Context, req desk.Follow) func(hangup func()) (teller, error) {
	return func(hangup func()) (teller, error) {
		req.Hangup = hangup
		f, err := s.opt.Desk.Follow(ctx, req)
		if err != nil {
			return nil, err
		}
		return &participantTeller{server: s, address: req.Address, from: f}, nil
	}
}

func (t *participantTeller) face() tandem.Face { return tandem.FaceEvents }

func (t *participantTeller) close() { t.from.Close() }

func (t *participantTeller) hello(retry time.Duration) []byte {
	return participantHello(t.address, t.from.Cursor(), t.server.opt.Clock(), retry)
}

func (t *participantTeller) failed() []byte {
	return participantBye(t.server.opt.Clock(), "internal error", t.from.Cursor(), retryFailed)
}

func (t *participantTeller) next(ctx context.Context, out *told) (err error) {
	if t.batch, err = t.from.Next(ctx); err != nil {
		return err
	}
	out.frames, out.newest, out.last = t.frames(), t.batch.Newest, t.batch.Ended != ""
	t.batch = desk.Batch{}
	return nil
}

// frames are what a batch becomes on the wire.
func (t *participantTeller) frames() net.Buffers {
	s, b := t.server, &t.batch
	now := s.opt.Clock()
	switch {
	case b.Ended != "":
		return net.Buffers{participantBye(now, b.Ended, t.from.Cursor(), s.comeBack(b.Ended))}
	case b.Gap != nil:
		return net.Buffers{participantGap(*b.Gap)}
	case b.Reset:
		return net.Buffers{participantReset()}
	case b.Heartbeat:
		s.opt.Metric.Hub.Heartbeats.Inc()
		return net.Buffers{participantBeat(now, t.from.Subscribers(), b.Passed)}
	}
	return b.Frames
}
