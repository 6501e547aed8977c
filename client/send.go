package client

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// Ack says that a message is stored and will not be lost.
type Ack struct {
	MessageID string
	Cursor    string // of the message
}

// outgoing is a message that the server has not acknowledged.
type outgoing struct {
	id     string
	frame  []byte
	answer chan reply // takes one
}

type reply struct {
	ack Ack
	err error
}

// Send says something and waits until it is stored. While there is no connection
// the message waits for one; it is sent again on each new one until it is
// acknowledged, and stored once. If ctx ends before that, it may or may not be
// stored. A server that is busy or at its limit is asked again for as long as
// [Options.RetryFor]; the error is its refusal, the context's error, or why the
// chat has ended.
func (ch *Chat) Send(ctx context.Context, text string) (Ack, error) {
	return ch.SendAs(ctx, tandem.NewID("cm_", time.Now()), text)
}

// SendAs is Send with an id of the caller's own. The same text with the same id
// is stored once, whoever sends it when: a program that keeps its unsent messages
// may go on after a crash.
func (ch *Chat) SendAs(ctx context.Context, clientMessageID, text string) (Ack, error) {
	if clientMessageID == "" {
		return Ack{}, tandem.Errorf(tandem.Invalid, "a clientMessageId is needed")
	}
	frame, err := ch.frame(map[string]string{"type": "chat", "content": text, "clientMessageId": clientMessageID})
	if err != nil {
		return Ack{}, err
	}
	var failures backoff
	for begin := time.Now(); ; {
		ack, err := ch.deliver(ctx, &outgoing{clientMessageID, frame, make(chan reply, 1)})
		if err == nil || !passing(err) || ctx.Err() != nil {
			return ack, err
		}
		wait := failures.next(retryAfter(err))
		if most := ch.client.retryFor; most > 0 && time.Since(begin)+wait > most {
			return Ack{}, err
		}
		if err := pause(ctx, wait); err != nil {
			return Ack{}, err
		}
	}
}

// deliver sends m until it is answered: acknowledged or refused.
func (ch *Chat) deliver(ctx context.Context, m *outgoing) (Ack, error) {
	if err := ch.post(m); err != nil {
		return Ack{}, err
	}
	select {
	case r := <-m.answer:
		return r.ack, r.err
	case <-ctx.Done():
		ch.mu.Lock()
		ch.unacked = slices.DeleteFunc(ch.unacked, func(o *outgoing) bool { return o == m })
		ch.mu.Unlock()
		return Ack{}, context.Cause(ctx)
	}
}

func (ch *Chat) frame(fields map[string]string) ([]byte, error) {
	fields["timestamp"] = time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	frame, err := json.Marshal(fields)
	if err == nil && len(frame) > maxSent {
		err = tandem.Errorf(tandem.TooLarge, "a message cannot exceed %d bytes", maxSent)
	}
	return frame, err
}

// post writes m, if there is a connection, and keeps it until it is acknowledged.
// A connection that fails shows in its reading.
func (ch *Chat) post(m *outgoing) error {
	ch.order.Lock()
	defer ch.order.Unlock()
	ch.mu.Lock()
	if ch.over != nil {
		defer ch.mu.Unlock()
		return ch.over
	}
	ch.unacked = append(ch.unacked, m)
	conn := ch.conn
	ch.mu.Unlock()
	if conn != nil {
		_ = conn.WriteText(m.frame)
	}
	return nil
}

// connected makes conn the chat's connection and sends what is not acknowledged,
// in its order.
func (ch *Chat) connected(conn *ws.Conn) {
	ch.order.Lock()
	defer ch.order.Unlock()
	ch.mu.Lock()
	again := slices.Clone(ch.unacked)
	if ch.conn == conn { // the first one: whatever waits was written to it
		again = nil
	}
	ch.conn = conn
	ch.mu.Unlock()
	for _, m := range again {
		_ = conn.WriteText(m.frame)
	}
}

func (ch *Chat) disconnected() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.conn = nil
	ch.pong(tandem.Errorf(tandem.Unavailable, "the connection was lost"))
}

// pong answers all who wait for one. mu is held.
func (ch *Chat) pong(err error) {
	for _, waits := range ch.pings {
		waits <- err
	}
	ch.pings = nil
}

// settle takes what answers a caller who waits: nobody else is told.
func (ch *Chat) settle(e Event, w wire) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch e.Name {
	case "ack":
		if ch.answer(w.ClientID, reply{ack: Ack{w.MessageID, w.Cursor}}) {
			maps.DeleteFunc(ch.acked, func(_, cursor string) bool { return seen(cursor, ch.cursor) })
			ch.acked[w.ClientID] = w.Cursor
		}
		return true
	case "pong":
		ch.pong(nil)
		return true
	case string(Failed):
		err := &tandem.Error{Kind: kindOfCode(w.Code), Message: w.Message, RetryAfter: time.Duration(w.RetryAfter) * time.Second}
		return w.ClientID != "" && ch.answer(w.ClientID, reply{err: err})
	}
	return false
}

