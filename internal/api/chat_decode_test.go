package api

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	tandem "github.com/seed4677ff1f/tandem"
)

func TestChatDecode_readsEachFrame(t *testing.T) {
	for frame, want := range map[string]chatIn{
		`{"type":"chat","content":" hi\n","timestamp":"t","clientMessageId":"c"}`:        {Type: "chat", Content: "hi", Timestamp: "t", ClientID: "c"},
		`{"type":"chat","message":"hi"}`:                                                 {Type: "chat", Content: "hi"},
		`{"type":"chat","content":"a","message":"b"}`:                                    {Type: "chat", Content: "a"},
		`{"type":"chat","content":"a","message":7}`:                                      {Type: "chat", Content: "a"},
		`{"type":"chat","content":"a","timestamp":1757673000}`:                           {Type: "chat", Content: "a"},
		`{"type":"chat","content":"a","clientMessageId":null}`:                           {Type: "chat", Content: "a"},
		`{"type":"chat","content":"a","Content":"b","CONTENT":"c"}`:                      {Type: "chat", Content: "a"},
		`{"type":"chat","content":"a","content":"b"}`:                                    {Type: "chat", Content: "b"}, // as JSON.parse has it
		`{"type":"chat","content":"a\u2028b\u0000"}`:                                     {Type: "chat", Content: "a\u2028b\x00"},
		`{"type":"chat","content":"\ud83d\ude42"}`:                                       {Type: "chat", Content: "🙂"},
		`{"type":"chat","content":"\ud83d"}`:                                             {Type: "chat", Content: "\uFFFD"},
		`{"type":"human-escalation","reason":"r","urgency":"urgent"}`:                    {Type: "human-escalation", Reason: "r", Urgency: "urgent"},
		`{"type":"human-escalation"}`:                                                    {Type: "human-escalation"},
		`{"type":"ping","timestamp":{}}`:                                                 {Type: "ping"},
		`{"type":"cancel","messageId":"m"}`:                                              {Type: "cancel", MessageID: "m"},
		`{"type":"typing"}`:                                                              {Type: "typing"},
		`{"type":"typing","stopped":true}`:                                               {Type: "typing", Stopped: true},
		`{"type":"typing","stopped":null}`:                                               {Type: "typing"},
		`{"type":"read","messageId":"m"}`:                                                {Type: "read", MessageID: "m"},
		`{"type":"read","messageId":"m","delivered":true}`:                               {Type: "read", MessageID: "m", Delivered: true},
		`{"type":"feedback","messageId":"m","feedbackType":"positive","comment":"good"}`: {Type: "feedback", MessageID: "m", Feedback: "positive", Comment: "good"},
		`{"type":"resume","after":"1-aaaaaaaa"}`:                                         {Type: "resume", After: "1-aaaaaaaa"},
		`{"type":"resume"}`:                                                              {Type: "resume"},
		`{"type":"auth","token":"t"}`:                                                    {Type: "auth", Token: "t"},
		" \n{\"type\":\"ping\"}\t ":                                                      {Type: "ping"},
	} {
		if got, err := decodeChat([]byte(frame)); err != nil || got != want {
			t.Errorf("%s\n got %+v, %v\nwant %+v", frame, got, err, want)
		}
	}
}

