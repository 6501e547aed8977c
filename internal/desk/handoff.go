package desk

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Escalation asks for a person.
type Escalation struct {
	Address      tandem.Address
	ID           string // of the Handoff message, made with NewMessageID before; made here if empty
	Conversation string // of an agent's wish: only if this one is still ACTIVE; empty: whichever is, or a new one
	Reason       string
	Data         json.RawMessage // of the Handoff message: an object, to whose fields ours are added
	Hint         string
	Urgency      tandem.Urgency
	FromAgent    string
	ToAgent      string
	Text         string // what the participant is told
	Key          string
	RequestID    string
	Scope        string
}

// MaxReason is how long the reason of an escalation and the comment of a
// feedback may be, in Unicode code points.
const MaxReason = 1000

// Escalate marks the conversation as waiting for a person and tells the thread
// by a Handoff. If it waits already, or a person holds it, nothing changes but
// that it may become more urgent. It opens a conversation if none is ACTIVE.
// The returned conversation is as it is afterwards; told says that the thread has
// a new Handoff message. Errors as of Post.
func (d *Desk) Escalate(ctx context.Context, p tandem.Principal, in Escalation) (after tandem.Conversation, told bool, err error) {
	if err := maySpeakAs(p, in.Address); err != nil {
		return after, false, err
	}
	if err := d.checkEscalation(&in); err != nil {
		return after, false, err
	}
	now := d.clock()
	ids := [2]string{in.ID, tandem.NewID("evt_", now)}
	if ids[0] == "" {
		ids[0] = d.NewMessageID()
	}
	meta := metaOf(ctx, p, "")
	if p.Role != tandem.Participant {
		at, err := d.place(ctx, in.Address, in.RequestID)
		if err != nil {
			return after, false, err
		}
		in.Address = at.home
	}
	res, err := d.Append(ctx, store.Append{
		Threads: []tandem.Address{in.Address}, Key: keyOf(p, in.Key), KeySum: in.sum(""),
		Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
			w, c, err := d.decideEscalation(now, on[0], p, in, meta, ids)
			if c != nil {
				after = *c
			}
			return []store.Write{w}, err
		},
	})
	if err != nil {
		return after, false, err
	}
	events := res.Events[0]
	return after, !res.Repeat && len(events) > 0 && events[0].ID == ids[0], nil
}

// sum is what an Idempotency-Key stands for: the wish as it was given.
func (in Escalation) sum(target string) tandem.Hash {
	b, err := json.Marshal([]string{target, in.Reason, string(in.Urgency), in.FromAgent, in.ToAgent, in.Text, string(in.Data), in.Hint, in.RequestID, in.Scope})
	if err != nil { // strings are always JSON
		return tandem.Hash{}
	}
	return sha256.Sum256(b)
}

