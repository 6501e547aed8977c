package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

// A house is a server on a data folder and an address that stay the same over a
// restart.
type house struct {
	t      *testing.T
	config Config
	addr   string
	node   *node
	http   *http.Server
}

func openHouse(t *testing.T) *house {
	t.Helper()
	c, err := source{env: noEnv, flags: Config{Data: t.TempDir(), Agent: "concierge"}, given: map[string]bool{"data": true, "agent": true}}.load()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, config: c, addr: "127.0.0.1:0"}
	h.start()
	t.Cleanup(h.stop)
	return h
}

func (h *house) start() {
	h.t.Helper()
	var err error
	if h.node, err = openNode(h.t.Context(), h.config, slog.New(slog.DiscardHandler)); err != nil {
		h.t.Fatal(err)
	}
	l, err := net.Listen("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.addr = l.Addr().String()
	h.http = newHTTP(h.node.api.Handler(), h.node.log)
	go h.http.Serve(l)
}

func (h *house) stop() {
	h.node.drain()
	h.http.Close()
	h.node.close(context.Background())
}

// key is an API key of role agent.
func (h *house) key() string {
	h.t.Helper()
	key, _, err := h.node.auth.CreateKey(h.t.Context(), auth.KeyRequest{Tenant: "default", Role: tandem.Agent})
	if err != nil {
		h.t.Fatal(err)
	}
	return key.Reveal()
}

func (h *house) push(key, text string) {
	h.t.Helper()
	c, err := client.New("http://"+h.addr, client.Options{Token: key})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := c.Push(h.t.Context(), client.Push{Workflow: "support", Participant: "ann", Text: text}); err != nil {
		h.t.Fatal(err)
	}
}

// A terminal is what a command prints, line by line.
type terminal struct {
	t     *testing.T
	lines *bufio.Scanner
}

func newTerminal(t *testing.T) (io.WriteCloser, *terminal) {
	r, w := io.Pipe()
	t.Cleanup(func() { r.Close() })
	return w, &terminal{t, bufio.NewScanner(r)}
}

// shows waits for a line that holds text and returns it.
func (s *terminal) shows(text string) string {
	s.t.Helper()
	for s.lines.Scan() {
		if strings.Contains(s.lines.Text(), text) {
			return s.lines.Text()
		}
	}
	s.t.Fatalf("never shows %q", text)
	return ""
}

// Seen to fail by showing messages twice, and by ending when the server does.
func TestTail_showsEachMessageOnceOverARestart(t *testing.T) {
	h := openHouse(t)
	key := h.key()
	h.push(key, "before")
	ctx, cancel := context.WithCancel(t.Context())
	out, screen := newTerminal(t)
	errOut, notes := newTerminal(t)
	ended := make(chan error, 1)
	go func() {
		defer out.Close()
		ended <- TailCmd{
			Server: "http://" + h.addr, Token: key, Workflow: "support", Participant: "ann", Tenant: "default", All: true,
		}.Run(&session{ctx: ctx, out: out, errOut: errOut})
	}()
	screen.shows("before")
	h.push(key, "one\ntwo \x1b[31mred\u009b2J")
	if line := screen.shows("one"); strings.Contains(line, "before") {
		t.Error("two messages on a line")
	}
	if line := screen.shows("two"); line != strings.Repeat(" ", 24)+"two \ufffd[31mred\ufffd2J" {
		t.Errorf("shows %q", line)
	}

	go func() { // what is noted must be read for the follower to go on
		for notes.lines.Scan() && !strings.Contains(notes.lines.Text(), "go on with --after") {
		}
	}()
	h.stop()
	h.start()
	h.push(key, "after")
	if line := screen.shows(""); !strings.HasSuffix(line, "after") {
		t.Errorf("after the restart it shows %q", line)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Ctrl-C is a failure: %v", err)
	}
}

// A conversation in a terminal, to its end. Seen to fail by telling each change of
// the state again.
func TestTail_followsAConversation(t *testing.T) {
	h := openHouse(t)
	gateway, err := client.New("http://"+h.addr, client.Options{Token: h.key()})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	say := func(messages ...client.Saying) {
		t.Helper()
		if _, err := gateway.Say(ctx, client.Say{Conversation: "case-7", Messages: messages}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := gateway.OpenConversation(ctx, client.Open{Workflow: "support", Participant: "ann", ID: "case-7"}); err != nil {
		t.Fatal(err)
	}
	say(client.Saying{Role: tandem.RoleUser, Text: "Help"}, client.Saying{Text: "Yes?"})
	token, err := h.node.auth.Mint(ctx, auth.MintRequest{Tenant: "default", Subject: "maya", Name: "Maya", Role: tandem.Operator})
	if err != nil {
		t.Fatal(err)
	}
	maya := gateway.With(token.Token.Reveal())
	out, screen := newTerminal(t)
	var notes strings.Builder
	ended := make(chan error, 1)
	go func() {
		defer out.Close()
		ended <- TailCmd{Server: "http://" + h.addr, Token: token.Token.Reveal(), Conversation: "case-7"}.Run(&session{ctx: ctx, out: out, errOut: &notes})
	}()
	shows := func(want string) {
		t.Helper()
		if line := screen.shows(""); len(line) < 10 || strings.Join(strings.Fields(line[10:]), " ") != want {
			t.Errorf("shows %q, want %q", line, want)
		}
	}
	shows("user Help")
	shows("assistant Yes?")
	if _, err := maya.Takeover(ctx, "case-7", false); err != nil {
		t.Fatal(err)
	}
	urgent := tandem.UrgencyUrgent
	if _, err := maya.Change(ctx, "case-7", client.Change{Urgency: &urgent}); err != nil {
		t.Fatal(err)
	}
	if _, err := maya.Note(ctx, "case-7", "again"); err != nil {
		t.Fatal(err)
	}
	shows("Maya [note] again")
	say(client.Saying{Text: "One moment."})
	shows("assistant [draft] One moment.")
	if _, err := maya.End(ctx, "case-7", ""); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	const want = "tandem: the agent answers\ntandem: Maya has taken over\ntandem: Conversation has ended\n"
	if notes.String() != want {
		t.Errorf("notes %q", notes.String())
	}
}

func TestTail_asksForWhatItNeeds(t *testing.T) {
	for _, bad := range []TailCmd{{}, {Workflow: "support"}, {Workflow: "support", Participant: "ann", Conversation: "c"}, {Conversation: "c", All: true}} {
		if err := bad.Run(&session{ctx: t.Context()}); err == nil || !strings.Contains(err.Error(), "--conversation") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	err := TailCmd{Workflow: "support", Participant: "ann", All: true}.Run(&session{ctx: t.Context()})
	if err == nil || !strings.Contains(err.Error(), "--tenant") {
		t.Error(err)
	}
	h := openHouse(t)
	errOut, notes := newTerminal(t)
	go func() {
		for notes.lines.Scan() {
		}
	}()
	err = TailCmd{Server: "http://" + h.addr, Token: "sk-nothing", Workflow: "support", Participant: "ann"}.
		Run(&session{ctx: t.Context(), out: io.Discard, errOut: errOut})
	if tandem.KindOf(err) != tandem.Unauthorized {
		t.Error(err)
	}
}

func TestPrinter_showsAnswersOnce(t *testing.T) {
	var out, notes strings.Builder
	p := &printer{out: &out, errOut: &notes}
	answer := &client.Message{ID: "m2", Direction: tandem.Outgoing, Type: tandem.Chat, Text: "Hello", CreatedBy: "Bot"}
	data := &client.Message{ID: "m3", Direction: tandem.Outgoing, Type: tandem.Data, Data: []byte(`{"a":1}`), CreatedBy: "Bot"}
	for _, e := range []client.Event{
		{Type: client.Start, MessageID: "m2", Speaker: "Bot"},
		{Type: client.Token, MessageID: "m2", Text: "Hel"},
		{Type: client.Said, Message: data, Cursor: "3-aaaaaaaa"},
		{Type: client.Token, MessageID: "m2", Text: "lo", Speaker: "Bot"},
		{Type: client.End, MessageID: "m2", Finish: tandem.FinishInterrupted},
		{Type: client.Said, Message: answer, Cursor: "4-bbbbbbbb"},
		{Type: client.Gap, From: 5, To: 7},
	} {
		if err := p.show(e); err != nil {
			t.Fatal(err)
		}
	}
	p.goOn()
	var said []string
	for line := range strings.Lines(out.String()) {
		said = append(said, strings.TrimSpace(line[10:]))
	}
	want := "Bot           Hel|Bot           [Data]  {\"a\":1}|Bot           lo"
	if got := strings.Join(said, "|"); got != want {
		t.Errorf("shows %s\nwant  %s", got, want)
	}
	const noted = "tandem: the answer ended: interrupted\ntandem: messages 5 to 7 are no longer kept\ntandem: go on with --after 4-bbbbbbbb\n"
	if notes.String() != noted {
		t.Errorf("notes %q", notes.String())
	}
}

func TestPrinter_writesLinesOfJSON(t *testing.T) {
	var out strings.Builder
	p := &printer{out: &out, json: true}
	if err := p.show(client.Event{Type: client.Said, Name: "Chat", Cursor: "1-aaaaaaaa", Data: []byte(`{"text":"a\nb"}`)}); err != nil {
		t.Fatal(err)
	}
	if want := `{"event":"Chat","cursor":"1-aaaaaaaa","data":{"text":"a\nb"}}` + "\n"; out.String() != want {
		t.Errorf("writes %s", out.String())
	}
}

// Texts come from strangers and must not command the terminal; scripts and emoji
// that need joiners stay whole.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext": "plain\ttext", "bell\a": "bell\ufffd", "\x1b]0;title\x07": "\ufffd]0;title\ufffd", "del\x7f": "del\ufffd",
		"नमस्\u200dते 👩\u200d💻": "नमस्\u200dते 👩\u200d💻", "abc\u202edef": "abc\ufffddef", "a\r\nb": "a\n" + strings.Repeat(" ", 24) + "b",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
