package desk

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Post is something that a participant says or sends, or a back end in the
// participant's name.
type Post struct {
	Address    tandem.Address
	Type       tandem.MessageType // Chat or Data
	Text       string
	Data       json.RawMessage
	Hint       string
	Scope      string
	RequestID  string // made if empty
	ClientID   string // the chat client's own id of the message; makes a repeat harmless
	Key        string // Idempotency-Key; makes a repeat harmless
	ClientTime string
	Medium     string
	Locale     string
	ID         string // made with NewMessageID before; made here if empty
	Named      bool   // the sender waits for exactly this ID
}

// Posted is what became of a post.
type Posted struct {
	Event     tandem.Event
	RequestID string
	Repeat    bool // the key was used before: nothing was stored now
	Answered  bool // an agent will answer it
	Draft     bool // of a push: an operator holds, and only operators see it
}

// NewMessageID makes the id of a message that is about to be posted.
func (d *Desk) NewMessageID() string { return tandem.NewID("msg_", d.clock()) }

// Post stores an Incoming message and starts what it starts. It returns after
// commit. Errors: Forbidden, Invalid, TooLarge, Mismatch, NotFound (unknown
// tenant), Unavailable.
func (d *Desk) Post(ctx context.Context, p tandem.Principal, in Post) (Posted, error) {
	if err := maySpeakAs(p, in.Address); err != nil {
		return Posted{}, err
	}
	if err := d.checkPost(&in); err != nil {
		return Posted{}, err
	}
	m := tandem.Message{
		Direction: tandem.Incoming, Type: in.Type, Role: tandem.RoleUser, Name: participantName(p),
		Text: in.Text, Data: in.Data, Hint: in.Hint, Scope: in.Scope, RequestID: in.RequestID,
		Medium: in.Medium, ClientID: in.ClientID,
	}
	sum, err := sumOf(m, in.RequestID)
	if err != nil {
		return Posted{}, err
	}
	if m.RequestID == "" {
		m.RequestID = tandem.NewID("req_", d.clock())
	}
	e := tandem.Event{Kind: tandem.KindMessage, ID: in.ID, Meta: metaOf(ctx, p, in.ClientTime)}
	answer, opened := tandem.NewID("msg_", d.clock()), tandem.NewID("evt_", d.clock())
	decide := func(now time.Time, on []store.State) ([]store.Write, error) {
		return d.decidePost(now, on[0], p, in, m, e, answer, opened)
	}
	res, err := d.Append(ctx, store.Append{Threads: []tandem.Address{in.Address}, Key: postKey(p, in), KeySum: sum, Decide: decide})
	if err != nil {
		return Posted{}, err
	}
	d.metric.HTTP.Posts.Of(typeLabel(in.Type)).Inc()
	out := Posted{Event: res.Events[0][0], RequestID: m.RequestID, Repeat: res.Repeat, Answered: res.Turn != nil}
	if res.Repeat {
		if first, err := out.Event.Message(); err == nil {
			out.RequestID = first.RequestID
		}
	}
	return out, nil
}

// decidePost is Post's rule: a Chat opens a conversation if none is ACTIVE, and
// starts a turn if the workflow has an agent that may speak.
func (d *Desk) decidePost(now time.Time, on store.State, p tandem.Principal, in Post, m tandem.Message, e tandem.Event, answer, opened string) ([]store.Write, error) {
	w := store.Write{Thread: on.Thread}
	conv := on.Active
	spec, has := d.turns.Closest(in.Address.Tenant, answering(conv, in.Address))
	if conv == nil && in.Type == tandem.Chat {
		mode := tandem.ModeAgent
		if !has {
			mode = tandem.ModeWaiting
		}
		conv = d.openConversation(&w, in.Address, now, mode, m.Medium)
		conv.Name = m.Name
		w.Conversation = conv
		w.Dues = d.dues(now, conv)
	}
	m.Epoch = w.Thread.Control.Epoch
	if conv != nil {
		m.Conversation = conv.ID
		if m.Medium == "" { // typed, whatever the conversation's
			m.Medium = "Text"
		}
	}
	if in.Type == tandem.Chat && !in.Named {
		e.ID = messageID(&w, conv, e.ID)
	}
	var err error
	if e.Body, err = json.Marshal(m); err != nil {
		return nil, err
	}
	w.Events = []tandem.Event{e}
	if w.Conversation != nil {
		if err := addState(&w, opened, conv); err != nil {
			return nil, err
		}
	}
	if has && conv != nil && (in.Type == tandem.Chat || spec.Data) {
		d.ask(&w, conv, p, &m, w.Thread.Head+1, in.Locale, answer)
	}
	return []store.Write{w}, nil
}

