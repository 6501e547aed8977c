package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/turn"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

func ttl(d time.Duration) func(*auth.MintRequest) { return func(m *auth.MintRequest) { m.TTL = d } }

// A token is warned of five minutes before its end; at its end and the leeway the
// client is told, and the socket closes with 4401. Seen to fail without Warn, and
// by closing before the error.
func TestChat_tellsOfTheTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openChat(t, chatWith{piped: true})
		began := time.Now()
		c := h.opens(h.token("ann", ttl(10*time.Minute)), "")
		time.Sleep(5*time.Minute - time.Millisecond)
		c.quiet()
		time.Sleep(time.Millisecond)
		expires, err := time.Parse(time.RFC3339, c.sees("token-expiring").ExpiresAt)
		if err != nil || !expires.Equal(began.Add(10*time.Minute)) || time.Since(began) != 5*time.Minute {
			t.Errorf("expires %v, told at %v: %v", expires, time.Since(began), err)
		}
		time.Sleep(5*time.Minute + 5*time.Second - time.Millisecond)
		c.quiet()
		time.Sleep(time.Millisecond)
		c.sees("error")
		c.closes(ws.Expired)
		if took := time.Since(began); took != 10*time.Minute+desk.Leeway {
			t.Errorf("the socket ended after %v", took)
		}
		chatGolden(t, "chat_expired.txt", c.plain())
	})
}

// A new token in place moves the end, and one of somebody else does not. Seen to
// fail without Renew, and without the comparison.
func TestChat_takesANewTokenInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openChat(t, chatWith{piped: true})
		c := h.opens(h.token("ann", ttl(10*time.Minute)), "")
		for _, other := range []func(*auth.MintRequest){
			func(m *auth.MintRequest) { m.Subject = "bob" },
			func(m *auth.MintRequest) { m.Tenant = "other" },
			func(m *auth.MintRequest) { m.Workflow = "billing" },
			func(m *auth.MintRequest) { m.Session = "pay-1" },
			func(m *auth.MintRequest) { m.Role = tandem.Agent },
		} {
			c.refused(fmt.Sprintf(`{"type":"auth","token":%q}`, h.token("ann", other)), "forbidden", "This token is for somebody else. The old one stays.")
		}
		c.refused(`{"type":"auth","token":"x.y.z"}`, "unauthorized", "Invalid or expired token")
		time.Sleep(6 * time.Minute)
		c.sees("token-expiring")
		c.sends(fmt.Sprintf(`{"type":"auth","token":%q}`, h.token("Ann", ttl(12*time.Minute))))
		c.quiet()
		time.Sleep(6*time.Minute + 30*time.Second)
		c.quiet()
		time.Sleep(time.Minute)
		c.sees("token-expiring")
		c.sends(`{"type":"chat","content":"still here","clientMessageId":"c-1"}`)
		c.sees("ack")
		c.sees("state")
		time.Sleep(6 * time.Minute)
		c.sees("error")
		c.closes(ws.Expired)
	})
}

// What is taken back ends sockets within a second, and what it was is said.
func TestChat_endsWhatIsRevoked(t *testing.T) {
	h := openChat(t, chatWith{})
	token, err := h.auth.Mint(t.Context(), auth.MintRequest{Tenant: "default", Subject: "ann", Role: tandem.Participant})
	if err != nil {
		t.Fatal(err)
	}
	c, stays := h.opens(token.Token.Reveal(), ""), h.opens(h.token("ann"), "")
	if err := h.auth.RevokeToken(t.Context(), "default", token.ID); err != nil {
		t.Fatal(err)
	}
	if got := c.sees("error"); got.Code != "token_revoked" || got.Message != "Token has been revoked. Please login again." {
		t.Errorf("told %+v", got)
	}
	c.closes(ws.Expired)
	stays.quiet()
	if _, err := h.tries(h.base+"/?token="+token.Token.Reveal(), nil); !strings.Contains(fmt.Sprint(err), "401") {
		t.Errorf("again: %v", err)
	}
}

// A server that ends takes no new sockets, lets running answers be shown, and then
// closes with 1012.
func TestChat_closesWithTheServer(t *testing.T) {
	h := openChat(t, chatWith{})
	token := h.token("ann")
	c := h.opens(token, "")
	c.sends(`{"type":"chat","content":"hello"}`)
	c.sees("state")
	q := h.question()
	q.says("Good")
	c.sees("stream-start")
	c.sees("stream-token")
	h.server.Stop()
	if _, err := h.tries(h.base+"/?token="+token, nil); !strings.Contains(fmt.Sprint(err), "503") {
		t.Errorf("a new socket: %v", err)
	}
	q.says("bye")
	c.sees("stream-token")
	q.ends()
	c.sees("stream-end")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := h.server.Drain(ctx); err != nil {
		t.Error(err)
	}
	c.closes(ws.ServiceRestart)
}

// Close does not wait for peers that answer nothing.
func TestChat_isCutOffByClose(t *testing.T) {
	h := openChat(t, chatWith{})
	token := h.token("ann")
	c := h.opens(token, "")
	h.rawChat()
	began := time.Now()
	h.cutOff()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("Close took %v", took)
	}
	<-c.ended
}

