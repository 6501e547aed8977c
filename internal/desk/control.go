package desk

import (
	"context"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// patience is how long who changes control waits at most (WIRE, section 3:
// "within 3 s, or 503 with the holder unchanged"): so long an append may still be
// decided. What was decided in time is waited for.
const patience = 2500 * time.Millisecond

// A change is one change of who may speak. It is decided in the transaction that
// also cuts the answer under way.
type change struct {
	by     tandem.Principal
	action string // in the audit
	object string // of a transfer: to whom

	// decide changes c, which is ACTIVE and a copy, or refuses. same: all is as
	// wished already, and nothing is written.
	decide func(now time.Time, c *tandem.Conversation) (same bool, err error)

	// also, if not nil, adds to what is written, after the change.
	also func(now time.Time, w *store.Write, c *tandem.Conversation) error
}

// control makes the change on the conversation's thread. Errors: what decide
// returns; Conflict if it has ended; Unavailable, and then nothing has changed.
func (d *Desk) control(ctx context.Context, c tandem.Conversation, ch change) (Seen, store.Result, error) {
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	event := tandem.NewID("evt_", d.clock())
	var after tandem.Conversation
	res, err := d.turns.Seize(soon, tandem.FinishInterrupted, store.Append{
		Threads: []tandem.Address{c.Address},
		Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
			w := store.Write{Thread: on[0].Thread}
			if on[0].Active == nil || on[0].Active.ID != c.ID {
				return nil, errEnded()
			}
			is := *on[0].Active
			same, err := ch.decide(now, &is)
			if err != nil {
				return nil, err
			}
			if same {
				after = is
				return nil, errSame
			}
			if err := d.changed(now, &w, on[0].Active, &is, event, ch); err != nil {
				return nil, err
			}
			if ch.also != nil {
				if err := ch.also(now, &w, &is); err != nil {
					return nil, err
				}
			}
			after = is
			return []store.Write{w}, nil
		},
	})
	if err == errSame {
		err = nil
	}
	if err != nil {
		return Seen{}, res, err
	}
	s, err := d.seen(context.WithoutCancel(ctx), after) // it has happened: whoever asked is told so
	return s, res, err
}

// errSame ends a change that has nothing to do, so that no answer is cut for it.
var errSame error = tandem.Errorf(tandem.Conflict, "all is as wished")

// changed writes the change: the epoch is raised, so that whatever was begun under
// the old one is refused from now on.
func (d *Desk) changed(now time.Time, w *store.Write, was, c *tandem.Conversation, event string, ch change) error {
	t := &w.Thread.Control
	t.Epoch++
	t.Holder, c.Epoch = c.AdminID, t.Epoch
	if c.AdminID != "" && c.AdminID != was.AdminID {
		t.Taken = w.Thread.Head + 1
	}
	c.ReturnsAt = time.Time{}
	if c.Mode != tandem.ModeWaiting || c.Status == tandem.StatusEnded {
		c.WaitingSince, c.Unanswered = time.Time{}, false
	}
	if c.Status == tandem.StatusEnded {
		t.Conversation, t.Holder, c.LastSeq, c.EndedAt = "", "", w.Thread.Head+1, now
	}
	if err := addState(w, event, c); err != nil {
		return err
	}
	w.Dues = append(w.Dues, d.dues(now, c)...)
	if ch.action != "" {
		w.Audits = append(w.Audits, store.AuditOf(ch.by, ch.action, c.ID, ch.object))
	}
	return nil
}

// errTaken refuses who comes second.
func errTaken(c *tandem.Conversation) error {
	return tandem.Errorf(tandem.Conflict, "%s holds this conversation.", holderName(c))
}

func holderName(c *tandem.Conversation) string {
	if c.Holder == "" {
		return "Support"
	}
	return c.Holder
}

// errNotHolding refuses who would speak or decide in what nobody holds.
var errNotHolding error = tandem.Errorf(tandem.Conflict, "Take the conversation over first.")

