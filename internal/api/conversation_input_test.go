package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// As of the other faces: what is wrong is refused with the status that says why,
// in this face's form, and nothing of it is stored. Seen to fail by taking a
// number as content, and by opening a conversation with half of its fields.
func TestConversationInput_isRefusedAndNothingIsStored(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, maya := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator)
	bound := s.keyFor(auth.KeyRequest{Role: tandem.Agent, Name: "bound", Workflow: "billing"})
	one := s.opened(gateway)
	s.says(gateway, one, "the only one")
	s.must(200, "POST", one+"/takeover", maya, "")
	before := s.head(desktest.Address("ann"))
	rows := s.must(200, "GET", "/api/conversations", gateway, "")

	for _, c := range slices.Concat(badOpens(gateway, bound), badSayings(gateway, maya, one), badChanges(maya, one)) {
		res, body := s.ask(c.method, c.path, c.key, c.body)
		if res.StatusCode != c.status || !strings.HasPrefix(body, `{"detail":"`) {
			t.Errorf("%s: %d, want %d: %s", c.name, res.StatusCode, c.status, body)
		}
		if len(body) > 400 {
			t.Errorf("%s: %d bytes are answered", c.name, len(body))
		}
	}
	if got := s.head(desktest.Address("ann")); got != before {
		t.Error("something was stored")
	}
	if got := s.must(200, "GET", "/api/conversations", gateway, ""); got != rows {
		t.Errorf("the list was\n%s and is\n%s", rows, got)
	}
}

func badOpens(gateway, bound string) []badInput {
	long := strings.Repeat("x", 257)
	with := func(more string) string { return `{"workflow":"support","participant_id":"bob",` + more + `}` }
	all := []badInput{
		{"open: nothing", "POST", "/api/conversations", gateway, "", 400},
		{"open: a list", "POST", "/api/conversations", gateway, "[]", 400},
		{"open: half of it", "POST", "/api/conversations", gateway, `{"workflow":"support"`, 400},
		{"open: two", "POST", "/api/conversations", gateway, with(`"name":"Bob"`) + "{}", 400},
		{"open: invalid UTF-8", "POST", "/api/conversations", gateway, with("\"name\":\"\xff\""), 400},
		{"open: no workflow", "POST", "/api/conversations", gateway, `{"participant_id":"bob"}`, 400},
		{"open: nobody", "POST", "/api/conversations", gateway, `{"workflow":"support"}`, 400},
		{"open: a reserved workflow", "POST", "/api/conversations", gateway, `{"workflow":"$sessions","participant_id":"bob"}`, 400},
		{"open: another workflow than the key's", "POST", "/api/conversations", bound, with(`"name":"Bob"`), 403},
		{"open: no number of a telephone", "POST", "/api/conversations", gateway, `{"workflow":"support","mobile_no":"call me"}`, 400},
		{"open: a number of 21 digits", "POST", "/api/conversations", gateway, `{"workflow":"support","mobile_no":"123456789012345678901"}`, 400},
		{"open: an id of a call", "POST", "/api/conversations", gateway, with(`"conversation_id":"call_7"`), 400},
		{"open: a call of a conversation", "POST", "/api/conversations", gateway, with(`"call_id":"conv_7"`), 400},
		{"open: a local time", "POST", "/api/conversations", gateway, with(`"timestamp":"2025-10-03T11:58:04"`), 400},
		{"open: no time", "POST", "/api/conversations", gateway, with(`"timestamp":"yesterday"`), 400},
		{"open: a time that there is not", "POST", "/api/conversations", gateway, with(`"timestamp":"2025-02-30T11:58:04Z"`), 400},
		{"open: an urgency that there is not", "POST", "/api/conversations", gateway, with(`"urgency":"HIGH"`), 400},
		{"open: too large", "POST", "/api/conversations", gateway, with(`"name":"` + strings.Repeat("x", 1<<20) + `"`), 413},
	}
	for _, field := range []string{"conversation_id", "call_id", "medium", "name", "mobile_no"} {
		prefix := map[string]string{"call_id": "call_"}[field]
		for what, value := range map[string]string{
			"too long": `"` + prefix + long[len(prefix):] + `"`, "with a line end": `"` + prefix + `a\nb"`, "a number": "7", "an object": "{}",
		} {
			all = append(all, badInput{"open: " + field + " " + what, "POST", "/api/conversations", gateway, with(fmt.Sprintf("%q:%s", field, value)), 400})
		}
	}
	for _, field := range []string{"workflow", "participant_id", "worker_id", "timestamp", "urgency"} {
		all = append(all, badInput{"open: " + field + " a number", "POST", "/api/conversations", gateway, `{"workflow":"support","participant_id":"bob",` + fmt.Sprintf("%q:7}", field), 400})
	}
	return append(all, badInput{"open: opaque a string", "POST", "/api/conversations", gateway, with(`"opaque":"yes"`), 400})
}

