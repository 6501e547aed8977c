package ws

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	coder "github.com/coder/websocket"
)

// echo is a server of ours that sends every message back, and tells how each
// connection ended.
func echo(t *testing.T, o Options) (server *httptest.Server, ends <-chan error) {
	ended := make(chan error, 10)
	var open sync.WaitGroup
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, buffered, err := Accept(w, r)
		if err != nil {
			refuse(w, err)
			return
		}
		open.Go(func() {
			c := NewConn(nc, buffered, o)
			for {
				m, err := c.Read()
				if err != nil {
					ended <- err
					return
				}
				c.WriteText(m)
			}
		})
	}))
	t.Cleanup(open.Wait)
	t.Cleanup(server.Close)
	return server, ended
}

func refuse(w http.ResponseWriter, err error) {
	if he := (*HandshakeError)(nil); errors.As(err, &he) {
		for name, values := range he.Header {
			w.Header()[name] = values
		}
		http.Error(w, he.Message, he.Status)
	}
}

func dialCoder(t *testing.T, server *httptest.Server, o *coder.DialOptions) *coder.Conn {
	t.Helper()
	c, _, err := coder.Dial(deadlineContext(t), server.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(1 << 20)
	return c
}

var sizes = []int{0, 1, 125, 126, 255, 256, 257, 4095, 4096, 65535, 65536, 100_000}

// sized is a text of n bytes with runes of all widths.
func sized(n int) string {
	s := strings.Repeat("aé€😀", n/10)
	return s + strings.Repeat("x", n-len(s))
}

func TestInterop_anotherClient(t *testing.T) {
	server, ends := echo(t, Options{MaxMessage: 100_000})
	c, ctx := dialCoder(t, server, nil), deadlineContext(t)
	for _, n := range sizes {
		text := sized(n)
		if err := c.Write(ctx, coder.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != text {
			t.Fatalf("%d bytes: %.20q, %v", n, got, err)
		}
		// The same in many fragments.
		w, err := c.Writer(ctx, coder.MessageText)
		if err != nil {
			t.Fatal(err)
		}
		for rest := text; rest != ""; {
			k := min(len(rest), 1+rand.IntN(n/4+1))
			io.WriteString(w, rest[:k])
			rest = rest[k:]
		}
		w.Close()
		if _, got, err := c.Read(ctx); err != nil || string(got) != text {
			t.Fatalf("%d bytes in fragments: %.20q, %v", n, got, err)
		}
	}
	// Its ping returns when the pong has come, which somebody must read.
	go c.Read(ctx)
	if err := c.Ping(ctx); err != nil {
		t.Error(err)
	}
	c.Close(4000, "that is all")
	if err := <-ends; err.Error() != "ws: closed by the peer: 4000 that is all" {
		t.Errorf("the server saw %v", err)
	}
}

// The close frame reaches a client that is in the middle of sending more than it
// may. Broken once by closing without lingering: the client saw a reset.
func TestInterop_anotherClientIsTooLoud(t *testing.T) {
	server, ends := echo(t, Options{MaxMessage: 64 << 10})
	for _, tt := range []struct {
		kind coder.MessageType
		text string
		want coder.StatusCode
	}{
		{coder.MessageText, sized(64<<10 + 1), coder.StatusMessageTooBig},
		{coder.MessageText, sized(600_000), coder.StatusMessageTooBig},
		{coder.MessageText, "\xff", coder.StatusInvalidFramePayloadData},
		{coder.MessageBinary, "a", coder.StatusUnsupportedData},
	} {
		c, ctx := dialCoder(t, server, nil), deadlineContext(t)
		if err := c.Write(ctx, tt.kind, []byte(tt.text)); err != nil {
			t.Errorf("%.10q: write: %v", tt.text, err)
		}
		_, _, err := c.Read(ctx)
		if got := coder.CloseStatus(err); got != tt.want {
			t.Errorf("%.10q: %v", tt.text, err)
		}
		if err := <-ends; coder.StatusCode(err.(*CloseError).Code) != tt.want {
			t.Errorf("%.10q: the server saw %v", tt.text, err)
		}
	}
}

func TestInterop_anotherServer(t *testing.T) {
	pinged := make(chan string, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, &coder.AcceptOptions{
			Subprotocols:   []string{bearer},
			OnPingReceived: func(_ context.Context, p []byte) bool { pinged <- string(p); return true },
		})
		if err != nil {
			return
		}
		c.SetReadLimit(1 << 20)
		for {
			kind, m, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if string(m) == "go away" {
				c.Close(4001, "gone")
				return
			}
			c.Write(r.Context(), kind, m)
		}
	})
	for name, start := range map[string]func(http.Handler) *httptest.Server{
		"ws": httptest.NewServer, "wss": httptest.NewTLSServer,
	} {
		server := start(handler)
		defer server.Close()
		url := "ws" + strings.TrimPrefix(server.URL, "http") + "/x?y=z#fragment"
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		pongs := make(chan string, 1)
		hc := *server.Client()
		hc.Timeout = time.Minute
		c, err := Dial(ctx, &hc, url, http.Header{"Sec-Websocket-Protocol": {"bearer, abc"}},
			Options{MaxMessage: 1 << 20, OnPong: func(p []byte) { pongs <- string(p) }})
		cancel() // was for the handshake only
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, n := range sizes {
			text := sized(n)
			c.WriteText([]byte(text))
			if got, err := c.Read(); err != nil || string(got) != text {
				t.Fatalf("%s: %d bytes: %.20q, %v", name, n, got, err)
			}
		}
		c.Ping([]byte("hey"))
		if p := <-pinged; p != "hey" {
			t.Errorf("%s: the server got the ping %q", name, p)
		}
		c.WriteText([]byte("after the ping"))
		if m, err := c.Read(); err != nil || string(m) != "after the ping" || len(pongs) != 1 {
			t.Errorf("%s: %q, %v, %d pongs", name, m, err, len(pongs))
		}
		c.WriteText([]byte("go away"))
		if _, err := c.Read(); err == nil || err.Error() != "ws: closed by the peer: 4001 gone" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInterop_ourselves(t *testing.T) {
	server, ends := echo(t, Options{MaxMessage: 100_000})
	c, err := Dial(t.Context(), server.Client(), "ws"+server.URL[4:], nil, Options{MaxMessage: 99, Stall: time.Minute, Silence: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	c.WriteText([]byte("hello"))
	if m, err := c.Read(); err != nil || string(m) != "hello" {
		t.Errorf("%q, %v", m, err)
	}
	c.Close(Normal, "bye")
	if _, err := c.Read(); err == nil || err.Error() != "ws: closed by the peer: 1000 bye" {
		t.Error(err)
	}
	<-ends
}

// A client's deadlines close its connection, but only while they matter.
func TestDial_deadlines(t *testing.T) {
	server, ends := echo(t, Options{})
	o := Options{Stall: 50 * time.Millisecond, Silence: 300 * time.Millisecond}
	c, err := Dial(t.Context(), server.Client(), "ws"+server.URL[4:], nil, o)
	if err != nil {
		t.Fatal(err)
	}
	c.WriteText([]byte("hello"))
	c.WriteText([]byte("again"))
	c.Read()
	<-time.After(o.Silence + 50*time.Millisecond) // its reader is busy with something else
	if m, err := c.Read(); string(m) != "again" {
		t.Errorf("%q, %v", m, err)
	}
	begin := time.Now()
	if _, err := c.Read(); err == nil || time.Since(begin) < o.Silence-10*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	<-ends
}

func TestDial_refused(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"/401": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			http.Error(w, "who are you", http.StatusUnauthorized)
		},
		"/200":      func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a page") },
		"/key":      switching("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA"),
		"/upgrade":  switching("Upgrade: tea\r\nConnection: Upgrade"),
		"/protocol": switching("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: tea"),
		"/zip":      switching("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Extensions: permessage-deflate"),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answers[r.URL.Path](w, r) }))
	defer server.Close()
	for path, status := range map[string]int{"/401": 401, "/200": 200, "/key": 101, "/upgrade": 101, "/protocol": 101, "/zip": 101} {
		_, err := Dial(t.Context(), server.Client(), "ws"+server.URL[4:]+path, nil, Options{})
		var refused *HandshakeError
		if !errors.As(err, &refused) || refused.Status != status {
			t.Errorf("%s: %v", path, err)
		} else if status == 401 && (refused.Message != "who are you\n" || refused.Header.Get("Retry-After") != "7") {
			t.Errorf("%s: %+v", path, refused)
		}
	}
	for _, url := range []string{"http://127.0.0.1/", "://", "ws://127.0.0.1:1/"} {
		if _, err := Dial(t.Context(), server.Client(), url, nil, Options{}); err == nil {
			t.Errorf("%s: no error", url)
		}
	}
}

