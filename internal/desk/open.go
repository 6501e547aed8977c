package desk

import (
	"context"
	"fmt"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Opening says how a conversation is to begin. What is left empty is made.
type Opening struct {
	Address   tandem.Address // the participant may be empty if there is a number
	ID        string
	CallID    string
	Medium    string
	Timestamp string // when it began, RFC 3339
	Name      string // the participant's display name
	MobileNo  string
	Urgency   tandem.Urgency
	Opaque    bool // no id is made from the number
}

// Open begins a conversation, or returns the one of the thread that is ACTIVE.
// Back ends and people who answer may. Ids are made from the number and the time
// where there are both. Errors: Forbidden, Invalid; Conflict for an id that is
// another conversation's.
func (d *Desk) Open(ctx context.Context, p tandem.Principal, in Opening) (s Seen, opened bool, err error) {
	if p.Role == tandem.Participant || p.Session != "" {
		return s, false, errDenied()
	}
	began, err := in.check(d.clock())
	if err != nil {
		return s, false, err
	}
	if !p.Serves(in.Address.Workflow) || p.Tenant != in.Address.Tenant {
		return s, false, errDenied()
	}
	number := digits(in.MobileNo)
	stamp := number + "_" + began.Format("20060102_150405")
	if number == "" || in.Opaque {
		stamp = ""
	}
	for n := 1; n <= maxSameSecond; n++ {
		try := in
		try.fill(stamp, n, d.clock())
		c, opened, err := d.open(ctx, p, try, began, stamped(stamp, n))
		if err == errIDTaken && in.ID == "" {
			continue // another began in the same second
		}
		if err != nil {
			return s, false, err
		}
		s, err = d.seen(ctx, c)
		return s, opened, err
	}
	return s, false, errIDTaken
}

// maxSameSecond bounds how many conversations of one number may begin in one second.
const maxSameSecond = 100

var errIDTaken error = tandem.Errorf(tandem.Conflict, "This conversation_id was used before.")

// stamped is the part that ids of the n-th conversation of one second have in common.
func stamped(stamp string, n int) string {
	if n > 1 && stamp != "" {
		return fmt.Sprintf("%s_%d", stamp, n)
	}
	return stamp
}

// fill makes the ids that were not given.
func (in *Opening) fill(stamp string, n int, now time.Time) {
	voice := strings.EqualFold(in.Medium, "Voice")
	name := func(prefix string) string {
		if stamp == "" {
			return tandem.NewID(prefix, now)
		}
		return prefix + stamped(stamp, n)
	}
	if in.ID == "" && stamp != "" {
		in.ID = name("conv_")
	}
	if in.CallID == "" && (in.MobileNo != "" || voice) {
		in.CallID = name("call_")
	}
}

// check refuses what cannot be stored, fills in the participant, and returns when
// the conversation began.
func (in *Opening) check(now time.Time) (time.Time, error) {
	for _, l := range []struct{ what, value string }{
		{"conversation_id", in.ID},
		{"call_id", in.CallID},
		{"medium", in.Medium},
		{"name", in.Name},
		{"mobile_no", in.MobileNo},
	} {
		if err := tandem.ValidLabel(l.what, l.value); err != nil {
			return now, err
		}
	}
	for _, l := range []struct{ what, value string }{{"conversation_id", in.ID}, {"call_id", in.CallID}} {
		if err := validInPath(l.what, l.value); err != nil {
			return now, err
		}
	}
	if tandem.IsCall(in.ID) {
		return now, tandem.Errorf(tandem.Invalid, `conversation_id cannot begin with "call_"`)
	}
	patch := Patch{CallID: &in.CallID, MobileNo: &in.MobileNo}
	if err := patch.check(); err != nil {
		return now, err
	}
	began, err := checkTime(in.Timestamp)
	if err != nil {
		return now, err
	}
	if in.Timestamp == "" {
		began = now.UTC()
		in.Timestamp = began.Format(time.RFC3339)
	}
	if in.Address.Participant == "" && in.MobileNo != "" {
		in.Address.Participant = "worker_" + digits(in.MobileNo)
		if in.Opaque {
			in.Address.Participant = tandem.NewID("worker_", now)
		}
	}
	in.Address, err = tandem.NewAddress(in.Address.Tenant, in.Address.Workflow, in.Address.Participant)
	return began, err
}

// validInPath refuses an id that could not be reached: it is a part of a path.
func validInPath(what, id string) error {
	if id == "." || id == ".." || strings.ContainsAny(id, "/\\") {
		return tandem.Errorf(tandem.Invalid, "%s cannot be a dot or two, or contain a slash", what)
	}
	return nil
}

// isOurs reports whether an id has the form of those that are reserved for the next
// conversation of a thread, see [tandem.NewID].
func isOurs(id string) bool {
	rest, ok := strings.CutPrefix(id, "conv_")
	if !ok || len(rest) != 26 {
		return false
	}
	return strings.Trim(rest, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
}

func errOurs() error {
	return tandem.Errorf(tandem.Invalid, "conversation_id has the form of the server's own ids. Choose another, or none.")
}

// open is one try under one id.
func (d *Desk) open(ctx context.Context, p tandem.Principal, in Opening, began time.Time, stamp string) (c tandem.Conversation, opened bool, err error) {
	event := tandem.NewID("evt_", d.clock())
	_, has := d.turns.Closest(in.Address.Tenant, in.Address.Workflow)
	res, err := d.store.Append(ctx, store.Append{
		Threads: []tandem.Address{in.Address}, Conversation: in.ID, Call: in.CallID,
		Decide: func(now time.Time, on []store.State) ([]store.Write, error) {
			w := store.Write{Thread: on[0].Thread}
			if active := on[0].Active; active != nil {
				c, opened = *active, false
				if !p.MaySee(active) {
					return nil, errTaken(active)
				}
				return []store.Write{w}, nil
			}
			switch {
			case on[0].Named != nil:
				return nil, errIDTaken
			case isOurs(in.ID) && in.ID != w.Thread.Control.Reserved:
				return nil, errOurs() // it may be reserved for another thread
			case on[0].Called != nil:
				return nil, errCallTaken()
			}
			if in.ID != "" {
				w.Thread.Control.Reserved = in.ID
			}
			mode := tandem.ModeAgent
			if !has {
				mode = tandem.ModeWaiting
			}
			is := d.openConversation(&w, in.Address, now, mode, in.Medium)
			is.CallID, is.MobileNo, is.Name, is.Urgency = in.CallID, in.MobileNo, in.Name, in.Urgency
			is.Timestamp, is.Opaque, is.Stamp = in.Timestamp, in.Opaque, stamp
			w.Dues = d.dues(now, is)
			if err := addState(&w, event, is); err != nil {
				return nil, err
			}
			c, opened = *is, true
			return []store.Write{w}, nil
		},
	})
	if err == nil && opened {
		c = *res.Active[0]
	}
	return c, opened, err
}
