package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

const boardPath = "/api/conversations/stream"

// row is what a test wants to know of a conversation on the board.
type row struct {
	ID     string `json:"conversation_id"`
	Status string
	Mode   string
	Holder *string
	Unread int
	Last   string `json:"last_message"`
}

func (l *listener) boardEvent(event string) (block, row) {
	l.s.t.Helper()
	for {
		b, ok := l.next()
		if !ok {
			l.s.t.Fatalf("the stream ended before %q; it was\n%s", event, l.all.String())
		}
		switch b.event {
		case event:
			var d struct {
				row
				Conversation row
			}
			if err := json.Unmarshal([]byte(b.data), &d); err != nil {
				l.s.t.Fatal(err)
			}
			if d.ID == "" {
				d.row = d.Conversation
			}
			return b, d.row
		case "snapshot", "upsert", "removed":
			l.s.t.Fatalf("got %+v, want %q", b, event)
		}
	}
}

func (l *listener) snapshot() (block, string) {
	l.s.t.Helper()
	b := l.untilEvent("snapshot")
	var d struct {
		Conversations []row
		Cursor        string
	}
	if err := json.Unmarshal([]byte(b.data), &d); err != nil || d.Cursor != b.id {
		l.s.t.Fatalf("%+v: %v", b, err)
	}
	ids := make([]string, len(d.Conversations))
	for i, c := range d.Conversations {
		ids[i] = c.ID
	}
	return b, strings.Join(ids, " ")
}

func (l *listener) untilEvent(event string) block {
	l.s.t.Helper()
	for {
		b, ok := l.next()
		if !ok {
			l.s.t.Fatalf("the stream ended before %q; it was\n%s", event, l.all.String())
		}
		if b.event == event {
			return b
		}
	}
}

func (s *site) openFor(gateway, participant, id string) string {
	s.t.Helper()
	s.must(201, "POST", "/api/conversations", gateway, fmt.Sprintf(`{"workflow":"support","participant_id":%q,"conversation_id":%q}`, participant, id))
	return "/api/conversation/" + id
}

// Operators see what comes, changes, ends, and goes to another, each change once,
// wherever they were when the connection dropped. Seen to fail by an id of the
// page in the place of the change's own, and by leaving `removed` out.
func TestBoard_tellsEachChangeOnceOverReconnects(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway := s.Key(tandem.Agent)
	maya, ravi, lead := s.operator("maya", "Maya", tandem.Operator), s.operator("ravi", "Ravi", tandem.Operator), s.operator("lead", "Lea", tandem.Supervisor)
	one := s.openFor(gateway, "ann", "case-1")
	l := s.stream(boardPath, ravi)
	if b, _ := l.next(); b.retry == "" || b.id != "" {
		t.Errorf("the board begins with %+v", b)
	}
	begin, ids := l.snapshot()
	if ids != "case-1" {
		t.Errorf("the snapshot has %q", ids)
	}
	s.openFor(gateway, "bob", "case-2")
	if _, c := l.boardEvent("upsert"); c.ID != "case-2" || c.Mode != "waiting" {
		t.Errorf("got %+v", c)
	}
	s.must(200, "POST", one+"/takeover", maya, "")
	gone, c := l.boardEvent("removed")
	if c.ID != "case-1" {
		t.Errorf("got %+v", c)
	}
	s.must(200, "POST", one+"/release", maya, `{"to":"queue"}`)
	if _, c := l.boardEvent("upsert"); c.ID != "case-1" || c.Holder != nil {
		t.Errorf("got %+v", c)
	}
	s.must(200, "POST", one+"/end", gateway, "")
	end, c := l.boardEvent("upsert")
	if c.Status != "ENDED" {
		t.Errorf("got %+v", c)
	}
	l.close()

	// The same again, from each place on the way.
	again := s.stream(boardPath, lead, "Last-Event-ID", begin.id)
	if b, _ := again.next(); b.id != begin.id {
		t.Errorf("the board goes on with %+v", b)
	}
	first, c := again.boardEvent("upsert")
	if c.ID != "case-2" {
		t.Errorf("got %+v", c)
	}
	if b, c := again.boardEvent("upsert"); c.ID != "case-1" || c.Status != "ENDED" || b.id != end.id {
		t.Errorf("got %+v %+v", b, c)
	}
	for place, want := range map[string]string{first.id: "case-1", gone.id: "case-1"} {
		l := s.stream(boardPath+"?lastEventId="+place, ravi)
		if _, c := l.boardEvent("upsert"); c.ID != want {
			t.Errorf("after %s comes %+v", place, c)
		}
		l.close()
	}
	for _, place := range []string{"b1-aaaaaaaa", "b99-aaaaaaaa", "7-aaaaaaaa", "nonsense", end.id + "x"} {
		l := s.stream(boardPath, ravi, "Last-Event-ID", place)
		if _, ids := l.snapshot(); ids != "case-2" {
			t.Errorf("%s: the snapshot has %q", place, ids)
		}
		l.close()
	}
}