// mayControl refuses whom no conversation of the workflow can be given to.
func mayControl(p tandem.Principal, c *tandem.Conversation) error {
	if !p.Staff() || p.Session != "" || !p.Serves(c.Address.Workflow) {
		return errDenied()
	}
	return nil
}

// known gives somebody who answers the name of the account with this subject, before
// the one that the credential says (WIRE, section 3: `holder`).
func (d *Desk) known(ctx context.Context, p tandem.Principal) tandem.Principal {
	if !p.Staff() || p.Kind == tandem.CredentialSystem {
		return p
	}
	a, err := d.store.Account(ctx, p.Tenant, p.Subject)
	if err == nil && a.Name != "" && strings.EqualFold(a.Username, p.Subject) {
		p.Name = a.Name
	}
	return p
}

// mayLead reports whether p may decide over what another holds.
func mayLead(p tandem.Principal) bool {
	return p.Role == tandem.Supervisor || p.Role == tandem.Owner
}

// take makes p the holder: of what nobody holds, or with force, which supervisors
// and owners have, of what another does.
func take(p tandem.Principal, force bool) func(time.Time, *tandem.Conversation) (bool, error) {
	return func(_ time.Time, c *tandem.Conversation) (bool, error) {
		switch {
		case c.AdminID == p.Subject && c.Mode == tandem.ModeOperator:
			return true, nil
		case c.AdminID != "" && !(force && mayLead(p)):
			return false, errTaken(c)
		}
		c.Mode, c.AdminID, c.Holder = tandem.ModeOperator, p.Subject, p.Display()
		return false, nil
	}
}

// Takeover makes p the one who speaks. When it returns without an error no agent
// text beyond the cut exists in any log, frame or buffer. Who holds it already
// changes nothing. Errors: NotFound; Conflict with the name of who holds it, or
// if it has ended; Forbidden; Unavailable, and then the holder is unchanged.
func (d *Desk) Takeover(ctx context.Context, p tandem.Principal, id string, force bool) (Seen, error) {
	c, err := d.named(ctx, p.Tenant, id)
	if err == nil {
		err = mayControl(p, &c)
	}
	if err != nil {
		return Seen{}, err
	}
	p = d.known(ctx, p)
	s, _, err := d.control(ctx, c, change{by: p, action: "takeover", decide: take(p, force)})
	return s, err
}

// Release gives the conversation back: to its agent, or, if to is "queue" or there
// is no agent, to those who wait. Its holder may, and who leads. Errors: as of
// Takeover; Invalid for another to.
func (d *Desk) Release(ctx context.Context, p tandem.Principal, id, to string) (Seen, error) {
	if to != "" && to != "agent" && to != "queue" {
		return Seen{}, tandem.Errorf(tandem.Invalid, "to must be agent or queue")
	}
	c, err := d.named(ctx, p.Tenant, id)
	if err == nil {
		err = mayControl(p, &c)
	}
	if err != nil {
		return Seen{}, err
	}
	s, _, err := d.control(ctx, c, change{by: p, action: "release", object: to, decide: func(now time.Time, c *tandem.Conversation) (bool, error) {
		if err := holds(p, c); err != nil {
			return false, err
		}
		return false, d.giveBack(now, c, to)
	}})
	return s, err
}

// holds refuses who does not hold c and may not lead.
func holds(p tandem.Principal, c *tandem.Conversation) error {
	switch {
	case c.AdminID == "":
		return errNotHolding
	case c.AdminID != p.Subject && !mayLead(p):
		return errTaken(c)
	}
	return nil
}

// giveBack makes c nobody's: the agent's, or one that waits.
func (d *Desk) giveBack(now time.Time, c *tandem.Conversation, to string) error {
	_, has := d.turns.Closest(c.Address.Tenant, answering(c, c.Address))
	if to == "agent" && !has {
		return tandem.Errorf(tandem.Conflict, "No agent answers for this workflow. Release it to the queue.")
	}
	c.AdminID, c.Holder = "", ""
	if to == "queue" || !has {
		c.Mode, c.WaitingSince, c.Escalated = tandem.ModeWaiting, now, true
		return nil
	}
	c.Mode, c.Escalated, c.Reason = tandem.ModeAgent, false, ""
	return nil
}

