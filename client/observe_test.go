package client_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// observer reads a stream beside the test. Events that come by themselves are left out.
type observer struct {
	t      *testing.T
	events chan client.Event
	over   chan error
	stop   context.CancelFunc
}

func observe(t *testing.T, stream func(context.Context) func(func(client.Event, error) bool)) *observer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	o := &observer{t: t, events: make(chan client.Event, 256), over: make(chan error, 1), stop: cancel}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(o.events)
		for e, err := range stream(ctx) {
			if err != nil {
				o.over <- err
				return
			}
			if e.Type != client.Heartbeat && e.Name != "presence" && e.Type != client.Hint {
				o.events <- e
			}
		}
		o.over <- nil
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return o
}

// next is the next event, which must be of this type.
func (o *observer) next(want client.EventType) client.Event {
	o.t.Helper()
	e := o.any()
	if e.Type != want {
		o.t.Fatalf("got %s %s, want %s", e.Type, e.Data, want)
	}
	return e
}

// any is the next event.
func (o *observer) any() client.Event {
	o.t.Helper()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	select {
	case e, ok := <-o.events:
		if !ok {
			o.t.Fatalf("it ended too early: %v", <-o.over)
		}
		return e
	case <-late.C:
		o.t.Fatal("nothing comes")
		return client.Event{}
	}
}

// updated reads changes up to one that is as it should be.
func (o *observer) updated(is func(*client.Row) bool) client.Event {
	o.t.Helper()
	for {
		if e := o.next(client.Updated); is(e.Row) {
			return e
		}
	}
}

func (o *observer) ends(want tandem.ErrorKind, isError bool) {
	o.t.Helper()
	for e := range o.events {
		o.t.Errorf("one too many: %s %s", e.Type, e.Data)
	}
	if err := <-o.over; (err != nil) != isError || isError && tandem.KindOf(err) != want {
		o.t.Errorf("it ended with %v", err)
	}
}

func conversation(t *testing.T, c *client.Client, id, after string) *observer {
	t.Helper()
	return observe(t, func(ctx context.Context) func(func(client.Event, error) bool) {
		return c.FollowConversation(ctx, id, client.Resume{After: after, OnDuplicate: func(e client.Event) { t.Errorf("a duplicate: %s", e.Data) }})
	})
}

// What an operator sees of a conversation, from beginning to end, and again from
// where it was left. Seen to fail by a stream that begins anew after a place.
func TestFollowConversation_fromBeginningToEnd(t *testing.T) {
	h, ctx := build(t, desktest.Options{}), t.Context()
	id := h.open().ID
	o := conversation(t, h.lea, id, "")
	if e := o.next(client.Initial); len(e.Transcript.Messages) != 2 || e.Transcript.Total != 2 || e.Conversation != id || e.Cursor == "" {
		t.Errorf("%+v", e)
	}
	o.updated(func(r *client.Row) bool { return r.Mode == tandem.ModeWaiting })
	done[client.Row](t)(h.maya.Takeover(ctx, id, false))
	o.updated(func(r *client.Row) bool {
		return r.Holder == "Maya" && r.AdminID == "maya" && r.Mode == tandem.ModeOperator
	})
	done[client.Entry](t)(h.maya.Note(ctx, id, "a note"))
	if e := o.next(client.Note); e.Entries[0].Text != "a note" || e.Entries[0].Name != "Maya" {
		t.Errorf("%+v", e)
	}
	if err := h.maya.Typing(ctx, id, false); err != nil {
		t.Error(err)
	}
	if e := o.next(client.Typing); e.Speaker != "Maya" || e.Role != tandem.RoleOperator || e.Stopped {
		t.Errorf("%+v", e)
	}
	push := func(text string) string {
		said := done[client.SaidIn](t)(h.gateway.Say(ctx, client.Say{Conversation: id, Messages: []client.Saying{{Text: text}}}))
		return said.Messages[0].ID
	}
	draft := push("a draft")
	if e := o.next(client.Draft); e.Entries[0].Text != "a draft" || e.MessageID != draft {
		t.Errorf("%+v", e)
	}
	sent := done[client.Entry](t)(h.maya.SendDraft(ctx, id, draft, ""))
	told := []client.EventType{}
	var place string
	for range 2 { // one append: in either order
		e := o.any()
		told = append(told, e.Type)
		switch {
		case e.Type == client.NewMessages && (len(e.Entries) != 1 || e.Entries[0].ID != sent.ID || e.Total != 3),
			e.Type == client.DraftGone && e.MessageID != draft:
			t.Errorf("%+v", e)
		}
		place = e.Cursor
	}
	slices.Sort(told)
	if !slices.Equal(told, []client.EventType{client.DraftGone, client.NewMessages}) {
		t.Errorf("%v", told)
	}
	if err := h.maya.Read(ctx, id, sent.ID, false); err != nil {
		t.Error(err)
	}
	if e := o.next(client.Read); e.MessageID != sent.ID || e.Speaker != "Maya" || e.Delivered {
		t.Errorf("%+v", e)
	}
	o.stop()

	done[client.SaidIn](t)(h.gateway.Say(ctx, client.Say{Conversation: id, Messages: []client.Saying{{Role: tandem.RoleUser, Text: "one"}, {Role: tandem.RoleUser, Text: "two"}}}))
	done[client.Row](t)(h.gateway.End(ctx, id, "call_ended"))
	again := conversation(t, h.maya, id, place)
	if e := again.next(client.NewMessages); len(e.Entries) != 2 || e.Total != 5 {
		t.Errorf("%+v", e)
	}
	ended := again.next(client.Ended)
	if ended.Text != "Call has ended" || ended.Conversation != id {
		t.Errorf("%+v", ended)
	}
	again.ends(0, false)
	conversation(t, h.maya, id, ended.Cursor).ends(0, false)
}

