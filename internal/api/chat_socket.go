package api

import (
	"context"
	"sync"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// chatSocket is one open chat. It has two goroutines: read does what the client's
// frames ask for, one after the other, and owns the socket's end; show writes what
// the thread has to tell.
type chatSocket struct {
	s       *Server
	conn    *ws.Conn
	address tandem.Address
	locale  string // the language that the participant reads; may be empty
	page    bool   // a web page opened it

	pair sync.WaitGroup // read waits for what else uses the socket

	// writing is held while frames are written that belong before others: an ack
	// comes before anything that its message starts.
	writing sync.Mutex
	shown   tandem.Cursor // everything up to here was written; guarded by writing

	mu       sync.Mutex // guards all below
	who      tandem.Principal
	follower *desk.Follower
	stop     context.CancelFunc // makes the follower's Next return
	resume   *string            // the place from which the client asked to go on; not yet done
	own      []string           // ids of messages posted here that the follower has not passed
	ending   bool               // the socket is being closed by us
	closed   bool               // the connection is gone
	hang     *time.Timer        // drops the connection if its end is not noticed; see drop
	mark     chatMark
}

// follow begins to follow the socket's thread. after is the place to go on from,
// empty for the head; nil replays what the participant's sockets have missed.
func (c *chatSocket) follow(ctx context.Context, after *string) (*desk.Follower, error) {
	c.mu.Lock()
	who := c.who
	c.mu.Unlock()
	req := desk.Follow{
		Principal: who, Address: c.address, View: tandem.View{Face: tandem.FaceChat, Echo: true, Tokens: true},
		Heartbeat: chatBeat, Warn: chatWarning, Hangup: c.hangup, Own: c.passed,
	}
	switch {
	case after == nil:
		req.Replay = chatReplayed
	case *after != "":
		if cursor, err := tandem.ParseCursor(*after); err == nil {
			req.After = &cursor
		} else {
			req.Unknown = true
		}
	}
	f, err := c.s.opt.Desk.Follow(ctx, req)
	if tandem.KindOf(err) == tandem.TooMany && err != nil {
		c.s.opt.Metric.HTTP.Limited.Of("streams").Inc()
	}
	return f, err
}

// begin makes f the socket's follower and returns the context for its Next.
func (c *chatSocket) begin(f *desk.Follower) context.Context {
	ctx, stop := context.WithCancel(c.s.base)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follower, c.stop = f, stop
	f.Renew(c.who) // a token may have come in between
	c.expires()
	if c.closed {
		stop()
	}
	return ctx
}

// drop sees to it that the connection is dropped after d, if it has not been
// closed in order by then. mu is held.
func (c *chatSocket) drop(d time.Duration) {
	if c.ending || c.closed {
		return
	}
	if c.hang == nil {
		c.hang = time.AfterFunc(d, c.conn.Abort)
	} else {
		c.hang.Reset(d)
	}
}

// expires lets nobody stay a second longer than the credential, not even whose
// writer is stuck. mu is held.
func (c *chatSocket) expires() {
	if at := c.s.opt.Auth.Deadline(c.who); !at.IsZero() {
		c.drop(at.Sub(c.s.opt.Clock()) + time.Second)
	} else if c.hang != nil {
		c.hang.Stop()
	}
}

// read takes the client's frames until the connection ends, and then sees to it
// that nothing of the socket is left.
func (c *chatSocket) read() {
	defer c.s.open.leave()
	for {
		text, err := c.conn.Read()
		if err != nil {
			break
		}
		c.take(text)
	}
	c.mu.Lock()
	c.closed = true
	c.stop()
	if c.hang != nil {
		c.hang.Stop()
	}
	if c.mark.cancel() {
		c.pair.Done()
	}
	c.mu.Unlock()
	c.pair.Wait()
}

// show writes what one follower after the other yields: a client that resumes
// gets a new one. It closes them, and begins to close the socket when it ends.
func (c *chatSocket) show(ctx context.Context, f *desk.Follower) {
	defer c.pair.Done()
	for {
		b, err := f.Next(ctx)
		if err == nil && b.Ended == "" {
			if c.write(f, b) == nil {
				continue
			}
			c.conn.Abort()
		}
		f.Close()
		switch {
		case err == nil && b.Ended != "":
			c.end(ctx, b.Ended)
			return
		case ctx.Err() == nil:
			if err != nil {
				c.s.opt.Log.Error("chat socket cannot read its thread", "err", err)
				_ = c.conn.Close(ws.InternalError, "")
			}
			return
		}
		if ctx, f = c.restart(); f == nil {
			return
		}
	}
}

// restart follows anew from where the client asked; nil if it did not, or if that
// cannot be, and then the socket ends.
func (c *chatSocket) restart() (context.Context, *desk.Follower) {
	c.mu.Lock()
	after, who := c.resume, c.who
	if c.closed {
		after = nil
	}
	c.resume = nil
	c.mu.Unlock()
	if after == nil {
		c.conn.Abort()
		return nil, nil
	}
	f, err := c.follow(c.s.base, after)
	if err != nil { // its place was free a moment ago
		c.refuse(chatIn{}, err)
		_ = c.conn.Close(ws.TryLater, "")
		return nil, nil
	}
	ctx := c.begin(f)
	// As at the opening: what ended streams while this one was not followed.
	reason := ""
	if c.s.opt.Auth.Recheck(ctx, who) != nil {
		reason = chatRevoked
	} else if c.s.open.stopped() {
		reason = desk.EndShutdown
	}
	if reason != "" && ctx.Err() == nil {
		f.Close()
		c.end(ctx, reason)
		return nil, nil
	}
	return ctx, f
}

// The reasons of package auth for which sockets end.
const (
	chatRevoked = "revoked"
	chatAccess  = "access"
)

// hangup is called when the socket has to end. If show is stuck in a write to a
// peer that takes nothing, the connection is dropped.
func (c *chatSocket) hangup() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(500 * time.Millisecond)
}

