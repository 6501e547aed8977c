package desktest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"pgregory.net/rapid"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// A world is two tenants with the same people, lines and ids, in which every word
// is a mark of its own, and who may see it is known.
type world struct {
	x       *desktest.Tandem
	n       int // number of the world
	tenants [2]string
	people  []*viewer
	places  []*place

	mu    sync.Mutex // guards marks: agents answer when they like
	marks []*marked
}

// A viewer is somebody with a credential.
type viewer struct {
	tandem.Principal
	alias string // without what makes the login a mark
	token string
}

// A place is a thread, or what follows it after an end: a conversation.
type place struct {
	address tandem.Address
	id      string
	holders []held // who held it from when on, in order
	ended   bool
	drafts  []string
}

type held struct {
	since int // number of the mark
	by    string
}

// A marked is a word that somebody said, or a name.
type marked struct {
	word     string
	tenant   string
	workflow string
	whose    string // participant
	at       *place // conversation; nil: none
	audience tandem.Audience
	session  bool // told to sessions
	login    bool // of somebody who answers
	own      bool // the tenant's own, or a name that all of it may see
	n        int
}

const (
	lines   = "support sales"
	callers = "ann bob"
)

// newWorld makes the tenants, their people and the first conversations, which have
// the same ids in both.
func newWorld(rt *rapid.T, x *desktest.Tandem, n int) *world {
	w := &world{x: x, n: n}
	for i, side := range []string{"left", "right"} {
		m := w.mark(&marked{own: true}, side)
		tenant := m.word
		w.tenants[i], m.tenant = tenant, tenant
		for _, who := range strings.Fields(callers) {
			w.joins(rt, tenant, who, tandem.Participant, "")
		}
		for alias, line := range map[string]string{"maya": "", "zoe": "sales"} {
			w.joins(rt, tenant, alias, tandem.Operator, line)
		}
		w.joins(rt, tenant, "lee", tandem.Supervisor, "")
		w.joins(rt, tenant, "boss", tandem.Owner, "")
		w.joins(rt, tenant, "engine", tandem.Agent, "")
		w.joins(rt, tenant, "engine", tandem.Agent, "sales")
		for _, line := range strings.Fields(lines) {
			for _, who := range strings.Fields(callers) {
				p := &place{address: tandem.Address{Tenant: tenant, Workflow: line, Participant: who}, holders: []held{{}}}
				name := w.mark(&marked{tenant: tenant, workflow: line, whose: who, at: p}, "name")
				p.id = fmt.Sprintf("conv_%d_%s_%s", n, line, who)
				if _, _, err := x.Desk.Open(context.Background(), w.backEnd(tenant), desk.Opening{Address: p.address, ID: p.id, Name: name.word}); err != nil {
					rt.Fatal(err)
				}
				w.places = append(w.places, p)
			}
		}
	}
	return w
}

// mark makes a word that is nowhere else, said as m tells.
func (w *world) mark(m *marked, kind string) *marked {
	w.mu.Lock()
	defer w.mu.Unlock()
	m.n = len(w.marks) + 1
	m.word = fmt.Sprintf("%s-%dx%dx", kind, w.n, m.n)
	w.marks = append(w.marks, m)
	return m
}

func (w *world) joins(rt *rapid.T, tenant, alias string, role tandem.PrincipalRole, line string) {
	v := &viewer{alias: alias, Principal: tandem.Principal{Tenant: tenant, Subject: alias, Role: role, Kind: tandem.CredentialJWT, Workflow: line}}
	var err error
	if role == tandem.Agent {
		var secret auth.Secret
		name := w.mark(&marked{tenant: tenant, own: true}, "key").word // a display name
		secret, _, err = w.x.Auth.CreateKey(context.Background(), auth.KeyRequest{Tenant: tenant, Role: role, Workflow: line, Name: name})
		v.token = secret.Reveal()
	} else {
		if v.Staff() {
			m := w.mark(&marked{tenant: tenant, login: true}, alias)
			v.Subject, v.Name = m.word, alias
			if err := w.x.Store.AddAccount(context.Background(), store.Account{Tenant: tenant, Username: m.word, Name: alias, Role: role}, store.AuditOf(v.Principal, "user-add", "", m.word)); err != nil {
				rt.Fatal(err)
			}
		}
		var token auth.Token
		token, err = w.x.Auth.Mint(context.Background(), auth.MintRequest{Tenant: tenant, Subject: v.Subject, Role: role, Workflow: line, Name: v.Name})
		v.token = token.Token.Reveal()
	}
	if err != nil {
		rt.Fatal(err)
	}
	w.people = append(w.people, v)
}

func (w *world) backEnd(tenant string) tandem.Principal {
	p := backEnd()
	p.Tenant = tenant
	return p
}

// is the tenant's person of this alias.
func (w *world) is(tenant, alias string) tandem.Principal {
	for _, v := range w.people {
		if v.Tenant == tenant && v.alias == alias {
			return v.Principal
		}
	}
	panic(alias)
}

func (p *place) holder() string { return p.holders[len(p.holders)-1].by }

