package desk

import (
	"context"
	"crypto/sha256"
	"encoding/json"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Saying is one message for a conversation. What is empty is made or left out.
type Saying struct {
	ID        string // the sender's own; makes a repeat harmless
	Role      tandem.Role
	Content   string
	Audience  string // everyone, operators (a note) or agent (steering); empty: everyone
	Sources   string
	Timestamp string // when it was said, RFC 3339
	Medium    string
	RequestID string
	AdminID   string // of an operator's word that a gateway brings: who spoke
	Spoken    bool   // it was heard already on its medium
	Answer    bool   // the agent is to answer it
}

// Say is what somebody wants to say in a conversation: all of it or nothing.
type Say struct {
	Conversation string
	Messages     []Saying
	Epoch        *int64 // the control epoch that the sender knows
	OnHeld       string // draft or refuse; empty: as the server's rules are
	Key          string // Idempotency-Key
	Locale       string
	Takeover     bool // take it over in the same moment
}

// Said is what became of it.
type Said struct {
	Events       []tandem.Event
	Draft        bool // an operator holds: some of it is a draft for operators only
	Conversation tandem.Conversation
}

// Say stores messages in a conversation. What they start or need depends on whose
// they are: a participant's are Incoming; an agent's are fenced as speech, unless
// they were spoken; an operator's need the conversation, notes do not. Errors:
// NotFound, Forbidden, Invalid, TooLarge, Mismatch; Conflict for who does not
// hold it, or if it has ended; Held with the epoch for a push that is refused.
func (d *Desk) Say(ctx context.Context, p tandem.Principal, in Say) (Said, error) {
	c, err := d.addressed(ctx, p, in)
	if err != nil {
		return Said{}, err
	}
	s := &speech{desk: d, by: d.known(ctx, p), in: in, conversation: c}
	if err := s.prepare(ctx); err != nil {
		return Said{}, err
	}
	res, err := s.store(ctx)
	if err != nil {
		return Said{}, err
	}
	return s.said(ctx, res)
}

// addressed finds the conversation. Who would speak as an operator learns who
// holds it, before being told that it is none of theirs.
func (d *Desk) addressed(ctx context.Context, p tandem.Principal, in Say) (tandem.Conversation, error) {
	c, err := d.named(ctx, p.Tenant, in.Conversation)
	if err != nil {
		return c, err
	}
	if p.Role == tandem.Operator && p.Serves(c.Address.Workflow) && c.AdminID != "" && c.AdminID != p.Subject && c.Status == tandem.StatusActive {
		return c, errTaken(&c)
	}
	return c, maySee(p, &c, in.Conversation)
}

// speech is one Say on its way into the log.
type speech struct {
	desk         *Desk
	by           tandem.Principal
	in           Say
	conversation tandem.Conversation
	meta         tandem.Meta
	messages     []tandem.Message // as they will be, but for what only the transaction knows
	audiences    []tandem.Audience
	ids          []string
	keys         []store.KeyUse
	events       [2]string // ids of a state event and of an answer
	request      string    // requestId of a message that is to be answered and has none
	taken        int64     // the thread's Control.Taken that the requestIds were judged by
	stale        bool
	audits       []store.Audit
	draft        bool
}

// prepare judges what can be judged before the transaction.
func (s *speech) prepare(ctx context.Context) error {
	d, now := s.desk, s.desk.clock()
	if n := len(s.in.Messages); n == 0 || d.limits.Batch > 0 && n > d.limits.Batch {
		return tandem.Errorf(tandem.Invalid, "a post has from 1 to %d messages", max(1, d.limits.Batch))
	}
	if s.in.OnHeld != "" && s.in.OnHeld != "draft" && s.in.OnHeld != "refuse" {
		return tandem.Errorf(tandem.Invalid, "on_held must be draft or refuse")
	}
	if err := tandem.ValidLabel("Idempotency-Key", s.in.Key); err != nil {
		return err
	}
	s.meta = metaOf(ctx, s.by, "")
	s.events = [2]string{tandem.NewID("evt_", now), tandem.NewID("msg_", now)}
	s.request = tandem.NewID("req_", now)
	answers, given := 0, false
	for i := range s.in.Messages {
		one := &s.in.Messages[i]
		m, audience, err := s.message(one)
		if err != nil {
			return err
		}
		if one.Answer {
			answers++
		}
		id, key, err := s.name(ctx, one, m)
		if err != nil {
			return err
		}
		given = given || key.Key != ""
		s.messages, s.audiences = append(s.messages, m), append(s.audiences, audience)
		s.ids, s.keys = append(s.ids, id), append(s.keys, key)
	}
	if answers > 1 {
		return tandem.Errorf(tandem.Invalid, "the agent can be asked to answer one message of a post")
	}
	if !given {
		s.keys = nil
	}
	return nil
}

// name finds the id of a message, and the key under which a repeat is known.
func (s *speech) name(ctx context.Context, one *Saying, m tandem.Message) (string, store.KeyUse, error) {
	if one.ID == "" {
		return s.desk.NewMessageID(), store.KeyUse{}, nil
	}
	key := store.KeyUse{Key: "m:" + one.ID}
	b, err := json.Marshal([]any{m, one.Answer})
	if err != nil {
		return "", key, err
	}
	key.Sum = sha256.Sum256(b)
	if _, own := counted(&s.conversation, one.ID); own {
		return one.ID, key, nil
	}
	e, err := s.desk.store.Find(ctx, s.conversation.Address, one.ID)
	switch {
	case err == nil && e.Key != key.Key:
		return "", key, errIDUsed()
	case err != nil && tandem.KindOf(err) != tandem.NotFound:
		return "", key, err
	}
	return one.ID, key, nil
}

func errIDUsed() error {
	return tandem.Errorf(tandem.Mismatch, "this message_id was already used for another message")
}

// message makes what is said out of what came, and judges who may say it.
func (s *speech) message(one *Saying) (m tandem.Message, audience tandem.Audience, err error) {
	if audience, err = s.audience(one); err != nil {
		return m, audience, err
	}
	if err = s.check(one); err != nil {
		return m, audience, err
	}
	m = tandem.Message{
		Direction: tandem.Outgoing, Type: tandem.Chat, Role: one.Role, Text: one.Content, Sources: one.Sources, Timestamp: one.Timestamp,
		Medium: one.Medium, RequestID: one.RequestID, Spoken: one.Spoken,
	}
	switch m.Role {
	case tandem.RoleUser:
		m.Direction, m.Name = tandem.Incoming, participantName(s.by)
	case tandem.RoleAssistant:
		m.Name = s.by.Display()
		if s.by.Staff() {
			m.Name = "Assistant"
		}
	case tandem.RoleOperator:
		m.Name, m.Speaker = s.by.Display(), s.by.Subject
		if !s.by.Staff() {
			m.Name, m.Speaker = "", one.AdminID
		}
	}
	return m, audience, nil
}

// audience reads who is to see a message, and fills in its role.
func (s *speech) audience(one *Saying) (tandem.Audience, error) {
	own := tandem.RoleAssistant
	switch {
	case s.by.Role == tandem.Participant:
		own = tandem.RoleUser
	case s.by.Staff():
		own = tandem.RoleOperator
	}
	switch one.Role {
	case "":
		one.Role = own
	case tandem.RoleUser, tandem.RoleAssistant, tandem.RoleOperator, tandem.RoleSystem:
	default:
		return 0, tandem.Errorf(tandem.Invalid, "role must be user, assistant, operator or system")
	}
	if one.Role != own && s.by.Role != tandem.Agent && s.by.Role != tandem.Owner {
		return 0, tandem.Errorf(tandem.Forbidden, "You may not speak as %s.", one.Role)
	}
	switch one.Audience {
	case "", "everyone":
		return tandem.Everyone, nil
	case "operators", "agent":
		if one.Spoken || one.Answer || s.by.Role == tandem.Participant || one.Role == tandem.RoleUser {
			return 0, tandem.Errorf(tandem.Forbidden, "Only an operator's or an agent's own words can have another audience.")
		}
		if one.Audience == "agent" {
			return tandem.Agents, nil
		}
		return tandem.Operators, nil
	}
	return 0, tandem.Errorf(tandem.Invalid, "audience must be everyone, operators or agent")
}

// check refuses what cannot be stored.
func (s *speech) check(one *Saying) error {
	for _, l := range []struct{ what, value string }{
		{"message_id", one.ID},
		{"medium", one.Medium},
		{"request_id", one.RequestID},
		{"admin_id", one.AdminID},
	} {
		if err := tandem.ValidLabel(l.what, l.value); err != nil {
			return err
		}
	}
	if err := validInPath("message_id", one.ID); err != nil {
		return err
	}
	if _, err := checkTime(one.Timestamp); err != nil {
		return err
	}
	if err := s.desk.checkContent(one.Content, one.Role == tandem.RoleUser || one.Role == tandem.RoleOperator); err != nil {
		return err
	}
	if err := s.desk.checkContent(one.Sources, false); one.Sources != "" && err != nil {
		return tandem.Errorf(tandem.Invalid, "sources: %s", err.Error())
	}
	if one.Answer && one.Role != tandem.RoleUser {
		return tandem.Errorf(tandem.Invalid, "only a message of the user can be answered")
	}
	if one.AdminID != "" && (one.Role != tandem.RoleOperator || s.by.Staff() && one.AdminID != s.by.Subject) {
		return tandem.Errorf(tandem.Invalid, "admin_id belongs to what an operator said, as a gateway brings it")
	}
	return nil
}

// said is what the sender is told.
func (s *speech) said(ctx context.Context, res store.Result) (Said, error) {
	out := Said{Draft: s.draft}
	c := s.conversation
	if res.Active[0] != nil {
		c = *res.Active[0]
	}
	for _, e := range res.Events[0] {
		if m, ok := messageIn(&e, s.conversation.ID); ok {
			out.Events = append(out.Events, e)
			out.Draft = out.Draft || m.Draft
		}
	}
	for res.Repeat && len(out.Events) < len(s.in.Messages) && len(out.Events) > 0 { // the key is that of the first
		last := out.Events[len(out.Events)-1]
		e, err := s.desk.store.Event(ctx, c.Address, last.Seq+1)
		if err != nil {
			return out, err
		}
		out.Events = append(out.Events, e)
	}
	for range out.Events {
		s.desk.metric.HTTP.Posts.Of("chat").Inc()
	}
	out.Conversation = c
	return out, nil
}
