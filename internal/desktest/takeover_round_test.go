package desktest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// round is one takeover of a talking agent, at whatever moment.
func (f *front) round(i int) {
	text := fmt.Sprint("q", i)
	if i%10 == 9 {
		text = "silent-" + text
	}
	var stalled *reading
	if i%3 == 2 {
		stalled = f.reads([]tandem.Face{tandem.FaceChat, tandem.FaceEvents, tandem.FaceConversation}[rand.N(3)])
	}
	f.asked = append(f.asked, text)
	c := f.l.call(text)
	f.ask(text)
	enough := make(chan struct{})
	var pushing sync.WaitGroup
	if i%4 == 3 {
		pushing.Go(func() { f.push(text, enough) })
	}
	if i%10 != 9 && i%5 > 0 { // the others perhaps before the first token
		f.await(c.began, "the first token of "+text)
		if stalled != nil && i%2 == 0 { // stops in the middle of the answer
			f.readsSome(stalled, text)
		}
	}
	waitFor(f.t.Context(), time.Duration(rand.N(8000))*time.Microsecond)
	var asking sync.WaitGroup
	if between := fmt.Sprint("between-", i); i%4 == 1 {
		f.unborn = append(f.unborn, between)
		asking.Go(func() { f.ask(between) })
	}
	winner, spoken, slow := f.taken(i)
	stalls := 0
	if stalled != nil || f.slowed {
		stalls = 1
	}
	f.slow[stalls] = max(f.slow[stalls], slow)
	c.over.Store(true)
	asking.Wait()
	if c.entered.Load() {
		f.await(c.done, "the end of the call "+text)
	}
	if winner != "" {
		f.answers(winner, spoken, i)
	}
	close(enough)
	pushing.Wait()
	if stalled != nil {
		go stalled.until(fmt.Sprint("bye ", i))
		f.await(stalled.done, "what a stalled reader is shown")
		f.readers = append(f.readers, stalled)
	}
	if f.slowed && len(f.asked)%10 == 0 && winner != "" { // the kernel gives up who takes nothing for a minute
		f.stuck[len(f.stuck)-1].unstuck(fmt.Sprint("bye ", i))
		f.stuck = append(f.stuck, f.sticks())
	}
}

func (f *front) ask(text string) {
	me := person(f.address.Participant, tandem.Participant)
	if _, err := f.x.Desk.Post(f.t.Context(), me, desk.Post{Address: f.address, Type: tandem.Chat, Text: text, RequestID: text}); err != nil {
		f.t.Error(err)
	}
}

// readsSome reads until some of the answer was shown.
func (f *front) readsSome(r *reading, text string) {
	ctx, cancel := context.WithTimeout(f.t.Context(), within)
	defer cancel()
	some := func() bool {
		for _, b := range r.seen.open {
			if strings.HasPrefix(b.String(), text) {
				return true
			}
		}
		return false
	}
	for !some() && r.next(ctx) {
	}
}

func (f *front) await(c <-chan struct{}, what string) {
	select {
	case <-c:
	case <-time.After(within):
		f.t.Errorf("%s: waited in vain for %s", f.address.Participant, what)
	}
}

// taken has one or two operators take over and returns who did, whether with a
// first word, and how long the slower one waited.
func (f *front) taken(i int) (winner string, spoken bool, slow time.Duration) {
	operators := 1 + (i%3)%2
	var mu sync.Mutex
	var all sync.WaitGroup
	won := 0
	for n := range operators {
		name := fmt.Sprint("op-", n)
		speaks := (i/3+n)%2 == 0
		all.Go(func() {
			began := time.Now()
			err := f.take(name, speaks, i)
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			slow = max(slow, took)
			for ; tandem.KindOf(err) == tandem.Unavailable; err = f.take(name, speaks, i) { // nothing has changed
				f.late++
			}
			switch {
			case err == nil:
				won++
				winner, spoken = name, speaks
			case tandem.KindOf(err) == tandem.Conflict && strings.HasSuffix(err.Error(), "holds this conversation."):
			default:
				f.t.Errorf("%s takes over: %v", name, err)
			}
		})
	}
	all.Wait()
	if won != 1 {
		f.t.Errorf("%s: %d hold it", f.address.Participant, won)
	}
	return winner, spoken, slow
}

