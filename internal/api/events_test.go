package api_test

import (
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

const annsThread = "workflow=support&participantId=ann"

func TestEvents_resumeExactlyAfterTheIDThatConnectedGave(t *testing.T) {
	s := open(t, desktest.Options{})
	agent, key := s.Key(tandem.Agent), s.key("ann")
	l := s.listen(key, annsThread)
	if b, _ := l.next(); b.retry == "" || b.event != "" {
		t.Errorf("the stream begins with %+v, want retry alone", b)
	}
	connected := l.until("connected")
	s.push(agent, "ann", "one")
	if got := l.text("Chat"); got != "one" {
		t.Errorf("got %q", got)
	}
	l.close()
	s.push(agent, "ann", "two")
	s.push(agent, "ann", "three")
	again := s.listen(key, annsThread, "Last-Event-ID", connected.id)
	if b := again.until("connected"); b.id != connected.id {
		t.Errorf("resumed at %s, want %s", b.id, connected.id)
	}
	for _, want := range []string{"one", "two", "three"} {
		if got := again.text("Chat"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
