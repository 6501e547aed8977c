package api

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/turn"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// Every error that a client can get for what it sends, byte for byte; none of
// them closes the socket, and nothing is stored. Seen to fail by a code that was
// changed and by returning from read after an error.
func TestChat_errorsNeverCloseTheSocket(t *testing.T) {
	h := openChat(t, chatWith{agents: []turn.Spec{}})
	c := h.opens(h.token("ann"), "")
	long := strings.Repeat("x", tandem.MaxName+1)
	for _, frame := range []string{
		`{"type":"ping"`, `[]`, `"chat"`, `null`, `7`,
		`{}`, `{"type":"dance"}`, `{"type":7}`,
		`{"type":"chat"}`, `{"type":"chat","content":7,"clientMessageId":"c-7"}`, `{"type":"chat","content":{"a":"b"}}`,
		`{"type":"chat","content":""}`, `{"type":"chat","content":" \t\r\n ","clientMessageId":"c-8"}`,
		`{"type":"chat","content":"` + strings.Repeat("ü", 8001) + `","clientMessageId":"c-9"}`,
		`{"type":"chat","content":"x","clientMessageId":7}`, `{"type":"chat","content":"x","clientMessageId":"a\r\nb"}`,
		`{"type":"chat","content":"x","clientMessageId":"` + long + `"}`,
		`{"type":"human-escalation","reason":["x"]}`, `{"type":"human-escalation","urgency":"soon"}`,
		`{"type":"human-escalation","reason":"` + strings.Repeat("r", 1001) + `"}`,
		`{"type":"cancel"}`, `{"type":"cancel","messageId":{}}`, `{"type":"cancel","messageId":"msg_none"}`, `{"type":"cancel","messageId":"a\r\nid: 1"}`,
		`{"type":"feedback","messageId":"msg_none","feedbackType":"positive"}`, `{"type":"feedback","messageId":"msg_none","feedbackType":"so-so"}`,
		`{"type":"resume","after":7}`,
		`{"type":"auth"}`, `{"type":"auth","token":"nonsense"}`, `{"type":"auth","token":"a.b.c"}`,
	} {
		c.sends(frame)
		c.sees("error")
	}
	c.quiet()
	th, err := h.store.Thread(t.Context(), testAddress)
	if err != nil || th.Head != 0 {
		t.Errorf("%d events were stored, %v", th.Head, err)
	}
	chatGolden(t, "chat_errors.txt", strings.NewReplacer(long, "(257 x)", strings.Repeat("ü", 8001), "(8001 ü)", strings.Repeat("r", 1001), "(1001 r)").Replace(c.plain()))
}

// At the limits all is well, and one past them it is not.
func TestChat_hasLimits(t *testing.T) {
	h := openChat(t, chatWith{agents: []turn.Spec{}})
	c := h.opens(h.token("ann"), "")
	most := strings.Repeat("\U0001F642", 8000) // code points, not bytes or UTF-16
	c.sends(`{"type":"chat","clientMessageId":"` + strings.Repeat("i", tandem.MaxName) + `","content":" ` + most + `\n"}`)
	c.sees("ack")
	c.sees("state")
	c.refused(`{"type":"chat","content":"`+most+`x"}`, "content_too_long", "Message content cannot exceed 8000 characters")
	frame := `{"type":"ping","x":"`
	frame += strings.Repeat("x", 64<<10-len(frame)-2) + `"}`
	c.sends(frame)
	c.sees("pong")
	c.sends(frame + " ")
	c.closes(ws.TooLarge)
}

// A repeat is acknowledged as the first was, whichever socket it comes by, and
// stored once; the same id for something else is refused. Seen to fail without
// the key.
func TestChat_takesARepeatOnce(t *testing.T) {
	h := openChat(t, chatWith{agents: []turn.Spec{}})
	token := h.token("ann")
	c := h.opens(token, "")
	const frame = `{"type":"chat","content":"once","clientMessageId":"c-1"}`
	c.sends(frame)
	first := c.next()
	c.sees("state")
	for range 3 {
		c.sends(frame)
		if again := c.next(); again != first {
			t.Errorf("a repeat got\n%s\nthe first\n%s", again, first)
		}
	}
	d := h.opens(token, "after=")
	d.sends(`{"type":"chat","message":"once ","clientMessageId":"c-1","timestamp":"2025-09-12T10:31:00.000Z"}`)
	if again := d.next(); again != first {
		t.Errorf("another socket got\n%s\nthe first\n%s", again, first)
	}
	if got := d.refused(`{"type":"chat","content":"twice","clientMessageId":"c-1"}`, "idempotency_mismatch", mismatchSentence(t, d)); got.ClientMessageID != "c-1" {
		t.Errorf("the refusal names %q", got.ClientMessageID)
	}
	d.quiet()
	c.quiet()
	th, err := h.store.Thread(t.Context(), testAddress)
	if err != nil || th.Head != 2 {
		t.Errorf("%d events are stored, want 2: %v", th.Head, err)
	}
}

