package desktest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// boardRow is what of a row a reader of the board compares.
type boardRow struct {
	ID      string         `json:"conversation_id"`
	Status  tandem.Status  `json:"status"`
	Mode    tandem.Mode    `json:"mode"`
	Urgency tandem.Urgency `json:"urgency"`
	Admin   *string        `json:"admin_id"`
	Epoch   int64          `json:"control_epoch"`
}

// A boardReader follows the board over many connections.
type boardReader struct {
	t     *testing.T
	who   tandem.Principal
	token string

	last      string // event id
	rev       int64
	rows      map[string]boardRow
	snapshots int
	conns     int
	upserts   int
}

// connect reads for a while, or until the sentinel comes.
func (r *boardReader) connect(x *desktest.Tandem, sentinel string) {
	var header []string
	if r.last != "" {
		header = []string{"Last-Event-ID", r.last}
	}
	s := opens(x, r.token, "/api/conversations/stream", header...)
	defer s.close()
	r.conns++
	most, n := 1+rand.N(8), 0
	patient := time.After(time.Duration(rand.N(300)) * time.Millisecond)
	for from := 0; ; {
		shown, news := s.all()
		for _, e := range shown[from:] {
			r.event(e)
			if n++; n >= most || r.rows[sentinel].ID != "" {
				return // what came after it was not read
			}
		}
		from = len(shown)
		select {
		case <-news:
		case <-patient:
			return
		}
	}
}

func (r *boardReader) event(e shownEvent) {
	var f struct {
		Conversations []boardRow `json:"conversations"`
		Conversation  boardRow   `json:"conversation"`
		ID            string     `json:"conversation_id"`
	}
	if e.name == "hint" || e.name == "heartbeat" {
		return
	}
	if err := json.Unmarshal([]byte(e.data), &f); err != nil {
		r.t.Errorf("%v in %s %s", err, e.name, e.data)
	}
	switch e.name {
	case "snapshot":
		r.snapshots++
		for _, row := range f.Conversations {
			r.rows[row.ID] = row
		}
	case "upsert":
		r.upserts++
		r.rows[f.Conversation.ID] = f.Conversation
	case "removed":
		delete(r.rows, f.ID) // perhaps it came and went between two connections
	default:
		r.t.Errorf("%s: %s %s", r.who.Subject, e.name, e.data)
		return
	}
	at, _, _ := strings.Cut(strings.TrimPrefix(e.id, "b"), "-")
	rev, err := strconv.ParseInt(at, 10, 64)
	if err != nil || rev <= r.rev && e.name != "snapshot" {
		r.t.Errorf("%s: %s has the id %q after revision %d", r.who.Subject, e.name, e.id, r.rev)
	}
	r.rev, r.last = rev, e.id
}

// Half of the rings get lost and every connection ends after a few events; yet what
// is opened, changed, ended and erased reaches the board of each who may see it, no
// revision twice, and at last all have the rows that are stored. Seen to fail by
// going on from the head, by going on from a place one revision early, and by
// tombstones that are not told.
func TestBoard_tellsEachRevisionOnceOverManyConnections(t *testing.T) {
	changes := 200
	if testing.Short() {
		changes = 80
	}
	x := desktest.Start(t, desktest.Options{Lose: func() bool { return rand.N(2) == 0 }})
	readers := []*boardReader{
		{who: person("lee", tandem.Supervisor)},
		{who: person("boss", tandem.Owner)},
		{who: person("maya", tandem.Operator)},
		{who: person("zoe", tandem.Operator)},
	}
	sentinel := "conv_that_is_all"
	var reading sync.WaitGroup
	for _, r := range readers {
		r.t, r.rows, r.token = t, map[string]boardRow{}, x.Token(r.who.Subject, r.who.Role)
		reading.Go(func() {
			for late := time.Now().Add(4 * within); r.rows[sentinel].ID == "" && time.Now().Before(late); {
				r.connect(x, sentinel)
			}
		})
	}
	for i := range changes {
		if err := changeSomething(x, i); err != nil {
			t.Fatal(err)
		}
		waitFor(t.Context(), time.Duration(rand.N(5))*time.Millisecond)
	}
	if _, _, err := x.Desk.Open(t.Context(), backEnd(), desk.Opening{Address: desktest.Address("sentinel"), ID: sentinel}); err != nil {
		t.Fatal(err)
	}
	reading.Wait()
	stored, err := x.Store.Conversations(t.Context(), store.ConversationFilter{Tenant: "default"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readers {
		r.compare(stored)
		if r.snapshots != 1 || r.conns < 10 && !t.Failed() {
			t.Errorf("%s: %d snapshots in %d connections", r.who.Subject, r.snapshots, r.conns)
		}
		t.Logf("%s: %d upserts in %d connections", r.who.Subject, r.upserts, r.conns)
	}
}

// compare looks whether the reader has what is stored, as far as it may see it.
func (r *boardReader) compare(stored []tandem.Conversation) {
	known := map[string]bool{}
	for i := range stored {
		c := &stored[i]
		known[c.ID] = true
		row, has := r.rows[c.ID]
		switch {
		case !r.who.MaySee(c):
			if has {
				r.t.Errorf("%s still has %s, which %s holds", r.who.Subject, c.ID, c.AdminID)
			}
		case !has && c.Status == tandem.StatusEnded:
			r.t.Errorf("%s was never told that %s has ended", r.who.Subject, c.ID)
		case !has:
			r.t.Errorf("%s does not have %s", r.who.Subject, c.ID)
		case row.Status != c.Status || row.Mode != c.Mode || row.Urgency != c.Urgency || row.Epoch != c.Epoch || deref(row.Admin) != c.AdminID:
			r.t.Errorf("%s has %+v, stored is %+v", r.who.Subject, row, *c)
		}
	}
	for id := range r.rows {
		if !known[id] {
			r.t.Errorf("%s has %s, which is erased", r.who.Subject, id)
		}
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// changeSomething opens, changes, ends or erases a conversation of one of a few
// people.
func changeSomething(x *desktest.Tandem, i int) error {
	ctx, d, lead := x.T.Context(), x.Desk, person("lee", tandem.Supervisor)
	a := desktest.Address(fmt.Sprint("user-", rand.N(6)))
	c, opened, err := d.Open(ctx, backEnd(), desk.Opening{Address: a})
	if err != nil || opened {
		return err
	}
	switch n := rand.N(12); {
	case n < 3:
		urgency := []tandem.Urgency{tandem.UrgencyNormal, tandem.UrgencyUrgent, tandem.UrgencyCritical}[i%3]
		_, err = d.Change(ctx, lead, c.ID, desk.Patch{Urgency: &urgency})
	case n < 7 && c.AdminID == "":
		_, err = d.Takeover(ctx, person([]string{"maya", "zoe"}[i%2], tandem.Operator), c.ID, false)
	case n < 9 && c.AdminID != "":
		_, err = d.Release(ctx, lead, c.ID, "queue")
	case n == 9:
		_, err = d.End(ctx, lead, c.ID, "")
	case n == 10:
		err = d.Erase(ctx, person("boss", tandem.Owner), a)
	default:
		_, err = d.Say(ctx, backEnd(), desk.Say{Conversation: c.ID, Messages: []desk.Saying{{Content: "words", Role: tandem.RoleUser}}})
	}
	return err
}
