package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/seed4677ff1f/tandem"
)

// A chaosWorld is a server that is treated badly, and everybody who speaks with
// it meanwhile.
type chaosWorld struct {
	t       *testing.T
	seed    uint64
	server  *chaosServer
	agent   *chaosAgent
	key     string // of a back end
	via     string // host:port that clients connect to: the server, or a proxy
	calls   *http.Client
	streams *http.Client
	threads []*chaosThread
	faults  chaosFaults

	phase    int          // how often write was called: part of what is posted
	accepted atomic.Int64 // posts that were answered with 2xx or an ack
	retried  atomic.Int64 // tries of a post that were not the first
	readers  sync.WaitGroup
	writers  sync.WaitGroup
	end      context.CancelFunc // of the readers
}

// A chaosThread is a participant, who follows and what was accepted.
type chaosThread struct {
	world   *chaosWorld
	address tandem.Address
	token   string
	readers []*chaosReader
	watcher *chaosReader // the one of them that tells how questions ended
	chatter *chaosReader // the one of them that questions are asked on

	mu     sync.Mutex // guards ledger
	ledger []accepted
}

// accepted is a post that was answered with 2xx or an ack.
type accepted struct {
	writer string // whose posts come in order
	text   string // its first word is its name and its key
	data   string
}

// newChaosWorld makes the server and people for so many threads, and starts
// nothing.
func newChaosWorld(t *testing.T, threads int, pace time.Duration, flags ...string) *chaosWorld {
	t.Helper()
	if testing.Short() {
		t.Skip("takes its time")
	}
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	w := &chaosWorld{t: t, seed: chaosSeed(t), agent: newChaosAgent(t, pace)}
	w.server = newChaosServer(t, append([]string{"--agent", w.agent.url, "--rate", "0", "--max-streams", "0"}, flags...)...)
	w.via = w.server.address
	w.key = w.server.command("key", "create", "--role", "agent", "--name", "back end")
	calls, streams := &http.Transport{MaxIdleConnsPerHost: 64}, &http.Transport{DisableKeepAlives: true}
	w.calls, w.streams = &http.Client{Transport: calls, Timeout: 10 * time.Second}, &http.Client{Transport: streams}
	for i := range threads {
		subject := fmt.Sprintf("p%d", i)
		a, err := tandem.NewAddress("default", "support", subject)
		if err != nil {
			t.Fatal(err)
		}
		th := &chaosThread{world: w, address: a}
		th.token = w.server.command("token", "--subject", subject, "--role", "participant")
		w.threads = append(w.threads, th)
	}
	t.Cleanup(func() {
		if w.end != nil {
			w.end()
		}
		w.readers.Wait()
		calls.CloseIdleConnections()
		w.faults.tell(t)
	})
	return w
}

func (w *chaosWorld) url(scheme, path string, q url.Values) string {
	return (&url.URL{Scheme: scheme, Host: w.via, Path: path, RawQuery: q.Encode()}).String()
}

// read lets four readers follow each thread, each in another way.
func (w *chaosWorld) read() {
	for _, th := range w.threads {
		th.reader("stream with tokens").set(func(r *chaosReader) { r.echo, r.tokens = true, true })
		th.reader("stream without").set(func(r *chaosReader) { r.query = true })
		th.watcher = th.reader("socket").set(func(r *chaosReader) { r.chat = true })
		th.chatter = th.reader("chat").set(func(r *chaosReader) { r.chat, r.asks = true, true })
	}
	w.follow()
}

func (r *chaosReader) set(change func(*chaosReader)) *chaosReader {
	change(r)
	return r
}

// follow starts the readers, and waits until each has its first place: what is
// posted from now on is theirs.
func (w *chaosWorld) follow() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	w.end = cancel
	for _, th := range w.threads {
		for _, r := range th.readers {
			w.readers.Go(func() { r.run(ctx) })
		}
	}
	w.await("the readers to begin", func(r *chaosReader) bool { return r.place != "" })
}

