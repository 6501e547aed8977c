package desk

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// errMoved ends an append whose preparation has been overtaken; it is tried again.
var errMoved error = tandem.Errorf(tandem.Unavailable, "the conversation changed in the same moment")

// tries bounds how often an append is prepared anew.
const tries = 16

// store appends what is said: alone, or with the takeover that it asks for. Whoever
// asks for one and holds the conversation speaks alone; if it was given back in the
// same moment, the takeover is made after all, and the other way round.
func (s *speech) store(ctx context.Context) (res store.Result, err error) {
	if s.in.Takeover {
		if err := mayControl(s.by, &s.conversation); err != nil {
			return res, err
		}
	}
	takes := s.in.Takeover && s.conversation.AdminID != s.by.Subject
	for range tries {
		if err = s.judgeRequests(ctx); err != nil {
			return res, err
		}
		if takes {
			res, err = s.takingOver(ctx)
		} else {
			res, err = s.desk.Append(ctx, store.Append{
				Threads: []tandem.Address{s.conversation.Address}, Key: s.key(), KeySum: s.sum(), Keys: s.keys, Decide: s.decide,
			})
		}
		switch {
		case err == errSame, err == errNotHolding && s.in.Takeover && !takes:
			takes = !takes
		case err != errMoved:
			return res, err
		}
	}
	return res, err
}

// key is the Idempotency-Key, unless the messages have ids of their own.
func (s *speech) key() string {
	if s.keys != nil {
		return ""
	}
	return keyOf(s.by, s.in.Key)
}

// sum is what the Idempotency-Key stands for: all that is said.
func (s *speech) sum() tandem.Hash {
	b, err := json.Marshal([]any{s.messages, s.audiences, s.in.Conversation})
	if err != nil { // strings are always JSON
		return tandem.Hash{}
	}
	return sha256.Sum256(b)
}

// takingOver says it in the moment of taking over; errSame if there is nothing to
// take.
func (s *speech) takingOver(ctx context.Context) (store.Result, error) {
	_, res, err := s.desk.control(ctx, s.conversation, change{
		by: s.by, action: "takeover", decide: take(s.by, false),
		also: func(now time.Time, w *store.Write, c *tandem.Conversation) error { return s.write(now, w, c, *c) },
	})
	if err == nil && len(res.Events) == 0 {
		err = errSame
	}
	return res, err
}

// judgeRequests finds out whether a push answers what was asked before the last
// takeover.
func (s *speech) judgeRequests(ctx context.Context) error {
	s.stale = false
	t, err := s.desk.store.Thread(ctx, s.conversation.Address)
	if err != nil {
		return err
	}
	s.taken = t.Control.Taken
	for i := range s.messages {
		if s.fenced(i) && !s.stale {
			if s.stale, err = s.desk.askedBefore(ctx, t, s.messages[i].RequestID); err != nil {
				return err
			}
		}
	}
	return nil
}

// fenced reports whether the i-th message is an agent's speech on its way to the
// participant.
func (s *speech) fenced(i int) bool {
	m := &s.messages[i]
	return m.Role == tandem.RoleAssistant && !m.Spoken && s.audiences[i] == tandem.Everyone
}

// decide is Say's rule.
func (s *speech) decide(now time.Time, on []store.State) ([]store.Write, error) {
	w := store.Write{Thread: on[0].Thread}
	c := on[0].Active
	switch {
	case c == nil || c.ID != s.conversation.ID:
		return nil, errEnded()
	case !s.by.MaySee(c):
		return nil, errTakenOrDenied(s.by, c)
	case on[0].Thread.Control.Taken != s.taken:
		return nil, errMoved
	}
	return []store.Write{w}, s.write(now, &w, c, *c)
}

func errTakenOrDenied(p tandem.Principal, c *tandem.Conversation) error {
	if p.Role == tandem.Operator && p.Serves(c.Address.Workflow) {
		return errTaken(c)
	}
	return errDenied()
}

// write adds the messages to w; c is the conversation as it is by then, and
// copy one that may be changed.
func (s *speech) write(now time.Time, w *store.Write, c *tandem.Conversation, is tandem.Conversation) error {
	if err := s.mayOperate(c, w.Thread.Control); err != nil {
		return err
	}
	held := c.AdminID != "" && c.Mode == tandem.ModeOperator
	late := held || s.stale || s.in.Epoch != nil && *s.in.Epoch != w.Thread.Control.Epoch
	messages, audiences := slices.Clone(s.messages), slices.Clone(s.audiences)
	s.draft = false
	for i := range messages {
		if s.fenced(i) && late {
			if s.refuses() {
				return errHeld(w.Thread.Control)
			}
			messages[i].Draft, audiences[i], s.draft = true, tandem.Operators, true
		}
		messages[i].Held = messages[i].Spoken && messages[i].Role == tandem.RoleAssistant && held
	}
	follow(messages, audiences)
	w.Audits = append(w.Audits, s.audits...)
	for i := range messages {
		m := messages[i]
		e, err := s.event(w, c, i, &m, audiences[i])
		if err != nil {
			return err
		}
		w.Events = append(w.Events, e)
		if s.in.Messages[i].Answer {
			s.desk.ask(w, c, s.by, &m, w.Thread.Head+int64(len(w.Events)), s.in.Locale, s.events[1])
		}
	}
	return s.desk.heard(now, w, &is, s.by, s.events[0])
}

