package check

// example is what a schema must take and what it must refuse. Of a right one that
// is an object, the test also makes wrong ones by itself: without each field that
// is not optional, with each field of a wrong type, and with one that nobody listed.
type example struct {
	right    []string
	wrong    []string
	optional string
}

const (
	at      = `"2024-01-15T10:30:00.123456Z"`
	thread  = `"thread_rhgdbbjd5fyi6nzqf7cyxdrm"`
	message = `"id":"msg_1","threadId":` + thread + `,"workflowId":"default:support","workflowType":"support",` +
		`"participantId":"ann","hint":null,"scope":null,"requestId":"req_1","createdAt":` + at + `,"createdBy":"support-bot","conversationId":"conv_1","role":"assistant",`
	conversation = `{"conversation_id":"conv_1","call_id":null,"worker_id":"ann","mobile_no":null,"urgency":"NORMAL","status":"ACTIVE",` +
		`"mode":"waiting","medium":"Text","admin_id":null,"timestamp":"2025-10-03T11:58:04+05:30","workflow":"support",` +
		`"reason":"a refund","waiting_since":` + at + `,"answering":null,"holder":null,"queue_place":null,"control_epoch":0,` +
		`"name":"Ann","ended_at":null}`
	user    = `{"id":"maya","username":"maya","email":"","role":"operator","name":"Maya","tenant":"default","workflows":["support"]}`
	account = `{"id":"maya","username":"maya","email":"","role":"operator","name":"Maya","tenant":"default","workflows":["support"],` +
		`"disabled":false,"createdAt":` + at + `,"disabledAt":null}`
	key = `{"id":"key_1","name":"shop","role":"agent","workflow":null,"subject":null,"rate":{"requests":600,"seconds":60},` +
		`"createdAt":` + at + `,"expiresAt":null,"revokedAt":null,"seenInBrowser":"2025-09-12"}`
	entry = `{"id":"aud_1","at":` + at + `,"action":"login","principal":"maya","role":"operator","credential":"password",` +
		`"conversation":null,"object":null,"from":"192.0.2.1"}`
)