// Protocol pings come every 30 seconds; a peer that says nothing at all, not even
// a pong, is gone after 75. Seen to fail without Heartbeat and without Silence.
func TestChat_closesASilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openChat(t, chatWith{piped: true})
		lively := h.opens(h.token("ann"), "")
		nc := h.rawPipe(h.token("ann"))
		defer nc.Close()
		began := time.Now()
		var pings []time.Duration
		for {
			b := make([]byte, 4096)
			n, err := nc.Read(b)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if n >= 2 && b[0] == 0x89 {
				pings = append(pings, time.Since(began))
			}
		}
		if fmt.Sprint(pings) != "[30s 1m0s]" || time.Since(began) != 75*time.Second {
			t.Errorf("pings after %v, closed after %v", pings, time.Since(began))
		}
		time.Sleep(5 * time.Minute)
		lively.quiet()
	})
}

// A mark's ping comes behind each end of an answer, but at most once a second,
// and then the last one counts. Only pongs to what was asked move the mark. Seen
// to fail without the pause, and by believing any pong.
func TestChat_asksAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openChat(t, chatWith{piped: true, agents: []turn.Spec{}})
		c := h.opens(h.token("ann"), "")
		mark := func() int64 {
			th, err := h.store.Thread(t.Context(), testAddress)
			if err != nil {
				t.Fatal(err)
			}
			return th.ChatMark
		}
		d := h.opens(h.token("ann"), "")
		for i := range 10 {
			c.sends(fmt.Sprintf(`{"type":"chat","content":"%d","clientMessageId":"c-%d"}`, i, i))
			c.sees("ack")
			d.sees("message")
			if i == 0 {
				c.sees("state")
				d.sees("state")
			}
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if got := mark(); got != 1 {
			t.Errorf("the mark is at %d, want 1", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := mark(); got != 11 {
			t.Errorf("the mark is at %d, want 11", got)
		}
		nc := h.rawPipe(h.token("ann"))
		defer nc.Close()
		c.sends(`{"type":"chat","content":"one more","clientMessageId":"c-10"}`)
		c.sees("ack")
		d.sees("message")
		for _, payload := range []string{"9999", "x", "", "-1"} { // answers to what nobody asked
			if _, err := nc.Write(clientFrame(0x8A, payload)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := mark(); got != 11 {
			t.Errorf("the mark is at %d, want 11", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := mark(); got != 12 {
			t.Errorf("the mark is at %d, want 12", got)
		}
	})
}

// A reader that stops reading costs the others nothing; when it reads again it
// gets everything, in larger pieces. Seen to fail by a writer that drops frames.
func TestChat_waitsForASlowReader(t *testing.T) {
	h := openChat(t, chatWith{})
	token := h.token("ann")
	_, br := h.rawChat()
	c := h.opens(token, "")
	c.sends(`{"type":"chat","content":"tell me a lot"}`)
	c.sees("state")
	q := h.question()
	piece := strings.Repeat("x", 4000)
	for i := range 60 {
		q.says(piece)
		if i == 0 {
			c.sees("stream-start")
		}
		for got := 0; got < len(piece); {
			got += len(c.sees("stream-token").Token)
		}
	}
	q.ends()
	c.sees("stream-end")
	var text strings.Builder
	tokens := 0
	for {
		op, payload := serverFrame(t, br)
		if op != 1 {
			continue
		}
		var f chatAny
		decodeFrame(t, payload, &f)
		if f.Type == "stream-token" {
			text.WriteString(f.Token)
			tokens++
		}
		if f.Type == "stream-end" {
			break
		}
	}
	if text.Len() != 60*4000 {
		t.Errorf("got %d bytes", text.Len())
	}
	t.Logf("%d tokens", tokens)
}

// A peer that takes nothing is dropped with its credential: half a second after
// that was taken back, a second after it has expired. Seen to fail without drop.
func TestChat_dropsAStuckPeerWithItsCredential(t *testing.T) {
	for name, c := range map[string]struct {
		revoke bool
		after  time.Duration
	}{
		"revoked": {true, time.Minute + 500*time.Millisecond},
		"expired": {false, 5*time.Minute + desk.Leeway + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := openChat(t, chatWith{piped: true, agents: []turn.Spec{}})
				nc := h.rawPipe(h.token("ann", ttl(5*time.Minute)))
				defer nc.Close()
				began := time.Now()
				other := h.opens(h.token("ann"), "")
				other.sends(`{"type":"chat","content":"x"}`) // a pipe holds nothing: this one is stuck at once
				other.sees("state")
				gone := make(chan struct{})
				go func() { // it is not silent
					defer close(gone)
					for {
						if _, err := nc.Write(clientFrame(0x8A, "")); err != nil {
							return
						}
						time.Sleep(500 * time.Millisecond)
					}
				}()
				if c.revoke {
					time.Sleep(time.Minute)
					if err := h.auth.RevokeSubject(t.Context(), "default", "ann"); err != nil {
						t.Fatal(err)
					}
				}
				<-gone
				if took := time.Since(began); took < c.after || took > c.after+time.Second {
					t.Errorf("dropped after %v, want %v", took, c.after)
				}
			})
		})
	}
}

// rawPipe opens a socket by hand on a pipe, and reads no further than its first frame.
func (h *chatHouse) rawPipe(token string) net.Conn {
	h.t.Helper()
	nc, err := h.dial.Transport.(*http.Transport).DialContext(h.t.Context(), "tcp", "pipe")
	if err != nil {
		h.t.Fatal(err)
	}
	fmt.Fprintf(nc, "GET /ws?token=%s HTTP/1.1\r\nHost: x\r\n%s\r\n", token, upgrade)
	var got strings.Builder
	b := make([]byte, 4096)
	for !strings.Contains(got.String(), `"type":"connection"`) {
		n, err := nc.Read(b)
		if err != nil {
			h.t.Fatal(err)
		}
		got.Write(b[:n])
	}
	return nc
}
