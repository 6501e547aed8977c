package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// settle waits until every question has ended and every reader has seen all there
// is: until the last word that is said now on each thread has come to them.
func (w *chaosWorld) settle(last string) {
	w.t.Helper()
	w.await("the end of every answer", func(r *chaosReader) bool {
		if r != r.thread.watcher {
			return true
		}
		for _, mark := range r.asked {
			if r.outcome[mark] == "" {
				return false
			}
		}
		return true
	})
	for _, th := range w.threads {
		body, err := json.Marshal(map[string]any{
			"workflow": th.address.Workflow, "participantId": th.address.Participant, "text": last, "data": map[string]bool{"last": true},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		rng := newChaosRand(w.seed, last)
		a := accepted{writer: "last", text: last, data: `{"last":true}`}
		if !th.accept(rng, a, w.url("http", "/api/agent/conversation/outbound/data", nil), string(body), w.key) {
			w.t.Fatal("the last word is not accepted")
		}
	}
	sum := chaosSum("Data", last, `{"last":true}`)
	w.await("the last word", func(r *chaosReader) bool {
		return slices.ContainsFunc(r.seen, func(s sighting) bool { return s.sum == sum })
	})
}

// history reads every thread back over HTTP, as a client would.
func (w *chaosWorld) history() map[*chaosThread][]sighting {
	w.t.Helper()
	all := make(map[*chaosThread][]sighting)
	for _, th := range w.threads {
		after := th.address.Start().String()
		for {
			var page []chaosFrame
			if status, body := th.get("/api/user/rest/history", url.Values{"after": {after}, "pageSize": {"200"}}, &page); status != http.StatusOK {
				w.t.Fatalf("history after %s: %d %s", after, status, body)
			}
			if len(page) > 0 && page[len(page)-1].ID == after {
				w.t.Fatalf("history after %s ends with it", after)
			}
			for _, m := range page {
				if string(m.Data) == "null" {
					m.Data = nil
				}
				all[th] = append(all[th], sighting{"", m.ID, chaosSum(m.MessageType, m.Text, string(m.Data))})
				after = m.ID
			}
			if len(page) == 0 {
				break
			}
		}
	}
	return all
}

// audit compares what was accepted and what everybody saw with the log, which it
// reads from the data folder: the server must have ended.
func (w *chaosWorld) audit(history map[*chaosThread][]sighting) {
	w.t.Helper()
	st, err := store.Open(w.t.Context(), store.Options{Dir: w.server.dir})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			w.t.Error(err)
		}
	}()
	events, ends := 0, make(map[string]int)
	for _, th := range w.threads {
		log := w.readLog(st, th)
		events += len(log)
		th.checkAccepted(log)
		th.checkAnswers(log, ends)
		want := slices.DeleteFunc(th.shows(log, &chaosReader{echo: true}), func(s sighting) bool { return s.id == "" })
		for i := range want {
			want[i].cursor = ""
		}
		th.compare("history", history[th], want)
		for _, r := range th.readers {
			r.check(log)
		}
	}
	turns, err := st.Turns(w.t.Context())
	if err != nil || len(turns) > 0 {
		w.t.Errorf("%d questions are left open: %v", len(turns), err)
	}
	for _, id := range w.agent.twice() {
		w.t.Errorf("question %s was asked twice", id)
	}
	w.report(events, ends)
}

func (w *chaosWorld) report(events int, ends map[string]int) {
	opened, restated, passed := 0, 0, 0
	for _, th := range w.threads {
		for _, r := range th.readers {
			opened, restated, passed = opened+r.counts.opened, restated+r.counts.restated, passed+r.counts.passed
		}
	}
	w.t.Logf("%d accepted, %d more tries, %d events; readers opened %d connections, saw %d answers begin again, %d places by heartbeats; answers: %v",
		w.accepted.Load(), w.retried.Load(), events, opened, restated, passed, ends)
}

