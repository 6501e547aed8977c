package desktest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

// Staff is somebody who works here, looking at the board; with the name in capitals
// as display name. As knows them from then on.
func (x *Tandem) Staff(name string, role tandem.PrincipalRole) *Person {
	x.T.Helper()
	return x.person(name, func() *Person {
		display := []rune(name)
		display[0] = unicode.ToUpper(display[0])
		p := &Person{x: x, name: name, news: make(chan struct{}), token: x.Mint(auth.MintRequest{
			Tenant: "default", Subject: name, Role: role, Name: string(display),
		})}
		p.listens("board", "/api/conversations/stream", "")
		p.Sees("board snapshot") // from now on they are here
		return p
	})
}

// Op is an operator.
func (x *Tandem) Op(name string) *Person { x.T.Helper(); return x.Staff(name, tandem.Operator) }

// Lead is a supervisor.
func (x *Tandem) Lead(name string) *Person { x.T.Helper(); return x.Staff(name, tandem.Supervisor) }

// Conversation is the id of a participant's conversation: the active one, else the last.
func (x *Tandem) Conversation(who string) string {
	x.T.Helper()
	var page struct {
		Conversations []struct {
			ID     string `json:"conversation_id"`
			Worker string `json:"worker_id"`
			Status string `json:"status"`
		} `json:"conversations"`
	}
	answer := x.Engine().asks(http.MethodGet, "/api/conversations?workflow=support", nil)
	if err := json.Unmarshal(answer, &page); err != nil {
		x.T.Fatal(err)
	}
	found := ""
	for _, c := range page.Conversations {
		if c.Worker == who && (found == "" || c.Status == "ACTIVE") {
			found = c.ID
		}
	}
	if found == "" {
		x.T.Fatalf("%s has no conversation in %s", who, answer)
	}
	return found
}

// does asks for something to be done with the conversation that the person is in.
func (p *Person) does(what string, body any) []byte {
	p.x.T.Helper()
	return p.asks(http.MethodPost, "/api/conversation/"+url.PathEscape(p.x.Conversation(p.about))+"/"+what, body)
}

// Watches opens the stream of a participant's conversation, after a place in it or
// whole. The person is in it from then on.
func (p *Person) Watches(who string) {
	p.x.T.Helper()
	p.about = who
	p.listens("of "+who, "/api/conversation/"+url.PathEscape(p.x.Conversation(who))+"/stream", "")
}

// Rewatches opens it again where it broke off.
func (p *Person) Rewatches(who string) {
	p.x.T.Helper()
	p.listens("of "+who, "/api/conversation/"+url.PathEscape(p.x.Conversation(who))+"/stream", p.place("of "+who))
}

// place is the last event id of the streams of a name.
func (p *Person) place(name string) string {
	ears := p.listening(name)
	p.mu.Lock()
	defer p.mu.Unlock()
	last := ""
	for _, e := range ears {
		last = e.last
	}
	return last
}

// IsCutOff waits until the server has ended all streams of a name.
func (p *Person) IsCutOff(name string) {
	p.x.T.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for _, e := range p.listening(name) {
		select {
		case <-e.done:
		case <-late.C:
			p.x.T.Fatalf("%s still has the stream %q", p.name, name)
		}
	}
}

// TakesOver makes the person the one who speaks in a participant's conversation.
func (p *Person) TakesOver(who string) {
	p.x.T.Helper()
	p.about = who
	p.does("takeover", nil)
}

// Forces takes it from somebody else.
func (p *Person) Forces(who string) {
	p.x.T.Helper()
	p.about = who
	p.does("takeover", map[string]bool{"force": true})
}

// Answers speaks to the participant.
func (p *Person) Answers(text string) { p.x.T.Helper(); p.does("messages", said{Content: text}) }

// Notes writes to colleagues.
func (p *Person) Notes(text string) {
	p.x.T.Helper()
	p.does("messages", said{Content: text, Audience: "operators"})
}

type said struct {
	Content  string `json:"content"`
	Audience string `json:"audience,omitempty"`
}

// Steers tells the agent what to do.
func (p *Person) Steers(text string) { p.x.T.Helper(); p.does("steer", said{Content: text}) }

// HandsBack gives the conversation back to the agent.
func (p *Person) HandsBack() {
	p.x.T.Helper()
	p.does("release", map[string]string{"to": "agent"})
}

// Queues gives it back to those who wait.
func (p *Person) Queues() { p.x.T.Helper(); p.does("release", map[string]string{"to": "queue"}) }

