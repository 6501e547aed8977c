package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// Saying is a message for a conversation. What is empty is made by the server, or
// left out.
type Saying struct {
	Text      string      `json:"content"`
	Role      tandem.Role `json:"role,omitempty"` // empty: the credential's own; agents and owners may name another's
	ID        string      `json:"message_id,omitempty"`
	Audience  string      `json:"audience,omitempty"` // operators, for a note, or agent; empty: everyone
	Sources   string      `json:"sources,omitempty"`
	Timestamp time.Time   `json:"timestamp,omitzero"` // when it was said; zero: now
	Medium    string      `json:"medium,omitempty"`
	Spoken    bool        `json:"spoken,omitempty"`     // it was heard on its medium already
	Answer    bool        `json:"answer,omitempty"`     // the workflow's agent is to answer it
	AdminID   string      `json:"admin_id,omitempty"`   // of an operator's words that a gateway brings: whose
	RequestID string      `json:"request_id,omitempty"` // of an agent's words: the question that they answer
}

// Say is what somebody says in a conversation: all of it is stored, or nothing.
type Say struct {
	Conversation string // id
	Messages     []Saying
	Epoch        *int64 // the control_epoch under which an agent writes; nil: none
	OnHeld       string // as in [Push]
	Takeover     bool   // take it over in the same moment
	Key          string // as in [Post]
}

// SaidIn is what became of a [Say].
type SaidIn struct {
	Messages []Entry
	Draft    bool // an operator holds the conversation: an agent's words are kept for them
}

// Say says something in a conversation, repeated as [Client.Post] is. Kinds of
// errors: [tandem.Conflict], an operator who does not hold it speaks, somebody
// else holds it, or it has ended; [tandem.Held], an agent's words were refused,
// and the error has the epoch as it is now.
func (c *Client) Say(ctx context.Context, s Say) (SaidIn, error) {
	sent, err := encode(struct {
		Messages []Saying `json:"messages"`
		Epoch    *int64   `json:"control_epoch,omitempty"`
		OnHeld   string   `json:"on_held,omitempty"`
	}{s.Messages, s.Epoch, s.OnHeld})
	if err != nil {
		return SaidIn{}, err
	}
	query := map[string]string{}
	if s.Takeover {
		query["takeover"] = "true"
	}
	return c.saidIn(ctx, call{method: http.MethodPost, url: c.ofConversation(s.Conversation, "/messages", query), body: sent, key: keyOr(s.Key)})
}

// Note tells the other operators something that neither the participant nor the
// agent sees. It needs no holding.
func (c *Client) Note(ctx context.Context, id, text string) (Entry, error) {
	said, err := c.Say(ctx, Say{Conversation: id, Messages: []Saying{{Text: text, Audience: "operators"}}})
	if err != nil {
		return Entry{}, err
	}
	if len(said.Messages) != 1 {
		return Entry{}, tandem.Errorf(tandem.Internal, "the server's answer has %d messages, and not one", len(said.Messages))
	}
	return said.Messages[0], nil
}

func (c *Client) saidIn(ctx context.Context, req call) (SaidIn, error) {
	got, header, err := c.do(ctx, req)
	if err != nil {
		return SaidIn{}, err
	}
	said := SaidIn{Draft: header.Get("Tandem-Delivery") == "draft"}
	return said, decode(got, &said)
}

// The verbs below change who may speak, or act once. They are not asked again
// after an answer was lost: with [tandem.Unavailable] a verb may or may not have
// been obeyed, which [Client.Conversation] or a stream shows.

// verb is a request that must not be made twice.
func (c *Client) verb(id, what string, body map[string]any) (call, error) {
	sent, err := encode(body)
	return call{method: http.MethodPost, url: c.ofConversation(id, "/"+what, nil), body: sent, once: true}, err
}

func (c *Client) control(ctx context.Context, id, what string, body map[string]any) (Row, error) {
	req, err := c.verb(id, what, body)
	if err != nil {
		return Row{}, err
	}
	return c.rowOf(ctx, req)
}

