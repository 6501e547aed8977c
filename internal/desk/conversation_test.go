package desk_test

import (
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

func conversationOf(p tandem.Principal, id string) desk.Follow {
	return desk.Follow{Principal: p, Conversation: id, View: tandem.View{Face: tandem.FaceConversation, Audience: p.Audience()}, Heartbeat: eventsOf("x").Heartbeat}
}

// ends reads on until the stream ends, and returns why.
func (r *reader) ends() string {
	r.t.Helper()
	for {
		if b := r.next(); b.Ended != "" {
			return b.Ended
		}
	}
}

func TestFollowConversation_beginsWithAllAndEndsWithIt(t *testing.T) {
	o := open(t, setup{})
	id := o.openFor("ann")
	r := o.follows(conversationOf(operator("maya"), id))
	first := r.next()
	if first.Initial == nil || first.Initial.Total != 1 || first.Initial.ID != id || first.Initial.Cursor != r.f.Cursor() {
		t.Fatalf("%+v", first)
	}
	if row := r.next().Row; row == nil || row.Place != 1 {
		t.Errorf("the row is %+v", row)
	}
	o.openFor("bob")
	if _, err := o.desk.Say(t.Context(), agentKey(), desk.Say{Conversation: id, Messages: []desk.Saying{
		{Role: tandem.RoleUser, Content: "one"}, {Content: "two"}, {Content: "a note", Audience: "operators"},
	}}); err != nil {
		t.Fatal(err)
	}
	r.until("together: 2 of 3")
	r.until("a note, total 3")
	o.takes("maya", id)
	o.speaks(operator("maya"), id, "goodbye")
	if _, err := o.desk.End(t.Context(), operator("maya"), id, ""); err != nil {
		t.Fatal(err)
	}
	if why := r.ends(); why != desk.EndConversation {
		t.Errorf("ended by %q", why)
	}
	if !strings.HasSuffix(r.seen.String(), "goodbye, total 4][8 state operator ENDED]") {
		t.Errorf("seen %q", r.seen.String())
	}

	late := o.follows(conversationOf(operator("maya"), id)) // after the end: all of it, and the end
	if b := late.next(); b.Initial == nil || b.Initial.Total != 4 {
		t.Errorf("%+v", b)
	}
	if why := late.ends(); why != desk.EndConversation || !strings.Contains(late.seen.String(), "ENDED") {
		t.Errorf("ended by %q after %q", why, late.seen.String())
	}
	over := conversationOf(operator("maya"), id)
	place := late.f.Cursor()
	over.After = &place
	_, err := o.desk.Follow(t.Context(), over)
	refused(t, err, tandem.Gone, "")
	missed := conversationOf(operator("maya"), id)
	from := first.Initial.Cursor
	missed.After = &from
	again := o.follows(missed)
	again.ends()
	if got := again.seen.String(); strings.Count(got, "together: 2 of 3") != 1 || strings.Count(got, "goodbye, total 4") != 1 {
		t.Errorf("resumed with %q", got)
	}
}

func TestFollowConversation_endsForWhoMayNotSeeItAnyMore(t *testing.T) {
	o := open(t, setup{})
	id := o.openFor("ann")
	zoe, maya := o.follows(conversationOf(operator("zoe"), id)), o.follows(conversationOf(operator("maya"), id))
	lee := o.follows(conversationOf(staff("lee", tandem.Supervisor), id))
	o.takes("maya", id)
	o.speaks(operator("maya"), id, "a secret of ours")
	if why := zoe.ends(); why != desk.EndDenied {
		t.Errorf("ended by %q", why)
	}
	maya.until("a secret of ours")
	lee.until("a secret of ours")
	if strings.Contains(zoe.seen.String(), "secret") || strings.Contains(zoe.seen.String(), "state operator") {
		t.Errorf("who lost it was shown %q", zoe.seen.String())
	}
	_, err := o.desk.Follow(t.Context(), conversationOf(operator("zoe"), id))
	refused(t, err, tandem.Forbidden, "Access denied. You don't have permission to view this conversation.")
	_, err = o.desk.Follow(t.Context(), conversationOf(operator("maya"), "conv_none"))
	refused(t, err, tandem.NotFound, "Conversation 'conv_none' not found")
}

func TestTypingAndRead_reachTheOthers(t *testing.T) {
	o := open(t, setup{})
	id := o.openFor("ann")
	o.takes("maya", id)
	chat := chatOf("ann")
	chat.View.Presence = true
	ann, maya := o.follows(chat), o.follows(conversationOf(operator("maya"), id))
	said := o.speaks(operator("maya"), id, "hello")
	ann.until("hello")
	if err := o.desk.Typing(t.Context(), operator("maya"), id, false); err != nil {
		t.Fatal(err)
	}
	ann.until("{1 Maya  0}")
	if err := o.desk.ReadAt(t.Context(), participant("ann"), addr("ann"), said.Events[0].ID, false); err != nil {
		t.Fatal(err)
	}
	maya.until("{2  " + said.Events[0].ID + " 0}")
	if strings.Contains(maya.seen.String(), "{1 Maya") {
		t.Error("who types is shown it")
	}
	refused(t, o.desk.Read(t.Context(), operator("maya"), id, "msg_none", false), tandem.NotFound, "Message not found")
	refused(t, o.desk.Typing(t.Context(), participant("bob"), id, false), tandem.Forbidden, "")
	acks, err := o.store.Acks(t.Context(), addr("ann"))
	if err != nil || len(acks) != 1 || acks[0].Read != said.Events[0].Seq {
		t.Errorf("%+v, %v", acks, err)
	}
}
