package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// maxEvent is the most bytes of one event, one line or one whole JSON answer.
// How long an answer may be in all is for the caller to say.
const maxEvent = 1 << 20

// maxReasoning is how many bytes of a model's reasoning become one piece.
const maxReasoning = 64 << 10

// An answer is the reading of one answer.
type answer struct {
	emit    func(tandem.Piece) error
	ended   func()         // called once, when nothing more is needed
	unknown metric.Counter // the same for all answers; nil: not counted
	handoff bool           // ask_a_person was offered

	form      form
	chunks    bool // some were chunks of a chat completion, which tell their end
	done      bool // the end was told
	ignored   int  // what meant nothing to us
	reasoning []byte
	calls     []toolCall
}

// Decode reads an answer that is streamed to us, as one of ours to a question
// would be: text/event-stream, or a line of JSON for each object. It calls emit for
// each piece, in order and from the calling goroutine, and returns its error as it
// is. Errors: Unavailable for a body that was cut off or says that it failed;
// Invalid for another form; TooLarge for an event or line over 1 MiB.
func Decode(form string, body io.Reader, emit func(tandem.Piece) error) error {
	var cut error
	a := answer{emit: func(p tandem.Piece) error { cut = emit(p); return cut }, ended: func() {}}
	err := unreadable("it is neither an event stream nor lines of JSON")
	switch form {
	case "text/event-stream":
		err = a.events(body)
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		err = a.lines(body)
	}
	if cut != nil {
		return cut
	}
	return err
}

// A form is how the lines of an event stream are read; the first one fixes it.
type form uint8

const (
	unfixed form = iota
	plainText
	objects
)

// end notes that the upstream said its last word.
func (a *answer) end() {
	if !a.done {
		a.done = true
		a.ended()
	}
}

// ignore counts something that means nothing to us.
func (a *answer) ignore() {
	a.ignored++
	if a.unknown != nil {
		a.unknown.Inc()
	}
}

// events reads text/event-stream.
func (a *answer) events(body io.Reader) error {
	d := sse.NewDecoder(body, maxEvent)
	for {
		e, err := d.Next()
		switch {
		case errors.Is(err, sse.ErrTooLong):
			return tooLarge(err)
		case err == io.EOF:
			// Many an upstream forgets the blank line after its last word.
			if rest, ok := d.Rest(); ok && !a.done {
				if last, err := a.event("message", rest); last || err != nil {
					return err
				}
			}
			return a.over()
		case err != nil:
			return a.cutOff(err)
		}
		if last, err := a.event(e.Name, e.Data); last || err != nil {
			return err
		}
	}
}

// event takes one event and reports whether it was the last.
func (a *answer) event(name string, data []byte) (last bool, err error) {
	switch {
	case string(data) == "[DONE]":
		return true, a.finish()
	case name == "error":
		return false, failed(data)
	case a.form == unfixed && len(data) > 0:
		a.form = plainText
		if data[0] == '{' && json.Valid(data) {
			a.form = objects
		}
	}
	if a.form == plainText {
		return false, a.say(string(data))
	}
	return false, a.object(data)
}

// lines reads application/x-ndjson.
func (a *answer) lines(body io.Reader) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4<<10), maxEvent+2) // the line and its end
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) > maxEvent {
			return tooLarge(bufio.ErrTooLong)
		}
		if string(line) == "[DONE]" {
			return a.finish()
		}
		if err := a.object(line); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return tooLarge(err)
	case err != nil:
		return a.cutOff(err)
	}
	return a.over()
}

// text reads text/plain: every read is a token, and nothing in it is looked at
// but where the runes end.
func (a *answer) text(body io.Reader) error {
	buf := make([]byte, 8<<10)
	held := 0 // bytes of a rune that is not whole yet
	for {
		n, err := body.Read(buf[held:])
		n += held
		held = 0
		if err == nil {
			held = partOfRune(buf[:n])
		}
		if err := a.say(whole(buf[:n-held])); err != nil {
			return err
		}
		copy(buf, buf[n-held:n])
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return a.cutOff(err)
		}
	}
}

// partOfRune is how many bytes at the end of b begin a rune that more bytes
// could make whole.
func partOfRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// whole is b with U+FFFD for each byte that is not part of a rune, so that it
// does not depend on where reads were cut.
func whole(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return string([]rune(string(b)))
}

// document reads application/json: one object, or one string.
func (a *answer) document(body io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(body, maxEvent+1))
	switch {
	case err != nil:
		return a.cutOff(err)
	case len(b) > maxEvent:
		return tooLarge(errors.New("more than 1 MiB"))
	}
	if s, ok := asString(b); ok {
		return a.say(s)
	}
	b = bytes.TrimSpace(b)
	if !json.Valid(b) || b[0] != '{' {
		return unreadable("neither a JSON object nor a string")
	}
	if err := a.object(b); err != nil {
		return err
	}
	if a.ignored > 0 {
		// Nobody would see anything, nor know why.
		return unreadable("none of its keys is known")
	}
	return a.finish()
}

// say emits text, and before it the reasoning that led to it.
func (a *answer) say(text string) error {
	if text == "" {
		return nil
	}
	if err := a.reasoned(); err != nil {
		return err
	}
	return a.emit(tandem.Piece{Text: text})
}

// finish takes the upstream's word that it has said everything.
func (a *answer) finish() error {
	a.end()
	if err := a.reasoned(); err != nil {
		return err
	}
	return a.called()
}

// over is called at the orderly end of the body. For most forms that is the end
// of the answer; chunks of a chat completion tell theirs, so without it some of
// them are missing.
func (a *answer) over() error {
	if a.chunks && !a.done {
		return a.cutOff(io.ErrUnexpectedEOF)
	}
	return a.finish()
}

// cutOff is called when the body ends with err.
func (a *answer) cutOff(err error) error {
	if a.done {
		return a.finish() // only the tail is missing
	}
	return tandem.Errorf(tandem.Unavailable, "the agent's answer was cut off: %w", err)
}

func tooLarge(err error) error {
	return tandem.Errorf(tandem.TooLarge, "a part of the agent's answer is too large: %w", err)
}

func unreadable(why string) error {
	return tandem.Errorf(tandem.Invalid, "the agent's answer cannot be read: %w", errors.New(why))
}