// openapiExamples has every schema of openapi.yaml.
var openapiExamples = map[string]example{
	"Login": {
		right: []string{`{"username":"maya","email":"maya@example.org","password":"x","tenant":"default"}`},
		wrong: []string{`{"password":"x"}`, `{"username":"maya","password":""}`}, optional: "username email tenant",
	},
	"Account":     {right: []string{account}},
	"AccountRole": {right: []string{`"participant"`, `"operator"`, `"supervisor"`, `"owner"`}, wrong: []string{`"agent"`, `""`}},
	"AccountList": {right: []string{`{"success":true,"users":[` + account + `]}`, `{"success":true,"users":[]}`}},
	"Password":    {right: []string{`"12345678"`}, wrong: []string{`"1234567"`}},
	"NewAccount": {
		right: []string{`{"username":"maya","role":"operator","email":"m@example.org","name":"M","workflows":["x"],"password":"12345678"}`},
		wrong: []string{`{"username":"","role":"operator"}`}, optional: "email name workflows password",
	},
	"AccountChange": {
		right:    []string{`{}`, `{"role":"operator","email":"","name":"","workflows":[],"password":"12345678","resetPassword":false,"disabled":true}`},
		optional: "email name role workflows password resetPassword disabled",
	},
	"AccountChanged": {right: []string{`{"success":true,"user":` + account + `,"password":"12345678"}`}, optional: "password"},
	"KeyRate":        {right: []string{`{"requests":600,"seconds":0.5}`}, wrong: []string{`{"requests":0,"seconds":1}`, `{"requests":1,"seconds":0}`}},
	"Key":            {right: []string{key}},
	"KeyList":        {right: []string{`{"success":true,"keys":[` + key + `]}`}},
	"NewKey": {
		right: []string{`{"role":"agent","name":"shop","workflow":"x","subject":"","ttlSeconds":0,"rate":{"requests":1,"seconds":1}}`},
		wrong: []string{`{"role":"king"}`, `{"role":"agent","ttlSeconds":-1}`}, optional: "name workflow subject ttlSeconds rate",
	},
	"KeyMade":    {right: []string{`{"success":true,"key":` + key + `,"secret":"sk-0123456789abcdefghijABCDEFGHIJ0123456789_-x"}`}, wrong: []string{`{"success":true,"key":` + key + `,"secret":"x"}`}},
	"TenantName": {right: []string{`"acme-1"`}, wrong: []string{`"Acme"`, `""`, `"-a"`}},
	"Tenant":     {right: []string{`{"name":"acme","createdAt":` + at + `}`}},
	"TenantList": {right: []string{`{"success":true,"tenants":[{"name":"acme","createdAt":` + at + `}]}`}},
	"NewOwner":   {right: []string{`{"username":"root","email":"","name":"","password":"12345678"}`}, optional: "email name password"},
	"NewTenant":  {right: []string{`{"name":"acme","owner":{"username":"root"}}`}},
	"TenantMade": {right: []string{`{"success":true,"tenant":"acme","owner":` + account + `,"password":"12345678"}`}, optional: "password"},
	"AuditEntry": {right: []string{entry}, wrong: []string{`{}`}},
	"AuditList":  {right: []string{`{"success":true,"entries":[` + entry + `],"cursor":"7"}`, `{"success":true,"entries":[],"cursor":null}`}},
	"Conflict":   {right: []string{`{"error":"Conflict","message":"x"}`}, wrong: []string{`{"error":"Held","message":"x"}`}},
	"LinkCode":   {right: []string{`{"code":"ln-0123456789abcdef"}`}, wrong: []string{`{"code":"ln-1"}`, `{"code":"sk-0123456789abcdef"}`}},
	"User":       {right: []string{user}, wrong: []string{`{}`}},
	"Role":       {right: []string{`"participant"`, `"agent"`, `"operator"`, `"supervisor"`, `"owner"`}, wrong: []string{`"admin"`, `""`}},
	"SignedIn": {
		right: []string{`{"success":true,"token":"eyJ.e30.x","expiresAt":` + at + `,"user":` + user + `}`},
		wrong: []string{`{"success":true,"token":"","expiresAt":` + at + `,"user":` + user + `}`},
	},
	"Me": {right: []string{`{"success":true,"user":` + user + `,"expiresAt":` + at + `}`, `{"success":true,"user":` + user + `,"expiresAt":null}`}},
	"Revoke": {
		right: []string{`{"jti":"x"}`, `{"subject":"ann"}`}, wrong: []string{`{}`, `{"jti":"x","subject":"ann"}`, `{"jti":""}`}, optional: "jti subject",
	},
	"Deleted":      {right: []string{`true`}, wrong: []string{`false`, `"true"`}},
	"NoThread":     {right: []string{`{"error":"Thread not found"}`}, wrong: []string{`{}`, `{"error":"x"}`}},
	"Done":         {right: []string{`{"success":true}`}, wrong: []string{`{"success":false}`}},
	"LoginFailure": {right: []string{`{"success":false,"message":"Invalid username or password"}`}, wrong: []string{`{"success":true,"message":"x"}`}},
	"SessionMessage": {
		right: []string{`{"event":"PAYMENT","message":{"amount":1},"timestamp":` + at + `}`, `{"event":"MESSAGE","message":"hi","timestamp":` + at + `}`},
		wrong: []string{`{"event":"","message":"x","timestamp":` + at + `}`, `{"event":"X","message":[],"timestamp":` + at + `}`},
	},
	"SessionSend": {
		right: []string{`{"userId":"ann","sessionId":"s1","tenantId":"default","event":"PAYMENT","message":{}}`, `{"userId":"ann","message":"hi"}`, `{"sessionId":"s1","message":"hi"}`},
		wrong: []string{`{"message":"hi"}`, `{"userId":"ann","message":[1]}`}, optional: "userId sessionId tenantId event",
	},
	"Sent": {right: []string{`{"message":"Message sent to 2 session(s)"}`}, wrong: []string{`{"message":"Message sent to no session(s)"}`}},
	"SessionRequest": {
		right: []string{`{"userId":"ann","sessionId":"s1","tenantId":"default","ttlSeconds":60,"capability":true}`, `{"userId":"ann","ttlSeconds":null}`},
		wrong: []string{`{"userId":"ann","ttlSeconds":0}`, `{"userId":"ann","ttlSeconds":2592001}`, `{"userId":""}`}, optional: "sessionId tenantId ttlSeconds capability",
	},
	"Session":      {right: []string{`{"sessionId":"s1","userId":"ann","expiresAt":` + at + `}`}, wrong: []string{`{"sessionId":"","userId":"ann","expiresAt":` + at + `}`}},
	"SessionError": {right: []string{`{"message":"Session not found","status":"404"}`}, wrong: []string{`{"message":"x","status":404}`, `{"message":"x","status":"200"}`}},
	"AnyJSON":      {right: []string{`null`, `[1,{"a":true}]`}},
	"Text":         {right: []string{`"ok"`}, wrong: []string{`1`}},
	"EventStream":  {right: []string{`""`}, wrong: []string{`{}`}},
	"ThreadId":     {right: []string{thread}, wrong: []string{`"thread_1"`, `"thread_RHGDBBJD5FYI6NZQF7CYXDRM"`, `{"threadId":"x"}`}},
	"Timestamp": {
		right: []string{at, `"2024-01-15T10:30:00Z"`},
		wrong: []string{`"2024-01-15T10:30:00+00:00"`, `"2024-01-15 10:30:00Z"`, `1705314600`, `""`},
	},
	"OffsetTimestamp": {
		right: []string{`"2025-10-03T11:58:04+05:30"`, at},
		wrong: []string{`"2025-10-03T11:58:04"`, `"2025-10-03"`, `null`},
	},
	"Status":  {right: []string{`"ACTIVE"`, `"ENDED"`}, wrong: []string{`"active"`, `""`}},
	"Urgency": {right: []string{`"NORMAL"`, `"URGENT"`, `"CRITICAL"`}, wrong: []string{`"HIGH"`, `"critical"`}},
	"Mode":    {right: []string{`"agent"`, `"waiting"`, `"operator"`}, wrong: []string{`"AGENT"`, `"none"`}},

	"MessageRole": {right: []string{`"user"`, `"assistant"`, `"operator"`, `"system"`}, wrong: []string{`"admin"`, `"User"`}},

	"SeenTyping": {
		optional: "stopped",
		right:    []string{`{"conversationId":"conv_1","role":"operator","name":"Maya","stopped":true,"timestamp":` + at + `}`},
		wrong:    []string{`{"conversationId":"conv_1","role":"operator","name":"Maya","stopped":false,"timestamp":` + at + `}`},
	},
	"SeenRead": {
		optional: "delivered",
		right:    []string{`{"conversationId":"conv_1","messageId":"msg_1","role":"user","name":null,"delivered":true,"timestamp":` + at + `}`},
		wrong:    []string{`{"conversationId":"conv_1","messageId":"","role":"user","name":null,"timestamp":` + at + `}`},
	},
	"SeenPresence": {
		right: []string{`{"conversationId":"conv_1","watching":[{"role":"operator","name":"Maya"}],"timestamp":` + at + `}`},
		wrong: []string{`{"conversationId":"conv_1","watching":[{"name":"Maya"}],"timestamp":` + at + `}`},
	},
	"Watching": {
		optional: "admin_id",
		right:    []string{`{"role":"operator","name":"Maya","admin_id":"maya"}`, `{"role":"user","name":null}`},
		wrong:    []string{`{"role":"operator"}`},
	},

	"Message": {
		right: []string{`{` + message + `"direction":"Outgoing","messageType":"Chat","text":"Hello","data":null}`},
		wrong: []string{
			`{` + message + `"direction":"outgoing","messageType":"Chat","text":"Hello","data":null}`,
			`{` + message + `"direction":"Outgoing","messageType":"chat","text":"Hello","data":null}`,
			`[]`,
		},
	},
	"ChatMessage": {
		right: []string{`{` + message + `"direction":"Outgoing","messageType":"Chat","text":"Hello","data":{"a":1}}`},
		wrong: []string{
			`{` + message + `"direction":"Outgoing","messageType":"Data","text":"Hello","data":null}`,
			`{` + message + `"direction":"Outgoing","messageType":"Chat","text":null,"data":null}`,
			`{` + message + `"direction":"Outgoing","messageType":"Chat","text":"Hello","data":null,"body":1}`,
		},
	},
	"DataMessage": {
		right: []string{`{` + message + `"direction":"Incoming","messageType":"Data","text":null,"data":[1]}`},
		wrong: []string{`{` + message + `"direction":"Incoming","messageType":"Chat","text":null,"data":[1]}`},
	},
	"HandoffMessage": {
		right: []string{`{` + message + `"direction":"Outgoing","messageType":"Handoff","text":"Transferring","data":{"fromAgent":"bot","toAgent":"human-agent","reason":"asked","to":"person","urgency":"URGENT"}}`},
		wrong: []string{
			`{` + message + `"direction":"Outgoing","messageType":"Handoff","text":"Transferring","data":{"urgency":"soon"}}`,
			`{` + message + `"direction":"Incoming","messageType":"Handoff","text":"Transferring","data":{}}`,
		},
	},
	"FileMessage": {
		right: []string{`{` + message + `"direction":"Outgoing","messageType":"File","text":null,"data":{"url":"https://e.org/a.pdf","name":"a.pdf","mime":"application/pdf","size":12}}`},
		wrong: []string{
			`{` + message + `"direction":"Outgoing","messageType":"File","text":null,"data":{"name":"a.pdf"}}`,
			`{` + message + `"direction":"Outgoing","messageType":"File","text":null,"data":{"url":"https://e.org/a.pdf","size":-1}}`,
		},
	},
	"ReasoningMessage": {
		right: []string{`{` + message + `"direction":"Outgoing","messageType":"Reasoning","text":null,"data":"because"}`},
		wrong: []string{`{` + message + `"direction":"Incoming","messageType":"Reasoning","text":null,"data":"because"}`},
	},
	"ToolMessage": {
		right: []string{`{` + message + `"direction":"Outgoing","messageType":"Tool","text":null,"data":{"name":"search"}}`},
		wrong: []string{`{` + message + `"direction":"Outgoing","messageType":"tool","text":null,"data":{"name":"search"}}`},
	},
	"History": {
		right: []string{`[]`, `[{` + message + `"direction":"Outgoing","messageType":"Chat","text":"Hello","data":null}]`},
		wrong: []string{`{"messages":[]}`, `[{"id":"msg_1"}]`, `null`},
	},
	"HandoffData": {optional: "reason other", right: []string{`{"reason":"asked","other":1}`}, wrong: []string{`"asked"`, `{"reason":1}`}},
	"FileData":    {right: []string{`{"url":"https://e.org/a.pdf"}`}, wrong: []string{`{}`, `{"url":""}`, `{"url":"a","size":"12"}`}},

	"Connected": {
		right: []string{`{"message":"Connected to event stream","workflowId":"default:support","participantId":"ann","tenantId":"default","timestamp":` + at + `}`},
		wrong: []string{`{"message":"Connected to event stream","workflowId":"support","participantId":"ann","tenantId":"default","timestamp":` + at + `}`},
	},
	"Heartbeat": {
		right: []string{`{"timestamp":` + at + `,"subscriberCount":1}`},
		wrong: []string{`{"timestamp":` + at + `,"subscriberCount":0}`, `{"timestamp":` + at + `,"subscriberCount":"1"}`},
	},
	"Disconnected": {right: []string{`{"timestamp":` + at + `,"reason":"token expired"}`}, wrong: []string{`{"timestamp":` + at + `,"reason":""}`}},
	"Gap":          {right: []string{`{"from":1,"to":7}`}, wrong: []string{`{"from":0,"to":7}`, `{"from":"1-aaaaaaaa","to":"7-aaaaaaaa"}`}},
	"Reset":        {right: []string{`{}`}, wrong: []string{`null`}},

	"Outbound": {
		optional: "workflow text requestId controlEpoch onHeld spoken",
		right:    []string{`{"workflow":"support","participantId":"ann","text":"Hello","requestId":"req_1","controlEpoch":3,"onHeld":"refuse","spoken":true}`},
		wrong:    []string{`{"workflow":"support","participantId":""}`, `{"workflow":"support"}`},
	},
	"OutboundHandoff": {
		optional: "workflow to reason urgency",
		right:    []string{`{"workflow":"support","participantId":"ann","to":"person","reason":"asked","urgency":"URGENT"}`},
		wrong:    []string{`{"workflow":"support","participantId":"ann","to":"somebody"}`},
	},
	"OutboundFile": {
		optional: "workflow text",
		right:    []string{`{"workflow":"support","participantId":"ann","text":"the bill","data":{"url":"https://e.org/a.pdf"}}`},
		wrong:    []string{`{"workflow":"support","participantId":"ann","data":"https://e.org/a.pdf"}`},
	},
	"ConversationList": {
		right: []string{`{"success":true,"conversations":[],"cursor":null}`, `{"success":true,"conversations":[` + conversation + `],"cursor":"abc"}`},
		wrong: []string{`{"success":false,"conversations":[],"cursor":null}`, `[]`},
	},

	"TicketRequest": {right: []string{`{"for":"stream"}`, `{"for":"socket"}`}, wrong: []string{`{"for":"page"}`}},
	"Ticket": {
		right: []string{`{"ticket":"tk-Zm9vYmFyYmF6cXV4Zm9vYg","expiresAt":` + at + `}`},
		wrong: []string{`{"ticket":"sk-Zm9vYmFyYmF6cXV4Zm9vYg","expiresAt":` + at + `}`},
	},
	"Refreshed": {
		right: []string{`{"success":true,"token":"eyJh.eyJz.c2ln","expiresAt":` + at + `}`},
		wrong: []string{
			`{"success":true,"token":"sk-abc","expiresAt":` + at + `}`,
			`{"success":false,"token":"eyJh.eyJz.c2ln","expiresAt":` + at + `}`,
		},
	},

	"AnswerEnd": {
		optional: "name sources",
		right:    []string{`{"type":"stream-end","messageId":"msg_2","timestamp":` + at + `,"finishReason":"stop","role":"assistant","name":"bot","sources":"FAQ"}`},
		wrong: []string{
			`{"type":"stream-end","messageId":"msg_2","timestamp":` + at + `,"finishReason":"stop","role":"assistant","cursor":"1-3oxzwwhm"}`,
			`{"type":"stream-end","messageId":"msg_2","timestamp":` + at + `,"finishReason":"done","role":"assistant"}`,
		},
	},

	"BareError": {right: []string{`"Workflow is required."`}, wrong: []string{`""`, `{"error":"Workflow is required."}`}},
	"Invalid": {
		right: []string{`{"error":"Bad request","message":"A sentence."}`},
		wrong: []string{`{"error":"Bad request","message":""}`, `{"error":"error","message":"A sentence."}`, `"Bad request"`},
	},
	"Handshake": {
		right: []string{`{"error":"Upgrade required","message":"A sentence."}`},
		wrong: []string{`{"error":"Upgrade required","message":""}`, `{"error":"error","message":"A sentence."}`, `"Upgrade required"`},
	},
	"NotFound": {
		right: []string{`{"error":"Not found","message":"A sentence."}`},
		wrong: []string{`{"error":"Not found","message":""}`, `{"error":"error","message":"A sentence."}`, `"Not found"`},
	},
	"MethodNotAllowed": {
		right: []string{`{"error":"Method not allowed","message":"A sentence."}`},
		wrong: []string{`{"error":"Method not allowed","message":""}`, `{"error":"error","message":"A sentence."}`, `"Method not allowed"`},
	},
	"Timeout": {
		right: []string{`{"error":"Timeout","message":"A sentence."}`},
		wrong: []string{`{"error":"Timeout","message":""}`, `{"error":"error","message":"A sentence."}`, `"Timeout"`},
	},
	"Gone": {
		right: []string{`{"error":"Gone","message":"A sentence."}`},
		wrong: []string{`{"error":"Gone","message":""}`, `{"error":"error","message":"A sentence."}`, `"Gone"`},
	},
	"TooLarge": {
		right: []string{`{"error":"Too large","message":"A sentence."}`},
		wrong: []string{`{"error":"Too large","message":""}`, `{"error":"error","message":"A sentence."}`, `"Too large"`},
	},
	"Held": {
		right: []string{`{"error":"Held","message":"A sentence.","controlEpoch":0}`},
		wrong: []string{`{"error":"Held","message":"A sentence."}`, `{"error":"Conflict","message":"A sentence.","controlEpoch":1}`, `{"error":"Held","message":"","controlEpoch":1}`},
	},
	"Mismatch": {
		right: []string{`{"error":"Key used before","message":"A sentence."}`},
		wrong: []string{`{"error":"Key used before","message":""}`, `{"error":"error","message":"A sentence."}`, `"Key used before"`},
	},
	"Unavailable": {
		right: []string{`{"error":"Service unavailable","message":"A sentence."}`},
		wrong: []string{`{"error":"Service unavailable","message":""}`, `{"error":"error","message":"A sentence."}`, `"Service unavailable"`},
	},
	"Unauthorized": {
		right: []string{`{"error":"Unauthorized","message":"Authentication is required to access this resource"}`},
		wrong: []string{`{"error":"unauthorized","message":"Authentication is required to access this resource"}`, `{"error":"Unauthorized","message":"no"}`},
	},
	"Forbidden": {
		right: []string{`{"error":"Forbidden","message":"You do not have permission to access this resource"}`},
		wrong: []string{`{"error":"Forbidden","message":"no"}`, `{"detail":"Forbidden"}`},
	},
	"TooMany": {
		right: []string{`{"error":"Rate limit exceeded","message":"Too many requests. Please try again later.","retryAfter":"60"}`},
		wrong: []string{
			`{"error":"Rate limit exceeded","message":"Too many requests. Please try again later.","retryAfter":60}`,
			`{"error":"Rate limit exceeded","message":"Too many requests. Please try again later.","retryAfter":"0"}`,
		},
	},
	"InternalError": {
		right: []string{`{"error":"Internal server error","message":"internal"}`},
		wrong: []string{`{"error":"internal","message":"internal"}`},
	},
	"Detail":             {right: []string{`{"detail":"Not found"}`}, wrong: []string{`{"detail":""}`, `{"error":"Not found"}`}},
	"DetailUnauthorized": {right: []string{`{"detail":"Not authenticated"}`}, wrong: []string{`{"detail":"no"}`}},
}

