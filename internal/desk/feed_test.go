package desk_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// feeding is a feed of the workflow "support", and what it was told.
type feeding struct {
	o     *office
	f     *desk.Feed
	place string
	seen  []string
}

func (o *office) feeds(p tandem.Principal, after string, heartbeat time.Duration) *feeding {
	o.t.Helper()
	f, err := o.desk.Feed(o.t.Context(), desk.Feeding{Principal: p, Workflow: "support", After: after, Heartbeat: heartbeat})
	if err != nil {
		o.t.Fatal(err)
	}
	return &feeding{o: o, f: f, place: f.Place()}
}

// next takes a batch.
func (r *feeding) next() desk.FeedBatch {
	r.o.t.Helper()
	ctx, cancel := context.WithTimeout(r.o.t.Context(), 20*time.Second)
	defer cancel()
	b, err := r.f.Next(ctx)
	if err != nil {
		r.o.t.Fatalf("%v after %v", err, r.seen)
	}
	for _, frame := range b.Frames {
		r.seen = append(r.seen, string(frame))
	}
	if b.Passed {
		r.place = r.f.Place()
	}
	return b
}

// until takes batches until one is as wanted, and closes the feed.
func (r *feeding) until(done func(desk.FeedBatch) bool) *feeding {
	r.o.t.Helper()
	defer r.f.Close()
	for !done(r.next()) {
	}
	return r
}

func passed(b desk.FeedBatch) bool { return b.Passed }

func (r *feeding) told() string { return strings.Join(r.seen, " ") }

// A clock that tests move.
type movable struct{ offset atomic.Int64 }

func (m *movable) now() time.Time {
	return time.Date(2025, 9, 12, 12, 0, 0, 0, time.UTC).Add(time.Duration(m.offset.Load()))
}

func (m *movable) pass(d time.Duration) { m.offset.Add(int64(d)) }

// From its place a feed goes on with all that came since, and repeats nothing that
// is older than the overlap. Seen to fail by a place that moves before what was
// found is told, by one that does not move, and by reading a thread from its
// beginning.
func TestFeed_goesOnFromItsPlace(t *testing.T) {
	clock := &movable{}
	o := open(t, setup{clock: clock.now})
	o.says("ann", "before")
	clock.pass(time.Minute)
	o.says("bob", "a moment before")
	first := o.feeds(agentKey(), "", 0)
	if first.place == "" {
		t.Fatal("no place")
	}
	o.says("ann", "one")
	first.until(func(desk.FeedBatch) bool { return len(first.seen) > 0 })
	if got := first.told(); strings.Contains(got, "before") {
		t.Errorf("who begins now is told what was: %s", got)
	}
	clock.pass(time.Minute)
	o.says("cy", "two")
	again := o.feeds(agentKey(), first.place, 0).until(passed)
	if got := again.told(); got != "[ann 3 Chat one] [bob 1 Chat a moment before] [bob 2 state waiting ACTIVE] [cy 1 Chat two] [cy 2 state waiting ACTIVE]" {
		t.Errorf("told %s", got)
	}
	clock.pass(10 * time.Second)
	o.says("ann", "three")
	third := o.feeds(agentKey(), again.place, 0).until(passed)
	if got := third.told(); got != "[cy 1 Chat two] [cy 2 state waiting ACTIVE] [ann 4 Chat three]" {
		t.Errorf("told %s", got)
	}
	clock.pass(time.Hour)
	fourth := o.feeds(agentKey(), third.place, 0).until(passed) // nothing new: only the overlap
	if got := fourth.told(); got != third.told() {
		t.Errorf("told %s", got)
	}
	if got := o.feeds(agentKey(), fourth.place, 0).until(passed).told(); got != "" {
		t.Errorf("told %s", got)
	}
}

// A place that is of another feed, or of none, is not taken for one that has been
// reached: all that is kept follows.
func TestFeed_resetForAPlaceThatIsNoneOfIts(t *testing.T) {
	clock := &movable{}
	o := open(t, setup{clock: clock.now})
	o.says("ann", "one")
	clock.pass(time.Hour)
	own := o.feeds(agentKey(), "", 0)
	own.f.Close()
	other, err := o.desk.Feed(t.Context(), desk.Feeding{Principal: agentKey(), Workflow: "billing"})
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	late := strings.Replace(own.place, "f17", "f18", 1)
	for _, place := range []string{other.Place(), late, "nonsense", "f-1-aaaaaaaa", own.place + " ", "f0" + own.place[1:], strings.TrimPrefix(own.place, "f"), "3-abcdefgh"} {
		r := o.feeds(agentKey(), place, 0)
		if b := r.next(); !b.Reset {
			t.Errorf("%q: %+v", place, b)
		}
		if got := r.until(passed).told(); got != "[ann 1 Chat one] [ann 2 state waiting ACTIVE]" {
			t.Errorf("%q: told %q", place, got)
		}
	}
	if b := o.feeds(agentKey(), own.place, 0).until(passed); len(b.seen) != 0 {
		t.Errorf("its own place: told %s", b.told())
	}
	whole := o.feeds(agentKey(), other.Place()[:1]+"0"+own.place[strings.Index(own.place, "-"):], 0)
	if b := whole.next(); b.Reset || len(b.Frames) != 2 {
		t.Errorf("from the beginning: %+v", b)
	}
	whole.f.Close()
}