// take is one operator's takeover, and that nobody else has it.
func (f *front) take(name string, speaks bool, i int) error {
	p := person(name, tandem.Operator)
	var c desk.Seen
	var err error
	if speaks {
		var said desk.Said
		said, err = f.x.Desk.Say(f.t.Context(), p, desk.Say{Conversation: f.id, Takeover: true, Messages: []desk.Saying{{Content: fmt.Sprint("it is me ", i)}}})
		c.Conversation = said.Conversation
	} else {
		c, err = f.x.Desk.Takeover(f.t.Context(), p, f.id, false)
	}
	if err != nil {
		return err
	}
	if !f.holder.CompareAndSwap(nil, &name) {
		f.t.Errorf("%s: %s took it while another held it", f.address.Participant, name)
	}
	if c.AdminID != name || c.Mode != tandem.ModeOperator {
		f.t.Errorf("%s took it and is told that %q holds it, in mode %s", name, c.AdminID, c.Mode)
	}
	f.epoch.Store(c.Epoch)
	return nil
}

// answers has the holder say something, which nobody else may, and give it back.
func (f *front) answers(winner string, spoken bool, i int) {
	say := func(name, text string) error {
		_, err := f.x.Desk.Say(f.t.Context(), person(name, tandem.Operator), desk.Say{Conversation: f.id, Messages: []desk.Saying{{Content: text}}})
		return err
	}
	other := map[string]string{"op-0": "op-1", "op-1": "op-0"}[winner]
	if err := say(other, "double"); tandem.KindOf(err) != tandem.Conflict {
		f.t.Errorf("%s speaks while %s holds: %v", other, winner, err)
	}
	if !spoken {
		if err := say(winner, fmt.Sprint("it is me ", i)); err != nil {
			f.t.Error(err)
		}
	}
	if err := say(winner, fmt.Sprint("bye ", i)); err != nil {
		f.t.Error(err)
	}
	var passing sync.WaitGroup
	for range i % 3 { // while it is given back
		passing.Go(func() {
			if err := say(winner, "in passing"); err != nil && tandem.KindOf(err) != tandem.Conflict {
				f.t.Error(err)
			}
		})
	}
	f.holder.Store(nil)
	c, err := f.x.Desk.Release(f.t.Context(), person(winner, tandem.Operator), f.id, []string{"agent", "queue"}[i%2])
	if err != nil {
		f.t.Error(err)
	}
	f.epoch.Store(c.Epoch)
	passing.Wait()
}

// push says what a back end may have to say, all the time: what it is, what
// answers the question, what it believes to be current, what is to be refused.
func (f *front) push(question string, enough <-chan struct{}) {
	for n := 0; ; n++ {
		in := desk.Push{Address: f.address, Type: tandem.Chat, Text: fmt.Sprintf("push %s %d", question, n)}
		epoch := f.epoch.Load()
		switch n % 4 {
		case 1:
			in.RequestID = question
		case 2:
			in.Epoch = &epoch
		case 3:
			in.OnHeld = "refuse"
		}
		p, err := f.x.Desk.Push(f.t.Context(), backEnd(), in)
		switch {
		case err != nil && (in.OnHeld == "" || tandem.KindOf(err) != tandem.Held):
			f.t.Errorf("push: %v", err)
		case err == nil && !p.Draft:
			f.pushes.Store(p.Event.ID, in)
		}
		select {
		case <-enough:
			return
		case <-time.After(time.Duration(rand.N(10000)) * time.Microsecond):
		}
	}
}

// finish says the last word, which all readers wait for.
func (f *front) finish() {
	op := person("op-0", tandem.Operator)
	if _, err := f.x.Desk.Say(f.t.Context(), op, desk.Say{Conversation: f.id, Takeover: true, Messages: []desk.Saying{{Content: "that is all"}}}); err != nil {
		f.t.Error(err)
	}
	if f.slowed {
		f.stuck[len(f.stuck)-1].unstuck("that is all")
	}
	for _, r := range f.readers {
		f.await(r.done, r.seen.name)
	}
}

// check compares what the readers were shown with the log, and looks at the log
// as a whole. It returns how many answers were cut.
func (f *front) check() (cut int) {
	log := logOf(f.x, f.address, f.address.Start())
	for _, r := range f.readers {
		r.seen.compare(log[r.from.Seq:r.f.Cursor().Seq])
	}
	for _, s := range f.stuck {
		s.seen.compare(log[s.from:s.to])
	}
	h := &history{f: f, answers: map[string]string{}, asked: map[string]int64{}, ends: map[int64]int{}}
	for i := range log {
		h.event(&log[i])
	}
	if h.open != 0 {
		f.t.Error("an answer has no end")
	}
	if h.taken != len(f.asked)+1 {
		f.t.Errorf("%d takeovers, the log tells %d", len(f.asked)+1, h.taken)
	}
	for _, q := range f.asked {
		if c := f.l.call(q); c.accepted != len(h.answers[q]) {
			f.t.Errorf("%s: the agent was let say %d bytes, %d are stored", q, c.accepted, len(h.answers[q]))
		}
	}
	for _, q := range f.unborn {
		if f.l.call(q).entered.Load() {
			f.t.Errorf("%s was asked in the moment of the takeover, and the agent is asked it", q)
		}
	}
	return len(h.answers)
}

