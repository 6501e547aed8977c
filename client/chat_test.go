package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// Connections break before a message is stored, after it, and within its ack;
// each message is stored once and in order, each Send is told so, and what others
// say is seen once and in order. Broken once by making a new id for each try, and
// once by resuming after an ack's cursor.
func TestChat_losesAndDoublesNothing(t *testing.T) {
	const messages = 40
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			h, rnd := newHouse(t), rand.New(rand.NewPCG(seed, 5))
			var want []string
			over := false
			h.cut = func() (before, after, half bool) {
				if sometimes(rnd, 4) && !over {
					text := fmt.Sprintf("other %d", len(want))
					h.append(nil, fmt.Sprintf(`"type":"message","role":"system","content":%q`, text))
					want = append(want, text)
				}
				return sometimes(rnd, 5), sometimes(rnd, 5), sometimes(rnd, 5)
			}
			ch, end := h.chat(t, client.Options{}, client.ChatOptions{})
			var got []string
			var reader sync.WaitGroup
			reader.Go(func() {
				for e, err := range ch.Events(t.Context()) {
					if err != nil || e.Code == "last" {
						return
					}
					if e.Type == client.Said {
						got = append(got, e.Message.Text)
					}
				}
			})
			var said []string
			for i := range messages {
				text := fmt.Sprintf("message %d", i)
				said = append(said, text)
				ack, err := ch.Send(t.Context(), text)
				if err != nil || ack.MessageID == "" {
					t.Errorf("%d: %+v, %v", i, ack, err)
				}
			}
			h.mu.Lock()
			over = true
			h.append(nil, `"type":"error","code":"last"`)
			h.mu.Unlock()
			reader.Wait()
			end()
			if diff := cmp.Diff(said, h.said); diff != "" {
				t.Errorf("seed %d: stored: %s", seed, diff)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("seed %d: seen: %s", seed, diff)
			}
			if len(h.opened) < 5 {
				t.Errorf("only %d connections", len(h.opened))
			}
		})
	}
}

// What waits for a connection is sent in the order of the sends.
func TestChat_keepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ch, end := h.chat(t, client.Options{}, client.ChatOptions{})
		defer end()
		drop := true
		h.cut = func() (bool, bool, bool) { was := drop; drop = false; return was, false, false }
		var sends sync.WaitGroup
		for i := range 5 {
			sends.Go(func() { ch.Send(t.Context(), fmt.Sprint(i)) })
			synctest.Wait() // the first breaks the connection, the others find none
		}
		sends.Wait()
		if diff := cmp.Diff([]string{"0", "1", "2", "3", "4"}, h.said); diff != "" {
			t.Error(diff)
		}
	})
}

// A chat that was opened is connected. Broken once by leaving that to its
// goroutine: the first Escalate found no connection.
func TestChat_isConnectedFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ch, end := h.chat(t, client.Options{}, client.ChatOptions{})
		defer end()
		if err := errors.Join(ch.Escalate("x", ""), ch.Ping(t.Context())); err != nil {
			t.Error(err)
		}
		if _, err := ch.Send(t.Context(), "once"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := h.Taken(); len(got) != 2 || h.chats != 1 {
			t.Errorf("the server got %q and %d messages", got, h.chats)
		}
	})
}

func TestChat_asksAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.reply = func(s *socket, in sent) bool {
			if in.Type == "chat" {
				h.taken = append(h.taken, fmt.Sprintf("%+v", in))
			}
			return false
		}
		ch, end := h.chat(t, client.Options{}, client.ChatOptions{Workflow: "a b:c", After: "0-abcdefgh"})
		ctx := t.Context()
		next(t, ch, client.Connected)
		if ack, err := ch.SendAs(ctx, "c-1", "hello"); err != nil || ack != (client.Ack{MessageID: "msg_1", Cursor: cursor(1)}) {
			t.Error(ack, err)
		}
		errs := []error{
			ch.Cancel("msg_9"), ch.Escalate("Need human assistance", ""), ch.Escalate("now", tandem.UrgencyCritical),
			ch.Rate("msg_9", true, ""), ch.Rate("msg_9", false, " bad "), ch.Ping(ctx), ch.Renew("new"),
		}
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		h.Others(`"type":"state","mode":"agent"`)
		next(t, ch, client.State)
		h.Drop(ws.ServiceRestart)
		next(t, ch, client.Connected)
		end()
		if diff := cmp.Diff([]string{"/base/ws?workflow=a+b%3Ac&after=0-abcdefgh Bearer tok", "/base/ws?workflow=a+b%3Ac&after=2-abcdefgh Bearer new"}, h.opened); diff != "" {
			t.Error(diff)
		}
		want := []sent{
			{Type: "chat", Content: "hello", ClientMessageID: "c-1"},
			{Type: "cancel", MessageID: "msg_9"},
			{Type: "human-escalation", Reason: "Need human assistance"},
			{Type: "human-escalation", Reason: "now", Urgency: "CRITICAL"},
			{Type: "feedback", MessageID: "msg_9", FeedbackType: "positive"},
			{Type: "feedback", MessageID: "msg_9", FeedbackType: "negative", Comment: "bad"},
			{Type: "ping"},
			{Type: "auth", Token: "new"},
		}
		for i, w := range want {
			if i >= len(h.taken) || h.taken[i] != fmt.Sprintf("%+v", w) {
				t.Errorf("frame %d of %q, not %+v", i, h.taken, w)
			}
		}
	})
}