// Takeover makes the operator who asks the one who speaks. When it returns, not a
// word of the agent's beyond what was shown until then comes any more. Kind
// [tandem.Conflict]: somebody else holds it, and the sentence says who; a
// supervisor takes it from them with force.
func (c *Client) Takeover(ctx context.Context, id string, force bool) (Row, error) {
	return c.control(ctx, id, "takeover", map[string]any{"force": force})
}

// Release gives a conversation back: to "agent" or "queue"; empty: to its agent if
// it has one. Kind [tandem.Conflict]: the caller does not hold it.
func (c *Client) Release(ctx context.Context, id, to string) (Row, error) {
	return c.control(ctx, id, "release", map[string]any{"to": to})
}

// Transfer hands a conversation to another operator. Kinds of errors:
// [tandem.NotFound], there is none who could take it; [tandem.Conflict], the
// caller does not hold it.
func (c *Client) Transfer(ctx context.Context, id, adminID string) (Row, error) {
	return c.control(ctx, id, "transfer", map[string]any{"admin_id": adminID})
}

// End ends a conversation; reason may be empty.
func (c *Client) End(ctx context.Context, id, reason string) (Row, error) {
	return c.control(ctx, id, "end", map[string]any{"reason": reason})
}

// Change is what is to change about a conversation; nil: nothing.
type Change struct {
	Urgency  *tandem.Urgency `json:"urgency,omitempty"`
	Status   *tandem.Status  `json:"status,omitempty"` // ENDED ends it
	Medium   *string         `json:"medium,omitempty"`
	Name     *string         `json:"name,omitempty"`
	CallID   *string         `json:"call_id,omitempty"`
	MobileNo *string         `json:"mobile_no,omitempty"`
}

// Change changes what a conversation is known by, or how urgent it is.
func (c *Client) Change(ctx context.Context, id string, to Change) (Row, error) {
	sent, err := encode(to)
	if err != nil {
		return Row{}, err
	}
	return c.rowOf(ctx, call{method: http.MethodPatch, url: c.ofConversation(id, "", nil), body: sent})
}

// Steer tells the agent something that the participant does not see.
func (c *Client) Steer(ctx context.Context, id, text string) (Entry, error) {
	req, err := c.verb(id, "steer", map[string]any{"content": text})
	if err != nil {
		return Entry{}, err
	}
	var got struct{ Message Entry }
	return got.Message, c.askFor(ctx, req, &got)
}

// SendDraft makes an agent's draft the words of the operator who holds the
// conversation: as it is, or with the text in its place if that is not empty. Kind
// [tandem.Conflict]: it was sent or dropped before, or the caller does not hold
// the conversation.
func (c *Client) SendDraft(ctx context.Context, id, draft, text string) (Entry, error) {
	body := map[string]any{}
	if text != "" {
		body["content"] = text
	}
	req, err := c.verb(id, "drafts/"+url.PathEscape(draft)+"/send", body)
	if err != nil {
		return Entry{}, err
	}
	said, err := c.saidIn(ctx, req)
	if err != nil {
		return Entry{}, err
	}
	if len(said.Messages) != 1 {
		return Entry{}, tandem.Errorf(tandem.Internal, "the server's answer has %d messages, and not one", len(said.Messages))
	}
	return said.Messages[0], nil
}

// DropDraft takes a draft away. Errors are as of [Client.SendDraft].
func (c *Client) DropDraft(ctx context.Context, id, draft string) error {
	_, _, err := c.do(ctx, call{method: http.MethodDelete, url: c.ofConversation(id, "/drafts/"+url.PathEscape(draft), nil), once: true})
	return err
}

// Typing tells who follows the conversation that the caller types, or has stopped.
func (c *Client) Typing(ctx context.Context, id string, stopped bool) error {
	req, err := c.verb(id, "typing", map[string]any{"stopped": stopped})
	if err != nil {
		return err
	}
	_, _, err = c.do(ctx, req)
	return err
}

// Read tells that the caller has read up to a message; with delivered, that it has
// come as far as to the caller's screen.
func (c *Client) Read(ctx context.Context, id, messageID string, delivered bool) error {
	req, err := c.verb(id, "read", map[string]any{"message_id": messageID, "delivered": delivered})
	if err != nil {
		return err
	}
	req.once = false
	_, _, err = c.do(ctx, req)
	return err
}
