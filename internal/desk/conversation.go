package desk

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Seen is a conversation as it is shown in lists and rows.
type Seen struct {
	tandem.Conversation
	Place int   // in the waiting queue of its workflow: 1 is next; 0: it does not wait
	Words Words // the last ones; of lists and the board only
}

// Words are the last words of a conversation, and how many of the participant's
// messages no operator has read.
type Words struct {
	Text   string
	Role   tandem.Role
	At     time.Time
	Unread int
}

// conversation returns the conversation of this id that p may see. An id of a
// call names its ACTIVE conversation. Errors: NotFound, Forbidden.
func (d *Desk) conversation(ctx context.Context, p tandem.Principal, id string) (tandem.Conversation, error) {
	c, err := d.named(ctx, p.Tenant, id)
	if err != nil {
		return c, err
	}
	return c, maySee(p, &c, id)
}

// maySee refuses p unless it may see c, which was asked for by this id.
func maySee(p tandem.Principal, c *tandem.Conversation, id string) error {
	if p.Session != "" || !p.MaySee(c) {
		return errDenied()
	}
	if p.Role == tandem.Participant && c.EndReason == tandem.EndDeleted { // it took that back itself
		return errNoConversation(id)
	}
	return nil
}

// named returns the tenant's conversation of this id, whoever asks.
func (d *Desk) named(ctx context.Context, tenant, id string) (c tandem.Conversation, err error) {
	if tandem.IsCall(id) {
		c, err = d.store.Call(ctx, tenant, id)
	} else {
		c, err = d.store.Conversation(ctx, tenant, id)
	}
	if err != nil && tandem.KindOf(err) == tandem.NotFound {
		err = errNoConversation(id)
	}
	return c, err
}

func errNoConversation(id string) error {
	if r := []rune(id); len(r) > tandem.MaxName {
		id = string(r[:tandem.MaxName]) + "…"
	}
	if tandem.IsCall(id) {
		return tandem.Errorf(tandem.NotFound, "Call '%s' not found or no longer active", id)
	}
	return tandem.Errorf(tandem.NotFound, "Conversation '%s' not found", id)
}

func errDenied() error {
	return tandem.Errorf(tandem.Forbidden, "Access denied. You don't have permission to view this conversation.")
}

func errEnded() error { return tandem.Errorf(tandem.Conflict, "Conversation has ended") }

// seen adds to a conversation what its row shows besides.
func (d *Desk) seen(ctx context.Context, c tandem.Conversation) (Seen, error) {
	s := Seen{Conversation: c}
	if c.Mode != tandem.ModeWaiting || c.Status != tandem.StatusActive {
		return s, nil
	}
	in, err := d.places(ctx, c.Address.Tenant, c.Address.Workflow)
	s.Place = in[c.ID]
	return s, err
}

// Snapshot is a conversation with its messages, at one moment.
type Snapshot struct {
	Seen
	Messages []tandem.Event // those that count, oldest first
	Notes    []tandem.Event // what operators, or those who steer, said among themselves
	Drafts   []tandem.Event // an agent's words that wait for an operator
	Total    int            // of Messages
	Cursor   tandem.Cursor  // after the last event
}

// Snapshot returns a conversation as p may see it. Errors: NotFound, Forbidden.
func (d *Desk) Snapshot(ctx context.Context, p tandem.Principal, id string) (Snapshot, error) {
	c, err := d.conversation(ctx, p, id)
	if err != nil {
		return Snapshot{}, err
	}
	s, _, err := d.snapshot(ctx, p, c.ID)
	return s, err
}

// snapshot reads the conversation anew and judges it again: it may have changed
// hands since it was found.
func (d *Desk) snapshot(ctx context.Context, p tandem.Principal, id string) (Snapshot, tandem.Thread, error) {
	read, err := d.store.Snapshot(ctx, p.Tenant, id)
	if err != nil {
		if tandem.KindOf(err) == tandem.NotFound {
			err = errNoConversation(id)
		}
		return Snapshot{}, tandem.Thread{}, err
	}
	if !p.MaySee(&read.Conversation) {
		return Snapshot{}, tandem.Thread{}, errDenied()
	}
	s := Snapshot{Cursor: read.Thread.HeadCursor()}
	if s.Seen, err = d.seen(ctx, read.Conversation); err != nil {
		return s, read.Thread, err
	}
	gone := map[string]bool{}
	for i := range read.Events {
		if g, ok := draftGone(&read.Events[i]); ok {
			gone[g.MessageID] = true
		}
	}
	for _, e := range read.Events {
		m, ok := messageIn(&e, id)
		switch {
		case !ok || !e.Audience.VisibleTo(p.Audience()):
		case m.Counts(e.Audience):
			s.Messages = append(s.Messages, e)
		case m.Draft:
			if !gone[e.ID] {
				s.Drafts = append(s.Drafts, e)
			}
		case e.Audience != tandem.Everyone && m.Type == tandem.Chat:
			s.Notes = append(s.Notes, e)
		}
	}
	s.Total = len(s.Messages)
	return s, read.Thread, nil
}

// messageIn reads an event that is a message of this conversation.
func messageIn(e *tandem.Event, conversation string) (tandem.Message, bool) {
	if e.Kind != tandem.KindMessage && e.Kind != tandem.KindAnswerEnded {
		return tandem.Message{}, false
	}
	m, err := e.Message()
	return m, err == nil && m.Conversation == conversation
}