// mine reports whether e is a message that this chat sent: its sender knows it,
// and to a connection that was lost before the ack this is the ack.
func (ch *Chat) mine(e Event) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	id := e.Message.ClientID
	_, mine := ch.acked[id]
	return mine || id != "" && ch.answer(id, reply{ack: Ack{e.MessageID, e.Cursor}})
}

// answer gives r to whoever waits for the message with this id. mu is held.
func (ch *Chat) answer(id string, r reply) bool {
	i := slices.IndexFunc(ch.unacked, func(m *outgoing) bool { return m.id == id })
	if i < 0 {
		return false
	}
	ch.unacked[i].answer <- r
	ch.unacked = slices.Delete(ch.unacked, i, i+1)
	return true
}

// kindOfCode is what the code of an error frame means.
func kindOfCode(code string) tandem.ErrorKind {
	switch code {
	case "internal":
		return tandem.Internal
	case "unauthorized", "token_expired", "token_revoked":
		return tandem.Unauthorized
	case "forbidden":
		return tandem.Forbidden
	case "not_found":
		return tandem.NotFound
	case "conflict":
		return tandem.Conflict
	case "idempotency_mismatch":
		return tandem.Mismatch
	case "too_large", "content_too_long":
		return tandem.TooLarge
	case "rate_limited":
		return tandem.TooMany
	case "timeout":
		return tandem.Timeout
	case "unavailable":
		return tandem.Unavailable
	case "gone":
		return tandem.Gone
	}
	return tandem.Invalid
}

// write sends a frame that is not worth keeping for another connection. If pong
// is not nil it gets the next pong of this one, or its end.
func (ch *Chat) write(fields map[string]string, pong chan error) error {
	frame, err := ch.frame(fields)
	if err != nil {
		return err
	}
	ch.mu.Lock()
	conn, over := ch.conn, ch.over
	if conn != nil && pong != nil {
		ch.pings = append(ch.pings, pong)
	}
	ch.mu.Unlock()
	switch {
	case over != nil:
		return over
	case conn == nil:
		return tandem.Errorf(tandem.Unavailable, "there is no connection at the moment")
	}
	if err := conn.WriteText(frame); err != nil {
		return tandem.Errorf(tandem.Unavailable, "the connection was lost: %w", err)
	}
	return nil
}

// Cancel stops the answer with this id, which then ends with what it has. Kind
// [tandem.Unavailable]: there is no connection at the moment.
func (ch *Chat) Cancel(messageID string) error {
	return ch.write(map[string]string{"type": "cancel", "messageId": messageID}, nil)
}

// Escalate asks for a person; urgency may be empty. The answer is an event,
// [Escalated]. Errors are as of [Chat.Cancel].
func (ch *Chat) Escalate(reason string, urgency tandem.Urgency) error {
	fields := map[string]string{"type": "human-escalation", "reason": reason}
	if urgency != "" {
		fields["urgency"] = string(urgency)
	}
	return ch.write(fields, nil)
}

// Rate says whether a message was good; comment may be empty. The answer is an
// event of type [Other], named feedback-confirmation. Errors are as of [Chat.Cancel].
func (ch *Chat) Rate(messageID string, good bool, comment string) error {
	fields := map[string]string{"type": "feedback", "messageId": messageID, "feedbackType": "negative"}
	if good {
		fields["feedbackType"] = "positive"
	}
	if comment = strings.TrimSpace(comment); comment != "" {
		fields["comment"] = comment
	}
	return ch.write(fields, nil)
}

// Renew puts a new credential in the place of the chat's: on this connection, and
// for all to come. An event named token-expiring says that it is time. Errors are
// as of [Chat.Cancel]; the new credential counts for the next connection all the same.
func (ch *Chat) Renew(token string) error {
	ch.mu.Lock()
	ch.token = token
	ch.mu.Unlock()
	return ch.write(map[string]string{"type": "auth", "token": token}, nil)
}

// Ping asks the server for a sign of life and waits for it. Errors are as of
// [Chat.Cancel], or the context's.
func (ch *Chat) Ping(ctx context.Context) error {
	pong := make(chan error, 1)
	if err := ch.write(map[string]string{"type": "ping"}, pong); err != nil {
		return err
	}
	select {
	case err := <-pong:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
