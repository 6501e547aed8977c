package api

import (
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

func ann(t testing.TB) tandem.Address {
	a, err := tandem.NewAddress("default", "support", "ann")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const annsThread = "workflow=support&participantId=ann"

func TestEvents_showsWhatIsPushedAndResumesExactly(t *testing.T) {
	s := openSite(t, siteOptions{})
	agent, key := s.key("agent"), s.key("ann")
	l := s.listen(key, annsThread)
	hello := l.until("")
	if hello.retry == "" {
		t.Error("the stream does not begin with retry")
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
	again.until("")
	if b := again.until("connected"); b.id != connected.id {
		t.Errorf("resumed at %s, want %s", b.id, connected.id)
	}
	for _, want := range []string{"one", "two", "three"} {
		if got := again.text("Chat"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	_ = time.Now
}
