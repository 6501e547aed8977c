package hub_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
)

func TestWatch_severalMayShareABell(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	bob := tandem.Address{Tenant: "default", Workflow: "support", Participant: "bob"}
	bell := make(chan struct{}, 1)
	board, err := h.Watch(tandem.BoardAddress("default"), boss, hub.WatchOptions{Face: tandem.FaceBoard, Bell: bell})
	if err != nil {
		t.Fatal(err)
	}
	defer board.Close()
	h.Nudge(tandem.BoardAddress("default"))
	var parts []*hub.Watcher
	for _, a := range []tandem.Address{ann, bob} {
		w, err := h.Watch(a, boss, hub.WatchOptions{Face: tandem.FaceConversation, Bell: bell, Part: true})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, w)
	}
	if !rang(board) {
		t.Error("watching one thing more has silenced the ring of another")
	}
	for i, a := range []tandem.Address{ann, bob} {
		before := parts[i].Rings()
		h.Ring(a, events(1, 1))
		if !rang(board) || rang(parts[0]) || rang(parts[1]) {
			t.Errorf("%s: the bell holds one ring for all", a.Participant)
		}
		if parts[i].Rings() == before {
			t.Errorf("%s: it is not to be told which", a.Participant)
		}
	}
	parts[0].Close()
	h.Ring(ann, events(2, 2))
	if rang(board) {
		t.Error("rang for a thread that is watched no longer")
	}
	h.Ring(bob, events(2, 2))
	parts[1].Close()
	if !rang(board) {
		t.Error("closing a part has silenced the others")
	}
}

func TestWatch_aPartIsNoStream(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	p := boss
	p.Kind, p.ID = tandem.CredentialTicket, "tk_1"
	board, err := h.Watch(tandem.BoardAddress("default"), p, hub.WatchOptions{Face: tandem.FaceBoard, Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer board.Close()
	hung := 0
	part, err := h.Watch(ann, p, hub.WatchOptions{Face: tandem.FaceConversation, Max: 1, Part: true, Hangup: func() { hung++ }})
	if err != nil {
		t.Fatal(err)
	}
	if board.Ended() != "" {
		t.Errorf("the part ended its own stream: %q", board.Ended())
	}
	if got := h.Subscribers(ann); got != 0 {
		t.Errorf("%d subscribers", got)
	}
	if got := h.Streams(); got != 1 {
		t.Errorf("%d streams", got)
	}
	if got := there(h.Present(ann)); got != "operator:boss:Support" {
		t.Errorf("there is %q", got)
	}
	if got := h.EndThread(ann, "thread deleted"); got != 0 || part.Ended() != "thread deleted" || hung != 1 || board.Ended() != "" {
		t.Errorf("ended %d, the part %q, the stream %q, hung up %d times", got, part.Ended(), board.Ended(), hung)
	}
	part.Close()
	if _, err := h.Watch(ann, p, hub.WatchOptions{Face: tandem.FaceChat, Max: 1}); tandem.KindOf(err) != tandem.TooMany {
		t.Errorf("a part that closes gave its stream's place away: %v", err)
	}
	if got := h.EndStreams(func(tandem.Principal) bool { return true }, "revoked"); got != 1 || board.Ended() != "revoked" {
		t.Errorf("ended %d, the stream %q", got, board.Ended())
	}
}

func TestEndThread_endsItsStreamsAndNoOthers(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	if got := h.EndThread(ann, "thread deleted"); got != 0 {
		t.Errorf("ended %d where nobody is", got)
	}
	hung := 0
	a, err := h.Watch(ann, asAnn, hub.WatchOptions{Face: tandem.FaceEvents, Hangup: func() { hung++ }})
	if err != nil {
		t.Fatal(err)
	}
	b := watchAs(t, h, eve, tandem.FaceConversation, "conv_1")
	var others []*hub.Watcher
	for _, o := range []tandem.Address{
		{Tenant: "default", Workflow: "support", Participant: "bob"},
		{Tenant: "default", Workflow: "sales", Participant: "ann"},
		{Tenant: "other", Workflow: "support", Participant: "ann"},
	} {
		w, err := h.Watch(o, asAnn, hub.WatchOptions{Face: tandem.FaceEvents})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		others = append(others, w)
	}
	if got := h.EndThread(ann, "thread deleted"); got != 2 || hung != 1 {
		t.Errorf("ended %d, hung up %d", got, hung)
	}
	for _, w := range []*hub.Watcher{a, b} {
		if w.Ended() != "thread deleted" || !rang(w) {
			t.Errorf("ended %q", w.Ended())
		}
	}
	for _, w := range others {
		if w.Ended() != "" || rang(w) {
			t.Errorf("another thread's stream was ended: %q", w.Ended())
		}
	}
	h.EndThread(ann, "a second time")
	if a.Ended() != "thread deleted" || hung != 1 {
		t.Errorf("the first reason did not stay: %q", a.Ended())
	}
	a.Close()
	b.Close()
	c := watch(t, h, asAnn, 0)
	defer c.Close()
	if c.Ended() != "" {
		t.Errorf("a later stream has ended: %q", c.Ended())
	}
}

func TestErase_leavesNothingInMemory(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n), Lose: func() bool { return false }})
	h.Erase(ann) // of nobody's interest
	view := tandem.View{Face: tandem.FaceChat, Tokens: true}
	w := watch(t, h, asAnn, 0)
	defer w.Close()
	h.Ring(ann, events(1, 3))
	h.Begin(ann, 3, "msg_1")
	h.Delta(ann, tandem.Delta{Seq: 3, Text: "secret"})
	h.Notify(ann, typing("ann"))
	held, _ := w.Tail(0)
	if h.Frame(ann, view, held[0], 0) == nil || h.MessagesFrame(ann, view, held, 3) == nil {
		t.Fatal("no frame")
	}
	rang(w)
	before, notice := w.Rings(), w.LastNotice()
	h.Erase(ann)
	if !rang(w) || w.Rings() == before {
		t.Error("the followers are not made to read the store")
	}
	if entries, ok := w.Tail(0); ok || len(entries) > 0 {
		t.Errorf("the tail still has %d events", len(entries))
	}
	if frame, _, ok := w.Live(view, 3, 0); ok || frame != nil {
		t.Errorf("the answer is still there: %q", frame)
	}
	if list, _ := w.Notices(0); len(list) != 0 {
		t.Errorf("%d notices are still there", len(list))
	}
	if got := h.Frame(ann, view, held[0], 0); got != nil {
		t.Errorf("who held an entry made %q of it", got)
	}
	if got := h.MessagesFrame(ann, view, held, 3); got != nil {
		t.Errorf("who held entries made %q of them", got)
	}
	h.Delta(ann, tandem.Delta{Seq: 3, Offset: 6, Text: "late"})
	if _, _, ok := w.Live(view, 3, 0); ok {
		t.Error("a late delta brought the answer back")
	}
	h.End(ann, 3)
	h.Ring(ann, events(4, 4)) // life goes on
	if entries, ok := w.Tail(3); !ok || len(entries) != 1 || h.Frame(ann, view, entries[0], 0) == nil {
		t.Error("what came after the erasure is not there")
	}
	h.Notify(ann, typing("again"))
	if got, _ := names(w, notice); got != "again" {
		t.Errorf("after the erasure saw %q", got)
	}
}

