package ws

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Dial connects to a ws: or wss: URL as a client, through hc, whose transport
// decides about TLS, proxies and the like; ctx is for the handshake only. header
// is sent along. A server that refuses is a [*HandshakeError].
func Dial(ctx context.Context, hc *http.Client, rawURL string, header http.Header, o Options) (*Conn, error) {
	r, key, err := request(ctx, rawURL, header)
	if err != nil {
		return nil, err
	}
	// A client's time-out would run on over the open connection.
	patient := *hc
	if patient.Timeout > 0 {
		ctx, cancel := context.WithTimeout(ctx, patient.Timeout)
		defer cancel()
		r, patient.Timeout = r.WithContext(ctx), 0
	}
	resp, err := patient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ws: dialling: %w", err)
	}
	if err := checkAnswer(resp, key, r.Header); err != nil {
		resp.Body.Close()
		return nil, err
	}
	body, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		resp.Body.Close()
		return nil, fmt.Errorf("ws: the HTTP transport does not give the connection away")
	}
	return &Conn{sock: &bodySocket{ReadWriteCloser: body}, client: true, o: o, p: parser{limit: o.MaxMessage}}, nil
}

// request makes the client's handshake (RFC 6455, section 4.1).
func request(ctx context.Context, rawURL string, header http.Header) (r *http.Request, key string, err error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, "", fmt.Errorf("ws: dialling: %w", err)
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return nil, "", fmt.Errorf("ws: %q is no scheme of a WebSocket", u.Scheme)
	}
	u.Fragment = ""
	r, err = http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, "", fmt.Errorf("ws: dialling: %w", err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	var nonce [16]byte
	rand.Read(nonce[:])
	key = base64.StdEncoding.EncodeToString(nonce[:])
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", key)
	return r, key, nil
}

// checkAnswer judges the server's handshake (section 4.1, the second list).
func checkAnswer(resp *http.Response, key string, asked http.Header) error {
	refuse := func(reason string) error {
		return &HandshakeError{Status: resp.StatusCode, Message: reason, Header: resp.Header}
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return refuse(string(body))
	}
	switch protocol := resp.Header.Get("Sec-WebSocket-Protocol"); {
	case !hasToken(resp.Header, "Upgrade", "websocket"), !hasToken(resp.Header, "Connection", "upgrade"):
		return refuse("the server switched to something else")
	case resp.Header.Get("Sec-WebSocket-Accept") != acceptKey(key):
		return refuse("the server did not answer this handshake")
	case len(resp.Header.Values("Sec-WebSocket-Extensions")) > 0:
		return refuse("the server uses an extension that was not offered")
	case protocol != "" && !offered(asked, protocol):
		return refuse("the server chose a subprotocol that was not offered")
	}
	return nil
}

func offered(asked http.Header, protocol string) bool {
	for _, p := range tokens(asked, "Sec-WebSocket-Protocol") {
		if strings.EqualFold(p, protocol) {
			return true
		}
	}
	return false
}

// A bodySocket is the connection as net/http's transport gives it away: without
// deadlines. Here one that passes during a Read or Write closes the connection.
type bodySocket struct {
	io.ReadWriteCloser
	read, write deadline
}

func (s *bodySocket) SetReadDeadline(t time.Time) error {
	s.read.set(t, s.ReadWriteCloser)
	return nil
}

func (s *bodySocket) SetWriteDeadline(t time.Time) error {
	s.write.set(t, s.ReadWriteCloser)
	return nil
}

func (s *bodySocket) Read(b []byte) (int, error) {
	defer s.read.set(time.Time{}, nil)
	return s.ReadWriteCloser.Read(b)
}

func (s *bodySocket) Write(b []byte) (int, error) {
	defer s.write.set(time.Time{}, nil)
	return s.ReadWriteCloser.Write(b)
}

// A deadline closes what it was set for when its time has come.
type deadline struct {
	mu    sync.Mutex // guards timer
	timer *time.Timer
}

func (d *deadline) set(t time.Time, c io.Closer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case t.IsZero() && d.timer == nil:
	case t.IsZero():
		d.timer.Stop()
	case d.timer == nil:
		d.timer = time.AfterFunc(time.Until(t), func() { c.Close() })
	default:
		d.timer.Reset(time.Until(t))
	}
}