// await waits until cond holds for every reader, which it may look into.
func (w *chaosWorld) await(what string, cond func(*chaosReader) bool) {
	w.t.Helper()
	var missing *chaosReader
	ok := chaosUntil(w.t.Context(), func() bool {
		for _, th := range w.threads {
			for _, r := range th.readers {
				r.mu.Lock()
				holds := cond(r)
				r.mu.Unlock()
				if !holds {
					missing = r
					return false
				}
			}
		}
		return true
	})
	if !ok {
		w.faults.tell(w.t)
		missing.mu.Lock()
		defer missing.mu.Unlock()
		w.t.Fatalf("waited in vain for %s: %s is at %s, opened %d times, %d seen", what, missing.name, missing.place, missing.counts.opened, len(missing.seen))
	}
}

// note remembers a post that was accepted.
func (t *chaosThread) note(a accepted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ledger = append(t.ledger, a)
	t.world.accepted.Add(1)
}

// write lets three writers post to each thread until stop is closed. What each
// has begun it brings to its end: the same key again and again until it is
// accepted.
func (w *chaosWorld) write(stop <-chan struct{}, most time.Duration) {
	w.phase++
	for i, th := range w.threads {
		rng := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, uint64(w.phase)<<32|uint64(i)<<8|n)) }
		post, push, ask := rng(1), rng(2), rng(3)
		w.writers.Go(func() { th.each(stop, post, most, th.post) })
		w.writers.Go(func() { th.each(stop, push, most, th.push) })
		w.writers.Go(func() { th.each(stop, ask, most, th.ask) })
	}
}

func (t *chaosThread) each(stop <-chan struct{}, rng *rand.Rand, most time.Duration, do func(*rand.Rand, int) bool) {
	ctx := t.world.t.Context()
	for n := 0; chaosPause(ctx, chaosSpan(rng, most)) && do(rng, n); n++ {
		select {
		case <-stop:
			return
		default:
		}
	}
}

func chaosFiller(rng *rand.Rand) string {
	return strings.Repeat("é", 1+rng.IntN(1<<rng.IntN(10)))
}

// post says something in the participant's name: mostly data, now and then a
// question.
func (t *chaosThread) post(rng *rand.Rand, n int) bool {
	a := accepted{writer: "post", text: fmt.Sprintf("post-%s-%d-%d %s", t.address.Participant, t.world.phase, n, chaosFiller(rng))}
	kind := "Chat"
	if rng.IntN(20) > 0 {
		kind, a.data = "Data", fmt.Sprintf(`{"n":%d}`, n)
	}
	q := url.Values{"workflow": {t.address.Workflow}, "participantId": {t.address.Participant}, "type": {kind}, "text": {a.text}}
	target := t.world.url("http", "/api/user/rest/send", q)
	if !t.accept(rng, a, target, a.data, t.token) {
		return false
	}
	if n%50 == 7 { // the same key for something else
		q.Set("text", "something else")
		status, body, err := t.call(t.world.url("http", "/api/user/rest/send", q), chaosMark(a.text), a.data, t.token)
		if err == nil && status != http.StatusServiceUnavailable && status != http.StatusUnprocessableEntity {
			t.world.faults.add("a key that was used for something else: %d %s", status, body)
		}
	}
	return true
}

// asks asks a question by HTTP.
func (t *chaosThread) asks(mark string) {
	t.world.t.Helper()
	a := accepted{writer: "asks", text: mark}
	q := url.Values{"workflow": {t.address.Workflow}, "participantId": {t.address.Participant}, "type": {"Chat"}, "text": {mark}}
	if !t.accept(newChaosRand(1, mark), a, t.world.url("http", "/api/user/rest/send", q), "", t.token) {
		t.world.t.Fatalf("%s was not accepted", mark)
	}
}

