package desk_test

import (
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// Who may see a row as it was before somebody took over is not told by it what was
// said since, nor counts that: the row and its words are read one after the other.
func TestWords_areThoseOfTheRow(t *testing.T) {
	o := open(t, setup{})
	in := desk.Opening{Address: addr("ann")}
	s, _, err := o.desk.Open(t.Context(), agentKey(), in)
	if err != nil {
		t.Fatal(err)
	}
	say := func(p tandem.Principal, text string, takeover bool) {
		t.Helper()
		if _, err := o.desk.Say(t.Context(), p, desk.Say{Conversation: s.ID, Takeover: takeover, Messages: []desk.Saying{{Content: text}}}); err != nil {
			t.Fatal(err)
		}
	}
	lead := tandem.Principal{Tenant: s.Address.Tenant, Subject: "lee", Role: tandem.Supervisor}
	say(participant("ann"), "before", false)
	row, err := o.store.Conversation(t.Context(), s.Address.Tenant, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	say(lead, "between us", true)
	say(participant("ann"), "for her only", false)
	w, err := o.desk.WordsOf(t.Context(), &row)
	if err != nil || w.Text != "before" || w.Unread != 1 {
		t.Errorf("the row of before has %+v, %v", w, err)
	}
	if row, err = o.store.Conversation(t.Context(), s.Address.Tenant, s.ID); err != nil {
		t.Fatal(err)
	}
	if w, err = o.desk.WordsOf(t.Context(), &row); err != nil || w.Text != "for her only" || w.Unread != 1 {
		t.Errorf("the row of now has %+v, %v", w, err)
	}
}
