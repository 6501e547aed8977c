package ws

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	gobwas "github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
)

// parsed is all that a parser made of a stream.
type parsed struct {
	Items []string // "1:text", one of each
	Code  Code     // 0: no error
}

// parseAll feeds a stream in portions that cut asks for, through feed alone or,
// as a Conn does for long payloads, around it.
func parseAll(p *parser, stream []byte, cut func(left int) int, direct bool) parsed {
	var out parsed
	for len(stream) > 0 {
		n := cut(len(stream))
		if into := p.space(1); direct && into != nil {
			n = copy(into, stream[:min(n, len(stream))])
			p.read(n)
			stream = stream[n:]
			n = 0
		}
		in := stream[:n]
		stream = stream[n:]
		for {
			rest, got, ok, err := p.feed(in)
			if err != nil {
				out.Code = err.(*CloseError).Code
				return out
			}
			if !ok {
				break
			}
			out.Items = append(out.Items, fmt.Sprintf("%x:%s", got.op, got.payload))
			in = rest
		}
	}
	return out
}

func whole(left int) int { return left }
func single(int) int     { return 1 }

// frame makes a frame with another implementation: masked if the mask is not 0.
func frame(fin bool, op opcode, payload string, mask byte) []byte {
	f := gobwas.NewFrame(gobwas.OpCode(op), fin, []byte(payload))
	if mask != 0 {
		f = gobwas.MaskFrameWith(f, [4]byte{mask, 2, 3, 4})
	}
	return gobwas.MustCompileFrame(f)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func masked(op opcode, payload string) []byte { return frame(true, op, payload, 7) }

func TestParser(t *testing.T) {
	text := func(s string) []byte { return masked(opText, s) }
	first := func(s string) []byte { return frame(false, opText, s, 9) }
	middle := func(s string) []byte { return frame(false, opContinuation, s, 11) }
	last := func(s string) []byte { return frame(true, opContinuation, s, 13) }
	header := func(b ...byte) []byte { return b }
	const limit = 100_000
	long := strings.Repeat("€", limit/3)
	for _, tt := range []struct {
		name   string
		stream []byte
		want   parsed
	}{
		{"a message", text("hello"), parsed{Items: []string{"1:hello"}}},
		{"an empty message", text(""), parsed{Items: []string{"1:"}}},
		{"two at once", join(text("a"), text("b")), parsed{Items: []string{"1:a", "1:b"}}},
		{"16-bit length", text(long[:300]), parsed{Items: []string{"1:" + long[:300]}}},
		{"64-bit length", text(long), parsed{Items: []string{"1:" + long}}},
		{"fragments", join(first("a"), middle(""), middle("b"), last("c")), parsed{Items: []string{"1:abc"}}},
		{
			"control frames in between", join(first("a"), masked(opPing, "p"), middle("b"), masked(opPong, ""), last("c")),
			parsed{Items: []string{"9:p", "a:", "1:abc"}},
		},
		{"a rune across fragments", join(first("\xe2"), middle("\x82"), last("\xac")), parsed{Items: []string{"1:€"}}},
		{"a control frame of 125 bytes", masked(opPing, long[:123]+"ab"), parsed{Items: []string{"9:" + long[:123] + "ab"}}},
		{"close", masked(opClose, "\x03\xe8bye"), parsed{Items: []string{"8:\x03\xe8bye"}}},

		{"not masked", frame(true, opText, "a", 0), parsed{Code: ProtocolError}},
		{"control not masked", frame(true, opPing, "", 0), parsed{Code: ProtocolError}},
		{"a control frame of 126 bytes", header(0x89, 0xFE), parsed{Code: ProtocolError}},
		{"a control frame in fragments", header(0x09, 0x80), parsed{Code: ProtocolError}},
		{"reserved bit 1", header(0xC1, 0x80), parsed{Code: ProtocolError}},
		{"reserved bit 2", header(0xA1, 0x80), parsed{Code: ProtocolError}},
		{"reserved bit 3", header(0x91, 0x80), parsed{Code: ProtocolError}},
		{"reserved opcode 3", header(0x83, 0x80), parsed{Code: ProtocolError}},
		{"reserved opcode 7", header(0x87, 0x80), parsed{Code: ProtocolError}},
		{"reserved opcode 11", header(0x8B, 0x80), parsed{Code: ProtocolError}},
		{"reserved opcode 15", header(0x8F, 0x80), parsed{Code: ProtocolError}},
		{"continuation of nothing", last("a"), parsed{Code: ProtocolError}},
		{"continuation after the end", join(first("a"), last("b"), last("c")), parsed{Items: []string{"1:ab"}, Code: ProtocolError}},
		{"a message within a message", join(first("a"), text("b")), parsed{Code: ProtocolError}},
		{"within an empty beginning", join(first(""), text("b")), parsed{Code: ProtocolError}},
		{"binary", masked(opBinary, "a"), parsed{Code: Unsupported}},
		{"binary within a message", join(first("a"), masked(opBinary, "b")), parsed{Code: ProtocolError}},
		{"not UTF-8", text("a\xff"), parsed{Code: InvalidText}},
		{"half a rune at the end", join(first("\xe2"), last("\x82")), parsed{Code: InvalidText}},
		{"a surrogate", text("\xed\xa0\x80"), parsed{Code: InvalidText}},
		{"the length's first bit", header(0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), parsed{Code: ProtocolError}},
		{"the longest length", header(0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4), parsed{Code: TooLarge}},

		{"at the limit", text(strings.Repeat("x", limit)), parsed{Items: []string{"1:" + strings.Repeat("x", limit)}}},
		{"one past the limit", text(strings.Repeat("x", limit+1)), parsed{Code: TooLarge}},
		{"at the limit in fragments", join(first(strings.Repeat("x", limit-1)), last("x")), parsed{Items: []string{"1:" + strings.Repeat("x", limit)}}},
		{"one past in fragments", join(first(strings.Repeat("x", limit-1)), middle("x"), last("x")), parsed{Code: TooLarge}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for way, got := range map[string]parsed{
				"at once":               parseAll(&parser{masked: true, limit: limit}, tt.stream, whole, false),
				"byte by byte":          parseAll(&parser{masked: true, limit: limit}, tt.stream, single, false),
				"byte by byte directly": parseAll(&parser{masked: true, limit: limit}, tt.stream, single, true),
			} {
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s: %.300s", way, diff)
				}
			}
		})
	}
}

