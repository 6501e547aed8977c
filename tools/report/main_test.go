package main

import (
	"strings"
	"testing"
)

const good = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Elapsed":1.5}
`

// A report that cannot fail would be worse than none: each row is a way in
// which go test says that something is wrong.
func TestReport(t *testing.T) {
	skip := strings.Replace(good, `"pass","Package":"p","Test":"TestA"}`, `"skip","Package":"p","Test":"TestA"}`, 1)
	for name, c := range map[string]struct {
		in        string
		skipFails bool
		ok        bool
		says      []string
	}{
		"all passed":           {good, true, true, []string{"ok   p", "2 passed, 0 failed\n"}},
		"nothing ran":          {"", false, false, []string{"0 passed, 0 failed\n"}},
		"a skip":               {skip, false, true, []string{"1 skipped: TestA\n", "1 passed, 0 failed\n"}},
		"a skip where none is": {skip, true, false, []string{"1 passed, 1 failed\n"}},
		"a test failed": {
			strings.Replace(good, `"pass","Package":"p","Test":"TestA"}`, `"fail","Package":"p","Test":"TestA"}`, 1),
			false, false,
			[]string{"FAIL p TestA\nchatter\n", "1 passed, 1 failed\n"},
		},
		"a package failed after its tests": {
			strings.Replace(good, `"pass","Package":"p","Elapsed"`, `"output","Package":"p","Output":"leak!\n"}`+"\n"+`{"Action":"fail","Package":"p","Elapsed"`, 1),
			false, false,
			[]string{"leak!", "FAIL p\n", "2 passed, 1 failed\n"},
		},
		"a package does not build": {
			`{"ImportPath":"p [p.test]","Action":"build-output","Output":"undefined: x\n"}` + "\n" +
				`{"Action":"start","Package":"p"}` + "\n" + `{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}` + "\n",
			false, false,
			[]string{"undefined: x", "0 passed, 1 failed\n"},
		},
		"a package never ended": {good + `{"Action":"start","Package":"q"}` + "\n", false, false, []string{"FAIL q never ended", "2 passed, 1 failed\n"}},
		"not JSON":              {good + "go: no such tool\n", false, false, []string{"go: no such tool\n", "2 passed, 1 failed\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if ok := report(strings.NewReader(c.in), &out, c.skipFails); ok != c.ok {
				t.Errorf("ok = %v", ok)
			}
			for _, want := range c.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("does not say %q:\n%s", want, out.String())
				}
			}
			if !strings.HasSuffix(out.String(), "failed\n") {
				t.Error("the count is not the last line")
			}
		})
	}
}