// One writer, one who erases, and readers that hold on to what they got: the race
// detector and the readers' own order are what can fail.
func TestErase_whileReadersHoldSlices(t *testing.T) {
	var mu sync.Mutex
	codec := plain(new(int))
	codec.Event = func(_ tandem.View, _ tandem.Address, e *tandem.Event, _ int) []byte {
		return fmt.Append(nil, e.Seq)
	}
	codec.Notice = func(_ tandem.View, _ tandem.Address, n tandem.Notice) []byte {
		mu.Lock()
		defer mu.Unlock()
		return []byte(n.Name)
	}
	h := hub.New(hub.Options{Codec: codec})
	const last = 3000
	done := make(chan struct{})
	var readers, writers sync.WaitGroup
	for i := range 3 {
		w := curious(t, h, []tandem.Principal{asAnn, eve, boss}[i], tandem.FaceConversation, "")
		readers.Go(func() {
			defer w.Close()
			seen, noticed := int64(0), w.LastNotice()
			for {
				select {
				case <-done:
					return
				case <-w.Bell():
				}
				entries, _ := w.Tail(seen)
				for _, e := range entries {
					if e.Event.Seq != seen+1 {
						t.Errorf("after %d came %d", seen, e.Event.Seq)
					}
					seen = e.Event.Seq
					if b := h.Frame(ann, tandem.View{}, e, 0); b != nil && string(b) != fmt.Sprint(seen) {
						t.Errorf("%d has the frame %q", seen, b)
					}
				}
				if entries == nil { // as of the store
					seen = max(seen, w.Newest())
				}
				var list []*hub.Noticed
				list, noticed = w.Notices(noticed)
				for _, n := range list {
					h.NoticeFrame(ann, tandem.View{}, n)
				}
			}
		})
	}
	writers.Go(func() {
		for seq := int64(1); seq <= last; seq++ {
			h.Ring(ann, events(seq, seq))
			h.Notify(ann, typing("ann"))
		}
	})
	writers.Go(func() {
		for range 300 {
			h.Erase(ann)
			watchAs(t, h, aKey, tandem.FaceEvents, "").Close()
			h.Present(ann)
			h.Seen("default", "eve")
			runtime.Gosched()
		}
	})
	writers.Wait()
	close(done)
	readers.Wait()
	if h.Streams() != 0 || len(h.Present(ann)) != 0 {
		t.Error("somebody is still there")
	}
}

// A ticket's older stream may close between being found and being asked to end:
// its place must not be given away twice.
func TestWatch_aStreamThatEndsAfterItClosedGivesOnePlaceAway(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	first, other := watch(t, h, asAnn, 2), watch(t, h, asAnn, 2)
	first.SetPrincipal(eve) // as the one to find
	h.EndStreams(func(p tandem.Principal) bool {
		if p.Subject != eve.Subject {
			return false
		}
		first.Close()
		return true
	}, hub.EndReplaced)
	second := watch(t, h, asAnn, 2)
	if w, err := h.Watch(ann, asAnn, hub.WatchOptions{Face: tandem.FaceEvents, Max: 2}); tandem.KindOf(err) != tandem.TooMany {
		t.Error("a third of two")
		w.Close()
	}
	other.Close()
	second.Close()
}

// An idle stream is a watcher, its bell, its principal and its topic: ten thousand
// of them are what a node is for.
func TestWatch_anIdleStreamIsSmall(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	const streams, most = 2000, 1200 // bytes each, with the maps' slack
	open := make([]*hub.Watcher, 0, streams)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range streams {
		p := asAnn
		p.Subject = fmt.Sprint("user-", i)
		w, err := h.Watch(tandem.Address{Tenant: "default", Workflow: "support", Participant: p.Subject}, p, hub.WatchOptions{Face: tandem.FaceEvents})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, w)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / streams
	t.Logf("%d bytes each", each)
	if each > most {
		t.Errorf("an idle stream holds %d bytes of the hub", each)
	}
	for _, w := range open {
		w.Close()
	}
}
