package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// A sighting is one event of a thread as a reader saw it: its place, and a sum
// of what the reader was shown.
type sighting struct {
	cursor string
	id     string
	sum    uint64
}

// A chaosReader follows one thread by one face and comes back by itself whenever
// its connection ends, from where it was. It forgets nothing, so that what it saw
// can be compared with the log.
type chaosReader struct {
	name   string
	thread *chaosThread
	chat   bool // by the chat socket; else by the event stream
	echo   bool // of the event stream: the participant's own messages too
	tokens bool // of the event stream: answers while they are written too
	query  bool // of the event stream: its place is told in the query
	asks   bool // of the chat socket: somebody asks questions on it

	client  *http.Client               // to connect with
	gate    chan struct{}              // if set, it reads its first frame and then nothing until this is closed
	arrived func(data json.RawMessage) // if set, is told of each message that came

	mu       sync.Mutex // guards all below
	socket   *websocket.Conn
	place    string // what it would send as Last-Event-ID or ?after=
	seq      int64  // of place
	from     int64  // seq of its first place: it saw nothing before
	resetDue bool   // the stream began elsewhere than it was asked to
	told     string // why the server ended the last connection
	retry    time.Duration
	seen     []sighting
	live     map[string]string // answers under way on this connection: the text so far
	ended    string            // the answer whose end came and whose message has to be next
	shown    map[string]string // of every answer that was ever begun: the longest text of it
	closed   map[string]bool   // answers that have ended
	asked    map[string]string // ids of questions: their marks
	outcome  map[string]string // marks of questions: how they ended
	acked    map[string]string // clientMessageId: messageId
	refused  map[string]string // clientMessageId: code
	counts   struct{ opened, resets, gaps, restated, passed int }
}

func (t *chaosThread) reader(name string) *chaosReader {
	r := &chaosReader{
		name: t.address.Participant + "/" + name, thread: t, client: t.world.streams,
		shown: make(map[string]string), closed: make(map[string]bool), asked: make(map[string]string),
		outcome: make(map[string]string), acked: make(map[string]string), refused: make(map[string]string),
	}
	t.readers = append(t.readers, r)
	return r
}

// run reads until ctx ends.
func (r *chaosReader) run(ctx context.Context) {
	for ctx.Err() == nil {
		r.begin()
		if r.chat {
			r.readSocket(ctx)
		} else {
			r.readStream(ctx)
		}
		chaosPause(ctx, 5*time.Millisecond)
	}
}

func (r *chaosReader) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live, r.ended, r.resetDue = make(map[string]string), "", false
}

// at is where it has come to.
func (r *chaosReader) at() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.place
}

