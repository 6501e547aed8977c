package api_test

import (
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// crew are the credentials of a transcript: an agent key, two operators, a
// supervisor, and the participant ann.
type crew struct{ gateway, maya, ravi, lead, ann string }

func (s *site) crew() crew {
	s.t.Helper()
	return crew{
		gateway: s.Key(tandem.Agent), ann: s.key("ann"),
		maya: s.operator("maya", "Maya", tandem.Operator), ravi: s.operator("ravi", "Ravi", tandem.Operator),
		lead: s.operator("lead", "Lea", tandem.Supervisor),
	}
}

const (
	callConversation = "/api/conversation/conv_15550100_20250912_120000"
	openCall         = `{"workflow":"support","mobile_no":"+1 555 0100","urgency":"urgent","medium":"Voice","name":"Ann"}`
)

// The life of a call and of a chat, to the byte: what a gateway brings, who takes
// it, what they say, hand on and end. Seen to fail by 200 in the place of 201, and
// by showing a participant who holds.
func TestTranscript_conversation(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	c := s.crew()
	tr := newTranscript(s)
	say := callConversation + "/messages"
	tr.ask("a gateway opens a call", "POST", "/api/conversations", c.gateway, openCall)
	tr.ask("again: it goes on", "POST", "/api/conversations", c.gateway, openCall)
	tr.ask("another call in the same second", "POST", "/api/conversations", c.gateway, `{"workflow":"support","worker_id":"worker_2","mobile_no":"15550100"}`)
	tr.ask("without a number; under the gateway's own ids", "POST", "/api/conversations", c.gateway, `{"workflow":"support","participant_id":"Ann","conversation_id":"case-7","call_id":"call_7","timestamp":"2025-09-12T14:00:00+02:00"}`)
	tr.ask("no ids from the number", "POST", "/api/conversations", c.gateway, `{"workflow":"support","mobile_no":"+1 555 0199","opaque":true,"participant_id":"bob"}`)
	tr.ask("what was said, both sides at once", "POST", say, c.gateway, `{"messages":[{"role":"user","content":"Help <me>","timestamp":"2025-09-12T14:00:05+02:00"},{"role":"assistant","content":"Yes?","sources":"faq.md","spoken":true}]}`)
	tr.ask("a message with an id of its own", "POST", say, c.gateway, `{"role":"user","content":"again","message_id":"m-1","medium":"Text"}`)
	tr.ask("the same again is answered like the first", "POST", say, c.gateway, `{"role":"user","content":"again","message_id":"m-1","medium":"Text"}`)
	tr.ask("the id for something else", "POST", say, c.gateway, `{"role":"user","content":"other","message_id":"m-1"}`)
	tr.ask("the snapshot", "GET", callConversation, c.maya, "")
	tr.ask("by the call's id", "GET", "/api/conversation/call_15550100_20250912_120000", c.maya, "")
	tr.ask("an operator who does not hold it speaks", "POST", say, c.maya, `{"content":"I am here."}`)
	tr.ask("notes need no holding", "POST", say, c.maya, `{"content":"Looks bad.","audience":"operators"}`)
	tr.ask("takeover", "POST", callConversation+"/takeover", c.maya, "")
	tr.ask("and again", "POST", callConversation+"/takeover", c.maya, "{}")
	tr.ask("a colleague cannot", "POST", callConversation+"/takeover", c.ravi, "")
	tr.ask("nor see it", "GET", callConversation, c.ravi, "")
	tr.ask("nor speak", "POST", say, c.ravi, `{"content":"me too"}`)
	tr.ask("nor force it", "POST", callConversation+"/takeover?force=true", c.ravi, "")
	tr.ask("she speaks", "POST", say, c.maya, `{"content":"I am here."}`)
	tr.ask("the agent's words become a draft", "POST", say, c.gateway, `{"content":"Please hold.","message_id":"d-1"}`)
	tr.ask("and another", "POST", say, c.gateway, `{"content":"Goodbye.","message_id":"d-2"}`)
	tr.ask("or are refused", "POST", say, c.gateway, `{"content":"Please hold.","on_held":"refuse"}`)
	tr.ask("what was heard is stored", "POST", say, c.gateway, `{"content":"One moment","spoken":true}`)
	tr.ask("a person speaks on the call", "POST", say, c.gateway, `{"role":"operator","content":"Hello, this is Maya","spoken":true,"admin_id":"maya"}`)
	tr.ask("notes and drafts in the snapshot", "GET", callConversation, c.maya, "")
	tr.ask("a draft is sent, in other words", "POST", callConversation+"/drafts/d-1/send", c.maya, `{"content":"Please stay with me."}`)
	tr.ask("not twice", "POST", callConversation+"/drafts/d-1/send", c.maya, "")
	tr.ask("a draft is dropped", "DELETE", callConversation+"/drafts/d-2", c.maya, "")
	tr.ask("what is no draft", "DELETE", callConversation+"/drafts/m-1", c.maya, "")
	tr.ask("the agent is told", "POST", callConversation+"/steer", c.maya, `{"content":"Be short."}`)
	tr.ask("typing", "POST", callConversation+"/typing", c.maya, "")
	tr.ask("no more", "POST", callConversation+"/typing", c.maya, `{"stopped":true}`)
	tr.ask("read", "POST", callConversation+"/read", c.maya, `{"message_id":"m-1"}`)
	tr.ask("what is not there", "POST", callConversation+"/read", c.maya, `{"message_id":"m-9"}`)
	tr.ask("it is more urgent", "PATCH", callConversation, c.maya, `{"urgency":"CRITICAL","name":"Ann Lee"}`)
	tr.ask("to nobody", "POST", callConversation+"/transfer", c.maya, `{"admin_id":"nobody"}`)
	tr.ask("a supervisor takes it by force", "POST", callConversation+"/takeover", c.lead, `{"force":true}`)
	tr.ask("and gives it back to those who wait", "POST", callConversation+"/release", c.lead, `{"to":"queue"}`)
	tr.ask("who has not got it cannot give it back", "POST", callConversation+"/release", c.maya, "")
	tr.ask("the list", "GET", "/api/conversations", c.ravi, "")
	tr.ask("take it and speak", "POST", say+"?takeover=true", c.ravi, `{"content":"Ravi here."}`)
	tr.ask("the call is over", "POST", callConversation+"/end", c.gateway, `{"reason":"call_ended"}`)
	tr.ask("again: it stays so", "POST", callConversation+"/end", c.gateway, "")
	tr.ask("nothing more is said", "POST", say, c.ravi, `{"content":"Hello?"}`)
	tr.ask("it is still there", "GET", callConversation, c.ravi, "")
	tr.ask("but its call is not", "GET", "/api/conversation/call_15550100_20250912_120000", c.maya, "")
	tr.ask("status ends, too", "PATCH", "/api/conversation/case-7", c.gateway, `{"status":"ended"}`)
	tr.ask("and stays", "PATCH", "/api/conversation/case-7", c.gateway, `{"urgency":"NORMAL"}`)
	tr.ask("her own conversation, as the participant sees it", "GET", "/api/conversation/case-7", c.ann, "")
	tr.golden("conversation.txt")
}

// Every refusal of the conversation API, to the byte. Seen to fail by telling a
// foreign tenant's conversation from one that is not there.
func TestTranscript_conversationErrors(t *testing.T) {
	t.Parallel()
	s := open(t, desktest.Options{Clock: atNoon})
	c := s.crew()
	foreign := s.keyFor(auth.KeyRequest{Tenant: "acme", Role: tandem.Agent, Name: "foreign"})
	elsewhere := s.keyFor(auth.KeyRequest{Role: tandem.Agent, Name: "elsewhere", Workflow: "billing"})
	revoked, info, err := s.Auth.CreateKey(t.Context(), auth.KeyRequest{Tenant: "default", Role: tandem.Operator, Name: "gone"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Auth.RevokeKey(t.Context(), "default", info.ID); err != nil {
		t.Fatal(err)
	}
	s.must(201, "POST", "/api/conversations", c.gateway, openCall)
	s.must(201, "POST", "/api/conversations", c.gateway, `{"workflow":"support","participant_id":"ann","conversation_id":"case-7"}`)
	tr := newTranscript(s)
	one := callConversation
	tr.ask("no credential", "GET", one, "", "")
	tr.ask("a bad one", "GET", one, "sk-nonsense", "")
	tr.ask("one that was taken back", "GET", one, revoked.Reveal(), "")
	tr.ask("none, for the stream", "GET", one+"/stream", "", "")
	tr.ask("a bad one, for the stream", "GET", one+"/stream", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.", "")
	tr.ask("never was", "GET", "/api/conversation/conv_1", c.maya, "")
	tr.ask("another tenant's", "GET", one, foreign, "")
	tr.ask("another workflow's", "GET", one, elsewhere, "")
	tr.ask("somebody else's", "GET", one, c.ann, "")
	tr.ask("a call that never was", "GET", "/api/conversation/call_1", c.maya, "")
	tr.ask("an id too long", "GET", "/api/conversation/"+strings.Repeat("x", 300), c.maya, "")
	tr.ask("an id with markup", "GET", "/api/conversation/%3Cb%3E%0A", c.maya, "")
	tr.ask("never was, streamed", "GET", "/api/conversation/conv_1/stream", c.maya, "")
	tr.ask("another tenant's, streamed", "GET", one+"/stream", foreign, "")
	tr.ask("somebody else's, streamed", "GET", one+"/stream", c.ann, "")
	tr.ask("a call that never was, streamed", "GET", "/api/conversation/call_1/stream", c.maya, "")
	tr.ask("a malformed query", "GET", one+"/stream?x=%zz", c.maya, "")
	tr.ask("another tenant named", "GET", one+"?tenantId=acme", c.maya, "")

	tr.ask("a participant opens none", "POST", "/api/conversations", c.ann, `{"workflow":"support","participant_id":"ann"}`)
	tr.ask("nor takes one over", "POST", "/api/conversation/case-7/takeover", c.ann, "")
	tr.ask("nor changes its urgency", "PATCH", "/api/conversation/case-7", c.ann, `{"urgency":"CRITICAL"}`)
	tr.ask("nor speaks as another", "POST", "/api/conversation/case-7/messages", c.ann, `{"content":"x","role":"assistant"}`)
	tr.ask("nor steers", "POST", "/api/conversation/case-7/steer", c.ann, `{"content":"x"}`)
	tr.ask("an agent takes nothing over", "POST", one+"/takeover", c.gateway, "")
	tr.ask("an operator speaks as nobody else", "POST", one+"/messages", c.maya, `{"content":"x","role":"user"}`)
	tr.ask("an id that is another's", "POST", "/api/conversations", c.gateway, `{"workflow":"support","participant_id":"bob","conversation_id":"case-7"}`)
	tr.ask("a call that is another's", "POST", "/api/conversations", c.gateway, `{"workflow":"support","participant_id":"bob","call_id":"call_15550100_20250912_120000"}`)
	tr.ask("nothing to release", "POST", one+"/release", c.maya, "")
	tr.ask("no agent to release it to", "POST", one+"/release", c.lead, `{"to":"agent"}`)
	tr.ask("no number of a page", "GET", "/api/conversations?limit=0", c.maya, "")
	tr.ask("search is no conversation", "GET", "/api/conversations/search?q=x", c.maya, "")
	tr.ask("nor is anything else here", "GET", one+"/export", c.maya, "")
	tr.ask("a method that is not there", "PUT", one, c.maya, "")
	tr.golden("conversation_errors.txt")
}