func (d *Desk) checkEscalation(in *Escalation) error {
	if in.Urgency == "" {
		in.Urgency = tandem.UrgencyNormal
	}
	if n := len([]rune(in.Reason)); n > MaxReason {
		return tandem.Errorf(tandem.Invalid, "reason cannot exceed %d characters", MaxReason)
	}
	if err := d.CheckText(in.Reason); err != nil {
		return tandem.Errorf(tandem.Invalid, "reason is not valid UTF-8")
	}
	data, err := d.checkData(in.Data)
	if err != nil {
		return err
	}
	in.Data = data
	for _, l := range []struct{ what, value string }{{"hint", in.Hint}, {"fromAgent", in.FromAgent}, {"toAgent", in.ToAgent}, {"requestId", in.RequestID}, {"scope", in.Scope}, {"Idempotency-Key", in.Key}} {
		if err := tandem.ValidLabel(l.what, l.value); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) decideEscalation(now time.Time, on store.State, by tandem.Principal, in Escalation, meta tandem.Meta, ids [2]string) (store.Write, *tandem.Conversation, error) {
	w := store.Write{Thread: on.Thread}
	var c tandem.Conversation
	switch {
	case on.Active == nil && in.Conversation != "", on.Active != nil && in.Conversation != "" && on.Active.ID != in.Conversation:
		return w, nil, tandem.Errorf(tandem.Conflict, "the conversation has ended")
	case on.Active == nil:
		c = *d.openConversation(&w, in.Address, now, tandem.ModeAgent, "")
		w.Dues = d.dues(now, &c)
	default:
		c = *on.Active // the shared one stays as it is
	}
	held, agents := c.Mode == tandem.ModeOperator, by.Role != tandem.Participant
	more := in.Urgency.Rank() > c.Urgency.Rank()
	switch {
	case agents && c.Escalated && !held: // it waits: further handoffs are no-ops
		return w, &c, nil
	case !agents && (c.Escalated || held) && !more: // asked for already: a repeat is no news
		return w, &c, nil
	}
	news := more || on.Active == nil
	if more {
		c.Urgency = in.Urgency
	}
	tells := held && agents // a signal passes, whoever holds
	if !c.Escalated && !held {
		tells, news = true, true
		c.Escalated, c.Reason = true, in.Reason
		if c.Mode == tandem.ModeAgent {
			c.Mode, c.WaitingSince = tandem.ModeWaiting, now
			c.Epoch = w.Thread.Control.Epoch
			w.Dues = d.dues(now, &c)
		}
	}
	if tells {
		e, _, err := handoffEvent(ids[0], &c, in, meta, w.Thread.Control.Epoch, nil)
		if err != nil {
			return w, nil, err
		}
		w.Events = append(w.Events, e)
	}
	if !news {
		return w, &c, nil
	}
	c.Epoch = w.Thread.Control.Epoch
	return w, &c, addState(&w, ids[1], &c)
}

func handoffEvent(id string, c *tandem.Conversation, in Escalation, meta tandem.Meta, epoch int64, target *tandem.Address) (e tandem.Event, m tandem.Message, err error) {
	to := "person"
	if target != nil {
		to = target.Workflow
	}
	data, err := handoffData(in.Data, tandem.HandoffData{FromAgent: in.FromAgent, ToAgent: in.ToAgent, Reason: in.Reason, To: to, Urgency: in.Urgency})
	if err != nil {
		return e, m, err
	}
	m = tandem.Message{
		Direction: tandem.Outgoing, Type: tandem.Handoff, Role: tandem.RoleSystem, Text: in.Text, Data: data,
		Hint: in.Hint, RequestID: in.RequestID, Scope: in.Scope, Epoch: epoch, Target: target,
	}
	if c != nil {
		m.Conversation, m.Medium = c.ID, c.Medium
	}
	body, err := json.Marshal(m)
	return tandem.Event{Kind: tandem.KindMessage, ID: id, Body: body, Meta: meta}, m, err
}

// handoffData adds our fields to those that came.
func handoffData(came json.RawMessage, ours tandem.HandoffData) (json.RawMessage, error) {
	data, err := json.Marshal(ours)
	if err != nil || len(came) == 0 {
		return data, err
	}
	more := map[string]json.RawMessage{}
	if err := json.Unmarshal(came, &more); err != nil {
		return nil, tandem.Errorf(tandem.Invalid, "the data of a handoff is an object: %w", err)
	}
	for _, known := range []string{"fromAgent", "toAgent", "reason", "to", "urgency"} {
		delete(more, known)
	}
	if len(more) == 0 {
		return data, nil
	}
	rest, err := json.Marshal(more)
	return append(append(data[:len(data)-1], ','), rest[1:]...), err
}

// Handoff passes a participant on to another workflow: one atomic append of the
// same message to both threads. The conversation stays on its thread; answering
// says whose agent is to answer, and that agent gets the next turn. Errors: as of
// Push; Invalid for a handoff to the workflow that answers.
func (d *Desk) Handoff(ctx context.Context, p tandem.Principal, in Escalation, target tandem.Address) (tandem.Event, error) {
	if err := mayPush(p, in.Address); err != nil {
		return tandem.Event{}, err
	}
	if err := mayRead(p, target); err != nil {
		return tandem.Event{}, err
	}
	if target.Tenant != in.Address.Tenant || target.Participant != in.Address.Participant {
		return tandem.Event{}, errTarget()
	}
	if err := d.checkEscalation(&in); err != nil {
		return tandem.Event{}, err
	}
	now := d.clock()
	h := handingOn{
		desk: d, in: in, target: target, meta: metaOf(ctx, p, ""), ids: [3]string{tandem.NewID("msg_", now), tandem.NewID("evt_", now), tandem.NewID("msg_", now)},
		request: tandem.NewID("req_", now),
	}
	ap := store.Append{Key: keyOf(p, in.Key), KeySum: in.sum(target.Workflow), Decide: h.decide}
	var res store.Result
	var err error
	for range tries {
		if h.at, err = d.place(ctx, in.Address, in.RequestID); err != nil {
			return tandem.Event{}, err
		}
		ap.Threads = []tandem.Address{h.at.home}
		if target != h.at.home { // else it goes back to where it came from
			ap.Threads = append(ap.Threads, target)
		}
		if res, err = d.Append(ctx, ap); err != errMoved {
			break
		}
	}
	if err != nil {
		return tandem.Event{}, err
	}
	return res.Events[0][0], nil
}

func errTarget() error {
	return tandem.Errorf(tandem.Invalid, "a handoff needs another workflow as its target")
}

// handingOn is a handoff on its way into the log.
type handingOn struct {
	desk    *Desk
	in      Escalation
	at      place
	target  tandem.Address
	meta    tandem.Meta
	ids     [3]string // of the message, the state event and the answer
	request string    // requestId of the answer, if the handoff has none
}

// decide is Handoff's rule.
func (h *handingOn) decide(now time.Time, on []store.State) ([]store.Write, error) {
	active, in := on[0].Active, h.in
	switch {
	case h.at.moved(&on[0]):
		return nil, errMoved
	case in.Conversation != "" && (active == nil || active.ID != in.Conversation):
		return nil, tandem.Errorf(tandem.Conflict, "the conversation has ended")
	case h.target.Workflow == answering(active, h.at.home):
		return nil, errTarget()
	}
	if in.RequestID == "" && active != nil {
		in.RequestID = h.request // by which who answers may name it
	}
	e, m, err := handoffEvent(h.ids[0], active, in, h.meta, on[0].Thread.Control.Epoch, &h.target)
	if err != nil {
		return nil, err
	}
	home := store.Write{Thread: on[0].Thread, Events: []tandem.Event{e}}
	if active != nil {
		c := *active
		if err := h.passOn(now, &home, &c, &m); err != nil {
			return nil, err
		}
	}
	if len(on) == 1 {
		return []store.Write{home}, nil
	}
	there := copied(&home, on[1].Thread, tandem.Address{})
	if active != nil {
		there.Thread.Control.Serves = active.Address.Workflow
	}
	return []store.Write{home, there}, nil
}

// passOn makes the target's workflow the one that answers c, and asks its agent.
func (h *handingOn) passOn(now time.Time, home *store.Write, c *tandem.Conversation, m *tandem.Message) error {
	c.Answering = h.target.Workflow
	if h.target == h.at.home {
		c.Answering = ""
	}
	if _, has := h.desk.turns.Closest(c.Address.Tenant, h.target.Workflow); !has && c.Mode == tandem.ModeAgent {
		c.Mode, c.WaitingSince, c.Epoch = tandem.ModeWaiting, now, home.Thread.Control.Epoch
		home.Dues = h.desk.dues(now, c)
	}
	asker := tandem.Principal{Tenant: c.Address.Tenant, Subject: c.Address.Participant, Role: tandem.Participant, Name: c.Name}
	h.desk.ask(home, c, asker, m, home.Thread.Head+1, "", h.ids[2])
	return addState(home, h.ids[1], c)
}

// AgentAsks is what an answering agent's wish to hand on becomes. The turns call
// it, with what they know of the conversation; the wiring connects them.
func (d *Desk) AgentAsks(ctx context.Context, a tandem.Address, conversation string, req tandem.HandoffRequest) error {
	workflow := a.Workflow
	if c, err := d.store.Conversation(ctx, a.Tenant, conversation); err == nil {
		workflow = answering(&c, a)
	} else if tandem.KindOf(err) != tandem.NotFound {
		return err
	}
	spec, _ := d.turns.Closest(a.Tenant, workflow)
	p := tandem.Principal{Tenant: a.Tenant, Role: tandem.Agent, Subject: spec.Name, Kind: tandem.CredentialSystem}
	in := Escalation{Address: a, Conversation: conversation, Reason: req.Reason, Urgency: req.Urgency, FromAgent: spec.Name}
	if r := []rune(in.Reason); len(r) > MaxReason {
		in.Reason = string(r[:MaxReason])
	}
	if req.To == "" || req.To == "person" {
		in.ToAgent, in.Text = "human-agent", "Transferring to a person"
		_, _, err := d.Escalate(ctx, p, in)
		return err
	}
	target, err := tandem.NewAddress(a.Tenant, tandem.ParseWorkflow(a.Tenant, req.To), a.Participant)
	if err != nil {
		return err
	}
	in.ToAgent, in.Text = target.Workflow, "Transferring to "+target.Workflow
	_, err = d.Handoff(ctx, p, in, target)
	return err
}

// OnDuty reports whether somebody who could answer has a stream open now.
func (d *Desk) OnDuty(ctx context.Context, a tandem.Address) bool {
	t, err := d.store.Thread(ctx, a)
	if err == nil && t.Control.Holder != "" {
		return true // somebody is at it
	}
	return d.hub.Any(func(p tandem.Principal) bool { return p.Tenant == a.Tenant && p.Staff() && p.Serves(a.Workflow) })
}