func TestFollowConversation_isRefused(t *testing.T) {
	h, ctx := build(t, desktest.Options{}), t.Context()
	id := h.open().ID
	conversation(t, h.ann, id, "").ends(tandem.Forbidden, true)
	conversation(t, h.maya, "conv_1", "").ends(tandem.NotFound, true)
	conversation(t, h.maya, "call_1", "").ends(tandem.NotFound, true)
	conversation(t, h.withoutBearer, id, "").ends(tandem.Unauthorized, true)

	o := conversation(t, h.ravi, id, "")
	o.next(client.Initial)
	done[client.Row](t)(h.maya.Takeover(ctx, id, false))
	o.next(client.Updated) // as it was when it began
	for e := range o.events {
		if e.Type != client.Updated {
			t.Errorf("%+v", e)
		}
	}
	if err := <-o.over; tandem.KindOf(err) != tandem.Forbidden || err == nil {
		t.Errorf("taken by another: %v", err)
	}
	m := conversation(t, h.maya, id, "")
	m.next(client.Initial)
	m.next(client.Updated)
	if err := h.maya.Logout(ctx); err != nil {
		t.Error(err)
	}
	m.ends(tandem.Unauthorized, true)
}

// An answer in a conversation has one Start, one End with all of it, and then
// comes whole.
func TestFollowConversation_showsAnswersAsTheyAreWritten(t *testing.T) {
	words := make(desktest.Fed)
	h, ctx := build(t, desktest.Options{Agents: desktest.AnsweredBy(words)}), t.Context()
	if _, err := h.ann.Post(ctx, client.Post{Workflow: "support", Participant: "ann", Text: "hi"}); err != nil {
		t.Fatal(err)
	}
	rows, _, err := h.maya.Conversations(ctx, client.List{})
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	words <- "Hel"
	o := conversation(t, h.maya, rows[0].ID, "")
	o.next(client.Initial)
	o.next(client.Updated)
	start := o.next(client.Start)
	text := ""
	for text != "Hel" {
		text += o.next(client.Token).Text
	}
	words <- "lo"
	close(words)
	for text != "Hello" {
		text += o.next(client.Token).Text
	}
	if e := o.next(client.End); e.Text != "Hello" || e.Finish != tandem.FinishStop || e.MessageID != start.MessageID || e.Conversation != rows[0].ID {
		t.Errorf("%+v", e)
	}
	if e := o.next(client.NewMessages); e.Entries[0].ID != start.MessageID || e.Entries[0].Text != "Hello" || e.Total != 2 {
		t.Errorf("%+v", e)
	}
}

// The server cuts every connection somewhere; each message of a conversation is
// seen once, in order, and the end ends it. Broken once by not resuming.
func TestFollowConversation_losesAndDoublesNothing(t *testing.T) {
	const messages = 40
	block := func(name string, seq int, data string) []byte {
		return sse.Append(nil, sse.Frame{Event: name, ID: cursor(seq), Data: []byte(data)})
	}
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		connections := 0
		handler := func(w http.ResponseWriter, r *http.Request) {
			if connections++; connections > 500 {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			if r.URL.Path != "/base/api/conversation/c/stream" {
				t.Errorf("asked for %s", r.URL.Path)
			}
			after := 0
			var out []byte
			if fmt.Sscanf(r.Header.Get("Last-Event-ID"), "%d-abcdefgh", &after); after == 0 {
				out = block("initial", 1, `{"conversation_id":"c","messages":[{"message_id":"1"}],"total_messages":1}`)
				after = 1
			}
			for n := after + 1; n <= messages; n++ {
				out = append(out, block("new_messages", n, fmt.Sprintf(`{"conversation_id":"c","messages":[{"message_id":"%d"}],"total_messages":%d}`, n, n))...)
			}
			out = append(out, block("ended", messages+1, `{"message":"Conversation has ended","conversation_id":"c"}`)...)
			nc := stream(w)
			nc.Write(out[:min(len(out), rnd.IntN(1200))])
			nc.Close()
		}
		var got, want []string
		for n := 1; n <= messages; n++ {
			want = append(want, fmt.Sprint(n))
		}
		var ended int
		synctest.Test(t, func(t *testing.T) {
			c, end := serve(t, handler, client.Options{})
			defer end()
			for e, err := range c.FollowConversation(t.Context(), "c", client.Resume{}) {
				switch {
				case err != nil:
					t.Fatal(err)
				case e.Type == client.Initial && got == nil:
					got = append(got, e.Transcript.Messages[0].ID)
				case e.Type == client.NewMessages:
					got = append(got, e.Entries[0].ID)
				case e.Type == client.Ended:
					ended++
				}
			}
		})
		if diff := cmp.Diff(want, got); diff != "" || ended != 1 {
			t.Fatalf("seed %d: %d ends %s", seed, ended, diff)
		}
	}
}

