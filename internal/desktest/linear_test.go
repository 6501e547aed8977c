package desktest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// What one conversation is, seen from outside, as a plain value: the model that
// all that is done at the same time has to agree with.
type talk struct {
	holder string
	epoch  int64
	ended  bool
	words  string // those that the participant sees, in order, each followed by a blank
}

// A deed is one thing that somebody does with a conversation.
type deed struct {
	what  string // takeover force release transfer end say saytake push read
	who   string
	to    string // of a transfer: to whom
	word  string // of a say or push
	epoch int64  // of a push: which it believes in; -1: none
	refus bool   // of a push: it is to be refused while somebody holds
}

// An outcome is what came of it.
type outcome struct {
	fail  string // "", taken by X, free, ended, denied, held, or what else was said
	draft bool
	talk  talk // as it was told; words of a read only
}

// do is one step: what may come of d in t. It returns what t is after it.
func (t talk) do(d deed, o outcome) (bool, talk) {
	if o.fail == "late" { // nothing has changed, it said
		return true, t
	}
	lead := d.who == "lee"
	mine, sees := t.holder == d.who, t.holder == "" || t.holder == d.who || lead || d.who == "engine"
	if t.ended && d.what != "read" && d.what != "end" && d.what != "push" {
		return o.fail == "ended" || o.fail == "denied" && !sees, t
	}
	next := t
	switch d.what {
	case "takeover", "force", "saytake":
		if t.holder != "" && !mine && d.what != "force" {
			return o.fail == "taken by "+t.holder, t
		}
		next = t.heldBy(d.who)
		if d.what == "saytake" {
			next.words += d.word + " "
		}
	case "release":
		if t.holder == "" || !mine && !lead {
			return o.fail == t.refusal(), t
		}
		next = t.heldBy("")
	case "transfer":
		if !mine && !lead {
			return o.fail == t.refusal(), t
		}
		next = t.heldBy(d.to)
	case "say":
		if !mine {
			return o.fail == t.refusal(), t
		}
		next.words += d.word + " "
	case "end":
		switch {
		case t.ended:
			return o.fail == "" || o.fail == "denied" && !sees, t
		case t.holder == "" && !lead:
			return o.fail == "free", t
		case !mine && !lead:
			return o.fail == "denied" || o.fail == t.refusal(), t
		}
		next.ended, next.epoch = true, t.epoch+1
	case "push":
		return t.push(d, o)
	case "read":
		return o.fail == "" && o.talk == t, t
	}
	return o.fail == "" && o.talk.holder == next.holder && o.talk.epoch == next.epoch, next
}

// heldBy is t in the hands of somebody; who has it already keeps it.
func (t talk) heldBy(who string) talk {
	if t.holder != who {
		t.holder, t.epoch = who, t.epoch+1
	}
	return t
}

// refusal is what somebody is told who may not act in t.
func (t talk) refusal() string {
	if t.holder == "" {
		return "free"
	}
	return "taken by " + t.holder
}

// push is speech of a back end: to the participant, or to operators while one of
// them holds, or if it was meant for another epoch. After the end it is none of the
// conversation's.
func (t talk) push(d deed, o outcome) (bool, talk) {
	late := !t.ended && t.holder != "" || d.epoch >= 0 && d.epoch != t.epoch
	switch {
	case late && d.refus:
		return o.fail == "held" && o.talk.epoch == t.epoch, t
	case late:
		return o.fail == "" && o.draft, t
	case o.fail != "" || o.draft:
		return false, t
	}
	if !t.ended {
		t.words += d.word + " "
	}
	return true, t
}

var model = porcupine.Model{
	Init: func() any { return talk{} },
	Step: func(state, in, out any) (bool, any) { return state.(talk).do(in.(deed), out.(outcome)) },
}

