package store

import (
	"context"
	"database/sql"
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

// bulk is an insert of many rows, prepared for each power of two of them, so that
// a batch of any size needs few statements and few are ever prepared.
type bulk struct {
	insert, suffix string
	columns        int
	stmts          [maxBulk + 1]*sql.Stmt // by the power
}

const maxBulk = 6 // 64 rows a statement

func (w *writer) bulk(ctx context.Context, b *bulk, rows [][]any) error {
	for power := maxBulk; power >= 0; power-- {
		for size := 1 << power; len(rows) >= size; rows = rows[size:] {
			if b.stmts[power] == nil {
				st, err := w.prepared(ctx, b.insert+valueLists(b.columns, size)+b.suffix)
				if err != nil {
					return err
				}
				b.stmts[power] = st
			}
			args := make([]any, 0, size*b.columns)
			for _, r := range rows[:size] {
				args = append(args, r...)
			}
			if _, err := b.stmts[power].ExecContext(ctx, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

func valueLists(columns, n int) string {
	one := "(" + strings.Repeat("?,", columns-1) + "?)"
	return strings.Repeat(one+",", n-1) + one
}

func bulkThreads() *bulk {
	return &bulk{columns: 16, insert: `insert into thread (id, tenant, workflow, participant, head, head_hash, head_at, trim, trim_hash,
		epoch, holder, conversation, reserved, answer, chat_mark, touched_at) values `,
		suffix: ` on conflict (id) do update set head = excluded.head, head_hash = excluded.head_hash, head_at = excluded.head_at,
		epoch = excluded.epoch, holder = excluded.holder, conversation = excluded.conversation, reserved = excluded.reserved,
		answer = excluded.answer, chat_mark = excluded.chat_mark, touched_at = excluded.touched_at`}
}

func bulkEvents() *bulk {
	return &bulk{columns: 19, insert: `insert into event (thread, seq, kind, version, codec, id, at, at_offset, audience, client_key, key_sum,
		body, hash, principal, credential, node, in_reply_to, traceparent, client_time) values `}
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
	return b.w.bulk(ctx, b.w.threads, old)
}

func (b *batch) writeEvents(ctx context.Context) error {
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
	return b.w.bulk(ctx, b.w.events, rows)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
