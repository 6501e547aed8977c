package desk_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// Laws 1 and 3. Broken by reading before watching (an event between is lost), by
// trusting the bell to say which events are new, and by leaving the heartbeat's
// read out (what a lost bell hid never comes).
func TestFollow_showsEachEventOnceInOrderWithHalfTheRingsLost(t *testing.T) {
	o := open(t, setup{lose: func() bool { return rand.IntN(2) == 0 }})
	const threads, followers, writers, each = 8, 64, 4, 10
	var wg sync.WaitGroup
	for i := range followers {
		name := fmt.Sprint("user-", i%threads)
		r := o.follows(eventsOf(name))
		wg.Go(func() {
			want := 0
			for want < writers*each {
				b := r.next()
				for _, f := range b.Frames {
					want++
					if !strings.HasPrefix(string(f), fmt.Sprintf("[%d Chat ", want)) {
						t.Errorf("%s saw %s as its %d", name, f, want)
						return
					}
				}
			}
		})
	}
	for i := range threads * writers {
		name := fmt.Sprint("user-", i%threads)
		wg.Go(func() {
			for k := range each {
				if _, err := o.desk.Push(t.Context(), agentKey(), desk.Push{Address: addr(name), Type: tandem.Chat, Text: fmt.Sprint(i, ".", k)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestFollow_resumesAfterARestart(t *testing.T) {
	dir := t.TempDir()
	o := open(t, setup{dir: dir})
	o.pushes("ann", "one")
	two := o.pushes("ann", "two").Event
	at := two.Cursor()
	o.close()
	o = open(t, setup{dir: dir})
	o.pushes("ann", "three")
	req := eventsOf("ann")
	req.After = &at
	r := o.follows(req)
	o.pushes("ann", "four")
	if got := r.until("four"); got != "[3 Chat three][4 Chat four]" {
		t.Errorf("saw %q", got)
	}
}

func TestFollow_tellsGapAndResetBeforeAnythingElse(t *testing.T) {
	o := open(t, setup{})
	o.pushes("ann", "one")
	bobs := o.pushes("bob", "one").Event
	foreign := bobs.Cursor()
	req := eventsOf("ann")
	for name, c := range map[string]struct {
		after   *tandem.Cursor
		unknown bool
	}{"foreign": {after: &foreign}, "not a cursor": {unknown: true}} {
		req.After, req.Unknown = c.after, c.unknown
		r := o.follows(req)
		if at := r.f.Cursor(); at != addr("ann").Start() {
			t.Errorf("%s: goes on from %v", name, at)
		}
		if b := r.next(); !b.Reset {
			t.Errorf("%s: first came %+v", name, b)
		}
		if got := r.until("one"); got != "[1 Chat one]" {
			t.Errorf("%s: saw %q", name, got)
		}
	}
	if _, err := o.store.Trim(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	o.pushes("ann", "two")
	start := addr("ann").Start()
	req.After, req.Unknown = &start, false
	r := o.follows(req)
	if b := r.next(); b.Gap == nil || *b.Gap != (tandem.Gap{From: 1, To: 1}) {
		t.Errorf("first came %+v", b)
	}
	if got := r.until("two"); got != "[2 Chat two]" {
		t.Errorf("saw %q", got)
	}
}

// Law 6. Broken by taking the end of an answer for its last delta: with deltas
// lost the text is short.
func TestFollow_showsTheSameBytesWithEveryDeltaLost(t *testing.T) {
	const want = "<Hello, wörld. How are you?[4 stop]"
	for name, lose := range map[string]func() bool{
		"none lost": nil, "all lost": func() bool { return true }, "some lost": func() bool { return rand.IntN(2) == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			feed := make(scripted, 10)
			o := open(t, setup{agents: answeredBy(feed), lose: lose})
			req := chatOf("ann")
			req.Heartbeat = 20 * time.Millisecond
			r := o.follows(req)
			o.says("ann", "hi")
			for _, piece := range []string{"Hello, ", "w\xc3", "\xb6rld. ", "How ", "are ", "you?"} {
				feed <- piece
			}
			close(feed)
			got := strings.TrimPrefix(r.until("stop]"), "[1 Chat hi][2 state agent ACTIVE]")
			if got != want {
				t.Errorf("saw  %q\nwant %q", got, want)
			}
		})
	}
}

func TestFollow_joinsAnAnswerMidwayByValue(t *testing.T) {
	feed := make(scripted)
	o := open(t, setup{agents: answeredBy(feed)})
	first := o.follows(chatOf("ann"))
	o.says("ann", "hi")
	feed <- "Good "
	feed <- "mor"
	first.until("<Good mor")
	late := o.follows(chatOf("ann"))
	if got := late.until("<Good mor"); got != "<Good mor" {
		t.Errorf("joined with %q", got)
	}
	at := first.f.Cursor()
	resumed := chatOf("ann")
	resumed.After = &at
	again := o.follows(resumed)
	feed <- "ning"
	close(feed)
	for _, r := range []*reader{late, again} {
		if got := r.until("stop]"); got != "<Good morning[4 stop]" {
			t.Errorf("saw %q", got)
		}
	}
	plain := o.follows(eventsOf("ann")) // begins at the head: nothing
	o.pushes("ann", "later")
	if got := plain.until("later"); got != "[5 Chat later]" {
		t.Errorf("the events saw %q", got)
	}
}

// A slow reader gets larger pieces, not a longer queue.
func TestFollow_rollsUpForASlowReader(t *testing.T) {
	feed := make(scripted)
	o := open(t, setup{agents: answeredBy(feed)})
	slow, fast := o.follows(chatOf("ann")), o.follows(chatOf("ann"))
	o.says("ann", "hi")
	feed <- "0"
	slow.until("<0")
	for i := 1; i < 50; i++ {
		feed <- fmt.Sprint(",", i)
		fast.until(fmt.Sprint(",", i))
	}
	b := slow.next()
	if len(b.Frames) != 1 || strings.Count(string(b.Frames[0]), ",") != 49 {
		t.Errorf("the slow reader got %d frames", len(b.Frames))
	}
	close(feed)
	if a, b := slow.until("stop]"), fast.until("stop]"); a != b {
		t.Errorf("slow %q\nfast %q", a, b)
	}
}

func TestFollow_restatesFromTheLogAfterTheServerDied(t *testing.T) {
	dir := t.TempDir()
	feed := make(scripted)
	o := open(t, setup{dir: dir, agents: answeredBy(feed)})
	before := o.follows(chatOf("ann"))
	o.says("ann", "hi")
	at := before.f.Cursor()
	feed <- "Good "
	before.until("<Good ")
	o.close() // ends the answer as interrupted, as a recovery does
	o = open(t, setup{dir: dir})
	resumed := chatOf("ann")
	resumed.After = &at
	if got := o.follows(resumed).until("interrupted]"); !strings.HasSuffix(got, "<Good [4 interrupted]") {
		t.Errorf("saw %q", got)
	}
}

func TestFollow_replaysAnswersAfterTheMark(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex // guards now
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	o := open(t, setup{clock: clock})
	o.pushes("ann", "ancient")
	mu.Lock()
	now = now.Add(11 * time.Minute)
	mu.Unlock()
	seen := o.pushes("ann", "seen").Event
	o.pushes("ann", "missed")
	o.says("ann", "own words")
	req := chatOf("ann")
	req.Replay = 10 * time.Minute
	r := o.follows(req)
	o.pushes("ann", "live")
	if got := r.until("live"); got != "[2 Chat seen][3 Chat missed][6 Chat live]" {
		t.Errorf("without a mark: %q", got)
	}
	if err := o.desk.Seen(t.Context(), addr("ann"), seen.Seq); err != nil {
		t.Fatal(err)
	}
	if err := o.desk.Seen(t.Context(), addr("ann"), 1); err != nil { // a mark never goes back
		t.Fatal(err)
	}
	r = o.follows(req)
	if got := r.until("live"); got != "[3 Chat missed][6 Chat live]" {
		t.Errorf("after the mark: %q", got)
	}
}

func TestFollow_showsOnlyWhatTheViewAndTheScopeAllow(t *testing.T) {
	o := open(t, setup{})
	push := func(scope, text string) {
		if _, err := o.desk.Push(t.Context(), agentKey(), desk.Push{Address: addr("ann"), Type: tandem.Chat, Text: text, Scope: scope}); err != nil {
			t.Fatal(err)
		}
	}
	all, orders, echo := o.follows(eventsOf("ann")), eventsOf("ann"), eventsOf("ann")
	orders.Filter.Scope = "orders"
	echo.View.Echo = true
	scoped, echoing := o.follows(orders), o.follows(echo)
	push("orders", "a")
	push("other", "b")
	o.says("ann", "c")
	push("", "d")
	push("orders", "e")
	for name, c := range map[string]struct {
		r    *reader
		want string
	}{"all": {all, "a b d e"}, "scoped": {scoped, "a e"}, "echo": {echoing, "a b c d e"}} {
		c.r.until(" e]")
		var got []string
		for f := range strings.SplitSeq(c.r.seen.String(), "]") {
			if i := strings.LastIndexByte(f, ' '); i >= 0 {
				got = append(got, f[i+1:])
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s saw %v, want %s", name, got, c.want)
		}
	}
}

func TestFollow_beatsExactlyAndEndsWithItsCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, setup{})
		defer o.close()
		began := time.Now()
		req := eventsOf("ann")
		req.Heartbeat, req.Warn = 7*time.Second, 10*time.Second
		req.Principal.Expires = began.Add(30 * time.Second)
		f, err := o.desk.Follow(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var got []string
		for {
			b, err := f.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			what := "frames"
			switch {
			case b.Heartbeat:
				what = "beat"
			case !b.Expiring.IsZero():
				what = "expiring"
			case b.Ended != "":
				what = b.Ended
			}
			got = append(got, fmt.Sprint(what, "@", time.Since(began)))
			if b.Ended != "" {
				break
			}
			if len(got) == 2 { // an event in between moves no heartbeat
				time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
				o.pushes("ann", "x")
			}
		}
		want := "beat@7s beat@14s frames@15s expiring@20s beat@21s beat@28s beat@35s"
		if s := strings.Join(got[:len(got)-1], " "); s != want && s != strings.TrimSuffix(want, " beat@35s") {
			t.Errorf("got %s", s)
		}
		if last := got[len(got)-1]; last != "token expired@35s" {
			t.Errorf("ended %s", last)
		}
	})
}

// A question whose agent failed while nobody was there. Seen to fail when only
// answers were replayed.
func TestFollow_replaysThatAnAnswerFailed(t *testing.T) {
	failing := agentFunc(func(func(tandem.Piece) error) error { return tandem.Errorf(tandem.Invalid, "no") })
	o := open(t, setup{agents: answeredBy(failing)})
	live := o.follows(chatOf("ann"))
	o.says("ann", "hi")
	live.until("[3 ")
	req := chatOf("ann")
	req.Replay = 10 * time.Minute
	r := o.follows(req)
	b := r.next()
	if len(b.Frames) != 1 || b.Answered != 3 || !strings.HasPrefix(r.seen.String(), "[3 ") {
		t.Errorf("replayed %q, answered %d", r.seen.String(), b.Answered)
	}
}

// Law 12: a revocation ends an open stream, also one whose reader is idle.
func TestFollow_endsWhenRevoked(t *testing.T) {
	o := open(t, setup{})
	r := o.follows(desk.Follow{Principal: participant("ann"), Address: addr("ann")})
	other := o.follows(desk.Follow{Principal: participant("bob"), Address: addr("bob")})
	o.hub.EndStreams(func(p tandem.Principal) bool { return p.Subject == "ann" }, "revoked")
	if b := r.next(); b.Ended != "revoked" {
		t.Errorf("came %+v", b)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if b, err := other.f.Next(ctx); err == nil {
		t.Errorf("the other got %+v", b)
	}
}

func TestFollow_refusesAnothersThread(t *testing.T) {
	o := open(t, setup{})
	for _, p := range []tandem.Principal{participant("bob"), {Tenant: "other", Role: tandem.Owner}, {Tenant: "default", Role: tandem.Agent, Workflow: "orders"}} {
		if _, err := o.desk.Follow(t.Context(), desk.Follow{Principal: p, Address: addr("ann")}); tandem.KindOf(err) != tandem.Forbidden {
			t.Errorf("%s of %s: %v", p.Role, p.Tenant, err)
		}
	}
	if n := o.hub.Subscribers(addr("ann")); n != 0 {
		t.Errorf("%d watch", n)
	}
}

// Law 10: what is handed to a reader at once, and so what one that is stuck holds,
// is bounded in bytes, from memory and from the store. Broken by counting events
// alone.
func TestFollow_batchesAreBoundedInBytesToo(t *testing.T) {
	o := open(t, setup{})
	live := o.follows(eventsOf("ann"))
	text, start := strings.Repeat("x", 100<<10), addr("ann").Start()
	const n = 12
	for range n {
		o.pushes("ann", text)
	}
	req := eventsOf("ann")
	req.After = &start
	for name, r := range map[string]*reader{"from memory": live, "from the store": o.follows(req)} {
		for got := 0; got < n; {
			b := r.next()
			if len(b.Frames) == 0 || len(b.Frames) > 3 {
				t.Fatalf("%s: %d frames at once", name, len(b.Frames))
			}
			got += len(b.Frames)
		}
	}
}
