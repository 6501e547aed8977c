package api_test

import (
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// A participant's stream shows who types, who has read and who is there if it asks
// for it, and only then. Nobody is named by a login. Seen to fail by showing it to
// each stream, and by the subject in the place of the name.
func TestEvents_showPresenceToWhoAsksForIt(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	ann, maya := s.Token("ann", tandem.Participant), s.operator("op-17", "Maya", tandem.Operator)
	gateway := s.Key(tandem.Agent)
	one := s.opened(gateway)
	s.must(201, "POST", one+"/messages", gateway, `{"role":"user","content":"hi","message_id":"m-1"}`)
	s.must(200, "POST", one+"/takeover", maya, "")
	curious, plain := s.listen(ann, annsThread+"&presence=true"), s.listen(ann, annsThread)
	curious.until("connected")
	plain.until("connected")

	s.must(200, "POST", one+"/typing", maya, "")
	if b := curious.untilEvent("typing"); !strings.Contains(b.data, `"role":"operator","name":"Maya"`) || b.id != "" {
		t.Errorf("got %+v", b)
	}
	s.must(200, "POST", one+"/read", maya, `{"message_id":"m-1"}`)
	if b := curious.untilEvent("read"); !strings.Contains(b.data, `"messageId":"m-1","role":"operator","name":"Maya"`) {
		t.Errorf("got %+v", b)
	}
	theirs := s.stream(one+"/stream", maya)
	theirs.only("initial")
	if b := curious.untilEvent("presence"); !strings.Contains(b.data, `"name":"Maya"`) {
		t.Errorf("got %+v", b)
	}
	s.must(200, "POST", one+"/typing", ann, `{"stopped":true}`)
	if b := theirs.untilEvent("typing"); !strings.Contains(b.data, `"role":"user"`) || !strings.Contains(b.data, `"stopped":true`) {
		t.Errorf("got %+v", b)
	}
	s.must(201, "POST", one+"/messages", maya, `{"content":"I am here"}`)
	plain.until("Chat")
	curious.untilEvent("Chat")
	for _, l := range []*listener{plain, curious} {
		if text := l.all.String(); strings.Contains(text, "op-17") {
			t.Errorf("a login is shown:\n%s", text)
		}
	}
	for _, event := range []string{"typing", "read", "presence"} {
		if strings.Contains(plain.all.String(), "event: "+event) {
			t.Errorf("%s is shown to a stream that did not ask", event)
		}
	}
}
