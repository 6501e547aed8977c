package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
)

// An object is one JSON object of an answer: any of these keys, or a chunk of a
// chat completion of the OpenAI API.
type object struct {
	Choices json.RawMessage

	Token, Delta, Content, Text, Answer json.RawMessage // the first that is a string is text

	Data, Reasoning, Tool, Sources, Handoff json.RawMessage

	Error json.RawMessage
}

// object takes one line, which should hold an object.
func (a *answer) object(line []byte) error {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil // some upstreams keep the connection alive this way
	}
	if line[0] != '{' {
		a.ignore()
		return nil
	}
	var o object
	if json.Unmarshal(line, &o) != nil {
		// Some of the answer was in there. To leave it out and go on would make
		// another answer of it.
		return tandem.Errorf(tandem.Unavailable, "the agent's answer was cut off: %w", errors.New("a line is not JSON"))
	}
	if given(o.Choices) {
		if err := a.chunk(o.Choices); err != nil {
			return err
		}
	} else if known, err := a.keys(&o); err != nil {
		return err
	} else if !known && !given(o.Error) {
		a.ignore()
	}
	if given(o.Error) {
		return failed(o.Error)
	}
	return nil
}

// keys emits what the object says and reports whether that was anything.
func (a *answer) keys(o *object) (known bool, err error) {
	emit := func(ok bool, p tandem.Piece) {
		if ok && err == nil {
			known, err = true, a.emit(p)
		}
	}
	emit(given(o.Reasoning), tandem.Piece{Reasoning: o.Reasoning})
	emit(given(o.Tool), tandem.Piece{Tool: o.Tool})
	emit(given(o.Data), tandem.Piece{Data: o.Data})
	for _, raw := range []json.RawMessage{o.Token, o.Delta, o.Content, o.Text, o.Answer} {
		if s, ok := asString(raw); ok && err == nil {
			known, err = true, a.say(s)
			break
		}
	}
	sources := asSources(o.Sources)
	emit(sources != "", tandem.Piece{Sources: sources})
	handoff := asHandoff(o.Handoff)
	emit(handoff != nil, tandem.Piece{Handoff: handoff})
	return known, err
}

// given reports whether raw says anything.
func given(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "false", `""`:
		return false
	}
	return true
}

func asString(raw json.RawMessage) (s string, ok bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// asSources reads a string, or a list of strings or of objects with a title,
// into the one string that the conversation API has.
func asSources(raw json.RawMessage) string {
	if s, ok := asString(raw); ok {
		return s
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return ""
	}
	var names []string
	for _, item := range list {
		name, ok := asString(item)
		if !ok {
			var o struct{ Title, Name, Source, URL json.RawMessage }
			_ = json.Unmarshal(item, &o) // what is no object has no name
			for _, raw := range []json.RawMessage{o.Title, o.Name, o.Source, o.URL} {
				if name, ok = asString(raw); ok && name != "" {
					break
				}
			}
		}
		if name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// person is where a handoff to people goes.
const person = "person"

// asHandoff reads {"to", "reason", "urgency"} or only where to; nil if it is
// neither. An urgency that there is not counts as none: the wish is what matters.
func asHandoff(raw json.RawMessage) *tandem.HandoffRequest {
	if to, ok := asString(raw); ok && to != "" {
		return &tandem.HandoffRequest{To: to, Urgency: tandem.UrgencyNormal}
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	var o struct{ To, Reason, Urgency json.RawMessage }
	if json.Unmarshal(raw, &o) != nil {
		return nil
	}
	h := &tandem.HandoffRequest{Urgency: tandem.UrgencyNormal}
	h.To, _ = asString(o.To)
	h.Reason, _ = asString(o.Reason)
	if h.To == "" {
		h.To = person
	}
	urgency, _ := asString(o.Urgency)
	if u, err := tandem.ParseUrgency(urgency); err == nil {
		h.Urgency = u
	}
	return h
}

// failed makes the error of an upstream that says in its answer that it failed.
// Its words stay out of it: they may repeat what the user wrote.
func failed(raw []byte) error {
	why := reason([]byte(`{"error":` + string(raw) + `}`))
	if why == "" {
		why = reason(raw) // an event named error whose data is a whole error body
	}
	if why == "" {
		why = "it does not say why"
	}
	return tandem.Errorf(tandem.Unavailable, "the agent failed while it answered: %w", errors.New(why))
}