// play is what a chat makes of the frames of a server.
func play(t *testing.T, frames ...string) (got []client.Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.begin = func(_ int, s *socket) {
			for _, f := range frames {
				s.WriteText([]byte(f))
			}
			s.WriteText([]byte(`{"type":"last"}`))
		}
		ch, end := h.chat(t, client.Options{}, client.ChatOptions{After: cursor(0)})
		defer end()
		for e, err := range ch.Events(t.Context()) {
			if err != nil {
				t.Error(err)
				return
			}
			if e.Name == "last" {
				return
			}
			e.Data = nil
			got = append(got, e)
		}
	})
	return got
}

// The frames are the server's own, as its golden transcripts have them.
func TestChat_events(t *testing.T) {
	const at = `"timestamp":"2025-09-12T10:30:00.123Z"`
	got := play(t,
		`{"type":"state",`+at+`,"conversationId":"conv_1","status":"ACTIVE","mode":"operator","urgency":"NORMAL","holder":"Maya","queuePlace":null,"cursor":"2-abcdefgh"}`,
		`{"type":"stream-start","messageId":"msg_3",`+at+`,"role":"assistant","name":"support-bot","inReplyTo":"msg_2"}`,
		`{"type":"stream-token","messageId":"msg_3","token":"Hel",`+at+`}`,
		`{"type":"stream-token","messageId":"msg_3","token":"lo",`+at+`}`,
		`{"type":"stream-end","messageId":"msg_3",`+at+`,"finishReason":"stop","role":"assistant","name":"support-bot","cursor":"4-abcdefgh"}`,
		`{"type":"human-escalation-response","message":"Nobody is on duty now.",`+at+`,"cursor":"3-abcdefgh"}`,
		`{"type":"message","messageId":"msg_4",`+at+`,"role":"system","messageType":"Handoff","content":"x","data":{"a":1},"cursor":"6-abcdefgh"}`,
		`{"type":"message","messageId":"msg_5",`+at+`,"role":"user","messageType":"Chat","content":"on my phone","clientMessageId":"other","cursor":"7-abcdefgh"}`,
		`{"type":"error","message":"AI service is currently unavailable. Please try again later.",`+at+`,"code":"unavailable","messageId":"msg_5","cursor":"8-abcdefgh"}`,
		`{"type":"error","message":"Unknown message type",`+at+`,"code":"unknown_type"}`,
		`{"type":"feedback-confirmation","messageId":"msg_3",`+at+`}`,
		`{"type":"later","cursor":17,"messageId":{}}`,
		`{"type":"gap","from":9,"to":11,`+at+`,"cursor":"11-abcdefgh"}`,
		`{"type":"reset",`+at+`,"cursor":"0-hgfedcba"}`,
		`{"type":"pong",`+at+`}`,
		`{"type":"ack","clientMessageId":"nobody's","messageId":"msg_9","cursor":"9-abcdefgh"}`,
	)
	when := time.Date(2025, 9, 12, 10, 30, 0, 123e6, time.UTC)
	want := []client.Event{
		{Type: client.Connected, Name: "connection", Cursor: cursor(0), Conversation: "conv_1"},
		{Type: client.State, Name: "state", Cursor: cursor(2), Conversation: "conv_1", State: &client.Conversation{
			ID: "conv_1", Status: tandem.StatusActive, Mode: tandem.ModeOperator, Urgency: tandem.UrgencyNormal, Holder: "Maya",
		}},
		{Type: client.Start, Name: "stream-start", Cursor: cursor(2), MessageID: "msg_3", Role: tandem.RoleAssistant, Speaker: "support-bot", InReplyTo: "msg_2"},
		{Type: client.Token, Name: "stream-token", Cursor: cursor(2), MessageID: "msg_3", Text: "Hel"},
		{Type: client.Token, Name: "stream-token", Cursor: cursor(2), MessageID: "msg_3", Text: "lo"},
		{Type: client.End, Name: "stream-end", Cursor: cursor(4), MessageID: "msg_3", Text: "Hello", Role: tandem.RoleAssistant, Speaker: "support-bot", Finish: tandem.FinishStop},
		{Type: client.Escalated, Name: "human-escalation-response", Cursor: cursor(4), Text: "Nobody is on duty now."},
		{Type: client.Said, Name: "message", Cursor: cursor(6), MessageID: "msg_4", Role: tandem.RoleSystem, Message: &client.Message{
			ID: "msg_4", Direction: tandem.Outgoing, Type: tandem.Handoff, Text: "x", Data: []byte(`{"a":1}`), Role: tandem.RoleSystem, CreatedAt: when,
		}},
		{Type: client.Said, Name: "message", Cursor: cursor(7), MessageID: "msg_5", Role: tandem.RoleUser, Message: &client.Message{
			ID: "msg_5", Direction: tandem.Incoming, Type: tandem.Chat, Text: "on my phone", Role: tandem.RoleUser, CreatedAt: when, ClientID: "other",
		}},
		{Type: client.Failed, Name: "error", Cursor: cursor(8), MessageID: "msg_5", Text: "AI service is currently unavailable. Please try again later.", Code: "unavailable"},
		{Type: client.Failed, Name: "error", Cursor: cursor(8), Text: "Unknown message type", Code: "unknown_type"},
		{Type: client.Other, Name: "feedback-confirmation", Cursor: cursor(8)},
		{Type: client.Other, Name: "later", Cursor: cursor(8)},
		{Type: client.Gap, Name: "gap", Cursor: cursor(11), From: 9, To: 11},
		{Type: client.Reset, Name: "reset", Cursor: "0-hgfedcba"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// An answer that goes on over connections has one start, its text once, one end.
func TestChat_answersOverConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.begin = func(n int, s *socket) {
			for _, f := range [][]string{
				{`{"type":"stream-start","messageId":"a"}`, `{"type":"stream-token","messageId":"a","token":"Hello"}`},
				{`{"type":"stream-start","messageId":"a"}`, `{"type":"stream-token","messageId":"a","token":"Hello wor"}`},
				{`{"type":"stream-start","messageId":"a"}`, `{"type":"stream-token","messageId":"a","token":"Hello w"}`, `{"type":"stream-end","messageId":"a","cursor":"1-abcdefgh"}`},
			}[n-1] {
				s.WriteText([]byte(f))
			}
			if n < 3 {
				s.Close(ws.GoingAway, "")
			}
		}
		ch, end := h.chat(t, client.Options{}, client.ChatOptions{After: cursor(0)})
		defer end()
		var got []string
		for e, err := range ch.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Type != client.Connected {
				got = append(got, brief(e))
			}
			if e.Type == client.End {
				break
			}
		}
		// The log has the last word: it is shorter than what was on its way.
		want := []string{
			`stream-start a ""@0-abcdefgh`, `stream-token a "Hello"@0-abcdefgh`, `stream-token a " wor"@0-abcdefgh`,
			`stream-start a again ""@0-abcdefgh`, `stream-token a "Hello w"@0-abcdefgh`, `stream-end a "Hello w"@1-abcdefgh`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestChat_dropsDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.begin = func(_ int, s *socket) {
			for _, n := range []int{4, 5, 6, 6, 7} {
				s.WriteText(fmt.Appendf(nil, `{"type":"message","messageId":"msg_%d","content":"","cursor":%q}`, n, cursor(n)))
			}
		}
		var dropped []string
		ch, end := h.chat(t, client.Options{}, client.ChatOptions{After: cursor(5), OnDuplicate: func(e client.Event) { dropped = append(dropped, e.MessageID) }})
		a, b := next(t, ch, client.Said), next(t, ch, client.Said)
		end()
		if a.MessageID != "msg_6" || b.MessageID != "msg_7" || !slices.Equal(dropped, []string{"msg_4", "msg_5", "msg_6"}) {
			t.Errorf("%s, %s, dropped %v", a.MessageID, b.MessageID, dropped)
		}
	})
}