// answering is the workflow whose agent answers.
func answering(c *tandem.Conversation, a tandem.Address) string {
	if c != nil && c.Answering != "" {
		return c.Answering
	}
	return a.Workflow
}

// openConversation begins a conversation on the thread that w writes to, under the id that
// was reserved for it.
func (d *Desk) openConversation(w *store.Write, a tandem.Address, now time.Time, mode tandem.Mode, medium string) *tandem.Conversation {
	id := w.Thread.Control.Reserved
	if id == "" {
		id = tandem.NewID("conv_", now)
	}
	if medium == "" {
		medium = "Text"
	}
	w.Thread.Control.Conversation, w.Thread.Control.Reserved = id, ""
	w.Thread.Counter = 0
	c := &tandem.Conversation{
		ID: id, Address: a, Status: tandem.StatusActive, Mode: mode, Urgency: tandem.UrgencyNormal, Medium: medium,
		Timestamp: now.UTC().Format(time.RFC3339), OpenedAt: now, Epoch: w.Thread.Control.Epoch, FirstSeq: w.Thread.Head + 1,
	}
	if mode == tandem.ModeWaiting {
		c.WaitingSince = now
	}
	return c
}

// stateEvent is the entry in the log that tells of a conversation's change.
func stateEvent(id string, c *tandem.Conversation) (tandem.Event, error) {
	body, err := json.Marshal(c)
	return tandem.Event{Kind: tandem.KindState, ID: id, Body: body, Meta: tandem.Meta{Credential: string(tandem.CredentialSystem)}}, err
}

// sumOf is what a key stands for: the message as its sender gave it. Ids and
// times that are made here are not part of it.
func sumOf(m tandem.Message, requestID string) (tandem.Hash, error) {
	m.RequestID, m.Conversation = requestID, ""
	b, err := json.Marshal(m)
	return sha256.Sum256(b), err
}

// postKey is the key under which a repeat is recognised.
func postKey(p tandem.Principal, in Post) string {
	if in.ClientID != "" {
		return "c:" + in.ClientID
	}
	return keyOf(p, in.Key)
}

// keyOf is an Idempotency-Key as it is stored. A participant's and a back end's
// are apart: nobody can block, or find out, the keys of the other.
func keyOf(p tandem.Principal, key string) string {
	switch {
	case key == "":
		return ""
	case p.Role == tandem.Participant:
		return "i:" + key
	}
	return "b:" + key
}

func metaOf(ctx context.Context, p tandem.Principal, clientTime string) tandem.Meta {
	return tandem.Meta{Principal: p.Subject, Credential: string(p.Kind), Traceparent: metric.Traceparent(ctx), ClientTime: clientTime}
}

// participantName is the display name of an Incoming message. A back end that
// posts in somebody's name does not lend it its own.
func participantName(p tandem.Principal) string {
	if p.Role == tandem.Participant {
		return p.Name
	}
	return ""
}

// userOf is what an agent may know of who asks: sub and name, and the claims that
// its configuration names.
func userOf(p tandem.Principal, claims []string) []byte {
	user := map[string]any{}
	if len(claims) == 0 {
		claims = []string{"sub", "name"}
	}
	for _, c := range claims {
		switch v, ok := p.Claims[c]; {
		case ok:
			user[c] = v
		case c == "sub":
			user[c] = p.Subject
		case c == "name" && p.Name != "":
			user[c] = p.Name
		}
	}
	b, err := json.Marshal(user)
	if err != nil { // claims came out of JSON: they go back into it
		return []byte("{}")
	}
	return b
}