func (r *chaosReader) readStream(ctx context.Context) {
	q := url.Values{
		"workflow": {r.thread.address.Workflow}, "participantId": {r.thread.address.Participant}, "heartbeatSeconds": {"1"},
		"echo": {strconv.FormatBool(r.echo)}, "tokens": {strconv.FormatBool(r.tokens)},
	}
	at := r.at()
	if r.query && at != "" {
		q.Set("lastEventId", at)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.thread.world.url("http", "/api/user/sse/events", q), nil)
	if err != nil {
		r.fault("%v", err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+r.thread.token)
	if !r.query && at != "" {
		req.Header.Set("Last-Event-ID", at)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		if resp.StatusCode != http.StatusServiceUnavailable {
			r.fault("opening the stream: %s", resp.Status)
		}
		return
	}
	events := sse.NewDecoder(resp.Body, 1<<22)
	for r.mayRead(ctx) {
		e, err := events.Next()
		if err != nil {
			return
		}
		cursor := ""
		if e.HasID {
			cursor = e.ID
		}
		r.frame(e.Name, e.Data, cursor)
		r.pauses(events.Retry())
	}
}

// pauses notes how long the server last asked to wait before coming back.
func (r *chaosReader) pauses(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retry = d
}

func (r *chaosReader) readSocket(ctx context.Context) {
	q := url.Values{"workflow": {r.thread.address.Workflow}, "token": {r.thread.token}, "after": {r.at()}}
	c, resp, err := websocket.Dial(ctx, r.thread.world.url("ws", "/ws", q), &websocket.DialOptions{HTTPClient: r.client})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusServiceUnavailable && resp.StatusCode != http.StatusSwitchingProtocols {
			r.fault("opening the socket: %s", resp.Status)
		}
		return
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(1 << 22)
	r.connected(c)
	defer r.connected(nil)
	for r.mayRead(ctx) {
		kind, text, err := c.Read(ctx)
		if err != nil {
			r.goodbye(err)
			return
		}
		var f struct{ Type, Cursor string }
		if kind != websocket.MessageText || json.Unmarshal(text, &f) != nil {
			// This client library takes a message whose connection ended at the right
			// byte for a whole one; then there is nothing after it.
			if _, _, err := c.Read(ctx); err == nil {
				r.fault("a frame that is no JSON object: %q", text)
			}
			return
		}
		r.frame(f.Type, text, f.Cursor)
	}
}

// mayRead waits, once the reader has begun, until its gate is open.
func (r *chaosReader) mayRead(ctx context.Context) bool {
	if r.gate != nil && r.at() != "" {
		select {
		case <-r.gate:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

func (r *chaosReader) connected(c *websocket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.socket = c
}

func (r *chaosReader) goodbye(err error) {
	if e := (websocket.CloseError{}); errors.As(err, &e) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = strconv.Itoa(int(e.Code)) + " " + e.Reason
	}
}

func (r *chaosReader) fault(format string, args ...any) {
	r.thread.world.faults.add(r.name+": "+format, args...)
}

// chaosFrame is what a frame of the chat or an event of the stream may hold.
type chaosFrame struct {
	MessageID   string           `json:"messageId"`
	Token       string           `json:"token"`
	Content     string           `json:"content"`
	MessageType string           `json:"messageType"`
	Role        tandem.Role      `json:"role"`
	ClientID    string           `json:"clientMessageId"`
	Code        string           `json:"code"`
	Reason      string           `json:"reason"`
	Finish      tandem.Finish    `json:"finishReason"`
	ID          string           `json:"id"`
	Direction   tandem.Direction `json:"direction"`
	Text        string           `json:"text"`
	Mode        tandem.Mode      `json:"mode"`
	Status      tandem.Status    `json:"status"`
	Data        json.RawMessage  `json:"data"`
}

// frame takes what came, from either face. cursor is what came with it.
func (r *chaosReader) frame(name string, data []byte, cursor string) {
	var f chaosFrame
	if err := json.Unmarshal(data, &f); err != nil {
		r.fault("%s: %v", name, err)
		return
	}
	if string(f.Data) == "null" {
		f.Data = nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended != "" && (name != string(tandem.Chat) || f.ID != r.ended) {
		r.fault("after the end of %s comes %s %s, not its message", r.ended, name, f.ID)
	}
	if r.resetDue && name != "reset" && name != "gap" {
		r.fault("the stream begins elsewhere than it was asked to, and says nothing of it")
	}
	switch name {
	case "connected", "connection":
		r.opened(cursor)
	case "heartbeat":
		if cursor != "" {
			r.counts.passed++
			r.moveTo(cursor)
		}
	case "gap":
		r.counts.gaps++
		r.resetDue = false
	case "reset":
		r.forget(cursor)
	case "disconnected":
		r.told = f.Reason
	case "stream-start":
		r.start(f.MessageID)
	case "stream-token":
		r.token(f.MessageID, f.Token)
	case "stream-end":
		r.end(f, cursor)
	case "Chat", "Data":
		r.message(f, cursor)
	case "message":
		r.spoken(f, cursor)
	case "state":
		r.take(cursor, "", chaosSum("state", string(f.Mode), string(f.Status)))
	case "ack":
		r.acked[f.ClientID] = f.MessageID
	case "error":
		r.trouble(f, cursor)
	default:
		r.fault("%s %s is not expected", name, data)
	}
}

// opened is told where the stream goes on: exactly where it was asked to, unless
// that place is not there any more, which has to be said next.
func (r *chaosReader) opened(cursor string) {
	r.counts.opened++
	if r.place != "" && cursor != r.place {
		r.resetDue = true
		if r.chat { // its place comes again with the reset
			return
		}
	}
	if c, err := tandem.ParseCursor(cursor); err != nil {
		r.fault("the first cursor is %q", cursor)
	} else {
		if r.place == "" {
			r.from = c.Seq
		}
		r.place, r.seq = cursor, c.Seq
	}
}

// forget begins anew: what was shown is of another history. The event stream told
// the new place before, the chat tells it with the reset.
func (r *chaosReader) forget(cursor string) {
	r.counts.resets++
	r.resetDue, r.seen, r.from = false, nil, 0
	clear(r.shown)
	clear(r.closed)
	clear(r.asked)
	clear(r.outcome)
	if cursor != "" {
		r.place, r.seq = cursor, 0
		if c, err := tandem.ParseCursor(cursor); err == nil {
			r.seq = c.Seq
		}
	}
}

// moveTo goes on to a later place.
func (r *chaosReader) moveTo(cursor string) {
	c, err := tandem.ParseCursor(cursor)
	if err != nil {
		r.fault("cursor %q: %v", cursor, err)
		return
	}
	if c.Seq <= r.seq {
		r.fault("%s comes after %s: twice, or out of order", cursor, r.place)
	}
	r.place, r.seq = cursor, c.Seq
}

func (r *chaosReader) take(cursor, id string, sum uint64) {
	r.moveTo(cursor)
	r.seen = append(r.seen, sighting{cursor, id, sum})
}

func (r *chaosReader) start(id string) {
	if r.closed[id] {
		r.fault("answer %s begins after its end", id)
	}
	if _, here := r.live[id]; here {
		r.fault("answer %s begins twice on one connection", id)
	}
	if _, before := r.shown[id]; before {
		r.counts.restated++
	} else {
		r.shown[id] = ""
	}
	r.live[id] = ""
}

func (r *chaosReader) token(id, text string) {
	so, here := r.live[id]
	if !here {
		r.fault("a token of %s without its stream-start", id)
		return
	}
	so += text
	r.live[id] = so
	if len(so) > len(r.shown[id]) {
		if !strings.HasPrefix(so, r.shown[id]) {
			r.fault("answer %s was %q and is now %q", id, r.shown[id], so)
		}
		r.shown[id] = so
	} else if !strings.HasPrefix(r.shown[id], so) {
		r.fault("answer %s was %q and is now %q", id, r.shown[id], so)
	}
}

func (r *chaosReader) end(f chaosFrame, cursor string) {
	text, here := r.live[f.MessageID]
	if !here {
		r.fault("the end of %s without its stream-start", f.MessageID)
	}
	if !r.chat { // its message comes next, and has the id
		r.ended = f.MessageID
		return
	}
	if r.closed[f.MessageID] {
		r.fault("answer %s ends twice", f.MessageID)
	}
	r.closed[f.MessageID] = true
	delete(r.live, f.MessageID)
	r.answered(text, f.Finish)
	r.take(cursor, f.MessageID, chaosSum("Chat", text, ""))
}

func (r *chaosReader) answered(text string, finish tandem.Finish) {
	if rest, ok := strings.CutPrefix(chaosMark(text), "re:"); ok {
		r.outcome[rest] += string(finish) + " "
	}
}

// message is a whole message on the event stream.
func (r *chaosReader) message(f chaosFrame, cursor string) {
	if r.arrived != nil {
		r.arrived(f.Data)
	}
	if r.ended != "" {
		if r.live[f.ID] != f.Text {
			r.fault("the tokens of %s are %q, its message is %q", f.ID, r.live[f.ID], f.Text)
		}
		r.ended = ""
		delete(r.live, f.ID)
	}
	r.closed[f.ID] = true
	r.take(cursor, f.ID, chaosSum(string(f.MessageType), f.Text, string(f.Data)))
}

// spoken is a whole message on the chat socket.
func (r *chaosReader) spoken(f chaosFrame, cursor string) {
	if r.arrived != nil {
		r.arrived(f.Data)
	}
	if f.Role == tandem.RoleUser && f.MessageType == string(tandem.Chat) {
		r.asked[f.MessageID] = chaosMark(f.Content)
	}
	r.take(cursor, f.MessageID, chaosSum(f.MessageType, f.Content, string(f.Data)))
}

// trouble is an error frame: of an answer that failed, which is in the log, or of
// something that was not done.
func (r *chaosReader) trouble(f chaosFrame, cursor string) {
	if cursor == "" {
		r.refused[f.ClientID] = f.Code
		return
	}
	mark := r.asked[f.MessageID]
	for client, id := range r.acked {
		if id == f.MessageID {
			mark = client
		}
	}
	if mark == "" {
		r.fault("an answer to %s failed, which nobody asked", f.MessageID)
	}
	r.outcome[mark] += "failed "
	r.take(cursor, f.MessageID, chaosSum("failed", f.MessageID))
}
