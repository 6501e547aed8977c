package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// readFile reads a YAML file over the options. It is strict: an unknown key, a
// key given twice and a value of the wrong form are errors with their line.
func readFile(path string, env func(string) (string, bool), options any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f := yamlFile{path: path, env: env}
	tree, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey()) // we tell of duplicates ourselves
	if syntax := (*yaml.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Errorf("%s line %d: not YAML: %s", path, syntax.Token.Position.Line, syntax.Message)
	} else if err != nil {
		return fmt.Errorf("%s: not YAML: %w", path, err)
	}
	for i, doc := range tree.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType:
		case i > 0:
			f.fail(doc.Body, "one document is enough: remove the line ---")
		default:
			f.options(doc.Body, "", options)
		}
	}
	return errors.Join(f.errs...)
}

// A yamlFile is a file being read; errs is what was wrong with it so far.
type yamlFile struct {
	path string
	env  func(string) (string, bool)
	errs []error
}

func (f *yamlFile) fail(at ast.Node, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("%s line %d: %s", f.path, at.GetToken().Position.Line, fmt.Sprintf(format, args...)))
}

// options reads a mapping over a struct with the tags of [Config].
func (f *yamlFile) options(node ast.Node, name string, options any) {
	table := make(map[string]row)
	for _, r := range rows(options) {
		table[r.name] = r
	}
	mapping, ok := node.(ast.MapNode)
	if !ok {
		f.fail(node, "%s: want keys with values, such as %s: ...", either(strings.TrimSuffix(name, "."), "the file"), rows(options)[0].name)
		return
	}
	first := make(map[string]int)
	for pairs := mapping.MapRange(); pairs.Next(); {
		key := pairs.Key().GetToken().Value
		r, known := table[key]
		line, twice := first[key]
		switch {
		case !known:
			near := nearest(key, table)
			if distance(key, near) > (len(key)+1)/2 { // no slip of the finger
				f.fail(pairs.Key(), "unknown key %q; the nearest is %q, and docs/config.md lists all", name+key, name+near)
				continue
			}
			f.fail(pairs.Key(), "unknown key %q; did you mean %q?", name+key, name+near)
		case twice:
			f.fail(pairs.Key(), "%s is given twice, first on line %d", name+key, line)
		default:
			first[key] = pairs.Key().GetToken().Position.Line
			f.option(pairs.Value(), name+key, r)
		}
	}
}

// option reads one value: a nested table, a list of tables, or scalars.
func (f *yamlFile) option(node ast.Node, name string, r row) {
	items := []ast.Node{node}
	list, isList := node.(*ast.SequenceNode)
	if isList {
		items = list.Values
	}
	nested := r.value.Type()
	if nested.Kind() == reflect.Slice {
		nested = nested.Elem()
	}
	switch {
	case node.Type() == ast.NullType: // a key without a value: as if it were not there
	case isList && r.value.Kind() != reflect.Slice:
		f.fail(node, "%s: want one value, not a list", name)
	case !isTable(nested):
		f.scalars(items, name, r)
	case r.value.Kind() == reflect.Struct:
		f.options(node, name+".", r.value.Addr().Interface())
	case !isList:
		f.fail(node, "%s: want a list: begin each entry with a dash", name)
	default:
		r.value.Set(reflect.MakeSlice(r.value.Type(), len(items), len(items)))
		for i, item := range items {
			entry := r.value.Index(i).Addr().Interface()
			setDefaults(entry)
			f.options(item, fmt.Sprintf("%s[%d].", name, i+1), entry)
		}
	}
}

// isTable tells a struct with the tags of [Config] from a value such as a rate.
func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() > 0 && t.Field(0).Tag.Get("yaml") != ""
}

func (f *yamlFile) scalars(items []ast.Node, name string, r row) {
	texts := make([]string, len(items))
	for i, item := range items {
		text, ok := scalar(item)
		if !ok {
			f.fail(item, "%s: want a plain value", name)
			return
		}
		filled, err := f.fill(text)
		if err != nil {
			f.fail(item, "%s: %v", name, err)
			return
		}
		texts[i] = filled
	}
	if err := r.set(texts); err != nil {
		f.fail(r.at(items), "%s: %v", name, err)
	}
}

// at is the node to name when a value of r is wrong: the one that is.
func (r row) at(items []ast.Node) ast.Node {
	for _, item := range items {
		probe := reflect.New(r.value.Type()).Elem()
		if text, _ := scalar(item); (row{r.name, r.tag, probe}).set([]string{text}) != nil {
			return item
		}
	}
	return items[0]
}

// scalar is a node's text as it was written, without quotes.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, true
	}
	return "", false
}

// fill puts variables and files in: ${NAME}, and ${file:PATH} without its last
// line end, PATH being relative to the configuration file. $${ is a literal ${.
func (f *yamlFile) fill(text string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		if strings.HasSuffix(before, "$") {
			out.WriteString("{")
			text = rest
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", errors.New("${ without its }")
		}
		value, err := f.lookUp(name)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = after
	}
}

func (f *yamlFile) lookUp(name string) (string, error) {
	path, isFile := strings.CutPrefix(name, "file:")
	if !isFile {
		value, ok := f.env(name)
		if !ok {
			return "", fmt.Errorf("the variable %s is not set", name)
		}
		return value, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(f.path), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// nearest is the known key that is the fewest edits away.
func nearest(key string, table map[string]row) string {
	best, least := "", len(key)+100
	for name := range table {
		if d := distance(key, name); d < least || (d == least && name < best) {
			best, least = name, d
		}
	}
	return best
}

// distance counts the insertions, deletions and replacements between two words
// (Levenshtein), keeping one line of the table.
func distance(a, b string) int {
	line := make([]int, len(b)+1)
	for j := range line {
		line[j] = j
	}
	for i := range len(a) {
		diagonal := line[0]
		line[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = line[j+1]
			line[j+1] = min(change, line[j]+1, diagonal+1)
		}
	}
	return line[len(b)]
}
