package agent

import (
	"encoding/json"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
)

// askPerson is the function that hands the conversation to people.
const askPerson = "ask_a_person"

// askPersonTool offers it, as the tools parameter of
// POST /v1/chat/completions of the OpenAI API.
const askPersonTool = `[{"type":"function","function":{"name":"ask_a_person",` +
	`"description":"Hands this conversation to a human colleague. Call it when the user asks for a person, ` +
	`or when you cannot help, or when the matter is too serious to go on without one.",` +
	`"parameters":{"type":"object","properties":{` +
	`"reason":{"type":"string","description":"For the colleague, in one sentence: what the user needs."},` +
	`"urgency":{"type":"string","enum":["NORMAL","URGENT","CRITICAL"],"description":"CRITICAL only if someone may come to harm."}},` +
	`"required":["reason"]}}}]`

// completionBody makes the body for an OpenAI-compatible agent.
func completionBody(model, system string, tool bool) func(tandem.Question) (payload, error) {
	return func(q tandem.Question) (payload, error) {
		req := struct {
			Model    string          `json:"model"`
			Messages []message       `json:"messages"`
			Stream   bool            `json:"stream"`
			Tools    json.RawMessage `json:"tools,omitempty"`
		}{Model: model, Stream: true}
		if system != "" {
			req.Messages = append(req.Messages, message{Role: "system", Content: system})
		}
		for _, t := range q.History {
			if t.Content != "" {
				req.Messages = append(req.Messages, messageOf(t))
			}
		}
		req.Messages = append(req.Messages, message{Role: "user", Content: asked(q)})
		// While somebody has been asked for already, a model that could only ask
		// again would leave the user without an answer.
		tool := tool && q.Mode != tandem.ModeWaiting
		if tool {
			req.Tools = json.RawMessage(askPersonTool)
		}
		b, err := json.Marshal(req)
		return payload{json: b, handoff: tool}, err
	}
}

// A message is one of a chat completion's messages.
type message struct {
	Role    string `json:"role"`
	Name    string `json:"name,omitempty"`
	Content string `json:"content"`
}

// messageOf tells the model of one turn. It knows no operators: to the user it
// is one assistant who speaks, so theirs are the assistant's words, by name.
func messageOf(t tandem.Turn) message {
	switch t.Role {
	case tandem.RoleOperator:
		name := t.Name
		if name == "" {
			name = "Support"
		}
		return message{"assistant", wireName(name), t.Content}
	case tandem.RoleAssistant, tandem.RoleSystem:
		return message{Role: string(t.Role), Content: t.Content}
	}
	return message{Role: "user", Content: t.Content}
}

// wireName makes a name that the API takes: at most 64 characters without white
// space and < | \ / >.
func wireName(name string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if strings.ContainsRune(`<|\/>`, r) {
			return '_'
		}
		return r
	}, strings.Join(strings.Fields(name), "_")))
	return string(runes[:min(len(runes), 64)])
}

// asked is what the user says: text, data, or both.
func asked(q tandem.Question) string {
	if !given(q.Data) {
		return q.Message
	}
	return strings.TrimSpace(q.Message + "\n\n" + string(q.Data))
}

// A choice is one of a chunk's choices, or of a whole chat completion's.
type choice struct {
	Index        int
	Delta        *said
	Message      *said
	FinishReason string `json:"finish_reason"`
}

type said struct {
	Content   json.RawMessage
	Refusal   json.RawMessage
	Reasoning json.RawMessage
	Thought   json.RawMessage `json:"reasoning_content"` // the name that more servers use
	ToolCalls []struct {
		Index    *int
		ID       string
		Function struct {
			Name      string
			Arguments json.RawMessage // a part of a string
		}
	} `json:"tool_calls"`
}

// chunk takes the choices of one chunk of a chat completion. We ask for one
// choice; others are not for us.
func (a *answer) chunk(raw json.RawMessage) error {
	a.chunks = true
	var choices []choice
	if json.Unmarshal(raw, &choices) != nil {
		a.ignore() // what fits is filled in
	}
	for _, c := range choices {
		if c.Index != 0 {
			continue
		}
		for _, s := range []*said{c.Delta, c.Message} {
			if s == nil {
				continue
			}
			if err := a.take(s); err != nil {
				return err
			}
		}
		switch c.FinishReason {
		case "":
		case "error": // OpenRouter's: the model's server failed
			return failed(nil)
		default:
			a.end()
		}
	}
	return nil
}

func (a *answer) take(s *said) error {
	for _, raw := range []json.RawMessage{s.Thought, s.Reasoning} {
		if thought, _ := asString(raw); thought != "" {
			a.reasoning = append(a.reasoning, thought...)
			break
		}
	}
	if len(a.reasoning) >= maxReasoning {
		if err := a.reasoned(); err != nil {
			return err
		}
	}
	for _, raw := range []json.RawMessage{s.Content, s.Refusal} {
		text, _ := asString(raw)
		if err := a.say(text); err != nil {
			return err
		}
	}
	for _, t := range s.ToolCalls {
		args, ok := asString(t.Function.Arguments)
		if !ok { // an object, from servers that do not stream arguments
			args = string(t.Function.Arguments)
		}
		a.part(t.Index, t.ID, t.Function.Name, args)
	}
	return nil
}

// reasoned emits the reasoning so far as one piece: each piece becomes a message
// of its own, and a message for each token would be none.
func (a *answer) reasoned() error {
	if len(a.reasoning) == 0 {
		return nil
	}
	raw, err := json.Marshal(string(a.reasoning))
	a.reasoning = nil
	if err != nil {
		return err
	}
	return a.emit(tandem.Piece{Reasoning: raw})
}

// A toolCall is a function call, which comes in parts.
type toolCall struct {
	index int
	id    string
	name  string
	args  []byte
}

// The most that is kept of a model's function calls.
const (
	maxCalls = 32
	maxArgs  = 64 << 10
)

// continues reports whether a part with these belongs to c. Some servers give
// every call the index 0, and some none at all: a part without an index that
// names neither call nor function goes on with the last one.
func (c toolCall) continues(index *int, id, name string) bool {
	switch {
	case id != "" && c.id != "" && id != c.id:
		return false
	case index != nil:
		return c.index == *index
	}
	return id != "" && id == c.id || id == "" && name == ""
}

// part adds to the call that it belongs to, or begins one.
func (a *answer) part(index *int, id, name, args string) {
	at := len(a.calls) - 1
	for at >= 0 && !a.calls[at].continues(index, id, name) {
		at--
	}
	if at < 0 {
		if len(a.calls) == maxCalls {
			return
		}
		n := len(a.calls)
		if index != nil {
			n = *index
		}
		a.calls = append(a.calls, toolCall{index: n, id: id})
		at = len(a.calls) - 1
	}
	c := &a.calls[at]
	if c.name == "" {
		c.name = name
	}
	if len(c.args)+len(args) <= maxArgs {
		c.args = append(c.args, args...)
	}
}

// called does what the model called for, once its answer is whole. Functions
// that were not offered are counted. A call for a person counts even if its
// arguments are unreadable.
func (a *answer) called() error {
	var request *tandem.HandoffRequest
	for _, c := range a.calls {
		if c.name != askPerson || !a.handoff {
			a.ignore()
			continue
		}
		if request == nil {
			request = &tandem.HandoffRequest{Urgency: tandem.UrgencyNormal}
			if h := asHandoff(c.args); h != nil {
				request = h
			}
			request.To = person
		}
	}
	a.calls = nil
	if request == nil {
		return nil
	}
	return a.emit(tandem.Piece{Handoff: request})
}