// Takeovers, releases, transfers, words, pushes and ends of five people at once
// are as if each had happened at one moment between its call and its answer.
//
// Seen to fail, each time within a few histories, by a takeover, an operator's word
// or a push that does not look at who holds it in the appending transaction, and by
// an epoch that a release does not raise.
func TestControl_isLinearizable(t *testing.T) {
	histories, parallel := 60, 6
	if testing.Short() {
		histories = 12
	}
	talks := desktest.AgentFunc(func(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		for i := range 10 {
			if err := emit(tandem.Piece{Text: fmt.Sprintf("%s.%d ", q.Message, i)}); err != nil {
				return err
			}
			waitFor(ctx, time.Duration(rand.N(4000))*time.Microsecond)
		}
		return nil
	})
	x := desktest.Start(t, desktest.Options{Agents: desktest.AnsweredBy(talks)})
	for _, name := range []string{"maya", "zoe", "lee"} {
		if _, err := x.Auth.CreateAccount(t.Context(), auth.AccountRequest{Tenant: "default", Username: name, Role: staffOf(name).Role, Name: name, Password: "correct horse battery"}); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for n := range parallel {
		all.Go(func() {
			for i := n; i < histories; i += parallel {
				history := record(x, i)
				result, info := porcupine.CheckOperationsVerbose(model, history, time.Minute)
				if result != porcupine.Ok {
					t.Errorf("history %d is %s:\n%s", i, result, stuckAt(history, &info))
					return
				}
			}
		})
	}
	all.Wait()
}

func staffOf(name string) tandem.Principal {
	if name == "lee" {
		return person(name, tandem.Supervisor)
	}
	return person(name, tandem.Operator)
}

// stuckAt tells the longest way that could be explained, and what could not.
func stuckAt(all []porcupine.Operation, info *porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, ways := range info.PartialLinearizationsOperations() {
		for _, way := range ways {
			if len(way) > len(longest) {
				longest = way
			}
		}
	}
	var b strings.Builder
	state := talk{}
	known := map[deed]bool{}
	for _, op := range longest {
		_, state = state.do(op.Input.(deed), op.Output.(outcome))
		known[op.Input.(deed)] = true
		fmt.Fprintf(&b, "  %d to %d: %+v -> %+v: %+v\n", op.Call, op.Return, op.Input, op.Output, state)
	}
	slices.SortFunc(all, func(p, q porcupine.Operation) int { return cmp.Compare(p.Call, q.Call) })
	for _, op := range all {
		if !known[op.Input.(deed)] {
			fmt.Fprintf(&b, "? %d to %d: %+v -> %+v\n", op.Call, op.Return, op.Input, op.Output)
		}
	}
	return b.String()
}

// record has five people do what they like with one conversation.
func record(x *desktest.Tandem, n int) []porcupine.Operation {
	const deeds = 14
	a := desktest.Address(fmt.Sprint("client-", n))
	c, _, err := x.Desk.Open(x.T.Context(), backEnd(), desk.Opening{Address: a})
	if err != nil {
		x.T.Error(err)
		return nil
	}
	var mu sync.Mutex // guards history
	var history []porcupine.Operation
	began := time.Now()
	var all sync.WaitGroup
	for client, who := range []string{"maya", "zoe", "lee", "engine", "engine"} {
		all.Go(func() {
			believes := int64(0)
			for i := range deeds {
				d := anyDeed(who, believes)
				d.word = fmt.Sprintf("%s-%d-%d", who, client, i)
				call := time.Since(began)
				o := perform(x, a, c.ID, d)
				op := porcupine.Operation{ClientId: client, Input: d, Call: call.Nanoseconds(), Output: o, Return: time.Since(began).Nanoseconds()}
				if o.talk.epoch > 0 {
					believes = o.talk.epoch
				}
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	all.Go(func() {
		for i := range 4 {
			me := person(a.Participant, tandem.Participant)
			if _, err := x.Desk.Post(x.T.Context(), me, desk.Post{Address: a, Type: tandem.Chat, Text: fmt.Sprint("q", i)}); err != nil {
				x.T.Error(err)
			}
			waitFor(x.T.Context(), 10*time.Millisecond)
		}
	})
	all.Wait()
	return history
}

func anyDeed(who string, believes int64) deed {
	d := deed{who: who, epoch: -1}
	n := rand.N(100)
	if who == "engine" {
		d.what, d.refus = "push", n%2 == 0
		if n < 20 {
			d.what = "read"
		} else if n < 60 {
			d.epoch = believes
		}
		return d
	}
	d.to = []string{"maya", "zoe", "lee"}[n%3]
	switch {
	case n < 25:
		d.what = "takeover"
		if who == "lee" {
			d.what = "force"
		}
	case n < 40:
		d.what = "saytake"
	case n < 60:
		d.what = "release"
	case n < 70:
		d.what = "transfer"
	case n < 72:
		d.what = "end"
	case n < 76:
		d.what = "read"
	default:
		d.what = "say"
	}
	return d
}

func perform(x *desktest.Tandem, a tandem.Address, id string, d deed) (o outcome) {
	ctx, p := x.T.Context(), staffOf(d.who)
	if d.who == "engine" {
		p = backEnd()
	}
	var c desk.Seen
	var err error
	switch d.what {
	case "takeover", "force":
		c, err = x.Desk.Takeover(ctx, p, id, d.what == "force")
	case "release":
		c, err = x.Desk.Release(ctx, p, id, "")
	case "transfer":
		c, err = x.Desk.Transfer(ctx, p, id, d.to)
	case "end":
		c, err = x.Desk.End(ctx, p, id, "")
	case "say", "saytake":
		var said desk.Said
		said, err = x.Desk.Say(ctx, p, desk.Say{Conversation: id, Takeover: d.what == "saytake", Messages: []desk.Saying{{Content: d.word}}})
		c.Conversation = said.Conversation
	case "push":
		in := desk.Push{Address: a, Type: tandem.Chat, Text: d.word}
		if d.refus {
			in.OnHeld = "refuse"
		}
		if d.epoch >= 0 {
			in.Epoch = &d.epoch
		}
		var pushed desk.Posted
		pushed, err = x.Desk.Push(ctx, p, in)
		o.draft = pushed.Draft
	case "read":
		return read(x, id)
	}
	o.talk.holder, o.talk.epoch = c.AdminID, c.Epoch
	if err != nil {
		o.fail, o.talk.epoch = failure(err)
	}
	return o
}

// read is what the conversation is now.
func read(x *desktest.Tandem, id string) (o outcome) {
	s, err := x.Desk.Snapshot(x.T.Context(), person("lee", tandem.Supervisor), id)
	if err != nil {
		o.fail, _ = failure(err)
		return o
	}
	o.talk = talk{holder: s.AdminID, epoch: s.Epoch, ended: s.Status == tandem.StatusEnded}
	for i := range s.Messages {
		m, err := s.Messages[i].Message()
		if err != nil {
			o.fail = err.Error()
		}
		if m.Finish == "" && m.Role != tandem.RoleUser {
			o.talk.words += m.Text + " "
		}
	}
	return o
}

// failure is what an error says, in the model's words.
func failure(err error) (string, int64) {
	who, taken := strings.CutSuffix(err.Error(), " holds this conversation.")
	var e *tandem.Error
	switch kind := tandem.KindOf(err); {
	case kind == tandem.Conflict && taken:
		return "taken by " + who, 0
	case kind == tandem.Conflict && err.Error() == "Take the conversation over first.":
		return "free", 0
	case kind == tandem.Conflict && err.Error() == "Conversation has ended":
		return "ended", 0
	case kind == tandem.Forbidden:
		return "denied", 0
	case kind == tandem.Unavailable:
		return "late", 0
	case kind == tandem.Held && errors.As(err, &e):
		return "held", e.Epoch
	}
	return err.Error(), 0
}
