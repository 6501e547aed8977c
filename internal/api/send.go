package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// send stores what a participant says, and answers with the thread's id.
func (s *Server) send(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	in, err := s.postOf(w, r, p, q)
	if err != nil {
		return err
	}
	if _, err := s.opt.Desk.Post(r.Context(), p, in); err != nil {
		return err
	}
	reply(w, http.StatusOK, in.Address.ThreadID())
	return nil
}

// The bounds of how long converse may wait, in seconds.
const (
	conversePatience = 60
	converseMost     = 600
)

// converse stores what a participant says and answers with what is said back.
func (s *Server) converse(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	wait, err := number(q, "timeoutSeconds", conversePatience)
	if err != nil {
		return err
	}
	if wait < 1 || wait > converseMost {
		return tandem.Errorf(tandem.Invalid, "timeoutSeconds must be from 1 to %d.", converseMost)
	}
	in, err := s.postOf(w, r, p, q)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.base, cancel)() // a wait of ten minutes must not hold up the end
	answer, err := s.opt.Desk.Converse(ctx, p, in, time.Duration(wait)*time.Second)
	if err != nil {
		if s.base.Err() != nil {
			return errStopping()
		}
		return err
	}
	out, ok := messageOf(in.Address, &answer)
	if !ok {
		return tandem.Errorf(tandem.Internal, "an answer that is no message")
	}
	reply(w, http.StatusOK, out)
	return nil
}

// postOf reads what send and converse have in common. The sentences are those of
// the published document.
func (s *Server) postOf(w http.ResponseWriter, r *http.Request, p tandem.Principal, q url.Values) (desk.Post, error) {
	if q.Get("workflow") == "" {
		return desk.Post{}, tandem.Errorf(tandem.Invalid, "Workflow is required.")
	}
	if q.Get("type") == "" {
		return desk.Post{}, tandem.Errorf(tandem.Invalid, "Message type is required.")
	}
	t, ok := tandem.ParseMessageType(q.Get("type"))
	if !ok || t != tandem.Chat && t != tandem.Data {
		return desk.Post{}, tandem.Errorf(tandem.Invalid, "Invalid message type specified.")
	}
	a, err := threadOf(p, q, "ParticipantId is required.")
	if err != nil {
		return desk.Post{}, err
	}
	data, err := s.body(w, r)
	if err != nil {
		return desk.Post{}, err
	}
	return desk.Post{
		Address: a, Type: t, Text: q.Get("text"), Data: data, Hint: q.Get("hint"), Scope: q.Get("scope"), RequestID: q.Get("requestId"),
		Key: r.Header.Get("Idempotency-Key"), Locale: localeOf(p, r),
	}, nil
}

// defaultPage is how many messages a page of history has if nobody says.
const defaultPage = 20

// history reads a thread back.
func (s *Server) history(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	a, err := threadOf(p, q, "Workflow and participantId are required parameters")
	if err != nil {
		return err
	}
	h := desk.History{Address: a, Filter: tandem.Filter{Scope: q.Get("scope")}, After: q.Get("after")}
	if h.Page, err = number(q, "page", 1); err != nil {
		return err
	}
	if h.Page < 1 || h.Page > maxPage {
		return tandem.Errorf(tandem.Invalid, "page must be from 1 to %d.", maxPage)
	}
	if h.PageSize, err = pageSize(q, "pageSize", defaultPage, s.opt.Limits.Page); err != nil {
		return err
	}
	events, err := s.opt.Desk.History(r.Context(), p, h)
	if err != nil {
		return err
	}
	out := make([]participantMessage, 0, len(events))
	for i := range events {
		if m, ok := messageOf(a, &events[i]); ok {
			out = append(out, m)
		}
	}
	reply(w, http.StatusOK, out)
	return nil
}

// maxPage bounds how far back pages reach: each costs reading all before it. With
// `after` there is no bound.
const maxPage = 10_000

// pageSize reads how many entries a page shall have. Who asks for more than the
// limit gets the limit.
func pageSize(q url.Values, name string, def, most int) (int, error) {
	n, err := number(q, name, def)
	if err != nil {
		return 0, err
	}
	if n < 1 {
		return 0, tandem.Errorf(tandem.Invalid, "%s must be at least 1.", name)
	}
	if most > 0 {
		n = min(n, most)
	}
	return min(n, 1<<16), nil
}