// messageID is the id of the next message of a conversation: made from its number
// and time if it has them, else the one that was made before. Who decides an
// append calls it once for each message.
func messageID(w *store.Write, c *tandem.Conversation, made string) string {
	if c == nil || c.Stamp == "" || c.Opaque {
		return made
	}
	w.Thread.Counter++
	return fmt.Sprintf("msg_%s_%04d", c.Stamp, w.Thread.Counter)
}

// counted reads the number out of an id that has the form of the conversation's
// own ids; ok is false for any other id.
func counted(c *tandem.Conversation, id string) (n int64, ok bool) {
	rest, found := strings.CutPrefix(id, "msg_"+c.Stamp+"_")
	if c.Stamp == "" || !found || len(rest) < 4 || len(rest) > 15 {
		return 0, false
	}
	for _, r := range rest {
		if r < '0' || r > '9' {
			return 0, false
		}
		n = 10*n + int64(r-'0')
	}
	return n, true
}

// digits are the digits of a telephone number; none if it cannot be one.
func digits(number string) string {
	var b strings.Builder
	for i, r := range number {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '+' && i == 0, r == ' ', r == '-', r == '(', r == ')', r == '.', r == '/':
		default:
			return ""
		}
	}
	if b.Len() < 3 || b.Len() > 20 {
		return ""
	}
	return b.String()
}

// checkTime reads a time that a gateway gave (RFC 3339, which has an offset).
func checkTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || len(s) > 40 {
		return t, tandem.Errorf(tandem.Invalid, "timestamp must be a time with an offset, such as 2025-10-03T11:58:04+05:30")
	}
	return t, nil
}

// Patch says what of a conversation is to change; nil leaves it as it is.
type Patch struct {
	Urgency  *tandem.Urgency
	Status   *tandem.Status // ENDED ends it
	Medium   *string
	Name     *string
	CallID   *string
	MobileNo *string
}

func (in *Patch) check() error {
	for _, l := range []struct {
		what  string
		value *string
	}{{"medium", in.Medium}, {"name", in.Name}, {"call_id", in.CallID}, {"mobile_no", in.MobileNo}} {
		if l.value == nil {
			continue
		}
		if err := tandem.ValidLabel(l.what, *l.value); err != nil {
			return err
		}
	}
	if in.MobileNo != nil && *in.MobileNo != "" && digits(*in.MobileNo) == "" {
		return errNumber()
	}
	if in.CallID != nil && *in.CallID != "" && !tandem.IsCall(*in.CallID) {
		return tandem.Errorf(tandem.Invalid, `call_id must begin with "call_"`)
	}
	return nil
}

func errNumber() error {
	return tandem.Errorf(tandem.Invalid, "mobile_no must be a telephone number of 3 to 20 digits")
}

// apply changes c and reports whether anything did change.
func (in *Patch) apply(c *tandem.Conversation) bool {
	was := *c
	if in.Urgency != nil {
		c.Urgency = *in.Urgency
	}
	for _, f := range []struct{ to, from *string }{{&c.Medium, in.Medium}, {&c.Name, in.Name}, {&c.CallID, in.CallID}, {&c.MobileNo, in.MobileNo}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	return c.Urgency != was.Urgency || c.Medium != was.Medium || c.Name != was.Name || c.CallID != was.CallID || c.MobileNo != was.MobileNo
}

// Change changes what a conversation is known by. It touches nobody's control
// but by ending. Back ends and people who answer may; participants are Forbidden.
// Errors: Invalid, NotFound, Forbidden, Conflict.
func (d *Desk) Change(ctx context.Context, p tandem.Principal, id string, in Patch) (Seen, error) {
	c, err := d.conversation(ctx, p, id)
	if err != nil {
		return Seen{}, err
	}
	if p.Role == tandem.Participant {
		return Seen{}, errDenied()
	}
	if err := in.check(); err != nil {
		return Seen{}, err
	}
	if in.Status != nil && *in.Status == tandem.StatusEnded {
		return d.End(ctx, p, c.ID, "")
	}
	event, call := tandem.NewID("evt_", d.clock()), ""
	if in.CallID != nil {
		call = *in.CallID
	}
	res, err := d.Append(ctx, store.Append{
		Threads: []tandem.Address{c.Address}, Call: call,
		Decide: func(_ time.Time, on []store.State) ([]store.Write, error) {
			w := store.Write{Thread: on[0].Thread}
			if on[0].Active == nil || on[0].Active.ID != c.ID {
				return nil, errEnded()
			}
			if on[0].Called != nil && on[0].Called.ID != c.ID {
				return nil, errCallTaken()
			}
			now := *on[0].Active
			if !p.MaySee(&now) {
				return nil, errDenied()
			}
			if in.apply(&now) {
				if err := addState(&w, event, &now); err != nil {
					return nil, err
				}
			}
			return []store.Write{w}, nil
		},
	})
	if err != nil {
		return Seen{}, err
	}
	return d.seen(ctx, *res.Active[0])
}

func errCallTaken() error {
	return tandem.Errorf(tandem.Conflict, "This call belongs to another conversation that goes on.")
}

// addState adds the entry that tells of a conversation's change, and the change.
func addState(w *store.Write, id string, c *tandem.Conversation) error {
	e, err := stateEvent(id, c)
	w.Events = append(w.Events, e)
	w.Conversation = c
	return err
}

// clip shortens a text to n code points.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}