// switching answers 101 with these header lines; %s is the right accept key.
func switching(lines string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		nc, _, _ := http.NewResponseController(w).Hijack()
		if strings.Contains(lines, "%s") {
			lines = fmt.Sprintf(lines, acceptKey(r.Header.Get("Sec-WebSocket-Key")))
		}
		io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\n"+lines+"\r\n\r\n")
		nc.Close()
	}
}

// The example of RFC 6455, section 1.3.
func TestAcceptKey(t *testing.T) {
	if got := acceptKey("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Error(got)
	}
}

const goodHandshake = "GET /?token=x HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// send writes raw bytes to the server and reads the answer's head.
func send(t *testing.T, server *httptest.Server, bytes string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	nc, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	io.WriteString(nc, bytes)
	r := bufio.NewReader(nc)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return nc, r, resp
}

func TestAccept_bytes(t *testing.T) {
	server, ends := echo(t, Options{})
	nc, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// The first frames come in one packet with the request.
	io.WriteString(nc, goodHandshake+"Sec-WebSocket-Protocol: bearer, abc\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"+
		string(masked(opText, "early"))+string(masked(opClose, "")))
	got, err := io.ReadAll(nc)
	want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: bearer\r\n\r\n" +
		"\x81\x05early\x88\x00"
	if string(got) != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	nc.Close()
	<-ends
}

