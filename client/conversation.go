package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A Row is a conversation without its messages, as lists, the board and changes
// show it to operators and back ends. Times keep the offset that they came with;
// a zero time is none.
type Row struct {
	ID          string         `json:"conversation_id"`
	CallID      string         `json:"call_id"`
	Participant string         `json:"worker_id"`
	MobileNo    string         `json:"mobile_no"`
	Urgency     tandem.Urgency `json:"urgency"`
	Status      tandem.Status  `json:"status"`
	Medium      string         `json:"medium"`
	Timestamp   time.Time      `json:"timestamp"` // when it began
	AdminID     string         `json:"admin_id"`  // subject of who holds it; participants are not told
	EndedAt     time.Time      `json:"ended_at"`

	// A Transcript has none of these.
	Mode         tandem.Mode `json:"mode"`
	Workflow     string      `json:"workflow"`
	Name         string      `json:"name"`          // the participant's display name
	Reason       string      `json:"reason"`        // why a person was asked for
	WaitingSince time.Time   `json:"waiting_since"` // while it waits for a person
	QueuePlace   int         `json:"queue_place"`   // from 1; 0: it does not wait, or is not known
	Unanswered   bool        `json:"unanswered"`    // it waited too long
	Holder       string      `json:"holder"`        // display name of who holds it
	ReturnsAt    time.Time   `json:"returns_at"`    // when it is given back, if its holder stays silent
	Answering    string      `json:"answering"`     // the workflow that answers, if it is another
	Epoch        int64       `json:"control_epoch"`
	EndReason    string      `json:"end_reason"`

	// Only in lists and on the board.
	LastMessage string      `json:"last_message"`
	LastRole    tandem.Role `json:"last_role"`
	LastAt      time.Time   `json:"last_at"`
	Unread      int         `json:"unread"`
}

// An Entry is a message in a conversation.
type Entry struct {
	ID        string             `json:"message_id"`
	Role      tandem.Role        `json:"role"`
	Text      string             `json:"content"`
	Timestamp time.Time          `json:"timestamp"` // in the offset that it came with
	Sources   string             `json:"sources"`
	Type      tandem.MessageType `json:"message_type"`  // empty: a Chat
	Name      string             `json:"name"`          // of an operator, as others see it
	Medium    string             `json:"medium"`        // empty: the conversation's
	Audience  string             `json:"audience"`      // operators or agent; empty: everyone
	Spoken    bool               `json:"spoken"`        // it was heard on its medium
	Held      bool               `json:"held"`          // it was heard while an operator held the conversation
	Finish    tandem.Finish      `json:"finish_reason"` // of an answer that did not come to its end
	Data      json.RawMessage    `json:"data"`          // nil if none
}

// A Transcript is a conversation with all that was said in it, oldest first.
type Transcript struct {
	Row
	Messages []Entry `json:"messages"`
	Total    int     `json:"total_messages"`
	Notes    []Entry `json:"notes"`  // what operators told each other and, with the audience agent, the agent; operators only
	Drafts   []Entry `json:"drafts"` // what an agent wrote and its holder may send; operators only
}

// ofConversation is the address of a conversation's route. id may be that of a call.
func (c *Client) ofConversation(id, rest string, query map[string]string) string {
	return c.url("/api/conversation/"+url.PathEscape(id)+rest, query)
}

// Conversation returns a conversation with all that was said in it. id may be
// that of a call. Kinds of errors: [tandem.NotFound], [tandem.Forbidden].
func (c *Client) Conversation(ctx context.Context, id string) (Transcript, error) {
	var got struct{ Conversation Transcript }
	return got.Conversation, c.askFor(ctx, call{method: http.MethodGet, url: c.ofConversation(id, "", nil)}, &got)
}

// List is which conversations to list. What is empty chooses all.
type List struct {
	Status   tandem.Status
	Mode     tandem.Mode
	Urgency  tandem.Urgency
	Workflow string
	AdminID  string // who holds them
	Cursor   string // from the page before
	Limit    int    // of a page; 0: the server's default
}

// Conversations returns a page of the conversations that the credential may see,
// the most urgent first and then those that wait longest, and the Cursor of the
// next page; empty: that was the last.
func (c *Client) Conversations(ctx context.Context, l List) (page []Row, next string, err error) {
	q := map[string]string{
		"status": string(l.Status), "mode": string(l.Mode), "urgency": string(l.Urgency),
		"workflow": l.Workflow, "admin_id": l.AdminID, "cursor": l.Cursor,
	}
	if l.Limit > 0 {
		q["limit"] = strconv.Itoa(l.Limit)
	}
	var got struct {
		Conversations []Row
		Cursor        string
	}
	err = c.askFor(ctx, call{method: http.MethodGet, url: c.url("/api/conversations", q)}, &got)
	return got.Conversations, got.Cursor, err
}

// Open says how a conversation is to begin. Workflow and either Participant or
// MobileNo are needed; the server makes what else is empty.
type Open struct {
	Workflow    string
	Participant string
	MobileNo    string // ids are made of it and of Timestamp, unless Opaque
	ID          string
	CallID      string
	Urgency     tandem.Urgency
	Medium      string    // empty: Text
	Timestamp   time.Time // when it began, in the offset that ids and times are to have; zero: now
	Name        string    // the participant's display name
	Opaque      bool
}

// OpenConversation begins a conversation, or returns the participant's one that
// goes on already; opened reports which. It needs a credential of an agent or
// operator. Kind [tandem.Conflict]: an id is another conversation's.
func (c *Client) OpenConversation(ctx context.Context, o Open) (row Row, opened bool, err error) {
	sent, err := encode(struct {
		Workflow    string         `json:"workflow"`
		Participant string         `json:"participant_id,omitempty"`
		MobileNo    string         `json:"mobile_no,omitempty"`
		ID          string         `json:"conversation_id,omitempty"`
		CallID      string         `json:"call_id,omitempty"`
		Urgency     tandem.Urgency `json:"urgency,omitempty"`
		Medium      string         `json:"medium,omitempty"`
		Timestamp   time.Time      `json:"timestamp,omitzero"`
		Name        string         `json:"name,omitempty"`
		Opaque      bool           `json:"opaque,omitempty"`
	}(o))
	if err != nil {
		return row, false, err
	}
	status := 0
	row, err = c.rowOf(ctx, call{method: http.MethodPost, url: c.url("/api/conversations", nil), body: sent, status: &status})
	return row, status == http.StatusCreated, err
}

// rowOf makes a call that is answered with a conversation without its messages.
func (c *Client) rowOf(ctx context.Context, req call) (Row, error) {
	var got struct{ Conversation Row }
	return got.Conversation, c.askFor(ctx, req, &got)
}

// askFor makes a call and reads its answer into answer.
func (c *Client) askFor(ctx context.Context, req call, answer any) error {
	got, _, err := c.do(ctx, req)
	if err != nil {
		return err
	}
	return decode(got, answer)
}
