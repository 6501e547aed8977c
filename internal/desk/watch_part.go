package desk

import (
	"context"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
)

// What the board's stream shows besides the board: the streams of conversations
// that are open on a screen.

// part is one watched conversation.
type part struct {
	id       string
	follower *Follower // nil: it is over, or there is no such conversation for this reader
	at       string    // its place as long as there is no follower
	failed   error     // why, to be told
	over     bool
}

// join begins to follow one conversation. One that the reader may not see is told
// and does not end the board.
func (b *Board) join(ctx context.Context, id, at string, req Follow) error {
	p := &part{id: id, at: at}
	f, err := b.desk.Follow(ctx, req)
	switch tandem.KindOf(err) {
	case tandem.Gone:
		p.over = true
	case tandem.NotFound, tandem.Forbidden:
		p.failed = err
	default:
		if err != nil {
			return err
		}
	}
	p.follower = f
	b.parts = append(b.parts, p)
	return nil
}

// noPlace stands for a conversation that has none in a board's place.
const noPlace = "0-aaaaaaaa"

// Place is the board's place and that of each conversation watched with it: the id
// that a client comes back with.
func (b *Board) Place() string { return b.place(b.cursor.String(), -1, "") }

// PlaceAfter is the place after a change of the board.
func (b *Board) PlaceAfter(c tandem.BoardCursor) string { return b.place(c.String(), -1, "") }

// PlaceWith is the place with that of the n-th conversation watched being at.
func (b *Board) PlaceWith(n int, at string) string { return b.place(b.cursor.String(), n, at) }

func (b *Board) place(board string, n int, at string) string {
	var s strings.Builder
	s.WriteString(board)
	for i, p := range b.parts {
		s.WriteByte('~')
		switch {
		case i == n:
			s.WriteString(at)
		case p.follower == nil:
			s.WriteString(p.at)
		case !p.follower.resumable():
			s.WriteString(noPlace)
		default:
			s.WriteString(p.follower.Cursor().String())
		}
	}
	return s.String()
}

// lookAt takes what one of the watched conversations has.
func (b *Board) lookAt(ctx context.Context, n int, out *BoardBatch) (bool, error) {
	p := b.parts[n]
	if p.over {
		return false, nil
	}
	out.Watched, out.Nth = p.id, n
	if p.failed != nil {
		out.Failed, p.over = p.failed, true
		return true, nil
	}
	var batch Batch
	done, err := p.follower.look(ctx, &batch)
	if err != nil && ctx.Err() == nil && (tandem.KindOf(err) == tandem.NotFound || tandem.KindOf(err) == tandem.Forbidden) {
		out.Failed, p.over = err, true
		return true, nil
	}
	if !done || err != nil {
		return false, err
	}
	out.Part, out.View = &batch, p.follower.View()
	switch batch.Ended {
	case "":
	case EndConversation, EndDenied, EndDeleted:
		p.over = true
	default: // of the credential or the server, and so of the whole stream
		*out = BoardBatch{Ended: batch.Ended}
	}
	return true, nil
}
