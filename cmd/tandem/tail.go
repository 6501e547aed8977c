package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
)

// TailCmd follows a thread, or one conversation, in the terminal.
type TailCmd struct {
	Server       string `default:"http://localhost:8080" env:"TANDEM_SERVER" placeholder:"URL" help:"Where the server is."`
	Token        string `env:"TANDEM_TOKEN" required:"" placeholder:"TOKEN" help:"A token or an API key."`
	Workflow     string `help:"The thread's workflow."`
	Participant  string `help:"The thread's participant."`
	Conversation string `placeholder:"ID" help:"This conversation, with notes and drafts, in the place of a thread."`
	Tenant       string `help:"The thread's tenant. Default: the credential's."`
	Scope        string `help:"Only messages of this scope."`
	After        string `xor:"from" placeholder:"CURSOR" help:"Go on after this cursor. Default: with what comes next; of a conversation, from its beginning."`
	All          bool   `xor:"from" help:"Begin with the oldest message of the thread that is kept; needs --tenant."`
	Tokens       bool   `help:"Show answers while they are written."`
	JSON         bool   `name:"json" help:"Print each event as a line of JSON with its cursor."`
}

// Run follows until Ctrl-C, which is no failure, or until the server says that
// nothing will ever come. Messages go to stdout, all else to stderr.
func (t TailCmd) Run(s *session) error {
	p := &printer{out: s.out, errOut: s.errOut, json: t.JSON}
	events, err := t.events(s.ctx, func(err error, wait time.Duration) {
		p.note("no connection (%v); next try in %s", err, wait.Round(100*time.Millisecond))
	})
	if err != nil {
		return err
	}
	for e, err := range events {
		switch {
		case s.ctx.Err() != nil:
			p.goOn()
			return nil
		case err != nil:
			return err
		case !t.Tokens && (e.Type == client.Start || e.Type == client.Token || e.Type == client.End):
			continue // a conversation's stream has them always
		}
		if err := p.show(e); err != nil {
			return err
		}
	}
	return nil
}

// events are what there is to follow.
func (t TailCmd) events(ctx context.Context, onLost func(error, time.Duration)) (iter.Seq2[client.Event, error], error) {
	switch {
	case (t.Conversation == "") == (t.Workflow == "" && t.Participant == ""), t.Conversation == "" && (t.Workflow == "" || t.Participant == ""):
		return nil, errors.New("name a thread by --workflow and --participant, or a conversation by --conversation")
	case t.Conversation != "" && (t.All || t.Scope != "" || t.Tenant != ""):
		return nil, errors.New("--conversation goes with --after and --tokens, not with --all, --scope or --tenant")
	}
	after := t.After
	if t.All {
		a, err := tandem.NewAddress(t.Tenant, t.Workflow, t.Participant)
		if err != nil {
			return nil, fmt.Errorf("--all: %w: name the tenant with --tenant", err)
		}
		after = a.Start().String()
	}
	c, err := client.New(t.Server, client.Options{Token: t.Token})
	if err != nil {
		return nil, err
	}
	if t.Conversation != "" {
		return c.FollowConversation(ctx, t.Conversation, client.Resume{After: t.After, OnLost: onLost}), nil
	}
	return c.Follow(ctx, client.Follow{
		Workflow: t.Workflow, Participant: t.Participant, Tenant: t.Tenant, Scope: t.Scope, After: after,
		Echo: true, Tokens: t.Tokens, OnLost: onLost,
	}), nil
}

// A printer writes events for people, or as JSON for programs. It is used by one
// goroutine.
type printer struct {
	out, errOut io.Writer
	json        bool
	writing     string // id of the answer whose text the line on the terminal ends with
	shown       string // id of the last answer that was shown token by token
	cursor      string // of the last event
	speaks      string // who did so in the conversation, when it was last told
}

