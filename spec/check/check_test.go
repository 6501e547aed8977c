package check

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Broken to see: `required` dropped from StreamEnd's schema, `enum` from Urgency's,
// closeObjects not called; each makes this test fail.
func TestSchemas_tellRightFromWrong(t *testing.T) {
	d := checker()
	overHTTP := maps.Clone(openapiExamples)
	maps.Copy(overHTTP, conversationExamples)
	for doc, examples := range map[*document]map[string]example{d.openapi: overHTTP, d.asyncapi: asyncapiExamples} {
		names := slices.Sorted(maps.Keys(schemasOf(doc)))
		if have := slices.Sorted(maps.Keys(examples)); !slices.Equal(names, have) {
			t.Errorf("%s: schemas %v\nhave examples %v", doc.name, names, have)
		}
		for name, ex := range examples {
			schema := map[string]any{"$ref": "#/components/schemas/" + name}
			for _, right := range ex.right {
				if err := doc.conforms(schema, []byte(right)); err != nil {
					t.Errorf("%s %s: %v", doc.name, name, err)
				}
			}
			wrong := ex.wrong
			if s := schemasOf(doc)[name].(map[string]any); s["type"] == "object" {
				for _, right := range ex.right {
					wrong = append(wrong, spoil(t, s, right, ex.optional)...)
				}
			}
			if len(wrong) == 0 && name != "AnyJSON" {
				t.Errorf("%s %s: no wrong example", doc.name, name)
			}
			for _, w := range wrong {
				if doc.conforms(schema, []byte(w)) == nil {
					t.Errorf("%s %s: should be refused: %s", doc.name, name, w)
				}
			}
		}
	}
}

func schemasOf(d *document) map[string]any {
	return d.root["components"].(map[string]any)["schemas"].(map[string]any)
}

