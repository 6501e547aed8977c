package hub_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/hub"
)

var (
	eve    = tandem.Principal{Tenant: "default", Role: tandem.Operator, Subject: "eve", Name: "Eve", Kind: tandem.CredentialJWT, ID: "jti-eve"}
	boss   = tandem.Principal{Tenant: "default", Role: tandem.Supervisor, Subject: "boss", Kind: tandem.CredentialJWT, ID: "jti-boss"}
	aKey   = tandem.Principal{Tenant: "default", Role: tandem.Agent, Subject: "crm", Kind: tandem.CredentialKey, ID: "key_1"}
	morrow = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
)

// watchAs opens a stream of ann's thread.
func watchAs(t testing.TB, h *hub.Hub, p tandem.Principal, f tandem.Face, conversation string) *hub.Watcher {
	t.Helper()
	w, err := h.Watch(ann, p, hub.WatchOptions{Face: f, Conversation: conversation})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func curious(t testing.TB, h *hub.Hub, p tandem.Principal, f tandem.Face, conversation string) *hub.Watcher {
	t.Helper()
	w, err := h.Watch(ann, p, hub.WatchOptions{Face: f, Conversation: conversation, Curious: true})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// there spells who is there.
func there(list []tandem.Watching) string {
	var all []string
	for _, x := range list {
		all = append(all, fmt.Sprintf("%s:%s:%s", x.Role, x.Subject, x.Name))
	}
	return strings.Join(all, " ")
}

// told spells the presence notices after a number.
func told(w *hub.Watcher, after uint64) string {
	list, _ := w.Notices(after)
	var all []string
	for _, n := range list {
		if n.Kind == tandem.NoticePresence {
			all = append(all, n.Conversation+"="+there(n.Watching))
		}
	}
	return strings.Join(all, "; ")
}

func TestPresent_namesEachOnceWhoReadsTheThread(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	if got := h.Present(ann); got != nil {
		t.Errorf("nobody is there, but %v", got)
	}
	owner := eve
	owner.Role = tandem.Owner
	for _, w := range []*hub.Watcher{
		watchAs(t, h, asAnn, tandem.FaceEvents, ""), watchAs(t, h, asAnn, tandem.FaceChat, ""),
		watchAs(t, h, eve, tandem.FaceConversation, "conv_1"), watchAs(t, h, owner, tandem.FaceEvents, ""),
		watchAs(t, h, boss, tandem.FaceConversation, "conv_1"), watchAs(t, h, aKey, tandem.FaceConversation, "conv_1"),
		watchAs(t, h, tandem.Principal{Tenant: "default", Role: tandem.Operator, Subject: "session"}, tandem.FaceSession, ""),
		watchAs(t, h, tandem.Principal{Tenant: "default", Role: tandem.Operator, Subject: "board"}, tandem.FaceBoard, ""),
		watchAs(t, h, tandem.Principal{Tenant: "default", Role: tandem.Operator, Subject: "waits"}, 0, ""),
	} {
		defer w.Close()
	}
	if got, want := there(h.Present(ann)), "user:ann: operator:eve:Eve operator:boss:Support assistant:crm:Assistant"; got != want {
		t.Errorf("there are %q, want %q", got, want)
	}
	if got := h.Present(tandem.Address{Tenant: "other", Workflow: "support", Participant: "ann"}); got != nil {
		t.Errorf("on another tenant's thread are %v", got)
	}
}

func TestPresent_hasAnEnd(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	for i := range hub.MaxPresent + 1 {
		p := eve
		p.Subject = fmt.Sprint("op-", i)
		defer watchAs(t, h, p, tandem.FaceConversation, "conv_1").Close()
		if got := len(h.Present(ann)); got != min(i+1, hub.MaxPresent) {
			t.Fatalf("of %d are told %d", i+1, got)
		}
	}
}

func TestPresence_isToldOnceForTheFirstAndTheLastStream(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n), Clock: func() time.Time { return morrow }})
	w := curious(t, h, asAnn, tandem.FaceChat, "")
	defer w.Close()
	quiet := watchAs(t, h, asAnn, tandem.FaceEvents, "")
	defer quiet.Close()
	at := uint64(0)
	step := func(what, want string) {
		t.Helper()
		if got := told(w, at); got != want || rang(w) != (want != "") {
			t.Errorf("%s: told %q, want %q", what, got, want)
		}
		at = w.LastNotice()
	}
	step("its own coming", "")
	first := watchAs(t, h, eve, tandem.FaceConversation, "conv_1")
	step("the first of eve's streams opened", "conv_1=user:ann: operator:eve:Eve")
	list, _ := w.Notices(0)
	if got := list[0]; !got.At.Equal(morrow) || got.Audience != tandem.Everyone {
		t.Errorf("%+v", got.Notice)
	}
	second := watchAs(t, h, eve, tandem.FaceConversation, "conv_1")
	step("the second opened", "")
	waiting := watchAs(t, h, boss, 0, "")
	step("somebody who waits for a reply", "")
	waiting.Close()
	first.Close()
	step("the first closed", "")
	second.Close()
	step("the last closed", "conv_1=user:ann:")
	another := curious(t, h, boss, tandem.FaceConversation, "conv_1")
	defer another.Close()
	if !rang(w) || rang(another) {
		t.Error("who comes is told of it, or the others are not")
	}
	if list, _ := quiet.Notices(0); len(list) != 0 || rang(quiet) {
		t.Errorf("who is not curious was told of %d", len(list))
	}
}