func (p *printer) show(e client.Event) error {
	if e.Cursor != "" {
		p.cursor = e.Cursor
	}
	if p.json {
		return p.line(e)
	}
	switch e.Type {
	case client.Start:
		if e.Again {
			p.note("the answer is told again from its beginning:")
		}
		p.begin(e.MessageID, time.Now(), e.Speaker)
	case client.Token:
		if p.writing != e.MessageID {
			p.begin(e.MessageID, time.Now(), e.Speaker)
		}
		fmt.Fprint(p.out, printable(e.Text))
	case client.End:
		p.end()
		p.shown = e.MessageID
		if e.Finish != tandem.FinishStop {
			p.note("the answer ended: %s", e.Finish)
		}
	case client.Said:
		p.said(e)
	case client.Initial:
		p.entries("", e.Transcript.Messages)
	case client.NewMessages:
		p.entries("", e.Entries)
	case client.Note, client.Draft:
		p.entries("["+e.Name+"] ", e.Entries)
	case client.Updated:
		p.changed(e.Row)
	case client.Ended:
		p.note("%s", e.Text)
	case client.Gap:
		p.note("messages %d to %d are no longer kept", e.From, e.To)
	case client.Reset:
		p.note("this is another history than before; all that is kept follows")
	case client.Disconnected:
		p.note("the server ends the connection: %s", e.Reason)
	}
	return nil
}

// said shows a whole message, unless it is the answer that was just shown.
func (p *printer) said(e client.Event) {
	m := e.Message
	if m == nil || (m.ID == p.shown && m.ID != "") {
		return
	}
	who := m.CreatedBy
	if m.Direction == tandem.Incoming || who == "" {
		who = m.Participant
	}
	p.begin("", m.CreatedAt, who)
	text := m.Text
	if m.Type != tandem.Chat {
		text = strings.TrimSpace(fmt.Sprintf("[%s] %s %s", m.Type, m.Text, m.Data))
	}
	fmt.Fprintln(p.out, printable(text))
}

// entries shows messages of a conversation, but the answer that was just shown.
func (p *printer) entries(mark string, list []client.Entry) {
	for _, m := range list {
		if m.ID == p.shown {
			continue
		}
		who := m.Name
		if who == "" {
			who = string(m.Role)
		}
		p.begin("", m.Timestamp, who)
		fmt.Fprintln(p.out, printable(mark+m.Text))
	}
}

// changed tells who may speak, if that is news.
func (p *printer) changed(row *client.Row) {
	speaks := "the agent answers"
	switch row.Mode {
	case tandem.ModeWaiting:
		speaks = "it waits for a person"
	case tandem.ModeOperator:
		speaks = printable(row.Holder) + " has taken over"
	}
	if speaks != p.speaks {
		p.note("%s", speaks)
	}
	p.speaks = speaks
}

// begin starts a line; that of an answer under way is ended before.
func (p *printer) begin(answer string, at time.Time, who string) {
	p.end()
	fmt.Fprintf(p.out, "%s  %-12s  ", at.Local().Format(time.TimeOnly), printable(who))
	p.writing = answer
}

func (p *printer) end() {
	if p.writing != "" {
		fmt.Fprintln(p.out)
	}
	p.writing = ""
}

// note tells of the stream itself.
func (p *printer) note(format string, args ...any) {
	p.end()
	fmt.Fprintf(p.errOut, "tandem: "+format+"\n", args...)
}

// goOn says how to go on later.
func (p *printer) goOn() {
	if p.cursor != "" {
		p.note("go on with --after %s", p.cursor)
	}
}

func (p *printer) line(e client.Event) error {
	line, err := json.Marshal(struct {
		Event  string          `json:"event"`
		Cursor string          `json:"cursor,omitempty"`
		Data   json.RawMessage `json:"data,omitempty"`
	}{e.Name, e.Cursor, e.Data})
	if err != nil {
		return fmt.Errorf("event %s: %w", e.Name, err)
	}
	_, err = fmt.Fprintln(p.out, string(line))
	return err
}

// printable makes a text of somebody else's harmless on a terminal: what would
// move the cursor, colour or retitle is replaced. Further lines are indented.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		if unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Bidi_Control, r) {
			return r // joiners, without which some scripts and emoji fall apart
		}
		return unicode.ReplacementChar
	}, strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\n                        "))
}
