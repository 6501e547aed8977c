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

// The page is sent with a policy that forbids all but its own style element; a
// browser leaves out silently what is forbidden. Seen to fail by adding a style
// attribute, an onclick and an image.
func TestIndex_needsNothingThatAStrictPolicyForbids(t *testing.T) {
	page := read(t, web.Files, "index.html")
	for what, pattern := range map[string]string{
		"a script":          `(?i)<script`,
		"a style attribute": `(?i)\sstyle=`,
		"a handler":         `(?i)<[^>]*\son[a-z]+=`,
		"a thing to load":   `(?i)\ssrc=|<link|<iframe|url\(|@import`,
		"another host":      `(?i)href="(?:https?:)?//`,
		"a javascript URL":  `(?i)javascript:`,
	} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("%s: %q", what, found)
		}
	}
}

// Each link leads to a route that the specification knows, and each command asks
// for such a route. Seen to fail by misspelling one of each.
func TestIndex_leadsSomewhere(t *testing.T) {
	page := read(t, web.Files, "index.html")
	routes := read(t, spec.Files, "openapi.yaml")
	var known []string
	for _, path := range regexp.MustCompile(`(?m)^  (/.*):$`).FindAllStringSubmatch(routes, -1) {
		known = append(known, regexp.MustCompile(`\\\{[^/]*\\\}`).ReplaceAllString(regexp.QuoteMeta(path[1]), "[^/]+"))
	}
	some := regexp.MustCompile("^(?:" + strings.Join(known, "|") + ")$")
	for _, m := range regexp.MustCompile(`(?:href|src)="(/[^"]*)"|\$URL(/[^"?]*)`).FindAllStringSubmatch(page, -1) {
		if route := m[1] + m[2]; !some.MatchString(route) {
			t.Errorf("nothing is at %s", route)
		}
	}
}
