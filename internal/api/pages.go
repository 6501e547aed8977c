package api

import (
	"errors"
	"io/fs"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// home is the page of links, and the chat socket for whoever asks for one: its
// document puts it at /.
func (s *Server) home(w http.ResponseWriter, r *http.Request, _ tandem.Principal) error {
	if ws.Requested(r) {
		return s.chat(w, r)
	}
	if s.opt.Pages == nil {
		return errNothing()
	}
	page, err := fs.ReadFile(s.opt.Pages, "index.html")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	show(w, http.StatusOK, "text/html; charset=utf-8", page)
	return nil
}

func (s *Server) socket(w http.ResponseWriter, r *http.Request, _ tandem.Principal) error {
	return s.chat(w, r)
}

// healthz says that the process is alive.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request, _ tandem.Principal) error {
	w.Header().Set("Cache-Control", "no-store")
	show(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
	return nil
}

// readyz says whether a load balancer should send work here. Why not is for the
// log: the reason may name files.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request, _ tandem.Principal) error {
	w.Header().Set("Cache-Control", "no-store")
	status, text := http.StatusOK, "ready\n"
	if s.open.stopped() {
		status, text = http.StatusServiceUnavailable, "stopping\n"
	} else if err := s.opt.Ready(); err != nil {
		s.opt.Log.Debug("not ready", "err", err)
		status, text = http.StatusServiceUnavailable, "not ready\n"
		if known := (*tandem.Error)(nil); errors.As(err, &known) {
			text = "not ready: " + known.Message + "\n"
		}
	}
	show(w, status, "text/plain; charset=utf-8", []byte(text))
	return nil
}

// metrics shows the server's numbers to programs on this machine and to owners.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request, _ tandem.Principal) error {
	if s.opt.OpsElsewhere {
		return errNothing()
	}
	if !s.local(r) {
		p, err := s.principal(r, auth.Use{Purpose: auth.Request, Route: r.Pattern})
		if err != nil {
			return err
		}
		if p.Role != tandem.Owner {
			return tandem.Errorf(tandem.Forbidden, "For owners only.")
		}
	}
	s.opt.Metric.Handler().ServeHTTP(w, r)
	return nil
}

// local reports whether a program on this machine asks for itself: neither a
// proxy on it in somebody else's name, nor a page that a browser on it shows.
func (s *Server) local(r *http.Request) bool {
	return r.Header.Get("Origin") == "" && s.nearby(r)
}

// nearby reports whether a request comes from this machine, also from a page that
// a browser on it shows, but not through a proxy on it.
func (s *Server) nearby(r *http.Request) bool {
	for name := range r.Header {
		if name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" || name == "Via" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err != nil || peer.Addr().Unmap().IsLoopback() // without an address: a unix socket
}

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request, _ tandem.Principal) error {
	return s.description(w, "openapi.yaml")
}

func (s *Server) asyncapi(w http.ResponseWriter, _ *http.Request, _ tandem.Principal) error {
	return s.description(w, "asyncapi.yaml")
}

func (s *Server) description(w http.ResponseWriter, name string) error {
	if s.opt.Spec == nil {
		return errNothing()
	}
	text, err := fs.ReadFile(s.opt.Spec, name)
	if err != nil {
		return err
	}
	show(w, http.StatusOK, "application/yaml", text)
	return nil
}

func show(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // who has gone reads no error
}