func TestChat_refusedMessages(t *testing.T) {
	for _, tt := range []struct {
		name, frame string
		tries       int
		want        tandem.ErrorKind
		says        string
	}{
		{"for good", `"message":"Message content cannot be empty","code":"empty_content"`, 1, tandem.Invalid, "Message content cannot be empty"},
		{"another text", `"message":"m","code":"idempotency_mismatch"`, 1, tandem.Mismatch, "m"},
		{"too long", `"message":"m","code":"content_too_long"`, 1, tandem.TooLarge, "m"},
		{"too many for too long", `"message":"Rate limit exceeded","code":"rate_limited","retryAfter":60`, 1, tandem.TooMany, "Rate limit exceeded"},
		{"too many", `"message":"Rate limit exceeded","code":"rate_limited","retryAfter":7`, 3, 0, ""},
		{"a restart", `"message":"The server is restarting.","code":"unavailable","retryAfter":2`, 3, 0, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			h, tries := newHouse(t), 0
			h.reply = func(s *socket, in sent) bool {
				if tries++; tries == 3 {
					return false
				}
				s.WriteText(fmt.Appendf(nil, `{"type":"error",%s,"clientMessageId":%q}`, tt.frame, in.ClientMessageID))
				return true
			}
			ch, end := h.chat(t, client.Options{}, client.ChatOptions{})
			defer end()
			_, err := ch.Send(t.Context(), "x")
			if tries != tt.tries || (err == nil) != (tt.says == "") || err != nil && (tandem.KindOf(err) != tt.want || err.Error() != tt.says) {
				t.Errorf("%s: %v after %d tries", tt.name, err, tries)
			}
		})
	}
}