// spoil makes wrong values of a right one, as the schema lists its fields.
func spoil(t *testing.T, schema map[string]any, right, optional string) []string {
	t.Helper()
	var out []string
	change := func(fn func(map[string]any)) {
		var v map[string]any
		if err := json.Unmarshal([]byte(right), &v); err != nil {
			t.Fatal(err)
		}
		fn(v)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(right), &fields); err != nil {
		t.Fatal(err)
	}
	for name := range fields {
		if !slices.Contains(strings.Fields(optional), name) {
			change(func(v map[string]any) { delete(v, name) })
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range properties {
		if p := p.(map[string]any); p["type"] != nil || p["const"] != nil || p["$ref"] != nil {
			change(func(v map[string]any) { v[name] = []any{map[string]any{}} })
		}
	}
	if schema["additionalProperties"] == false {
		change(func(v map[string]any) { v["notListed"] = 1 })
	}
	return out
}

// Every schema is used by a route, an event, a frame or another schema.
func TestSchemas_areAllUsed(t *testing.T) {
	d := checker()
	used := map[string]bool{ // by the introduction
		"openapi.yaml#/components/schemas/NotFound":         true,
		"openapi.yaml#/components/schemas/MethodNotAllowed": true,
	}
	var walk func(doc string, node any)
	walk = func(doc string, node any) {
		switch node := node.(type) {
		case map[string]any:
			if ref, ok := node["$ref"].(string); ok {
				if strings.HasPrefix(ref, "#") {
					ref = doc + ref
				}
				used[ref] = true
			}
			for _, child := range node {
				walk(doc, child)
			}
		case []any:
			for _, child := range node {
				walk(doc, child)
			}
		}
	}
	for _, doc := range []*document{d.openapi, d.asyncapi} {
		walk(doc.name, doc.root)
	}
	for _, doc := range []*document{d.openapi, d.asyncapi} {
		for name := range schemasOf(doc) {
			if !used[doc.name+"#/components/schemas/"+name] {
				t.Errorf("%s: schema %s is not used", doc.name, name)
			}
		}
	}
}

// Each status of each route describes a body by a named schema, each event of a
// stream by one too.
func TestDescription_namesEveryBody(t *testing.T) {
	d := checker()
	for path, item := range d.http.Paths.Map() {
		for method, op := range item.Operations() {
			for status, res := range op.Responses.Map() {
				for kind, media := range res.Value.Content {
					if media.Schema == nil || media.Schema.Ref == "" {
						t.Errorf("%s %s %s %s: the schema has no name", method, path, status, kind)
					}
					if kind == "text/event-stream" && media.Extensions["x-events"] == nil {
						t.Errorf("%s %s %s: no x-events", method, path, status)
					}
				}
			}
		}
	}
}

// A recorded answer, and what is wrong with it ("" if nothing is).
type recorded struct {
	name, method, path string
	status             int
	header             map[string]string
	body               string
	wrong              string
}

const (
	eventStream = "text/event-stream"
	jsonType    = "application/json"
	streamPath  = "/api/user/sse/events"
	connected   = "id: 0-rhgdbbjd\nevent: connected\ndata: {\"message\":\"Connected to event stream\",\"workflowId\":\"default:support\",\"participantId\":\"ann\",\"tenantId\":\"default\",\"timestamp\":\"2024-01-15T10:30:00Z\"}\n\n"
	chatData    = `{` + message + `"direction":"Outgoing","messageType":"Chat","text":"Hello","data":null}`
)

var streamHeader = map[string]string{
	"Content-Type": eventStream, "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no",
}

// Broken to see: each check in response, content and stream left out in turn.
func TestResponse_tellsRightFromWrong(t *testing.T) {
	plain := map[string]string{"Content-Type": jsonType}
	bearer := map[string]string{"Content-Type": jsonType, "WWW-Authenticate": "Bearer"}
	for _, r := range []recorded{
		{"thread id", "POST", "/api/user/rest/send", 200, plain, thread + "\n", ""},
		{"charset", "POST", "/api/user/rest/send", 200, map[string]string{"Content-Type": "application/json; charset=utf-8"}, thread, ""},
		{"not JSON", "POST", "/api/user/rest/send", 200, plain, `thread_x`, "not JSON"},
		{"two values", "POST", "/api/user/rest/send", 200, plain, thread + thread, "not JSON"},
		{"wrong body", "POST", "/api/user/rest/send", 200, plain, `{}`, "not a openapi.yaml#/components/schemas/ThreadId"},
		{"wrong type", "POST", "/api/user/rest/send", 200, map[string]string{"Content-Type": "text/html"}, thread, "not listed"},
		{"no type", "POST", "/api/user/rest/send", 200, nil, thread, "content type"},
		{"wrong status", "POST", "/api/user/rest/send", 201, plain, thread, "does not list this status"},
		{"bare error", "POST", "/api/user/rest/send", 400, plain, `"Workflow is required."`, ""},
		{"error in another style", "POST", "/api/user/rest/send", 400, plain, `{"detail":"Workflow is required."}`, "BareError"},
		{"no Retry-After", "POST", "/api/user/rest/send", 503, plain, `{"error":"Service unavailable","message":"Later."}`, "no header Retry-After"},
		{"delivery", "POST", "/api/agent/conversation/outbound/chat", 200, map[string]string{"Content-Type": jsonType, "Tandem-Delivery": "delivered"}, thread, ""},
		{"wrong delivery", "POST", "/api/agent/conversation/outbound/chat", 200, map[string]string{"Content-Type": jsonType, "Tandem-Delivery": "no"}, thread, "header Tandem-Delivery"},
		{"detail", "GET", "/api/conversations", 401, bearer, `{"detail":"Not authenticated"}`, ""},
		{"no WWW-Authenticate", "GET", "/api/conversations", 401, plain, `{"detail":"Not authenticated"}`, "no header Www-Authenticate"},
		{"upgraded", "GET", "/ws", 101, nil, "", ""},
		{"upgraded with a body", "GET", "/ws", 101, nil, "x", "no body"},
		{"health", "GET", "/healthz", 200, map[string]string{"Content-Type": "text/plain; charset=utf-8"}, "ok\n", ""},
		{"empty health", "GET", "/healthz", 200, map[string]string{"Content-Type": "text/plain"}, "", "empty"},
		{"head", "HEAD", "/healthz", 200, nil, "", ""},
		{"no such route", "GET", "/api/nothing", 404, plain, `{"error":"Not found","message":"There is nothing here."}`, ""},
		{"no such route, wrong body", "GET", "/api/nothing", 404, plain, `"Not found"`, "NotFound"},
		{"no such conversation route", "GET", "/api/conversation/x/y/z", 404, plain, `{"detail":"There is nothing here."}`, ""},
		{"no such conversation route, wrong body", "GET", "/api/conversation/x/y/z", 404, plain, `{"error":"Not found","message":"There is nothing here."}`, "Detail"},
		{"no such route, but 200", "GET", "/api/nothing", 200, plain, `{}`, "status should be 404"},
		{"wrong method", "GET", "/api/user/rest/send", 405, map[string]string{"Allow": "POST"}, `{"error":"Method not allowed","message":"No."}`, ""},
		{"wrong method, no Allow", "GET", "/api/user/rest/send", 405, nil, "", "no Allow"},
		{"wrong method, but 200", "GET", "/api/user/rest/send", 200, map[string]string{"Allow": "POST"}, "", "status should be 405"},
		{"no challenge", "POST", "/api/user/rest/send", 401, plain, `{"error":"Unauthorized","message":"Authentication is required to access this resource"}`, "no header WWW-Authenticate"},
		{"options", "OPTIONS", streamPath, 204, nil, "", ""},
		{"options, status", "OPTIONS", streamPath, 200, nil, "", "status should be 204"},
		{"options, body", "OPTIONS", streamPath, 204, nil, "{}", "no body"},
	} {
		t.Run(r.name, func(t *testing.T) { r.run(t) })
	}
}

func (r recorded) run(t *testing.T) {
	t.Helper()
	req := httptest.NewRequest(r.method, "http://127.0.0.1:4711"+r.path+"?workflow=%zz", nil)
	r.judge(t, checker().response(req, r.answer(), []byte(r.body)))
}

func (r recorded) answer() *http.Response {
	res := &http.Response{StatusCode: r.status, Header: http.Header{}}
	for k, v := range r.header {
		res.Header.Set(k, v)
	}
	return res
}

func (r recorded) judge(t *testing.T, err error) {
	t.Helper()
	switch {
	case r.wrong == "" && err != nil:
		t.Errorf("refused: %v", err)
	case r.wrong != "" && err == nil:
		t.Errorf("taken; should have said %q", r.wrong)
	case err != nil && !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(r.wrong)):
		t.Errorf("refused, but for another reason than %q: %v", r.wrong, err)
	}
}

func TestResponse_looksIntoStreams(t *testing.T) {
	for name, s := range map[string]struct{ body, wrong string }{
		"first words":          {"retry: 2000\n\n" + connected, ""},
		"retry in the block":   {"retry: 2000\n" + connected, ""},
		"a message":            {connected + "id: 1-3oxzwwhm\nevent: Chat\ndata: " + chatData + "\n\n", ""},
		"cut in the middle":    {connected + "id: 1-3oxzwwhm\nevent: Chat\nda", ""},
		"comment":              {": hello\n\n" + connected, ""},
		"token":                {"event: stream-token\ndata: {\"type\":\"stream-token\",\"messageId\":\"m\",\"token\":\"x\",\"timestamp\":" + at + "}\n\n", ""},
		"token with an id":     {"id: 1-3oxzwwhm\nevent: stream-token\ndata: {\"type\":\"stream-token\",\"messageId\":\"m\",\"token\":\"x\",\"timestamp\":" + at + "}\n\n", "id never"},
		"message without id":   {"event: Chat\ndata: " + chatData + "\n\n", "id always"},
		"wrong name":           {"id: 1-3oxzwwhm\nevent: Data\ndata: " + chatData + "\n\n", "DataMessage"},
		"unknown name":         {"event: Chatter\ndata: {}\n\n", "not listed"},
		"no name":              {"data: {}\n\n", `"message" is not listed`},
		"CR":                   {"event: heartbeat\r\ndata: {}\n\n", "CR"},
		"no space":             {"event:heartbeat\ndata: {}\n\n", "no space"},
		"unknown field":        {"evnt: heartbeat\n\n", "field"},
		"a field twice":        {"event: Chat\nevent: Data\n\n", "twice"},
		"empty id":             {"id: \ndata: {}\n\n", "empty id"},
		"retry is no number":   {"retry: soon\n\n", "retry"},
		"two lines of data":    {"event: heartbeat\ndata: {\"timestamp\":" + at + ",\ndata: \"subscriberCount\":1}\n\n", ""},
		"data that is no JSON": {"event: heartbeat\ndata: {\n\n", "not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			recorded{name, "GET", streamPath, 200, streamHeader, s.body, s.wrong}.run(t)
		})
	}
}

