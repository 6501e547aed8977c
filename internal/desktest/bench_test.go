package desktest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// BenchmarkIdle opens 2,000 streams or sockets and reports what each costs the
// server in heap and stacks, after a collection. The far ends are in the same
// process but outside Go's memory; what the kernel holds is not counted.
func BenchmarkIdle(b *testing.B) {
	for name, open := range map[string]func(x *desktest.Tandem, who, key string) string{
		"stream": func(_ *desktest.Tandem, who, key string) string {
			return "GET /api/user/sse/events?workflow=support&participantId=" + who + "&heartbeatSeconds=300&apikey=" + key + " HTTP/1.1\r\nHost: x\r\n\r\n"
		},
		"socket": func(x *desktest.Tandem, who, _ string) string {
			return "GET /ws?token=" + x.Token(who, tandem.Participant) + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
		},
	} {
		b.Run(name, func(b *testing.B) { benchmarkIdle(b, open) })
	}
}

func benchmarkIdle(b *testing.B, request func(x *desktest.Tandem, who, key string) string) {
	const n = 2000
	for b.Loop() {
		b.StopTimer()
		x := desktest.Start(b, desktest.Options{})
		key := x.Key(tandem.Agent)
		requests := make([]string, n)
		for i := range requests {
			requests[i] = request(x, fmt.Sprint("user-", i), key)
		}
		buf := make([]byte, 4096)
		before := inUse()
		conns := make([]descriptor, n)
		b.StartTimer()
		for i, r := range requests {
			conns[i] = dial(b, x.Port())
			if _, err := io.WriteString(conns[i], r); err != nil {
				b.Fatal(err)
			}
			var got strings.Builder
			for !strings.Contains(got.String(), "onnected") { // `connected`, or the chat's "Connected to ..."
				k, err := conns[i].Read(buf)
				if err != nil {
					b.Fatalf("%v after %q", err, got.String())
				}
				got.Write(buf[:k])
			}
		}
		b.StopTimer()
		b.ReportMetric(float64(inUse()-before)/n/1024, "KiB/conn")
		for _, c := range conns {
			c.Close()
		}
		x.Stop()
		b.StartTimer()
	}
}

// descriptor is a TCP connection that Go's runtime knows nothing of.
type descriptor int

func dial(b *testing.B, port int) descriptor {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		b.Fatal(err)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		b.Fatal(err)
	}
	return descriptor(fd)
}

func (d descriptor) Read(p []byte) (int, error)  { return syscall.Read(int(d), p) }
func (d descriptor) Write(p []byte) (int, error) { return syscall.Write(int(d), p) }
func (d descriptor) Close()                      { _ = syscall.Close(int(d)) }

func inUse() int64 {
	runtime.GC()
	runtime.GC() // stacks shrink by half at most each time
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// BenchmarkFirstToken compares asking an agent over HTTP directly with asking it
// through Tandem: from a chat frame sent until its first stream-token arrived,
// with three durable commits on the way. Both in turn, on one machine.
func BenchmarkFirstToken(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"token\":\"Hello\"}\n\n")
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}))
	defer upstream.Close()
	a, err := agent.New(agent.Config{Name: "bot", URL: upstream.URL})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	x := desktest.Start(b, desktest.Options{Agents: desktest.AnsweredBy(a)})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(x.URL, "http")+"/ws?token="+x.Token("ann", tandem.Participant), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer c.CloseNow()
	var direct, through []time.Duration
	for b.Loop() {
		began := time.Now()
		askDirectly(b, upstream.URL)
		direct = append(direct, time.Since(began))
		began = time.Now()
		if err := c.Write(ctx, websocket.MessageText, []byte(`{"type":"chat","content":"hi"}`)); err != nil {
			b.Fatal(err)
		}
		awaitFrame(ctx, b, c, `"stream-token"`)
		through = append(through, time.Since(began))
		awaitFrame(ctx, b, c, `"stream-end"`)
	}
	slices.Sort(direct)
	slices.Sort(through)
	mid := len(direct) / 2
	b.ReportMetric(float64(direct[mid].Microseconds())/1000, "direct-p50-ms")
	b.ReportMetric(float64(through[mid].Microseconds())/1000, "through-p50-ms")
	b.ReportMetric(float64((through[mid]-direct[mid]).Microseconds())/1000, "added-p50-ms")
}

func askDirectly(b *testing.B, url string) {
	res, err := http.Post(url, "application/json", strings.NewReader(`{"message":"hi"}`))
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
}

func awaitFrame(ctx context.Context, b *testing.B, c *websocket.Conn, kind string) {
	for {
		_, frame, err := c.Read(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if strings.Contains(string(frame), kind) {
			return
		}
	}
}