// TransfersTo gives it to another.
func (p *Person) TransfersTo(name string) {
	p.x.T.Helper()
	p.does("transfer", map[string]string{"admin_id": name})
}

// Ends ends it.
func (p *Person) Ends() { p.x.T.Helper(); p.does("end", nil) }

// Types begins to type.
func (p *Person) Types() { p.x.T.Helper(); p.does("typing", nil) }

// Reads has read a message that was seen in the conversation's stream.
func (p *Person) Reads(text string) {
	p.x.T.Helper()
	p.does("read", map[string]string{"message_id": idIn(p.Sees("new_messages", text), text)})
}

// SendsDraft sends what an agent wrote meanwhile.
func (p *Person) SendsDraft(text string) {
	p.x.T.Helper()
	p.does("drafts/"+idIn(p.Sees(" draft ", text), text)+"/send", nil)
}

// SeesOnBoard waits for a change of a participant's conversation on the board that
// has all these texts.
func (p *Person) SeesOnBoard(who string, texts ...string) string {
	p.x.T.Helper()
	return p.Sees(append([]string{"board ", p.x.Conversation(who)}, texts...)...)
}

// idIn is the id of the message with this text in an event as it was noted.
func idIn(event, text string) string {
	before, _, _ := strings.Cut(event, text)
	_, id, _ := cutLast(before, `"message_id":"`)
	id, _, _ = strings.Cut(id, `"`)
	return id
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// LooksAt opens the board with the streams of these participants' conversations.
func (p *Person) LooksAt(who ...string) {
	p.x.T.Helper()
	var ids []string
	for _, w := range who {
		ids = append(ids, p.x.Conversation(w))
	}
	p.listens("wall", "/api/conversations/stream?watch="+url.QueryEscape(strings.Join(ids, ",")), "")
}

// Erases erases a participant's thread; a participant's own is hidden from them.
func (p *Person) Erases(who string) {
	p.x.T.Helper()
	q := url.Values{"workflow": {"support"}, "participantId": {who}}
	p.asks(http.MethodDelete, "/api/user/rest/thread?"+q.Encode(), nil)
}

// Changes changes a participant's conversation: its urgency, its status.
func (p *Person) Changes(who string, to map[string]string) {
	p.x.T.Helper()
	p.about = who
	p.asks(http.MethodPatch, "/api/conversation/"+url.PathEscape(p.x.Conversation(who)), to)
}

// StepsIn takes a participant's conversation over and speaks, both at once.
func (p *Person) StepsIn(who, text string) {
	p.x.T.Helper()
	p.about = who
	p.does("messages?takeover=true", said{Content: text})
}

// PostsTo posts a message to a participant's conversation, as a gateway does, and
// returns the answer.
func (p *Person) PostsTo(who string, message map[string]any) string {
	p.x.T.Helper()
	p.about = who
	return string(p.does("messages", message))
}

// DropsDraft throws away what an agent wrote meanwhile.
func (p *Person) DropsDraft(text string) {
	p.x.T.Helper()
	id := idIn(p.Sees(" draft ", text), text)
	p.asks(http.MethodDelete, "/api/conversation/"+url.PathEscape(p.x.Conversation(p.about))+"/drafts/"+id, nil)
}

// Lists are the participants whose conversations a query finds, in its order.
func (p *Person) Lists(query url.Values) []string {
	p.x.T.Helper()
	var page struct {
		Conversations []struct {
			Worker string `json:"worker_id"`
		} `json:"conversations"`
	}
	if err := json.Unmarshal(p.asks(http.MethodGet, "/api/conversations?"+query.Encode(), nil), &page); err != nil {
		p.x.T.Fatal(err)
	}
	var found []string
	for _, c := range page.Conversations {
		found = append(found, c.Worker)
	}
	return found
}

// Gets reads a path and returns the answer's body.
func (p *Person) Gets(path string) string {
	p.x.T.Helper()
	return string(p.asks(http.MethodGet, path, nil))
}

// Disables disables somebody's account.
func (p *Person) Disables(name string) {
	p.x.T.Helper()
	p.asks(http.MethodDelete, "/api/admin/users/"+url.PathEscape(name), nil)
}

// Elsewhere is an engine of another tenant.
func (x *Tandem) Elsewhere(tenant string) *Person {
	x.T.Helper()
	return x.person(" of "+tenant, func() *Person {
		return &Person{x: x, name: "an engine of " + tenant, news: make(chan struct{}), token: x.Mint(auth.MintRequest{
			Tenant: tenant, Subject: "engine", Role: tandem.Agent,
		})}
	})
}
