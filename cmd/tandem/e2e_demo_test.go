package main_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// demo is tandem demo, not yet started, and the folder that it has for what it
// deletes at the end.
func demo(t *testing.T, listen ...string) (cmd *exec.Cmd, temp string) {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	temp = t.TempDir()
	cmd = exec.Command(binary, "demo", "--listen", strings.Join(listen, ","))
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	return cmd, temp
}

// empty checks that nothing is left in a folder.
func empty(t *testing.T, folder string) {
	t.Helper()
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What the demo prints is true: each line under PASTE is run as it stands, and
// what a document promises of it happens. Seen to fail by a wrong port in a line,
// by a log line on stdout, and by a folder that stays.
func TestDemo_pasteLinesWork(t *testing.T) {
	t.Parallel()
	need(t, "curl", "the client of the documents", "curl")
	cmd, temp := demo(t, "127.0.0.1:0", "127.0.0.1:0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, gone := run(t, cmd)
	ready := regexp.MustCompile(`^\d\d:\d\d:\d\d ready in \d+\.\d s$`)
	stdout.next(t, "ready", ready.MatchString)
	page := stdout.String()
	log := section(page, `(?m)^The log is in (\S+)$`)
	if _, err := os.Stat(log); err != nil || !strings.HasPrefix(log, temp) {
		t.Errorf("the log: %v", err)
	}

	paste := strings.Split(section(page, `(?ms)^PASTE[^\n]*\n(.*?)\n\n`), "\n")
	if len(paste) != 6 {
		t.Fatalf("PASTE has these lines: %q", paste)
	}
	events := demoEvents(t, paste[0], paste[1])
	demoSession(t, paste[2], paste[3])
	demoCall(t, paste[4])
	demoSocket(t, strings.TrimSpace(paste[5]))
	demoPeople(t, page)
	demoHome(t, page)

	_ = cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-gone:
		if err != nil {
			t.Errorf("Ctrl-C ended it with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Ctrl-C does not end it")
	}
	events.next(t, "disconnected", func(line string) bool { return line == "event: disconnected" })
	if said := stdout.String(); said != page || !strings.HasPrefix(said, "\nTandem 0.") || strings.ContainsAny(said, "{}") {
		t.Errorf("it printed more than its page:\n%s", said)
	}
	if said := stderr.String(); said != "" {
		t.Errorf("on stderr: %s", said)
	}
	empty(t, temp)
}

// sh is a line as somebody pastes it.
func sh(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", line)
	cmd.Stderr = io.Discard // how fast curl is
	return cmd
}

// demoEvents pastes the first line, which follows, and the second, which says something.
func demoEvents(t *testing.T, follow, send string) *journal {
	t.Helper()
	events, _ := run(t, sh(follow))
	events.next(t, "connected", func(line string) bool { return line == "event: connected" })
	if out, err := sh(send).Output(); err != nil || !regexp.MustCompile(`^"thread_[a-z2-7]+"$`).Match(out) {
		t.Errorf("%s: %s, %v", send, out, err)
	}
	hello := events.next(t, "the answer to Hello", func(line string) bool { return strings.HasPrefix(line, "data: ") && strings.Contains(line, "Hello") })
	var m message
	if err := json.Unmarshal([]byte(hello[len("data: "):]), &m); err != nil || m.MessageType != "Chat" || m.Direction != "Outgoing" || m.ParticipantID != participant {
		t.Errorf("the event: %s, %v", hello, err)
	}
	return events
}

// demoSession pastes the line that connects a session and the one that sends to it.
func demoSession(t *testing.T, connect, send string) {
	t.Helper()
	session, _ := run(t, sh(connect))
	session.next(t, "the beginning", func(line string) bool { return strings.HasPrefix(line, "id: ") })
	if out, err := sh(send).Output(); err != nil || string(out) != `{"message":"Message sent to 1 session(s)"}` {
		t.Errorf("%s: %s, %v", send, out, err)
	}
	paid := session.next(t, "paid", func(line string) bool { return strings.HasPrefix(line, "data: ") })
	var told struct{ Event, Message, Timestamp string }
	if err := json.Unmarshal([]byte(paid[len("data: "):]), &told); err != nil || told.Event != "MESSAGE" || told.Message != "paid" || told.Timestamp == "" {
		t.Errorf("told: %s, %v", paid, err)
	}
}

// demoCall pastes the line that follows the conversation: it begins with all that
// the document's snapshot has.
func demoCall(t *testing.T, follow string) {
	t.Helper()
	call, _ := run(t, sh(follow))
	call.next(t, "initial", func(line string) bool { return line == "event: initial" })
	initial := call.next(t, "its data", func(line string) bool { return strings.HasPrefix(line, "data: ") })
	snapshot := documentJSON(t, "conversation.json")
	var got, want map[string]any
	if err := json.Unmarshal([]byte(initial[len("data: "):]), &got); err != nil {
		t.Fatal(err)
	}
	want = snapshot["conversation"].(map[string]any)
	delete(want, "admin_id")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("initial: %v\nwant %v", got, want)
	}
}

// demoPeople signs everybody in with the passwords that are printed, and lets the
// operator take the call over.
func demoPeople(t *testing.T, page string) {
	t.Helper()
	url := strings.TrimSuffix(section(page, `(?m)^  Everything, explained +(http://\S+)$`), "/")
	ask := func(path, credential, body string) (answer struct {
		Token string
		User  struct{ Role string }
	},
	) {
		t.Helper()
		req, err := http.NewRequest("POST", url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+credential)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v", path, resp.Status, err)
		}
		return answer
	}
	people := regexp.MustCompile(`(maya|lee|root) / ([a-z]+-[a-z]+-\d\d) \((\w+)\)`).FindAllStringSubmatch(page, -1)
	if len(people) != 3 {
		t.Fatalf("people: %q", people)
	}
	tokens := map[string]string{}
	for _, p := range people {
		in := ask("/api/auth/login", "", `{"username":`+quote(p[1])+`,"password":`+quote(p[2])+`}`)
		if in.User.Role != p[3] {
			t.Errorf("%s is %s, not %s", p[1], in.User.Role, p[3])
		}
		tokens[p[1]] = in.Token
	}
	ask("/api/conversation/"+section(page, `(?m)^  (conv_\S+) `)+"/takeover", tokens["maya"], "")
}

