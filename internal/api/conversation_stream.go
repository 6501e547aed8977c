package api

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// conversationHeartbeat is the document's.
const conversationHeartbeat = 30 * time.Second

// What the last event of a stream says.
const (
	textDenied  = "Access denied. You don't have permission to view this conversation."
	textExpired = "Invalid or expired token"
	textRevoked = "Token has been revoked. Please login again."
)

// conversationStream streams one conversation. A bad credential is refused before
// it; that there is no such conversation, or not for who asks, is said by the
// stream itself, as the document's clients expect.
func (s *Server) conversationStream(w http.ResponseWriter, r *http.Request, _ tandem.Principal) error {
	id := conversationID(r)
	p, err := s.principal(r, auth.Use{Purpose: auth.Stream, Route: r.Pattern, Address: func(p tandem.Principal) (tandem.Address, error) {
		return tandem.Address{Tenant: p.Tenant, Workflow: ticketOfConversation, Participant: id}, nil
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
	req := desk.Follow{
		Principal: p, Conversation: id, Heartbeat: conversationHeartbeat,
		View: tandem.View{Face: tandem.FaceConversation, Audience: p.Audience()},
	}
	req.After, req.Unknown = lastEventID(r, q)
	err = s.stream(w, r, p, s.tellConversation(r.Context(), req))
	if tandem.KindOf(err) == tandem.Gone && err != nil { // finished for good, and nothing was missed
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return err
}

// ticketOfConversation stands for a workflow in the place that a ticket for a
// conversation's stream is bound to. No workflow has such a name.
const ticketOfConversation = tandem.ReservedPrefix + "conversation"

// conversationTeller tells one conversation.
type conversationTeller struct {
	server  *Server
	id      string
	from    *desk.Follower
	resumed bool
	batch   desk.Batch // what from yielded last: here, so that the stack stays small
}

func (s *Server) tellConversation(ctx context.Context, req desk.Follow) func(hangup func()) (teller, error) {
	return func(hangup func()) (teller, error) {
		req.Hangup = hangup
		f, err := s.opt.Desk.Follow(ctx, req)
		switch tandem.KindOf(err) {
		case tandem.NotFound, tandem.Forbidden:
			// A stream that opens costs nothing; trying what there is does.
			if over := s.charge(req.Principal, costRequest).err(); over != nil {
				return nil, over
			}
			return &refusalTeller{conversationError(echoed(req.Conversation), message(err), retryFailed)}, nil
		}
		if err != nil {
			return nil, err
		}
		return &conversationTeller{server: s, id: req.Conversation, from: f, resumed: req.After != nil && *req.After == f.Cursor()}, nil
	}
}

// echoed is an id that a client gave, as far as ids go.
func echoed(id string) string {
	if len(id) > tandem.MaxName {
		return strings.ToValidUTF8(id[:tandem.MaxName], "") + "…"
	}
	return id
}

func (t *conversationTeller) face() tandem.Face { return tandem.FaceConversation }

func (t *conversationTeller) close() { t.from.Close() }

func (t *conversationTeller) hello(retry time.Duration) []byte {
	if t.resumed {
		return conversationHello(t.from.Cursor(), retry)
	}
	return conversationHello(tandem.Cursor{}, retry)
}

func (t *conversationTeller) failed() []byte { return conversationError(t.id, textFailed, retryFailed) }

func (t *conversationTeller) next(ctx context.Context, out *told) (err error) {
	t.batch, err = t.from.Next(ctx)
	switch tandem.KindOf(err) {
	case tandem.NotFound, tandem.Forbidden: // since a moment ago
		out.frames, out.last = net.Buffers{conversationError(t.id, message(err), retryFailed)}, true
		return nil
	}
	if err != nil {
		return err
	}
	out.frames, out.newest, out.last = t.frames(), t.batch.Newest, t.batch.Ended != ""
	t.batch = desk.Batch{}
	return nil
}

// frames are what a batch becomes on the wire.
func (t *conversationTeller) frames() net.Buffers {
	s, b := t.server, &t.batch
	switch {
	case b.Ended != "":
		return s.conversationBye(t.id, b.Ended)
	case b.Heartbeat:
		s.opt.Metric.Hub.Heartbeats.Inc()
		return net.Buffers{conversationBeat(s.opt.Clock(), offset(t.from.View().Offset), b.Passed)}
	case b.Initial != nil:
		return net.Buffers{conversationBegins(t.from.View(), wholeOf(b.Initial), b.Initial.Cursor)}
	}
	return conversationFrames(t.from.View(), b)
}

// conversationFrames are what the batches become that look alike on a stream of
// its own and on the board's.
func conversationFrames(v tandem.View, b *desk.Batch) net.Buffers {
	switch {
	case b.Gap != nil:
		return net.Buffers{event("gap", conversationGap{*b.Gap, v.Conversation})}
	case b.Reset:
		return net.Buffers{event("reset", conversationReset{v.Conversation})}
	case b.Row != nil:
		return net.Buffers{event("updated", rowOf(v.Audience, &b.Row.Conversation, b.Row.Place))}
	}
	return b.Frames
}

// conversationBye is the last thing said before the server closes on purpose. A
// conversation's end was told already. Clients of the document close for good
// after `error`, so whoever may come back is told `disconnected`, of which they
// know nothing.
func (s *Server) conversationBye(id, why string) net.Buffers {
	switch why {
	case desk.EndConversation:
		return nil
	case desk.EndExpired:
		return net.Buffers{conversationError(id, textExpired, retryFailed)}
	case chatRevoked:
		return net.Buffers{conversationError(id, textRevoked, retryFailed)}
	case desk.EndDenied:
		return net.Buffers{conversationError(id, textDenied, retryFailed)}
	case desk.EndDeleted:
		return net.Buffers{conversationError(id, "Conversation '"+id+"' not found", retryFailed)}
	}
	return net.Buffers{participantBye(s.opt.Clock(), why, tandem.Cursor{}, s.comeBack(why))}
}

// refusalTeller says one thing and ends.
type refusalTeller struct{ frame []byte }

func (t *refusalTeller) face() tandem.Face          { return tandem.FaceConversation }
func (t *refusalTeller) hello(time.Duration) []byte { return t.frame }
func (t *refusalTeller) failed() []byte             { return nil }
func (t *refusalTeller) close()                     {}

func (t *refusalTeller) next(_ context.Context, out *told) error {
	out.last = true
	return nil
}
