package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	oracle "github.com/tmaxmax/go-sse"

	"github.com/seed4677ff1f/tandem/internal/sse"
)

const roomy = 1 << 20

func TestAppend(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame sse.Frame
		want  string
	}{
		{"nothing", sse.Frame{}, ""},
		{
			"all fields",
			sse.Frame{Comment: "c", Event: "Chat", Data: []byte(`{"a":1}`), ID: "7-abcdefgh", Retry: 1500 * time.Millisecond},
			": c\nevent: Chat\ndata: {\"a\":1}\nid: 7-abcdefgh\nretry: 1500\n\n",
		},
		{"empty data is data", sse.Frame{Data: []byte{}}, "data: \n\n"},
		{"no data", sse.Frame{ID: "1", Retry: time.Second}, "id: 1\nretry: 1000\n\n"},
		{"less than a millisecond", sse.Frame{Retry: time.Microsecond}, ""},
		{"data of several lines", sse.Frame{Data: []byte("a\nb\rc\r\nd\n\n")}, "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: \n\n"},
		{"a CR at the end", sse.Frame{Data: []byte("a\r")}, "data: a\ndata: \n\n"},
		{"comment of several lines", sse.Frame{Comment: "a\r\ndata: b"}, ": a\n: data: b\n\n"},
		{"spaces are kept", sse.Frame{Event: " e", Data: []byte(" d "), ID: " i"}, "event:  e\ndata:  d \nid:  i\n\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(sse.Append(nil, tt.frame)); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if got := string(sse.Append([]byte("before"), tt.frame)); got != "before"+tt.want {
				t.Errorf("after other bytes: %q", got)
			}
		})
	}
}

// Broken once by writing names as they are: the field "data" was injected.
func TestAppend_neverInjectsAField(t *testing.T) {
	for _, evil := range []string{"x\ndata: evil", "x\rdata: evil", "x\r\n\r\ndata: evil\r\n\r\n", "x\x00", "\n", "\x00"} {
		for _, f := range []sse.Frame{
			{Event: evil, Data: []byte("d")},
			{ID: evil, Data: []byte("d")},
			{Comment: evil, Data: []byte("d")},
		} {
			got := decode(t, sse.Append(nil, f))
			want := []event{{Name: "message", Data: "d"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v: %s", f, diff)
			}
		}
	}
}

func TestAppend_doesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 4096)
	f := sse.Frame{Event: "Chat", Data: []byte(`{"text":"hello"}`), ID: "7-abcdefgh"}
	if n := testing.AllocsPerRun(100, func() { sse.Append(dst, f) }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// event is an sse.Event that may be kept.
type event struct {
	Name, Data, ID string
	HasID          bool
}

// decodeAll reads everything: the events, and what ended the stream.
func decodeAll(r io.Reader, limit int) ([]event, *sse.Decoder, error) {
	d := sse.NewDecoder(r, limit)
	var all []event
	for {
		e, err := d.Next()
		if err != nil {
			return all, d, err
		}
		all = append(all, event{e.Name, string(e.Data), e.ID, e.HasID})
	}
}

func decode(t *testing.T, stream []byte) []event {
	t.Helper()
	all, _, err := decodeAll(bytes.NewReader(stream), roomy)
	if err != io.EOF {
		t.Fatalf("the stream ended with %v", err)
	}
	return all
}

func TestDecoder(t *testing.T) {
	msg := func(data string) event { return event{Name: "message", Data: data} }
	for _, tt := range []struct {
		name, stream string
		want         []event
	}{
		// The examples of the standard.
		{"standard: three data lines", "data: YHOO\ndata: +2\ndata: 10\n\n", []event{msg("YHOO\n+2\n10")}},
		{
			"standard: comment, ids, reset of the id, last block unfinished",
			": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event",
			[]event{{"message", "first event", "1", true}, {"message", "second event", "", true}},
		},
		{"standard: empty data", "data\n\ndata\ndata\n\ndata:", []event{msg(""), msg("\n")}},
		{"standard: one space is ignored", "data:test\n\ndata: test\n\n", []event{msg("test"), msg("test")}},

		{"no second space", "data:  a \n\n", []event{msg(" a ")}},
		{"a tab is no space", "data:\ta\n\n", []event{msg("\ta")}},
		{"a second colon is data", "data:: a:b\n\n", []event{msg(": a:b")}},
		{"LF CR CRLF", "data: a\rdata: b\r\ndata: c\n\r\n\rdata: d\r\rdata: e\r\n\r\n", []event{msg("a\nb\nc"), msg("d"), msg("e")}},
		{"LF after LF CR is a line end of its own", "data: a\n\r\n\n", []event{msg("a")}},
		{"byte order mark", "\uFEFFdata: a\n\n", []event{msg("a")}},
		{"one byte order mark only", "\uFEFF\uFEFFdata: a\n\ndata: b\n\n", []event{msg("b")}},
		{"no byte order mark later", "\n\uFEFFdata: a\n\ndata: b\n\n", []event{msg("b")}},
		{"unknown fields, capitals, spaces before the colon", "Data: a\ndata : b\nfoo\nfoo: bar\ndata: c\n\n", []event{msg("c")}},
		{"comments in between", "data: a\n: no\n:data: no\ndata: b\n\n", []event{msg("a\nb")}},
		{"a name is for one event", "event: Chat\ndata: a\n\ndata: b\n\n", []event{{Name: "Chat", Data: "a"}, msg("b")}},
		{"a name without data is forgotten", "event: Chat\n\ndata: b\n\n", []event{msg("b")}},
		{
			"the last name counts; an empty one is message", "event: a\nevent: b\ndata: 1\n\nevent: a\nevent\ndata: 2\n\n",
			[]event{{Name: "b", Data: "1"}, msg("2")},
		},
		{"an id stays", "id: 1\ndata: a\n\ndata: b\n\n", []event{{"message", "a", "1", true}, {"message", "b", "1", false}}},
		{"a block of only an id counts", "id: 1\n\ndata: b\n\n", []event{{"message", "b", "1", false}}},
		{"an id with NUL is ignored", "id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n", []event{{"message", "a", "1", true}, {"message", "b", "1", false}}},
		{"NUL elsewhere is kept", "event: a\x00\ndata: b\x00\n\n", []event{{Name: "a\x00", Data: "b\x00"}}},
		{
			"invalid UTF-8", "data: \xe2\x82|\xff\xfe|\xf0\x9f\x98|\xf0\x80|\xed\xa0\x80|\xe2\x82\xac\xe2\n\n",
			[]event{msg("\uFFFD|\uFFFD\uFFFD|\uFFFD|\uFFFD\uFFFD|\uFFFD\uFFFD\uFFFD|€\uFFFD")},
		},
		{"nothing", "", nil},
		{"only blank lines", "\n\r\r\n\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, decode(t, []byte(tt.stream))); diff != "" {
				t.Error(diff)
			}
			got, _, _ := decodeAll(iotest.OneByteReader(strings.NewReader(tt.stream)), roomy)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("byte by byte: %s", diff)
			}
		})
	}
}

