package hub_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
)

func typing(name string) tandem.Notice {
	return tandem.Notice{Kind: tandem.NoticeTyping, Name: name, Role: tandem.RoleUser}
}

// names are the names in the notices after a number, and the next number.
func names(w *hub.Watcher, after uint64) (string, uint64) {
	list, next := w.Notices(after)
	var all []string
	for _, n := range list {
		all = append(all, n.Name)
	}
	return strings.Join(all, " "), next
}

func TestNotices_areShownInOrderAndNoneTwice(t *testing.T) {
	n := 0
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	h := hub.New(hub.Options{Codec: plain(&n), Clock: func() time.Time { return now }})
	a, b := watch(t, h, asAnn, 0), watch(t, h, asAnn, 0)
	defer a.Close()
	defer b.Close()
	rings := a.Rings()
	h.Notify(ann, typing("one"))
	h.Notify(tandem.Address{Tenant: "other", Workflow: "support", Participant: "ann"}, typing("foreign"))
	if !rang(a) || !rang(b) {
		t.Error("a notice did not ring")
	}
	if a.Rings() != rings {
		t.Error("a notice counts as an event: everybody would read the log")
	}
	h.Notify(ann, typing("two"))
	got, next := names(a, 0)
	if got != "one two" {
		t.Errorf("saw %q", got)
	}
	if got, again := names(a, next); got != "" || again != next {
		t.Errorf("saw %q a second time", got)
	}
	h.Notify(ann, typing("three"))
	if got, _ := names(a, next); got != "three" {
		t.Errorf("then saw %q", got)
	}
	if got, _ := names(b, 0); got != "one two three" {
		t.Errorf("the other saw %q", got)
	}
	list, _ := b.Notices(0)
	if !list[0].At.Equal(now) {
		t.Errorf("a notice without a time is of %v", list[0].At)
	}
	c := watch(t, h, asAnn, 0)
	defer c.Close()
	if got, _ := names(c, c.LastNotice()); got != "" {
		t.Errorf("a stream that begins is told %q, which has passed", got)
	}
}

func TestNotices_whoIsBehindLosesTheOldest(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	w := watch(t, h, asAnn, 0)
	defer w.Close()
	for i := range hub.NoticeLen {
		h.Notify(ann, typing(fmt.Sprint(i)))
	}
	if list, _ := w.Notices(0); len(list) != hub.NoticeLen || list[0].Name != "0" {
		t.Errorf("%d notices from %q", len(list), list[0].Name)
	}
	for i := range 3 {
		h.Notify(ann, typing(fmt.Sprint(hub.NoticeLen+i)))
	}
	list, next := w.Notices(0)
	if len(list) != hub.NoticeLen || list[0].Name != "3" || list[len(list)-1].Name != fmt.Sprint(hub.NoticeLen+2) {
		t.Errorf("%d notices from %q to %q", len(list), list[0].Name, list[len(list)-1].Name)
	}
	if list, _ := w.Notices(next - 2); len(list) != 2 {
		t.Errorf("who is two behind gets %d", len(list))
	}
}

func TestNotify_isKeptNowhereWhenNobodyWatches(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	h.Notify(ann, typing("nobody"))
	h.Begin(ann, 4, "msg_1") // the thread is known for its answer alone
	h.Notify(ann, typing("answer"))
	w := watch(t, h, asAnn, 0)
	if got, _ := names(w, 0); got != "" {
		t.Errorf("kept %q", got)
	}
	h.Notify(ann, typing("seen"))
	w.Close()
	w = watch(t, h, asAnn, 0)
	defer w.Close()
	if got, _ := names(w, 0); got != "" {
		t.Errorf("kept %q over the time in which nobody watched", got)
	}
	h.End(ann, 4)
}

