package desk

import (
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Rules are what an operator of the server may decide about conversations.
type Rules struct {
	RefuseWhileHeld bool          // agents' pushes are refused while an operator holds; else they become drafts
	PickupAfter     time.Duration // nobody took a waiting conversation: it becomes more urgent; 0: never
	SilenceAfter    time.Duration // its holder neither wrote nor is here: it goes back; 0: never
	OnSilence       string        // where to: queue, agent (never of CRITICAL), or keep
	EndAfter        time.Duration // a text conversation without a word ends; 0: never
}

// DefaultRules are those of a server that was told nothing else.
func DefaultRules() Rules {
	return Rules{PickupAfter: 2 * time.Minute, SilenceAfter: 10 * time.Minute, OnSilence: "queue", EndAfter: 24 * time.Hour}
}

// The kinds of what falls due.
const (
	duePickup  = "pickup"  // somebody should have taken it
	dueSilence = "silence" // its holder should have said something
	dueReturn  = "return"  // the countdown of a silent holder is over
	dueIdle    = "idle"    // nobody has said a word
)

// countdown is how long a silent holder is shown that the conversation goes back.
const countdown = time.Minute

// dues are the timers of a conversation after a change of control, armed with the
// epoch that it brought: one that is late finds another epoch and does nothing. A
// zero time takes one away.
func (d *Desk) dues(now time.Time, c *tandem.Conversation) []store.Due {
	list := []store.Due{{Kind: duePickup}, {Kind: dueSilence}, {Kind: dueReturn}, {Kind: dueIdle}}
	r := &d.rules
	if c.Status == tandem.StatusActive {
		if c.Mode == tandem.ModeWaiting && r.PickupAfter > 0 && !c.Unanswered {
			list[0].At = now.Add(r.PickupAfter)
		}
		if c.AdminID != "" && r.SilenceAfter > 0 && r.OnSilence != "keep" {
			list[1].At = now.Add(r.SilenceAfter)
		}
		if r.EndAfter > 0 && isText(c) {
			list[3].At = now.Add(r.EndAfter)
		}
	}
	for i := range list {
		list[i].Tenant, list[i].Conversation, list[i].Address, list[i].Epoch = c.Address.Tenant, c.ID, c.Address, c.Epoch
	}
	return list
}

// isText reports whether the conversation ends by itself: calls are ended by
// their gateway.
func isText(c *tandem.Conversation) bool {
	return c.CallID == "" && !strings.EqualFold(c.Medium, "Voice")
}
