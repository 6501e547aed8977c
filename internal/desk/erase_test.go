package desk_test

import (
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

func owner() tandem.Principal { return staff("root", tandem.Owner) }

func TestDelete_byItsParticipantHidesIt(t *testing.T) {
	o := open(t, setup{})
	id := o.openFor("ann")
	o.pushes("ann", "an answer")
	r := o.follows(eventsOf("ann"))
	if err := o.desk.Delete(t.Context(), participant("ann"), addr("ann")); err != nil {
		t.Fatal(err)
	}
	if why := r.ends(); why != desk.EndDeleted {
		t.Errorf("ended by %q", why)
	}
	refused(t, o.desk.Delete(t.Context(), participant("ann"), addr("ann")), tandem.NotFound, "Thread not found")
	refused(t, o.desk.Delete(t.Context(), participant("bob"), addr("ann")), tandem.Forbidden, "")
	refused(t, o.desk.Delete(t.Context(), operator("maya"), addr("ann")), tandem.Forbidden, "")
	c := o.again(id)
	if c.Status != tandem.StatusEnded || c.EndReason != tandem.EndDeleted {
		t.Errorf("%+v", c)
	}
	o.says("ann", "again")
	mine, err := o.desk.History(t.Context(), participant("ann"), desk.History{Address: addr("ann"), Page: 1, PageSize: 10})
	if err != nil || len(mine) != 1 {
		t.Errorf("the participant reads %d messages, %v", len(mine), err)
	}
	theirs, err := o.desk.History(t.Context(), agentKey(), desk.History{Address: addr("ann"), Page: 1, PageSize: 10})
	if err != nil || len(theirs) != 3 {
		t.Errorf("the back end reads %d messages, %v", len(theirs), err)
	}
	start := addr("ann").Start()
	from := eventsOf("ann")
	from.After, from.View.Echo = &start, true
	all := o.follows(from)
	if got := all.until("again"); strings.Contains(got, "an answer") || strings.Contains(got, "hello") {
		t.Errorf("the participant is shown %q", got)
	}
	_, err = o.desk.Snapshot(t.Context(), participant("ann"), id)
	refused(t, err, tandem.NotFound, "")
	if s, err := o.desk.Snapshot(t.Context(), operator("maya"), id); err != nil || s.Total != 2 {
		t.Errorf("the operator reads %d messages, %v", s.Total, err)
	}
}

func TestErase_leavesNoWord(t *testing.T) {
	feed := make(scripted)
	o := open(t, setup{agents: answeredBy(feed)})
	o.says("ann", "my secret")
	chat := o.follows(chatOf("ann"))
	feed <- "your secret is"
	chat.until("your secret is")
	id, place := o.conversation("ann").ID, chat.f.Cursor()
	refused(t, o.desk.Erase(t.Context(), staff("lee", tandem.Supervisor), addr("ann")), tandem.Forbidden, "")
	if err := o.desk.Delete(t.Context(), owner(), addr("ann")); err != nil {
		t.Fatal(err)
	}
	if why := chat.ends(); why != desk.EndDeleted {
		t.Errorf("ended by %q", why)
	}
	refused(t, o.desk.Erase(t.Context(), owner(), addr("ann")), tandem.NotFound, "Thread not found")
	_, err := o.desk.Snapshot(t.Context(), owner(), id)
	refused(t, err, tandem.NotFound, "Conversation '"+id+"' not found")
	if all, err := o.desk.History(t.Context(), owner(), desk.History{Address: addr("ann"), Page: 1, PageSize: 10}); err != nil || len(all) != 0 {
		t.Errorf("%d messages are left, %v", len(all), err)
	}
	if err := o.store.Verify(t.Context(), addr("ann")); err != nil {
		t.Error(err)
	}
	old := chatOf("ann")
	old.After = &place
	if b := o.follows(old).next(); !b.Reset {
		t.Errorf("an old place gives %+v", b)
	}
	th, err := o.store.Thread(t.Context(), addr("ann"))
	if err != nil {
		t.Fatal(err)
	}
	head := tandem.Cursor{Seq: th.Erased, Tag: th.TrimHash.Tag()}
	old.After = &head
	if b := o.follows(old).next(); !b.Reset {
		t.Errorf("the last old place gives %+v", b)
	}
	later := o.follows(chatOf("ann"))
	if err := o.desk.Erased(t.Context(), th.ID); err != nil { // this node's own erasure comes round by the poll
		t.Fatal(err)
	}
	o.says("ann", "a new start")
	later.until("a new start") // and ends nobody who came since
	if c := o.conversation("ann"); c.ID == id || c.Status != tandem.StatusActive {
		t.Errorf("%+v", c)
	}
	feed <- "gladly"
	fresh := o.follows(chatOf("ann"))
	if got := fresh.until("gladly"); strings.Contains(got, "secret") {
		t.Errorf("shown %q", got)
	}
}

// A command on the same data folder erases; the server learns of it.
func TestErased_forgetsWhatACommandErased(t *testing.T) {
	o := open(t, setup{})
	id := o.openFor("ann")
	lee := o.watches(staff("lee", tandem.Supervisor))
	defer lee.b.Close()
	lee.step()
	r := o.follows(eventsOf("ann"))
	if _, err := o.store.Append(t.Context(), desk.Erasing(owner(), addr("ann"), o.again(id).OpenedAt)); err != nil {
		t.Fatal(err)
	}
	th, err := o.store.Thread(t.Context(), addr("ann"))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.desk.Erased(t.Context(), th.ID); err != nil {
		t.Fatal(err)
	}
	if why := r.ends(); why != desk.EndDeleted {
		t.Errorf("ended by %q", why)
	}
	for len(lee.gone) == 0 {
		lee.step()
	}
	if lee.gone[0] != id || len(lee.rows) != 0 {
		t.Errorf("removed %v, left %v", lee.gone, lee.rows)
	}
}
