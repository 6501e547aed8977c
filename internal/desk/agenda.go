package desk

import (
	"slices"
	"sync"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// agenda is what falls due, and what was committed since Run last looked: who has
// to be told a new place in a queue, and which rows of the board have new words.
type agenda struct {
	mu     sync.Mutex // guards all below
	due    map[dueKey]store.Due
	queues map[queueKey]bool
	words  map[tandem.Address]bool
	gone   map[tandem.Address]int64 // erased up to here, and forgotten on this node
	bell   chan struct{}            // has something in it if there is news
}

type dueKey struct{ tenant, conversation, kind string }

// queueKey names a waiting queue: there is one for each workflow.
type queueKey struct{ tenant, workflow string }

func newAgenda() *agenda {
	return &agenda{due: map[dueKey]store.Due{}, queues: map[queueKey]bool{}, words: map[tandem.Address]bool{}, gone: map[tandem.Address]int64{}, bell: make(chan struct{}, 1)}
}

func (g *agenda) ring() {
	select {
	case g.bell <- struct{}{}:
	default:
	}
}

// erased notes that this node forgets what was erased of a thread up to seq, and
// reports whether it had already.
func (g *agenda) erased(a tandem.Address, seq int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone[a] >= seq {
		return true
	}
	g.gone[a] = seq
	return false
}

// add takes over timers; one without a time is taken away. mu is held.
func (g *agenda) add(list []store.Due) {
	for _, due := range list {
		k := dueKey{due.Tenant, due.Conversation, due.Kind}
		if due.At.IsZero() {
			delete(g.due, k)
			continue
		}
		g.due[k] = due
	}
}

// noted takes note of what was committed. It is called by the store's writer and
// does not block.
func (d *Desk) noted(c *store.Committed) {
	said := false
	for i := range c.Events {
		k := c.Events[i].Kind
		said = said || k == tandem.KindMessage || k == tandem.KindAnswerEnded
	}
	if len(c.Dues) == 0 && c.Conversation == nil && !said {
		return
	}
	g := d.agenda
	g.mu.Lock()
	defer g.mu.Unlock()
	g.add(c.Dues)
	if c.Conversation != nil {
		g.queues[queueKey{c.Address.Tenant, c.Address.Workflow}] = true
	}
	if said && !c.Address.Internal() {
		g.words[c.Address] = true
	}
	g.ring()
}

// reword notes that the last words of a thread, or who has read them, have changed.
func (g *agenda) reword(a tandem.Address) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.words[a] = true
	g.ring()
}

// next takes what is due at now, and returns when to look again.
func (g *agenda) next(now time.Time) (due []store.Due, queues []queueKey, words []tandem.Address, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at = now.Add(time.Hour)
	for k, one := range g.due {
		if !one.At.After(now) {
			due = append(due, one)
			delete(g.due, k)
		} else if one.At.Before(at) {
			at = one.At
		}
	}
	for k := range g.queues {
		queues = append(queues, k)
	}
	for a := range g.words {
		words = append(words, a)
	}
	clear(g.queues)
	clear(g.words)
	slices.SortFunc(due, func(a, b store.Due) int { return a.At.Compare(b.At) })
	return due, queues, words, at
}

// again puts a timer back that could not be served now.
func (g *agenda) again(due store.Due, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := dueKey{due.Tenant, due.Conversation, due.Kind}
	if _, newer := g.due[k]; !newer {
		due.At = at
		g.due[k] = due
	}
}