// demoHome looks at the page of links where the demo says that it is.
func demoHome(t *testing.T, page string) {
	t.Helper()
	addresses := strings.Split(section(page, `(?m)^Listening on (.*) \(each serves everything\)`), ", ")
	if len(addresses) != 2 {
		t.Errorf("listening on %q", addresses)
	}
	for _, home := range append([]string{section(page, `(?m)^  Everything, explained +(http://\S+)$`)}, "http://"+addresses[0], "http://"+addresses[1]) {
		resp, err := http.Get(home)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %+v", home, resp)
		}
		_ = resp.Body.Close()
	}
}

// section is what a pattern finds in the demo's page.
func section(page, pattern string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(page); m != nil {
		return m[1]
	}
	return ""
}

// demoSocket runs the WebSocket line where the demo says, in a page's console;
// without a browser, in a client that takes its address from it.
func demoSocket(t *testing.T, line string) {
	t.Helper()
	if testing.Short() {
		open(t, section(line, `^new WebSocket\("(ws://[^"]+)"\)`), http.DefaultClient)
		return
	}
	b := browse(t)
	b.tell(`(0, eval)(` + quote(line) + `).onmessage = (event) => say('frame', JSON.parse(event.data))`)
	var f frame
	if b.next("frame", &f); f.Type != "connection" || f.Message != "Connected to chatbot server" {
		t.Errorf("%s: %+v", line, f)
	}
}

// Whoever has a program on one of the ports is told what to do, and nothing is
// left behind. Seen to fail by a folder that stays.
func TestDemo_saysThatAPortIsTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	cmd, temp := demo(t, "127.0.0.1:0", taken)
	out, err := cmd.Output()
	want := "tandem: cannot listen on " + taken + " (bind: address already in use); choose another with --listen, or stop what has it\n"
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 || len(out) > 0 || string(exit.Stderr) != want {
		t.Errorf("got %v, stdout %q, stderr %q; want %q", err, out, said(err), want)
	}
	empty(t, temp)
}
