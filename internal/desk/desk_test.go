package desk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/store"
	"github.com/seed4677ff1f/tandem/internal/turn"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office is a desk with all that it stands on, without a network.
type office struct {
	t     testing.TB
	dir   string
	desk  *desk.Desk
	hub   *hub.Hub
	store *store.Store
	turns *turn.Runner
	close func()
}

type setup struct {
	dir    string
	agents []turn.Spec
	limits *tandem.Limits
	lose   func() bool
	clock  tandem.Clock
	rules  *desk.Rules
}

func open(t testing.TB, with setup) *office {
	t.Helper()
	if with.dir == "" {
		with.dir = t.TempDir()
	}
	limits := tandem.DefaultLimits()
	if with.limits != nil {
		limits = *with.limits
	}
	limits.Streams = 0
	o := &office{t: t, dir: with.dir}
	o.hub = hub.New(hub.Options{Codec: readable(), Clock: with.clock, Lose: with.lose})
	committed := func(c []store.Committed) { o.desk.Committed(c) }
	var err error
	if o.store, err = store.Open(t.Context(), store.Options{Dir: with.dir, Clock: with.clock, Committed: committed}); err != nil {
		t.Fatal(err)
	}
	o.turns = turn.New(turn.Options{
		Store: o.store, Hub: o.hub, Agents: with.agents, Limits: limits, Clock: with.clock,
		Handoff: func(ctx context.Context, a tandem.Address, conv string, req tandem.HandoffRequest) error {
			return o.desk.AgentAsks(ctx, a, conv, req)
		},
		Append: func(ctx context.Context, ap store.Append) (store.Result, error) { return o.desk.Append(ctx, ap) },
	})
	o.desk = desk.New(desk.Options{Store: o.store, Hub: o.hub, Turns: o.turns, Limits: limits, Rules: with.rules, Clock: with.clock})
	if err := o.turns.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	closed := false
	o.close = func() {
		if closed {
			return
		}
		closed = true
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		o.turns.Stop(ctx)
		if err := o.store.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(o.close)
	return o
}

// readable is a codec whose frames tell in words what was shown.
func readable() tandem.Codec {
	return tandem.Codec{
		Event: func(v tandem.View, a tandem.Address, e *tandem.Event, total int) []byte {
			if v.Face == tandem.FaceFeed {
				return fedInWords(a, e)
			}
			if e.Kind == tandem.KindState {
				if v.Face != tandem.FaceChat && v.Face != tandem.FaceConversation {
					return nil
				}
				var c tandem.Conversation
				_ = json.Unmarshal(e.Body, &c)
				return fmt.Appendf(nil, "[%d state %s %s]", e.Seq, c.Mode, c.Status)
			}
			m, err := e.Message()
			if err != nil {
				return fmt.Appendf(nil, "[%d %v]", e.Seq, err)
			}
			if v.Face == tandem.FaceConversation {
				return fmt.Appendf(nil, "[%d %s, total %d]", e.Seq, m.Text, total)
			}
			if m.Direction == tandem.Incoming && !v.Echo && v.Face != tandem.FaceChat {
				return nil
			}
			if e.Kind == tandem.KindAnswerEnded {
				return fmt.Appendf(nil, "[%d %s]", e.Seq, m.Finish)
			}
			return fmt.Appendf(nil, "[%d %s %s]", e.Seq, m.Type, m.Text)
		},
		Messages: func(_ tandem.View, _ tandem.Address, together []*tandem.Event, total int) []byte {
			return fmt.Appendf(nil, "[%d together: %d of %d]", together[0].Seq, len(together), total)
		},
		Notice: func(_ tandem.View, _ tandem.Address, n tandem.Notice) []byte {
			return fmt.Appendf(nil, "{%d %s %s %d}", n.Kind, n.Name, n.MessageID, n.Place)
		},
		Start: func(_ tandem.View, _ tandem.Address, _ tandem.AnswerStarted, _ *tandem.Event) []byte {
			return []byte("<")
		},
		Delta: func(_ tandem.View, _ tandem.Address, d tandem.Delta) []byte { return []byte(d.Text) },
	}
}

// fedInWords is a frame of a feed, which names the thread.
func fedInWords(a tandem.Address, e *tandem.Event) []byte {
	if e.Kind == tandem.KindState {
		var c tandem.Conversation
		_ = json.Unmarshal(e.Body, &c)
		return fmt.Appendf(nil, "[%s %d state %s %s]", a.Participant, e.Seq, c.Mode, c.Status)
	}
	m, err := e.Message()
	if err != nil {
		return fmt.Appendf(nil, "[%s %d %v]", a.Participant, e.Seq, err)
	}
	return fmt.Appendf(nil, "[%s %d %s %s]", a.Participant, e.Seq, m.Type, m.Text)
}

func addr(name string) tandem.Address {
	return tandem.Address{Tenant: "default", Workflow: "support", Participant: name}
}

func participant(name string) tandem.Principal {
	return tandem.Principal{Tenant: "default", Subject: name, Role: tandem.Participant, Kind: tandem.CredentialJWT, ID: "jti-" + name}
}

func agentKey() tandem.Principal {
	return tandem.Principal{Tenant: "default", Subject: "bot", Role: tandem.Agent, Kind: tandem.CredentialKey, ID: "key_1", Name: "Bot"}
}

func (o *office) says(name, text string) desk.Posted {
	o.t.Helper()
	p, err := o.desk.Post(o.t.Context(), participant(name), desk.Post{Address: addr(name), Type: tandem.Chat, Text: text})
	if err != nil {
		o.t.Fatal(err)
	}
	return p
}

func (o *office) pushes(name, text string) desk.Posted {
	o.t.Helper()
	p, err := o.desk.Push(o.t.Context(), agentKey(), desk.Push{Address: addr(name), Type: tandem.Chat, Text: text})
	if err != nil {
		o.t.Fatal(err)
	}
	return p
}

// reader follows and collects what it was shown as one text.
type reader struct {
	t    testing.TB
	f    *desk.Follower
	seen strings.Builder
}

func (o *office) follows(req desk.Follow) *reader {
	o.t.Helper()
	if req.View.Face == 0 {
		req.View.Face = tandem.FaceEvents
	}
	f, err := o.desk.Follow(o.t.Context(), req)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(f.Close)
	return &reader{t: o.t, f: f}
}

func chatOf(name string) desk.Follow {
	return desk.Follow{Principal: participant(name), Address: addr(name), View: tandem.View{Face: tandem.FaceChat, Tokens: true}}
}

func eventsOf(name string) desk.Follow {
	return desk.Follow{Principal: participant(name), Address: addr(name), View: tandem.View{Face: tandem.FaceEvents}, Heartbeat: 250 * time.Millisecond}
}

// next waits for the next batch that is no heartbeat.
func (r *reader) next() desk.Batch {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		b, err := r.f.Next(ctx)
		if err != nil {
			r.t.Fatalf("after %q: %v", r.seen.String(), err)
		}
		if b.Heartbeat {
			continue
		}
		for _, f := range b.Frames {
			r.seen.Write(f)
		}
		return b
	}
}

// until reads on until what was shown holds the text.
func (r *reader) until(text string) string {
	r.t.Helper()
	for !strings.Contains(r.seen.String(), text) {
		if b := r.next(); b.Ended != "" {
			r.t.Fatalf("ended (%s) after %q", b.Ended, r.seen.String())
		}
	}
	return r.seen.String()
}

// scripted is an agent that says what it is fed, and ends when the feed does.
type scripted chan string

func (s scripted) Reply(ctx context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
	for {
		select {
		case text, ok := <-s:
			if !ok {
				return nil
			}
			if err := emit(tandem.Piece{Text: text}); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func answeredBy(a turn.Agent) []turn.Spec { return []turn.Spec{turn.DefaultSpec("bot", a)} }

// answerer is an agent that answers with one text.
type answerer func(tandem.Question) string

func (a answerer) Reply(_ context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
	return emit(tandem.Piece{Text: a(q)})
}

func asError(err error, to **tandem.Error) bool { return errors.As(err, to) }
