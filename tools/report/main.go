// Command report reads the output of `go test -json` and prints a line for each
// package, everything that a failed test said, and the names of skipped tests.
// Its last line counts: "412 passed, 0 failed", a subtest counting as a test,
// and a package that does not build or dies outside a test as one that failed.
//
// It ends with 1 if anything failed, if nothing ran at all, or if its input is
// not what go test writes. With TANDEM_TEST_ALL set a skipped test is a failure.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// An event is a line of `go test -json`, see go doc test2json.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of a build
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

func main() {
	if !report(os.Stdin, os.Stdout, os.Getenv("TANDEM_TEST_ALL") != "") {
		os.Exit(1)
	}
}

// A tally is what was seen so far.
type tally struct {
	out            io.Writer
	output         map[string][]string // what was said, by package and test; of builds by import path
	failedIn       map[string]int      // failed tests by package
	open           map[string]bool     // packages that began and have not ended
	skipped        []string
	passed, failed int
	finished       int // packages
}

func report(in io.Reader, out io.Writer, skipFails bool) bool {
	t := tally{out: out, output: make(map[string][]string), failedIn: make(map[string]int), open: make(map[string]bool)}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprint(out, line)
				t.failed++
			} else {
				t.add(e)
			}
		}
		if err != nil {
			break
		}
	}
	for name := range t.open {
		fmt.Fprintf(out, "FAIL %s never ended\n", name)
		t.failed++
	}
	if len(t.skipped) > 0 {
		fmt.Fprintf(out, "%d skipped: %s\n", len(t.skipped), strings.Join(t.skipped, ", "))
		if skipFails {
			fmt.Fprintln(out, "A skipped test is a failure here: all that tests need was installed.")
			t.failed += len(t.skipped)
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", t.passed, t.failed)
	return t.failed == 0 && t.finished > 0
}

func (t *tally) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "start":
		t.open[e.Package] = true
	case "output":
		t.output[key] = append(t.output[key], e.Output)
	case "build-output":
		t.output[e.ImportPath] = append(t.output[e.ImportPath], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			t.packageDone(e)
		} else {
			t.testDone(e, key)
		}
	}
}

func (t *tally) testDone(e event, key string) {
	switch e.Action {
	case "pass":
		t.passed++
	case "skip":
		if !strings.Contains(e.Test, "/") { // a subtest may skip one case of many
			t.skipped = append(t.skipped, e.Test)
		}
	case "fail":
		t.failed++
		t.failedIn[e.Package]++
		fmt.Fprintf(t.out, "FAIL %s %s\n%s", e.Package, e.Test, strings.Join(t.output[key], ""))
	}
	delete(t.output, key)
}

func (t *tally) packageDone(e event) {
	t.finished++
	delete(t.open, e.Package)
	if e.Action == "fail" {
		fmt.Fprintf(t.out, "FAIL %s\n", e.Package)
		if t.failedIn[e.Package] == 0 {
			t.failed++
			t.tellAll(e)
		}
	} else if e.Action == "pass" {
		fmt.Fprintf(t.out, "ok   %-60s %6.1fs\n", e.Package, e.Elapsed)
	}
	for key := range t.output {
		if strings.HasPrefix(key, e.Package+" ") {
			delete(t.output, key)
		}
	}
}

// tellAll prints what a package said whose tests did not tell why it failed: it
// did not build, a test never ended, or a goroutine was left.
func (t *tally) tellAll(e event) {
	fmt.Fprint(t.out, strings.Join(t.output[e.FailedBuild], ""))
	for key, said := range t.output {
		if strings.HasPrefix(key, e.Package+" ") {
			fmt.Fprint(t.out, strings.Join(said, ""))
		}
	}
}
