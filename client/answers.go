package client

import (
	"bytes"
	"maps"
	"slices"
)

// answers makes one Start, its Tokens and one End of each answer, although every
// connection that finds it unfinished begins it anew with all text so far. The
// zero value has seen none. It is not safe for concurrent use.
type answers struct {
	open  map[string]*answer
	ended []string // the last ones: what is told of them again is no news
}

// answer is one that has not ended.
type answer struct {
	start  Event
	shown  []byte // the text that the caller has
	again  []byte // the text since the answer was begun anew
	behind bool   // it was, and again has not caught up with shown
}

const endedKept = 256

// take returns what the caller shall see for a Start, Token or End. at is the
// cursor before it.
func (a *answers) take(e Event, at string) []Event {
	if slices.Contains(a.ended, e.MessageID) {
		return nil
	}
	if a.open == nil {
		a.open = map[string]*answer{}
	}
	w := a.open[e.MessageID]
	switch {
	case e.Type == Start && w == nil:
		a.open[e.MessageID] = &answer{start: e}
		return []Event{e}
	case e.Type == Start:
		w.again, w.behind = nil, true
		return nil
	case w == nil: // an answer that nobody saw begin
		return nil
	case e.Type == Token:
		return w.token(e, at)
	}
	return a.end(w, e, at)
}

func (w *answer) token(e Event, at string) []Event {
	if !w.behind {
		w.shown = append(w.shown, e.Text...)
		return []Event{e}
	}
	w.again = append(w.again, e.Text...)
	if bytes.HasPrefix(w.shown, w.again) {
		w.behind = len(w.again) < len(w.shown)
		return nil
	}
	rest, same := bytes.CutPrefix(w.again, w.shown)
	if !same {
		return w.anew(at)
	}
	w.shown, w.again, w.behind = w.again, nil, false
	e.Text, e.Data = string(rest), nil
	return []Event{e}
}

// anew replaces what the caller has by what the answer really says.
func (w *answer) anew(at string) []Event {
	w.shown, w.again, w.behind = w.again, nil, false
	start := w.start
	start.Again, start.Cursor, start.Data = true, at, nil
	if len(w.shown) == 0 {
		return []Event{start}
	}
	return []Event{start, {Type: Token, Name: string(Token), Cursor: at, MessageID: start.MessageID, Text: string(w.shown)}}
}

func (a *answers) end(w *answer, e Event, at string) []Event {
	var out []Event
	if w.behind {
		out = w.anew(at)
	}
	delete(a.open, e.MessageID)
	if a.ended = append(a.ended, e.MessageID); len(a.ended) > endedKept {
		a.ended = slices.Delete(a.ended, 0, 1)
	}
	if e.Role == "" {
		e.Role, e.Speaker = w.start.Role, w.start.Speaker
	}
	e.Text = string(w.shown)
	return append(out, e)
}

// forget drops what it has of a conversation, or everything: another history
// begins.
func (a *answers) forget(conversation string) {
	if conversation == "" {
		*a = answers{}
		return
	}
	maps.DeleteFunc(a.open, func(_ string, w *answer) bool { return w.start.Conversation == conversation })
}
