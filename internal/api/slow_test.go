package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// stall opens a stream on a connection that takes little, and does not read it.
func stall(s *site, key, query string) net.Conn {
	s.t.Helper()
	conn := s.Dial()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		s.t.Fatal(err)
	}
	n := s.Hub.Streams()
	fmt.Fprintf(conn, "GET /api/user/sse/events?%s HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n", query, key)
	until(s.t, func() bool { return s.Hub.Streams() == n+1 })
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

func pushes(s *site, n, size int) {
	s.t.Helper()
	p := tandem.Principal{Tenant: "default", Role: tandem.Agent, Subject: "test", Kind: tandem.CredentialSystem}
	for i := range n {
		text := fmt.Sprintf("%d %s", i, strings.Repeat("x", size))
		if _, err := s.Desk.Push(s.t.Context(), p, desk.Push{Address: desktest.Address("ann"), Type: tandem.Chat, Text: text}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// numbers reads n messages that pushes has made, and fails unless they come in
// order, each once.
func numbers(t *testing.T, in *bufio.Reader, n int) {
	t.Helper()
	for want := 0; want < n; {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("after %d of %d: %v", want, n, err)
		}
		data, ok := strings.CutPrefix(line, `data: {"id":`)
		if !ok {
			continue
		}
		var m struct{ Text string }
		if err := json.Unmarshal([]byte(`{"id":`+data), &m); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := strings.Cut(m.Text, " "); got != fmt.Sprint(want) {
			t.Fatalf("got message %s, want %d", got, want)
		}
		want++
	}
}

// A reader that stops reading costs the others nothing and the server little, and
// gets everything when it reads again. Seen to fail by writing to all readers from
// one loop, and by a queue for each.
func TestEvents_aStalledReaderCostsNobody(t *testing.T) {
	const n, size = 600, 4 << 10
	s := open(t, desktest.Options{})
	key := s.key("ann")
	stalled := stall(s, key, annsThread)
	other := s.listen(key, annsThread)
	other.until("connected")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	go func() {
		defer close(done)
		pushes(s, n, size)
	}()
	numbers(t, other.in, n)
	<-done
	runtime.GC()
	runtime.ReadMemStats(&after)
	// The tail that all readers share holds the last 64 to 128 messages, as events and as frames.
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes more are held after %d were not read", grown, n*size)
	}
	if err := stalled.(*net.TCPConn).SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(stalled)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	numbers(t, in, n)
	other.all.Reset() // what was read of it went past the listener
}

// A stream that is stuck in a write ends like any other when its credential does.
// Seen to fail without the hangup.
func TestEvents_aStalledReaderEndsWithItsCredential(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	stall(s, s.key("ann"), annsThread)
	pushes(s, 200, 32<<10)
	began := time.Now()
	if err := s.Auth.RevokeSubject(t.Context(), "default", "ann"); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return s.Hub.Streams() == 0 })
	if took := time.Since(began); took > 2500*time.Millisecond {
		t.Errorf("after %v", took)
	}
}

// A peer that takes no byte for too long is let go, and counted.
func TestEvents_aPeerThatTakesNothingIsLetGo(t *testing.T) {
	t.Parallel()
	limits := tandem.DefaultLimits()
	limits.Stall = 200 * time.Millisecond
	s := open(t, desktest.Options{Limits: &limits})
	stall(s, s.key("ann"), annsThread)
	pushes(s, 200, 32<<10)
	until(t, func() bool { return s.Hub.Streams() == 0 })
	if res, body := s.ask("GET", "/metrics", "", ""); res.StatusCode != 200 || !strings.Contains(body, "tandem_streams_stalled_total 1") {
		t.Errorf("%d, and it was not counted", res.StatusCode)
	}
}

// What a client says on a stream is not listened to, and does no harm.
func TestEvents_whatAClientSendsAfterItsRequestIsLeftAlone(t *testing.T) {
	s := open(t, desktest.Options{})
	conn := stall(s, s.key("ann"), annsThread)
	fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n%s", strings.Repeat("junk\r\n", 1000))
	pushes(s, 3, 10)
	numbers(t, bufio.NewReader(conn), 3)
}

// A client that closes its side is gone, whether it says so or is cut off.
func TestEvents_noticeAtOnceThatAClientIsGone(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	reset := func(c *net.TCPConn) error {
		if err := c.SetLinger(0); err != nil {
			return err
		}
		return c.Close()
	}
	for _, leave := range []func(*net.TCPConn) error{(*net.TCPConn).Close, (*net.TCPConn).CloseWrite, reset} {
		conn := stall(s, s.key("ann"), annsThread+"&heartbeatSeconds=300").(*net.TCPConn)
		if err := leave(conn); err != nil {
			t.Fatal(err)
		}
		until(t, func() bool { return s.Hub.Streams() == 0 })
	}
}