// One connection for the list and for what is open on the screen: the ids are
// places in all of them. Seen to fail by the ids of the conversations' own
// streams, and by a new initial on every connection.
func TestBoard_watchesConversations(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, maya := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator)
	one, two := s.openFor(gateway, "ann", "case-1"), s.openFor(gateway, "bob", "case-2")
	s.says(gateway, one, "a")
	watch := boardPath + "?watch=case-1,case-2,nothing,case-1,"
	cut := s.stream(watch, maya)
	begin, _ := cut.snapshot() // and the connection drops
	cut.close()
	l := s.stream(watch, maya, "Last-Event-ID", begin.id)
	l.holds("initial", "a", 1)
	l.holds("initial", "", 0)
	if b := l.only("error"); !strings.Contains(b.data, `"conversation_id":"nothing"`) || b.id != "" || b.retry != "" {
		t.Errorf("got %+v", b)
	}
	s.says(gateway, one, "b", "c")
	at := l.holds("new_messages", "b|c", 3)
	if n := strings.Count(at.id, "~"); n != 3 || !strings.HasPrefix(at.id, "b") {
		t.Errorf("the place is %s", at.id)
	}
	s.says(gateway, two, "x")
	l.holds("new_messages", "x", 1)
	s.must(200, "POST", one+"/takeover", maya, "")
	if b := l.untilEvent("updated"); !strings.Contains(b.data, "case-") {
		t.Errorf("got %+v", b)
	}
	l.close()

	again := s.stream(watch, maya, "Last-Event-ID", at.id)
	again.holds("new_messages", "x", 1)
	again.only("error") // there still is none of this name
	s.must(200, "POST", two+"/end", gateway, "")
	ended := again.only("ended")
	s.says(gateway, one, "d")
	d := again.holds("new_messages", "d", 4)
	again.close()
	place := ended.id
	for i := range 3 { // it does not end again and again
		l := s.stream(watch, maya, "Last-Event-ID", place)
		if i == 0 {
			l.holds("new_messages", "d", 4)
		}
		l.only("error")
		s.says(gateway, one, "e")
		place = l.holds("new_messages", "e", 5+i).id
		l.close()
	}
	other := s.stream(boardPath+"?watch=case-2", maya, "Last-Event-ID", d.id)
	other.holds("initial", "x", 1)
}

// The board's refusals, and its end.
func TestBoard_isForThoseWhoAnswer(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	many := make([]string, 51)
	for i := range many {
		many[i] = fmt.Sprint("case-", i)
	}
	maya := s.operator("maya", "Maya", tandem.Operator)
	for _, c := range []struct {
		path, key string
		status    int
	}{
		{boardPath, "", 401},
		{boardPath, "sk-nonsense", 401},
		{boardPath, s.key("ann"), 403},
		{boardPath + "?tenantId=acme", maya, 403},
		{boardPath + "?watch=" + strings.Join(many, ","), maya, 400},
		{boardPath + "?watch=%zz", maya, 400},
	} {
		if res, body := s.ask("GET", c.path, c.key, ""); res.StatusCode != c.status || !strings.HasPrefix(body, `{"detail":`) {
			t.Errorf("%s: %d %s, want %d", c.path, res.StatusCode, body, c.status)
		}
	}
	s.stream(boardPath+"?watch="+strings.Join(many[:50], ","), maya).snapshot()
	l := s.stream(boardPath, maya)
	l.snapshot()
	if err := s.Auth.RevokeSubject(t.Context(), "default", "maya"); err != nil {
		t.Fatal(err)
	}
	if b := l.only("error"); b.data != `{"error":"Token has been revoked. Please login again."}` || b.retry != "60000" {
		t.Errorf("got %+v", b)
	}
	l.over()
}

// Last words come as hints, and are right in each snapshot.
func TestBoard_showsLastWords(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, maya := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator)
	one := s.openFor(gateway, "ann", "case-1")
	l := s.stream(boardPath, maya)
	l.snapshot()
	s.says(gateway, one, "a", "b")
	if b, c := l.boardEvent("hint"); c.Last != "b" || c.Unread != 2 || b.id != "" {
		t.Errorf("got %+v %+v", b, c)
	}
	again := s.stream(boardPath, maya)
	if b, _ := again.snapshot(); !strings.Contains(b.data, `"last_message":"b","last_role":"user"`) || !strings.Contains(b.data, `"unread":2`) {
		t.Errorf("got %+v", b)
	}
}
