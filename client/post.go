package client

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A Message is a message as the server shows it.
type Message struct {
	ID             string             `json:"id"`
	ThreadID       string             `json:"threadId"`
	WorkflowID     string             `json:"workflowId"` // tenant:type
	Workflow       string             `json:"workflowType"`
	Participant    string             `json:"participantId"`
	Direction      tandem.Direction   `json:"direction"` // Incoming is what the participant said
	Type           tandem.MessageType `json:"messageType"`
	Text           string             `json:"text"`
	Data           json.RawMessage    `json:"data"` // nil if none
	Hint           string             `json:"hint"`
	Scope          string             `json:"scope"`
	RequestID      string             `json:"requestId"`
	CreatedAt      time.Time          `json:"createdAt"`
	CreatedBy      string             `json:"createdBy"` // a display name
	ConversationID string             `json:"conversationId"`
	Role           tandem.Role        `json:"role"`
	ClientID       string             `json:"clientMessageId"` // the sender's own id; on the chat socket
	Epoch          int64              `json:"controlEpoch"`    // on a feed: give it back as [Push].Epoch
	Audience       string             `json:"audience"`        // on a feed: "agent" if people tell it the agent alone
}

// UnmarshalJSON reads a message; data that is null is no data.
func (m *Message) UnmarshalJSON(b []byte) error {
	type plain Message
	if err := json.Unmarshal(b, (*plain)(m)); err != nil {
		return err
	}
	if string(m.Data) == "null" {
		m.Data = nil
	}
	return nil
}

// A Post is what a participant says.
type Post struct {
	Workflow    string
	Participant string
	Tenant      string             // empty: the credential's
	Type        tandem.MessageType // empty: Chat
	Text        string
	Data        any // is sent as JSON; nil: none
	RequestID   string
	Scope       string
	Hint        string

	// Key makes a repeat harmless, also one by another process: the same Post with
	// the same key is stored once. Empty: one is made up for this call.
	Key string

	// Timeout is how long Converse waits for the answer, in whole seconds from 1
	// to 600; 0 is the server's default of a minute.
	Timeout time.Duration
}

func (p Post) query() map[string]string {
	q := map[string]string{
		"workflow": p.Workflow, "participantId": p.Participant, "tenantId": p.Tenant, "type": string(p.Type),
		"text": p.Text, "requestId": p.RequestID, "scope": p.Scope, "hint": p.Hint,
	}
	if p.Type == "" {
		q["type"] = string(tandem.Chat)
	}
	if p.Timeout > 0 {
		q["timeoutSeconds"] = strconv.Itoa(int(math.Ceil(p.Timeout.Seconds())))
	}
	return q
}

// Post says something as the participant and returns the thread's id once it is
// stored. It is repeated with the same key while the server cannot answer; when
// it fails with [tandem.Unavailable] or the context's error the message may or
// may not be stored, and posting it again with the same Key settles that.
func (c *Client) Post(ctx context.Context, p Post) (threadID string, err error) {
	p.Timeout = 0
	return threadID, c.post(ctx, "/api/user/rest/send", p, &threadID)
}

// Converse says something and waits for the answer: the agent's, or the next
// message of a person who holds the conversation. If none came in time the error
// is of kind [tandem.Timeout]; the message is kept.
func (c *Client) Converse(ctx context.Context, p Post) (answer Message, err error) {
	return answer, c.post(ctx, "/api/user/rest/converse", p, &answer)
}

func (c *Client) post(ctx context.Context, path string, p Post, answer any) error {
	body, err := encode(p.Data)
	if err != nil {
		return err
	}
	got, _, err := c.do(ctx, call{method: http.MethodPost, url: c.url(path, p.query()), body: body, key: keyOr(p.Key)})
	if err != nil {
		return err
	}
	return decode(got, answer)
}

// History is which messages of a thread to read.
type History struct {
	Workflow    string
	Participant string
	Tenant      string // empty: the credential's
	Scope       string // empty: all
	Page        int    // from 1; 0: the first
	PageSize    int    // 0: the server's default
	After       string // a cursor or a message id: read forward from there
}

