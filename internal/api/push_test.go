package api_test

import (
	"testing"

	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// outboundPath is where agents push.
const outboundPath = "/api/agent/conversation/outbound/"

// annsConversation is the id of ann's ACTIVE conversation.
func (s *site) annsConversation() string {
	s.t.Helper()
	t, err := s.Store.Thread(s.t.Context(), desktest.Address("ann"))
	if err != nil || t.Control.Conversation == "" {
		s.t.Fatal("ann has no conversation", err)
	}
	return "/api/conversation/" + t.Control.Conversation
}

// What an engine pushes while a colleague holds the conversation, and after, to
// the byte. Seen to fail by a 409 without controlEpoch, and by delivered for a
// draft.
func TestTranscript_pushesAreFenced(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	c := s.crew()
	tr := newTranscript(s)
	const to = `"workflow":"support","participantId":"ann"`
	ask := func(question string) {
		s.must(200, "POST", "/api/user/rest/send?"+annsThread+"&type=Chat&text=help&requestId="+question, c.ann, "")
	}
	ask("q-1")
	tr.ask("before anybody holds", "POST", outboundPath+"chat", c.gateway, `{`+to+`,"text":"one","controlEpoch":0}`)
	s.must(200, "POST", s.annsConversation()+"/takeover", c.maya, "")
	tr.ask("while a colleague holds: a draft", "POST", outboundPath+"chat", c.gateway, `{`+to+`,"text":"two","controlEpoch":1}`, "Idempotency-Key", "k-2")
	tr.ask("again: the same draft", "POST", outboundPath+"chat", c.gateway, `{`+to+`,"text":"two","controlEpoch":1}`, "Idempotency-Key", "k-2")
	tr.ask("or refused", "POST", outboundPath+"chat", c.gateway, `{`+to+`,"text":"three","onHeld":"refuse"}`)
	tr.ask("what it thinks is speech too", "POST", outboundPath+"reasoning", c.gateway, `{`+to+`,"text":"hm"}`)
	tr.ask("so is what it does", "POST", outboundPath+"tool", c.gateway, `{`+to+`,"data":{"name":"lookup"},"onHeld":"refuse"}`)
	tr.ask("and a file", "POST", outboundPath+"file", c.gateway, `{`+to+`,"data":{"url":"/r.pdf"}}`)
	tr.ask("data are a signal", "POST", outboundPath+"data", c.gateway, `{`+to+`,"data":{"eta":5},"onHeld":"refuse","controlEpoch":99}`)
	tr.ask("what was heard already is stored", "POST", outboundPath+"chat", c.gateway, `{`+to+`,"text":"as I said","spoken":true,"onHeld":"refuse"}`)
	s.must(200, "POST", s.annsConversation()+"/release", c.maya, `{"to":"queue"}`)
	tr.ask("after the release: the answer to what was asked before", "POST", outboundPath+"chat", c.gateway, `{`+to+`,"text":"late","requestId":"q-1"}`)
	tr.ask("an epoch that has passed, as a question spells it", "POST", outboundPath+"chat", c.gateway, `{`+to+`,"text":"stale","control_epoch":1,"onHeld":"refuse"}`)
	ask("q-2")
	tr.ask("the answer to what was asked since", "POST", outboundPath+"chat", c.gateway, `{`+to+`,"text":"fresh","requestId":"q-2","controlEpoch":2}`)
	tr.ask("without an epoch or a question", "POST", outboundPath+"chat", c.gateway, `{`+to+`,"text":"news","controlEpoch":null,"onHeld":""}`)
	tr.ask("what the participant has", "GET", "/api/user/rest/history?"+annsThread, c.ann, "")
	tr.golden("push_fenced.txt")
}

// A server may refuse by itself; whoever asks for a draft gets one.
func TestPush_isRefusedWhereTheRulesSaySo(t *testing.T) {
	t.Parallel()
	rules := desk.DefaultRules()
	rules.RefuseWhileHeld = true
	s := open(t, desktest.Options{Rules: &rules})
	c := s.crew()
	s.send(c.ann, "ann", "Chat", "help", "")
	s.must(200, "POST", s.annsConversation()+"/takeover", c.maya, "")
	body := s.must(409, "POST", outboundPath+"chat", c.gateway, `{"workflow":"support","participantId":"ann","text":"x"}`)
	if want := `{"error":"Held","message":"Somebody else may speak in this conversation now.","controlEpoch":1}`; body != want {
		t.Errorf("got %s", body)
	}
	res, _ := s.ask("POST", outboundPath+"chat", c.gateway, `{"workflow":"support","participantId":"ann","text":"x","onHeld":"draft"}`)
	if got := res.Header.Get("Tandem-Delivery"); res.StatusCode != 200 || got != "draft" {
		t.Errorf("asked for a draft: %d %q", res.StatusCode, got)
	}
}
