package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/seed4677ff1f/tandem/internal/auth"
)

// ServeCmd runs the server.
type ServeCmd struct{ serverFlags }

// Run serves until SIGINT or SIGTERM.
func (c ServeCmd) Run(s *session) error {
	source := c.source(s)
	config, err := source.load()
	if err != nil {
		return err
	}
	log := newLog(s.errOut, config.LogLevel)
	for _, warning := range config.warnings() {
		log.Warn(warning)
	}
	return serve(s.ctx, config, log, source.load, func(n *node, addrs []net.Listener) error {
		return welcome(s, config, n, addrs)
	})
}

// newLog writes JSON lines, or readable ones on a terminal. What looks like a
// credential is left out wherever it comes from.
func newLog(w io.Writer, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: auth.RedactAttr}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return slog.New(slog.NewTextHandler(w, options))
		}
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// serve is the life of a server: open the data, listen, serve until ctx ends or
// the store is lost, drain, close. load is called on SIGHUP; listening, if not
// nil, once every address is open, with a node to make credentials with.
func serve(ctx context.Context, c Config, log *slog.Logger, load func() (Config, error), listening func(*node, []net.Listener) error) (err error) {
	secure, reread, err := tlsConfig(c)
	if err != nil {
		return err
	}
	addrs, err := listenAll(c.Listen)
	if err != nil {
		return err
	}
	ops := []net.Listener(nil)
	if c.OpsListen != "" {
		if ops, err = listenAll([]string{c.OpsListen}); err != nil {
			return errors.Join(err, closeAll(addrs))
		}
	}
	n, err := openNode(ctx, c, log)
	if err != nil {
		return errors.Join(err, closeAll(addrs), closeAll(ops))
	}
	defer n.close(ctx)
	public, private := newHTTP(n.api.Handler(), log), newHTTP(opsHandler(n.metric.Handler()), log)
	public.TLSConfig = secure
	var running sync.WaitGroup
	failed := make(chan error, len(addrs)+len(ops))
	start := func(s *http.Server, list []net.Listener, secure bool) {
		for _, l := range list {
			running.Go(func() {
				if err := serveOn(s, l, secure); err != nil {
					failed <- err
				}
			})
			log.Info("listening", "address", l.Addr().String())
		}
	}
	start(public, addrs, secure != nil)
	start(private, ops, false)
	if listening != nil {
		err = listening(n, addrs)
	}
	if err == nil {
		err = n.wait(ctx, failed, load, reread)
	}
	n.drain()
	err = errors.Join(err, shut(public), shut(private))
	running.Wait()
	log.Info("stopped")
	return err
}

func closeAll(list []net.Listener) error {
	var errs []error
	for _, l := range list {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// wait returns when the server has to end, and re-reads the configuration on
// SIGHUP until then.
func (n *node) wait(ctx context.Context, failed <-chan error, load func() (Config, error), reread func() error) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-n.store.Dead():
			return fmt.Errorf("%w; what was accepted is in the data folder: start again once its disk works", n.store.Ready())
		case <-hup:
			next, err := load()
			if err == nil {
				err = reread()
			}
			if err != nil {
				n.log.Error("the configuration was not re-read", "err", err)
				continue
			}
			n.reload(next)
		}
	}
}