func TestLose_losesNoticesAndNudgesToo(t *testing.T) {
	n, lose := 0, true
	h := hub.New(hub.Options{Codec: plain(&n), Lose: func() bool { return lose }})
	w, err := h.Watch(ann, asAnn, hub.WatchOptions{Face: tandem.FaceChat, Curious: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	h.Notify(ann, typing("lost"))
	h.Nudge(ann)
	watchAs(t, h, eve, tandem.FaceConversation, "conv_1").Close()
	if got, _ := w.Notices(0); rang(w) || len(got) != 0 {
		t.Errorf("saw %d notices", len(got))
	}
	lose = false
	h.Notify(ann, typing("kept"))
	if got, _ := names(w, 0); !rang(w) || got != "kept" {
		t.Errorf("saw %q", got)
	}
}

func TestNoticeFrame_isEncodedOncePerViewAndOnlyForWhomItIs(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	w := watch(t, h, asAnn, 0)
	defer w.Close()
	notice := typing("eve")
	notice.Audience, notice.Conversation = tandem.Operators, "conv_1"
	h.Notify(ann, notice)
	list, _ := w.Notices(0)
	view := tandem.View{Face: tandem.FaceConversation, Audience: tandem.Operators, Conversation: "conv_1"}
	for range 3 {
		if got := h.NoticeFrame(ann, view, list[0]); string(got) != "conversation:eve" {
			t.Errorf("%q", got)
		}
	}
	whole := view
	whole.Conversation = ""
	if h.NoticeFrame(ann, whole, list[0]) == nil || n != 2 {
		t.Errorf("encoded %d times for two views", n)
	}
	other, participant := view, view
	other.Conversation, participant.Audience = "conv_2", tandem.Everyone
	for _, v := range []tandem.View{other, participant} {
		if got := h.NoticeFrame(ann, v, list[0]); got != nil {
			t.Errorf("shown to %+v: %q", v, got)
		}
	}
}

func TestMessagesFrame_isEncodedOncePerViewApartFromTheSingleOnes(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	w := watch(t, h, asAnn, 0)
	defer w.Close()
	h.Ring(ann, events(5, 7))
	entries, _ := w.Tail(4)
	view := tandem.View{Face: tandem.FaceConversation, Conversation: "conv_1"}
	for range 2 {
		for _, x := range []struct {
			got  []byte
			want string
		}{
			{h.MessagesFrame(ann, view, entries, 12), "conversation:5-7 of 12"},
			{h.MessagesFrame(ann, view, entries[1:], 12), "conversation:6-7 of 12"},
			{h.MessagesFrame(ann, view, entries[2:], 12), "conversation:7-7 of 12"},
			{h.MessagesFrame(ann, view, []*hub.Entry{entries[0], entries[2]}, 12), "conversation:5-7 of 12"}, // without the second
			{h.Frame(ann, view, entries[2], 12), "conversation:7"},
			{h.MessagesFrame(ann, tandem.View{Face: tandem.FaceEvents}, entries, 12), "events:5-7 of 12"},
			{h.MessagesFrame(ann, view, nil, 12), ""},
		} {
			if string(x.got) != x.want {
				t.Errorf("%q, want %q", x.got, x.want)
			}
		}
	}
	if n != 6 {
		t.Errorf("encoded %d times for six frames", n)
	}
}

func TestNudge_ringsWhoWatchesTheBoardOrFeed(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	board, feed := tandem.BoardAddress("default"), tandem.FeedAddress("default", "support")
	for _, a := range []tandem.Address{board, feed} {
		w, err := h.Watch(a, eve, hub.WatchOptions{Face: tandem.FaceBoard})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		before := w.Rings()
		h.Nudge(tandem.BoardAddress("other"))
		h.Nudge(tandem.FeedAddress("other", "support"))
		h.Nudge(tandem.FeedAddress("default", "sales"))
		h.Ring(ann, events(1, 1))
		if rang(w) || w.Rings() != before {
			t.Errorf("%v rang for another", a)
		}
		h.Nudge(a)
		if !rang(w) || w.Rings() == before {
			t.Errorf("%v did not ring", a)
		}
		if entries, ok := w.Tail(0); ok || len(entries) > 0 {
			t.Errorf("%v has a tail", a)
		}
	}
}
