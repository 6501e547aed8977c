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

	// show's own.
	follower *desk.Follower
	over     string // why the follower ended
	failed   error  // of the follower

	// writing is held while frames are written that belong before others: an ack
	// comes before anything that its message starts.
	writing sync.Mutex
	shown   tandem.Cursor // everything up to here was written; guarded by writing

	mu     sync.Mutex // guards all below, and writes to follower
	who    tandem.Principal
	stop   context.CancelFunc // makes the follower's Next return
	resume *string            // the place from which the client asked to go on; not yet done
	own    []string           // ids of messages posted here that the follower has not passed
	acks   []chatAck          // of messages that were stored beyond what was shown, in order
	noted  int                // so many of them are in what show writes next
	ending bool               // the socket is being closed by us
	closed bool               // the connection is gone
	hang   *time.Timer        // drops the connection if its end is not noticed; see drop
	mark   chatMark
}

// follow begins to follow the socket's thread. after is the place to go on from,
// empty for the head; nil replays what the participant's sockets have missed.
func (c *chatSocket) follow(ctx context.Context, after *string) (*desk.Follower, error) {
	c.mu.Lock()
	who := c.who
	c.mu.Unlock()
	req := desk.Follow{
		Principal: who, Address: c.address, View: tandem.View{Face: tandem.FaceChat, Echo: true, Tokens: true, Presence: true},
		Heartbeat: chatBeat, Warn: chatWarning, Hangup: c.hangup, Note: c.note, Own: c.passed,
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
	c.follower, c.stop, c.failed = f, stop, nil
	f.Renew(c.who) // a token may have come in between
	c.expires()
	if c.closed || c.resume != nil {
		stop()
	}
	return ctx
}

// drop sees to it that the connection is dropped after d, if it has not been
// closed in order by then. mu is held. A socket that is not open yet will notice
// its end by itself, before it has anything to write.
func (c *chatSocket) drop(d time.Duration) {
	if c.ending || c.closed || c.follower == nil {
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
// gets a new one. Its own frame is small, since an idle socket's stack holds it.
func (c *chatSocket) show(ctx context.Context) {
	defer c.pair.Done()
	for ctx != nil {
		for c.over == "" && c.showed(c.follower.Next(ctx)) {
		}
		c.follower.Close()
		ctx = c.after(ctx)
	}
}

// showed writes a batch; false: the follower yields no more, for the reason in
// c.over or none.
func (c *chatSocket) showed(b desk.Batch, err error) bool {
	switch {
	case err != nil:
		c.failed = err
		return false
	case b.Ended != "":
		c.over = b.Ended
		return false
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if !c.starts() {
		return false
	}
	if c.write(b) != nil {
		c.conn.Abort()
		return false
	}
	return true
}

// after is what comes after a follower: another one, whose context it returns, if
// the client asked for it; else nil, and the socket ends.
func (c *chatSocket) after(ctx context.Context) context.Context {
	switch {
	case c.over != "":
		c.end(ctx, c.over)
		return nil
	case ctx.Err() != nil:
		return c.restart()
	case c.failed != nil:
		c.s.opt.Log.Error("chat socket cannot read its thread", "err", c.failed)
		_ = c.conn.Close(ws.InternalError, "")
	}
	return nil
}

// restart follows anew from where the client asked, if it did.
func (c *chatSocket) restart() context.Context {
	c.writing.Lock() // no ack knows what was shown while the place changes
	defer c.writing.Unlock()
	c.mu.Lock()
	after, who := c.resume, c.who
	if c.closed {
		after = nil
	}
	c.resume = nil
	c.mu.Unlock()
	if after == nil {
		c.conn.Abort()
		return nil
	}
	f, err := c.follow(c.s.base, after)
	if err != nil { // its place was free a moment ago
		c.refuse(chatIn{}, err)
		_ = c.conn.Close(ws.TryLater, "")
		return nil
	}
	c.shown = f.Cursor()
	ctx := c.begin(f)
	// As at the opening: what ended streams while this one was not followed.
	reason := ""
	if c.s.opt.Auth.Recheck(ctx, who) != nil {
		reason = chatRevoked
	} else if c.s.open.stopped() {
		reason = desk.EndShutdown
	}
	if reason != "" && ctx.Err() == nil {
		c.over = reason
	}
	return ctx
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