func TestDecoder_retry(t *testing.T) {
	for stream, want := range map[string]time.Duration{
		"retry: 1500\n":                          1500 * time.Millisecond, // in force at once, without a blank line
		"retry: 10\nretry: 20\n\n":               20 * time.Millisecond,
		"retry: 0\n\n":                           0,
		"retry: 10\nretry: 1e3\nretry\n\n":       10 * time.Millisecond,
		"retry: 10\nretry: -5\nretry:  7\n\n":    10 * time.Millisecond,
		"retry: 99999999999999999999999999\n":    9223372036854 * time.Millisecond,
		"retry: 9223372036855\n":                 9223372036854 * time.Millisecond,
		"retry: 9223372036854\nretry: ١٢\n\n":    9223372036854 * time.Millisecond,
		"data: retry: 5\n\n: retry: 5\nRetry: 5": 0,
	} {
		if _, d, _ := decodeAll(strings.NewReader(stream), roomy); d.Retry() != want {
			t.Errorf("%q: %v, want %v", stream, d.Retry(), want)
		}
	}
}

// A reader that reconnects sends the id of the last finished block, with or
// without an event in it, and never one from a block that was cut.
func TestDecoder_lastID(t *testing.T) {
	for stream, want := range map[string]string{
		"id: 1\n\n":                     "1",
		"id: 1\ndata: a\n\nid: 2\n":     "1",
		"id: 1\n\nid: 2\r\n\r\n":        "2",
		"id: 1\n\nid\n\n":               "",
		"id: 1\n\nid: \x00\n\n":         "1",
		"id: 1\n\ndata: no id\n\n: x\n": "1",
	} {
		if _, d, _ := decodeAll(strings.NewReader(stream), roomy); d.LastID() != want {
			t.Errorf("%q: %q, want %q", stream, d.LastID(), want)
		}
	}
}

