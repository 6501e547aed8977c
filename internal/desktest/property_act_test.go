package desktest_test

import (
	"net/http"

	"github.com/coder/websocket"

	tandem "github.com/seed4677ff1f/tandem"
)

// A spot is where something is done: on a thread, in its conversation if it has
// one.
type spot struct {
	tenant, line, name string
	talk               *episode
}

// An action is something that people and back ends do. do reports whether it was done.
type action struct {
	name string
	do   func(*town, spot) bool
}

var actions = []action{
	{"send", (*town).send},
	{"send again", (*town).send},
	{"participant's message", (*town).ownMessage},
	{"note", (*town).note},
	{"steer", (*town).steer},
	{"takeover", (*town).takeover},
	{"takeover by force", (*town).takeover},
	{"operator's word", (*town).operatorSays},
	{"words and notes together", (*town).saysTogether},
	{"release", (*town).release},
	{"push", (*town).push},
	{"push again", (*town).push},
	{"gateway's word", (*town).gatewaySays},
	{"send draft", (*town).sendDraft},
	{"feedback", (*town).feedback},
	{"handoff to a line", (*town).handoff},
	{"handoff to a person", (*town).escalate},
	{"session", (*town).tellSession},
	{"end", (*town).end},
}

var staff = []tandem.PrincipalRole{tandem.Operator, tandem.Supervisor, tandem.Owner}

func (w *town) send(s spot) bool {
	p := w.participant(s.tenant, s.name)
	m := w.said(s, w.active(s), word{opens: true, incoming: true, counts: true})
	q := s.threadQuery()
	q.Set("type", "Chat")
	q.Set("text", m.text)
	if status, _, body := w.do(p.token, "POST", "/api/user/rest/send?"+q.Encode(), nil); status != http.StatusOK {
		w.t.Errorf("send: %d %s", status, body)
	}
	return true
}

// says posts to the spot's conversation; each message is of one word.
func (w *town) says(s spot, r *reader, query string, body map[string]any, list ...*word) bool {
	status, header, _ := w.do(r.token, "POST", "/api/conversation/"+s.talk.ID+"/messages"+query, body)
	done := status == http.StatusCreated
	w.change(func() {
		for _, m := range list {
			if m.counts = m.counts && done; header.Get("Tandem-Delivery") == "draft" {
				m.counts, m.audience, m.draft = false, tandem.Operators, true
			}
		}
	})
	return done
}

func (w *town) ownMessage(s spot) bool {
	if s.talk == nil {
		return false
	}
	m := w.said(s, s.talk, word{incoming: true, counts: true})
	return w.says(s, w.participant(s.tenant, s.name), "", map[string]any{"content": m.text, "answer": w.rnd.IntN(2) == 0}, m)
}

func (w *town) note(s spot) bool {
	if s.talk == nil {
		return false
	}
	m := w.said(s, s.talk, word{audience: tandem.Operators})
	return w.says(s, w.who(s.tenant, staff...), "", map[string]any{"content": m.text, "audience": "operators"}, m)
}

func (w *town) steer(s spot) bool {
	if s.talk == nil {
		return false
	}
	m := w.said(s, s.talk, word{audience: tandem.Agents})
	status, _, _ := w.do(w.who(s.tenant, staff...).token, "POST", "/api/conversation/"+s.talk.ID+"/steer", map[string]any{"content": m.text})
	return status == http.StatusCreated
}

func (w *town) control(s spot, how string, body any, roles ...tandem.PrincipalRole) bool {
	if s.talk == nil {
		return false
	}
	status, _, _ := w.do(w.who(s.tenant, roles...).token, "POST", "/api/conversation/"+s.talk.ID+"/"+how, body)
	return status == http.StatusOK
}

func (w *town) takeover(s spot) bool {
	return w.control(s, "takeover", map[string]any{"force": w.rnd.IntN(2) == 0}, staff...)
}

func (w *town) end(s spot) bool { return w.control(s, "end", map[string]any{}, staff...) }

// holder is who holds the spot's conversation, or anybody.
func (w *town) holder(s spot) *reader {
	for _, r := range w.readers {
		if r.tenant == s.tenant && s.talk != nil && r.subject == s.talk.Admin {
			return r
		}
	}
	return w.who(s.tenant, staff...)
}

func (w *town) release(s spot) bool {
	if s.talk == nil || s.talk.Admin == "" || w.rnd.IntN(2) == 0 {
		return false
	}
	status, _, _ := w.do(w.holder(s).token, "POST", "/api/conversation/"+s.talk.ID+"/release", map[string]any{"to": anyOf(w, []string{"agent", "queue"})})
	return status == http.StatusOK
}

func (w *town) operatorSays(s spot) bool {
	if s.talk == nil {
		return false
	}
	m := w.said(s, s.talk, word{counts: true, operator: true})
	return w.says(s, w.holder(s), anyOf(w, []string{"", "?takeover=true"}), map[string]any{"content": m.text}, m)
}

