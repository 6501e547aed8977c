package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
	"unicode/utf8"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// sessionHeartbeat is how long a session's stream may be silent.
const sessionHeartbeat = 15 * time.Second

// sessionConnect streams a session: what the path names. Who has no other
// credential may have one in its id.
func (s *Server) sessionConnect(w http.ResponseWriter, r *http.Request, _ tandem.Principal) error {
	q, err := query(r)
	id := r.PathValue("sessionId")
	own := func(p tandem.Principal) error {
		if err != nil {
			return err
		}
		return ownTenant(p, q.Get("tenantId"))
	}
	p, refused := s.principal(r, auth.Use{
		Purpose: auth.Stream, Route: r.Pattern, Session: id,
		Address: func(p tandem.Principal) (tandem.Address, error) { return tandem.SessionAddress(p.Tenant, id), own(p) },
	})
	if refused != nil {
		return refused
	}
	if err := own(p); err != nil {
		return err
	}
	p.Claims = nil
	req := desk.Connect{Principal: p, Session: id, Heartbeat: sessionHeartbeat}
	req.After, req.Unknown = lastEventID(r, q)
	err = s.stream(w, r, p, s.tellSession(r.Context(), req))
	if tandem.KindOf(err) == tandem.Gone && err != nil {
		w.WriteHeader(http.StatusNoContent) // which stops a browser's EventSource
		return nil
	}
	return err
}

// sessionTeller tells a session.
type sessionTeller struct {
	server *Server
	from   *desk.Follower
	alarm  *time.Timer // hangs up when the session expires; nil: it does not while it is used
	batch  desk.Batch  // what from yielded last: here, so that the stack stays small
}

func (s *Server) tellSession(ctx context.Context, req desk.Connect) func(hangup func()) (teller, error) {
	return func(hangup func()) (teller, error) {
		req.Hangup = hangup
		f, err := s.opt.Desk.Connect(ctx, req)
		if err != nil {
			return nil, err
		}
		t := &sessionTeller{server: s, from: f}
		if end := f.Until(); !end.IsZero() { // a writer that is stuck does not see the follower's end
			t.alarm = time.AfterFunc(end.Sub(s.opt.Clock()), hangup)
		}
		return t, nil
	}
}

func (t *sessionTeller) face() tandem.Face { return tandem.FaceSession }

func (t *sessionTeller) close() {
	if t.alarm != nil {
		t.alarm.Stop()
	}
	t.from.Close()
}

func (t *sessionTeller) hello(retry time.Duration) []byte {
	return sessionHello(t.from.Cursor(), retry)
}

func (t *sessionTeller) failed() []byte {
	return participantBye(t.server.opt.Clock(), "internal error", t.from.Cursor(), retryFailed)
}

// next is called when everything that was told before has been written.
func (t *sessionTeller) next(ctx context.Context, out *told) (err error) {
	t.from.Shown(ctx)
	if t.batch, err = t.from.Next(ctx); err != nil {
		return err
	}
	out.frames, out.newest, out.last = t.frames(), t.batch.Newest, t.batch.Ended != ""
	t.batch = desk.Batch{}
	return nil
}

func (t *sessionTeller) frames() net.Buffers {
	s, b := t.server, &t.batch
	switch {
	case b.Ended != "":
		return net.Buffers{participantBye(s.opt.Clock(), b.Ended, t.from.Cursor(), s.comeBack(b.Ended))}
	case b.Gap != nil:
		return net.Buffers{participantGap(*b.Gap)}
	case b.Reset:
		return net.Buffers{participantReset()}
	case b.Heartbeat:
		s.opt.Metric.Hub.Heartbeats.Inc()
		return net.Buffers{sessionBeat(b.Passed)}
	}
	return b.Frames
}

// sessionDisconnect ends a session, wherever it is connected.
func (s *Server) sessionDisconnect(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	if err := s.opt.Desk.Disconnect(r.Context(), p, r.PathValue("sessionId")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// sessionQuery sends a user a text, as the published document has it.
func (s *Server) sessionQuery(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	if r.Method == http.MethodHead { // which must change nothing
		return tandem.Errorf(tandem.Invalid, "HEAD sends nothing.")
	}
	q, err := query(r)
	if err != nil {
		return err
	}
	in := desk.Send{User: q.Get("userId"), Key: r.Header.Get("Idempotency-Key")}
	if text := q.Get("message"); text != "" {
		if !utf8.ValidString(text) {
			return tandem.Errorf(tandem.Invalid, "message is not valid UTF-8")
		}
		in.Message = encode(text)
	}
	return s.sessionTold(w, r, p, in)
}

type sendRequest struct {
	UserID    string          `json:"userId"`
	SessionID string          `json:"sessionId"`
	TenantID  string          `json:"tenantId"`
	Event     string          `json:"event"`
	Message   json.RawMessage `json:"message"`
}

// sessionSend sends a user, or one session, a text or an object.
func (s *Server) sessionSend(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in sendRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	if err := ownTenant(p, in.TenantID); err != nil {
		return err
	}
	return s.sessionTold(w, r, p, desk.Send{
		User: in.UserID, Session: in.SessionID, Event: in.Event, Message: in.Message, Key: r.Header.Get("Idempotency-Key"),
	})
}

type sendReply struct {
	Message string `json:"message"`
}

func (s *Server) sessionTold(w http.ResponseWriter, r *http.Request, p tandem.Principal, in desk.Send) error {
	n, err := s.opt.Desk.Send(r.Context(), p, in)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, sendReply{fmt.Sprintf("Message sent to %d session(s)", n)})
	return nil
}

type sessionRequest struct {
	UserID     string `json:"userId"`
	SessionID  string `json:"sessionId"`
	TenantID   string `json:"tenantId"`
	TTLSeconds *int64 `json:"ttlSeconds"`
	Capability bool   `json:"capability"`
}

type sessionReply struct {
	SessionID string `json:"sessionId"`
	UserID    string `json:"userId"`
	ExpiresAt string `json:"expiresAt"`
}

// sessionMake makes a session before its page comes.
func (s *Server) sessionMake(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in sessionRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	if err := ownTenant(p, in.TenantID); err != nil {
		return err
	}
	want := desk.NewSession{User: in.UserID, ID: in.SessionID, Capability: in.Capability}
	if in.TTLSeconds != nil {
		most := int64(desk.MaxSessionTTL / time.Second)
		if *in.TTLSeconds < 1 || *in.TTLSeconds > most {
			return tandem.Errorf(tandem.Invalid, "ttlSeconds must be 1 to %d.", most)
		}
		want.TTL = time.Duration(*in.TTLSeconds) * time.Second
	}
	made, err := s.opt.Desk.MakeSession(r.Context(), p, want)
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, sessionReply{made.ID, made.User, stamp(made.Expires)})
	return nil
}
