package api

import (
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/metric"
)

// A route is one URL.
type route struct {
	pattern string       // "METHOD /path", as net/http.ServeMux reads it; also in logs, metrics and tickets
	form    form         // how its errors look
	use     auth.Purpose // what a credential is presented for; empty: the handler sees to it, or needs none
	cost    cost         // what a request counts in the rate
	do      handler
	counted metric.Route
}

// A handler answers one request: decode, one call to the desk, encode. p is who
// asks, if the route says that a credential is needed. An error that comes before
// the answer has begun is answered in the route's form.
type handler func(s *Server, w http.ResponseWriter, r *http.Request, p tandem.Principal) error

// routes is the table of all URLs. Opening a stream with a good credential, a
// ticket and the server's own pages cost nothing of the rate.
func routes() []route {
	const outbound = "POST /api/agent/conversation/outbound/"
	push := func(t tandem.MessageType) handler {
		return func(s *Server, w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
			return s.push(w, r, p, t)
		}
	}
	return append(conversationRoutes(), []route{
		{pattern: "GET /api/user/sse/events", form: formBare, do: (*Server).events},
		{pattern: "POST /api/user/rest/send", form: formBare, use: auth.Request, cost: costPost, do: (*Server).send},
		{pattern: "POST /api/user/rest/converse", form: formBare, use: auth.Request, cost: costPost, do: (*Server).converse},
		{pattern: "GET /api/user/rest/history", form: formBare, use: auth.Request, cost: costRequest, do: (*Server).history},
		{pattern: "DELETE /api/user/rest/thread", form: formBare, use: auth.Request, cost: costRequest, do: (*Server).deleteThread},

		{pattern: "GET /api/agent/events", form: formBare, do: (*Server).feed},
		{pattern: outbound + "chat", form: formBare, use: auth.Request, cost: costPost, do: push(tandem.Chat)},
		{pattern: outbound + "data", form: formBare, use: auth.Request, cost: costPost, do: push(tandem.Data)},
		{pattern: outbound + "handoff", form: formBare, use: auth.Request, cost: costPost, do: (*Server).handoff},
		{pattern: outbound + "reasoning", form: formBare, use: auth.Request, cost: costPost, do: push(tandem.Reasoning)},
		{pattern: outbound + "tool", form: formBare, use: auth.Request, cost: costPost, do: push(tandem.Tool)},
		{pattern: outbound + "file", form: formBare, use: auth.Request, cost: costPost, do: push(tandem.File)},

		{pattern: "GET /sse/connect/{sessionId}", form: formSession, do: (*Server).sessionConnect},
		{pattern: "DELETE /sse/disconnect/{sessionId}", form: formSession, use: auth.Request, cost: costRequest, do: (*Server).sessionDisconnect},
		{pattern: "GET /sse/send", form: formSession, use: auth.Request, cost: costPost, do: (*Server).sessionQuery},
		{pattern: "POST /sse/send", form: formSession, use: auth.Request, cost: costPost, do: (*Server).sessionSend},
		{pattern: "POST /api/sessions", form: formSession, use: auth.Request, cost: costPost, do: (*Server).sessionMake},

		{pattern: "POST /api/auth/login", form: formLogin, do: (*Server).login},
		{pattern: "POST /api/auth/link", form: formLogin, do: (*Server).link},
		{pattern: "POST /api/auth/logout", form: formObject, use: auth.Request, cost: costRequest, do: (*Server).logout},
		{pattern: "GET /api/auth/me", form: formObject, use: auth.Request, cost: costRequest, do: (*Server).me},
		{pattern: "POST /api/auth/revoke", form: formObject, use: auth.Request, cost: costRequest, do: owners((*Server).revoke)},
		{pattern: "POST /api/auth/tickets", form: formObject, use: auth.Request, do: (*Server).ticket},
		{pattern: "POST /api/auth/refresh", form: formObject, use: auth.Request, cost: costRequest, do: (*Server).refresh},

		{pattern: "GET /api/admin/users", form: formObject, use: auth.Request, cost: costRequest, do: owners((*Server).users)},
		{pattern: "POST /api/admin/users", form: formObject, use: auth.Request, cost: costRequest, do: owners((*Server).addUser)},
		{pattern: "PATCH /api/admin/users/{username}", form: formObject, use: auth.Request, cost: costRequest, do: owners((*Server).changeUser)},
		{pattern: "DELETE /api/admin/users/{username}", form: formObject, use: auth.Request, cost: costRequest, do: owners((*Server).disableUser)},
		{pattern: "GET /api/admin/keys", form: formObject, use: auth.Request, cost: costRequest, do: owners((*Server).keys)},
		{pattern: "POST /api/admin/keys", form: formObject, use: auth.Request, cost: costRequest, do: owners((*Server).addKey)},
		{pattern: "DELETE /api/admin/keys/{id}", form: formObject, use: auth.Request, cost: costRequest, do: owners((*Server).revokeKey)},
		{pattern: "GET /api/admin/tenants", form: formObject, use: auth.Request, cost: costRequest, do: owners((*Server).tenants)},
		{pattern: "POST /api/admin/tenants", form: formObject, use: auth.Request, cost: costRequest, do: owners((*Server).addTenant)},
		{pattern: "GET /api/admin/audit", form: formObject, use: auth.Request, cost: costRequest, do: owners((*Server).audit)},

		{pattern: "GET /{$}", form: formObject, do: (*Server).home},
		{pattern: "GET /ws", form: formObject, do: (*Server).socket},
		{pattern: "GET /healthz", form: formObject, do: (*Server).healthz},
		{pattern: "GET /readyz", form: formObject, do: (*Server).readyz},
		{pattern: "GET /metrics", form: formObject, do: (*Server).metrics},
		{pattern: "GET /openapi.yaml", form: formObject, do: (*Server).openapi},
		{pattern: "GET /asyncapi.yaml", form: formObject, do: (*Server).asyncapi},
	}...)
}

