package tandem_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/seed4677ff1f/tandem"

// mayImport says which packages of ours each package may import; the root
// package is ".". The direction is one: down. A new package needs a row here,
// and a row that allows more needs a decision record.
var mayImport = map[string][]string{
	".":                 {},
	"internal/sse":      {},
	"internal/ws":       {},
	"internal/metric":   {},
	"web":               {},
	"spec":              {},
	"client":            {".", "internal/sse", "internal/ws"},
	"internal/store":    {".", "internal/metric"},
	"internal/agent":    {".", "internal/sse", "internal/metric"},
	"internal/hub":      {".", "internal/sse", "internal/ws", "internal/metric"},
	"internal/cluster":  {".", "internal/hub", "internal/metric"},
	"internal/auth":     {".", "internal/store", "internal/hub", "internal/metric"},
	"internal/turn":     {".", "internal/store", "internal/hub", "internal/metric"},
	"internal/desk":     {".", "internal/store", "internal/hub", "internal/turn", "internal/metric"},
	"internal/search":   {".", "internal/store", "internal/hub", "internal/metric"},
	"internal/export":   {".", "internal/store", "internal/hub", "internal/metric"},
	"internal/hook":     {".", "internal/store", "internal/hub", "internal/metric"},
	"internal/api":      {".", "internal/desk", "internal/auth", "internal/search", "internal/export", "internal/sse", "internal/ws", "internal/metric"},
	"cmd/tandem":        {"*"},
	"internal/desktest": {"*"},
	"spec/check":        {"spec"},
}

// forTests are packages that only tests import.
var forTests = []string{"internal/desktest", "spec/check"}

// The sizes that fit into a head.
const (
	maxFunction = 70 // lines
	maxFile     = 400
	maxTestFile = 800
	maxPackage  = 2500 // without tests
)

// larger are packages with a decision record for their size.
var larger = map[string]int{ // docs/decisions/0008, 0011, 0014, 0017, 0020, 0021, 0024
	"client": 3500, "internal/api": 9000, "internal/store": 5000, "internal/auth": 3300, "internal/desk": 7500, "cmd/tandem": 4000,
}

// vague are file names that say nothing of what is inside.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "manager", "models", "misc"}

// machinePath is a path of somebody's own machine.
var machinePath = regexp.MustCompile(`(?:^|[\s"'=(:])(/[r]oot/|/home/[a-z]+/|/Users/[A-Za-z]+/|/work/[a-z]+/)`)

// A goFile is one Go file of the tree.
type goFile struct {
	path  string // slashes, from the root
	lines int
	fset  *token.FileSet
	tree  *ast.File
}

func (f goFile) dir() string { return path.Dir(f.path) }
func (f goFile) test() bool  { return strings.HasSuffix(f.path, "_test.go") }
func (f goFile) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, f.fset.Position(n.Pos()).Line)
}

func TestArchitecture_holds(t *testing.T) {
	for _, v := range violations(t, os.DirFS(".")) {
		t.Error(v)
	}
}

// TestArchitecture_seesEachViolation gives the same rules a tree that breaks all
// of them: a rule that is not seen to fail guards nothing.
func TestArchitecture_seesEachViolation(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	long := func(lines int) string { return strings.Repeat("\n", lines-1) }
	got := violations(t, fstest.MapFS{
		"go.mod":                     file("module " + module + "\n"),
		"tandem.go":                  file("package tandem\nimport _ \"example.org/x\"\nimport _ \"" + module + "/internal/sse\"\n"),
		"internal/sse/sse.go":        file("package sse\nimport _ \"" + module + "/internal/store\"\nfunc init() {}\n"),
		"internal/store/helpers.go":  file("package store\nimport _ \"" + module + "/internal/desktest\"\n"),
		"internal/desktest/d.go":     file("package desktest\nimport _ \"" + module + "/cmd/tandem\"\nfunc f() {" + long(71) + "}\n"),
		"internal/hub/hub.go":        file("package hub" + long(402)),
		"internal/hub/hub_test.go":   file("package hub\nimport \"time\"\nfunc f() { time.Sleep(1) }" + long(800)),
		"internal/turn/a_test.go":    file("package turn\nimport \"time\"\nfunc f() { synctest.Test(t, func() { time.Sleep(1) }) }\n"),
		"internal/turn/a.go":         file("package turn\nfunc f() {" + long(70) + "}" + long(331)),
		"internal/mystery/m.go":      file("package mystery\n"),
		"docs/operate.md":            file("Go to " + "/home/" + "ann/tandem and look.\n"),
		"web/node_modules/x/main.go": file("package x\nfunc init() {}\n"),
		"tools/go.mod":               file("module tools\n"),
		"tools/report/main.go":       file("package main\nfunc init() {}\n"),
		"cmd/tandem/main.go":         file("package main\nimport _ \"" + module + "/internal/hub\"\nimport _ \"" + module + "/spec/check\"\n"),
		"cmd/tandem/time.go":         file("package main\nimport \"time\"\nfunc f() { time.Sleep(1) }\n"),
		"internal/api/api.go":        file("package api\nimport _ \"" + module + "/internal/auth\"\nimport _ \"" + module + "/internal/store\"\n"),
		"internal/api/api_test.go":   file("package api\nimport _ \"" + module + "/internal/store\"\nimport _ \"" + module + "/internal/desktest\"\n"),
		"internal/agent/a.go":        file("package agent" + long(400)),
		"internal/agent/b.go":        file("package agent" + long(400)),
		"internal/agent/c.go":        file("package agent" + long(400)),
		"internal/agent/d.go":        file("package agent" + long(400)),
		"internal/agent/e.go":        file("package agent" + long(400)),
		"internal/agent/f.go":        file("package agent" + long(400)),
		"internal/agent/g.go":        file("package agent" + long(108)),
	})
	want := []string{
		"cmd/tandem/main.go imports spec/check, which is for tests",
		"docs/operate.md:1 names a path of one machine",
		"internal/agent has 2501 lines, want at most 2500",
		"internal/api/api.go imports internal/store, which the table does not allow",
		"internal/desktest/d.go imports cmd/tandem, which the table does not allow",
		"internal/desktest/d.go:3 f has 71 lines, want at most 70",
		"internal/hub/hub.go has 401 lines, want at most 400",
		"internal/hub/hub_test.go has 801 lines, want at most 800",
		"internal/hub/hub_test.go:3 sleeps: wait for the thing itself",
		"internal/mystery has no row in the import table",
		"internal/sse/sse.go imports internal/store, which the table does not allow",
		"internal/sse/sse.go:3 init: nothing runs by being imported",
		"internal/store/helpers.go imports internal/desktest, which is for tests",
		"internal/store/helpers.go says nothing by its name",
		"tandem.go imports example.org/x: the vocabulary needs the standard library alone",
		"tandem.go imports internal/sse, which the table does not allow",
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("not seen: %s", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("seen without reason: %s", g)
		}
	}
}