func TestFrame_tellsDirections(t *testing.T) {
	for _, f := range []struct {
		dir          Direction
		frame, wrong string
	}{
		{FromClient, `{"type":"chat","content":"Hello"}`, ""},
		{ToClient, `{"type":"pong","timestamp":` + at + `}`, ""},
		{ToClient, `{"type":"chat","content":"Hello"}`, "not listed in this direction"},
		{FromClient, `{"type":"pong","timestamp":` + at + `}`, "not listed in this direction"},
		{ToClient, `{"type":"surprise"}`, "not listed"},
		{ToClient, `{"type":"pong"}`, "Pong"},
		{ToClient, `{"timestamp":` + at + `}`, "no JSON object with a type"},
		{ToClient, `[]`, "no JSON object with a type"},
		{ToClient, `{"type":"pong","timestamp":` + at + `}{}`, "no JSON object with a type"},
	} {
		r := recorded{wrong: f.wrong}
		r.judge(t, checker().frame(f.dir, []byte(f.frame)))
	}
}

// Every frame type is the name of a message, and the other way round.
func TestFrames_areNamedAsTheirType(t *testing.T) {
	d := checker()
	for name, m := range d.asyncapi.root["components"].(map[string]any)["messages"].(map[string]any) {
		ref := m.(map[string]any)["payload"].(map[string]any)["$ref"].(string)
		for _, schema := range alternatives(d.asyncapi, ref) {
			if got := schema["properties"].(map[string]any)["type"].(map[string]any)["const"]; got != name {
				t.Errorf("message %s has frames of type %v", name, got)
			}
		}
	}
}

