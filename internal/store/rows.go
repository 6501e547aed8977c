package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
)

const threadColumns = `id, head, head_hash, head_at, trim, trim_hash, epoch, holder, conversation, reserved, answer, chat_mark`

func scanThread(row scanner, a tandem.Address, t *tandem.Thread) error {
	var head, trim []byte
	var headAt int64
	err := row.Scan(&t.ID, &t.Head, &head, &headAt, &t.Trim, &trim,
		&t.Control.Epoch, &t.Control.Holder, &t.Control.Conversation, &t.Control.Reserved, &t.Answer, &t.ChatMark)
	if err != nil {
		return err
	}
	t.Address, t.HeadAt = a, fromMicros(headAt)
	copy(t.HeadHash[:], head)
	copy(t.TrimHash[:], trim)
	return nil
}

// newThread is a thread before its first row.
func newThread(a tandem.Address) tandem.Thread {
	root := a.Root()
	return tandem.Thread{Address: a, HeadHash: root, TrimHash: root}
}

const eventColumns = `seq, kind, version, id, at, at_offset, audience, coalesce(client_key, ''), key_sum, body, hash,
	principal, credential, node, coalesce(in_reply_to, ''), coalesce(traceparent, ''), coalesce(client_time, '')`

func scanEvent(row scanner) (tandem.Event, error) {
	var e tandem.Event
	var at int64
	var sum, hash []byte
	err := row.Scan(&e.Seq, &e.Kind, &e.Version, &e.ID, &at, &e.Offset, &e.Audience, &e.Key, &sum, &e.Body, &hash,
		&e.Meta.Principal, &e.Meta.Credential, &e.Meta.Node, &e.Meta.InReplyTo, &e.Meta.Traceparent, &e.Meta.ClientTime)
	e.At = fromMicros(at)
	copy(e.KeySum[:], sum)
	copy(e.Hash[:], hash)
	return e, err
}

const (
	conversationColumns = `c.body, c.rev, n.name, t.workflow, t.participant`
	conversationTables  = `conversation c join thread t on t.id = c.thread join tenant n on n.id = c.tenant`
)

func scanConversation(row scanner) (*tandem.Conversation, error) {
	var body []byte
	var rev int64
	var a tandem.Address
	if err := row.Scan(&body, &rev, &a.Tenant, &a.Workflow, &a.Participant); err != nil {
		return nil, err
	}
	c := new(tandem.Conversation)
	if err := json.Unmarshal(body, c); err != nil {
		return nil, fmt.Errorf("conversation body: %w", err)
	}
	c.Address, c.Rev = a, rev
	return c, nil
}

// bulk inserts rows with as few statements as there are powers of two in their
// number, so that few statements are ever prepared.
func (w *writer) bulk(ctx context.Context, insert, suffix string, columns int, rows [][]any) error {
	const largest = 64
	for size := largest; size > 0; size /= 2 {
		for len(rows) >= size {
			args := make([]any, 0, size*columns)
			for _, r := range rows[:size] {
				args = append(args, r...)
			}
			if err := w.exec(ctx, insert+valueLists(columns, size)+suffix, args...); err != nil {
				return err
			}
			rows = rows[size:]
		}
	}
	return nil
}

func valueLists(columns, n int) string {
	one := "(" + strings.Repeat("?,", columns-1) + "?)"
	return strings.Repeat(one+",", n-1) + one
}

const insertThread = `insert into thread (tenant, workflow, participant, head, head_hash, head_at, trim, trim_hash,
	epoch, holder, conversation, reserved, answer, chat_mark, touched_at) values `

func (b *batch) writeThreads(ctx context.Context) error {
	var old [][]any
	for _, a := range b.threads {
		r := b.rows[a]
		t := &r.Thread
		if t.ID == 0 {
			err := b.w.one(ctx, insertThread+valueLists(15, 1)+` returning id`, r.tenant, a.Workflow, a.Participant,
				t.Head, t.HeadHash[:], micros(t.HeadAt), t.Trim, t.TrimHash[:], t.Control.Epoch, t.Control.Holder,
				t.Control.Conversation, t.Control.Reserved, t.Answer, t.ChatMark, b.now.UnixMicro()).Scan(&t.ID)
			if err != nil {
				return err
			}
			continue
		}
		old = append(old, []any{
			t.ID, r.tenant, a.Workflow, a.Participant, t.Head, t.HeadHash[:], micros(t.HeadAt), t.Trim, t.TrimHash[:],
			t.Control.Epoch, t.Control.Holder, t.Control.Conversation, t.Control.Reserved, t.Answer, t.ChatMark, b.now.UnixMicro(),
		})
	}
	const insert = `insert into thread (id, tenant, workflow, participant, head, head_hash, head_at, trim, trim_hash,
		epoch, holder, conversation, reserved, answer, chat_mark, touched_at) values `
	const update = ` on conflict (id) do update set head = excluded.head, head_hash = excluded.head_hash, head_at = excluded.head_at,
		epoch = excluded.epoch, holder = excluded.holder, conversation = excluded.conversation, reserved = excluded.reserved,
		answer = excluded.answer, chat_mark = excluded.chat_mark, touched_at = excluded.touched_at`
	return b.w.bulk(ctx, insert, update, 16, old)
}

func (b *batch) writeEvents(ctx context.Context) error {
	const insert = `insert into event (thread, seq, kind, version, codec, id, at, at_offset, audience, client_key, key_sum,
		body, hash, principal, credential, node, in_reply_to, traceparent, client_time) values `
	rows := make([][]any, len(b.events))
	for i, p := range b.events {
		e := p.event
		var key, sum any
		if e.Key != "" {
			key, sum = e.Key, e.KeySum[:]
		}
		rows[i] = []any{
			b.rows[p.row.Thread.Address].Thread.ID, e.Seq, string(e.Kind), int64(e.Version), int64(0), e.ID, e.At.UnixMicro(), int64(e.Offset),
			int64(e.Audience), key, sum, e.Body, e.Hash[:], e.Meta.Principal, e.Meta.Credential, e.Meta.Node,
			orNull(e.Meta.InReplyTo), orNull(e.Meta.Traceparent), orNull(e.Meta.ClientTime),
		}
	}
	return b.w.bulk(ctx, insert, "", 19, rows)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