// conversationRoutes are those of operators, gateways and consoles.
func conversationRoutes() []route {
	const one = "/api/conversation/{conversation_id}"
	return []route{
		{pattern: "GET /api/conversations", form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).conversations},
		{pattern: "POST /api/conversations", form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).openConversation},
		{pattern: "GET /api/conversations/stream", form: formDetail, do: (*Server).board},
		{pattern: "GET " + one, form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).snapshot},
		{pattern: "GET " + one + "/stream", form: formDetail, do: (*Server).conversationStream},
		{pattern: "GET " + one + "/audit", form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).conversationAudit},
		{pattern: "PATCH " + one, form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).change},
		{pattern: "POST " + one + "/messages", form: formDetail, use: auth.Request, cost: costPost, do: (*Server).say},
		{pattern: "POST " + one + "/takeover", form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).takeover},
		{pattern: "POST " + one + "/release", form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).release},
		{pattern: "POST " + one + "/transfer", form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).transfer},
		{pattern: "POST " + one + "/end", form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).endConversation},
		{pattern: "POST " + one + "/typing", form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).typing},
		{pattern: "POST " + one + "/read", form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).markRead},
		{pattern: "POST " + one + "/steer", form: formDetail, use: auth.Request, cost: costPost, do: (*Server).steer},
		{pattern: "POST " + one + "/drafts/{message_id}/send", form: formDetail, use: auth.Request, cost: costPost, do: (*Server).sendDraft},
		{pattern: "DELETE " + one + "/drafts/{message_id}", form: formDetail, use: auth.Request, cost: costRequest, do: (*Server).dropDraft},
	}
}

// route fills the mux. What it does not know falls to unknown.
func (s *Server) route(table []route) {
	s.table, s.mux = table, http.NewServeMux()
	for i := range s.table {
		rt := &s.table[i]
		rt.counted = s.opt.Metric.Route(rt.pattern)
		s.mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { s.answer(rt, w, r) })
	}
	s.mux.HandleFunc("/", s.unknown)
}

// Routes returns "METHOD /path" of every route, for comparison with the
// specification.
func (s *Server) Routes() []string {
	var all []string
	for _, rt := range s.table {
		all = append(all, rt.pattern)
	}
	return all
}

// serve is where every request comes in.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	s.cors(h, r)
	switch {
	case r.Method == http.MethodOptions:
		s.preflight(w, r)
	case !plain(r):
		s.unknown(w, r)
	default:
		s.mux.ServeHTTP(w, r)
	}
}

// plain reports whether the path is one that a client means as it is. net/http
// would redirect the others to what is left after cleaning, and with it send the
// query back, in which there may be a credential.
func plain(r *http.Request) bool {
	p := r.URL.EscapedPath()
	return strings.HasPrefix(p, "/") && path.Clean(p) == p && path.Clean(r.URL.Path) == r.URL.Path
}

// methods are the methods that the request's path has.
func (s *Server) methods(r *http.Request) []string {
	var found []string
	if !plain(r) {
		return nil
	}
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(probe); pattern != "/" {
			found = append(found, m)
		}
	}
	return found
}

// unknown answers paths that there are not, and methods that a path has not.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	form := formObject
	if strings.HasPrefix(r.URL.Path, "/api/conversation") {
		form = formDetail
	} else if strings.HasPrefix(r.URL.Path, "/sse/") || strings.HasPrefix(r.URL.Path, "/api/sessions") {
		form = formSession
	}
	if allow := s.methods(r); len(allow) > 0 {
		w.Header().Set("Allow", strings.Join(append(allow, http.MethodOptions), ", "))
		form.write(w, http.StatusMethodNotAllowed, "Method not allowed", "This path does not have this method.", 0)
		return
	}
	form.write(w, http.StatusNotFound, "Not found", "There is nothing here.", 0)
}

// answer lets a route answer a request, and sees to everything that all routes
// have in common.
func (s *Server) answer(rt *route, w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	id := tandem.NewID("", s.opt.Clock())
	ctx, end := s.opt.Metric.Tracer.Request(r.Context(), r.Header, rt.pattern, id)
	r = r.WithContext(ctx)
	out := &recorder{ResponseWriter: w}
	w.Header().Set("X-Request-Id", id)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.opt.Log.Error("panic", "route", rt.pattern, "request", id, "panic", p, "stack", string(debug.Stack()))
			s.fail(rt, id, out, errPanic)
		}
		rt.counted.Done(out.status, time.Since(began))
		end(out.status)
	}()
	if err := s.judge(rt, out, r); err != nil {
		s.fail(rt, id, out, err)
	}
}

// judge refuses whom it has to and calls the handler for the others.
func (s *Server) judge(rt *route, w *recorder, r *http.Request) error {
	var p tandem.Principal
	if rt.use != "" {
		if s.open.stopped() {
			return errStopping()
		}
		var err error
		if p, err = s.principal(r, auth.Use{Purpose: rt.use, Route: rt.pattern, Session: r.PathValue("sessionId")}); err != nil {
			return err
		}
		// Whatever else says the tenant, no query may say another one.
		if err := ownTenant(p, r.URL.Query().Get("tenantId")); err != nil {
			return err
		}
		a := s.charge(p, rt.cost)
		a.headers(w.Header())
		if err := a.err(); err != nil {
			return err
		}
	}
	return rt.do(s, w, r, p)
}

// recorder remembers the status that was sent, for metrics and so that an error
// after the first byte is not answered on top of it.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 || w.status < http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController, which hijacks, flushes and sets deadlines.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
