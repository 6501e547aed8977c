package desktest_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// maxFrame is more bytes than any frame has.
const maxFrame = 4 << 20

// A screen is what one reader was shown, looked at frame by frame: a token that
// no answer is open for, an answer that begins or ends twice, a message whose
// tokens said something else, an operator who speaks in the middle of an answer
// are told at once. It belongs to one goroutine.
type screen struct {
	t     testing.TB
	name  string
	face  tandem.Face
	open  map[string]*strings.Builder // answers that have begun and not ended, by message
	ended map[string]string           // texts of those that have, as their tokens told them
	at    string                      // the last event id of an event stream
	lines []string                    // what agents, operators and back ends have said, in order: id and text
}

func newScreen(t testing.TB, name string, face tandem.Face) *screen {
	return &screen{t: t, name: name, face: face, open: map[string]*strings.Builder{}, ended: map[string]string{}}
}

// shownFrame has the fields of all faces' frames that a screen looks at.
type shownFrame struct {
	Type      string `json:"type"`
	MessageID string `json:"messageId"`
	Token     string `json:"token"`

	ID   string      `json:"id"`
	Text string      `json:"text"`
	Role tandem.Role `json:"role"`

	Messages []struct {
		ID      string      `json:"message_id"`
		Role    tandem.Role `json:"role"`
		Content string      `json:"content"`
	} `json:"messages"`
}

// show looks at bytes that the server sends, of whole frames.
func (s *screen) show(b []byte) {
	if s.face == tandem.FaceChat {
		for len(b) > 0 {
			var text []byte
			text, b = cutFrame(b)
			var f shownFrame
			s.parse(text, &f)
			s.frame(f.Type, &f)
		}
		return
	}
	s.follow(sse.NewDecoder(bytes.NewReader(b), maxFrame), func() bool { return false })
}

// follow looks at an event stream until it ends or enough says so.
func (s *screen) follow(dec *sse.Decoder, enough func() bool) {
	for {
		e, err := dec.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.t.Errorf("%s: %v", s.name, err)
			}
			return
		}
		var f shownFrame
		s.parse(e.Data, &f)
		s.at = e.ID
		if s.frame(e.Name, &f); enough() {
			return
		}
	}
}

func (s *screen) parse(data []byte, f *shownFrame) {
	if err := json.Unmarshal(data, f); err != nil {
		s.t.Errorf("%s: %v in %q", s.name, err, data)
	}
}

// cutFrame takes the first of a server's text frames (RFC 6455, section 5.2).
func cutFrame(b []byte) (text, rest []byte) {
	head, n := 2, int(b[1]&0x7f)
	switch n {
	case 126:
		head, n = 4, int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		head, n = 10, int(binary.BigEndian.Uint64(b[2:]))
	}
	return b[head : head+n], b[head+n:]
}

func (s *screen) frame(name string, f *shownFrame) {
	switch name {
	case "stream-start":
		if _, again := s.ended[f.MessageID]; again || s.open[f.MessageID] != nil {
			s.t.Errorf("%s: %s begins twice", s.name, f.MessageID)
		}
		s.speaks(f.MessageID, f.Role)
		s.open[f.MessageID] = &strings.Builder{}
	case "stream-token":
		if s.open[f.MessageID] == nil {
			s.t.Errorf("%s: a token of %s, which is not open", s.name, f.MessageID)
			return
		}
		s.open[f.MessageID].WriteString(f.Token)
	case "stream-end":
		if s.open[f.MessageID] == nil {
			s.t.Errorf("%s: %s ends, and is not open", s.name, f.MessageID)
			return
		}
		text := s.open[f.MessageID].String()
		delete(s.open, f.MessageID)
		s.ended[f.MessageID] = text
		if s.face == tandem.FaceChat {
			s.lines = append(s.lines, f.MessageID+" "+text)
		}
	case "Chat":
		s.message(f.ID, f.Role, f.Text)
	case "new_messages":
		for _, m := range f.Messages {
			if m.Role != tandem.RoleUser {
				s.message(m.ID, m.Role, m.Content)
			}
		}
	}
}

// message is a whole one.
func (s *screen) message(id string, role tandem.Role, text string) {
	s.speaks(id, role)
	if tokens, answer := s.ended[id]; answer && tokens != text {
		s.t.Errorf("%s: the tokens of %s said %d bytes, its end %d, or others", s.name, id, len(tokens), len(text))
	}
	s.lines = append(s.lines, id+" "+text)
}

func (s *screen) speaks(id string, role tandem.Role) {
	if role == tandem.RoleOperator && len(s.open) > 0 {
		s.t.Errorf("%s: an operator says %s in the middle of an answer", s.name, id)
	}
}

// has reports whether somebody said so, among the last.
func (s *screen) has(text string) bool {
	return slices.ContainsFunc(s.lines[max(0, len(s.lines)-100):], func(line string) bool { return strings.HasSuffix(line, " "+text) })
}

// compare looks whether the reader was shown exactly what the log has.
func (s *screen) compare(log []tandem.Event) {
	if len(s.open) > 0 {
		s.t.Errorf("%s: %d answers have no end", s.name, len(s.open))
	}
	var stored []string
	for i := range log {
		e := &log[i]
		if e.Kind != tandem.KindMessage && e.Kind != tandem.KindAnswerEnded || e.Audience != tandem.Everyone {
			continue
		}
		m, err := e.Message()
		if err != nil {
			s.t.Error(err)
		}
		if m.Direction == tandem.Outgoing {
			stored = append(stored, e.ID+" "+m.Text)
		}
	}
	for i := range max(len(stored), len(s.lines)) {
		switch {
		case i >= len(s.lines):
			s.t.Errorf("%s: not shown: %.60q", s.name, stored[i])
		case i >= len(stored):
			s.t.Errorf("%s: not stored: %.60q", s.name, s.lines[i])
		case stored[i] != s.lines[i]:
			s.t.Errorf("%s: shown %.60q, %d bytes, stored %.60q, %d bytes", s.name, s.lines[i], len(s.lines[i]), stored[i], len(stored[i]))
		default:
			continue
		}
		return // what comes after is shifted
	}
}

// logOf is a thread's log after a place.
func logOf(x *desktest.Tandem, a tandem.Address, from tandem.Cursor) []tandem.Event {
	x.T.Helper()
	var all []tandem.Event
	for {
		page, err := x.Store.Read(x.T.Context(), a, from, 1000)
		if err != nil {
			x.T.Fatal(err)
		}
		if len(page.Events) == 0 {
			return all
		}
		all, from = append(all, page.Events...), page.Events[len(page.Events)-1].Cursor()
	}
}