// asyncapiExamples has every schema of asyncapi.yaml.
var asyncapiExamples = map[string]example{
	"Timestamp":       {right: []string{at}, wrong: []string{`"2025-09-12T10:00:00"`, `0`}},
	"ClientTimestamp": {right: []string{`"yesterday"`}, wrong: []string{`1`}},
	"Cursor":          {right: []string{`"1-3oxzwwhm"`, `"0-rhgdbbjd"`}, wrong: []string{`"1"`, `"01-3oxzwwhm"`, `"1-3OXZWWHM"`, `""`}},
	"MessageId":       {right: []string{`"msg_1"`}, wrong: []string{`""`, `1`}},
	"Urgency":         {right: []string{`"CRITICAL"`}, wrong: []string{`"high"`}},
	"FinishReason":    {right: []string{`"stop"`, `"cancelled"`, `"error"`, `"interrupted"`}, wrong: []string{`"length"`, `null`}},

	"Chat": {
		optional: "content timestamp clientMessageId",
		right:    []string{`{"type":"chat","content":"Hello","timestamp":"2025-09-12T10:00:00.000Z","clientMessageId":"c1"}`},
		wrong:    []string{`{"type":"chat"}`, `{"type":"chat","content":1}`},
	},
	"HumanEscalation": {
		optional: "reason urgency",
		right:    []string{`{"type":"human-escalation","reason":"Need human assistance","urgency":"URGENT"}`},
		wrong:    []string{`{"type":"human-escalation","urgency":"now"}`},
	},
	"Ping":     {right: []string{`{"type":"ping"}`}, wrong: []string{`{"type":"pong"}`}},
	"Cancel":   {right: []string{`{"type":"cancel","messageId":"msg_1"}`}, wrong: []string{`{"type":"cancel","messageId":""}`}},
	"Typing":   {optional: "stopped", right: []string{`{"type":"typing","stopped":true}`}, wrong: []string{`{"type":"read"}`}},
	"Read":     {optional: "delivered", right: []string{`{"type":"read","messageId":"msg_1","delivered":false}`}, wrong: []string{`{"type":"read"}`}},
	"Feedback": {optional: "comment", right: []string{`{"type":"feedback","messageId":"msg_1","feedbackType":"positive","comment":"thanks"}`}, wrong: []string{`{"type":"feedback","messageId":"msg_1","feedbackType":"meh"}`}},
	"Resume":   {right: []string{`{"type":"resume","after":"1-3oxzwwhm"}`}, wrong: []string{`{"type":"resume","after":null}`}},
	"Auth":     {right: []string{`{"type":"auth","token":"eyJh.eyJz.c2ln"}`}, wrong: []string{`{"type":"auth"}`}},

	"TypingEitherWay": {
		right: []string{`{"type":"typing"}`, `{"type":"typing","conversationId":"conv_1","role":"operator","name":"Maya","timestamp":` + at + `}`},
		wrong: []string{`{"type":"typing","role":"operator"}`},
	},
	"SomebodyTypes": {
		optional: "stopped",
		right:    []string{`{"type":"typing","conversationId":"conv_1","role":"operator","name":null,"stopped":true,"timestamp":` + at + `}`},
		wrong:    []string{`{"type":"typing","conversationId":"conv_1","role":"admin","name":null,"timestamp":` + at + `}`},
	},
	"ReadEitherWay": {
		right: []string{`{"type":"read","messageId":"msg_1"}`, `{"type":"read","conversationId":"conv_1","messageId":"msg_1","role":"user","name":"Ann","timestamp":` + at + `}`},
		wrong: []string{`{"type":"read"}`},
	},
	"Presence": {
		right: []string{`{"type":"presence","conversationId":null,"watching":[],"timestamp":` + at + `}`},
		wrong: []string{`{"type":"presence","conversationId":"conv_1","watching":[{"name":"Maya"}],"timestamp":` + at + `}`},
	},
	"Present": {right: []string{`{"role":"operator","name":null}`}, wrong: []string{`{"role":"admin","name":null}`}},
	"SomebodyRead": {
		optional: "delivered",
		right:    []string{`{"type":"read","conversationId":"conv_1","messageId":"msg_1","role":"user","name":null,"delivered":true,"timestamp":` + at + `}`},
		wrong:    []string{`{"type":"read","conversationId":"conv_1","messageId":"msg_1","role":"user","name":null,"delivered":false,"timestamp":` + at + `}`},
	},
	"Role": {right: []string{`"user"`, `"assistant"`, `"operator"`, `"system"`}, wrong: []string{`"admin"`, `"User"`}},

	"Connection": {
		right: []string{`{"type":"connection","message":"Connected to chatbot server","timestamp":` + at + `,"conversationId":"conv_1","cursor":"1-3oxzwwhm"}`},
		wrong: []string{`{"type":"connection","message":"Hello","timestamp":` + at + `,"conversationId":"conv_1","cursor":"1-3oxzwwhm"}`},
	},
	"Speaker": {right: []string{`"assistant"`, `"operator"`, `"system"`}, wrong: []string{`"user"`, `"agent"`}},
	"StreamStart": {
		optional: "name inReplyTo",
		right:    []string{`{"type":"stream-start","messageId":"msg_2","timestamp":` + at + `,"role":"operator","name":"Maya","inReplyTo":"msg_1"}`},
		wrong:    []string{`{"type":"stream-start","messageId":"msg_2","timestamp":` + at + `,"role":"user"}`},
	},
	"StreamToken": {
		right: []string{`{"type":"stream-token","messageId":"msg_1","token":"Hello","timestamp":` + at + `}`},
		wrong: []string{`{"type":"stream-token","messageId":"msg_1","token":"","timestamp":` + at + `}`},
	},
	"StreamEnd": {
		optional: "name sources data",
		right: []string{`{"type":"stream-end","messageId":"msg_2","timestamp":` + at + `,"finishReason":"stop","role":"assistant","name":"bot",` +
			`"sources":"FAQ","data":{},"cursor":"1-3oxzwwhm"}`},
		wrong: []string{`{"type":"stream-end","messageId":"msg_2","timestamp":` + at + `,"finishReason":"done","role":"assistant","cursor":"1-3oxzwwhm"}`},
	},
	"HumanEscalationResponse": {
		right: []string{`{"type":"human-escalation-response","message":"A human agent will contact you soon.","timestamp":` + at + `,"cursor":"1-3oxzwwhm"}`},
		wrong: []string{`{"type":"human-escalation-response","message":"","timestamp":` + at + `,"cursor":"1-3oxzwwhm"}`},
	},
	"Error": {
		optional: "messageId clientMessageId retryAfter cursor",
		right: []string{`{"type":"error","message":"Rate limit exceeded","code":"rate_limited","messageId":"msg_1","clientMessageId":"c1",` +
			`"retryAfter":3,"cursor":"1-3oxzwwhm","timestamp":` + at + `}`},
		wrong: []string{`{"type":"error","message":"Unknown message type","code":"Unknown type","timestamp":` + at + `}`},
	},
	"Pong": {right: []string{`{"type":"pong","timestamp":` + at + `}`}, wrong: []string{`{"type":"ping","timestamp":` + at + `}`}},
	"WholeMessage": {
		optional: "name data hint scope requestId clientMessageId",
		right: []string{`{"type":"message","messageId":"msg_1","timestamp":` + at + `,"role":"user","name":"Ann","messageType":"Chat","content":"Hello",` +
			`"data":1,"hint":"h","scope":"s","requestId":"r","clientMessageId":"c1","cursor":"1-3oxzwwhm"}`},
		wrong: []string{`{"type":"message","messageId":"msg_1","timestamp":` + at + `,"role":"agent","messageType":"Chat","content":"Hello","cursor":"1-3oxzwwhm"}`},
	},
	"Ack": {
		right: []string{`{"type":"ack","clientMessageId":"c1","messageId":"msg_1","cursor":"1-3oxzwwhm","timestamp":` + at + `}`},
		wrong: []string{`{"type":"ack","clientMessageId":"c1","messageId":"msg_1","cursor":1,"timestamp":` + at + `}`},
	},
	"State": {
		optional: "cursor",
		right: []string{`{"type":"state","timestamp":` + at + `,"conversationId":"conv_1","status":"ACTIVE","mode":"waiting","urgency":"URGENT",` +
			`"holder":null,"queuePlace":null,"cursor":"1-3oxzwwhm"}`},
		wrong: []string{`{"type":"state","timestamp":` + at + `,"conversationId":"conv_1","status":"ACTIVE","mode":"held","urgency":"URGENT",` +
			`"holder":null,"queuePlace":0,"cursor":"1-3oxzwwhm"}`},
	},
	"Gap":           {right: []string{`{"type":"gap","from":1,"to":7,"timestamp":` + at + `,"cursor":"1-3oxzwwhm"}`}, wrong: []string{`{"type":"gap","from":0,"to":7,"timestamp":` + at + `,"cursor":"1-3oxzwwhm"}`}},
	"Reset":         {right: []string{`{"type":"reset","timestamp":` + at + `,"cursor":"1-3oxzwwhm"}`}, wrong: []string{`{"type":"gap","timestamp":` + at + `}`}},
	"TokenExpiring": {right: []string{`{"type":"token-expiring","expiresAt":` + at + `,"timestamp":` + at + `}`}, wrong: []string{`{"type":"token-expiring","expiresAt":300,"timestamp":` + at + `}`}},
	"FeedbackConfirmation": {
		right: []string{`{"type":"feedback-confirmation","messageId":"msg_1","timestamp":` + at + `}`},
		wrong: []string{`{"type":"feedback-confirmation","messageId":1,"timestamp":` + at + `}`},
	},
}
