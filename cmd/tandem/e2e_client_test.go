package main_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/tmaxmax/go-sse"
)

// A stream is an open event stream, read by a client that nobody here wrote.
type stream struct {
	t      *testing.T
	events chan sse.Event // closed at the end of the stream
	resp   *http.Response
}

// follow opens the documents' stream of a participant.
func follow(t *testing.T, client *http.Client, url, credential string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<12))
		t.Fatalf("%d %s %s", resp.StatusCode, kind, text)
	}
	st := &stream{t: t, events: make(chan sse.Event, 1<<12), resp: resp}
	go func() {
		defer close(st.events)
		for e, err := range sse.Read(resp.Body, &sse.ReadConfig{MaxEventSize: 1 << 20}) {
			if err != nil {
				return
			}
			st.events <- e
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range st.events { // until the reader has ended
		}
		_ = resp.Body.Close()
	})
	return st
}

// next is the next event but heartbeats; it must be of this type.
func (st *stream) next(kind string) (m message) {
	st.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, ok := <-st.events:
			if !ok {
				st.t.Fatalf("the stream ended before %s", kind)
			}
			if e.Type == "heartbeat" && kind != "heartbeat" {
				continue
			}
			if err := json.Unmarshal([]byte(e.Data), &m); e.Type != kind || err != nil {
				st.t.Fatalf("%s: %s, %v; want %s", e.Type, e.Data, err, kind)
			}
			return m
		case <-timeout:
			st.t.Fatalf("no %s in %v", kind, patience)
		}
	}
}

// A frame is what the documents and docs/frontend.md say of the frames of a chat.
type frame struct {
	Type         string `json:"type"`
	Message      string `json:"message"`
	MessageID    string `json:"messageId"`
	Token        string `json:"token"`
	Timestamp    string `json:"timestamp"`
	FinishReason string `json:"finishReason"`
	Mode         string `json:"mode"`
	Cursor       string `json:"cursor"`
	Code         string `json:"code"`
}

// A chat is an open chat socket, of a client that nobody here wrote.
type chat struct {
	t    *testing.T
	conn *websocket.Conn
}

// open opens a chat socket and reads its first frame.
func open(t *testing.T, url string, client *http.Client) *chat {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		if resp != nil {
			t.Fatalf("%v: %s", err, resp.Status)
		}
		t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	c := &chat{t: t, conn: conn}
	t.Cleanup(func() { _ = conn.CloseNow() })
	if f := c.next(); f.Type != "connection" || f.Message != "Connected to chatbot server" {
		t.Fatalf("the first frame is %+v", f)
	}
	return c
}

// next is the next frame.
func (c *chat) next() (f frame) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, text, err := c.conn.Read(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		c.t.Fatalf("%v: %s", err, text)
	}
	if _, err := time.Parse(time.RFC3339, f.Timestamp); err != nil {
		c.t.Errorf("a frame without a time: %s", text)
	}
	return f
}

// send sends a frame of the document.
func (c *chat) send(f map[string]any) {
	c.t.Helper()
	f["timestamp"] = time.Now().UTC().Format(time.RFC3339Nano)
	text, err := json.Marshal(f)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.conn.Write(c.t.Context(), websocket.MessageText, text); err != nil {
		c.t.Fatal(err)
	}
}

// An answer is what a chat showed of one.
type answer struct {
	id, text string
	tokens   int
	finish   string
	others   []frame // what came in between
}

// answer reads a whole answer. during is called with what there is after each
// token.
func (c *chat) answer(during func(a answer)) (a answer) {
	c.t.Helper()
	var text strings.Builder
	for {
		f := c.next()
		switch {
		case f.Type == "stream-start" && a.id == "":
			a.id = f.MessageID
		case f.Type == "stream-token" && f.MessageID == a.id && f.Token != "":
			text.WriteString(f.Token)
			a.text = text.String()
			a.tokens++
			if during != nil {
				during(a)
			}
		case f.Type == "stream-end" && f.MessageID == a.id:
			a.finish = f.FinishReason
			return a
		case strings.HasPrefix(f.Type, "stream-"):
			c.t.Fatalf("%+v within %+v", f, a)
		default:
			a.others = append(a.others, f)
		}
	}
}

// silent sends a ping and reads up to its pong: what comes before it, apart from
// the types given, is too much.
func (c *chat) silent(but ...string) {
	c.t.Helper()
	c.send(map[string]any{"type": "ping"})
	for f := c.next(); f.Type != "pong"; f = c.next() {
		if !strings.Contains(strings.Join(but, " "), f.Type) {
			c.t.Errorf("one too many: %+v", f)
		}
	}
}