// violations says what in the tree breaks a rule.
func violations(t *testing.T, root fs.FS) []string {
	var found []string
	files := parseTree(t, root, func(v string) { found = append(found, v) })
	size := make(map[string]int)
	for _, f := range files {
		if !f.test() {
			size[f.dir()] += f.lines
			found = append(found, checkImports(f)...)
		}
		found = append(found, checkFile(f)...)
	}
	for dir, lines := range size {
		if most := max(maxPackage, larger[dir]); lines > most {
			found = append(found, fmt.Sprintf("%s has %d lines, want at most %d", dir, lines, most))
		}
		if mayImport[dir] == nil {
			found = append(found, dir+" has no row in the import table")
		}
	}
	slices.Sort(found)
	return found
}

// parseTree parses the module's Go files. It leaves out other modules and what
// npm put there; what is text and names a machine's path goes to fail.
func parseTree(t *testing.T, root fs.FS, fail func(string)) []goFile {
	var files []goFile
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := fs.Stat(root, path.Join(name, "go.mod"))
			other := name != "." && err == nil
			if base := path.Base(name); other || base == "node_modules" || base == "bin" || base == "tandem-data" || (base != "." && base[0] == '.') {
				return fs.SkipDir
			}
			return nil
		}
		if name == ".git" { // of a linked worktree
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			return err
		}
		lines := bytes.Split(text, []byte("\n"))
		for i, line := range lines {
			if machinePath.Match(line) {
				fail(fmt.Sprintf("%s:%d names a path of one machine", name, i+1))
			}
		}
		if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
			return nil
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, name, text, 0)
		if err != nil {
			return err
		}
		count := len(lines)
		if len(lines[count-1]) == 0 {
			count--
		}
		files = append(files, goFile{name, count, fset, tree})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func checkImports(f goFile) (found []string) {
	allowed := mayImport[f.dir()]
	for _, spec := range f.tree.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if name == module {
			name = module + "/."
		}
		ours, isOurs := strings.CutPrefix(name, module+"/")
		switch {
		case !isOurs:
			if first, _, _ := strings.Cut(name, "/"); f.dir() == "." && strings.Contains(first, ".") {
				found = append(found, fmt.Sprintf("%s imports %s: the vocabulary needs the standard library alone", f.path, name))
			}
		case slices.Contains(forTests, ours) && !slices.Contains(forTests, f.dir()):
			found = append(found, fmt.Sprintf("%s imports %s, which is for tests", f.path, ours))
		case slices.Contains(allowed, ours), slices.Contains(allowed, "*") && !strings.HasPrefix(ours, "cmd/"):
		case mayImport[f.dir()] != nil:
			found = append(found, fmt.Sprintf("%s imports %s, which the table does not allow", f.path, ours))
		}
	}
	return found
}

func checkFile(f goFile) (found []string) {
	most := maxFile
	if f.test() {
		most = maxTestFile
	}
	if f.lines > most {
		found = append(found, fmt.Sprintf("%s has %d lines, want at most %d", f.path, f.lines, most))
	}
	name := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.path), ".go"), "_test")
	if slices.Contains(vague, name) {
		found = append(found, f.path+" says nothing by its name")
	}
	for _, decl := range f.tree.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if lines := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1; lines > maxFunction {
			found = append(found, fmt.Sprintf("%s %s has %d lines, want at most %d", f.at(fn), fn.Name.Name, lines, maxFunction))
		}
		if fn.Name.Name == "init" && fn.Recv == nil {
			found = append(found, f.at(fn)+" init: nothing runs by being imported")
		}
	}
	if f.test() || slices.Contains(forTests, f.dir()) {
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if isName(n, "time", "Sleep") {
				found = append(found, f.at(n)+" sleeps: wait for the thing itself")
			}
			call, ok := n.(*ast.CallExpr)
			return !ok || !isName(call.Fun, "synctest", "Test") // in a bubble time is ours
		})
	}
	return found
}

func isName(n ast.Node, pkg, name string) bool {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg && sel.Sel.Name == name
}