func TestChat_messagesThatAreNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ch, end := h.chat(t, client.Options{}, client.ChatOptions{})
		if _, err := ch.SendAs(t.Context(), "", "x"); tandem.KindOf(err) != tandem.Invalid {
			t.Error(err)
		}
		if _, err := ch.Send(t.Context(), strings.Repeat("x", 64<<10)); tandem.KindOf(err) != tandem.TooLarge {
			t.Error(err)
		}
		h.reply = func(*socket, sent) bool { return true } // never answers
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := ch.Send(ctx, "x"); err != context.DeadlineExceeded {
			t.Error(err)
		}
		if err := ch.Ping(ctx); err != context.DeadlineExceeded {
			t.Error(err)
		}
		asked := make(chan error)
		go func() { _, err := ch.Send(t.Context(), "x"); asked <- err }()
		synctest.Wait()
		end()
		if err := <-asked; err != client.ErrClosed {
			t.Errorf("a Send that waits at the end: %v", err)
		}
		if _, err := ch.Send(t.Context(), "x"); err != client.ErrClosed {
			t.Errorf("a Send after the end: %v", err)
		}
		if err := ch.Cancel("x"); err != client.ErrClosed {
			t.Errorf("Cancel after the end: %v", err)
		}
	})
}

// Without a connection only what would make no sense later is refused.
func TestChat_withoutConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.refuse = func(n int) http.HandlerFunc {
			if n == 2 {
				return answer(503, "", "Retry-After", "10")
			}
			return nil
		}
		var waits []time.Duration
		ch, end := h.chat(t, client.Options{}, client.ChatOptions{OnLost: func(_ error, wait time.Duration) { waits = append(waits, wait) }})
		defer end()
		next(t, ch, client.Connected)
		ping := make(chan error)
		h.reply = func(*socket, sent) bool { h.reply = nil; return true }
		go func() { ping <- ch.Ping(t.Context()) }()
		synctest.Wait()
		h.Drop(0)
		if err := <-ping; tandem.KindOf(err) != tandem.Unavailable {
			t.Errorf("a Ping that waits: %v", err)
		}
		if err := ch.Escalate("x", ""); tandem.KindOf(err) != tandem.Unavailable {
			t.Errorf("Escalate: %v", err)
		}
		begin := time.Now()
		if _, err := ch.Send(t.Context(), "x"); err != nil {
			t.Error(err)
		}
		between(t, "until the message was stored", time.Since(begin), 10*time.Second, 16*time.Second)
		if len(waits) != 2 || waits[0] > time.Second {
			t.Errorf("waited %v", waits)
		}
	})
}