func TestAccept_judgesHandshakes(t *testing.T) {
	server, ends := echo(t, Options{})
	change := func(old, new string) string { return strings.Replace(goodHandshake, old, new, 1) + "\r\n" }
	for _, tt := range []struct {
		name, request, header string
		status                int
	}{
		{"good", goodHandshake + "\r\n", "", 101},
		{"other protocols", goodHandshake + "Sec-WebSocket-Protocol: tea\r\n\r\n", "", 101},
		{"no key", change("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), "", 400},
		{"two keys", change("Connection", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection"), "", 400},
		{"a short key", change("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub24="), "", 400},
		{"no base64", change("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ!=="), "", 400},
		{"an old version", change("Version: 13", "Version: 8"), "Sec-Websocket-Version", 426},
		{"no version", change("Sec-WebSocket-Version: 13\r\n", ""), "Sec-Websocket-Version", 426},
		{"no upgrade", change("Upgrade: WebSocket\r\n", ""), "Upgrade", 426},
		{"upgrade to tea", change("Upgrade: WebSocket\r\n", "Upgrade: tea\r\n"), "Upgrade", 426},
		{"no connection", change("keep-alive, Upgrade", "keep-alive"), "", 400},
		{"POST", change("GET", "POST"), "Allow", 405},
		{"HTTP/1.0", change("HTTP/1.1", "HTTP/1.0"), "", 400},
	} {
		nc, _, resp := send(t, server, tt.request)
		if resp.StatusCode != tt.status || (tt.header != "" && resp.Header.Get(tt.header) == "") {
			t.Errorf("%s: %d %v", tt.name, resp.StatusCode, resp.Header)
		}
		if resp.Header.Get("Sec-WebSocket-Protocol") != "" {
			t.Errorf("%s: a subprotocol was selected", tt.name)
		}
		nc.Close()
		if tt.status == 101 {
			<-ends
		}
	}
}

func TestBearer(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{nil, ""},
		{[]string{"bearer"}, ""},
		{[]string{"bearer, eyJ.a-b_c.d"}, "eyJ.a-b_c.d"},
		{[]string{"bearer", "abc"}, "abc"},
		{[]string{" bearer ,abc,def"}, "abc"},
		{[]string{"abc, bearer"}, ""},
		{[]string{"tea, abc"}, ""},
	} {
		if got := Bearer(http.Header{"Sec-Websocket-Protocol": tt.lines}); got != tt.want {
			t.Errorf("%q: %q", tt.lines, got)
		}
	}
}

// The request, with all that hangs on it, is garbage while the socket is open.
// Broken once by returning the bufio.ReadWriter's peeked bytes uncopied.
func TestAccept_letsTheRequestGo(t *testing.T) {
	type held struct {
		request weak.Pointer[http.Request]
		buffer  weak.Pointer[byte]
	}
	accepted := make(chan held, 1)
	var c *Conn
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		spy := &hijackSpy{ResponseWriter: w}
		nc, buffered, _ := Accept(spy, r)
		c = NewConn(nc, buffered, Options{})
		accepted <- held{weak.Make(r), spy.buffer}
	}))
	defer server.Close()
	nc, _, _ := send(t, server, goodHandshake+"\r\n"+string(masked(opText, "early")))
	h := <-accepted
	for deadline := time.Now().Add(5 * time.Second); h.request.Value() != nil || h.buffer.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("still held: request %v, buffer %v", h.request.Value() != nil, h.buffer.Value() != nil)
		}
	}
	if m, err := c.Read(); err != nil || string(m) != "early" {
		t.Errorf("%q, %v", m, err)
	}
	c.Abort()
	nc.Close()
}

type hijackSpy struct {
	http.ResponseWriter
	buffer weak.Pointer[byte]
}

func (s *hijackSpy) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	// A reader of its own: net/http keeps its readers in a pool.
	rest, _ := rw.Reader.Peek(rw.Reader.Buffered())
	own := bufio.NewReader(strings.NewReader(string(rest)))
	peeked, _ := own.Peek(len(rest))
	s.buffer = weak.Make(&peeked[0])
	return nc, bufio.NewReadWriter(own, nil), err
}
