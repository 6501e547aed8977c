package desktest_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// What BenchmarkWatch has, and how often something is said.
const (
	watchedConversations = 500
	watchersOfEach       = 2
	saidEvery            = 4 * time.Millisecond
)

// BenchmarkWatch reports how long it takes from a commit until who watches the
// conversation over HTTP has read it: 1,000 watchers of 500 conversations, in one
// of which somebody says something 250 times a second. The floor is how long it
// takes the same readers, at the same rate, to read as many bytes that somebody
// only writes to their sockets. Readers, posters and server share the machine.
func BenchmarkWatch(b *testing.B) {
	watched, floor := newMarks(b.N), newMarks(b.N)
	limits := tandem.DefaultLimits()
	limits.Requests, limits.Streams = tandem.Rate{}, 0
	x := desktest.Start(b, desktest.Options{Limits: &limits, Committed: watched.committed})
	size := watched.watch(b, x)
	x.Stop()
	floor.write(b, size)
	watched.report(b, "")
	floor.report(b, "floor-")
}

// marks are when what was said was committed, and how much later it was read. What
// is said begins with its number.
type marks struct {
	at   []time.Time // of the k-th
	mu   sync.Mutex  // guards took
	took []time.Duration
	all  sync.WaitGroup // what is still to be read
}

const (
	markBegins = "mark-"
	markLen    = len(markBegins) + 9 // digits and a blank
)

func newMarks(n int) *marks {
	m := &marks{at: make([]time.Time, n)}
	m.all.Add(n * watchersOfEach)
	return m
}

func mark(k int) string {
	return fmt.Sprintf("%s%08d %s", markBegins, k, strings.Repeat("words ", 40))
}

// numbers are the marks in b; rest is where the next may have begun.
func numbers(b []byte) (all []int, rest []byte) {
	for {
		i := bytes.Index(b, []byte(markBegins))
		if i < 0 {
			return all, b[max(0, len(b)-markLen):]
		}
		if len(b) < i+markLen {
			return all, b[i:]
		}
		if k, err := strconv.Atoi(string(b[i+len(markBegins) : i+markLen-1])); err == nil {
			all = append(all, k)
		}
		b = b[i+markLen:]
	}
}

// committed is called by the store's writer, before anybody is told.
func (m *marks) committed(all []store.Committed) {
	now := time.Now()
	for i := range all {
		for j := range all[i].Events {
			ks, _ := numbers(all[i].Events[j].Body)
			for _, k := range ks {
				m.at[k] = now
			}
		}
	}
}

// read takes what comes until the connection ends.
func (m *marks) read(c net.Conn) {
	buf := make([]byte, 0, 8192)
	for {
		n, err := c.Read(buf[len(buf):cap(buf)])
		now := time.Now()
		if err != nil {
			return
		}
		ks, rest := numbers(buf[:len(buf)+n])
		buf = append(buf[:0], rest...)
		for _, k := range ks {
			m.mu.Lock()
			m.took = append(m.took, now.Sub(m.at[k]))
			m.mu.Unlock()
			m.all.Done()
		}
	}
}

// watch opens the conversations and their watchers and has something said. It
// returns how many bytes one watcher is sent for it.
func (m *marks) watch(b *testing.B, x *desktest.Tandem) int {
	token := x.Token("lee", tandem.Supervisor)
	var reading sync.WaitGroup
	var conns []net.Conn
	ids := make([]string, watchedConversations)
	for i := range ids {
		c, _, err := x.Desk.Open(b.Context(), backEnd(), desk.Opening{Address: desktest.Address(fmt.Sprint("user-", i))})
		if err != nil {
			b.Fatal(err)
		}
		ids[i] = c.ID
		for range watchersOfEach {
			conn := x.Dial()
			conns = append(conns, conn)
			fmt.Fprintf(conn, "GET /api/conversation/%s/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", c.ID, token)
			awaitText(b, conn, "event: updated") // the last that it begins with
			reading.Go(func() { m.read(conn) })
		}
	}
	say := func(k int) {
		in := desk.Say{Conversation: ids[k*7919%len(ids)], Messages: []desk.Saying{{Content: mark(k)}}}
		if _, err := x.Desk.Say(b.Context(), backEnd(), in); err != nil {
			b.Error(err)
		}
	}
	m.pace(b, say)
	for _, c := range conns {
		c.Close()
	}
	reading.Wait()
	return len(mark(0)) + 400 // names, ids and times around it
}

// pace calls do for each mark, in time, by as many as it needs, and waits until all
// was read.
func (m *marks) pace(b *testing.B, do func(k int)) {
	tick := time.NewTicker(saidEvery)
	defer tick.Stop()
	var saying sync.WaitGroup
	b.ResetTimer()
	for k := range m.at {
		<-tick.C
		saying.Go(func() { do(k) })
	}
	saying.Wait()
	if !b.Failed() {
		m.all.Wait()
	}
	b.StopTimer()
}

// write is the floor: frames of this size, written to the same number of sockets.
func (m *marks) write(b *testing.B, size int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var reading sync.WaitGroup
	var near []net.Conn
	for range watchedConversations * watchersOfEach {
		far, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		near = append(near, c)
		reading.Go(func() {
			defer far.Close()
			m.read(far)
		})
	}
	m.pace(b, func(k int) {
		text := mark(k)
		frame := []byte(text + strings.Repeat(".", size-len(text)))
		m.at[k] = time.Now()
		for w := range watchersOfEach {
			if _, err := near[(k*7919%watchedConversations)*watchersOfEach+w].Write(frame); err != nil {
				b.Error(err)
			}
		}
	})
	for _, c := range near {
		c.Close()
	}
	reading.Wait()
}

func (m *marks) report(b *testing.B, what string) {
	slices.Sort(m.took)
	for name, q := range map[string]int{"p50-ms": 50, "p99-ms": 99} {
		b.ReportMetric(float64(m.took[len(m.took)*q/100].Microseconds())/1000, what+name)
	}
}

func awaitText(b *testing.B, r io.Reader, text string) {
	var got []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(got, []byte(text)) {
		n, err := r.Read(buf)
		if err != nil {
			b.Fatalf("%v after %q", err, got)
		}
		got = append(got, buf[:n]...)
	}
}
