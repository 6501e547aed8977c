package api

import (
	"errors"
	"math"
	"net"
	"os"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

type chatEscalatedFrame struct {
	Type      string   `json:"type"`
	Message   string   `json:"message"`
	Timestamp chatTime `json:"timestamp"`
	Cursor    string   `json:"cursor"`
}

type chatConfirmFrame struct {
	Type      string   `json:"type"`
	MessageID string   `json:"messageId"`
	Timestamp chatTime `json:"timestamp"`
}

type chatPongFrame struct {
	Type      string   `json:"type"`
	Timestamp chatTime `json:"timestamp"`
}

type chatExpiringFrame struct {
	Type      string   `json:"type"`
	ExpiresAt chatTime `json:"expiresAt"`
	Timestamp chatTime `json:"timestamp"`
}

// chatPlaceFrame is gap or reset: what was asked for is kept no more, or never was.
type chatPlaceFrame struct {
	Type      string   `json:"type"`
	From      int64    `json:"from,omitempty"`
	To        int64    `json:"to,omitempty"`
	Timestamp chatTime `json:"timestamp"`
	Cursor    string   `json:"cursor"`
}

// send writes one frame that is for this socket alone.
func (c *chatSocket) send(frame any) error {
	return c.conn.WriteFrames(net.Buffers{chatFrame(frame)})
}

// write writes what the follower yielded. An error means that the connection is
// of no use any more. writing is held.
func (c *chatSocket) write(b desk.Batch) error {
	now := chatTime(c.s.opt.Clock())
	switch {
	case b.Heartbeat:
		c.s.opt.Metric.Hub.Heartbeats.Inc()
		return c.conn.Ping(nil)
	case b.Gap != nil:
		c.shown = c.follower.Cursor()
		return c.send(chatPlaceFrame{Type: "gap", From: b.Gap.From, To: b.Gap.To, Timestamp: now, Cursor: c.shown.String()})
	case b.Reset:
		c.shown = c.follower.Cursor()
		return c.send(chatPlaceFrame{Type: "reset", Timestamp: now, Cursor: c.shown.String()})
	case !b.Expiring.IsZero():
		return c.send(chatExpiringFrame{Type: "token-expiring", ExpiresAt: chatTime(b.Expiring), Timestamp: now})
	}
	return c.writeFrames(b)
}

func (c *chatSocket) writeFrames(b desk.Batch) error {
	frames := net.Buffers(b.Frames)
	asked := b.Answered != 0 && c.askNow(b.Answered)
	if asked {
		frames = append(frames, ws.AppendPing(nil, markPayload(b.Answered)))
	}
	if err := c.conn.WriteFrames(frames); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.s.opt.Metric.Hub.Stalled.Inc()
		}
		return err
	}
	c.shown = c.follower.Cursor()
	if b.Answered != 0 && !asked {
		c.askLater(b.Answered)
	}
	if !b.Newest.IsZero() {
		c.s.opt.Metric.Hub.CommitToSocket.Of(tandem.FaceChat.String()).Observe(c.s.opt.Clock().Sub(b.Newest))
	}
	return nil
}

// refuse tells the client that what it asked for was not done. The socket stays
// open.
func (c *chatSocket) refuse(in chatIn, err error) {
	f := chatErrorFrame{
		Type: "error", Message: "Internal server error", Timestamp: chatTime(c.s.opt.Clock()), Code: "internal", MessageID: in.MessageID,
	}
	if tandem.ValidLabel("", in.ClientID) == nil {
		f.ClientID = in.ClientID
	}
	if tandem.ValidLabel("", in.MessageID) != nil {
		f.MessageID = ""
	}
	known, said := (*tandem.Error)(nil), (*chatRefusal)(nil)
	switch {
	case errors.As(err, &said):
		f.Message, f.Code = said.message, said.code
	case errors.As(err, &known) && known.Kind != tandem.Internal:
		f.Message, f.Code = known.Message, chatCode(known.Kind)
		if known.Kind == tandem.TooMany {
			f.Message = "Rate limit exceeded"
		}
		if known.RetryAfter > 0 {
			f.RetryAfter = max(1, int(math.Ceil(known.RetryAfter.Seconds())))
		}
	}
	if f.Code == "internal" || known != nil && known.Kind == tandem.Unavailable && known.Err != nil {
		c.s.opt.Log.Error("chat frame failed", "type", in.Type, "err", err)
	}
	_ = c.send(f) // if it cannot be written, reading will tell
}

// chatCode is the word for programs in an error frame.
func chatCode(kind tandem.ErrorKind) string {
	switch kind {
	case tandem.Invalid:
		return "invalid_request"
	case tandem.Unauthorized:
		return "unauthorized"
	case tandem.Forbidden:
		return "forbidden"
	case tandem.NotFound:
		return "not_found"
	case tandem.Conflict, tandem.Held:
		return "conflict"
	case tandem.Mismatch:
		return "idempotency_mismatch"
	case tandem.TooLarge:
		return "too_large"
	case tandem.TooMany:
		return "rate_limited"
	case tandem.Timeout:
		return "timeout"
	case tandem.Unavailable:
		return "unavailable"
	case tandem.Gone:
		return "gone"
	}
	return "internal"
}
