package check

const (
	offsetAt     = `"2025-10-03T11:58:04+05:30"`
	saying       = `{"message_id":"msg_1","role":"user","content":"Help","timestamp":` + offsetAt + `,"sources":""`
	fullSaying   = saying + `,"message_type":"File","name":"Ann","medium":"Text","audience":"operators","spoken":true,"held":true,"finish_reason":"interrupted","data":{"url":"/a"}}`
	wholeFields  = `"conversation_id":"conv_1","call_id":"call_1","worker_id":"ann","mobile_no":"+1","urgency":"CRITICAL","status":"ACTIVE","medium":"Voice","timestamp":` + offsetAt + `,"messages":[` + saying + `}],"total_messages":1`
	wholeMore    = `,"ended_at":` + offsetAt + `,"notes":[` + saying + `}],"drafts":[` + saying + `}]`
	optionalMore = "ended_at notes drafts"
)

// conversationExamples has the schemas of the conversation API.
var conversationExamples = map[string]example{
	"Conversation": {
		optional: "queue_place end_reason returns_at unanswered last_message last_role last_at unread",
		right: []string{
			conversation,
			conversation[:len(conversation)-1] + `,"end_reason":"idle","returns_at":` + offsetAt + `,"unanswered":true,"last_message":"Help","last_role":"user","last_at":` + offsetAt + `,"unread":2}`,
		},
		wrong: []string{`{"conversation_id":"conv_1"}`},
	},
	"FeedState": {
		optional: "queue_place end_reason returns_at unanswered last_message last_role last_at unread",
		right:    []string{conversation[:len(conversation)-1] + `,"thread_id":` + thread + `,"event_id":"evt_1"}`},
		wrong:    []string{conversation, `{"thread_id":` + thread + `,"event_id":"evt_1"}`},
	},
	"FeedConnected": {
		right: []string{`{"message":"Connected to the feed","workflowId":"default:support","workflowType":"support","tenantId":"default","timestamp":` + at + `}`},
		wrong: []string{`{}`},
	},
	"FeedMessage": {
		optional: "audience",
		right: []string{
			`{` + message + `"direction":"Incoming","messageType":"Chat","text":"Hello","data":null,"controlEpoch":0}`,
			`{` + message + `"direction":"Outgoing","messageType":"Chat","text":"Be short","data":null,"controlEpoch":2,"audience":"agent"}`,
		},
		wrong: []string{
			`{` + message + `"direction":"Incoming","messageType":"Chat","text":"Hello","data":null}`,
			`{"controlEpoch":0}`,
			`{` + message + `"direction":"Outgoing","messageType":"Chat","text":"psst","data":null,"controlEpoch":2,"audience":"operators"}`,
		},
	},
	"ConversationMessage": {
		optional: "message_type name medium audience spoken held finish_reason data", right: []string{fullSaying},
		wrong: []string{saying + `,"finish_reason":"stop"}`, saying + `,"audience":"everyone"}`, saying + `,"spoken":false}`},
	},
	"ConversationInitial":  {optional: optionalMore, right: []string{`{` + wholeFields + wholeMore + `}`}, wrong: []string{`{` + wholeFields + `,"admin_id":null}`}},
	"ConversationFull":     {optional: optionalMore, right: []string{`{` + wholeFields + `,"admin_id":"maya"` + wholeMore + `}`}, wrong: []string{`{` + wholeFields + `}`}},
	"ConversationSnapshot": {right: []string{`{"success":true,"conversation":{` + wholeFields + `,"admin_id":null}}`}, wrong: []string{`{"success":false,"conversation":{` + wholeFields + `,"admin_id":null}}`}},
	"ConversationReply":    {right: []string{`{"success":true,"conversation":` + conversation + `}`}, wrong: []string{`{"success":true,"conversation":null}`}},
	"NewMessages":          {right: []string{`{"conversation_id":"conv_1","messages":[` + saying + `}],"total_messages":4}`}, wrong: []string{`{"conversation_id":"conv_1","messages":[],"total_messages":4}`}},
	"OneMessage":           {right: []string{`{"conversation_id":"conv_1","message":` + fullSaying + `}`}, wrong: []string{`{"conversation_id":"conv_1","message":null}`}},
	"DraftGone":            {optional: "sent", right: []string{`{"message_id":"msg_1","conversation_id":"conv_1","sent":"msg_2"}`}, wrong: []string{`{"message_id":"msg_1","conversation_id":"conv_1","sent":""}`}},
	"ConversationHeartbeat": {
		right: []string{`{"timestamp":` + offsetAt + `,"status":"connected"}`}, wrong: []string{`{"timestamp":` + offsetAt + `,"status":"ok"}`},
	},
	"ConversationEnded": {right: []string{`{"message":"Call has ended","conversation_id":"conv_1"}`}, wrong: []string{`{"message":"Over","conversation_id":"conv_1"}`}},
	"ConversationError": {optional: "conversation_id", right: []string{`{"error":"No","conversation_id":"conv_1"}`}, wrong: []string{`{"error":""}`}},
	"ConversationGap":   {right: []string{`{"from":1,"to":2,"conversation_id":"conv_1"}`}, wrong: []string{`{"from":0,"to":2,"conversation_id":"conv_1"}`}},
	"ConversationReset": {right: []string{`{"conversation_id":"conv_1"}`}, wrong: []string{`{"conversation_id":""}`}},
	"TypingNotice": {
		optional: "stopped", right: []string{`{"conversation_id":"conv_1","role":"user","name":null,"stopped":true,"timestamp":` + offsetAt + `}`},
		wrong: []string{`{"conversation_id":"conv_1","role":"user","name":null,"stopped":false,"timestamp":` + offsetAt + `}`},
	},
	"ReadNotice": {
		optional: "delivered", right: []string{`{"conversation_id":"conv_1","message_id":"msg_1","role":"operator","name":"Maya","delivered":true,"timestamp":` + offsetAt + `}`},
		wrong: []string{`{"conversation_id":"conv_1","message_id":"","role":"operator","name":"Maya","timestamp":` + offsetAt + `}`},
	},
	"PresenceNotice": {
		right: []string{`{"conversation_id":"conv_1","watching":[{"role":"operator","name":"Maya","admin_id":"maya"}],"timestamp":` + offsetAt + `}`},
		wrong: []string{`{"conversation_id":"conv_1","watching":null,"timestamp":` + offsetAt + `}`},
	},
	"ConversationStreamStart": {
		optional: "name inReplyTo",
		right:    []string{`{"type":"stream-start","messageId":"msg_1","timestamp":` + at + `,"role":"assistant","name":"bot","inReplyTo":"msg_0","conversation_id":"conv_1"}`},
		wrong:    []string{`{"type":"stream-end","messageId":"msg_1","timestamp":` + at + `,"role":"assistant","conversation_id":"conv_1"}`},
	},
	"ConversationStreamToken": {
		right: []string{`{"type":"stream-token","messageId":"msg_1","token":"a","timestamp":` + at + `,"conversation_id":"conv_1"}`},
		wrong: []string{`{"type":"stream-token","messageId":"msg_1","token":"","timestamp":` + at + `,"conversation_id":"conv_1"}`},
	},
	"ConversationStreamEnd": {
		optional: "name sources",
		right:    []string{`{"type":"stream-end","messageId":"msg_1","timestamp":` + at + `,"finishReason":"interrupted","role":"assistant","name":"bot","sources":"x","conversation_id":"conv_1"}`},
		wrong:    []string{`{"type":"stream-end","messageId":"msg_1","timestamp":` + at + `,"finishReason":"over","role":"assistant","conversation_id":"conv_1"}`},
	},

	"BoardSnapshot": {right: []string{`{"conversations":[` + conversation + `],"cursor":"b1-aaaaaaaa"}`, `{"conversations":[],"cursor":"b0-aaaaaaaa"}`}, wrong: []string{`{"conversations":null,"cursor":"b1-aaaaaaaa"}`}},
	"BoardUpsert":   {right: []string{`{"conversation":` + conversation + `}`}, wrong: []string{`{"conversation":{}}`}},
	"BoardRemoved":  {right: []string{`{"conversation_id":"conv_1"}`}, wrong: []string{`{"conversation_id":""}`}},
	"BoardHint": {
		optional: "last_message last_role last_at", right: []string{`{"conversation_id":"conv_1","last_message":"Help","last_role":"user","last_at":` + offsetAt + `,"unread":2}`},
		wrong: []string{`{"conversation_id":"conv_1","unread":-1}`},
	},

	"OpenConversation": {
		optional: "participant_id worker_id mobile_no conversation_id call_id urgency medium timestamp name opaque",
		right:    []string{`{"workflow":"support","participant_id":"ann","worker_id":"ann","mobile_no":"+1","conversation_id":"c","call_id":"call_1","urgency":"URGENT","medium":"Voice","timestamp":` + offsetAt + `,"name":"Ann","opaque":true}`},
		wrong:    []string{`{"workflow":""}`},
	},
	"ChangeConversation": {
		optional: "urgency status medium name call_id mobile_no",
		right:    []string{`{"urgency":"URGENT","status":"ENDED","medium":"Text","name":"Ann","call_id":"call_1","mobile_no":"+1"}`}, wrong: []string{`{"status":"OVER"}`},
	},
	"Saying": {
		optional: "role audience sources timestamp message_id medium spoken answer admin_id request_id",
		right:    []string{`{"content":"x","role":"user","audience":"operators","sources":"s","timestamp":` + offsetAt + `,"message_id":"m","medium":"Text","spoken":true,"answer":false,"admin_id":"a","request_id":"r"}`},
		wrong:    []string{`{"content":"x","role":"admin"}`},
	},
	"Say": {
		optional: "content messages control_epoch on_held",
		right:    []string{`{"content":"x","control_epoch":3,"on_held":"refuse"}`, `{"messages":[{"content":"x"},{"content":"y"}]}`},
		wrong:    []string{`{"messages":[]}`, `{"on_held":"wait"}`},
	},
	"SaidReply":     {right: []string{`{"success":true,"messages":[` + saying + `}]}`}, wrong: []string{`{"success":true,"messages":[]}`}},
	"Takeover":      {optional: "force", right: []string{`{"force":true}`, `{}`}, wrong: []string{`{"force":"yes"}`}},
	"Release":       {optional: "to", right: []string{`{"to":"queue"}`, `{}`}, wrong: []string{`{"to":"maya"}`}},
	"Transfer":      {right: []string{`{"admin_id":"ravi"}`}, wrong: []string{`{"admin_id":""}`}},
	"End":           {optional: "reason", right: []string{`{"reason":"call_ended"}`, `{}`}, wrong: []string{`{"reason":7}`}},
	"TypingRequest": {optional: "stopped", right: []string{`{"stopped":true}`, `{}`}, wrong: []string{`{"stopped":"no"}`}},
	"ReadRequest":   {optional: "delivered", right: []string{`{"message_id":"msg_1","delivered":true}`}, wrong: []string{`{"message_id":""}`}},
	"Steer":         {right: []string{`{"content":"Be short."}`}, wrong: []string{`{"content":""}`}},
	"SteeredReply":  {right: []string{`{"success":true,"message":` + fullSaying + `}`}, wrong: []string{`{"success":true,"message":[]}`}},
	"SendDraft":     {optional: "content", right: []string{`{"content":"x"}`, `{}`}, wrong: []string{`{"content":1}`}},
	"DetailHeld":    {optional: "control_epoch", right: []string{`{"detail":"Held","control_epoch":4}`}, wrong: []string{`{"detail":"","control_epoch":4}`}},
}