// An engine learns of what participants say and send, of handoffs, of every change
// of control, and of what people tell it; not of what anybody says to
// participants, nor of what operators say among themselves. Seen to fail by
// showing it notes.
func TestFeed_showsWhatAnEngineIsToKnow(t *testing.T) {
	o := open(t, setup{agents: engines("support", "billing")})
	r := o.feeds(agentKey(), "", 0)
	o.says("ann", "hello")
	if _, err := o.desk.Post(t.Context(), participant("ann"), desk.Post{Address: addr("ann"), Type: tandem.Data, Text: "a click"}); err != nil {
		t.Fatal(err)
	}
	o.pushes("ann", "from the agent")
	id := o.conversation("ann").ID
	o.takes("maya", id)
	o.pushes("ann", "a draft")
	o.speaks(operator("maya"), id, "from Maya")
	if _, err := o.desk.Say(t.Context(), operator("maya"), desk.Say{Conversation: id, Messages: []desk.Saying{{Content: "a note", Audience: "operators"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.desk.Steer(t.Context(), operator("maya"), id, "be short"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.desk.Release(t.Context(), operator("maya"), id, "agent"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.desk.Handoff(t.Context(), agentKey(), desk.Escalation{Address: addr("ann"), Text: "over"}, on("billing")); err != nil {
		t.Fatal(err)
	}
	if _, err := o.desk.End(t.Context(), agentKey(), id, ""); err != nil {
		t.Fatal(err)
	}
	r.until(func(desk.FeedBatch) bool { return strings.Contains(r.told(), "ENDED") })
	var told []string
	for _, s := range r.seen {
		f := strings.SplitN(strings.Trim(s, "[]"), " ", 3)
		told = append(told, f[2])
	}
	want := "Chat hello | state agent ACTIVE | Data a click | state operator ACTIVE | Chat be short | state agent ACTIVE | Handoff over | state agent ACTIVE | state agent ENDED"
	if got := strings.Join(told, " | "); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

// Back ends and owners follow, each in its own tenant and workflow.
func TestFeed_isForBackEnds(t *testing.T) {
	o := open(t, setup{})
	bound, foreign, owner := agentKey(), agentKey(), staff("olga", tandem.Owner)
	bound.Workflow, foreign.Tenant = "billing", "other"
	if err := o.store.EnsureTenant(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []tandem.Principal{participant("ann"), operator("maya"), staff("lea", tandem.Supervisor), bound} {
		_, err := o.desk.Feed(t.Context(), desk.Feeding{Principal: p, Workflow: "support"})
		refused(t, err, tandem.Forbidden, "")
	}
	for _, workflow := range []string{"", "$sessions", "a\nb", strings.Repeat("x", 257)} {
		_, err := o.desk.Feed(t.Context(), desk.Feeding{Principal: agentKey(), Workflow: workflow})
		refused(t, err, tandem.Invalid, "")
	}
	theirs, ours := o.feeds(foreign, "f0-"+string(tandem.FeedAddress("other", "support").Root().Tag()), 0), o.feeds(owner, "", 0)
	o.says("ann", "secret")
	if got := theirs.until(passed).told(); got != "" {
		t.Errorf("another tenant is told %s", got)
	}
	ours.until(func(desk.FeedBatch) bool { return strings.Contains(ours.told(), "secret") })
}

// More notices than are kept: the oldest are lost, and the feed looks at all
// threads. Seen to fail by taking what is left for all, and by a look that ends
// with its first page.
func TestFeed_looksAroundWhenNoticesWereLost(t *testing.T) {
	o := open(t, setup{})
	r := o.feeds(agentKey(), "", time.Hour)
	for i := range 300 {
		o.says(fmt.Sprint("p", i), "hello")
	}
	chats := func() (n int) {
		for _, s := range r.seen {
			if strings.Contains(s, "Chat hello") {
				n++
			}
		}
		return n
	}
	r.until(func(desk.FeedBatch) bool { return chats() >= 300 })
	if chats() != 300 {
		t.Errorf("%d were told", chats())
	}
	for i := range 200 {
		o.says(fmt.Sprint("p", i), "again")
	}
	if again := o.feeds(agentKey(), r.place, 0).until(passed); strings.Count(again.told(), "Chat again") != 200 {
		t.Errorf("the place moves after %d of 200", strings.Count(again.told(), "Chat again"))
	}
}

// What no bell told comes with the next heartbeat on the same connection, and,
// if there is none before the connection ends, on the next. Seen to fail by not
// looking at a heartbeat, and by a place that moves with what notices brought.
func TestFeed_findsWhatNoBellTold(t *testing.T) {
	clock, deaf := &movable{}, &atomic.Bool{}
	o := open(t, setup{clock: clock.now, lose: deaf.Load})
	r := o.feeds(agentKey(), "", time.Minute)
	deaf.Store(true)
	o.says("ann", "unheard")
	deaf.Store(false)
	clock.pass(50 * time.Second)
	o.says("bob", "heard")
	for !strings.Contains(r.told(), "bob 2") {
		r.next()
	}
	if strings.Contains(r.told(), "unheard") {
		t.Fatal("a bell that was lost was heard")
	}
	if again := o.feeds(agentKey(), r.place, 0).until(passed); !strings.Contains(again.told(), "unheard") {
		t.Errorf("the next connection is told %s", again.told())
	}
	clock.pass(10 * time.Second)
	r.f.Wake()
	r.until(func(b desk.FeedBatch) bool { return b.Heartbeat })
	if !strings.Contains(r.told(), "unheard") {
		t.Errorf("at a heartbeat: told %s", r.told())
	}
}

// Who was stuck in its socket for longer than the overlap is told what came
// meanwhile before the place moves. Seen to fail by a heartbeat that takes what was
// not heard yet for nothing.
func TestFeed_doesNotMovePastWhatItHasNotHeard(t *testing.T) {
	clock := &movable{}
	o := open(t, setup{clock: clock.now})
	r := o.feeds(agentKey(), "", time.Minute)
	o.says("ann", "meanwhile")
	clock.pass(5 * time.Minute)
	r.until(func(b desk.FeedBatch) bool { return b.Passed })
	if !strings.Contains(r.told(), "meanwhile") {
		t.Error("the place moved before it was told")
	}
	quiet := o.feeds(agentKey(), "", time.Minute)
	before := quiet.place
	clock.pass(time.Minute)
	if b := quiet.next(); !b.Heartbeat || quiet.place <= before {
		t.Errorf("at %s: %+v", quiet.place, b)
	}
	quiet.f.Close()
}

// Sixteen people post on many threads while the bell loses half of its rings and
// the engine comes and goes at random. Every message is told, and each thread in
// its order. The clock runs twenty times as fast, so that the overlap hides less of
// what is lost. Seen to fail without the overlap.
func TestFeed_missesNothingWithHalfTheRingsLost(t *testing.T) {
	const people, posts = 16, 40
	began := time.Now()
	o := open(t, setup{
		lose:  func() bool { return rand.N(2) == 0 },
		clock: func() time.Time { return began.Add(20 * time.Since(began)) },
	})
	r := o.feeds(agentKey(), "", 50*time.Millisecond)
	var group sync.WaitGroup
	for i := range people {
		group.Go(func() {
			for k := range posts {
				name := fmt.Sprint("p", rand.N(24))
				_, err := o.desk.Post(t.Context(), participant(name), desk.Post{Address: addr(name), Type: tandem.Chat, Text: fmt.Sprintf("%d-%d.", i, k)})
				if err != nil {
					t.Error(err)
					return
				}
				pause := time.NewTimer(rand.N(100 * time.Millisecond))
				select {
				case <-pause.C:
				case <-t.Context().Done():
				}
			}
		})
	}
	told, deadline := map[string]bool{}, time.Now().Add(30*time.Second)
	connections := 0
	for len(told) < people*posts && time.Now().Before(deadline) {
		last := map[string]int{} // by thread: the seq told last, on this connection
		for range 1 + rand.N(40) {
			b := r.next()
			for _, frame := range b.Frames {
				var name, kind, text string
				var seq int
				if _, err := fmt.Sscanf(strings.Trim(string(frame), "[]"), "%s %d %s %s", &name, &seq, &kind, &text); err != nil {
					t.Fatal(err, string(frame))
				}
				if seq <= last[name] {
					t.Fatalf("%s: %d after %d", name, seq, last[name])
				}
				last[name] = seq
				if kind == "Chat" {
					told[text] = true
				}
			}
			if len(told) == people*posts {
				break
			}
		}
		r.f.Close()
		if connections++; len(told) < people*posts {
			r = o.feeds(agentKey(), r.place, 50*time.Millisecond)
		}
	}
	group.Wait()
	if len(told) != people*posts {
		t.Errorf("told %d of %d messages on %d connections", len(told), people*posts, connections)
	}
}