// mismatchSentence is the store's; what counts here is the code.
func mismatchSentence(t *testing.T, c *chatClient) string {
	t.Helper()
	c.sends(`{"type":"chat","content":"thrice","clientMessageId":"c-1"}`)
	return c.sees("error").Message
}

// Posts have a tenth of the rate, all frames but ping count, and the refusal says
// when to come back. Seen to fail by charging pings, and by charging nothing.
func TestChat_limitsTheRate(t *testing.T) {
	clock := time.Now
	h := openChat(t, chatWith{agents: []turn.Spec{}, clock: clock, limits: func(l *tandem.Limits) { l.Requests, l.PostShare = tandem.Rate{N: 20, Per: time.Hour}, 10 }})
	token := h.token("ann")
	c := h.opens(token, "")
	for range 50 {
		c.quiet()
	}
	for i := range 2 {
		c.sends(fmt.Sprintf(`{"type":"chat","content":"x","clientMessageId":"c-%d"}`, i))
		c.sees("ack")
		if i == 0 {
			c.sees("state")
		}
	}
	got := c.refused(`{"type":"chat","content":"x","clientMessageId":"c-3"}`, "rate_limited", "Rate limit exceeded")
	if got.ClientMessageID != "c-3" || got.RetryAfter < 1700 || got.RetryAfter > 1800 {
		t.Errorf("refused %+v", got)
	}
	for range 17 {
		c.sends(`{"type":"typing"}`)
	}
	c.quiet()
	c.refused(`{"type":"typing"}`, "rate_limited", "Rate limit exceeded")
	c.refused(`nonsense`, "rate_limited", "Rate limit exceeded")
	c.quiet()
	second := h.opens(token, "") // the rate is the participant's, not the socket's; opening costs nothing
	second.refused(`{"type":"typing"}`, "rate_limited", "Rate limit exceeded")
	h.opens(h.token("bob"), "").sends(`{"type":"typing"}`)
}

// Everything that can be refused is refused before the upgrade, with the status
// and body of the other faces. Seen to fail by upgrading first.
func TestChat_refusesTheUpgrade(t *testing.T) {
	h := openChat(t, chatWith{
		limits: func(l *tandem.Limits) { l.Streams = 2 },
		opt:    func(o *Options) { o.Origins = []string{"https://shop.example"} },
	})
	token := h.token("ann")
	role := func(r tandem.PrincipalRole) func(*auth.MintRequest) { return func(m *auth.MintRequest) { m.Role = r } }
	session := func(m *auth.MintRequest) { m.Session = "pay-1" }
	tokenFor := func(workflow string) string {
		return h.token("ann", func(m *auth.MintRequest) { m.Workflow = workflow })
	}
	for _, c := range []struct {
		name, path, token, origin string
		status                    int
		body                      string
	}{
		{"no token", "/", "", "", 401, `{"error":"Unauthorized","message":"Authentication is required to access this resource"}`},
		{"no token at /ws", "/ws", "", "", 401, `{"error":"Unauthorized","message":"Authentication is required to access this resource"}`},
		{"a bad token", "/?token=nonsense", "", "", 401, `{"error":"Unauthorized","message":"Authentication is required to access this resource"}`},
		{"a foreign origin", "/", token, "https://evil.example", 403, `{"error":"Forbidden","message":"You do not have permission to access this resource"}`},
		{"origin null", "/", token, "null", 403, `{"error":"Forbidden","message":"You do not have permission to access this resource"}`},
		{"a reserved workflow", "/?workflow=$sessions", token, "", 400, `{"error":"Bad request","message":"workflow names that begin with \"$\" are reserved"}`},
		{"CR LF in the workflow", "/?workflow=a%0d%0ab", token, "", 400, `{"error":"Bad request","message":"workflow must not contain control characters"}`},
		{"a workflow that is too long", "/?workflow=" + strings.Repeat("w", 257), token, "", 400, `{"error":"Bad request","message":"workflow cannot exceed 256 bytes"}`},
		{"a malformed query", "/?workflow=%zz", token, "", 400, `{"error":"Bad request","message":"The query is malformed."}`},
		{"an agent's token", "/", h.token("bot", role(tandem.Agent)), "", 403, `{"error":"Forbidden","message":"You do not have permission to access this resource"}`},
		{"an operator's token", "/", h.token("maya", role(tandem.Operator)), "", 403, `{"error":"Forbidden","message":"You do not have permission to access this resource"}`},
		{"a session's token", "/", h.token("ann", session), "", 403, `{"error":"Forbidden","message":"You do not have permission to access this resource"}`},
	} {
		header := http.Header{}
		if c.token != "" {
			header.Set("Authorization", "Bearer "+c.token)
		}
		if c.origin != "" {
			header.Set("Origin", c.origin)
		}
		_, err := h.tries(h.base+c.path, header)
		refused := (*ws.HandshakeError)(nil)
		if !errors.As(err, &refused) || refused.Status != c.status || strings.TrimSpace(refused.Message) != c.body {
			t.Errorf("%s: %v\nwant %d %s", c.name, err, c.status, c.body)
		}
	}
	if h.hub.Streams() != 0 {
		t.Errorf("%d refused sockets are followed", h.hub.Streams())
	}
	for _, from := range []string{"https://shop.example", "HTTPS://SHOP.EXAMPLE", "http://" + strings.TrimPrefix(h.base, "ws://")} {
		c, err := h.tries(h.base+"/?token="+token, http.Header{"Origin": {from}})
		if err != nil {
			t.Fatalf("%s: %v", from, err)
		}
		c.sees("connection")
		c.leaves()
	}
	h.opens(token, "workflow=default:orders")
	h.opens(tokenFor("orders"), "workflow=billing") // the token's own counts
	if _, err := h.tries(h.base+"/?token="+token, nil); !strings.Contains(fmt.Sprint(err), `429 {"error":"Rate limit exceeded"`) {
		t.Errorf("a third stream: %v", err)
	}
}