// end tells the client why the socket ends, and closes it. It returns when the
// client has gone, or is cut off because the server ends.
func (c *chatSocket) end(ctx context.Context, reason string) {
	c.mu.Lock()
	c.ending = true
	if c.hang != nil {
		c.hang.Stop()
	}
	c.mu.Unlock()
	code, word := ws.Expired, &chatRefusal{}
	switch reason {
	case desk.EndExpired:
		*word = chatRefusal{"token_expired", "Token has expired. Please login again."}
	case chatRevoked:
		*word = chatRefusal{"token_revoked", "Token has been revoked. Please login again."}
	case chatAccess:
		*word = chatRefusal{"forbidden", "You do not have permission to access this resource"}
	case desk.EndShutdown:
		code, word = ws.ServiceRestart, nil
		select { // so that not all come back in the same moment
		case <-time.After(c.s.jitter(0, min(chatSpread, time.Duration(c.s.leaving.Load())*time.Millisecond))):
		case <-ctx.Done():
		}
	default:
		code, word = ws.Normal, nil
	}
	if word != nil {
		c.refuse(chatIn{}, word)
	}
	_ = c.conn.Close(code, reason)
	<-ctx.Done()
	c.conn.Abort()
}

// passed reports whether this socket posted the message that the follower comes
// to, and forgets it: its ack told of it.
func (c *chatSocket) passed(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, own := range c.own {
		if own == id {
			c.own = append(c.own[:i], c.own[i+1:]...)
			if len(c.own) == 0 {
				c.own = nil
			}
			return true
		}
	}
	return false
}

// expect notes the id of a message that is about to be posted here.
func (c *chatSocket) expect(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = append(c.own, id)
}

// principal is who chats, by the credential shown last.
func (c *chatSocket) principal() tandem.Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.who
}