// History returns a page of the thread's messages, newest first. With After it is
// the next page behind that place, which a program can walk without gaps; kind
// [tandem.Gone] says that some of it is no longer kept.
func (c *Client) History(ctx context.Context, h History) ([]Message, error) {
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	got, _, err := c.do(ctx, call{method: http.MethodGet, url: c.url("/api/user/rest/history", map[string]string{
		"workflow": h.Workflow, "participantId": h.Participant, "tenantId": h.Tenant, "scope": h.Scope,
		"page": number(h.Page), "pageSize": number(h.PageSize), "after": h.After,
	})})
	if err != nil {
		return nil, err
	}
	var page []Message
	return page, decode(got, &page)
}

// A Push is what an agent says in its own time. It needs a credential of role agent.
type Push struct {
	Workflow    string
	Participant string
	Tenant      string             // empty: the credential's
	Type        tandem.MessageType // empty: Chat
	Text        string
	Data        any // is sent as JSON; nil: none
	Scope       string
	Hint        string
	RequestID   string // of the question that this answers
	Epoch       *int64 // the question's control_epoch; nil: none
	Spoken      bool   // it was heard already on its medium: stored and shown whoever holds
	OnHeld      string // "refuse": not stored while a person holds the conversation; empty: as the server is set

	// Of a Handoff: where to, and why.
	To      string // another workflow, or "person"
	From    string // the agent's name
	ToAgent string
	Reason  string
	Urgency tandem.Urgency

	Key string // as in Post
}

// Pushed is what became of a [Push].
type Pushed struct {
	ThreadID string
	Draft    bool // a person holds the conversation: it was kept for them, the participant does not see it
}

// person is a handoff's target that is no workflow.
const person = "person"

// Push says something as the agent. It is repeated as [Client.Post] is. Kind
// [tandem.Held]: a person holds the conversation, and nothing was stored.
func (c *Client) Push(ctx context.Context, p Push) (Pushed, error) {
	if p.Type == "" {
		p.Type = tandem.Chat
	}
	kind, ok := tandem.ParseMessageType(string(p.Type))
	if !ok {
		return Pushed{}, tandem.Errorf(tandem.Invalid, "%q is not a message type", p.Type)
	}
	body := map[string]any{"workflow": p.Workflow, "participantId": p.Participant}
	if p.Data != nil {
		body["data"] = p.Data
	}
	if p.Epoch != nil {
		body["controlEpoch"] = *p.Epoch
	}
	if p.Spoken {
		body["spoken"] = true
	}
	target := "targetWorkflowType"
	if p.To == person {
		target = "to"
	}
	for name, value := range map[string]string{
		"tenantId": p.Tenant, "text": p.Text, "scope": p.Scope, "hint": p.Hint, "requestId": p.RequestID, "onHeld": p.OnHeld,
		target: p.To, "fromAgent": p.From, "toAgent": p.ToAgent, "reason": p.Reason, "urgency": string(p.Urgency),
	} {
		if value != "" {
			body[name] = value
		}
	}
	sent, err := encode(body)
	if err != nil {
		return Pushed{}, err
	}
	to := c.url("/api/agent/conversation/outbound/"+strings.ToLower(string(kind)), nil)
	got, header, err := c.do(ctx, call{method: http.MethodPost, url: to, body: sent, key: keyOr(p.Key)})
	if err != nil {
		return Pushed{}, err
	}
	done := Pushed{Draft: header.Get("Tandem-Delivery") == "draft"}
	return done, decode(got, &done.ThreadID)
}

// encode is v as JSON, nil if there is none.
func encode(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, tandem.Errorf(tandem.Invalid, "the data cannot be sent as JSON: %w", err)
	}
	return b, nil
}

func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return tandem.Errorf(tandem.Internal, "the server's answer is not what it should be: %w", err)
	}
	return nil
}

func keyOr(key string) string {
	if key == "" {
		return tandem.NewID("key_", time.Now())
	}
	return key
}
