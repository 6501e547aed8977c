package api

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// pair is both ends of a connection.
func pair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if there, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if here, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// Both kinds of watchers notice the same. Seen to fail by EPOLLIN in the place of
// EPOLLRDHUP, which takes junk for a farewell.
func TestWatcher_tellsWhoIsGoneAndNobodyElse(t *testing.T) {
	for name, watch := range map[string]func() (func(net.Conn, func()) func(), func()){
		"epoll": func() (func(net.Conn, func()) func(), func()) { w := newWatcher(); return w.watch, w.close },
		"read":  func() (func(net.Conn, func()) func(), func()) { d := &dropper{}; return d.watch, d.close },
	} {
		t.Run(name, func(t *testing.T) {
			watch, done := watch()
			goneA, goneB := make(chan struct{}), make(chan struct{})
			a, clientA := pair(t)
			b, clientB := pair(t)
			forgetA := watch(a, sync1(goneA))
			forgetB := watch(b, sync1(goneB))
			if _, err := clientB.Write([]byte("junk")); err != nil {
				t.Fatal(err)
			}
			clientA.Close()
			<-goneA
			select {
			case <-goneB:
				t.Error("one that is still there was told as gone")
			default:
			}
			forgetA()
			a.Close()
			forgetB()
			b.Close()
			done()
		})
	}
}

// sync1 closes c at the first call.
func sync1(c chan struct{}) func() {
	var called atomic.Bool
	return func() {
		if called.CompareAndSwap(false, true) {
			close(c)
		}
	}
}

// A slot that is used again does not hear of who had it before. Seen to fail by
// leaving out the count of uses.
func TestWatcher_anOldEventMeansNobody(t *testing.T) {
	w := newWatcher()
	defer w.close()
	if w.epoll < 0 {
		t.Skip("this system has no epoll")
	}
	a, _ := pair(t)
	forget := w.watch(a, func() { t.Error("told of somebody else's end") })
	use := w.slots[0].use
	forget()
	a.Close()
	b, clientB := pair(t)
	gone := make(chan struct{})
	forget = w.watch(b, func() { close(gone) })
	w.tell(0, use)
	select {
	case <-gone:
		t.Fatal("told of the end of who had the slot before")
	case <-time.After(10 * time.Millisecond):
	}
	clientB.Close()
	<-gone
	forget()
}

// What was revoked after the credential was judged, and before the stream could
// be told, does not open it. Seen to fail without the second look.
func TestEvents_lookAgainAtTheCredential(t *testing.T) {
	h := openChat(t, chatWith{})
	token, err := h.auth.Mint(t.Context(), auth.MintRequest{Subject: "ann", Role: tandem.Participant})
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.auth.Authenticate(t.Context(), auth.Present(token.Token.Reveal(), false), auth.Use{Purpose: auth.Stream})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.auth.RevokeSubject(t.Context(), "default", "ann"); err != nil {
		t.Fatal(err)
	}
	req := desk.Follow{Principal: p, Address: testAddress, View: participantView}
	_, err = h.server.subscribe(t.Context(), p, h.server.tellParticipant(t.Context(), req))
	if tandem.KindOf(err) != tandem.Unauthorized {
		t.Errorf("got %v", err)
	}
	if n := h.hub.Streams(); n != 0 {
		t.Errorf("%d streams are left open", n)
	}
}
