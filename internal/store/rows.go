package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// threadColumns are what scanThread reads.
const threadColumns = `t.id, t.head, t.head_hash, t.head_at, t.trim, t.trim_hash, t.epoch, t.holder, t.conversation, t.reserved,
	t.answer, t.chat_mark, t.taken, t.serves, t.hidden, t.erased, t.counter`

func scanThread(row scanner, a tandem.Address, t *tandem.Thread) error {
	var head, trim []byte
	var headAt int64
	err := row.Scan(&t.ID, &t.Head, &head, &headAt, &t.Trim, &trim,
		&t.Control.Epoch, &t.Control.Holder, &t.Control.Conversation, &t.Control.Reserved, &t.Answer, &t.ChatMark,
		&t.Control.Taken, &t.Control.Serves, &t.Hidden, &t.Erased, &t.Counter)
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

// eventColumns are what scanEvent reads.
const eventColumns = `e.seq, e.kind, e.version, e.id, e.at, e.at_offset, e.audience, coalesce(e.client_key, ''), e.key_sum, e.body, e.hash,
	e.principal, e.credential, e.node, coalesce(e.in_reply_to, ''), coalesce(e.traceparent, ''), coalesce(e.client_time, '')`

// selectEvent begins every query for events.
const selectEvent = `select ` + eventColumns + ` from event e`

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

// bulk is a statement over a list of rows, prepared for each power of two of them,
// so that a batch of any size needs few statements and few are ever prepared.
type bulk struct {
	before, after string // the text around the list
	columns       int
	stmts         [maxBulk + 1]*sql.Stmt // by the power
}

const maxBulk = 6 // 64 rows a statement

func (w *writer) bulk(ctx context.Context, b *bulk, rows [][]any) error {
	return w.inPowers(ctx, b, rows, func(st *sql.Stmt, args []any) error {
		_, err := st.ExecContext(ctx, args...)
		return err
	})
}

// bulkQuery asks for many keys at once and calls each for every row found.
func (w *writer) bulkQuery(ctx context.Context, b *bulk, keys [][]any, each func(*sql.Rows) error) error {
	return w.inPowers(ctx, b, keys, func(st *sql.Stmt, args []any) error {
		rows, err := st.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := each(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

func (w *writer) inPowers(ctx context.Context, b *bulk, rows [][]any, do func(*sql.Stmt, []any) error) error {
	for power := maxBulk; power >= 0; power-- {
		for size := 1 << power; len(rows) >= size; rows = rows[size:] {
			if b.stmts[power] == nil {
				st, err := w.prepared(ctx, b.before+valueLists(b.columns, size)+b.after)
				if err != nil {
					return err
				}
				b.stmts[power] = st
			}
			args := make([]any, 0, size*b.columns)
			for _, r := range rows[:size] {
				args = append(args, r...)
			}
			if err := do(b.stmts[power], args); err != nil {
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

// threadFields are the columns of a thread's row that [threadValues] gives, but
// for its number.
const threadFields = `tenant, workflow, participant, head, head_hash, head_at, trim, trim_hash,
	epoch, holder, conversation, reserved, answer, chat_mark, taken, serves, hidden, erased, counter, touched_at`

const insertThread = `insert into thread (` + threadFields + `) values `

// threadValues are r's values for threadFields.
func threadValues(r *row, now time.Time) []any {
	t := &r.Thread
	a, c := t.Address, &t.Control
	return []any{
		r.tenant, a.Workflow, a.Participant, t.Head, t.HeadHash[:], micros(t.HeadAt), t.Trim, t.TrimHash[:],
		c.Epoch, c.Holder, c.Conversation, c.Reserved, t.Answer, t.ChatMark, c.Taken, c.Serves, t.Hidden, t.Erased, t.Counter, now.UnixMicro(),
	}
}

func bulkThreads() *bulk {
	return &bulk{
		columns: 21, before: `insert into thread (id, ` + threadFields + `) values `,
		after: ` on conflict (id) do update set head = excluded.head, head_hash = excluded.head_hash, head_at = excluded.head_at, trim = excluded.trim, trim_hash = excluded.trim_hash,
		epoch = excluded.epoch, holder = excluded.holder, conversation = excluded.conversation, reserved = excluded.reserved,
		answer = excluded.answer, chat_mark = excluded.chat_mark, taken = excluded.taken, serves = excluded.serves,
		hidden = excluded.hidden, erased = excluded.erased, counter = excluded.counter, 
		touched_at = case when excluded.head > thread.head then excluded.touched_at else thread.touched_at end`,
	}
}

func bulkEvents() *bulk {
	return &bulk{columns: 19, before: `insert into event (thread, seq, kind, version, codec, id, at, at_offset, audience, client_key, key_sum,
		body, hash, principal, credential, node, in_reply_to, traceparent, client_time) values `}
}

// bulkKeys finds events by the client's keys. The list comes first, so that each
// of its rows is one look into the index.
func bulkKeys() *bulk {
	return &bulk{
		columns: 2, before: `with wanted (thread, client_key) as (values `,
		after: `) select e.thread, ` + eventColumns + ` from wanted w cross join event e on e.thread = w.thread and e.client_key = w.client_key`,
	}
}

// withThread scans a thread's number before an event's columns.
type withThread struct {
	row    scanner
	thread *int64
}

func (w withThread) Scan(dest ...any) error { return w.row.Scan(append([]any{w.thread}, dest...)...) }

func (b *batch) writeThreads(ctx context.Context) error {
	var old [][]any
	for _, a := range b.threads {
		r := b.rows[a]
		values := threadValues(r, b.now)
		if r.Thread.ID != 0 {
			old = append(old, append([]any{r.Thread.ID}, values...))
			continue
		}
		if err := b.w.one(ctx, insertThread+valueLists(len(values), 1)+` returning id`, values...).Scan(&r.Thread.ID); err != nil {
			return err
		}
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
