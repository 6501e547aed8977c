package api

import (
	"strconv"
	"time"
)

// chatMark is how a socket learns what its client has got, also from one that
// says nothing about it: a protocol ping after what ends an answer, whose pong
// every WebSocket sends by itself. The pong moves the thread's mark, so that the
// next socket that names no place is not shown the same again.
type chatMark struct {
	at    time.Time   // of the last ping
	asked int64       // the highest seq in a ping
	seen  int64       // the highest seq in a pong
	owed  int64       // to be asked when later fires
	later *time.Timer // nil: nothing is owed
}

// chatMarkPause is the least time between two such pings.
const chatMarkPause = time.Second

func markPayload(seq int64) []byte { return strconv.AppendInt(nil, seq, 10) }

// askNow reports whether a ping for seq may go out at once; the caller sends it
// behind the frames that it is about.
func (c *chatSocket) askNow(seq int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.mark.later != nil || now.Sub(c.mark.at) < chatMarkPause {
		return false
	}
	c.mark.at, c.mark.asked = now, max(c.mark.asked, seq)
	return true
}

// askLater makes a ping for seq go out when the pause is over.
func (c *chatSocket) askLater(seq int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mark.owed = max(c.mark.owed, seq)
	if c.mark.later != nil || c.closed {
		return
	}
	c.pair.Add(1)
	c.mark.later = time.AfterFunc(time.Until(c.mark.at.Add(chatMarkPause)), func() {
		defer c.pair.Done()
		c.mu.Lock()
		m := &c.mark
		m.at, m.asked, m.owed, m.later = time.Now(), max(m.asked, m.owed), 0, nil
		seq := m.asked
		c.mu.Unlock()
		_ = c.conn.Ping(markPayload(seq)) // if it cannot be written, reading will tell
	})
}

// cancel stops what is owed; true if nobody will be asked now.
func (m *chatMark) cancel() bool { return m.later != nil && m.later.Stop() }

// pong takes the client's answer to a ping: everything up to the number in it has
// arrived. Only what was asked counts.
func (c *chatSocket) pong(payload []byte) {
	seq, err := strconv.ParseInt(string(payload), 10, 64)
	if err != nil {
		return
	}
	c.mu.Lock()
	news := seq > c.mark.seen && seq <= c.mark.asked
	if news {
		c.mark.seen = seq
	}
	c.mu.Unlock()
	if !news {
		return
	}
	if err := c.s.opt.Desk.Seen(c.s.base, c.address, seq); err != nil {
		c.s.opt.Log.Debug("cannot move the chat mark", "err", err)
	}
}