func TestPresence_isNotMadeWhenNobodyIsCurious(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	w := watchAs(t, h, asAnn, tandem.FaceEvents, "")
	defer w.Close()
	c := curious(t, h, boss, tandem.FaceConversation, "conv_1")
	if got := c.LastNotice(); got != 0 || rang(c) {
		t.Errorf("it was told of itself")
	}
	c.Close()
	watchAs(t, h, eve, tandem.FaceConversation, "conv_1").Close()
	if got := w.LastNotice(); got != 0 || rang(w) {
		t.Errorf("%d notices for nobody", got)
	}
}

func TestPresence_isOfTheConversationThatIsShown(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	w := curious(t, h, boss, tandem.FaceConversation, "conv_2")
	defer w.Close()
	old := watchAs(t, h, eve, tandem.FaceConversation, "conv_1")
	defer old.Close()
	now := watchAs(t, h, eve, tandem.FaceConversation, "conv_2")
	if got, want := told(w, 0), "conv_1=operator:eve:Eve; conv_2=operator:boss:Support operator:eve:Eve"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	now.Close()
	at := w.LastNotice()
	defer watchAs(t, h, asAnn, tandem.FaceEvents, "").Close()
	if got, want := told(w, at), "conv_2=operator:boss:Support user:ann:; conv_1=operator:eve:Eve user:ann:"; got != want {
		t.Errorf("told %q, want %q: a stream of the whole thread is at both", got, want)
	}
}

// Each list takes the place of the older, or a busy conversation would hold
// hundreds of them.
func TestPresence_keepsTheNewestListOnly(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n)})
	w := curious(t, h, asAnn, tandem.FaceChat, "")
	defer w.Close()
	h.Notify(ann, typing("ann"))
	for range 3 * hub.NoticeLen {
		watchAs(t, h, eve, tandem.FaceConversation, "conv_1").Close()
	}
	list, _ := w.Notices(0)
	if len(list) != 2 || list[0].Name != "ann" || there(list[1].Watching) != "user:ann:" {
		t.Errorf("%d notices are kept, the last of %q", len(list), there(list[len(list)-1].Watching))
	}
}

func TestSeen_tellsOfStaffSinceWhenTheyAreGone(t *testing.T) {
	n, now := 0, morrow
	h := hub.New(hub.Options{Codec: plain(&n), Clock: func() time.Time { return now }})
	seen := func(what, tenant, subject string, since time.Time, open bool) {
		t.Helper()
		if s, o := h.Seen(tenant, subject); !s.Equal(since) || o != open {
			t.Errorf("%s: since %v, open %v", what, s, o)
		}
	}
	seen("never there", "default", "eve", time.Time{}, false)
	board, err := h.Watch(tandem.BoardAddress("default"), eve, hub.WatchOptions{Face: tandem.FaceBoard})
	if err != nil {
		t.Fatal(err)
	}
	part, err := h.Watch(ann, eve, hub.WatchOptions{Face: tandem.FaceConversation, Part: true})
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	waits := watchAs(t, h, eve, 0, "")
	defer waits.Close()
	thread := watchAs(t, h, eve, tandem.FaceConversation, "conv_1")
	defer watchAs(t, h, asAnn, tandem.FaceChat, "").Close()
	seen("two streams", "default", "eve", time.Time{}, true)
	seen("of another tenant", "other", "eve", time.Time{}, false)
	seen("a participant", "default", "ann", time.Time{}, false)
	thread.Close()
	now = now.Add(time.Minute)
	seen("one stream", "default", "eve", time.Time{}, true)
	board.Close()
	left := now
	now = now.Add(time.Minute)
	seen("none any more", "default", "eve", left, false)
	now = left.Add(24*time.Hour - time.Nanosecond)
	seen("almost a day ago", "default", "eve", left, false)
	now = left.Add(24 * time.Hour)
	seen("a day ago", "default", "eve", time.Time{}, false)
	watchAs(t, h, boss, tandem.FaceEvents, "").Close()
	if got := h.Seats(); got != 1 {
		t.Errorf("%d are remembered, want only who left last", got)
	}
	defer watchAs(t, h, eve, tandem.FaceEvents, "").Close()
	seen("back", "default", "eve", time.Time{}, true)
}

func TestSeen_isBounded(t *testing.T) {
	n := 0
	h := hub.New(hub.Options{Codec: plain(&n), Clock: func() time.Time { return morrow }})
	for i := range hub.MaxSeats + 10 {
		p := eve
		p.Subject = fmt.Sprint("op-", i)
		watchAs(t, h, p, tandem.FaceBoard, "").Close()
	}
	if got := h.Seats(); got != hub.MaxSeats {
		t.Errorf("%d are remembered", got)
	}
}
