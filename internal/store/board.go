package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// writeConversation stores c under the tenant's next revision and chains the
// revision's hash over the conversation's id and body.
func (b *batch) writeConversation(ctx context.Context, tenant, thread int64, c *tandem.Conversation) error {
	var rev int64
	var prev []byte
	if err := b.w.one(ctx, `select rev, rev_hash from tenant where id = ?`, tenant).Scan(&rev, &prev); err != nil {
		return err
	}
	rev++
	c.Rev = rev
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	h := sha256.New()
	h.Write(prev)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(rev)))
	sum := sha256.Sum256(append([]byte(c.ID+"\x00"), body...))
	h.Write(sum[:])
	hash := h.Sum(nil)
	if err := b.w.exec(ctx, `update tenant set rev = ?, rev_hash = ? where id = ?`, rev, hash, tenant); err != nil {
		return err
	}
	if err := b.w.exec(ctx, `insert into board (tenant, rev, hash, at) values (?, ?, ?, ?)`, tenant, rev, hash, b.now.UnixMicro()); err != nil {
		return err
	}
	return b.w.exec(ctx, `insert into conversation
		(tenant, id, thread, status, mode, urgency, admin_id, opened_at, waiting_since, ended_at, first_seq, rev, call_id, body)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		on conflict (tenant, id) do update set status = excluded.status, mode = excluded.mode, urgency = excluded.urgency,
		admin_id = excluded.admin_id, waiting_since = excluded.waiting_since, ended_at = excluded.ended_at, rev = excluded.rev,
		call_id = excluded.call_id, body = excluded.body`,
		tenant, c.ID, thread, string(c.Status), string(c.Mode), c.Urgency.Rank(), c.AdminID, micros(c.OpenedAt),
		micros(c.WaitingSince), micros(c.EndedAt), c.FirstSeq, rev, c.CallID, body)
}

// BoardPage is what changed on a tenant's board after a cursor.
type BoardPage struct {
	// Known says that the cursor is a place in this board's kept history. If not
	// there is nothing else here but Head: take a snapshot.
	Known bool
	// Conversations are the present rows of those that changed, in the order of
	// their last change; what was erased is a tombstone, StatusErased.
	Conversations []tandem.Conversation
	Places        []tandem.BoardCursor // after each of Conversations
	Head          tandem.BoardCursor   // of the whole board
	Cursor        tandem.BoardCursor   // after the last of Conversations; Head if there is no more
	More          bool
}

// BoardHead returns the cursor after the tenant's last change; NotFound for an
// unknown tenant.
func (s *Store) BoardHead(ctx context.Context, tenant string) (tandem.BoardCursor, error) {
	_, head, err := boardHead(ctx, s.readers, tenant)
	return head, err
}

func boardHead(ctx context.Context, q querier, tenant string) (id int64, head tandem.BoardCursor, err error) {
	var hash []byte
	err = q.QueryRowContext(ctx, `select id, rev, rev_hash from tenant where name = ?`, tenant).Scan(&id, &head.Rev, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, head, tandem.Errorf(tandem.NotFound, "unknown tenant")
	}
	if err != nil {
		return 0, head, fmt.Errorf("read board: %w", err)
	}
	head.Tag = tagOf(hash)
	return id, head, nil
}

func tagOf(hash []byte) tandem.Tag {
	var h tandem.Hash
	copy(h[:], hash)
	return h.Tag()
}

// Board returns at most limit conversations that changed after the cursor, each
// once, as it is now. A cursor that is foreign, unknown or older than what
// retention keeps is not Known; it is never taken for caught up. NotFound for an
// unknown tenant.
func (s *Store) Board(ctx context.Context, tenant string, after tandem.BoardCursor, limit int) (BoardPage, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return BoardPage{}, fmt.Errorf("read board: %w", err)
	}
	defer tx.Rollback()
	id, head, err := boardHead(ctx, tx, tenant)
	if err != nil {
		return BoardPage{}, err
	}
	p := BoardPage{Head: head, Cursor: head}
	if p.Known, err = onBoard(ctx, tx, id, tenant, head, after); err != nil || !p.Known || after == head {
		return p, err
	}
	p.Conversations, err = readConversations(ctx, tx, `c.tenant = ? and c.rev > ? order by c.rev limit ?`, id, after.Rev, limit+1)
	if err != nil {
		return BoardPage{}, fmt.Errorf("read board: %w", err)
	}
	if p.Places, err = boardPlaces(ctx, tx, id, after.Rev, limit); err != nil {
		return BoardPage{}, fmt.Errorf("read board: %w", err)
	}
	if len(p.Conversations) > limit {
		p.More, p.Conversations, p.Cursor = true, p.Conversations[:limit], p.Places[limit-1]
	}
	return p, nil
}

// boardPlaces are the places after the changes that Board returns.
func boardPlaces(ctx context.Context, q querier, id, after int64, limit int) ([]tandem.BoardCursor, error) {
	rows, err := q.QueryContext(ctx, `select b.rev, b.hash from conversation c join board b on b.tenant = c.tenant and b.rev = c.rev
		where c.tenant = ? and c.rev > ? order by c.rev limit ?`, id, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []tandem.BoardCursor
	for rows.Next() {
		var c tandem.BoardCursor
		var hash []byte
		if err := rows.Scan(&c.Rev, &hash); err != nil {
			return nil, err
		}
		c.Tag = tagOf(hash)
		all = append(all, c)
	}
	return all, rows.Err()
}

// onBoard reports whether c is a place in the board's kept history.
func onBoard(ctx context.Context, q querier, id int64, tenant string, head, c tandem.BoardCursor) (bool, error) {
	if c.Rev >= head.Rev {
		return c == head, nil
	}
	rev, hash := max(c.Rev, 1), []byte(nil)
	err := q.QueryRowContext(ctx, `select hash from board where tenant = ? and rev = ?`, id, rev).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read board: %w", err)
	}
	if c.Rev == 0 { // before the first change, which is still kept
		return c.Tag == tandem.BoardAddress(tenant).Root().Tag(), nil
	}
	return tagOf(hash) == c.Tag, nil
}

// BoardSnapshot lists the ACTIVE conversations that the filter chooses, in the
// order of the list, and the board's cursor of the same moment. NotFound for an
// unknown tenant.
func (s *Store) BoardSnapshot(ctx context.Context, f ConversationFilter) ([]tandem.Conversation, tandem.BoardCursor, error) {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, tandem.BoardCursor{}, fmt.Errorf("read board: %w", err)
	}
	defer tx.Rollback()
	_, head, err := boardHead(ctx, tx, f.Tenant)
	if err != nil {
		return nil, head, err
	}
	f.Status = tandem.StatusActive
	list, err := listConversations(ctx, tx, f)
	return list, head, err
}

// BoardAt is when the change at a cursor that Board knows was made; zero before the
// first change.
func (s *Store) BoardAt(ctx context.Context, tenant string, c tandem.BoardCursor) (time.Time, error) {
	var at int64
	err := s.readers.QueryRowContext(ctx, `select b.at from board b join tenant n on n.id = b.tenant where n.name = ? and b.rev = ?`,
		tenant, c.Rev).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return fromMicros(at), err
}