// The place to go on from is known before the first event, and a connection that
// stood makes the next wait short again.
func TestChat_goesOnAfterItsFirstFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.refuse = func(n int) http.HandlerFunc {
			if n >= 2 && n <= 6 {
				return answer(500, ``)
			}
			return nil
		}
		h.Others(`"type":"state"`)
		var waits []time.Duration
		ch, end := h.chat(t, client.Options{}, client.ChatOptions{OnLost: func(_ error, wait time.Duration) { waits = append(waits, wait) }})
		defer end()
		next(t, ch, client.Connected)
		h.Drop(0)
		next(t, ch, client.Connected)
		h.Drop(0)
		next(t, ch, client.Connected)
		if first, second := h.opened[0], h.opened[1]; !strings.Contains(first, "?after= ") || !strings.Contains(second, "?after=1-abcdefgh ") {
			t.Errorf("%q, then %q", first, second)
		}
		if len(waits) != 7 {
			t.Fatalf("waited %v", waits)
		}
		between(t, "the sixth wait", waits[5], 8*time.Second, 12*time.Second)
		between(t, "the wait after a connection that stood", waits[6], 250*time.Millisecond, 375*time.Millisecond)
	})
}

// A server that says nothing any more is left; one that answers pings is not.
func TestChat_silence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ch, end := h.chat(t, client.Options{}, client.ChatOptions{})
		next(t, ch, client.Connected)
		<-time.After(time.Hour)
		if len(h.opened) != 1 {
			t.Errorf("%d connections in a quiet hour", len(h.opened))
		}
		end()
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.refuse = func(n int) http.HandlerFunc {
			if n > 1 {
				return nil
			}
			return func(w http.ResponseWriter, r *http.Request) { // reads, and never writes
				nc, _, _ := ws.Accept(w, r)
				h.open.Go(func() { io.Copy(io.Discard, nc); nc.Close() })
			}
		}
		begin := time.Now()
		ch, end := h.chat(t, client.Options{}, client.ChatOptions{})
		defer end()
		next(t, ch, client.Connected)
		between(t, "until another connection", time.Since(begin), 75*time.Second, 76*time.Second)
	})
}

func TestChat_ends(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
		drop ws.Code
		want tandem.ErrorKind
	}{
		{"when the credential has", answer(401, `{"error":"Unauthorized","message":"m"}`), ws.Expired, tandem.Unauthorized},
		{"when the participant may no more", answer(403, ``), ws.GoingAway, tandem.Forbidden},
		{"when it is no chat any more", answer(200, ``), 0, tandem.NotFound},
		{"when we said something wrong", nil, ws.InvalidText, tandem.Invalid},
		{"when we broke the protocol", nil, ws.ProtocolError, tandem.Invalid},
		{"when we said too much", nil, ws.TooLarge, tandem.Invalid},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.refuse = func(n int) http.HandlerFunc {
				if n == 2 {
					return tt.h
				}
				return nil
			}
			ch, end := h.chat(t, client.Options{}, client.ChatOptions{})
			defer end()
			next(t, ch, client.Connected)
			h.Drop(tt.drop)
			_, err := ch.Next(t.Context())
			_, again := ch.Next(t.Context())
			if err == nil || tandem.KindOf(err) != tt.want || again != err {
				t.Errorf("%s: %v, then %v", tt.name, err, again)
			}
		})
	}
}

func TestChat_endsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c, stop := serve(t, h.ServeHTTP, client.Options{})
		ctx, cancel := context.WithCancelCause(t.Context())
		ch, err := c.Chat(ctx, client.ChatOptions{})
		if err != nil {
			t.Fatal(err)
		}
		next(t, ch, client.Connected)
		why := errors.New("enough")
		cancel(why)
		if _, err := ch.Next(t.Context()); err != why {
			t.Error(err)
		}
		ch.Close()
		ch.Close()
		stop()
		h.open.Wait()
	})
}

func TestChat_firstConnection(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   tandem.ErrorKind
		tries  int // at least
		took   time.Duration
	}{
		{"401", answer(401, `{"message":"m"}`), tandem.Unauthorized, 1, 0},
		{"400", answer(400, `"m"`), tandem.Invalid, 1, 0},
		{"503", answer(503, ``), tandem.Unavailable, 5, 30 * time.Second},
		{"429 for too long", answer(429, ``, "Retry-After", "60"), tandem.TooMany, 1, 0},
		{"no connection", dropped, tandem.Unavailable, 5, 30 * time.Second},
	} {
		got := inBubble(t, client.Options{}, []http.HandlerFunc{tt.answer}, func(t *testing.T, c *client.Client) {
			begin := time.Now()
			_, err := c.Chat(t.Context(), client.ChatOptions{})
			if err == nil || tandem.KindOf(err) != tt.want || time.Since(begin) > tt.took {
				t.Errorf("%s: %v after %v", tt.name, err, time.Since(begin))
			}
		})
		if len(got) < tt.tries {
			t.Errorf("%s: %d tries", tt.name, len(got))
		}
	}
}