func TestDecoder_rest(t *testing.T) {
	for _, tt := range []struct {
		stream, want string
		ok           bool
	}{
		{"data: a\n\ndata: [DONE]", "[DONE]", true},
		{"data: a\n\ndata: [DONE]\n", "[DONE]", true},
		{"data: a\ndata: b\r", "a\nb", true},
		{"\uFEFFdata: a", "a", true},
		{"data: a\n\n", "", false},
		{"data: a\n\nid: 1\n: c", "", false},
	} {
		_, d, err := decodeAll(strings.NewReader(tt.stream), roomy)
		for range 2 { // asking twice changes nothing
			got, ok := d.Rest()
			if err != io.EOF || string(got) != tt.want || ok != tt.ok {
				t.Errorf("%q: %q %v after %v", tt.stream, got, ok, err)
			}
		}
	}
	// A broken connection is no end: nothing of it may be taken for an event.
	broken := io.MultiReader(strings.NewReader("data: half"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, d, err := decodeAll(broken, roomy); err != io.ErrUnexpectedEOF {
		t.Errorf("ended with %v", err)
	} else if rest, ok := d.Rest(); ok {
		t.Errorf("rest %q of a broken stream", rest)
	}
}

// An event is there as soon as the byte that ends its block is, although a CR
// may be half of a CRLF. Broken once by waiting for the byte after CR: it hung.
func TestDecoder_isPrompt(t *testing.T) {
	for _, stream := range []string{"data: a\n\n", "data: a\r\r", "data: a\r\n\r\n", "data: a\r\n\r"} {
		r, w := io.Pipe()
		go io.WriteString(w, stream)
		e, err := sse.NewDecoder(r, roomy).Next()
		if err != nil || string(e.Data) != "a" {
			t.Errorf("%q: %q, %v", stream, e.Data, err)
		}
		r.Close()
	}
}

func TestDecoder_limits(t *testing.T) {
	const limit = 100
	pad := func(prefix string, n int) string { return prefix + strings.Repeat("x", n-len(prefix)) }
	for _, tt := range []struct {
		name, stream string
		events       int
		err          error
	}{
		{"line at the limit", pad("data: ", limit) + "\n\n", 1, io.EOF},
		{"line one past", pad("data: ", limit+1) + "\n\n", 0, sse.ErrTooLong},
		{"line one past, no end", pad("data: ", limit+1), 0, sse.ErrTooLong},
		{"comment one past", "data: a\n\n" + pad(":", limit+1) + "\n", 1, sse.ErrTooLong},
		{"event at the limit", pad("data: ", 56) + "\n" + pad("data: ", 55) + "\n\n", 1, io.EOF},
		{"event one past", pad("data: ", 56) + "\n" + pad("data: ", 56) + "\n\n", 0, sse.ErrTooLong},
		{"many small events", strings.Repeat("data: a\n\n", 1000), 1000, io.EOF},
		{"event of empty lines", strings.Repeat("data\n", limit+2) + "\n", 0, sse.ErrTooLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.stream), iotest.OneByteReader(strings.NewReader(tt.stream))} {
				events, d, err := decodeAll(r, limit)
				if len(events) != tt.events || !errors.Is(err, tt.err) {
					t.Errorf("%d events, then %v", len(events), err)
				}
				if _, again := d.Next(); again != err {
					t.Errorf("the next call: %v, not %v", again, err)
				}
			}
		})
	}
}

func TestDecoder_readers(t *testing.T) {
	stream := "data: a\n\ndata: b\n\n"
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		r   io.Reader
		err error
	}{
		"error with the last bytes": {iotest.DataErrReader(strings.NewReader(stream)), io.EOF},
		"half reads":                {iotest.HalfReader(strings.NewReader(stream)), io.EOF},
		"an error":                  {io.MultiReader(strings.NewReader(stream), iotest.ErrReader(boom)), boom},
		"no progress":               {io.MultiReader(strings.NewReader(stream), idle{}), io.ErrNoProgress},
	} {
		if events, _, err := decodeAll(tt.r, roomy); len(events) != 2 || err != tt.err {
			t.Errorf("%s: %d events, then %v", name, len(events), err)
		}
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// TestDecoder_oracle compares with another implementation where the two mean the
// same: valid UTF-8, events with data (the other one dispatches blocks without),
// no byte order mark but the first (it takes one off after blank lines, too).
func TestDecoder_oracle(t *testing.T) {
	for seed := range 2000 {
		compareWithOracle(t, randomStream(uint64(seed)))
	}
}

func compareWithOracle(t *testing.T, stream []byte) {
	t.Helper()
	if bytes.LastIndex(stream, []byte("\uFEFF")) > 0 {
		return
	}
	type seen struct{ Name, Data, ID string }
	var want, got []seen
	for e, err := range oracle.Read(bytes.NewReader(stream), &oracle.ReadConfig{MaxEventSize: roomy}) {
		if err != nil {
			t.Fatalf("%q: the other one: %v", stream, err)
		}
		if e.Type == "" {
			e.Type = "message"
		}
		if e.Data != "" {
			want = append(want, seen{e.Type, e.Data, e.LastEventID})
		}
	}
	for _, e := range decode(t, stream) {
		if e.Data != "" {
			got = append(got, seen{e.Name, e.Data, e.ID})
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q: %s", stream, diff)
	}
}

func ExampleAppend() {
	fmt.Print(string(sse.Append(nil, sse.Frame{Event: "Chat", Data: []byte(`{"text":"Hello!"}`), ID: "7-mfrggzdf"})))
	// Output:
	// event: Chat
	// data: {"text":"Hello!"}
	// id: 7-mfrggzdf
}
