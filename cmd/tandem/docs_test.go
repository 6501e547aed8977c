package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are the texts that tell people what to type.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*/*.md", "web/*.html"} {
		names, err := filepath.Glob(filepath.Join("../..", filepath.FromSlash(pattern)))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found[name] = html.UnescapeString(string(text))
		}
	}
	return found
}

// Each command that a page tells people to type must be one: its flags exist and
// nothing that it needs is missing. Seen to fail by a flag that does not exist.
func TestDocs_commandsAreUnderstood(t *testing.T) {
	command := regexp.MustCompile("(?m)(?:^ {0,4}(?:[A-Z_]+=\\S+ )?|\\$\\()(tandem (?:serve|demo|token|key|revoke|secret|tail|config|version)\\b[^\n|]*)")
	tried := 0
	for name, text := range pages(t) {
		for _, found := range command.FindAllStringSubmatch(text, -1) {
			args := words(found[1])
			if len(args) == 2 && (args[1] == "key" || args[1] == "secret") {
				continue // the name of a group, in a sentence
			}
			var c commands
			if _, err := newParser(&c).Parse(args[1:]); err != nil {
				t.Errorf("%s: %q: %v", name, found[1], err)
			}
			tried++
		}
	}
	if tried < 10 {
		t.Errorf("only %d commands were found", tried)
	}
}

// Seen to fail by a target that does not exist.
func TestDocs_makeTargetsExist(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile("(?m)(?:^ {4}|`)make ([a-z-]+)")
	for name, text := range pages(t) {
		for _, found := range target.FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile("(?m)^" + found[1] + ":").Match(makefile) {
				t.Errorf("%s: make %s is no target", name, found[1])
			}
		}
	}
}

// words splits a command line as a shell would, up to a comment or a closing
// parenthesis.
func words(line string) (list []string) {
	for _, m := range regexp.MustCompile(`'([^']*)'|"([^"]*)"|([^\s'")]+)|(\))`).FindAllStringSubmatch(line, -1) {
		word := m[1] + m[2] + m[3]
		if m[4] != "" || word == "#" || word == "&" || word == "\\" {
			return list
		}
		list = append(list, word)
	}
	return list
}

// Each piece of a configuration file that a page shows must be one. Seen to fail
// by a key that does not exist.
func TestDocs_configurationsAreUnderstood(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	file("prompts/faq.txt", "Be short.\n")
	file("login.pem", publicKey(t))
	env := func(name string) (string, bool) {
		if strings.HasPrefix(name, "TANDEM_") {
			return "", false
		}
		return "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", true
	}
	tried := 0
	for name, text := range pages(t) {
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
			if _, err := (source{file: file("tandem.yaml", block[1]), env: env}).load(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, block[1])
			}
			tried++
		}
	}
	if tried < 1 {
		t.Error("no configuration was found")
	}
}

// publicKey is a fresh one, as PEM.
func publicKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
