package desk

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	tandem "github.com/seed4677ff1f/tandem"
)

// checkPost refuses what must not be stored, and fills in what was left out.
func (d *Desk) checkPost(in *Post) error {
	if in.Type != tandem.Chat && in.Type != tandem.Data {
		return tandem.Errorf(tandem.Invalid, "Invalid message type specified.")
	}
	for _, l := range []struct{ what, value string }{
		{"requestId", in.RequestID},
		{"scope", in.Scope},
		{"hint", in.Hint},
		{"clientMessageId", in.ClientID},
		{"Idempotency-Key", in.Key},
		{"medium", in.Medium},
	} {
		if err := tandem.ValidLabel(l.what, l.value); err != nil {
			return err
		}
	}
	if len(in.ClientTime) > 64 || tandem.ValidLabel("timestamp", in.ClientTime) != nil {
		in.ClientTime = "" // a note only; never a reason to refuse a message
	}
	if err := d.CheckText(in.Text); err != nil {
		return err
	}
	data, err := d.checkData(in.Data)
	if err != nil {
		return err
	}
	in.Data = data
	if in.Type == tandem.Chat && strings.TrimSpace(in.Text) == "" {
		return tandem.Errorf(tandem.Invalid, "Message content cannot be empty")
	}
	if in.Type == tandem.Data && in.Data == nil && in.Text == "" {
		return tandem.Errorf(tandem.Invalid, "Data is required.")
	}
	if in.ID == "" {
		in.ID = d.NewMessageID()
	}
	return nil
}

// CheckText refuses a person's text that is too long or not UTF-8.
func (d *Desk) CheckText(text string) error {
	if !utf8.ValidString(text) {
		return tandem.Errorf(tandem.Invalid, "Message content must be valid UTF-8")
	}
	if n := d.limits.Text; n > 0 && utf8.RuneCountInString(text) > n {
		return tandem.Errorf(tandem.Invalid, "Message content cannot exceed %d characters", n)
	}
	return nil
}

// checkContent refuses a text that is empty, not UTF-8, or too long for who says
// it: a person, or a program.
func (d *Desk) checkContent(text string, person bool) error {
	if strings.TrimSpace(text) == "" {
		return tandem.Errorf(tandem.Invalid, "Message content cannot be empty")
	}
	if person {
		return d.CheckText(text)
	}
	if !utf8.ValidString(text) {
		return tandem.Errorf(tandem.Invalid, "Message content must be valid UTF-8")
	}
	if n := d.limits.Answer; n > 0 && len(text) > n {
		return tandem.Errorf(tandem.TooLarge, "Message content cannot exceed %d bytes", n)
	}
	return nil
}

// checkData returns the JSON without its white space; nil for none and for null.
func (d *Desk) checkData(data json.RawMessage) (json.RawMessage, error) {
	if len(bytes.TrimSpace(data)) == 0 || string(bytes.TrimSpace(data)) == "null" {
		return nil, nil
	}
	if !utf8.Valid(data) {
		return nil, tandem.Errorf(tandem.Invalid, "data is not valid UTF-8")
	}
	var out bytes.Buffer
	if err := json.Compact(&out, data); err != nil {
		return nil, tandem.Errorf(tandem.Invalid, "data is not valid JSON")
	}
	if n := d.limits.Depth; n > 0 && depth(out.Bytes()) > n {
		return nil, tandem.Errorf(tandem.Invalid, "data cannot be nested deeper than %d levels", n)
	}
	return out.Bytes(), nil
}

// depth is the nesting of valid JSON.
func depth(b []byte) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

func typeLabel(t tandem.MessageType) string { return strings.ToLower(string(t)) }