func badSayings(gateway, maya, one string) []badInput {
	long := strings.Repeat("x", 257)
	say := one + "/messages"
	batch := func(n int) string {
		return `{"messages":[` + strings.TrimSuffix(strings.Repeat(`{"content":"x"},`, n), ",") + `]}`
	}
	all := []badInput{
		{"say: nothing", "POST", say, gateway, "", 400},
		{"say: null", "POST", say, gateway, "null", 400},
		{"say: a list", "POST", say, gateway, `[{"content":"x"}]`, 400},
		{"say: no content", "POST", say, gateway, `{"role":"user"}`, 400},
		{"say: empty content", "POST", say, gateway, `{"content":""}`, 400},
		{"say: only white space", "POST", say, gateway, `{"content":" \n\t"}`, 400},
		{"say: null content", "POST", say, gateway, `{"content":null}`, 400},
		{"say: a user's text too long", "POST", say, gateway, `{"role":"user","content":"` + strings.Repeat("ü", 8001) + `"}`, 400},
		{"say: an operator's text too long", "POST", say, maya, `{"content":"` + strings.Repeat("ü", 8001) + `"}`, 400},
		{"say: an agent's text too long", "POST", say, gateway, `{"content":"` + strings.Repeat("x", 256<<10+1) + `"}`, 413},
		{"say: a role that there is not", "POST", say, gateway, `{"content":"x","role":"admin"}`, 400},
		{"say: an audience that there is not", "POST", say, gateway, `{"content":"x","audience":"nobody"}`, 400},
		{"say: a user's note", "POST", say, gateway, `{"content":"x","role":"user","audience":"operators"}`, 403},
		{"say: a note that was heard", "POST", say, gateway, `{"content":"x","audience":"operators","spoken":true}`, 403},
		{"say: an answer to an answer", "POST", say, gateway, `{"content":"x","answer":true}`, 400},
		{"say: two to be answered", "POST", say, gateway, `{"messages":[{"content":"x","role":"user","answer":true},{"content":"y","role":"user","answer":true}]}`, 400},
		{"say: both ways", "POST", say, gateway, `{"content":"x","messages":[{"content":"y"}]}`, 400},
		{"say: no messages", "POST", say, gateway, `{"messages":[]}`, 400},
		{"say: 101 messages", "POST", say, gateway, batch(101), 400},
		{"say: messages an object", "POST", say, gateway, `{"messages":{}}`, 400},
		{"say: one of them bad", "POST", say, gateway, `{"messages":[{"content":"x","spoken":true},{"content":""}]}`, 400},
		{"say: one of them null", "POST", say, gateway, `{"messages":[null]}`, 400},
		{"say: on_held what there is not", "POST", say, gateway, `{"content":"x","on_held":"wait"}`, 400},
		{"say: control_epoch a string", "POST", say, gateway, `{"content":"x","control_epoch":"1"}`, 400},
		{"say: control_epoch half", "POST", say, gateway, `{"content":"x","control_epoch":1.5}`, 400},
		{"say: a local time", "POST", say, gateway, `{"content":"x","timestamp":"2025-10-03 11:58:04"}`, 400},
		{"say: whose it is, of the agent's words", "POST", say, gateway, `{"content":"x","admin_id":"maya"}`, 400},
		{"say: in a colleague's name", "POST", say, maya, `{"content":"x","admin_id":"ravi"}`, 400},
		{"say: takeover maybe", "POST", say + "?takeover=maybe", maya, `{"content":"x"}`, 400},
		{"say: an agent takes over", "POST", say + "?takeover=true", gateway, `{"content":"x"}`, 403},
		{"say: sources too long", "POST", say, gateway, `{"content":"x","sources":"` + strings.Repeat("x", 256<<10+1) + `"}`, 400},
		{"say: bottomless", "POST", say, gateway, strings.Repeat("[", 200_000), 400},
		{"steer: no content", "POST", one + "/steer", maya, `{}`, 400},
		{"steer: white space", "POST", one + "/steer", maya, `{"content":"  "}`, 400},
		{"steer: too long", "POST", one + "/steer", maya, `{"content":"` + strings.Repeat("ü", 8001) + `"}`, 400},
		{"draft: none of this name", "POST", one + "/drafts/nothing/send", maya, "", 404},
		{"draft: content a number", "POST", one + "/drafts/nothing/send", maya, `{"content":7}`, 400},
	}
	for _, field := range []string{"message_id", "medium", "request_id"} {
		for what, value := range map[string]string{"too long": `"` + long + `"`, "with a line end": `"a\rb"`, "a number": "7", "a list": "[]"} {
			all = append(all, badInput{"say: " + field + " " + what, "POST", say, gateway, fmt.Sprintf(`{"content":"x",%q:%s}`, field, value), 400})
		}
	}
	for _, field := range []string{"content", "role", "audience", "sources", "timestamp", "admin_id", "on_held"} {
		all = append(all, badInput{"say: " + field + " an object", "POST", say, gateway, fmt.Sprintf(`{"content":"x",%q:{}}`, field), 400})
	}
	for _, field := range []string{"spoken", "answer"} {
		all = append(all, badInput{"say: " + field + " a string", "POST", say, gateway, fmt.Sprintf(`{"content":"x",%q:"true"}`, field), 400})
	}
	return all
}

