package main

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed4677ff1f/tandem"
)

var update = flag.Bool("update", false, "write the generated files anew")

func noEnv(string) (string, bool) { return "", false }

func TestConfig_isTheSameAsItsPage(t *testing.T) {
	const page = "../../docs/config.md"
	if *update {
		if err := os.WriteFile(page, []byte(configDocs()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), configDocs()); diff != "" {
		t.Errorf("docs/config.md is not what the table says; make docs writes it:\n%s", diff)
	}
}

// Every row must say what it does, since when, and be reachable by its name.
func TestConfig_rowsAreComplete(t *testing.T) {
	for _, r := range rows(&Config{}) {
		if r.name == "" || r.tag.Get("help") == "" || r.tag.Get("since") == "" {
			t.Errorf("row %q lacks name, help or since", r.name)
		}
	}
	for _, nested := range []any{&AgentConfig{}, &IssuerConfig{}, &ClaimsConfig{}} {
		for _, r := range rows(nested) {
			if r.name == "" || r.tag.Get("help") == "" {
				t.Errorf("row %q of %T lacks name or help", r.name, nested)
			}
		}
	}
}

// The defaults of the table and of the vocabulary are the same numbers.
func TestConfig_defaultLimitsAreTheDocumentedOnes(t *testing.T) {
	c, err := source{env: noEnv}.load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tandem.DefaultLimits(), c.Limits()); diff != "" {
		t.Error(diff)
	}
	c, err = source{env: noEnv, flags: Config{MaxStreams: 3}, given: map[string]bool{"max-streams": true}}.load()
	if err != nil || c.Limits().Streams != 3 {
		t.Error(c.Limits().Streams, err)
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "30s": 30 * time.Second, "15m": 15 * time.Minute, "24h": 24 * time.Hour, "180d": 180 * day,
		"1d": day, "90m": 90 * time.Minute, "1h30m": 90 * time.Minute, "250ms": 250 * time.Millisecond, "106751d": 106751 * day,
	} {
		got, err := parseDuration(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if again, err := parseDuration(formatDuration(got)); err != nil || again != got {
			t.Errorf("%q is written %q, which is read as %v", text, formatDuration(got), again)
		}
	}
	for _, text := range []string{"", "5", "d", "-5s", "-1d", "1.5d", "1 d", "5 minutes", "106752d", "99999999999d", "1w", "NaNs"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]tandem.Rate{
		"0": {}, "200/1m": {N: 200, Per: time.Minute}, "1/1d": {N: 1, Per: day}, "10/500ms": {N: 10, Per: 500 * time.Millisecond},
		"2147483647/1s": {N: math.MaxInt32, Per: time.Second},
	} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "200", "200/", "/1m", "200/0", "200/m", "-1/1m", "0/1m", "2147483648/1s", "1/1m/1m", "1.5/1m"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.3/8": "10.0.0.0/8", "127.0.0.1": "127.0.0.1/32", "::1": "::1/128", "fd00::/8": "fd00::/8",
	} {
		if got, err := parsePrefix(text); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "10.0.0.0/33", "localhost", "fe80::1%eth0", "10.0.0"} {
		if got, err := parsePrefix(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestNearest_isTheFewestEditsAway(t *testing.T) {
	table := map[string]row{"retention": {}, "drain": {}, "rate": {}, "data": {}}
	for key, want := range map[string]string{"retenton": "retention", "dran": "drain", "Rate": "rate", "rtae": "rate", "date": "data"} {
		if got := nearest(key, table); got != want {
			t.Errorf("%q: %q", key, got)
		}
	}
	for pair, want := range map[[2]string]int{
		{"", ""}: 0, {"", "abc"}: 3, {"abc", ""}: 3, {"kitten", "sitting"}: 3, {"flaw", "lawn"}: 2, {"same", "same"}: 0,
	} {
		if got := distance(pair[0], pair[1]); got != want {
			t.Errorf("%q: %d, want %d", pair, got, want)
		}
	}
}

// SIGHUP re-reads the lists and nothing else. Seen to fail by marking drain as
// one that reloads.
func TestConfig_reloadsListsAndNamesTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.yaml")
	load := func(text string) (Config, error) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return source{file: path, env: noEnv}.load()
	}
	running, err := load("drain: 5s\norigins: ['*']\nagents: [{name: a, url: none}]\n")
	if err != nil {
		t.Fatal(err)
	}
	next, err := load("drain: 9s\nrate: 1/1m\norigins: ['https://a.example']\ntrusted_proxies: 10.0.0.0/8\n" +
		"agents: [{name: b, url: push}]\nissuers: [{issuer: 'https://i.example', jwks: 'https://i.example/k', tenant: t}]\n")
	if err != nil {
		t.Fatal(err)
	}
	got, waiting := running.reload(next)
	if want := []string{"drain", "rate"}; !reflect.DeepEqual(waiting, want) {
		t.Errorf("waiting for a restart: %v, want %v", waiting, want)
	}
	if got.Drain != 5*time.Second || got.Rate != running.Rate {
		t.Error("an option changed that cannot while running")
	}
	if diff := cmp.Diff(next.Agents, got.Agents); diff != "" {
		t.Error(diff)
	}
	if got.Origins[0] != "https://a.example" || len(got.Issuers) != 1 || len(got.TrustedProxies) != 1 {
		t.Errorf("the lists were not taken over: %+v", got)
	}
	if running.Agents[0].Name != "a" {
		t.Error("the running configuration was written to")
	}
	if _, err := load("origins: [nonsense]\n"); err == nil {
		t.Error("a file with a mistake was taken")
	}
}

// Every option can be said in each of its three ways, means the same, and is not
// its default. Seen to fail by giving one example the default's value.
func TestConfig_flagVariableAndFileAgree(t *testing.T) {
	defaults, err := source{env: noEnv}.load()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows(&Config{}) {
		value := r.tag.Get("example")
		if r.name == "texts" { // must exist
			value = filepath.Join(t.TempDir(), "texts.yaml")
			if err := os.WriteFile(value, []byte("de: {person_soon: Gleich.}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if r.fileOnly() || r.name == "tls_cert" || r.name == "tls_key" {
			continue // the tables are tried by the scripts, the pair needs both
		}
		path := filepath.Join(t.TempDir(), "tandem.yaml")
		if err := os.WriteFile(path, []byte(r.name+": \""+value+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		fromFile, err := source{file: path, env: noEnv}.load()
		if err != nil {
			t.Errorf("%s in the file: %v", r.name, err)
		}
		only := func(name string) (string, bool) {
			if name == r.variable() {
				return value, true
			}
			return "", false
		}
		fromEnv, err := source{env: only}.load()
		if err != nil {
			t.Errorf("%s: %v", r.variable(), err)
		}
		var c commands
		parsed, err := newParser(&c).Parse([]string{"serve", "--" + r.flag(), value})
		if err != nil {
			t.Fatal(err)
		}
		s := &session{env: noEnv, given: map[string]bool{parsed.Path[len(parsed.Path)-1].Flag.Name: true}}
		fromFlag, err := c.Serve.source(s).load()
		if err != nil {
			t.Errorf("--%s: %v", r.flag(), err)
		}
		if reflect.DeepEqual(fromFile, defaults) {
			t.Errorf("%s = %q changes nothing", r.name, value)
		}
		if !reflect.DeepEqual(fromFile, fromEnv) || !reflect.DeepEqual(fromFile, fromFlag) {
			t.Errorf("%s = %q differs:\nfile %+v\nvariable %+v\nflag %+v", r.name, value, fromFile, fromEnv, fromFlag)
		}
	}
}
