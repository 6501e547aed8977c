// Package sse writes and reads event streams as the WHATWG HTML standard defines
// them (section "Server-sent events"): the bytes of the event faces, of the
// streams that agents answer with, and of the Go client.
package sse

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// A Frame is one block of an event stream. Fields that are not set write no line.
type Frame struct {
	Comment string        // not seen by EventSource; a heartbeat that is no event
	Event   string        // the event's name; empty: "message"
	Data    []byte        // nil: no data, and so no event; not nil and empty: an event with empty data
	ID      string        // what a client sends back as Last-Event-ID
	Retry   time.Duration // how long a client shall wait before it reconnects; whole milliseconds
}

// Append appends the block to dst, with LF line ends and the blank line that
// dispatches it, and returns the longer slice. A Frame that would write no line
// appends nothing. It allocates only what dst lacks.
//
// Event and data come first, in the order of the published documents' examples,
// so that a client that takes lines one after the other finds them where it
// always did; id and retry follow.
//
// Data and comments may hold any line ends: each of CR, LF and CRLF begins a new
// line of the field, and a reader gets LF. A name or an id cannot be spread over
// lines, so one that holds CR, LF or NUL is left out as a whole, line and all: it
// can neither add a field to the stream nor become another name or id by losing
// characters. What is left is an event called "message", or one after which a
// client resumes from the id before.
func Append(dst []byte, f Frame) []byte {
	begin := len(dst)
	if f.Comment != "" {
		dst = appendLines(dst, ": ", []byte(f.Comment))
	}
	dst = appendField(dst, "event: ", f.Event)
	if f.Data != nil {
		dst = appendLines(dst, "data: ", f.Data)
	}
	dst = appendField(dst, "id: ", f.ID)
	if ms := f.Retry.Milliseconds(); ms > 0 {
		dst = append(dst, "retry: "...)
		dst = strconv.AppendInt(dst, ms, 10)
		dst = append(dst, '\n')
	}
	if len(dst) > begin {
		dst = append(dst, '\n')
	}
	return dst
}

func appendField(dst []byte, name, value string) []byte {
	if value == "" || strings.ContainsAny(value, "\r\n\x00") {
		return dst
	}
	dst = append(dst, name...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

func appendLines(dst []byte, prefix string, value []byte) []byte {
	for {
		end := lineEnd(value)
		dst = append(dst, prefix...)
		if end < 0 {
			dst = append(dst, value...)
			return append(dst, '\n')
		}
		dst = append(dst, value[:end]...)
		dst = append(dst, '\n')
		if value[end] == '\r' && end+1 < len(value) && value[end+1] == '\n' {
			end++
		}
		value = value[end+1:]
	}
}

// lineEnd is the index of the first CR or LF of b, or -1.
func lineEnd(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return lf
}
