package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A browser is a real one with a page of the test. The page is on another origin
// than Tandem, as pages are.
type browser struct {
	t    *testing.T
	site *httptest.Server
	do   chan string // what the page shall do next

	mu     sync.Mutex // guards html, policy, said
	html   string
	policy string
	said   map[string]chan json.RawMessage // what the page told, by kind
}

// browse opens a browser on a page with these parts: scripts, or elements if they
// begin with <. It believes any certificate.
func browse(t *testing.T, parts ...string) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("-short needs only Go; this starts a browser")
	}
	chromium := need(t, "chromium", "a browser", "chromium")
	b := &browser{t: t, do: make(chan string), said: make(map[string]chan json.RawMessage)}
	b.site = httptest.NewServer(b)
	b.page(parts...)
	cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--ignore-certificate-errors",
		"--user-data-dir="+t.TempDir(), b.site.URL)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	log, gone := run(t, cmd)
	began := false
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-gone:
		case <-time.After(patience):
			t.Error("chromium does not end")
		}
		if !began {
			t.Logf("chromium said:\n%s", log)
		}
		b.site.CloseClientConnections()
		b.site.Close()
	})
	b.next("loaded")
	began = true
	return b
}

// page is what the browser is shown when it next loads the page.
func (b *browser) page(parts ...string) {
	b.t.Helper()
	var html strings.Builder
	html.WriteString("<!doctype html>\n<html lang=en><meta charset=utf-8><link rel=icon href=data:>\n")
	for _, part := range append([]string{b.driver()}, parts...) {
		if !strings.HasPrefix(part, "<") {
			part = "<script>" + part + "</script>"
		}
		html.WriteString(part + "\n")
	}
	html.WriteString("<script>say('loaded')</script>\n")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.html = html.String()
}

// sandbox takes its origin from the page that is shown next, as if it were a file
// on a disk.
func (b *browser) sandbox() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.policy = "sandbox allow-scripts allow-forms"
}

// driver is the script by which a page and the test speak with each other.
func (b *browser) driver() string {
	return strings.ReplaceAll(testdata(b.t, "driver.js"), "TEST", b.site.Listener.Addr().String())
}

// reload loads the page anew, as a user does.
func (b *browser) reload() {
	b.t.Helper()
	b.tell("location.reload()")
	b.next("loaded")
}

// tell lets the page run a script.
func (b *browser) tell(script string) {
	b.t.Helper()
	select {
	case b.do <- script:
	case <-time.After(patience):
		b.t.Fatalf("the page does not ask what to do")
	}
}

// ServeHTTP is the site of the page: anybody may ask, so that pages without an
// origin can too.
func (b *browser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Cache-Control", "no-store")
	switch r.URL.Path {
	case "/said":
		var said struct {
			Kind string
			What json.RawMessage
		}
		if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
			b.t.Errorf("the page tells: %v", err)
			return
		}
		if said.Kind == "uncaught" {
			b.t.Errorf("an error in the page: %s", said.What)
		}
		b.heard(said.Kind) <- said.What
	case "/do":
		select {
		case script := <-b.do:
			_, _ = io.WriteString(w, script)
		case <-r.Context().Done():
		}
	default:
		b.mu.Lock()
		defer b.mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", b.policy)
		_, _ = io.WriteString(w, b.html)
	}
}

func (b *browser) heard(kind string) chan json.RawMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.said[kind] == nil {
		b.said[kind] = make(chan json.RawMessage, 1<<12)
	}
	return b.said[kind]
}

// next waits for the next thing of a kind that the page tells, and puts it into
// the values, in order.
func (b *browser) next(kind string, values ...any) {
	b.t.Helper()
	select {
	case what := <-b.heard(kind):
		if err := json.Unmarshal(what, &values); err != nil {
			b.t.Fatalf("%s %s: %v", kind, what, err)
		}
	case <-time.After(patience):
		b.mu.Lock()
		defer b.mu.Unlock()
		var had []string
		for other, list := range b.said {
			had = append(had, fmt.Sprintf("%d %s", len(list), other))
		}
		b.t.Fatalf("the page does not tell %s in %v; there is: %s", kind, patience, strings.Join(had, ", "))
	}
}

// text waits for the next thing of a kind, which is a text.
func (b *browser) text(kind string) (text string) {
	b.t.Helper()
	b.next(kind, &text)
	return text
}

// none reports an error if the page told something of this kind that nobody
// asked for. What comes later is not seen: wait for something behind it first.
func (b *browser) none(kind string) {
	b.t.Helper()
	select {
	case what := <-b.heard(kind):
		b.t.Errorf("one too many: %s %s", kind, what)
	default:
	}
}

// testdata is a file of testdata/e2e.
func testdata(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "e2e", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// document is an example of the documents with host and credential filled in, and
// nothing else changed.
func document(t *testing.T, name, host, key string) string {
	t.Helper()
	text := strings.NewReplacer("https://api.example.com", "http://"+host, "ws://localhost:3001", "ws://"+host, "sk-key", key).
		Replace(testdata(t, name))
	return text
}

// documentJSON is a JSON example of the documents.
func documentJSON(t *testing.T, name string) (example map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(testdata(t, name)), &example); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return example
}
