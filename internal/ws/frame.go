// Package ws speaks WebSocket (RFC 6455) for text messages: the server's
// handshake on net/http, the reading and writing of frames, and a client's
// dialling. It is made for many idle sockets: a [Conn] that waits holds a few
// hundred bytes, and a frame for many sockets is encoded once.
//
// Extensions, compression among them, are neither offered nor taken.
package ws

import (
	"encoding/binary"
	"unicode/utf8"

	gobwas "github.com/gobwas/ws"
)

// opcode is the kind of a frame (RFC 6455, section 5.2).
type opcode byte

const (
	opContinuation opcode = 0x0
	opText         opcode = 0x1
	opBinary       opcode = 0x2
	opClose        opcode = 0x8
	opPing         opcode = 0x9
	opPong         opcode = 0xA
)

func (op opcode) control() bool { return op&0x8 != 0 }

func (op opcode) known() bool {
	return op <= opBinary || (op >= opClose && op <= opPong)
}

const (
	maxHeader  = 14  // bytes: 2, an 8-byte length, a mask
	maxControl = 125 // bytes of a control frame's payload (section 5.5)
)

// AppendText appends one unmasked text frame, as a server sends it. The bytes do
// not depend on the receiver: they may be made once and given to [Conn.WriteFrames]
// of many connections. The payload must be UTF-8.
func AppendText(dst, payload []byte) []byte { return appendFrame(dst, opText, payload, nil) }

// AppendPing appends one unmasked ping frame, as a server sends it; of the
// payload the first 125 bytes.
func AppendPing(dst, payload []byte) []byte {
	return appendFrame(dst, opPing, payload[:min(len(payload), maxControl)], nil)
}

// AppendClose appends one unmasked close frame, as a server sends it. A reason
// that is too long is cut at a rune; [NoStatus] sends a frame without a code.
func AppendClose(dst []byte, code Code, reason string) []byte {
	return appendFrame(dst, opClose, closePayload(code, reason), nil)
}

// appendFrame appends a whole frame, masked if mask is not nil.
func appendFrame(dst []byte, op opcode, payload []byte, mask *[4]byte) []byte {
	var masked byte
	if mask != nil {
		masked = 0x80
	}
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n <= 125:
		dst = append(dst, masked|byte(n))
	case n <= 0xFFFF:
		dst = append(dst, masked|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, masked|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	if mask == nil {
		return append(dst, payload...)
	}
	dst = append(dst, mask[:]...)
	begin := len(dst)
	dst = append(dst, payload...)
	gobwas.Cipher(dst[begin:], *mask, 0)
	return dst
}

func closePayload(code Code, reason string) []byte {
	if code == NoStatus {
		return nil
	}
	const room = maxControl - 2
	if len(reason) > room {
		cut := room
		for cut > 0 && !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}