// logged is an event of the log and, if it is one, the message in it.
type logged struct {
	tandem.Event
	said tandem.Message
}

// readLog reads a thread and proves that its numbers have no hole and its chain
// no break.
func (w *chaosWorld) readLog(st *store.Store, th *chaosThread) []logged {
	w.t.Helper()
	var log []logged
	at, hash := th.address.Start(), th.address.Root()
	for {
		page, err := st.Read(w.t.Context(), th.address, at, 256)
		if err != nil || page.Reset || page.Gap != nil {
			w.t.Fatalf("%s: read after %s: %v, reset %v, gap %v", th.address.Participant, at, err, page.Reset, page.Gap)
		}
		for _, e := range page.Events {
			if e.Seq != at.Seq+1 || e.Chain(hash) != e.Hash {
				w.t.Errorf("%s: event %d after %d, chained %v", th.address.Participant, e.Seq, at.Seq, e.Chain(hash) == e.Hash)
			}
			at, hash = e.Cursor(), e.Hash
			said, _ := e.Message() // of other kinds it means nothing
			log = append(log, logged{e, said})
		}
		if len(page.Events) == 0 {
			return log
		}
	}
}

// checkAccepted looks for every accepted post in the log: there once, as it was
// sent, and in the order in which its writer sent it.
func (t *chaosThread) checkAccepted(log []logged) {
	fault := func(format string, args ...any) {
		t.world.faults.add(t.address.Participant+": "+format, args...)
	}
	found := make(map[string]*logged)
	for i := range log {
		e := &log[i]
		if e.Kind != tandem.KindMessage {
			continue
		}
		mark := chaosMark(e.said.Text)
		if found[mark] != nil {
			fault("doubled: %s is %d and %d", mark, found[mark].Seq, e.Seq)
		}
		found[mark] = e
	}
	last := make(map[string]int64)
	for _, a := range t.ledger {
		mark := chaosMark(a.text)
		e := found[mark]
		if e == nil {
			fault("lost: %s was accepted", mark)
			continue
		}
		if e.said.Text != a.text || string(e.said.Data) != a.data {
			fault("%s is %q %s, sent was %q %s", mark, e.said.Text, e.said.Data, a.text, a.data)
		}
		if e.Seq <= last[a.writer] {
			fault("out of order: %s is %d, the one sent before it %d", mark, e.Seq, last[a.writer])
		}
		last[a.writer] = e.Seq
		delete(found, mark)
	}
	for mark := range found {
		fault("%s is stored, and its writer never was told", mark)
	}
}

// checkAnswers looks for the end of every question and every answer: each has
// exactly one, and its text is what the agent said, whole or cut.
func (t *chaosThread) checkAnswers(log []logged, ends map[string]int) {
	questions, open := make(map[string]string), tandem.AnswerStarted{}
	ended := make(map[string]int)
	fault := func(format string, args ...any) {
		t.world.faults.add(t.address.Participant+": "+format, args...)
	}
	for i := range log {
		e, m := &log[i], &log[i].said
		switch e.Kind {
		case tandem.KindMessage:
			if m.Direction == tandem.Incoming && m.Type == tandem.Chat {
				questions[e.ID] = chaosMark(m.Text)
			}
		case tandem.KindAnswerStarted:
			if open.MessageID != "" {
				fault("answer %s begins before the end of %s", e.ID, open.MessageID)
			}
			if err := json.Unmarshal(e.Body, &open); err != nil {
				fault("%v", err)
			}
		case tandem.KindAnswerEnded:
			if e.ID != open.MessageID {
				fault("answer %s ends, %q was under way", e.ID, open.MessageID)
			}
			open = tandem.AnswerStarted{}
			ended[e.Meta.InReplyTo]++
			ends[string(m.Finish)]++
			whole := strings.Join(t.world.agent.words(questions[e.Meta.InReplyTo]), "")
			if !strings.HasPrefix(whole, m.Text) || m.Text == "" || m.Finish == tandem.FinishStop && m.Text != whole {
				fault("answer %s (%s) is %q, the agent said %q", e.ID, m.Finish, m.Text, whole)
			}
		case tandem.KindAnswerFailed:
			var f tandem.AnswerFailed
			if err := json.Unmarshal(e.Body, &f); err != nil {
				fault("%v", err)
			}
			ended[f.MessageID]++
			ends["failed"]++
		}
	}
	if open.MessageID != "" {
		fault("answer %s has no end", open.MessageID)
	}
	for id, mark := range questions {
		if ended[id] != 1 {
			fault("question %s %s has %d ends", id, mark, ended[id])
		}
	}
}