func badChanges(maya, one string) []badInput {
	long := strings.Repeat("x", 257)
	all := []badInput{
		{"change: nothing", "PATCH", one, maya, "", 400},
		{"change: an urgency that there is not", "PATCH", one, maya, `{"urgency":"HIGH"}`, 400},
		{"change: no urgency", "PATCH", one, maya, `{"urgency":""}`, 400},
		{"change: a status that there is not", "PATCH", one, maya, `{"status":"ERASED"}`, 400},
		{"change: no number of a telephone", "PATCH", one, maya, `{"mobile_no":"call me"}`, 400},
		{"change: a call of a conversation", "PATCH", one, maya, `{"call_id":"conv_7"}`, 400},
		{"takeover: force a string", "POST", one + "/takeover", maya, `{"force":"yes"}`, 400},
		{"takeover: force maybe", "POST", one + "/takeover?force=1", maya, "", 400},
		{"takeover: half a body", "POST", one + "/takeover", maya, `{`, 400},
		{"release: to a colleague", "POST", one + "/release", maya, `{"to":"ravi"}`, 400},
		{"release: to a number", "POST", one + "/release", maya, `{"to":7}`, 400},
		{"transfer: to nobody", "POST", one + "/transfer", maya, `{}`, 400},
		{"transfer: nothing", "POST", one + "/transfer", maya, "", 400},
		{"transfer: to somebody unknown", "POST", one + "/transfer", maya, `{"admin_id":"nobody"}`, 404},
		{"transfer: a name too long", "POST", one + "/transfer", maya, `{"admin_id":"` + long + `"}`, 400},
		{"end: a reason too long", "POST", one + "/end", maya, `{"reason":"` + long + `"}`, 400},
		{"end: a number as reason", "POST", one + "/end", maya, `{"reason":7}`, 400},
		{"typing: stopped a string", "POST", one + "/typing", maya, `{"stopped":"no"}`, 400},
		{"read: nothing", "POST", one + "/read", maya, "", 400},
		{"read: no message", "POST", one + "/read", maya, `{}`, 400},
		{"read: a number", "POST", one + "/read", maya, `{"message_id":7}`, 400},
		{"read: delivered a string", "POST", one + "/read", maya, `{"message_id":"x","delivered":"yes"}`, 400},
		{"list: a cursor of nothing", "GET", "/api/conversations?cursor=x", maya, "", 400},
		{"list: a limit of nothing", "GET", "/api/conversations?limit=many", maya, "", 400},
	}
	for _, field := range []string{"medium", "name", "call_id", "mobile_no"} {
		for what, value := range map[string]string{"too long": `"` + long + `"`, "with a line end": `"a\nb"`, "a number": "7"} {
			all = append(all, badInput{"change: " + field + " " + what, "PATCH", one, maya, fmt.Sprintf("{%q:%s}", field, value), 400})
		}
	}
	return all
}

// What is just within the limits is taken. Seen to fail by counting bytes in the
// place of code points.
func TestConversationInput_atItsLimitsIsTaken(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{})
	gateway, maya := s.Key(tandem.Agent), s.operator("maya", "Maya", tandem.Operator)
	label := strings.Repeat("x", 256)
	s.must(201, "POST", "/api/conversations", gateway, fmt.Sprintf(`{"workflow":%q,"participant_id":%q,"conversation_id":%q,"call_id":%q,"medium":%q,"name":%q,"mobile_no":"12345678901234567890"}`,
		label, label, label, "call_"+label[5:], label, label))
	one := "/api/conversation/" + label
	s.must(201, "POST", one+"/messages", gateway, `{"role":"user","content":"`+strings.Repeat("ü", 8000)+`"}`)
	s.must(201, "POST", one+"/messages", gateway, `{"content":"`+strings.Repeat("x", 256<<10)+`"}`)
	s.must(201, "POST", one+"/messages", gateway, fmt.Sprintf(`{"content":"x","message_id":%q,"medium":%q,"request_id":%q,"sources":%q}`, label, label, label, strings.Repeat("y", 256<<10)))
	hundred := `{"messages":[` + strings.TrimSuffix(strings.Repeat(`{"content":"x"},`, 100), ",") + `]}`
	s.must(201, "POST", one+"/messages", gateway, hundred)
	s.must(200, "POST", one+"/takeover", maya, " \n")
	s.must(200, "PATCH", one, maya, fmt.Sprintf(`{"name":%q,"urgency":"critical","medium":null}`, label))
	s.must(200, "POST", one+"/read", maya, fmt.Sprintf(`{"message_id":%q}`, label))
	s.must(200, "POST", one+"/end", maya, fmt.Sprintf(`{"reason":%q}`, label))
}
