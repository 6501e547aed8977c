package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The data folder is put back from an older copy. Whoever has a place that came
// after the copy is told so, by every door, also once the new history has become
// longer than the lost one; whoever has an older place just goes on. Afterwards
// everybody sees what is posted.
//
// Seen to fail by a server that compares only the numbers of cursors: readers
// then go on in the new history as if it were the lost one.
func TestChaos_olderCopyPutBack(t *testing.T) {
	for _, how := range []string{"stopped", "killed"} {
		t.Run(how, func(t *testing.T) { chaosPutBack(t, how == "killed") })
	}
}

func chaosPutBack(t *testing.T, killed bool) {
	w := newChaosWorld(t, 2, 0)
	w.server.start()
	w.server.ready()
	w.read()
	down := w.server.kill
	if !killed {
		down = func() { w.server.stop() }
	}
	w.writeUntil(60)
	w.settle("before the copy")
	asleep := w.fallAsleep()
	w.sayUntilSettled("first") // there is more in the copy than they have seen

	down()
	saved := filepath.Join(t.TempDir(), "saved")
	copyTree(t, saved, w.server.dir)
	ledgers := w.ledgers()
	w.server.start()
	w.server.ready()
	w.writeUntil(30)
	w.settle("will be lost")
	lost := make(map[*chaosThread]sighting)
	for _, th := range w.threads {
		lost[th] = th.readers[0].seen[len(th.readers[0].seen)-1]
	}
	down()
	if err := os.RemoveAll(w.server.dir); err != nil {
		t.Fatal(err)
	}
	copyTree(t, w.server.dir, saved)
	for i, th := range w.threads {
		th.ledger = ledgers[i]
	}
	w.server.start()
	w.server.ready()
	w.await("a reset", func(r *chaosReader) bool { return r.counts.resets == 1 })
	w.refuseLost(lost)
	w.writeUntil(120) // longer than what was lost
	w.settle("after it was put back")
	w.refuseLost(lost)
	w.wakeUp(asleep, "awake again")
	for _, th := range w.threads {
		for _, r := range th.readers {
			if want := map[bool]int{true: 0, false: 1}[slices.Contains(asleep, r)]; r.counts.resets != want {
				t.Errorf("%s: %d resets, want %d", r.name, r.counts.resets, want)
			}
		}
	}
	w.probeLost(lost)
	history := w.history()
	w.end()
	w.readers.Wait()
	down()
	w.audit(history)
}

// writeUntil posts until so many more were accepted, and for each that was begun
// to be.
func (w *chaosWorld) writeUntil(more int64) {
	w.t.Helper()
	stop, until := make(chan struct{}), w.accepted.Load()+more
	w.write(stop, 5*time.Millisecond)
	if !chaosUntil(w.t.Context(), func() bool { return w.accepted.Load() >= until }) {
		w.t.Errorf("%d were accepted, want %d", w.accepted.Load(), until)
	}
	close(stop)
	w.writers.Wait()
}

// fallAsleep puts two more readers on each thread, lets them see all there is, and
// ends their connections.
func (w *chaosWorld) fallAsleep() []*chaosReader {
	w.t.Helper()
	var asleep []*chaosReader
	for _, th := range w.threads {
		stream, socket := th.unread("asleep, stream"), th.unread("asleep, socket")
		stream.echo, stream.tokens, socket.chat = true, true, true
		asleep = append(asleep, stream, socket)
	}
	// They begin before the first event, as if they had been there.
	for _, r := range asleep {
		r.place = r.thread.address.Start().String()
	}
	w.runUntil(asleep, "before the copy")
	return asleep
}

// unread is a reader of the thread that nobody starts.
func (t *chaosThread) unread(name string) *chaosReader {
	r := t.reader(name)
	t.readers = t.readers[:len(t.readers)-1]
	return r
}

// runUntil lets readers read until they have seen the word.
func (w *chaosWorld) runUntil(readers []*chaosReader, word string) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var done []<-chan struct{}
	for _, r := range readers {
		ended := make(chan struct{})
		done = append(done, ended)
		go func() {
			defer close(ended)
			r.run(ctx)
		}()
	}
	sum := chaosSum("Data", word, `{"last":true}`)
	for _, r := range readers {
		if !chaosUntil(ctx, func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return slices.ContainsFunc(r.seen, func(s sighting) bool { return s.sum == sum })
		}) {
			w.t.Errorf("%s waited in vain for %q", r.name, word)
		}
	}
	cancel()
	for _, ended := range done {
		<-ended
	}
}

// sayUntilSettled posts a little that those asleep do not see.
func (w *chaosWorld) sayUntilSettled(word string) {
	w.t.Helper()
	w.writeUntil(20)
	w.settle(word)
}

// wakeUp lets those asleep read on from where they were, and counts them among
// the readers.
func (w *chaosWorld) wakeUp(asleep []*chaosReader, word string) {
	w.t.Helper()
	w.settle(word)
	w.runUntil(asleep, word)
	for _, r := range asleep {
		r.thread.readers = append(r.thread.readers, r)
	}
}

func (w *chaosWorld) ledgers() [][]accepted {
	var all [][]accepted
	for _, th := range w.threads {
		all = append(all, slices.Clone(th.ledger))
	}
	return all
}

// refuseLost asks for history behind a place, and behind a message, that the
// server does not know any more.
func (w *chaosWorld) refuseLost(lost map[*chaosThread]sighting) {
	w.t.Helper()
	for th, s := range lost {
		for _, after := range []string{s.cursor, s.id} {
			if status, body := th.get("/api/user/rest/history", url.Values{"after": {after}}, nil); status != http.StatusBadRequest {
				w.t.Errorf("history after %s: %d %s", after, status, body)
			}
		}
	}
}

// probeLost comes with the lost place once more, now that the log has gone beyond
// its number, by each door.
func (w *chaosWorld) probeLost(lost map[*chaosThread]sighting) {
	w.t.Helper()
	for th, s := range lost {
		stream, query, socket := th.unread("late stream"), th.unread("late query"), th.unread("late socket")
		stream.echo, stream.tokens, query.query, socket.chat = true, true, true, true
		late := []*chaosReader{stream, query, socket}
		for _, r := range late {
			r.place = s.cursor
		}
		w.runUntil(late, "awake again")
		for _, r := range late {
			if r.counts.resets != 1 {
				w.t.Errorf("%s: %d resets", r.name, r.counts.resets)
			}
		}
		th.readers = append(th.readers, late...)
	}
}

func copyTree(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
