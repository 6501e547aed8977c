package web_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/seed4677ff1f/tandem/spec"
	"github.com/seed4677ff1f/tandem/web"
)

func read(t *testing.T, files fs.FS, name string) string {
	t.Helper()
	text, err := fs.ReadFile(files, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the policy forbids a browser leaves out silently, so the page must do
// without. Seen to fail by adding a style attribute, and an onclick.
func TestIndex_needsNothingThatItsPolicyForbids(t *testing.T) {
	page := read(t, web.Files, "index.html")
	for what, pattern := range map[string]string{
		"a script":         `(?i)<script`,
		"an inline style":  `(?i)<style|\sstyle=`,
		"a handler":        `(?i)<[^>]*\son[a-z]+=`,
		"another host":     `(?i)(?:src|href)="(?:https?:)?//`,
		"a javascript URL": `(?i)javascript:`,
	} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("%s: %q", what, found)
		}
	}
	if style := read(t, web.Files, "index.css"); strings.Contains(style, "url(") || strings.Contains(style, "@import") {
		t.Error("the style sheet loads something")
	}
}

// Each link leads to a file of ours or to a route that the specification knows,
// and each command asks for such a route.
func TestIndex_leadsSomewhere(t *testing.T) {
	page := read(t, web.Files, "index.html")
	routes := read(t, spec.Files, "openapi.yaml")
	for _, m := range regexp.MustCompile(`(?:href|src)="/([^"]*)"|\$URL(/[^"?]*)`).FindAllStringSubmatch(page, -1) {
		if _, err := fs.Stat(web.Files, m[1]); m[1] != "" && err == nil {
			continue
		}
		if route := m[2] + "/" + m[1]; !strings.Contains(routes, "\n  "+strings.TrimSuffix(strings.Replace(route, "//", "/", 1), "/")+":\n") {
			t.Errorf("nothing is at %s", route)
		}
	}
}