// What is no good handshake is told so, and costs no ticket.
func TestChat_judgesTheHandshake(t *testing.T) {
	h := openChat(t, chatWith{})
	token := h.token("ann")
	ask := func(method string, header http.Header) int {
		r := httptest.NewRequest(method, "/ws?token="+token, nil)
		r.Header = header
		code, _ := h.asks(r)
		return code
	}
	good := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
	change := func(name string, values ...string) http.Header {
		c := good.Clone()
		c[name] = values
		return c
	}
	for want, headers := range map[int][]http.Header{
		400: {change("Connection"), change("Sec-Websocket-Key", "x"), change("Sec-Websocket-Key")},
		426: {{}, change("Sec-Websocket-Version", "8")},
	} {
		for _, header := range headers {
			if got := ask("GET", header); got != want {
				t.Errorf("%v: %d, want %d", header, got, want)
			}
		}
	}
	if got := ask("POST", good); got != 405 {
		t.Errorf("POST: %d", got)
	}
}

// A ticket opens one socket, once.
func TestChat_takesATicketOnce(t *testing.T) {
	h := openChat(t, chatWith{})
	r := httptest.NewRequest("POST", "/api/auth/tickets", strings.NewReader(`{"for":"socket"}`))
	r.Header.Set("Authorization", "Bearer "+h.token("ann"))
	code, body := h.asks(r)
	var got struct{ Ticket string }
	if err := jsonInto(body, &got); err != nil || code != 201 {
		t.Fatalf("%d %s", code, body)
	}
	c, err := h.tries(h.base+"/?token="+got.Ticket, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.sees("connection")
	c.sends(`{"type":"chat","content":"hi","clientMessageId":"c-1"}`)
	c.sees("ack")
	if _, err := h.tries(h.base+"/?token="+got.Ticket, nil); !strings.Contains(fmt.Sprint(err), "401") {
		t.Errorf("the second time: %v", err)
	}
	d, err := h.tries(h.base+"/ws", http.Header{"Sec-Websocket-Protocol": {"bearer, " + h.token("ann")}})
	if err != nil {
		t.Fatal(err)
	}
	d.sees("connection")
}

// rawChat opens a socket over TCP by hand.
func (h *chatHouse) rawChat() (net.Conn, *bufio.Reader) {
	h.t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(h.base, "ws://"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { nc.Close() })
	fmt.Fprintf(nc, "GET /ws?token=%s HTTP/1.1\r\nHost: x\r\n%s\r\n", h.token("ann"), upgrade)
	br := bufio.NewReader(nc)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 101 {
		h.t.Fatal(res, err)
	}
	return nc, br
}

// clientFrame is a masked frame (with the mask 0, which changes nothing).
func clientFrame(first byte, payload string) []byte {
	b := []byte{first, 0x80 | byte(min(len(payload), 126))}
	if len(payload) > 125 {
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// serverFrame reads one frame.
func serverFrame(t *testing.T, br *bufio.Reader) (op byte, payload string) {
	t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		t.Fatal(err)
	}
	n := int(head[1])
	switch n {
	case 126:
		var long [2]byte
		if _, err := io.ReadFull(br, long[:]); err != nil {
			t.Fatal(err)
		}
		n = int(binary.BigEndian.Uint16(long[:]))
	case 127:
		var long [8]byte
		if _, err := io.ReadFull(br, long[:]); err != nil {
			t.Fatal(err)
		}
		n = int(binary.BigEndian.Uint64(long[:]))
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(br, b); err != nil {
		t.Fatal(err)
	}
	return head[0] & 0xF, string(b)
}

// Fragments are put together, also with a ping in between and when they come byte
// by byte; what breaks the protocol closes with its code, and nothing is stored.
func TestChat_readsFragmentsAndClosesOnBrokenOnes(t *testing.T) {
	h := openChat(t, chatWith{agents: []turn.Spec{}})
	for name, c := range map[string]struct {
		send []byte
		code uint16 // 0: acknowledged
	}{
		"fragments": {send: concat(clientFrame(0x01, `{"type":"chat","clientMessageId":"f-1","con`), clientFrame(0x89, "hey"),
			clientFrame(0x00, ``), clientFrame(0x00, "tent\":\"\xF0\x9F"), clientFrame(0x80, "\x99\x82\"}"))},
		"not UTF-8":                 {clientFrame(0x81, "{\"type\":\"chat\",\"content\":\"\xff\"}"), 1007},
		"a surrogate in UTF-8":      {clientFrame(0x81, "{\"type\":\"chat\",\"content\":\"\xed\xa0\x80\"}"), 1007},
		"binary":                    {clientFrame(0x82, `{"type":"ping"}`), 1003},
		"not masked":                {[]byte{0x81, 0x02, '{', '}'}, 1002},
		"reserved bits":             {clientFrame(0xC1, `{"type":"ping"}`), 1002},
		"announced as too large":    {[]byte{0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0}, 1009},
		"too large in fragments":    {concat(clientFrame(0x01, strings.Repeat("x", 40000)), clientFrame(0x80, strings.Repeat("x", 40000))), 1009},
		"a continuation of nothing": {clientFrame(0x80, `{"type":"ping"}`), 1002},
		"the client's own goodbye":  {clientFrame(0x88, "\x03\xe8bye"), 1000},
	} {
		t.Run(name, func(t *testing.T) {
			nc, br := h.rawChat()
			if _, hello := serverFrame(t, br); !strings.Contains(hello, `"type":"connection"`) {
				t.Fatal(hello)
			}
			for _, b := range c.send { // byte by byte
				if len(c.send) > 1000 {
					b = 0
				} else if _, err := nc.Write([]byte{b}); err != nil {
					break // it may be closed in the middle
				}
			}
			if len(c.send) > 1000 {
				_, _ = nc.Write(c.send) // as above
			}
			for {
				op, payload := serverFrame(t, br)
				if op == 0xA && payload == "hey" {
					continue
				}
				if c.code == 0 && (op != 1 || !strings.Contains(payload, `"clientMessageId":"f-1"`)) {
					t.Errorf("got %x %q", op, payload)
				}
				if c.code != 0 && (op != 8 || binary.BigEndian.Uint16([]byte(payload)) != c.code) {
					t.Errorf("got %x % x, want %d", op, payload, c.code)
				}
				return
			}
		})
	}
	th, err := h.store.Thread(t.Context(), testAddress)
	if err != nil || th.Head != 2 { // the message in fragments, and that it opened a conversation
		t.Errorf("%d events are stored: %v", th.Head, err)
	}
}

// The same bytes over TLS.
func TestChat_worksOverTLS(t *testing.T) {
	h := openChat(t, chatWith{})
	secure := httptest.NewUnstartedServer(h.server.Handler())
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	h.dial.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, NextProtos: []string{"http/1.1"}}
	h.base = "wss" + strings.TrimPrefix(secure.URL, "https")
	c := h.opens(h.token("ann"), "")
	c.sends(`{"type":"chat","content":"hi","clientMessageId":"c-1"}`)
	c.sees("ack")
	c.sees("state")
	q := h.question()
	q.says("hello")
	q.ends()
	c.sees("stream-start")
	c.sees("stream-token")
	c.sees("stream-end")
}

func concat(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
