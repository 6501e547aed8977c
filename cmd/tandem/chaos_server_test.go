package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// chaosPatience is how long anything may take that has to happen at all.
const chaosPatience = 60 * time.Second

// chaosSeed is where all chance of a test comes from: TANDEM_CHAOS_SEED, or a new
// one, which is printed.
func chaosSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("TANDEM_CHAOS_SEED"); given != "" {
		n, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatalf("TANDEM_CHAOS_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("TANDEM_CHAOS_SEED=%d", seed)
	return seed
}

// chaosKills is how often the server is killed: TANDEM_CHAOS, or few enough for
// every day.
func chaosKills(t *testing.T, few int) int {
	t.Helper()
	if given := os.Getenv("TANDEM_CHAOS"); given != "" {
		n, err := strconv.Atoi(given)
		if err != nil || n < 1 {
			t.Fatalf("TANDEM_CHAOS=%q is no number of kills", given)
		}
		return n
	}
	return few
}

// chaosBinary builds the command, once for all tests: beside the one that
// testscript made for this run, so that it is removed with that. Unlike that one
// it has no race detector, unless TANDEM_CHAOS_RACE is set.
func chaosBinary(t *testing.T) string {
	t.Helper()
	script, err := exec.LookPath("tandem")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(script), "tandem-built")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	args := []string{"build", "-o", path}
	if os.Getenv("TANDEM_CHAOS_RACE") != "" {
		args = append(args, "-race")
	}
	if said, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, said)
	}
	return path
}

// A chaosServer is the real server: a process with a data folder and a port that
// stay the same from one of its lives to the next.
type chaosServer struct {
	t       *testing.T
	bin     string
	dir     string
	address string // host:port
	flags   []string
	log     string // the file that every life writes to

	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended
}

func newChaosServer(t *testing.T, flags ...string) *chaosServer {
	s := &chaosServer{t: t, bin: chaosBinary(t), dir: filepath.Join(t.TempDir(), "data"), address: chaosPort(t), flags: flags}
	s.log = filepath.Join(t.TempDir(), "log")
	t.Cleanup(func() {
		s.kill()
		s.readLog()
	})
	return s
}

// chaosPort finds a free port that no outgoing connection is given by chance: a
// client that comes while the server is down would then meet itself.
func chaosPort(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 18000+rand.IntN(12000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no free port")
	return ""
}

// command runs one of the other commands on the data folder and returns what it
// printed.
func (s *chaosServer) command(args ...string) string {
	s.t.Helper()
	out, err := exec.Command(s.bin, append(args, "--data", s.dir)...).Output()
	if err != nil {
		s.t.Fatalf("tandem %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// start starts the process and does not wait for it to be ready.
func (s *chaosServer) start() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	args := append([]string{"serve", "--data", s.dir, "--listen", s.address, "--log-level", "warn"}, s.flags...)
	s.cmd, s.gone = exec.Command(s.bin, args...), make(chan struct{})
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, gone := s.cmd, s.gone
	go func() {
		_ = cmd.Wait() // how it ended is asked of its ProcessState
		close(gone)
	}()
}

// ready waits until the server takes work.
func (s *chaosServer) ready() {
	s.t.Helper()
	if !chaosUntil(s.t.Context(), func() bool { return s.exited() || s.says("/readyz") == http.StatusOK }) || s.exited() {
		s.readLog()
		s.t.Fatal("the server does not get ready")
	}
}

// says is the status that the server answers with, 0 if it does not.
func (s *chaosServer) says(path string) int {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+path, nil)
	if err != nil {
		return 0
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func (s *chaosServer) exited() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// kill is kill -9. It returns when the process is no more.
func (s *chaosServer) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // it may have ended by itself
		<-s.gone
	}
}

// stop asks the process to end, as SIGTERM does, and returns its exit code.
func (s *chaosServer) stop() int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	return s.wait()
}

// wait waits for the end of the process and returns its exit code.
func (s *chaosServer) wait() int {
	s.t.Helper()
	select {
	case <-s.gone:
	case <-time.After(chaosPatience):
		s.t.Fatal("the server does not end")
	}
	return s.cmd.ProcessState.ExitCode()
}

// readLog fails the test if the server had to tell of its own mistakes.
func (s *chaosServer) readLog() {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return // it never ran
	}
	shown := 0
	for line := range bytes.Lines(text) {
		bad := bytes.Contains(line, []byte(`"level":"ERROR"`)) || !bytes.HasPrefix(line, []byte("{"))
		if bad && shown < 40 {
			shown++
			s.t.Errorf("the server's log: %s", line)
		}
	}
}

// memory is the server's resident memory in bytes; 0 where nobody can tell.
func (s *chaosServer) memory() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kb, _ := strconv.ParseInt(fields[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// chaosUntil waits until cond holds and reports whether it does.
func chaosUntil(ctx context.Context, cond func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, chaosPatience)
	defer cancel()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return cond()
		}
	}
	return true
}

// chaosPause lets some time pass and reports whether ctx still goes on.
func chaosPause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// chaosFaults collects what went wrong, each sort of it once.
type chaosFaults struct {
	mu   sync.Mutex // guards said, more
	said []string
	more int
}

func (f *chaosFaults) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.said) == 20 {
		f.more++
		return
	}
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

func (f *chaosFaults) tell(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.said {
		t.Error(s)
	}
	if f.more > 0 {
		t.Errorf("... and %d more", f.more)
	}
}
