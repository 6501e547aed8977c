package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

// listenAll opens every address, or none. A socket file that nobody listens on
// any more is replaced.
func listenAll(addrs []string) (list []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range list {
				err = errors.Join(err, l.Close())
			}
			list = nil
		}
	}()
	for _, addr := range addrs {
		network, host := "tcp", addr
		if path, ok := strings.CutPrefix(addr, "unix:"); ok {
			network, host = "unix", path
			if err := removeStale(path); err != nil {
				return list, err
			}
		}
		l, err := net.Listen(network, host)
		if err != nil {
			return list, fmt.Errorf("cannot listen on %s (%w); choose another with --listen, or stop what has it", addr, errors.Unwrap(err))
		}
		list = append(list, l)
	}
	return list, nil
}

func removeStale(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return nil // nothing there, or not ours to remove: Listen will say so
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		return errors.Join(fmt.Errorf("a server listens on %s already", path), c.Close())
	}
	return os.Remove(path)
}

// newHTTP is the server of every address. What a client may keep open without
// saying anything is bounded; streams have their own time-outs. The head has room
// for a text of the longest kind, which some routes take in the query.
func newHTTP(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 128 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// certificate is the pair of tls_cert and tls_key; reading it again, on SIGHUP,
// changes what new connections are shown.
type certificate struct {
	certFile, keyFile string
	now               atomic.Pointer[tls.Certificate]
}

func (c *certificate) read() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("tls_cert and tls_key: %w", err)
	}
	c.now.Store(&pair)
	return nil
}

// tlsConfig is how the server shows who it is; nil for plain HTTP. reread is
// called on SIGHUP.
func tlsConfig(c Config) (config *tls.Config, reread func() error, err error) {
	switch c.TLSCert {
	case "":
		return nil, func() error { return nil }, nil
	case "auto":
		u, err := url.Parse(c.PublicURL)
		if err != nil {
			return nil, nil, fmt.Errorf("public_url: %w", err)
		}
		m := &autocert.Manager{Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(u.Hostname()), Cache: autocert.DirCache(filepath.Join(c.Data, "acme"))}
		return m.TLSConfig(), func() error { return nil }, nil
	}
	pair := &certificate{certFile: c.TLSCert, keyFile: c.TLSKey}
	if err := pair.read(); err != nil {
		return nil, nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.now.Load(), nil },
	}, pair.read, nil
}

// opsHandler is what ops_listen serves: figures and profiles, for nobody else's eyes.
func opsHandler(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// serveOn serves h on a listener until the server is shut down.
func serveOn(s *http.Server, l net.Listener, secure bool) error {
	var err error
	if secure {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// shut ends a server: no new requests, and a second for those under way.
func shut(s *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		return s.Close()
	}
	return nil
}
