package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// ErrTooLong is wrapped by what [Decoder.Next] returns for a line or an event
// over the limit.
var ErrTooLong = errors.New("sse: too long")

// An Event is what EventSource would dispatch.
type Event struct {
	Name  string // "message" if the stream gave none
	Data  []byte // lines joined with LF; good until the next call of Next
	ID    string // the last event ID in force, also if an earlier block set it
	HasID bool   // this event's own block had an id
}

// A Decoder reads events from a stream, by the letter of the standard: one byte
// order mark, lines that end in CR, LF or CRLF however the reads cut them, fields
// that keep every space but the first, ids that stay in force and are ignored
// with a NUL in them, invalid UTF-8 as U+FFFD. It takes an event as soon as the
// byte that ends its block is there. It is not safe for concurrent use.
type Decoder struct {
	r     io.Reader
	limit int
	err   error // what ended the stream

	buf     []byte // read and not yet used: buf[pos:]
	pos     int
	scanned int  // buf[pos:scanned] holds no line end
	afterCR bool // the last line ended in CR: an LF right after it belongs to it
	started bool // the first line is over: no byte order mark any more

	// The block being read.
	data    []byte // each line followed by LF
	name    string
	id      string // the standard's last event ID buffer: survives blocks
	hasID   bool
	hasData bool

	lastID string // id as of the last blank line
	retry  time.Duration
}

// NewDecoder returns a Decoder that reads r. Neither a line nor the data of an
// event may be longer than limit bytes, which bounds the memory that a peer can
// make it hold to a small multiple of limit.
func NewDecoder(r io.Reader, limit int) *Decoder {
	return &Decoder{r: r, limit: limit}
}

// LastID is the last event ID: the one to send as Last-Event-ID when this stream
// has ended. A block that holds only an id sets it without there being an event.
func (d *Decoder) LastID() string { return d.lastID }

// Retry is the reconnection time that the stream last set; 0 if it set none.
func (d *Decoder) Retry() time.Duration { return d.retry }

// Next reads up to the end of the next event. The error is io.EOF at the end of
// the stream, where an unfinished block is dropped as the standard demands (see
// [Decoder.Rest]), the reader's own error, or one that wraps [ErrTooLong]. After
// an error every call returns it again.
func (d *Decoder) Next() (Event, error) {
	d.reset()
	for {
		line, err := d.line()
		if err != nil {
			return Event{}, err
		}
		if len(line) > 0 {
			if d.err = d.field(line); d.err != nil {
				return Event{}, d.err
			}
			continue
		}
		d.lastID = d.id
		if !d.hasData {
			d.reset()
			continue
		}
		e := Event{Name: d.name, Data: d.data[:len(d.data)-1], ID: d.id, HasID: d.hasID}
		if e.Name == "" {
			e.Name = "message"
		}
		return e, nil
	}
}

// Rest returns, once Next has returned io.EOF, the data of the block that was
// not finished, and whether there was any. EventSource drops it; a reader of
// upstreams that forget the last blank line need not.
func (d *Decoder) Rest() ([]byte, bool) {
	if d.err != io.EOF {
		return nil, false
	}
	if line := d.buf[d.pos:]; len(line) > 0 {
		d.pos = len(d.buf)
		if d.field(d.unmarked(line)) != nil {
			return nil, false
		}
	}
	if !d.hasData {
		return nil, false
	}
	return d.data[:len(d.data)-1], true
}

func (d *Decoder) reset() {
	if d.err != nil {
		return // Rest may still be asked for
	}
	d.data, d.hasData = d.data[:0], false
	d.name, d.hasID = "", false
}

// line returns the next line without its end. The slice is good until the next call.
func (d *Decoder) line() ([]byte, error) {
	for d.err == nil {
		if d.afterCR && d.pos < len(d.buf) {
			d.afterCR = false
			if d.buf[d.pos] == '\n' {
				d.pos++
			}
			d.scanned = d.pos
		}
		if i := lineEnd(d.buf[d.scanned:]); i >= 0 {
			end := d.scanned + i
			line := d.buf[d.pos:end]
			d.afterCR = d.buf[end] == '\r'
			d.pos, d.scanned = end+1, end+1
			if len(line) > d.limit {
				d.err = d.tooLong("a line")
				break
			}
			return d.unmarked(line), nil
		}
		d.scanned = len(d.buf)
		if len(d.buf)-d.pos > d.limit {
			d.err = d.tooLong("a line")
			break
		}
		d.fill()
	}
	return nil, d.err
}

func (d *Decoder) tooLong(what string) error {
	return fmt.Errorf("%w: %s of more than %d bytes", ErrTooLong, what, d.limit)
}

// unmarked takes the byte order mark off the stream's first line.
func (d *Decoder) unmarked(line []byte) []byte {
	if !d.started {
		d.started = true
		line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	}
	return line
}

// fill reads once, into a buffer that grows with the line it has to hold.
func (d *Decoder) fill() {
	if d.pos > 0 {
		n := copy(d.buf, d.buf[d.pos:])
		d.buf, d.scanned, d.pos = d.buf[:n], d.scanned-d.pos, 0
	}
	if len(d.buf) == cap(d.buf) {
		grown := make([]byte, len(d.buf), max(4096, 2*cap(d.buf)))
		copy(grown, d.buf)
		d.buf = grown
	}
	for range 100 {
		n, err := d.r.Read(d.buf[len(d.buf):cap(d.buf)])
		d.buf = d.buf[:len(d.buf)+n]
		if n > 0 {
			// An error that came with bytes comes again when they are used.
			return
		}
		if err != nil {
			d.err = err
			return
		}
	}
	d.err = io.ErrNoProgress
}

// field takes one line that is not blank into the block.
func (d *Decoder) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		d.hasData = true
		d.data = append(appendValid(d.data, value), '\n')
		if len(d.data)-1 > d.limit {
			return d.tooLong("an event")
		}
	case "event":
		d.name = string(appendValid(nil, value))
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			d.id, d.hasID = string(appendValid(nil, value)), true
		}
	case "retry":
		if ms, ok := digits(value); ok {
			d.retry = ms
		}
	}
	return nil
}

// digits reads a number of milliseconds; one too large to count is the largest.
func digits(value []byte) (time.Duration, bool) {
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	if len(value) == 0 {
		return 0, false
	}
	const most = math.MaxInt64 / int64(time.Millisecond)
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n > most {
		n = most
	}
	return time.Duration(n) * time.Millisecond, true
}

// appendValid appends b with each maximal part that is not UTF-8 replaced by one
// U+FFFD, as the WHATWG Encoding standard decodes. A line end is never part of a
// sequence, so lines may be decoded one by one.
func appendValid(dst, b []byte) []byte {
	if utf8.Valid(b) {
		return append(dst, b...)
	}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			// A prefix of a sequence that could have gone on is one error, not many.
			for n < len(b) && !utf8.FullRune(b[:n]) && !utf8.FullRune(b[:n+1]) {
				n++
			}
			dst = append(dst, "\uFFFD"...)
		} else {
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst
}
