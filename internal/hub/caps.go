package hub

import (
	"sync"

	tandem "github.com/seed4677ff1f/tandem"
)

// Holder is whose open streams are counted together.
type Holder struct {
	Tenant  string
	Role    tandem.PrincipalRole
	Subject string
	Of      string // of an agent key: the participant it names
}

// HolderOf returns in whose name p follows the thread a.
func HolderOf(p tandem.Principal, a tandem.Address) Holder {
	h := Holder{Tenant: p.Tenant, Role: p.Role, Subject: p.Subject}
	if p.Role == tandem.Agent {
		h.Subject, h.Of = p.ID, a.Participant
	}
	return h
}

// caps counts open streams, and knows which one a ticket has open.
type caps struct {
	mu      sync.Mutex // guards open, tickets
	open    map[Holder]int
	tickets map[string]*Watcher // by the ticket's id
}

func (c *caps) enter(k Holder, max int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if max > 0 && c.open[k] >= max {
		return false
	}
	c.open[k]++
	return true
}

// replace makes w the stream of its ticket and returns the one that was.
func (c *caps) replace(w *Watcher) *Watcher {
	c.mu.Lock()
	defer c.mu.Unlock()
	older := c.tickets[w.ticket]
	c.tickets[w.ticket] = w
	return older
}

// forget takes w's ticket back, unless a newer stream has it.
func (c *caps) forget(w *Watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.ticket != "" && c.tickets[w.ticket] == w {
		delete(c.tickets, w.ticket)
	}
}

func (c *caps) leave(k Holder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[k]--; c.open[k] <= 0 {
		delete(c.open, k)
	}
}
