// Package check holds what the server really says against spec/openapi.yaml and
// spec/asyncapi.yaml. It is for tests only: every answer and frame that a test
// records goes through [Response] or [Frame], so that the two descriptions
// cannot say one thing and the server another.
//
// A reader of the descriptions must put up with fields that it does not know.
// This package does not: what the server sends must be listed.
package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/seed4677ff1f/tandem/spec"
)

// Direction is the way a chat frame goes.
type Direction string

// The directions. The values are the names of asyncapi.yaml's operations.
const (
	FromClient Direction = "fromClient"
	ToClient   Direction = "toClient"
)

// Response fails t unless openapi.yaml describes this response to this request:
// path, method, status, headers, content type and body. Of the request only
// method and path count, so that bad requests can be recorded too. Of an event
// stream, body is what was read of it; a block that the connection's end has cut
// is left out. The body of res is not read.
func Response(t testing.TB, req *http.Request, res *http.Response, body []byte) {
	t.Helper()
	if err := checker().response(req, res, body); err != nil {
		t.Errorf("%s %s: %d: %v", req.Method, req.URL.Path, res.StatusCode, err)
	}
}

// Frame fails t unless asyncapi.yaml describes the chat frame in this direction.
func Frame(t testing.TB, dir Direction, frame []byte) {
	t.Helper()
	if err := checker().frame(dir, frame); err != nil {
		t.Errorf("chat frame %s: %v", dir, err)
	}
}

// Routes returns "METHOD /path" of every operation of openapi.yaml, sorted, for
// comparison with the server's own table.
func Routes(t testing.TB) []string {
	t.Helper()
	var routes []string
	for path, item := range checker().http.Paths.Map() {
		for method := range item.Operations() {
			routes = append(routes, method+" "+path)
		}
	}
	slices.Sort(routes)
	return routes
}

// A descriptions is both documents, ready to be asked.
type descriptions struct {
	openapi, asyncapi *document
	http              *openapi3.T
}

// checker reads the descriptions once in a test process. They are constant, and
// a description that cannot be read fails every test that asks.
var checker = sync.OnceValue(func() *descriptions {
	d, err := read()
	if err != nil {
		panic(fmt.Sprintf("spec: %v", err))
	}
	return d
})

func read() (*descriptions, error) {
	openapi, asyncapi, err := load()
	if err != nil {
		return nil, err
	}
	text, err := spec.Files.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return &descriptions{openapi: openapi, asyncapi: asyncapi, http: doc}, nil
}

func (d *descriptions) response(req *http.Request, res *http.Response, body []byte) error {
	if req.Method == http.MethodOptions {
		if len(body) > 0 {
			return fmt.Errorf("OPTIONS has no body, got %q", body)
		}
		return only(res, http.StatusNoContent)
	}
	item := d.find(req.URL.Path)
	if item == nil {
		return d.nothing(req, res, http.StatusNotFound, "NotFound", body)
	}
	method := req.Method
	if method == http.MethodHead {
		method = http.MethodGet // answered by the same handler, without the body
	}
	operation := item.GetOperation(method)
	if operation == nil {
		if res.Header.Get("Allow") == "" {
			return errors.New("no Allow header")
		}
		return d.nothing(req, res, http.StatusMethodNotAllowed, "MethodNotAllowed", body)
	}
	described := operation.Responses.Status(res.StatusCode)
	if described == nil {
		return errors.New("openapi.yaml does not list this status")
	}
	if err := headers(described.Value.Headers, res.Header); err != nil {
		return err
	}
	if req.Method == http.MethodHead {
		return nil
	}
	return d.content(described.Value.Content, res.Header.Get("Content-Type"), body)
}

// find returns the path's operations; nil if it is not described. A path without
// a parameter comes before one with.
func (d *descriptions) find(path string) *openapi3.PathItem {
	if item := d.http.Paths.Value(path); item != nil {
		return item
	}
	for template, item := range d.http.Paths.Map() {
		if fits(template, path) {
			return item
		}
	}
	return nil
}

// fits reports whether path is of the form of template, as /api/things/{id} is.
func fits(template, path string) bool {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, have, func(w, h string) bool {
		return w == h || strings.HasPrefix(w, "{") && h != ""
	})
}

func only(res *http.Response, status int) error {
	if res.StatusCode != status {
		return fmt.Errorf("openapi.yaml does not describe this request, so the status should be %d", status)
	}
	return nil
}

