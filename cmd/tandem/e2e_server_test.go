package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests in e2e_*_test.go start the real binary and speak to it as clients do
// that were written from the documents.

// patience is how long anything may take before a test gives it up.
const patience = 30 * time.Second

// build builds the command once for all tests, beside the commands of the
// scripts, which are removed at the end. With the race detector if the tests have it.
var build = sync.OnceValues(func() (string, error) {
	beside, err := exec.LookPath("tandem")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(filepath.Dir(beside), "tandem-e2e")
	args := []string{"build", "-o", binary}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

// tandem runs a command of the real binary to its end and returns what it printed.
func tandem(t *testing.T, args ...string) string {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binary, args...).Output()
	if err != nil {
		t.Fatalf("tandem %s: %v %s", strings.Join(args, " "), err, said(err))
	}
	return strings.TrimSuffix(string(out), "\n")
}

// said is what a command that failed wrote to stderr.
func said(err error) []byte {
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.Stderr
	}
	return nil
}

// need ends the test if a program is not there: by skipping it, or where a skip
// would hide that nothing was tested, by failing.
func need(t *testing.T, program, why, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("TANDEM_TEST_ALL") == "1":
		t.Fatalf("needs %s, %s: apt-get install %s", program, why, install)
	default:
		t.Skipf("needs %s, %s: apt-get install %s", program, why, install)
	}
	return path
}

// A server is a running tandem serve.
type server struct {
	t       *testing.T
	data    string
	env     []string
	addrs   []string // where it listens, in the order of its options
	log     *journal
	secrets []string // credentials and texts that must not be in its log

	cmd  *exec.Cmd
	gone chan error // its end, once
}

// A journal is what a process writes, line by line.
type journal struct {
	mu    sync.Mutex // guards text
	text  bytes.Buffer
	lines chan string // closed at the end of the process
}

func newJournal() *journal { return &journal{lines: make(chan string, 1<<16)} }

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// Write takes what a process says.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	begun := bytes.LastIndexByte(j.text.Bytes(), '\n') + 1
	j.text.Write(b)
	if whole := bytes.LastIndexByte(j.text.Bytes(), '\n') + 1; whole > begun {
		for line := range strings.Lines(string(j.text.Bytes()[begun:whole])) {
			j.lines <- strings.TrimSuffix(line, "\n")
		}
	}
	return len(b), nil
}

// next waits for a line that accept takes.
func (j *journal) next(t *testing.T, what string, accept func(line string) bool) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-j.lines:
			if !ok {
				t.Fatalf("it ended before %s; it said:\n%s", what, j)
			}
			if accept(line) {
				return line
			}
		case <-timeout:
			t.Fatalf("no %s in %v; it said:\n%s", what, patience, j)
		}
	}
}

// run starts a program with its stdout, and its stderr if that has no place yet,
// in a journal, and sees to it that it has ended before the test has.
func run(t *testing.T, cmd *exec.Cmd) (*journal, chan error) {
	t.Helper()
	log, gone := newJournal(), make(chan error, 1)
	cmd.Stdout = log
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	cmd.WaitDelay = time.Second // what a program leaves behind may hold its output open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		gone <- cmd.Wait()
		close(log.lines)
		close(ended)
	}()
	t.Cleanup(func() {
		select {
		case <-ended:
		default:
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	return log, gone
}

// serve starts the real server on a new data folder. Its address is a free one if
// args name none; what stands before the first option are variables.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{t: t, data: t.TempDir()}
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		s.env = append(s.env, args[0])
		args = args[1:]
	}
	if !slices.Contains(args, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	s.start(args...)
	return s
}

// start starts the server, again too, on the same data.
func (s *server) start(args ...string) {
	s.t.Helper()
	binary, err := build()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(binary, append([]string{"serve", "--data", s.data, "--drain", "5s"}, args...)...)
	s.cmd.Env = append(os.Environ(), s.env...)
	s.log, s.gone = run(s.t, s.cmd)
	s.t.Cleanup(s.stop)
	s.addrs = nil
	addresses := 0
	for i, arg := range args {
		if (arg == "--listen" || arg == "--ops-listen") && i+1 < len(args) {
			addresses++
		}
	}
	for len(s.addrs) < addresses {
		line := s.log.next(s.t, "listening", func(line string) bool { return strings.Contains(line, `"msg":"listening"`) })
		var l struct{ Address string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			s.t.Fatal(err)
		}
		s.addrs = append(s.addrs, l.Address)
	}
}

// again starts the server where it was before, after its end.
func (s *server) again(args ...string) {
	s.t.Helper()
	s.start(append(args, "--listen", s.addrs[0])...)
}

// kill ends the server as kill -9 and a power cut do.
func (s *server) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.gone
	s.gone = nil
	s.judge()
}