// A wrong frame is told by its first two bytes: nobody waits for what it announces.
func TestParser_judgesEarly(t *testing.T) {
	for _, start := range [][]byte{{0xF1, 0xFF}, {0x82, 0xFE}, {0x81, 0x7F}, {0x80, 0xFE}} {
		if got := parseAll(&parser{masked: true}, start, whole, false); got.Code == 0 {
			t.Errorf("% x is waited for", start)
		}
	}
}

func TestParser_ofAServer(t *testing.T) {
	if got := parseAll(&parser{}, frame(true, opText, "a", 0), whole, false); len(got.Items) != 1 {
		t.Errorf("%+v", got)
	}
	if got := parseAll(&parser{}, masked(opText, "a"), whole, false); got.Code != ProtocolError {
		t.Errorf("a masked frame from a server: %+v", got)
	}
}

// Broken once by making room for the whole announced length: 64 GiB asked for.
func TestParser_holdsOnlyWhatCame(t *testing.T) {
	announce := []byte{0x81, 0xFF, 0, 0, 0, 16, 0, 0, 0, 0, 1, 2, 3, 4} // 64 GiB
	p := &parser{masked: true}
	parseAll(p, join(announce, make([]byte, 5000)), func(left int) int { return min(left, 100) }, true)
	if cap(p.text) > 20_000 {
		t.Errorf("%d bytes held for 5000", cap(p.text))
	}
}

func TestParser_keepsNothingBetweenMessages(t *testing.T) {
	p := &parser{masked: true}
	parseAll(p, join(masked(opText, strings.Repeat("x", 60_000)), masked(opPing, strings.Repeat("x", 125))), whole, false)
	if p.text != nil || p.control != nil {
		t.Errorf("%d and %d bytes are kept", cap(p.text), cap(p.control))
	}
}

func TestAppendFrames(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 0xFFFF, 0x10000} {
		payload := strings.Repeat("x", n)
		if got, want := AppendText([]byte("before"), []byte(payload)), append([]byte("before"), frame(true, opText, payload, 0)...); !bytes.Equal(got, want) {
			t.Errorf("%d bytes of text: % .20x, want % .20x", n, got, want)
		}
		mask := [4]byte{7, 2, 3, 4}
		if got := appendFrame(nil, opText, []byte(payload), &mask); !bytes.Equal(got, masked(opText, payload)) {
			t.Errorf("%d bytes of masked text: % .20x", n, got)
		}
	}
	if got := AppendPing(nil, make([]byte, 126)); len(got) != 2+125 {
		t.Errorf("a ping of %d bytes", len(got))
	}
	if got, want := AppendClose(nil, Expired, "bye"), gobwas.MustCompileFrame(gobwas.NewCloseFrame(gobwas.NewCloseFrameBody(4401, "bye"))); !bytes.Equal(got, want) {
		t.Errorf("close: % x, want % x", got, want)
	}
	if got := AppendClose(nil, NoStatus, "never sent"); !bytes.Equal(got, []byte{0x88, 0}) {
		t.Errorf("close without a code: % x", got)
	}
	long := parseClose(AppendClose(nil, Normal, strings.Repeat("x", 122)+"€")[2:])
	if long.Reason != strings.Repeat("x", 122) {
		t.Errorf("a reason cut within a rune: %q", long.Reason)
	}
}

