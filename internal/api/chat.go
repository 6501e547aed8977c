package api

import (
	"net/http"
	"net/url"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// What time means on a chat socket.
const (
	chatReplayed = 10 * time.Minute // a socket without a place is shown what was finished since
	chatBeat     = 30 * time.Second // between protocol pings
	chatSilence  = 75 * time.Second // a peer that sends nothing for so long is gone
	chatWarning  = 5 * time.Minute  // before the credential's end
	chatSpread   = 5 * time.Second  // within which a server that ends closes its sockets, if it has many
)

type chatConnectionFrame struct {
	Type         string   `json:"type"`
	Message      string   `json:"message"`
	Timestamp    chatTime `json:"timestamp"`
	Conversation string   `json:"conversationId"`
	Cursor       string   `json:"cursor"`
}

// chat opens a chat socket: `/ws`, and `/` if it asks for a WebSocket. Everything
// that can be refused is refused before the upgrade, with a status. A participant
// chats as itself; nobody chats as somebody else, so other roles, and tokens that
// are for one push session only, are refused with 403 (back ends speak for a
// participant by rest/send).
func (s *Server) chat(w http.ResponseWriter, r *http.Request) error {
	if err := ws.Check(r); err != nil {
		return err
	}
	if !s.originAllowed(r) {
		return tandem.Errorf(tandem.Forbidden, "You do not have permission to access this resource")
	}
	q, err := query(r)
	if err != nil {
		return err
	}
	p, err := s.principal(r, auth.Use{Purpose: auth.Socket, Route: r.Pattern})
	if err != nil {
		return err
	}
	a, err := s.chatThread(p, q)
	if err != nil {
		return err
	}
	t, err := s.opt.Desk.Enter(r.Context(), p, a)
	if err != nil {
		return err
	}
	c := &chatSocket{s: s, address: a, locale: localeOf(p, r), page: r.Header.Get("Origin") != "", who: p}
	var after *string
	if q.Has("after") {
		place := q.Get("after")
		after = &place
	}
	f, err := c.follow(r.Context(), after)
	if err != nil {
		return err
	}
	if err := c.open(w, r, f, desk.ConversationID(t)); err != nil {
		f.Close()
		return err
	}
	return nil
}

// chatThread is the thread that a participant's chat is about: the workflow is
// the credential's, else the query's, else the server's.
func (s *Server) chatThread(p tandem.Principal, q url.Values) (tandem.Address, error) {
	if p.Role != tandem.Participant || p.Session != "" {
		return tandem.Address{}, tandem.Errorf(tandem.Forbidden, "You do not have permission to access this resource")
	}
	workflow := p.Workflow
	if workflow == "" {
		workflow = tandem.ParseWorkflow(p.Tenant, q.Get("workflow"))
	}
	if workflow == "" {
		workflow = s.opt.Workflow
	}
	return tandem.NewAddress(p.Tenant, workflow, p.Subject)
}

// open takes the connection over and starts its two goroutines. Neither the
// request nor a buffer of net/http is kept. f stays the caller's if it fails.
func (c *chatSocket) open(w http.ResponseWriter, r *http.Request, f *desk.Follower, conversation string) error {
	s := c.s
	// What was taken back, or began to end, while nobody followed for this socket.
	if err := s.opt.Auth.Recheck(r.Context(), c.who); err != nil {
		return err
	}
	if !s.open.enter() {
		return errStopping()
	}
	nc, early, err := ws.Accept(w, r)
	if rec, ok := w.(*recorder); ok {
		rec.status = http.StatusSwitchingProtocols // nothing can be answered any more
	}
	if err != nil {
		s.open.leave()
		return err
	}
	tune(nc)
	c.conn = ws.NewConn(nc, early, ws.Options{
		MaxMessage: s.opt.Limits.Frame, Silence: chatSilence, Stall: s.opt.Limits.Stall, OnPong: c.pong,
	})
	c.shown = f.Cursor()
	// If it cannot be written, reading will tell.
	_ = c.send(chatConnectionFrame{
		Type: "connection", Message: "Connected to chatbot server", Timestamp: chatTime(s.opt.Clock()),
		Conversation: conversation, Cursor: c.shown.String(),
	})
	c.pair.Add(1)
	go c.show(c.begin(f))
	go c.read()
	return nil
}