// stop ends the server as an operating system does, and judges it.
func (s *server) stop() {
	s.t.Helper()
	if s.gone == nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Errorf("the server was gone before its time: %v\n%s", err, s.log)
	}
	select {
	case err := <-s.gone:
		if err != nil {
			s.t.Errorf("tandem serve ended with %v:\n%s", err, s.log)
		}
	case <-time.After(patience):
		s.t.Errorf("tandem serve does not end:\n%s", s.log)
	}
	s.gone = nil
	s.judge()
}

// judge reads the log: nothing went wrong, and nothing is in it that is nobody's
// business.
func (s *server) judge() {
	s.t.Helper()
	log := s.log.String()
	for _, wrong := range []string{"DATA RACE", "panic", `"level":"ERROR"`, "goroutine "} {
		if strings.Contains(log, wrong) {
			s.t.Errorf("the log has %q:\n%s", wrong, log)
		}
	}
	for _, secret := range s.secrets {
		if strings.Contains(log, secret) {
			s.t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
}

// host is where a browser finds the server.
func (s *server) host() string {
	_, port, err := net.SplitHostPort(s.addrs[0])
	if err != nil {
		s.t.Fatal(err)
	}
	return "localhost:" + port
}

// key makes an API key of the documents' tenant.
func (s *server) key(args ...string) string {
	s.t.Helper()
	key := tandem(s.t, append([]string{"key", "create", "--data", s.data, "--tenant", tenant}, args...)...)
	s.secrets = append(s.secrets, key)
	return key
}

// token makes a token of a participant of the documents' tenant and workflow.
func (s *server) token(subject string, args ...string) string {
	s.t.Helper()
	token := tandem(s.t, append([]string{
		"token", "--data", s.data, "--tenant", tenant, "--role", "participant", "--subject", subject, "--workflow", workflow, "--name", "Ann",
	}, args...)...)
	s.secrets = append(s.secrets, token)
	return token
}

// The names that the documents' examples use.
const (
	tenant      = "tenant-id"
	workflow    = "customer-support"
	participant = "user-123"
)

// ask sends a request and returns status and body.
func (s *server) ask(client *http.Client, method, url, credential, body string) (int, string) {
	s.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = "http://" + s.addrs[0] + url
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// push says something to the documents' participant with a back end's key.
func (s *server) push(key, kind string, more map[string]any) {
	s.t.Helper()
	body := map[string]any{"workflow": workflow, "participantId": participant}
	for name, value := range more {
		body[name] = value
	}
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	if status, answer := s.ask(http.DefaultClient, "POST", "/api/agent/conversation/outbound/"+kind, key, string(text)); status != http.StatusOK {
		s.t.Fatalf("outbound/%s: %d %s", kind, status, answer)
	}
}

// history reads what was said, oldest first.
func (s *server) history(credential, subject string) []message {
	s.t.Helper()
	status, text := s.ask(http.DefaultClient, "GET", "/api/user/rest/history?workflow="+workflow+"&participantId="+subject, credential, "")
	var list []message
	if err := json.Unmarshal([]byte(text), &list); status != http.StatusOK || err != nil {
		s.t.Fatalf("history: %d %v %s", status, err, text)
	}
	slices.Reverse(list)
	return list
}

// A message is what the documents say of one.
type message struct {
	ID            string          `json:"id"`
	CreatedAt     time.Time       `json:"createdAt"`
	Direction     string          `json:"direction"`
	MessageType   string          `json:"messageType"`
	Text          string          `json:"text"`
	Data          json.RawMessage `json:"data"`
	ParticipantID string          `json:"participantId"`
	WorkflowID    string          `json:"workflowId"`
	WorkflowType  string          `json:"workflowType"`
}