// Every field with every wrong type, and everything that is no frame.
func TestChatDecode_refusesWrongOnes(t *testing.T) {
	for _, frame := range []string{
		``, ` `, `x`, `null`, `true`, `7`, `"chat"`, `[]`, `[{"type":"ping"}]`, `{`, `{"type":"ping"`, `{"type":"ping"}{}`, `{"type":"ping"},`,
		"\ufeff" + `{"type":"ping"}`, `{'type':'ping'}`, `{"type":"chat","content":"` + "\n" + `"}`, strings.Repeat("[", 60<<10), strings.Repeat(`{"a":`, 12<<10),
	} {
		if _, err := decodeChat([]byte(frame)); err != errChatFormat {
			t.Errorf("%.40q: %v", frame, err)
		}
	}
	for _, frame := range []string{
		`{}`, `{"type":null}`, `{"type":7}`, `{"type":{}}`, `{"type":["chat"]}`, `{"type":""}`, `{"type":"Chat"}`, `{"type":"chat "}`, `{"Type":"chat"}`,
		`{"type":"connection"}`, `{"type":"stream-end","messageId":"m"}`,
	} {
		if _, err := decodeChat([]byte(frame)); err != errChatType {
			t.Errorf("%s: %v", frame, err)
		}
	}
	for _, value := range []string{`7`, `true`, `{}`, `[]`, `["x"]`, `null`, `1e400`} {
		for _, frame := range []string{`{"type":"chat","content":` + value + `}`, `{"type":"chat","message":` + value + `}`, `{"type":"chat","content":` + value + `,"message":"x"}`} {
			if _, err := decodeChat([]byte(frame)); err != errChatContent {
				t.Errorf("%s: %v", frame, err)
			}
		}
		if value == `null` {
			continue
		}
		for field, frame := range map[string]string{
			"clientMessageId": `{"type":"chat","content":"x","clientMessageId":`,
			"reason":          `{"type":"human-escalation","reason":`,
			"urgency":         `{"type":"human-escalation","urgency":`,
			"messageId":       `{"type":"cancel","messageId":`,
			"feedbackType":    `{"type":"feedback","messageId":"m","feedbackType":`,
			"comment":         `{"type":"feedback","messageId":"m","feedbackType":"positive","comment":`,
			"after":           `{"type":"resume","after":`,
			"token":           `{"type":"auth","token":`,
		} {
			_, err := decodeChat([]byte(frame + value + `}`))
			if tandem.KindOf(err) != tandem.Invalid || err == nil || err.Error() != field+" must be a string" {
				t.Errorf("%s%s}: %v", frame, value, err)
			}
		}
	}
	for _, value := range []string{`7`, `"true"`, `{}`, `[]`} {
		for field, frame := range map[string]string{"stopped": `{"type":"typing","stopped":`, "delivered": `{"type":"read","messageId":"m","delivered":`} {
			_, err := decodeChat([]byte(frame + value + `}`))
			if tandem.KindOf(err) != tandem.Invalid || err == nil || err.Error() != field+" must be true or false" {
				t.Errorf("%s%s}: %v", frame, value, err)
			}
		}
	}
	if _, err := decodeChat([]byte(`{"type":"chat"}`)); err != errChatContent {
		t.Error(err)
	}
	for _, content := range []string{``, ` `, `\n\t\r `, `\u00a0\u3000`} {
		if _, err := decodeChat([]byte(`{"type":"chat","content":"` + content + `"}`)); err != errChatEmpty {
			t.Errorf("%q: %v", content, err)
		}
	}
	for _, frame := range []string{`{"type":"cancel"}`, `{"type":"read"}`, `{"type":"feedback","feedbackType":"positive"}`, `{"type":"feedback","messageId":"m"}`, `{"type":"auth"}`, `{"type":"auth","token":""}`} {
		if _, err := decodeChat([]byte(frame)); err == nil || !strings.HasSuffix(err.Error(), "is required") {
			t.Errorf("%s: %v", frame, err)
		}
	}
	// Deep, but JSON: what nobody knows is left out of account.
	deep := `{"type":"ping","x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`
	if in, err := decodeChat([]byte(deep)); err != nil || in.Type != chatPing {
		t.Error(err)
	}
}

func FuzzChatDecode(f *testing.F) {
	for _, seed := range []string{
		`{"type":"chat","content":"hi","clientMessageId":"c-1","timestamp":"2025-09-12T10:30:00.000Z"}`, `{"type":"chat","message":"\ud83d"}`,
		`{"type":"human-escalation","reason":"r","urgency":"URGENT"}`, `{"type":"feedback","messageId":"m","feedbackType":"negative","comment":null}`,
		`{"type":"resume","after":"0-aaaaaaaa"}`, `{"type":"auth","token":"a.b.c"}`, `{"type":"cancel","messageId":"m"}`, `{"type":"ping"}`, `null`, `[[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		in, err := decodeChat(frame)
		var object map[string]any
		isObject := json.Unmarshal(frame, &object) == nil && object != nil
		if (err == errChatFormat) == isObject {
			t.Fatalf("an object is %v, but %v", isObject, err)
		}
		if err != nil {
			refused, invalid := (*chatRefusal)(nil), (*tandem.Error)(nil)
			if !errors.As(err, &refused) && !(errors.As(err, &invalid) && invalid.Kind == tandem.Invalid) {
				t.Fatalf("an error that no client may see: %v", err)
			}
			return
		}
		for _, s := range []string{in.Content, in.ClientID, in.Timestamp, in.Reason, in.Urgency, in.MessageID, in.Feedback, in.Comment, in.After, in.Token} {
			if !utf8.ValidString(s) {
				t.Fatalf("%q is not UTF-8", s)
			}
		}
		if in.Type == chatSays && (in.Content == "" || in.Content != strings.TrimSpace(in.Content)) {
			t.Fatalf("content %q", in.Content)
		}
		if again, err := decodeChat(frame); again != in || err != nil {
			t.Fatal("not the same twice")
		}
	})
}
