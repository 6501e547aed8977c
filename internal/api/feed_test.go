package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

const feedPath = "/api/agent/events?workflow="

// shows records the next n events of a stream with what they say.
func (tr *transcript) shows(name string, l *listener, n int) {
	tr.s.t.Helper()
	fmt.Fprintf(&tr.text, "# %s\n", name)
	for n > 0 {
		b, ok := l.next()
		if !ok {
			tr.s.t.Fatalf("the stream ended; it was\n%s", l.all.String())
		}
		if b.event == "" { // how long to wait after a drop, which differs
			continue
		}
		n--
		fmt.Fprintf(&tr.text, "event: %s\ndata: %s\n", b.event, b.data)
		if b.id != "" {
			fmt.Fprintf(&tr.text, "id: %s\n", b.id)
		}
		tr.text.WriteByte('\n')
	}
}

// What an engine reads, to the byte, and what another that was handed the
// conversation reads on its own feed. Seen to fail by a message without
// controlEpoch, by one with an id, and by a state that only the first is told.
func TestTranscript_feed(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	c := s.crew()
	tr := newTranscript(s)
	here, there := s.stream(feedPath+"support", c.gateway), s.stream(feedPath+"default:billing&heartbeatSeconds=1", c.gateway)
	tr.shows("it begins", here, 1)
	there.until("connected")
	say := func(text string) {
		s.must(200, "POST", "/api/user/rest/send?"+annsThread+"&type=Chat&requestId=r-1&scope=orders&text="+text, c.ann, "")
	}
	say("Hello")
	tr.shows("she says something, which begins a conversation", here, 2)
	s.must(200, "POST", "/api/user/rest/send?"+annsThread+"&type=Data", c.ann, `{"page":"/cart"}`)
	tr.shows("her page sends data", here, 1)
	s.must(200, "POST", s.annsConversation()+"/takeover", c.maya, "")
	tr.shows("a colleague takes over", here, 1)
	s.must(201, "POST", s.annsConversation()+"/messages", c.maya, `{"content":"I am here"}`)
	s.must(201, "POST", s.annsConversation()+"/messages", c.maya, `{"content":"looks bad","audience":"operators"}`)
	s.must(201, "POST", s.annsConversation()+"/steer", c.maya, `{"content":"be short"}`)
	tr.shows("and tells the agent something", here, 1)
	say("still+there?")
	tr.shows("she says something meanwhile", here, 1)
	s.must(200, "POST", s.annsConversation()+"/release", c.maya, `{"to":"queue"}`)
	tr.shows("it goes back to those who wait", here, 1)
	s.must(200, "POST", outboundPath+"handoff", c.gateway, `{"workflow":"support","participantId":"ann","targetWorkflowType":"billing","text":"Over to billing","requestId":"h-1"}`)
	tr.shows("it is handed on", here, 2)
	tr.shows("the other engine is handed it", there, 2)
	say("and+now?")
	tr.shows("she goes on", there, 1)
	s.must(200, "POST", s.annsConversation()+"/end", c.lead, `{"reason":"solved"}`)
	tr.shows("the end", there, 1)
	here.close()
	there.close()
	tr.golden("feed.txt")
}

// Over the wire: a feed goes on from the id that it gave, by header and query, and
// says where it is after it has caught up. Seen to fail by not telling the place
// before the first heartbeat.
func TestFeed_resumesByLastEventID(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	agent, ann := s.Key(tandem.Agent), s.key("ann")
	l := s.stream(feedPath+"support", agent)
	place := l.until("connected").id
	s.send(ann, "ann", "Data", "one", "")
	if got := l.text("Data"); got != "one" {
		t.Errorf("got %q", got)
	}
	l.close()
	s.send(ann, "ann", "Data", "two", "")
	for _, how := range []string{"header", "query"} {
		path, header := feedPath+"support", []string{"Last-Event-ID", place}
		if how == "query" {
			path, header = path+"&lastEventId="+place, nil
		}
		l := s.stream(path, agent, header...)
		if b := l.until("connected"); b.id != place {
			t.Errorf("%s: goes on from %s, want %s", how, b.id, place)
		}
		for _, want := range []string{"one", "two"} {
			if got := l.text("Data"); got != want {
				t.Errorf("%s: got %q, want %q", how, got, want)
			}
		}
		b, _ := l.next()
		if b.event != "" || b.data != "" || b.id == "" || b.id <= place {
			t.Errorf("%s: after it caught up: %+v", how, b)
		}
		l.close()
	}
	other := s.stream(feedPath+"billing", agent, "Last-Event-ID", place)
	other.until("connected")
	other.until("reset")
}

// The feed ends within a second with its credential, and says so.
func TestFeed_endsWithItsCredential(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	secret, key, err := s.Auth.CreateKey(t.Context(), auth.KeyRequest{Tenant: "default", Role: tandem.Agent, Workflow: "support"})
	if err != nil {
		t.Fatal(err)
	}
	l := s.stream(feedPath+"support&heartbeatSeconds=300", secret.Reveal())
	l.until("connected")
	began := time.Now()
	if err := s.Auth.RevokeKey(t.Context(), "default", key.ID); err != nil {
		t.Fatal(err)
	}
	if b := l.until("disconnected"); b.id == "" || b.retry == "" {
		t.Errorf("it ends with %+v", b)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("after %v", took)
	}
	if _, more := l.next(); more {
		t.Error("something follows the end")
	}
}

// Heartbeats carry the place, which moves with them.
func TestFeed_heartbeatsTellThePlace(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	l := s.stream(feedPath+"support&heartbeatSeconds=1", s.Key(tandem.Owner))
	place := l.until("connected").id
	for range 2 {
		b := l.until("heartbeat")
		var d struct{ SubscriberCount int }
		if err := json.Unmarshal([]byte(b.data), &d); err != nil || d.SubscriberCount != 1 || b.id <= place || !strings.HasPrefix(b.id, "f") {
			t.Errorf("%+v after %s", b, place)
		}
		place = b.id
	}
}
