package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// An engine hands people on and takes them back while the server is killed again
// and again. Each handoff is on both threads or on neither; one that was answered
// 200 is on both.
//
// Seen to fail by appending to the two threads one after the other.
func TestChaos_handoffsAreOnBothThreadsOrNone(t *testing.T) {
	seed, kills := chaosSeed(t), chaosKills(t, 6)
	s := newChaosServer(t, "--agent", "push", "--tenant", "default")
	key := s.command("key", "create", "--tenant", "default", "--role", "agent")
	s.start()
	s.ready()
	ctx, stop := context.WithCancel(t.Context())
	var people [8]chaosHandedOn
	var group sync.WaitGroup
	for i := range people {
		people[i] = chaosHandedOn{server: s, key: key, name: fmt.Sprint("p", i), accepted: map[string]bool{}}
		group.Go(func() { people[i].goesOn(ctx) })
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	for range kills {
		chaosPause(t.Context(), chaosSpan(rng, 400*time.Millisecond))
		s.kill()
		s.start()
		s.ready()
	}
	stop()
	group.Wait()
	s.kill() // so that nothing is under way that an engine has given up
	s.start()
	s.ready()
	handoffs := 0
	for i := range people {
		handoffs += people[i].audit(t)
	}
	if handoffs < 8*kills {
		t.Errorf("only %d handoffs", handoffs)
	}
	t.Logf("%d handoffs, %d kills", handoffs, kills)
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// chaosHandedOn is somebody who is handed on and back.
type chaosHandedOn struct {
	server    *chaosServer
	key, name string
	accepted  map[string]bool // texts of the handoffs that were answered 200
}

// goesOn hands on and back until ctx ends, whatever the server says.
func (p *chaosHandedOn) goesOn(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		if n%40 == 0 {
			q := url.Values{"workflow": {"support"}, "participantId": {p.name}, "type": {"Chat"}, "text": {"hello"}}
			p.ask(ctx, http.MethodPost, "/api/user/rest/send?"+q.Encode(), "")
		}
		to, text := []string{"billing", "support"}[n%2], fmt.Sprint("h", n)
		status, _ := p.ask(ctx, http.MethodPost, "/api/agent/conversation/outbound/handoff",
			fmt.Sprintf(`{"workflow":"support","participantId":%q,"targetWorkflowType":%q,"text":%q}`, p.name, to, text))
		switch status {
		case http.StatusOK:
			p.accepted[text] = true
		case 0:
			chaosPause(ctx, 5*time.Millisecond) // it is down
		}
	}
}

// ask returns status 0 if nothing answers.
func (p *chaosHandedOn) ask(ctx context.Context, method, path, body string) (int, []byte) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+p.server.address+path, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	r.Header.Set("Authorization", "Bearer "+p.key)
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, got
}

// handoffs are those on the thread of a workflow that name both: texts by id.
func (p *chaosHandedOn) handoffs(t *testing.T, workflow string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for page := 1; ; page++ {
		q := url.Values{"workflow": {workflow}, "participantId": {p.name}, "page": {fmt.Sprint(page)}, "pageSize": {"200"}}
		status, body := p.ask(t.Context(), http.MethodGet, "/api/user/rest/history?"+q.Encode(), "")
		var list []struct{ ID, MessageType, Text string }
		if err := json.Unmarshal(body, &list); status != http.StatusOK || err != nil {
			t.Fatalf("history: %d %v %s", status, err, body)
		}
		for _, m := range list {
			if m.MessageType == "Handoff" {
				found[m.ID] = m.Text
			}
		}
		if len(list) < 200 {
			return found
		}
	}
}

// audit compares the two threads and returns how many handoffs there are.
func (p *chaosHandedOn) audit(t *testing.T) int {
	t.Helper()
	here, there := p.handoffs(t, "support"), p.handoffs(t, "billing")
	if !maps.Equal(here, there) {
		t.Errorf("%s: %d handoffs on one thread, %d on the other", p.name, len(here), len(there))
	}
	stored := slices.Collect(maps.Values(here))
	for text := range p.accepted {
		if !slices.Contains(stored, text) {
			t.Errorf("%s: %s was accepted and is gone", p.name, text)
		}
	}
	return len(here)
}
