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

// feedHeartbeat is how often, in seconds, a feed says that it is still there, if
// nobody says.
const feedHeartbeat = 10

// feed streams to a back end what happens on all threads of a workflow.
func (s *Server) feed(w http.ResponseWriter, r *http.Request, _ tandem.Principal) error {
	q, parsed := query(r)
	p, err := s.principal(r, auth.Use{Purpose: auth.Stream, Route: r.Pattern, Address: func(p tandem.Principal) (tandem.Address, error) {
		return feedOf(p, q, parsed)
	}})
	if err != nil {
		return err
	}
	p.Claims = nil // only who posts is asked for them; an open stream need not keep them
	a, err := feedOf(p, q, parsed)
	if err != nil {
		return err
	}
	every, err := number(q, "heartbeatSeconds", feedHeartbeat)
	if err != nil {
		return err
	}
	req := desk.Feeding{
		Principal: p, Workflow: a.Workflow, After: first(r.Header.Get("Last-Event-ID"), q.Get("lastEventId")), Heartbeat: s.heartbeat(every),
	}
	return s.stream(w, r, p, s.tellFeed(r.Context(), req))
}

// feedOf is the feed that a query names.
func feedOf(p tandem.Principal, q url.Values, err error) (tandem.Address, error) {
	if err != nil {
		return tandem.Address{}, err
	}
	if err := ownTenant(p, q.Get("tenantId")); err != nil {
		return tandem.Address{}, err
	}
	workflow := tandem.ParseWorkflow(p.Tenant, q.Get("workflow"))
	if workflow == "" {
		return tandem.Address{}, tandem.Errorf(tandem.Invalid, "Workflow is required.")
	}
	if _, err := tandem.NewAddress(p.Tenant, workflow, "x"); err != nil {
		return tandem.Address{}, err
	}
	return tandem.FeedAddress(p.Tenant, workflow), nil
}

// feedTeller tells all threads of a workflow.
type feedTeller struct {
	server  *Server
	address tandem.Address
	from    *desk.Feed
	batch   desk.FeedBatch // what from yielded last: here, so that the stack stays small
}

func (s *Server) tellFeed(ctx context.Context, req desk.Feeding) func(hangup func()) (teller, error) {
	return func(hangup func()) (teller, error) {
		req.Hangup = hangup
		f, err := s.opt.Desk.Feed(ctx, req)
		if err != nil {
			return nil, err
		}
		return &feedTeller{server: s, address: tandem.FeedAddress(req.Principal.Tenant, req.Workflow), from: f}, nil
	}
}

func (t *feedTeller) face() tandem.Face { return tandem.FaceFeed }

func (t *feedTeller) close() { t.from.Close() }

func (t *feedTeller) hello(retry time.Duration) []byte {
	return feedHello(t.address, t.from.Place(), t.server.opt.Clock(), retry)
}

func (t *feedTeller) failed() []byte {
	return feedBye(t.server.opt.Clock(), "internal error", t.from.Place(), retryFailed)
}

func (t *feedTeller) next(ctx context.Context, out *told) (err error) {
	if t.batch, err = t.from.Next(ctx); err != nil {
		return err
	}
	out.frames, out.newest, out.last = t.frames(), t.batch.Newest, t.batch.Ended != ""
	t.batch = desk.FeedBatch{}
	return nil
}

// frames are what a batch becomes on the wire.
func (t *feedTeller) frames() net.Buffers {
	s, b := t.server, &t.batch
	switch {
	case b.Ended != "":
		return net.Buffers{feedBye(s.opt.Clock(), b.Ended, t.from.Place(), s.comeBack(b.Ended))}
	case b.Reset:
		return net.Buffers{participantReset()}
	case b.Heartbeat:
		s.opt.Metric.Hub.Heartbeats.Inc()
		return net.Buffers{feedBeat(s.opt.Clock(), t.from.Subscribers(), t.from.Place())}
	case b.Passed:
		return net.Buffers{feedPlace(t.from.Place())}
	}
	return b.Frames
}