// alternatives are the schemas of one name: itself, or those that it has one of.
func alternatives(d *document, ref string) []map[string]any {
	schema := schemasOf(d)[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
	if schema["oneOf"] == nil {
		return []map[string]any{schema}
	}
	var all []map[string]any
	for _, one := range schema["oneOf"].([]any) {
		all = append(all, alternatives(d, one.(map[string]any)["$ref"].(string))...)
	}
	return all
}

// Response and Frame do fail a test.
func TestResponse_failsTheTest(t *testing.T) {
	var r recorder
	req := httptest.NewRequest("GET", "/healthz", nil)
	Response(&r, req, &http.Response{StatusCode: 500, Header: http.Header{}}, nil)
	Frame(&r, ToClient, []byte(`{}`))
	if r.failures != 2 {
		t.Errorf("%d failures, want 2", r.failures)
	}
	Response(&r, req, &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/plain"}}}, []byte("ok"))
	if r.failures != 2 {
		t.Error("failed although nothing was wrong")
	}
}

// recorder is a test that counts its failures.
type recorder struct {
	testing.TB
	failures int
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failures++ }

func TestFits_matchesTemplates(t *testing.T) {
	for path, want := range map[string]bool{
		"/api/conversation/conv_1": true, "/api/conversation/": false, "/api/conversation/a/b": false, "/api/other/a": false,
	} {
		if fits("/api/conversation/{id}", path) != want {
			t.Errorf("%s: want %v", path, want)
		}
	}
}

func TestRoutes_areSorted(t *testing.T) {
	routes := Routes(t)
	if !slices.IsSorted(routes) || !slices.Contains(routes, "POST /api/user/rest/send") {
		t.Errorf("got %v", routes)
	}
}
