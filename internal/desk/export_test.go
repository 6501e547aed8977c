package desk

import (
	"context"

	tandem "github.com/seed4677ff1f/tandem"
)

// WordsOf are the last words that go with a row of a conversation.
func (d *Desk) WordsOf(ctx context.Context, row *tandem.Conversation) (Words, error) {
	return d.words(ctx, row)
}
