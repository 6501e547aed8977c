package sse_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seed4677ff1f/tandem/internal/sse"
)

// randomStream strings together pieces that mean something to a decoder.
func randomStream(seed uint64) []byte {
	pieces := []string{
		"\n", "\n", "\n\n", "\r", "\r\n", "data", "data:", "data: ", "data:  ", "id", "id:", "id: 7", "event:", "event: Chat",
		"retry: 5", ":", ": c", " ", "x", "é€😀", "\x00", "{}", "foo: bar", "datax", "\uFEFF",
	}
	rnd := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for range rnd.IntN(60) {
		b = append(b, pieces[rnd.IntN(len(pieces))]...)
	}
	return append(b, "\n\ndata: end\n\n"...)
}

// splitter hands a stream over in reads of the lengths that seed gives.
type splitter struct {
	rest []byte
	rnd  *rand.Rand
}

func (s *splitter) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return bytes.NewReader(nil).Read(p)
	}
	n := copy(p, s.rest[:min(len(s.rest), 1+s.rnd.IntN(9))])
	s.rest = s.rest[n:]
	return n, nil
}

// However the reads cut a stream, its events, ids, rest and error are the same.
func FuzzDecoder_chunks(f *testing.F) {
	for seed := range 50 {
		f.Add(randomStream(uint64(seed)), uint64(seed), 1000)
	}
	f.Add([]byte("\xEF\xBB\xBFdata: \xe2\x82\xac\r\n\r\n"), uint64(1), 5)
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, limit int) {
		whole, d1, err1 := decodeAll(bytes.NewReader(stream), limit)
		parts, d2, err2 := decodeAll(&splitter{stream, rand.New(rand.NewPCG(seed, 2))}, limit)
		if diff := cmp.Diff(whole, parts); diff != "" {
			t.Fatal(diff)
		}
		rest1, ok1 := d1.Rest()
		rest2, ok2 := d2.Rest()
		if err1.Error() != err2.Error() || d1.LastID() != d2.LastID() || d1.Retry() != d2.Retry() || !bytes.Equal(rest1, rest2) || ok1 != ok2 {
			t.Fatalf("ended with %v, %q, %v, %q or with %v, %q, %v, %q",
				err1, d1.LastID(), d1.Retry(), rest1, err2, d2.LastID(), d2.Retry(), rest2)
		}
		for _, e := range whole {
			if len(e.Data) > limit || !utf8.ValidString(e.Data+e.Name+e.ID) {
				t.Fatalf("an event that may not be: %+v", e)
			}
		}
	})
}

// What Append writes, a Decoder reads back: one event a frame, whatever is in it.
func FuzzAppend_roundTrip(f *testing.F) {
	f.Add("Chat", "7-abcdefgh", []byte("{}"), "c", 1500)
	f.Add("a\nb", "a\rb", []byte("a\r\nb\rc\n\n"), "x\n\ndata: y", -1)
	f.Add("\uFEFF", "\x00", []byte("\uFEFFdata: x\n"), "\r", 0)
	f.Fuzz(func(t *testing.T, name, id string, data []byte, comment string, retry int) {
		frame := sse.Frame{Event: name, ID: id, Data: data, Comment: comment, Retry: time.Duration(retry) * time.Millisecond}
		if data == nil {
			frame.Data = []byte{}
		}
		stream := sse.Append(sse.Append(nil, frame), sse.Frame{Data: []byte("end")})
		lines := strings.NewReplacer("\r\n", "\n", "\r", "\n")
		want := event{Name: "message", Data: valid(lines.Replace(string(data)))}
		if name != "" && !strings.ContainsAny(name, "\r\n\x00") {
			want.Name = valid(name)
		}
		if id != "" && !strings.ContainsAny(id, "\r\n\x00") {
			want.ID, want.HasID = valid(id), true
		}
		got := decode(t, stream)
		if diff := cmp.Diff([]event{want, {Name: "message", Data: "end", ID: want.ID}}, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzDecoder_oracle lets the fuzzer look for a stream that two implementations
// read differently.
func FuzzDecoder_oracle(f *testing.F) {
	for seed := range 50 {
		f.Add(randomStream(uint64(seed)))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		if utf8.Valid(stream) {
			compareWithOracle(t, stream)
		}
	})
}

// valid is how the Encoding standard decodes s.
func valid(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := 1
		for n < len(s) && !utf8.FullRuneInString(s[:n]) && !utf8.FullRuneInString(s[:n+1]) {
			n++
		}
		if r, size := utf8.DecodeRuneInString(s); r != utf8.RuneError || size > 1 {
			n = size
			b.WriteRune(r)
		} else {
			b.WriteString("\uFFFD")
		}
		s = s[n:]
	}
	return b.String()
}