// push speaks for the back end.
func (t *chaosThread) push(rng *rand.Rand, n int) bool {
	a := accepted{writer: "push", text: fmt.Sprintf("push-%s-%d-%d %s", t.address.Participant, t.world.phase, n, chaosFiller(rng))}
	body := map[string]any{"workflow": t.address.Workflow, "participantId": t.address.Participant, "text": a.text}
	kind := "chat"
	if rng.IntN(4) > 0 {
		kind, a.data = "data", fmt.Sprintf(`{"n":%d}`, n)
		body["data"] = json.RawMessage(a.data)
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.world.faults.add("%v", err)
		return false
	}
	return t.accept(rng, a, t.world.url("http", "/api/agent/conversation/outbound/"+kind, nil), string(b), t.world.key)
}

// accept posts until it is accepted, and now and then once more.
func (t *chaosThread) accept(rng *rand.Rand, a accepted, target, body, credential string) bool {
	ctx, want := t.world.t.Context(), fmt.Sprintf("%q", t.address.ThreadID())
	for again := rng.IntN(20) == 0; ; {
		status, said, err := t.call(target, chaosMark(a.text), body, credential)
		switch {
		case err != nil || status == http.StatusServiceUnavailable:
			t.world.retried.Add(1)
			if !chaosPause(ctx, 5*time.Millisecond+chaosSpan(rng, 10*time.Millisecond)) {
				return false
			}
			continue
		case status != http.StatusOK || strings.TrimSpace(said) != want:
			t.world.faults.add("%s: %d %s", target, status, said)
			return false
		case again:
			again = false
			continue
		}
		t.note(a)
		return true
	}
}

func (t *chaosThread) call(target, key, body, credential string) (status int, said string, err error) {
	r, err := http.NewRequestWithContext(t.world.t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "Bearer "+credential)
	r.Header.Set("Idempotency-Key", key)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := t.world.calls.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(b), err
}

// ask asks a question on the chat socket and waits for how it ends.
func (t *chaosThread) ask(rng *rand.Rand, n int) bool {
	mark := fmt.Sprintf("ask-%s-%d-%d", t.address.Participant, t.world.phase, n)
	a := accepted{writer: "ask", text: mark + " " + chaosFiller(rng)}
	frame, err := json.Marshal(map[string]string{"type": "chat", "content": a.text, "clientMessageId": mark})
	if err != nil {
		t.world.faults.add("%v", err)
		return false
	}
	r, ctx := t.chatter, t.world.t.Context()
	look := func(cond func() bool) func() bool {
		return func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return cond()
		}
	}
	for first := true; !look(func() bool { return r.acked[mark] != "" })(); first = false {
		if !first {
			t.world.retried.Add(1)
		}
		var c *websocket.Conn
		if !chaosUntil(ctx, look(func() bool { c = r.socket; delete(r.refused, mark); return c != nil })) {
			t.world.faults.add("%s: the chat does not come back", r.name)
			return false
		}
		_ = c.Write(ctx, websocket.MessageText, frame) // it is tried again if no ack comes
		chaosUntil(ctx, look(func() bool { return r.acked[mark] != "" || r.refused[mark] != "" || r.socket != c }))
	}
	t.note(a)
	if !chaosUntil(ctx, look(func() bool { return r.outcome[mark] != "" })) {
		t.world.faults.add("%s: %s has no answer and has not failed", r.name, mark)
	}
	return true
}

// get reads JSON in the participant's name.
func (t *chaosThread) get(path string, q url.Values, into any) (status int, body string) {
	q.Set("workflow", t.address.Workflow)
	q.Set("participantId", t.address.Participant)
	r, err := http.NewRequestWithContext(t.world.t.Context(), http.MethodGet, t.world.url("http", path, q), nil)
	if err != nil {
		t.world.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+t.token)
	resp, err := t.world.calls.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	if resp.StatusCode == http.StatusOK && into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			t.world.t.Fatal(err)
		}
	}
	return resp.StatusCode, string(b)
}

func newChaosRand(seed uint64, what string) *rand.Rand {
	return rand.New(rand.NewPCG(seed, chaosSum(what)))
}

func chaosSpan(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(most)))
}
