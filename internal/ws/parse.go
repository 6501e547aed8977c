package ws

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"

	gobwas "github.com/gobwas/ws"
)

// A parser takes the peer's bytes apart, in whatever portions they come, and
// keeps nothing between messages but itself. It allocates for a message only as
// its bytes arrive: a header that announces 64 KiB costs its sender 64 KiB.
type parser struct {
	masked bool // the peer is a client: all its frames are masked, else none
	limit  int  // bytes of a message; 0: no limit

	head [maxHeader]byte
	have int // bytes of head

	// The frame whose payload is being read, if inFrame.
	inFrame bool
	fin     bool
	op      opcode
	mask    [4]byte
	done    int // payload bytes read
	left    int // payload bytes still to come

	text    []byte // the message so far
	inText  bool   // a message has begun and its last frame has not
	control []byte // payload of the control frame being read
}

// item is a whole text message or control frame. The payload is the receiver's to keep.
type item struct {
	op      opcode
	payload []byte
}

// feed takes bytes from in until an item is whole, and returns the rest of in.
// Not ok: all were taken and more are needed. The error is a [*CloseError] with
// the code to close with; the parser is of no use after it.
func (p *parser) feed(in []byte) (rest []byte, got item, ok bool, err error) {
	for {
		if !p.inFrame {
			var whole bool
			if in, whole = p.takeHeader(in); !whole {
				return in, item{}, false, p.checkStart()
			}
			if bad := p.beginFrame(); bad != nil {
				return in, item{}, false, bad
			}
		}
		n := min(len(in), p.left)
		buf := p.buffer()
		*buf = append(*buf, in[:n]...)
		p.took(n)
		if in = in[n:]; p.left > 0 {
			return in, item{}, false, nil
		}
		p.inFrame, p.have = false, 0
		if p.op.control() {
			got, p.control = item{p.op, p.control}, nil
			return in, got, true, nil
		}
		if !p.fin {
			continue
		}
		if !utf8.Valid(p.text) {
			return in, item{}, false, &CloseError{Code: InvalidText, Reason: "a message that is not UTF-8"}
		}
		got, p.text, p.inText = item{opText, p.text}, nil, false
		return in, got, true, nil
	}
}

// space returns where up to len bytes of a long payload may be read to without a
// detour, to be told to [parser.took]; nil if the next bytes should go through feed.
func (p *parser) space(least int) []byte {
	if !p.inFrame || p.op.control() || p.left < least {
		return nil
	}
	p.text = slices.Grow(p.text, min(p.left, max(len(p.text), 1024)))
	have := len(p.text)
	return p.text[have:min(cap(p.text), have+p.left)]
}

// read takes n bytes that were read into [parser.space].
func (p *parser) read(n int) {
	p.text = p.text[:len(p.text)+n]
	p.took(n)
}

func (p *parser) buffer() *[]byte {
	if p.op.control() {
		return &p.control
	}
	return &p.text
}

// took unmasks the last n bytes of the buffer and counts them.
func (p *parser) took(n int) {
	if p.masked {
		buf := *p.buffer()
		gobwas.Cipher(buf[len(buf)-n:], p.mask, p.done)
	}
	p.done += n
	p.left -= n
}

// takeHeader fills head from in as far as the header goes.
func (p *parser) takeHeader(in []byte) (rest []byte, whole bool) {
	for {
		need := p.headerSize()
		n := copy(p.head[p.have:need], in)
		p.have += n
		if in = in[n:]; p.have < need {
			return in, false
		}
		if need == p.headerSize() {
			return in, true
		}
	}
}

// headerSize is the size of the header as far as the bytes read tell.
func (p *parser) headerSize() int {
	if p.have < 2 {
		return 2
	}
	n := 2
	switch p.head[1] & 0x7F {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if p.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// checkStart judges the header's first two bytes, so that nobody waits for the
// rest of a frame that is wrong already. The result is nil or a [*CloseError].
func (p *parser) checkStart() error {
	if p.have < 2 {
		return nil
	}
	fin, op := p.head[0]&0x80 != 0, opcode(p.head[0]&0x0F)
	masked, short := p.head[1]&0x80 != 0, p.head[1]&0x7F
	bad := func(reason string) error { return &CloseError{Code: ProtocolError, Reason: reason} }
	switch {
	case p.head[0]&0x70 != 0:
		return bad("reserved bits are set")
	case !op.known():
		return bad("a reserved opcode")
	case masked != p.masked && p.masked:
		return bad("a client's frame must be masked")
	case masked != p.masked:
		return bad("a server's frame must not be masked")
	case op.control() && !fin:
		return bad("a control frame in fragments")
	case op.control() && short > maxControl:
		return bad("a control frame that is too long")
	case op == opContinuation && !p.inText:
		return bad("a continuation of nothing")
	case (op == opText || op == opBinary) && p.inText:
		return bad("a message within a message")
	case op == opBinary:
		return &CloseError{Code: Unsupported, Reason: "only text is understood"}
	}
	return nil
}

// beginFrame reads the whole header in head.
func (p *parser) beginFrame() error {
	if err := p.checkStart(); err != nil {
		return err
	}
	length, at := uint64(p.head[1]&0x7F), 2
	switch length {
	case 126:
		length, at = uint64(binary.BigEndian.Uint16(p.head[2:])), 4
	case 127:
		length, at = binary.BigEndian.Uint64(p.head[2:]), 10
	}
	if length>>63 != 0 {
		return &CloseError{Code: ProtocolError, Reason: "a length with its first bit set"}
	}
	p.fin, p.op = p.head[0]&0x80 != 0, opcode(p.head[0]&0x0F)
	if !p.op.control() {
		limit := uint64(p.limit)
		if p.limit <= 0 {
			limit = uint64(maxInt)
		}
		if length > limit-uint64(len(p.text)) {
			return &CloseError{Code: TooLarge, Reason: "the message is too large"}
		}
		p.inText = true
		if p.text == nil {
			p.text = []byte{}
		}
	}
	p.inFrame, p.done, p.left = true, 0, int(length)
	if p.masked {
		copy(p.mask[:], p.head[at:])
	}
	return nil
}

const maxInt = int(^uint(0) >> 1)