// says marks a word of p's conversation.
func (w *world) says(p *place, audience tandem.Audience, kind string) string {
	return w.mark(&marked{tenant: p.address.Tenant, workflow: p.address.Workflow, whose: p.address.Participant, at: p, audience: audience}, kind).word
}

// held notes who holds p from now on.
func (w *world) held(p *place, by string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.holders = append(p.holders, held{len(w.marks), by})
}

// pick draws one of a list, whose members are too long to be told.
func pick[T any](rt *rapid.T, label string, list []T) T {
	return list[rapid.IntRange(0, len(list)-1).Draw(rt, label)]
}

// step does one thing somewhere.
func (w *world) step(rt *rapid.T) {
	p := pick(rt, "place", w.places)
	if p.ended {
		return
	}
	what := pick(rt, "what", []string{"ask", "ask", "data", "push", "push", "note", "steer", "operator", "takeover", "takeover", "release", "end", "send", "send", "escalate", "draft"})
	if err := w.do(rt, p, what); err != nil {
		rt.Fatalf("%s at %v: %v", what, p.address, err)
	}
}

func (w *world) do(rt *rapid.T, p *place, what string) (err error) {
	ctx, d, tenant := context.Background(), w.x.Desk, p.address.Tenant
	lead := w.is(tenant, "lee")
	say := func(by tandem.Principal, in desk.Saying) error {
		_, err := d.Say(ctx, by, desk.Say{Conversation: p.id, Messages: []desk.Saying{in}})
		return err
	}
	switch what {
	case "ask":
		_, err = d.Post(ctx, w.is(tenant, p.address.Participant), desk.Post{Address: p.address, Type: tandem.Chat, Text: w.says(p, tandem.Everyone, "ask")})
	case "data":
		_, err = d.Post(ctx, w.is(tenant, p.address.Participant), desk.Post{Address: p.address, Type: tandem.Data, Data: quoted(w.says(p, tandem.Everyone, "data"))})
	case "push":
		audience := tandem.Everyone
		if p.holder() != "" {
			audience = tandem.Operators // a draft
		}
		var sent desk.Posted
		sent, err = d.Push(ctx, w.backEnd(tenant), desk.Push{Address: p.address, Type: tandem.Chat, Text: w.says(p, audience, "push")})
		if sent.Draft {
			p.drafts = append(p.drafts, sent.Event.ID)
		}
	case "note":
		err = say(lead, desk.Saying{Content: w.says(p, tandem.Operators, "note"), Audience: "operators"})
	case "steer":
		_, err = d.Steer(ctx, lead, p.id, w.says(p, tandem.Agents, "steer"))
	case "takeover":
		by := w.is(tenant, pick(rt, "operator", []string{"maya", "lee", "zoe"}))
		if !by.Serves(p.address.Workflow) || p.holder() != "" {
			return nil
		}
		if _, err = d.Takeover(ctx, by, p.id, false); err == nil {
			w.held(p, by.Subject)
		}
	case "release":
		if p.holder() == "" {
			return nil
		}
		if _, err = d.Release(ctx, lead, p.id, "queue"); err == nil {
			w.held(p, "")
		}
	case "operator":
		for _, v := range w.people {
			if v.Subject == p.holder() && v.Tenant == tenant {
				return say(v.Principal, desk.Saying{Content: w.says(p, tandem.Everyone, "reply")})
			}
		}
	case "draft":
		if len(p.drafts) > 0 && p.holder() == lead.Subject {
			text := w.says(p, tandem.Everyone, "sent")
			_, err = d.SendDraft(ctx, lead, p.id, p.drafts[0], &text)
			p.drafts = p.drafts[1:]
		}
	case "end":
		_, err = d.End(ctx, lead, p.id, "")
		p.ended = true
	case "escalate":
		_, _, err = d.Escalate(ctx, w.is(tenant, p.address.Participant), desk.Escalation{Address: p.address, Reason: w.says(p, tandem.Everyone, "reason")})
	case "send":
		m := w.mark(&marked{tenant: tenant, whose: p.address.Participant, session: true}, "told")
		_, err = d.Send(ctx, w.backEnd(tenant), desk.Send{User: p.address.Participant, Message: quoted(m.word)})
	}
	return err
}

func quoted(s string) json.RawMessage {
	b, _ := json.Marshal(s)
	return b
}

// maySee is the law, told in another way than the server tells it. now: what is
// asked for after all was said; else a stream may have shown what was to be seen
// at any moment since.
func (w *world) maySee(v *viewer, m *marked, now bool) bool {
	switch {
	case m.tenant != v.Tenant:
		return false
	case m.own:
		return true
	case m.login:
		return v.Role != tandem.Participant
	case m.session:
		return v.Role == tandem.Participant && v.Subject == m.whose
	case v.Workflow != "" && m.workflow != v.Workflow:
		return false
	}
	switch v.Role {
	case tandem.Participant:
		return v.Subject == m.whose && m.audience == tandem.Everyone
	case tandem.Agent:
		return m.audience != tandem.Operators
	case tandem.Operator:
		for i, h := range m.at.holders {
			last := i == len(m.at.holders)-1
			if (last || !now && m.at.holders[i+1].since >= m.n) && (h.by == "" || h.by == v.Subject) {
				return true
			}
		}
		return false
	}
	return true
}
