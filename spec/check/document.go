package check

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed4677ff1f/tandem/spec"
)

// A document is one of the two descriptions, decoded, with its schemas.
type document struct {
	name string // openapi.yaml or asyncapi.yaml
	root map[string]any
	set  *schemas
}

// load reads both descriptions. Their schemas may refer to each other.
func load() (openapi, asyncapi *document, err error) {
	set := &schemas{compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	set.compiler.DefaultDraft(jsonschema.Draft2020)
	docs := make([]*document, 2)
	for i, name := range []string{"openapi.yaml", "asyncapi.yaml"} {
		text, err := spec.Files.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		if text, err = yaml.YAMLToJSON(text); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		docs[i] = &document{name: name, root: root.(map[string]any), set: set}
		components := docs[i].root["components"].(map[string]any)
		closeObjects(components["schemas"])
		if err := set.compiler.AddResource(base+name, root); err != nil {
			return nil, nil, err
		}
	}
	return docs[0], docs[1], nil
}

// base makes the documents' names absolute, so that a $ref from one to the other
// resolves. Nothing is ever fetched: both are in the compiler from the start.
const base = "tandem:///"

// closeObjects makes every schema that lists an object's properties refuse
// others. Readers of the descriptions must expect more fields in later releases;
// what this release sends must be listed.
func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		_, lists := node["properties"].(map[string]any)
		_, says := node["additionalProperties"]
		if node["type"] == "object" && lists && !says {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

// at follows names down from the document's root, and $refs within the document
// on the way.
func (d *document) at(names ...string) (map[string]any, error) {
	node := d.root
	for i, name := range names {
		child, ok := node[name].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s has no %s", d.name, strings.Join(names[:i+1], " "))
		}
		for child["$ref"] != nil {
			ref := strings.TrimPrefix(child["$ref"].(string), "#/")
			target, err := d.at(strings.Split(ref, "/")...)
			if err != nil {
				return nil, err
			}
			child = target
		}
		node = child
	}
	return node, nil
}

// conforms checks JSON text against the schema that node refers to: every body,
// event and frame is described by a named schema, never in place.
func (d *document) conforms(node map[string]any, text []byte) error {
	ref, ok := node["$ref"].(string)
	if !ok {
		return fmt.Errorf("%s: a schema must be named: %v", d.name, node)
	}
	if strings.HasPrefix(ref, "#") {
		ref = d.name + ref
	}
	schema, err := d.set.named(ref)
	if err != nil {
		return err
	}
	value, err := decode(text)
	if err != nil {
		return err
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("not a %s: %w\n%s", ref, err, text)
	}
	return nil
}

// decode reads exactly one JSON value.
func decode(text []byte) (any, error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w\n%q", err, text)
	}
	return value, nil
}

// schemas compiles each schema once.
type schemas struct {
	mu       sync.Mutex // guards compiler, compiled
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

func (s *schemas) named(ref string) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if schema := s.compiled[ref]; schema != nil {
		return schema, nil
	}
	schema, err := s.compiler.Compile(base + ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	s.compiled[ref] = schema
	return schema, nil
}
