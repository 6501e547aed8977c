package desktest

import (
	"context"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/turn"
)

// AgentFunc is an agent that is a function.
type AgentFunc func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error

// Reply calls f.
func (f AgentFunc) Reply(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
	return f(ctx, q, emit)
}

// AnsweredBy lets one agent answer everything.
func AnsweredBy(a turn.Agent) []turn.Spec { return []turn.Spec{turn.DefaultSpec("bot", a)} }

// Answers lets an agent answer everything with this text, word by word.
func Answers(text string) []turn.Spec {
	return AnsweredBy(AgentFunc(func(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
		for _, word := range strings.SplitAfter(text, " ") {
			if err := emit(tandem.Piece{Text: word}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Fed is an agent that says what it is fed, and ends when the channel is closed.
type Fed chan string

// Reply says what comes.
func (f Fed) Reply(ctx context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
	for {
		select {
		case text, ok := <-f:
			if !ok {
				return nil
			}
			if err := emit(tandem.Piece{Text: text}); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Echo is an agent that repeats the question.
func Echo() []turn.Spec {
	return AnsweredBy(AgentFunc(func(_ context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		for _, r := range q.Message {
			if err := emit(tandem.Piece{Text: string(r)}); err != nil {
				return err
			}
		}
		return nil
	}))
}