// The server's own failure, told on the stream, is waited for; what is no good is not.
func TestFollowConversation_triesAgainAfterTheServersFailure(t *testing.T) {
	asked := 0
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		switch asked++; asked {
		case 1:
			io.WriteString(w, "event: error\ndata: {\"error\":\"Failed to retrieve conversation\",\"conversation_id\":\"c\"}\nretry: 60000\n\n")
		case 2:
			io.WriteString(w, "event: new_messages\ndata: nonsense\n\n")
		}
	}
	synctest.Test(t, func(t *testing.T) {
		c, end := serve(t, handler, client.Options{})
		defer end()
		for _, err := range c.FollowConversation(t.Context(), "c", client.Resume{}) {
			if err == nil || !strings.HasPrefix(err.Error(), "the server's answer is not what it should be") {
				t.Errorf("%v", err)
			}
		}
	})
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

func board(t *testing.T, c *client.Client, after string, watch ...string) *observer {
	t.Helper()
	return observe(t, func(ctx context.Context) func(func(client.Event, error) bool) {
		return c.Board(ctx, watch, client.Resume{After: after})
	})
}

// An operator's list: what is there, comes, changes, is taken by another, and on
// the same connection a conversation that is open. Seen to fail by a board that
// begins anew after a place.
func TestBoard_showsWhatComesAndGoes(t *testing.T) {
	h, ctx := build(t, desktest.Options{}), t.Context()
	id := h.open().ID
	o := board(t, h.ravi, "", id, "conv_1")
	snapshot, denied := false, false
	var initial client.Event
	for !snapshot || !denied || initial.Type == "" {
		switch e := o.any(); e.Type {
		case client.Snapshot:
			snapshot = len(e.Rows) == 1 && e.Rows[0].ID == id && e.Rows[0].Unread == 1 && e.Rows[0].LastMessage != ""
		case client.Denied:
			denied = e.Conversation == "conv_1" && e.Text == "Conversation 'conv_1' not found"
		case client.Initial:
			initial = e
		case client.Updated:
		default:
			t.Fatalf("%s %s", e.Type, e.Data)
		}
	}
	if initial.Conversation != id || len(initial.Transcript.Messages) != 2 {
		t.Errorf("%+v", initial)
	}
	other, _, err := h.gateway.OpenConversation(ctx, client.Open{Workflow: "support", Participant: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	var came client.Event
	for came.Conversation != other.ID { // the other one's place is told anew, too
		if e := o.any(); e.Type == client.Upsert {
			came = e
		}
	}
	if came.Row.Participant != "bob" || came.Cursor == "" {
		t.Errorf("%+v", came)
	}
	done[client.SaidIn](t)(h.gateway.Say(ctx, client.Say{Conversation: id, Messages: []client.Saying{{Role: tandem.RoleUser, Text: "Hello?"}}}))
	said := o.until(client.NewMessages)
	if said.Conversation != id || said.Entries[0].Text != "Hello?" || !strings.Contains(said.Cursor, "~") {
		t.Errorf("%+v", said)
	}
	place := said.Cursor
	done[client.Row](t)(h.maya.Takeover(ctx, other.ID, false))
	if gone := o.until(client.Removed); gone.Conversation != other.ID {
		t.Errorf("%+v", gone)
	}
	o.stop()

	again := board(t, h.ravi, place, id, "conv_1")
	if e := again.until(client.Removed, client.Snapshot, client.Initial); e.Type != client.Removed || e.Conversation != other.ID {
		t.Errorf("after a place: %s %s", e.Type, e.Data)
	}
	board(t, h.ann, "").ends(tandem.Forbidden, true)
	if err := h.ravi.Logout(ctx); err != nil {
		t.Error(err)
	}
	for range again.events {
	}
	if err := <-again.over; tandem.KindOf(err) != tandem.Unauthorized || err == nil {
		t.Errorf("signed out: %v", err)
	}
}

// until reads up to the next event of one of these types.
func (o *observer) until(types ...client.EventType) client.Event {
	o.t.Helper()
	for {
		if e := o.any(); slices.Contains(types, e.Type) {
			return e
		}
	}
}