// shows is what a reader sees of a log from its beginning. What is no message,
// only the chat shows, and history does not.
func (t *chaosThread) shows(log []logged, r *chaosReader) []sighting {
	var all []sighting
	for i := range log {
		e, m := &log[i], &log[i].said
		s := sighting{cursor: e.Cursor().String(), id: e.ID}
		switch {
		case e.Audience != tandem.Everyone, e.Seq <= r.from:
			continue
		case e.Kind == tandem.KindAnswerEnded, e.Kind == tandem.KindMessage && (r.chat || r.echo || m.Direction == tandem.Outgoing):
			s.sum = chaosSum(string(m.Type), m.Text, string(m.Data))
		case r.chat && e.Kind == tandem.KindState:
			var c tandem.Conversation
			if err := json.Unmarshal(e.Body, &c); err != nil {
				t.world.faults.add("%v", err)
			}
			s.id, s.sum = "", chaosSum("state", string(c.Mode), string(c.Status))
		case r.chat && e.Kind == tandem.KindAnswerFailed:
			var f tandem.AnswerFailed
			if err := json.Unmarshal(e.Body, &f); err != nil {
				t.world.faults.add("%v", err)
			}
			s.id, s.sum = f.MessageID, chaosSum("failed", f.MessageID)
		default:
			continue
		}
		all = append(all, s)
	}
	return all
}

// check compares what a reader saw with the log. On the socket that questions are
// asked on, their acks stand for them.
func (r *chaosReader) check(log []logged) {
	r.mu.Lock()
	defer r.mu.Unlock()
	want := r.thread.shows(log, r)
	if r.asks {
		acked := make(map[string]bool)
		for _, id := range r.acked {
			acked[id] = true
		}
		saw := make(map[string]bool)
		for _, s := range r.seen {
			saw[s.cursor] = true
		}
		want = slices.DeleteFunc(want, func(s sighting) bool { return acked[s.id] && !saw[s.cursor] && s.sum != chaosSum("failed", s.id) })
	}
	r.thread.compare(r.name, r.seen, want)
	texts := make(map[string]string)
	for i := range log {
		if log[i].Kind == tandem.KindAnswerEnded || log[i].Kind == tandem.KindMessage {
			texts[log[i].ID] = log[i].said.Text
		}
	}
	for id, shown := range r.shown {
		text, kept := texts[id]
		if !kept {
			r.fault("answer %s was shown (%q) and is not in the log", id, shown)
		} else if !strings.HasPrefix(shown, text) && !strings.HasPrefix(text, shown) {
			r.fault("answer %s was shown as %q and is %q", id, shown, text)
		}
		if !r.closed[id] {
			r.fault("answer %s has begun and was not seen to end", id)
		}
	}
}

// compare says where two views of a thread part.
func (t *chaosThread) compare(what string, got, want []sighting) {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.world.faults.add("%s of %s: saw %d of %d; the next would be %v", what, t.address.Participant, len(got), len(want), want[i])
		case i >= len(want):
			t.world.faults.add("%s of %s: saw %v, which is not in the log", what, t.address.Participant, got[i])
		case got[i] != want[i]:
			t.world.faults.add("%s of %s: entry %d is %v, want %v", what, t.address.Participant, i, got[i], want[i])
		default:
			continue
		}
		return
	}
}