// A history is a thread's log, read again by who wants to know whether anybody
// spoke who might not.
type history struct {
	f       *front
	holder  string
	epoch   int64
	since   int64 // seq of the last takeover
	taken   int
	open    int64             // seq of the answer under way
	cut     bool              // the last event was the end of a cut answer
	ends    map[int64]int     // of answers, by their beginning
	answers map[string]string // texts, by the question
	asked   map[string]int64  // seqs of questions, by their requestId
}

func (h *history) event(e *tandem.Event) {
	t, after := h.f.t, h.cut
	h.cut = false
	switch e.Kind {
	case tandem.KindState:
		var c tandem.Conversation
		if err := json.Unmarshal(e.Body, &c); err != nil {
			t.Error(err)
		}
		h.state(e, &c, after)
		return
	case tandem.KindAnswerStarted:
		if h.open != 0 || h.holder != "" {
			t.Errorf("%d: an answer begins in another, or while %q holds", e.Seq, h.holder)
		}
		h.open = e.Seq
	case tandem.KindAnswerEnded, tandem.KindMessage:
		m, err := e.Message()
		if err != nil {
			t.Error(err)
		}
		if e.Kind == tandem.KindAnswerEnded {
			h.end(e, &m)
		} else {
			h.message(e, &m)
		}
	}
	if after {
		t.Errorf("%d: between the cut and the change is a %s", e.Seq, e.Kind)
	}
}

func (h *history) state(e *tandem.Event, c *tandem.Conversation, after bool) {
	was := h.holder
	switch {
	case c.Epoch < h.epoch || c.AdminID != was && c.Epoch == h.epoch:
		h.f.t.Errorf("%d: epoch %d after %d, holder %q after %q", e.Seq, c.Epoch, h.epoch, c.AdminID, was)
	case c.AdminID != "" && was != "" && c.AdminID != was:
		h.f.t.Errorf("%d: %s holds it, and %s has not given it back", e.Seq, c.AdminID, was)
	case after && c.AdminID == "" || h.open != 0 && c.AdminID != "":
		h.f.t.Errorf("%d: %q holds it; an answer was cut: %v, is under way: %v", e.Seq, c.AdminID, after, h.open != 0)
	}
	h.holder, h.epoch = c.AdminID, c.Epoch
	if c.AdminID != "" && c.AdminID != was {
		h.taken++
		h.since = e.Seq
	}
}

func (h *history) end(e *tandem.Event, m *tandem.Message) {
	h.ends[m.Started]++
	if m.Started != h.open || h.ends[m.Started] > 1 || m.Finish != tandem.FinishInterrupted {
		h.f.t.Errorf("%d: the end (%s) of the answer of %d, %d is open", e.Seq, m.Finish, m.Started, h.open)
	}
	h.open, h.cut = 0, true
	h.answers[m.RequestID] = m.Text
}

func (h *history) message(e *tandem.Event, m *tandem.Message) {
	t := h.f.t
	switch {
	case m.Role == tandem.RoleUser:
		h.asked[m.RequestID] = e.Seq
	case m.Role == tandem.RoleOperator:
		if m.Speaker != h.holder || m.Text == "double" {
			t.Errorf("%d: %s says %q while %q holds", e.Seq, m.Speaker, m.Text, h.holder)
		}
	case m.Draft:
		if e.Audience != tandem.Operators {
			t.Errorf("%d: a draft for audience %d", e.Seq, e.Audience)
		}
	default:
		sent, ok := h.f.pushes.Load(e.ID)
		if !ok || h.holder != "" {
			t.Errorf("%d: a push was delivered while %q holds; so its sender was told: %v", e.Seq, h.holder, ok)
			return
		}
		in := sent.(desk.Push)
		if in.RequestID != "" && h.asked[in.RequestID] < h.since || in.Epoch != nil && *in.Epoch != h.epoch {
			t.Errorf("%d: %s was delivered, and is stale", e.Seq, m.Text)
		}
	}
}
