package turn

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// take deals with one thing that the agent says. An error ends the answer.
func (c *call) take(ctx context.Context, p tandem.Piece) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.t.isOver() {
		return errOver
	}
	if p.Later {
		c.later = !c.spoke
		return nil
	}
	if c.later {
		return errTwoAnswers
	}
	c.spoke = true
	switch {
	case p.Text != "":
		return c.say(ctx, c.runes.add(p.Text))
	case p.Data != nil:
		return c.note(ctx, tandem.Data, p.Data)
	case p.Reasoning != nil:
		return c.note(ctx, tandem.Reasoning, p.Reasoning)
	case p.Tool != nil:
		return c.note(ctx, tandem.Tool, p.Tool)
	case p.Sources != "":
		return c.cite(p.Sources)
	case p.Handoff != nil:
		return c.handOff(ctx, *p.Handoff)
	}
	return nil
}

// say goes on with the answer's text, in whole runes. What is over the limit is
// left out.
func (c *call) say(ctx context.Context, text string) error {
	var err error
	if limit := c.r.limits.Answer; limit > 0 && c.size+len(text) > limit {
		text, err = prefix(text, limit-c.size), errTooLong
	}
	if text == "" {
		return err
	}
	publish := c.goOn
	if c.size == 0 {
		publish = c.start
	}
	if failed := publish(ctx, text); failed != nil {
		return failed
	}
	c.size += len(text)
	return err
}

func (c *call) goOn(_ context.Context, text string) error {
	return c.t.publish(c.r.hub, text, c.r.clock())
}

// start begins the answer: nobody sees its first token before the log has it.
func (c *call) start(ctx context.Context, text string) error {
	r, t := c.r, c.t
	if c.agent != nil {
		c.agent.metric.FirstToken.Observe(time.Since(c.began))
	}
	e, err := t.event(tandem.KindAnswerStarted, tandem.NewID("evt_", r.clock()), tandem.AnswerStarted{
		MessageID: t.row.Answer, Role: tandem.RoleAssistant, Name: t.name,
		Scope: t.row.Scope, RequestID: t.row.RequestID, Conversation: t.row.Conversation,
	})
	if err != nil {
		return err
	}
	return c.keep(ctx, t.starting(e, text), func(res store.Result) {
		t.begin(r.hub, res.Events[0][0].Seq, text, r.clock())
	})
}

// keep is the Runner's, as long as the call goes on.
func (c *call) keep(ctx context.Context, decide decision, then func(store.Result)) error {
	err := c.r.keep(ctx, c.t, decide, then)
	if err != nil && passing(err) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// note appends data, reasoning or a tool's call as a message of its own.
func (c *call) note(ctx context.Context, kind tandem.MessageType, body json.RawMessage) error {
	if limit := c.r.limits.Answer; limit > 0 && len(body) > limit {
		return errTooLong
	}
	if !json.Valid(body) || c.r.limits.Depth > 0 && depth(body) > c.r.limits.Depth {
		return tandem.Errorf(tandem.Invalid, "the agent sent JSON that cannot be stored")
	}
	m := c.t.said(kind)
	m.Data = body
	e, err := c.t.event(tandem.KindMessage, tandem.NewID("msg_", c.r.clock()), m)
	if err != nil {
		return err
	}
	return c.keep(ctx, c.t.noting(e), nil)
}

// depth is how deep valid JSON is nested.
func depth(b []byte) int {
	most, now, text := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			now++
			most = max(most, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return most
}

// cite keeps the answer's sources for its closing event; the last ones count.
func (c *call) cite(sources string) error {
	if limit := c.r.limits.Answer; limit > 0 && len(sources) > limit {
		return errTooLong
	}
	c.t.set(func() { c.t.sources = strings.ToValidUTF8(sources, "\uFFFD") })
	return nil
}

// handOff passes the agent's wish on. It is stored before the answer's end, so
// that a crash between the two cannot lose it.
func (c *call) handOff(ctx context.Context, req tandem.HandoffRequest) error {
	if c.r.handoff == nil {
		return nil
	}
	if err := c.t.live(); err != nil {
		return err
	}
	var refused error
	err := c.r.persist(ctx, "an agent's handoff cannot be stored", func() error {
		err := c.r.handoff(ctx, c.t.row.Address, c.t.row.Conversation, req)
		if err != nil && !tandem.KindOf(err).Retryable() {
			refused, err = err, nil
		}
		return err
	})
	if err != nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if refused != nil {
		c.r.log.Warn("an agent's handoff was refused", "agent", c.t.name, "err", refused)
	}
	return nil
}