// nothing checks the answer to a path or a method that there is not, which is of
// no route: the description's introduction says what it looks like.
func (d *descriptions) nothing(req *http.Request, res *http.Response, status int, schema string, body []byte) error {
	if err := only(res, status); err != nil || req.Method == http.MethodHead {
		return err
	}
	if strings.HasPrefix(req.URL.Path, "/api/conversation") {
		schema = "Detail"
	}
	if strings.HasPrefix(req.URL.Path, "/sse/") || strings.HasPrefix(req.URL.Path, "/api/sessions") {
		schema = "SessionError"
	}
	return d.openapi.conforms(map[string]any{"$ref": "#/components/schemas/" + schema}, body)
}

func headers(described openapi3.Headers, got http.Header) error {
	for name, header := range described {
		values := got.Values(name)
		if len(values) == 0 {
			if header.Value.Required {
				return fmt.Errorf("no header %s", name)
			}
			continue
		}
		for _, value := range values {
			if err := header.Value.Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
				return fmt.Errorf("header %s: %w", name, err)
			}
		}
	}
	return nil
}

func (d *descriptions) content(described openapi3.Content, contentType string, body []byte) error {
	if len(described) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("there should be no body, got %q", body)
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	media := described[kind]
	switch {
	case media == nil:
		return fmt.Errorf("content type %q is not listed", contentType)
	case kind == "application/json":
		return d.openapi.conforms(map[string]any{"$ref": media.Schema.Ref}, body)
	case kind == "text/event-stream":
		return d.stream(media, body)
	case len(bytes.TrimSpace(body)) == 0:
		return errors.New("the body is empty")
	}
	return nil
}

func (d *descriptions) stream(media *openapi3.MediaType, body []byte) error {
	events, _ := media.Extensions["x-events"].(map[string]any)
	for n, block := range blocks(body) {
		e, err := readEvent(block)
		if err != nil {
			return fmt.Errorf("block %d: %w\n%q", n, err, block)
		}
		if e.data == nil {
			continue // only retry, id or comments: tells no reader anything
		}
		described, _ := events[e.name].(map[string]any)
		if described == nil {
			return fmt.Errorf("block %d: event %q is not listed\n%q", n, e.name, block)
		}
		if rule := described["id"]; rule == "always" && !e.hasID || rule == "never" && e.hasID {
			return fmt.Errorf("block %d: event %q: an id %v belongs here\n%q", n, e.name, rule, block)
		}
		if err := d.openapi.conforms(described["data"].(map[string]any), e.data); err != nil {
			return fmt.Errorf("block %d: event %q: %w", n, e.name, err)
		}
	}
	return nil
}

func (d *descriptions) frame(dir Direction, frame []byte) error {
	var typed struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(frame, &typed); err != nil || typed.Type == nil {
		return fmt.Errorf("no JSON object with a type: %q", frame)
	}
	operation, err := d.asyncapi.at("operations", string(dir))
	if err != nil {
		return err
	}
	listed := slices.ContainsFunc(operation["messages"].([]any), func(m any) bool {
		ref, _ := m.(map[string]any)["$ref"].(string)
		return ref == "#/channels/chat/messages/"+*typed.Type
	})
	if !listed {
		return fmt.Errorf("type %q is not listed in this direction", *typed.Type)
	}
	message, err := d.asyncapi.at("components", "messages", *typed.Type)
	if err != nil {
		return err
	}
	return d.asyncapi.conforms(message["payload"].(map[string]any), frame)
}

// An event is one block of an event stream.
type event struct {
	name  string
	hasID bool
	data  []byte // nil: no data line
}

// blocks splits a stream at blank lines and leaves what comes after the last one.
func blocks(stream []byte) []string {
	parts := strings.Split(string(stream), "\n\n")
	return parts[:len(parts)-1]
}

// readEvent reads a block strictly: this server ends lines with LF, writes one
// space after the colon and no field twice but data.
func readEvent(block string) (event, error) {
	e := event{name: "message"}
	seen := map[string]bool{}
	for line := range strings.SplitSeq(block, "\n") {
		field, value, _ := strings.Cut(line, ":")
		if strings.Contains(line, "\r") {
			return e, errors.New("a line holds CR")
		}
		if field == "" && strings.HasPrefix(line, ":") {
			continue
		}
		value, spaced := strings.CutPrefix(value, " ")
		if !spaced {
			return e, fmt.Errorf("line %q has no space after the colon", line)
		}
		if seen[field] && field != "data" {
			return e, fmt.Errorf("field %q twice", field)
		}
		seen[field] = true
		switch field {
		case "event":
			e.name = value
		case "data":
			if e.data != nil {
				e.data = append(e.data, '\n')
			}
			e.data = append(e.data, value...)
		case "id":
			e.hasID = true
			if value == "" {
				return e, errors.New("an empty id")
			}
		case "retry":
			if strings.Trim(value, "0123456789") != "" || value == "" {
				return e, fmt.Errorf("retry is %q", value)
			}
		default:
			return e, fmt.Errorf("field %q", field)
		}
	}
	return e, nil
}