// saysTogether posts messages of several audiences in one append.
func (w *town) saysTogether(s spot) bool {
	if s.talk == nil {
		return false
	}
	var list []*word
	var messages []map[string]any
	for range 2 + w.rnd.IntN(3) {
		a := anyOf(w, []tandem.Audience{tandem.Everyone, tandem.Operators, tandem.Agents})
		m := w.said(s, s.talk, word{audience: a, counts: a == tandem.Everyone, operator: true})
		list = append(list, m)
		messages = append(messages, map[string]any{"content": m.text, "audience": []string{"everyone", "operators", "agent"}[a]})
	}
	return w.says(s, w.holder(s), "?takeover=true", map[string]any{"messages": messages}, list...)
}

// push has a back end say something: in the conversation of the thread, or in the
// one that its workflow answers for another.
func (w *town) push(s spot) bool {
	kind := anyOf(w, []string{"chat", "chat", "data", "reasoning", "tool"})
	if s.talk == nil {
		s.talk = w.answeredBy(s)
	}
	m := w.said(s, s.talk, word{counts: kind == "chat", quiet: kind != "chat"})
	body := map[string]any{"workflow": s.line, "participantId": s.name, "data": map[string]any{"word": m.text}}
	if kind == "chat" {
		body["text"] = m.text
	}
	status, header, answer := w.do(w.who(s.tenant, tandem.Agent).token, "POST", "/api/agent/conversation/outbound/"+kind, body)
	if status != http.StatusOK {
		w.t.Errorf("push: %d %s", status, answer)
	}
	w.change(func() {
		if header.Get("Tandem-Delivery") == "draft" {
			m.counts, m.audience, m.draft = false, tandem.Operators, true
		}
	})
	return true
}

func (w *town) gatewaySays(s spot) bool {
	if s.talk == nil {
		return false
	}
	role := anyOf(w, []string{"user", "assistant"})
	m := w.said(s, s.talk, word{counts: true, incoming: role == "user"})
	return w.says(s, w.who(s.tenant, tandem.Agent), "", map[string]any{"content": m.text, "role": role, "spoken": w.rnd.IntN(2) == 0}, m)
}

// find is the newest word of the spot's conversation that fits, and the id of its
// event.
func (w *town) find(s spot, fits func(*word) bool) (found *word, id string) {
	w.words.mu.Lock()
	defer w.words.mu.Unlock()
	for _, m := range w.words.byText {
		if s.talk != nil && m.conversation == s.talk.ID && fits(m) && w.words.stored[m.text] != "" && (found == nil || m.nth > found.nth) {
			found, id = m, w.words.stored[m.text]
		}
	}
	return found, id
}

// sendDraft makes what a back end said while somebody held an operator's word.
func (w *town) sendDraft(s spot) bool {
	draft, id := w.find(s, func(m *word) bool { return m.draft })
	if draft == nil {
		return false
	}
	status, _, _ := w.do(w.holder(s).token, "POST", "/api/conversation/"+s.talk.ID+"/drafts/"+id+"/send", nil)
	w.change(func() {
		if status == http.StatusCreated {
			draft.audience, draft.counts, draft.draft = tandem.Everyone, !draft.quiet, false
			if s.talk.Answering != "" { // it is said now
				draft.workflows = append(draft.workflows, s.talk.Answering)
			}
			draft.operator, draft.spoke = true, w.words.nth
		}
	})
	return status == http.StatusCreated
}

// feedback is what a participant thinks of an answer, for operators only.
func (w *town) feedback(s spot) bool {
	about, id := w.find(s, func(m *word) bool { return m.counts && !m.incoming })
	if about == nil {
		return false
	}
	m := w.said(s, s.talk, word{audience: tandem.Operators})
	c := opens(w.x, w.participant(s.tenant, s.name).token, "/ws?after=&workflow="+s.line)
	defer c.close()
	c.sees("connection", "")
	err := c.socket.Write(w.t.Context(), websocket.MessageText, []byte(`{"type":"feedback","messageId":"`+id+`","feedbackType":"negative","comment":"`+m.text+`"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = c.find(func(e shownEvent) bool { return e.name == "feedback-confirmation" })
	return err == nil
}

func (w *town) handoff(s spot) bool {
	if s.talk == nil {
		return false
	}
	target := services[0]
	if s.line == target {
		target = services[1]
	}
	m := w.said(s, s.talk, word{})
	m.workflows = append(m.workflows, target)
	status, _, _ := w.do(w.who(s.tenant, tandem.Agent).token, "POST", "/api/agent/conversation/outbound/handoff",
		map[string]any{"workflow": s.line, "participantId": s.name, "targetWorkflowType": target, "text": m.text, "reason": m.text})
	return status == http.StatusOK
}

func (w *town) escalate(s spot) bool {
	if s.talk == nil {
		return false
	}
	m := w.said(s, s.talk, word{reason: true})
	status, _, _ := w.do(w.who(s.tenant, tandem.Agent).token, "POST", "/api/agent/conversation/outbound/handoff",
		map[string]any{"workflow": s.line, "participantId": s.name, "to": "person", "text": m.text, "reason": m.text})
	return status == http.StatusOK
}

func (w *town) tellSession(s spot) bool {
	m := w.words.say(word{tenant: s.tenant, participant: s.name, session: true})
	status, _, _ := w.do(w.who(s.tenant, tandem.Agent, tandem.Owner).token, "POST", "/sse/send",
		map[string]any{"userId": s.name, "event": "PAYMENT", "message": map[string]any{"word": m.text}})
	return status == http.StatusOK
}
