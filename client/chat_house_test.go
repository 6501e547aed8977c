package client_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/seed4677ff1f/tandem/client"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// house is a server of chats with one thread: a log of frames, each with its
// cursor, which every socket follows from its own place on, and an ack for each
// message. It drops connections as cut says.
type house struct {
	t *testing.T

	mu      sync.Mutex // guards what follows
	opened  []string   // URL and credential of each connection
	log     [][]byte
	byKey   map[string]int // clientMessageId -> seq
	said    []string       // contents, in the order of the log
	chats   int            // chat frames, repeats and all
	taken   []string       // other frames from the client
	sockets map[*socket]bool
	open    sync.WaitGroup

	refuse func(n int) http.HandlerFunc      // of the n-th connection; nil: open it
	begin  func(n int, s *socket)            // after its connection frame
	reply  func(s *socket, frame sent) bool  // true: it has answered
	cut    func() (before, after, half bool) // of each message from the client
}

type sent struct{ Type, Content, ClientMessageID, MessageID, Reason, Urgency, Token, FeedbackType, Comment string }

// socket is one connection of a house.
type socket struct {
	*ws.Conn
	nc   net.Conn
	next int // of the log
	mine map[int]bool
}

func newHouse(t *testing.T) *house {
	return &house{t: t, byKey: map[string]int{}, sockets: map[*socket]bool{}}
}

func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.opened = append(h.opened, r.URL.String()+" "+r.Header.Get("Authorization"))
	n := len(h.opened)
	refuse := h.refuse
	h.mu.Unlock()
	if refuse != nil {
		if f := refuse(n); f != nil {
			f(w, r)
			return
		}
	}
	nc, buffered, err := ws.Accept(w, r)
	if err != nil {
		h.t.Errorf("a bad handshake: %v", err)
		return
	}
	s := &socket{ws.NewConn(nc, buffered, ws.Options{}), nc, 0, map[int]bool{}}
	h.open.Go(func() { h.serve(n, s, r.URL.Query().Get("after")) })
}

func (h *house) serve(n int, s *socket, after string) {
	defer s.Abort()
	h.mu.Lock()
	s.next = len(h.log)
	fmt.Sscanf(after, "%d-", &s.next)
	s.WriteText(fmt.Appendf(nil, `{"type":"connection","message":"Connected to chatbot server","conversationId":"conv_1","cursor":%q}`, cursor(s.next)))
	if h.begin != nil {
		h.begin(n, s)
	}
	h.sockets[s] = true
	h.show(s)
	h.mu.Unlock()
	for {
		frame, err := s.Read()
		h.mu.Lock()
		if err != nil || !h.take(s, frame) {
			delete(h.sockets, s)
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
	}
}

// take does what a frame asks for; false drops the connection. mu is held.
func (h *house) take(s *socket, frame []byte) bool {
	var in sent
	if err := json.Unmarshal(frame, &in); err != nil {
		h.t.Errorf("%s: %v", frame, err)
	}
	if h.reply != nil && h.reply(s, in) {
		return true
	}
	if in.Type != "chat" {
		h.taken = append(h.taken, fmt.Sprintf("%+v", in))
		if in.Type == "ping" {
			s.WriteText([]byte(`{"type":"pong"}`))
		}
		return true
	}
	h.chats++
	var before, after, half bool
	if h.cut != nil {
		before, after, half = h.cut()
	}
	if before {
		return false
	}
	seq, again := h.byKey[in.ClientMessageID]
	if !again {
		seq = h.append(s, fmt.Sprintf(`"type":"message","role":"user","content":%q,"clientMessageId":%q`, in.Content, in.ClientMessageID))
		h.byKey[in.ClientMessageID] = seq
		h.said = append(h.said, in.Content)
	}
	if after {
		return false
	}
	ack := fmt.Appendf(nil, `{"type":"ack","clientMessageId":%q,"messageId":"msg_%d","cursor":%q}`, in.ClientMessageID, seq, cursor(seq))
	if half {
		s.nc.Write(ws.AppendText(nil, ack)[:7])
		return false
	}
	return s.WriteText(ack) == nil
}

// append adds to the log and shows it to all; the sender's own message not to
// the sender. mu is held.
func (h *house) append(from *socket, fields string) (seq int) {
	seq = len(h.log) + 1
	h.log = append(h.log, fmt.Appendf(nil, `{"messageId":"msg_%d",%s,"cursor":%q}`, seq, fields, cursor(seq)))
	if from != nil {
		from.mine[seq] = true
	}
	for s := range h.sockets {
		h.show(s)
	}
	return seq
}

// Others appends what nobody here said.
func (h *house) Others(fields string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.append(nil, fields)
}

func (h *house) show(s *socket) {
	for ; s.next < len(h.log); s.next++ {
		if !s.mine[s.next+1] {
			s.WriteText(h.log[s.next])
		}
	}
}

// Drop ends all connections: with a close code, or without a word if it is 0.
func (h *house) Drop(code ws.Code) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.sockets {
		if code == 0 {
			s.Abort()
		} else {
			s.Close(code, "")
		}
	}
}

func (h *house) Taken() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.taken)
}

// chat opens a chat with the house, in a bubble. end closes both.
func (h *house) chat(t *testing.T, co client.Options, o client.ChatOptions) (ch *client.Chat, end func()) {
	t.Helper()
	if o.OnDuplicate == nil {
		o.OnDuplicate = func(e client.Event) { t.Errorf("a duplicate: %s", brief(e)) }
	}
	c, stop := serve(t, h.ServeHTTP, co)
	ch, err := c.Chat(t.Context(), o)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	return ch, func() {
		ch.Close()
		stop()
		h.open.Wait()
	}
}

// next takes events up to the first of this type.
func next(t *testing.T, ch *client.Chat, want client.EventType) client.Event {
	t.Helper()
	for e, err := range ch.Events(t.Context()) {
		if err != nil {
			t.Fatalf("instead of %s: %v", want, err)
		}
		if e.Type == want {
			return e
		}
	}
	panic("unreachable")
}

// sometimes is true once in n.
func sometimes(rnd *rand.Rand, n int) bool { return rnd.IntN(n) == 0 }