// follow tells each message that counts how many more of the same post come after it.
func follow(messages []tandem.Message, audiences []tandem.Audience) {
	rest := 0
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Counts(audiences[i]) {
			messages[i].Follow = rest
			rest++
		}
	}
}

// mayOperate refuses an operator's word by who does not hold the conversation,
// but for what was spoken already, and any that was meant for another epoch.
func (s *speech) mayOperate(c *tandem.Conversation, control tandem.Control) error {
	for i, m := range s.messages {
		if m.Role != tandem.RoleOperator || m.Spoken || s.audiences[i] != tandem.Everyone {
			continue
		}
		switch {
		case c.AdminID == "":
			return errNotHolding
		case c.AdminID != m.Speaker:
			return errTaken(c)
		case s.in.Epoch != nil && *s.in.Epoch != control.Epoch:
			return errHeld(control)
		}
	}
	return nil
}

func (s *speech) refuses() bool {
	return s.desk.refuses(s.in.OnHeld)
}

// errHeld refuses what was said for a holder who is not it any more.
func errHeld(c tandem.Control) error {
	said := "Somebody else may speak in this conversation now."
	if c.Holder == "" {
		said = "Control of this conversation has changed since."
	}
	return &tandem.Error{Kind: tandem.Held, Message: said, Epoch: c.Epoch}
}

// event makes the i-th message's entry in the log.
func (s *speech) event(w *store.Write, c *tandem.Conversation, i int, m *tandem.Message, audience tandem.Audience) (tandem.Event, error) {
	m.Conversation = c.ID
	if m.Direction == tandem.Incoming || audience == tandem.Agents {
		m.Epoch = w.Thread.Control.Epoch
	}
	if s.in.Messages[i].Answer && m.RequestID == "" {
		m.RequestID = s.request
	}
	if m.Medium == "" {
		m.Medium = c.Medium
	}
	if m.Role == tandem.RoleOperator && m.Name == "" { // a gateway brings it
		m.Name = "Support"
		if m.Speaker == c.AdminID {
			m.Name = holderName(c)
		}
	}
	id := s.ids[i]
	switch n, own := counted(c, id); {
	case s.in.Messages[i].ID == "":
		id = messageID(w, c, id)
	case own && n <= w.Thread.Counter:
		return tandem.Event{}, errIDUsed()
	case own:
		w.Thread.Counter = n
	}
	body, err := json.Marshal(m)
	return tandem.Event{Kind: tandem.KindMessage, ID: id, Audience: audience, Body: body, Meta: s.meta, Offset: offsetOf(m.Timestamp)}, err
}

// offsetOf is the offset of a time as its sender's clock showed it, in minutes.
func offsetOf(timestamp string) int {
	t, err := time.Parse(time.RFC3339, timestamp)
	if err != nil {
		return 0
	}
	_, seconds := t.Zone()
	return seconds / 60
}

// heard notes that somebody said something: a holder who does is no longer silent.
func (d *Desk) heard(now time.Time, w *store.Write, c *tandem.Conversation, by tandem.Principal, event string) error {
	if c.ReturnsAt.IsZero() || by.Subject != c.AdminID || !by.Staff() {
		return nil
	}
	c.ReturnsAt = time.Time{}
	w.Dues = append(w.Dues, d.dues(now, c)...)
	return addState(w, event, c)
}

// ask starts a turn for a message that is among the events of w.
func (d *Desk) ask(w *store.Write, c *tandem.Conversation, p tandem.Principal, m *tandem.Message, seq int64, locale, answer string) {
	spec, has := d.turns.Closest(c.Address.Tenant, answering(c, c.Address))
	if !has || !speaks(c, spec.Silent) {
		return
	}
	w.Turn = &store.Turn{
		Question: seq, Answer: messageID(w, c, answer), Conversation: c.ID, RequestID: m.RequestID, Scope: m.Scope,
		Workflow: answering(c, c.Address), User: userOf(p, spec.UserClaims), Locale: locale,
	}
}

// speaks reports whether an agent may speak in the conversation now.
func speaks(c *tandem.Conversation, silent bool) bool {
	return c.Mode == tandem.ModeAgent || c.Mode == tandem.ModeWaiting && !silent
}