func TestAppendText_doesNotAllocate(t *testing.T) {
	dst, payload := make([]byte, 0, 4096), []byte(`{"type":"pong"}`)
	if n := testing.AllocsPerRun(100, func() { AppendText(dst, payload) }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func TestParseClose(t *testing.T) {
	code := func(c int, reason string) string { return string([]byte{byte(c >> 8), byte(c)}) + reason }
	for _, tt := range []struct {
		payload string
		want    CloseError
	}{
		{"", CloseError{Code: NoStatus, Remote: true}},
		{code(1000, ""), CloseError{Code: 1000, Remote: true}},
		{code(1001, "going"), CloseError{Code: 1001, Reason: "going", Remote: true}},
		{code(1012, ""), CloseError{Code: 1012, Remote: true}},
		{code(4999, "€"), CloseError{Code: 4999, Reason: "€", Remote: true}},
		{"\x03", CloseError{Code: ProtocolError, Reason: "half a close code"}},
		{code(1000, "\xff"), CloseError{Code: InvalidText, Reason: "a close reason that is not UTF-8"}},
	} {
		if got := parseClose([]byte(tt.payload)); *got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.payload, *got, tt.want)
		}
	}
	legal := func(c int) bool {
		return c >= 1000 && c <= 1014 && c != 1004 && c != 1005 && c != 1006 || c >= 3000 && c <= 4999
	}
	for c := range 0x10000 {
		got := parseClose([]byte(code(c, "")))
		if legal(c) != (got.Remote && int(got.Code) == c) || !legal(c) && got.Code != ProtocolError {
			t.Fatalf("%d: %+v", c, *got)
		}
	}
}

// However a stream is cut, a parser makes the same of it, never panics and holds
// no more than came. The oracle for single frames is another implementation.
func FuzzParser(f *testing.F) {
	f.Add(masked(opText, "hello"), uint64(1), 100, true)
	f.Add(join(frame(false, opText, "\xe2", 1), masked(opPing, "p"), frame(true, opContinuation, "\x82\xac", 2), masked(opClose, "\x03\xe8")), uint64(2), 100, true)
	f.Add(frame(true, opText, strings.Repeat("x", 70_000), 0), uint64(3), 1<<20, false)
	f.Add([]byte{0x81, 0xFF, 0, 0, 0, 16, 0, 0, 0, 0, 1, 2, 3, 4, 5}, uint64(4), 0, true)
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, limit int, fromClient bool) {
		limit = max(limit, 0)
		fresh := func() *parser { return &parser{masked: fromClient, limit: limit} }
		random := func() func(int) int {
			rnd := rand.New(rand.NewPCG(seed, 3))
			return func(left int) int { return min(left, 1+rnd.IntN(40)) }
		}
		want := parseAll(fresh(), stream, whole, false)
		p := fresh()
		for _, got := range []parsed{parseAll(p, stream, random(), false), parseAll(fresh(), stream, random(), true)} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		}
		if held := cap(p.text) + cap(p.control); held > 3*len(stream)+2048 {
			t.Fatalf("%d bytes held for %d", held, len(stream))
		}
		compareWithOracle(t, stream, limit, fromClient, want)
	})
}

// compareWithOracle reads the stream's messages with another implementation, for
// as long as that has no complaint, and compares whole messages.
func compareWithOracle(t *testing.T, stream []byte, limit int, fromClient bool, got parsed) {
	state := gobwas.StateClientSide
	if fromClient {
		state = gobwas.StateServerSide
	}
	var want []string
	var text []byte
	for r := bytes.NewReader(stream); ; {
		rest := stream[len(stream)-r.Len():]
		if len(rest) > 1 && rest[0]&8 != 0 && rest[1]&0x7F > maxControl {
			break // the other one lets a control frame waste bytes on its length
		}
		h, err := gobwas.ReadHeader(r)
		if err != nil || gobwas.CheckHeader(h, state) != nil || h.Length > int64(r.Len()) || h.OpCode == gobwas.OpBinary {
			break
		}
		payload := make([]byte, h.Length)
		r.Read(payload)
		if h.Masked {
			for i := range payload {
				payload[i] ^= h.Mask[i%4]
			}
		}
		if h.OpCode.IsControl() {
			want = append(want, fmt.Sprintf("%x:%s", byte(h.OpCode), payload))
			continue
		}
		if text = append(text, payload...); limit > 0 && len(text) > limit {
			break
		}
		state = state.Set(gobwas.StateFragmented)
		if h.Fin {
			if !bytes.Equal(bytes.ToValidUTF8(text, nil), text) {
				break
			}
			want = append(want, "1:"+string(text))
			text, state = nil, state.Clear(gobwas.StateFragmented)
		}
	}
	if diff := cmp.Diff(want, got.Items); diff != "" {
		t.Fatalf("the other one reads: %s", diff)
	}
}

// An idle Conn on the server's side, which waits in Read.
func BenchmarkIdle(b *testing.B) {
	for b.Loop() {
		const n = 1000
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		conns := make([]*Conn, n)
		ends := make(chan error, n)
		for i := range conns {
			conns[i] = NewConn(newSilent(), nil, Options{MaxMessage: 64 << 10})
			go func() { _, err := conns[i].Read(); ends <- err }()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/n, "bytes/idle")
		for _, c := range conns {
			c.Abort()
		}
		for range conns {
			if err := <-ends; !errors.Is(err, errClosed) {
				b.Fatal(err)
			}
		}
	}
}
