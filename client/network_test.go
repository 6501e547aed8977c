package client_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed4677ff1f/tandem/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network is a server without ports: pipes, on which the clock of a synctest
// bubble goes on when everybody waits.
type network struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error   { n.once.Do(func() { close(n.closed) }); return nil }
func (n *network) Addr() net.Addr { return &net.UnixAddr{} }

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case n.conns <- far:
		return near, nil
	case <-n.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve starts a server of these answers, and returns a client of it. Both end
// with end, which every test calls before its bubble does.
func serve(t *testing.T, h http.HandlerFunc, o client.Options) (c *client.Client, end func()) {
	t.Helper()
	n := &network{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(n) }()
	transport := &http.Transport{DialContext: n.dial}
	o.HTTPClient = &http.Client{Transport: transport}
	if o.Token == "" {
		o.Token = "tok"
	}
	c, err := client.New("http://tandem.test/base/", o)
	if err != nil {
		t.Fatal(err)
	}
	return c, func() {
		server.Close()
		n.Close()
		<-served
		transport.CloseIdleConnections()
	}
}

// hijack takes the bare connection, for answers that break off in the middle.
func hijack(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	return nc, rw
}

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

// stream begins an event stream that may be cut anywhere.
func stream(w http.ResponseWriter) net.Conn {
	nc, _ := hijack(w)
	io.WriteString(nc, streamHead)
	return nc
}
