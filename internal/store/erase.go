package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// Erase, in a [Write], erases all that was said on the thread before the Write's
// events: of each event its number, kind, time, id and the SHA-256 of its body
// stay, so that the chain can still be checked; client keys, checkpoints, turns,
// timers and positions go; each conversation becomes a tombstone under a new
// revision of the board. Cursors of before are unknown from then on. It cannot be
// undone. The Write must not go on with what it erases: it has no Conversation, no
// Turn, no piece of an answer.
type Erase struct{}

// Codecs of a body.
const (
	codecPlain = 0 // JSON
	codecHash  = 1 // the SHA-256 of a body that was erased
)

// onlyErases refuses a Write that erases and also writes what would be erased.
func (w *Write) onlyErases() error {
	if w.Erase != nil && (w.Conversation != nil || w.Turn != nil || w.Started != nil || w.Checkpoint != nil || w.Cut > 0) {
		return errors.New("an append that erases and goes on with what it erases")
	}
	return nil
}

// erase is what Write.Erase does to the batch's memory: the row as it will be, and
// what later appends of the batch must not find any more.
func (b *batch) erase(r *row) {
	t := &r.Thread
	t.Erased, t.Trim, t.TrimHash = t.Head, t.Head, t.HeadHash
	t.Answer, t.Control.Holder, t.Control.Conversation, t.Control.Reserved = 0, "", "", ""
	b.erased[t.Address] = true
	for k, c := range b.changed {
		if c.Address == t.Address {
			b.changed[k] = tombstone(c)
		}
	}
	for k := range b.used {
		if k.address == t.Address {
			delete(b.used, k)
		}
	}
}

// tombstone is what is left of a conversation.
func tombstone(c *tandem.Conversation) *tandem.Conversation {
	return &tandem.Conversation{
		ID: c.ID, Address: c.Address, Status: tandem.StatusErased, Epoch: c.Epoch,
		FirstSeq: c.FirstSeq, LastSeq: c.LastSeq, EndedAt: c.EndedAt, Rev: c.Rev,
	}
}

// writeErase erases the thread's events up to seq, and all that hangs on them.
func (b *batch) writeErase(ctx context.Context, tenant, thread, seq int64) error {
	if err := b.eraseBodies(ctx, thread, seq); err != nil {
		return fmt.Errorf("erase bodies: %w", err)
	}
	for _, query := range []string{
		`delete from checkpoint where thread = ?`, `delete from turn where thread = ?`,
		`delete from due where thread = ?`, `delete from ack where thread = ?`,
	} {
		if err := b.w.exec(ctx, query, thread); err != nil {
			return fmt.Errorf("erase: %w", err)
		}
	}
	_, err := addRevoked(ctx, b.w.s.conn, tenant, Revocation{
		What: RevokedThread, Name: strconv.FormatInt(thread, 10), At: b.now, Until: b.now.Add(24 * time.Hour),
	})
	if err != nil {
		return fmt.Errorf("tell of an erasure: %w", err)
	}
	list, err := readConversations(ctx, b.w.s.conn, `c.thread = ? and c.status <> 'ERASED' order by c.first_seq, c.id`, thread)
	if err != nil {
		return fmt.Errorf("erase conversations: %w", err)
	}
	for i := range list {
		c := tombstone(&list[i])
		c.EndedAt = b.now
		if err := b.writeConversation(ctx, tenant, thread, c); err != nil {
			return fmt.Errorf("erase conversation: %w", err)
		}
	}
	return nil
}

// eraseBodies puts hashes into the place of bodies. What the chain does not cover
// and somebody chose goes too.
func (b *batch) eraseBodies(ctx context.Context, thread, seq int64) error {
	const page = 256
	for after := int64(0); ; {
		events, err := readEvents(ctx, b.w.s.conn, 0, selectEvent+` where thread = ? and seq > ? and seq <= ? and codec = 0 order by seq limit ?`,
			thread, after, seq, page)
		if err != nil {
			return err
		}
		for i := range events {
			sum := sha256.Sum256(events[i].Body)
			err := b.w.exec(ctx, `update event set body = ?, codec = ?, client_key = null, key_sum = null, at_offset = 0,
				in_reply_to = null, traceparent = null, client_time = null where thread = ? and seq = ?`,
				sum[:], codecHash, thread, events[i].Seq)
			if err != nil {
				return err
			}
			after = events[i].Seq
		}
		if len(events) < page {
			return nil
		}
	}
}

// emptyJournal moves what was written from SQLite's journal into the database and
// cuts the journal off, where bodies that were just erased are otherwise found
// until it is written over. While readers are at work it cannot, and says so.
func (w *writer) emptyJournal(ctx context.Context) {
	var busy, pages, moved int
	err := w.exec(ctx, `pragma busy_timeout = 500`)
	if err == nil {
		err = w.one(ctx, `pragma wal_checkpoint(truncate)`).Scan(&busy, &pages, &moved)
	}
	err = errors.Join(err, w.exec(ctx, `pragma busy_timeout = 10000`))
	if err != nil || busy != 0 {
		w.s.opt.Log.Warn("erased texts stay in the journal until it is written over", "busy", busy, "err", err)
	}
}

// Verify checks the thread's hash chain over all that is kept, erased bodies by
// their hash: that no event is missing, changed, or in another place. What is
// before the first event kept is taken as it is. The error says where it breaks.
func (s *Store) Verify(ctx context.Context, a tandem.Address) error {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer tx.Rollback()
	t, err := readThread(ctx, tx, a)
	if err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, `select e.codec, `+eventColumns+` from event e where thread = ? order by seq`, t.ID)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer rows.Close()
	seq, hash := t.Trim, t.TrimHash
	for first := true; rows.Next(); first = false {
		var codec int64
		e, err := scanEvent(withThread{rows, &codec})
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		switch {
		case first && e.Seq == 1:
			seq, hash = 0, a.Root()
		case first && e.Seq <= t.Erased:
			seq, hash = e.Seq-1, tandem.Hash{} // what it is chained to is not kept
		}
		if err := follows(&e, codec, seq, hash); err != nil {
			return err
		}
		if seq, hash = e.Seq, e.Hash; seq == t.Trim && hash != t.TrimHash {
			return fmt.Errorf("event %d is not the one before the oldest kept", seq)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if hash != t.HeadHash {
		return fmt.Errorf("the log ends with event %d, not with the thread's last, %d", seq, t.Head)
	}
	return nil
}

// follows returns nil if e comes directly after the event with that number and
// hash; the zero hash is that of an event that is not kept.
func follows(e *tandem.Event, codec, seq int64, hash tandem.Hash) error {
	if e.Seq != seq+1 {
		return fmt.Errorf("after event %d comes %d", seq, e.Seq)
	}
	sum := tandem.Hash(sha256.Sum256(e.Body))
	if codec == codecHash {
		if len(e.Body) != len(sum) {
			return fmt.Errorf("event %d was erased and has no hash", e.Seq)
		}
		copy(sum[:], e.Body)
	}
	if hash != (tandem.Hash{}) && e.ChainSum(hash, sum) != e.Hash {
		return fmt.Errorf("event %d is not what was stored", e.Seq)
	}
	return nil
}
