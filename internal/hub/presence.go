package hub

import (
	"slices"
	"sync"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// maxPresent is how many people are told as being on a thread at once: those who
// came first.
const maxPresent = 100

// attends reports whether the stream shows its reader the thread, so that the
// reader counts as being there.
func (w *Watcher) attends() bool {
	return w.face == tandem.FaceConversation || w.face == tandem.FaceEvents || w.face == tandem.FaceChat
}

// shows reports whether the reader of the stream is at the conversation: a stream
// of the whole thread shows each. Empty is any.
func (w *Watcher) shows(conversation string) bool {
	return w.attends() && (w.conversation == "" || conversation == "" || w.conversation == conversation)
}

// is reports whether both streams are of one person.
func (w *Watcher) is(x *Watcher) bool {
	return speaks(w.holder.Role) == speaks(x.holder.Role) && w.holder.Subject == x.holder.Subject
}

// speaks is the role in which a principal speaks.
func speaks(r tandem.PrincipalRole) tandem.Role {
	switch r {
	case tandem.Participant:
		return tandem.RoleUser
	case tandem.Agent:
		return tandem.RoleAssistant
	}
	return tandem.RoleOperator
}

// Present returns who has a stream of the thread open on this node now (of the
// conversation, of the participant's events, or a chat socket), each once however
// many they have; a hundred at most.
func (h *Hub) Present(a tandem.Address) []tandem.Watching {
	t := h.topic(a)
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.present("")
}

// present returns who is at a conversation, or with "" on the thread. t.mu is held.
func (t *topic) present(conversation string) []tandem.Watching {
	type person struct {
		role    tandem.Role
		subject string
	}
	var list []tandem.Watching
	seen := map[person]bool{}
	for _, w := range t.watchers {
		k := person{speaks(w.holder.Role), w.holder.Subject}
		if !w.shows(conversation) || seen[k] {
			continue
		}
		seen[k] = true
		p := w.Principal()
		list = append(list, tandem.Watching{Role: k.role, Subject: p.Subject, Name: p.Display()})
		if len(list) == maxPresent {
			break
		}
	}
	return list
}

// tell tells the curious who is there, if that has changed now that w is among
// the watchers or no longer. t.mu is held.
func (h *Hub) tell(t *topic, w *Watcher) {
	if t.notices == nil || t.notices.curious == 0 || !w.attends() {
		return
	}
	told := false
	for _, c := range t.conversations(w) {
		if slices.ContainsFunc(t.watchers, func(x *Watcher) bool { return x != w && x.is(w) && x.shows(c) }) || h.lost() {
			continue // was there, or still is
		}
		t.notices.add(tandem.Notice{Kind: tandem.NoticePresence, At: h.opt.Clock(), Conversation: c, Watching: t.present(c)})
		told = true
	}
	if !told {
		return
	}
	for _, x := range t.watchers {
		if x.curious && x != w {
			x.Wake()
		}
	}
}

// conversations returns those at which w's coming or going counts: its own, or
// each that is shown to somebody, or "" if none is.
func (t *topic) conversations(w *Watcher) []string {
	if w.conversation != "" {
		return []string{w.conversation}
	}
	var all []string
	for _, x := range t.watchers {
		if x.conversation != "" && !slices.Contains(all, x.conversation) {
			all = append(all, x.conversation)
		}
	}
	if all == nil {
		return []string{""}
	}
	return all
}

// duty knows which of the staff have a stream open, and since when others have
// none: what the timers ask about who holds a conversation.
type duty struct {
	mu    sync.Mutex // guards seats, swept
	seats map[seat]*sitting
	swept time.Time
}

type seat struct{ tenant, subject string }

type sitting struct {
	open int
	left time.Time // when the last of them was closed
}

// How long it is remembered when somebody's last stream was closed, and of how
// many at most.
const (
	dutyKept = 24 * time.Hour
	maxSeats = 1 << 16
)

// seat returns where w's reader sits; ok is false if it is no stream, or none of
// the staff's.
func (w *Watcher) seat() (k seat, ok bool) {
	k = seat{w.holder.Tenant, w.holder.Subject}
	return k, w.face != 0 && speaks(w.holder.Role) == tandem.RoleOperator
}

func (d *duty) enter(k seat) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.seats[k]
	if s == nil {
		s = &sitting{}
		d.seats[k] = s
	}
	s.open++
}

func (d *duty) leave(k seat, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.seats[k]
	s.open--
	s.left = now
	if now.Sub(d.swept) >= time.Hour {
		d.swept = now
		for k, s := range d.seats {
			if s.open == 0 && now.Sub(s.left) >= dutyKept {
				delete(d.seats, k)
			}
		}
	}
	if s.open == 0 && len(d.seats) > maxSeats {
		delete(d.seats, k)
	}
}

// Seen reports whether somebody of the staff has any stream open on this node, of
// a conversation, a thread or the board, and if not, since when: when the last
// was closed. since is zero if there was none in the last 24 hours, or since the
// node began.
func (h *Hub) Seen(tenant, subject string) (since time.Time, open bool) {
	h.duty.mu.Lock()
	defer h.duty.mu.Unlock()
	s := h.duty.seats[seat{tenant, subject}]
	switch {
	case s == nil:
		return time.Time{}, false
	case s.open > 0:
		return time.Time{}, true
	case h.opt.Clock().Sub(s.left) >= dutyKept:
		return time.Time{}, false
	}
	return s.left, false
}
