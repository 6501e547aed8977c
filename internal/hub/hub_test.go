package hub_test

import (
	"fmt"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain is a codec whose frames can be read in a test; encoded counts its calls.
func plain(encoded *int) tandem.Codec {
	return tandem.Codec{
		Event: func(v tandem.View, _ tandem.Address, e *tandem.Event, _ int) []byte {
			*encoded++
			return fmt.Appendf(nil, "%v:%d", v.Face, e.Seq)
		},
		Start: func(_ tandem.View, _ tandem.Address, s tandem.AnswerStarted, _ *tandem.Event) []byte {
			return []byte("start " + s.MessageID)
		},
		Delta: func(_ tandem.View, _ tandem.Address, d tandem.Delta) []byte {
			*encoded++
			return fmt.Appendf(nil, "%d:%s", d.Offset, d.Text)
		},
		Messages: func(v tandem.View, _ tandem.Address, together []*tandem.Event, total int) []byte {
			*encoded++
			return fmt.Appendf(nil, "%v:%d-%d of %d", v.Face, together[0].Seq, together[len(together)-1].Seq, total)
		},
		Notice: func(v tandem.View, _ tandem.Address, n tandem.Notice) []byte {
			*encoded++
			return fmt.Appendf(nil, "%v:%s", v.Face, n.Name)
		},
	}
}

var (
	ann   = tandem.Address{Tenant: "default", Workflow: "support", Participant: "ann"}
	asAnn = tandem.Principal{Tenant: "default", Role: tandem.Participant, Subject: "ann", Kind: tandem.CredentialJWT, ID: "jti-1"}
)

func watch(t *testing.T, h *hub.Hub, p tandem.Principal, max int) *hub.Watcher {
	t.Helper()
	w, err := h.Watch(ann, p, hub.WatchOptions{Face: tandem.FaceEvents, Max: max})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func events(from, to int64) []tandem.Event {
	var all []tandem.Event
	for seq := from; seq <= to; seq++ {
		all = append(all, tandem.Event{Seq: seq})
	}
	return all
}

func rang(w *hub.Watcher) bool {
	select {
	case <-w.Bell():
		return true
	default:
		return false
	}
}

func TestRing_wakesWhoWatchesThisThreadOnly(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	w := watch(t, h, asAnn, 0)
	defer w.Close()
	before := w.Rings()
	h.Ring(tandem.Address{Tenant: "other", Workflow: "support", Participant: "ann"}, events(1, 1))
	if rang(w) || w.Rings() != before {
		t.Error("rang for another tenant's thread")
	}
	h.Ring(ann, events(1, 2))
	h.Ring(ann, events(3, 3))
	if !rang(w) || w.Rings() == before {
		t.Error("did not ring")
	}
	if rang(w) {
		t.Error("rang twice: the bell holds one ring")
	}
}

func TestTail_servesWhatIsContiguousAndNothingElse(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	w := watch(t, h, asAnn, 0)
	defer w.Close()
	tail := func(seq int64) string {
		entries, ok := w.Tail(seq)
		if !ok {
			return "?"
		}
		s := ""
		for _, e := range entries {
			s += fmt.Sprint(e.Event.Seq)
		}
		return s
	}
	if got := tail(0); got != "?" {
		t.Errorf("empty tail gave %q", got)
	}
	h.Ring(ann, events(5, 7))
	for seq, want := range map[int64]string{3: "?", 4: "567", 6: "7", 7: "", 8: "?"} {
		if got := tail(seq); got != want {
			t.Errorf("after %d: %q, want %q", seq, got, want)
		}
	}
	h.Ring(ann, events(9, 9)) // 8 was lost
	if got := tail(7); got != "?" {
		t.Errorf("a hole was served as %q", got)
	}
	if got := tail(8); got != "9" {
		t.Errorf("after the hole: %q", got)
	}
	h.Ring(ann, events(10, 400))
	if got, ok := w.Tail(100); ok {
		t.Errorf("the tail kept %d events", len(got))
	}
	if entries, ok := w.Tail(390); !ok || len(entries) != 10 {
		t.Errorf("the newest are not there: %d", len(entries))
	}
}

func TestFrame_isEncodedOncePerView(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	w := watch(t, h, asAnn, 0)
	defer w.Close()
	h.Ring(ann, events(1, 1))
	entries, _ := w.Tail(0)
	for range 5 {
		h.Frame(ann, tandem.View{Face: tandem.FaceEvents}, entries[0], 0)
		h.Frame(ann, tandem.View{Face: tandem.FaceChat}, entries[0], 0)
	}
	if n != 2 {
		t.Errorf("encoded %d times for two views", n)
	}
}

func TestLive_joinsByValueAndRollsUp(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	view := tandem.View{Face: tandem.FaceChat, Tokens: true}
	h.Begin(ann, 4, "msg_1")
	h.Delta(ann, tandem.Delta{Seq: 4, Offset: 0, Text: "Good "})
	w := watch(t, h, asAnn, 0)
	defer w.Close()
	frame, to, ok := w.Live(view, 4, 0)
	if string(frame) != "0:Good " || to != 5 || !ok {
		t.Errorf("joined with %q %d %v", frame, to, ok)
	}
	h.Delta(ann, tandem.Delta{Seq: 4, Offset: 5, Text: "mor"})
	h.Delta(ann, tandem.Delta{Seq: 4, Offset: 8, Text: "ning"})
	n = 0
	for range 3 {
		if frame, to, _ := w.Live(view, 4, 5); string(frame) != "5:morning" || to != 12 {
			t.Errorf("rolled up as %q", frame)
		}
	}
	if n != 1 {
		t.Errorf("encoded %d times for three readers at one place", n)
	}
	h.Delta(ann, tandem.Delta{Seq: 4, Offset: 99, Text: "hole"})
	h.Delta(ann, tandem.Delta{Seq: 9, Offset: 0, Text: "other"})
	if frame, _, ok := w.Live(view, 4, 12); frame != nil || !ok {
		t.Errorf("a delta that does not continue was taken: %q", frame)
	}
	h.End(ann, 4)
	if _, _, ok := w.Live(view, 4, 12); ok {
		t.Error("an ended answer is still live")
	}
}

func TestWatch_countsStreamsPerHolder(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	var open []*hub.Watcher
	for range 3 {
		open = append(open, watch(t, h, asAnn, 3))
	}
	if _, err := h.Watch(ann, asAnn, hub.WatchOptions{Face: tandem.FaceEvents, Max: 3}); tandem.KindOf(err) != tandem.TooMany {
		t.Errorf("the fourth of three: %v", err)
	}
	bob := asAnn
	bob.Subject = "bob"
	open = append(open, watch(t, h, bob, 3))
	key := tandem.Principal{Tenant: "default", Role: tandem.Agent, Kind: tandem.CredentialKey, ID: "key_1"}
	for range 3 {
		open = append(open, watch(t, h, key, 3))
	}
	w, err := h.Watch(tandem.Address{Tenant: "default", Workflow: "support", Participant: "bob"}, key, hub.WatchOptions{Face: tandem.FaceEvents, Max: 3})
	if err != nil {
		t.Errorf("an agent key is counted per participant that it names: %v", err)
	}
	open = append(open, w)
	open[0].Close()
	open[0] = watch(t, h, asAnn, 3)
	if got := h.Subscribers(ann); got != 7 {
		t.Errorf("%d subscribers", got)
	}
	for _, w := range open {
		w.Close()
	}
	if h.Subscribers(ann) != 0 || h.Streams() != 0 {
		t.Error("closed streams are still counted")
	}
}

func TestWatch_aTicketsSecondStreamEndsItsFirst(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	p := asAnn
	p.Kind, p.ID = tandem.CredentialTicket, "tk_1"
	hung := make(chan struct{})
	first, err := h.Watch(ann, p, hub.WatchOptions{Face: tandem.FaceEvents, Max: 1, Hangup: func() { close(hung) }})
	if err != nil {
		t.Fatal(err)
	}
	second := watch(t, h, p, 1)
	<-hung
	if first.Ended() != hub.EndReplaced || second.Ended() != "" {
		t.Errorf("ended %q and %q", first.Ended(), second.Ended())
	}
	first.Close()
	if _, err := h.Watch(ann, asAnn, hub.WatchOptions{Face: tandem.FaceEvents, Max: 1}); tandem.KindOf(err) != tandem.TooMany {
		t.Errorf("closing the replaced stream gave its place away twice: %v", err)
	}
	second.Close()
	watch(t, h, asAnn, 1).Close()
}

func TestEndStreams_endsWhoMatches(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	a, b := watch(t, h, asAnn, 0), watch(t, h, asAnn, 0)
	renewed := asAnn
	renewed.ID = "jti-2"
	b.SetPrincipal(renewed)
	if n := h.EndStreams(func(p tandem.Principal) bool { return p.ID == "jti-1" }, "revoked"); n != 1 {
		t.Errorf("ended %d", n)
	}
	if !strings.Contains(a.Ended(), "revoked") || b.Ended() != "" {
		t.Errorf("ended %q and %q", a.Ended(), b.Ended())
	}
	a.Close()
	b.Close()
}

// Law 10. Broken by counting events alone: a hundred of the largest are a hundred
// times what one may be.
func TestTail_isBoundedInBytesToo(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	w := watch(t, h, asAnn, 0)
	defer w.Close()
	const last, size = 100, 100 << 10
	for seq := int64(1); seq <= last; seq++ {
		h.Ring(ann, []tandem.Event{{Seq: seq, Body: make([]byte, size)}})
	}
	kept := 0
	for seq := int64(last - 1); seq >= 0; seq-- {
		if entries, ok := w.Tail(seq); ok {
			kept = len(entries)
		}
	}
	if kept < 10 || kept*size > 2<<20 {
		t.Errorf("%d events of %d bytes are kept", kept, size)
	}
	h.Ring(ann, []tandem.Event{{Seq: last + 1, Body: make([]byte, 3<<20)}})
	if entries, ok := w.Tail(last); !ok || len(entries) != 1 {
		t.Errorf("one that is larger than all is not there: %d", len(entries))
	}
	h.Ring(ann, events(last+2, last+2))
	if entries, ok := w.Tail(last + 1); !ok || len(entries) != 1 {
		t.Errorf("the one after it is not there: %d", len(entries))
	}
	if _, ok := w.Tail(last); ok {
		t.Error("what is too large is still kept")
	}
}