// Transfer gives the conversation to a named operator: somebody with an account
// who serves the workflow, or who is here now. Its holder may, and who leads.
// Errors: as of Takeover; NotFound for somebody who is neither.
func (d *Desk) Transfer(ctx context.Context, p tandem.Principal, id, to string) (Seen, error) {
	c, err := d.named(ctx, p.Tenant, id)
	if err == nil {
		err = mayControl(p, &c)
	}
	if err != nil {
		return Seen{}, err
	}
	if to == "" {
		return Seen{}, tandem.Errorf(tandem.Invalid, "admin_id is required")
	}
	if err := tandem.ValidLabel("admin_id", to); err != nil {
		return Seen{}, err
	}
	heir, err := d.heir(ctx, c.Address, to)
	if err != nil {
		return Seen{}, err
	}
	s, _, err := d.control(ctx, c, change{by: p, action: "transfer", object: heir.Subject, decide: func(_ time.Time, c *tandem.Conversation) (bool, error) {
		if err := holds(p, c); err != nil && !(c.AdminID == "" && mayLead(p)) {
			return false, err
		}
		if c.AdminID == heir.Subject {
			return true, nil
		}
		c.Mode, c.AdminID, c.Holder = tandem.ModeOperator, heir.Subject, heir.Display()
		return false, nil
	}})
	return s, err
}

// heir finds who is to get a conversation of the thread.
func (d *Desk) heir(ctx context.Context, a tandem.Address, to string) (tandem.Principal, error) {
	account, err := d.store.Account(ctx, a.Tenant, to)
	switch {
	case err == nil && account.Disabled.IsZero():
		heir := tandem.Principal{Tenant: a.Tenant, Subject: account.Username, Role: account.Role, Workflows: account.Workflows, Name: account.Name}
		if heir.Staff() && heir.Serves(a.Workflow) {
			return heir, nil
		}
	case err != nil && tandem.KindOf(err) != tandem.NotFound:
		return tandem.Principal{}, err
	}
	var heir tandem.Principal
	here := err != nil && d.hub.Any(func(p tandem.Principal) bool {
		if p.Tenant != a.Tenant || p.Subject != to || !p.Staff() || !p.Serves(a.Workflow) {
			return false
		}
		heir = p
		return true
	})
	if !here {
		return heir, tandem.Errorf(tandem.NotFound, "There is no operator '%s' who could take this conversation.", clip(to, tandem.MaxName))
	}
	return heir, nil
}

// End closes the conversation. Its holder may, who leads, a back end, and its
// participant. One that has ended already stays as it is. Errors: as of Takeover;
// Invalid for a reason that is too long.
func (d *Desk) End(ctx context.Context, p tandem.Principal, id, reason string) (Seen, error) {
	if err := tandem.ValidLabel("reason", reason); err != nil {
		return Seen{}, err
	}
	c, err := d.conversation(ctx, p, id)
	if err != nil {
		return Seen{}, err
	}
	if c.Status == tandem.StatusEnded {
		return Seen{Conversation: c}, nil
	}
	s, _, err := d.control(ctx, c, change{by: p, action: "end", object: reason, decide: func(_ time.Time, c *tandem.Conversation) (bool, error) {
		if p.Role == tandem.Operator {
			if err := holds(p, c); err != nil {
				return false, err
			}
		}
		finished(c, reason)
		return false, nil
	}})
	if err != nil { // unless somebody else ended it in the same moment
		if is, unseen := d.conversation(ctx, p, c.ID); unseen == nil && is.Status == tandem.StatusEnded {
			return Seen{Conversation: is}, nil
		}
	}
	return s, err
}

// finished makes c one that has ended. Who held it is kept: it was theirs.
func finished(c *tandem.Conversation, reason string) {
	c.Status, c.EndReason = tandem.StatusEnded, reason
	c.WaitingSince, c.Answering, c.Unanswered = time.Time{}, "", false
}
