package ws

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// A HandshakeError is a handshake that came to nothing: on the server's side a
// request that is no good one, on the client's side the answer that refused it.
type HandshakeError struct {
	Status  int         // HTTP status, to send or received
	Message string      // a sentence, or the beginning of the answer's body
	Header  http.Header // header fields, to send (may be nil) or received
}

func (e *HandshakeError) Error() string {
	return fmt.Sprintf("ws: handshake refused: %d %s", e.Status, e.Message)
}

// Requested reports whether the request asks for a WebSocket at all, well or
// badly: a route that also serves a page looks here first.
func Requested(r *http.Request) bool { return hasToken(r.Header, "Upgrade", "websocket") }

// Bearer returns the credential that a client put into its subprotocols, as
// "bearer, <credential>", the one place where a browser can put it outside the
// URL; empty if there is none.
func Bearer(h http.Header) string {
	if offered := tokens(h, "Sec-WebSocket-Protocol"); len(offered) > 1 && offered[0] == bearer {
		return offered[1]
	}
	return ""
}

const bearer = "bearer"

// Check judges the client's handshake (RFC 6455, section 4.2.1). The error is a
// [*HandshakeError] that says how to answer. It does not look at the Origin.
func Check(r *http.Request) error {
	bad := func(reason string) error { return &HandshakeError{Status: http.StatusBadRequest, Message: reason} }
	switch {
	case r.Method != http.MethodGet:
		return &HandshakeError{Status: http.StatusMethodNotAllowed, Message: "a WebSocket begins with GET", Header: http.Header{"Allow": {"GET"}}}
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return bad("a WebSocket begins with HTTP/1.1")
	case !Requested(r):
		return &HandshakeError{
			Status: http.StatusUpgradeRequired, Message: "this is a WebSocket",
			Header: http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}},
		}
	case !hasToken(r.Header, "Connection", "upgrade"):
		return bad("Connection: Upgrade is missing")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return &HandshakeError{
			Status: http.StatusUpgradeRequired, Message: "only version 13 of WebSocket is spoken",
			Header: http.Header{"Sec-Websocket-Version": {"13"}},
		}
	}
	keys := r.Header.Values("Sec-WebSocket-Key")
	if len(keys) != 1 {
		return bad("one Sec-WebSocket-Key is needed")
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(key) != 16 {
		return bad("Sec-WebSocket-Key is not 16 bytes in base64")
	}
	return nil
}

// Accept answers the client's handshake and takes the connection over from
// net/http. It returns the connection and the bytes that the client sent right
// behind its request, for [NewConn]; neither holds on to the request or to the
// buffers of net/http, so that a handler that returns sets them free. Of the
// client's subprotocols it selects "bearer" or none.
//
// An error from [Check] comes before anything is written: the caller answers.
// After any other error the connection is gone.
func Accept(w http.ResponseWriter, r *http.Request) (net.Conn, []byte, error) {
	if err := Check(r); err != nil {
		return nil, nil, err
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\n" +
		"Upgrade: websocket\r\n" +
		"Connection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + acceptKey(strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key"))) + "\r\n"
	for _, p := range tokens(r.Header, "Sec-WebSocket-Protocol") {
		if p == bearer {
			answer += "Sec-WebSocket-Protocol: " + bearer + "\r\n"
			break
		}
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("ws: taking the connection over: %w", err)
	}
	var buffered []byte
	if n := rw.Reader.Buffered(); n > 0 {
		peeked, _ := rw.Reader.Peek(n)
		buffered = append(buffered, peeked...)
	}
	nc.SetWriteDeadline(time.Now().Add(answerWait))
	if _, err := nc.Write([]byte(answer + "\r\n")); err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("ws: answering the handshake: %w", err)
	}
	nc.SetWriteDeadline(time.Time{})
	return nc, buffered, nil
}

// answerWait is how long a client may take to receive the answer to its handshake.
const answerWait = 10 * time.Second

// acceptKey is section 4.2.2, step 5.4.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// tokens are the members of a comma-separated header, over all its lines.
func tokens(h http.Header, name string) []string {
	var all []string
	for _, line := range h.Values(name) {
		for member := range strings.SplitSeq(line, ",") {
			if member = strings.TrimSpace(member); member != "" {
				all = append(all, member)
			}
		}
	}
	return all
}

func hasToken(h http.Header, name, token string) bool {
	for _, t := range tokens(h, name) {
		if strings.EqualFold(t, token) {
			return true
		}
	}
	return false
}
