package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/goccy/go-yaml"

	tandem "github.com/seed4677ff1f/tandem"
)

// Texts are the sentences that participants see, by language: a BCP 47 tag in
// lower case, such as "en" or "pt-br".
type Texts map[string]Sentences

// Sentences are what participants are told in one language.
type Sentences struct {
	PersonSoon   string `yaml:"person_soon"`    // a person was asked for, and somebody is on duty
	NobodyOnDuty string `yaml:"nobody_on_duty"` // a person was asked for, and nobody is
}

// defaultSentences are those of the published document, and of ours.
func defaultSentences() Sentences {
	return Sentences{
		PersonSoon:   "A human agent will contact you soon.",
		NobodyOnDuty: "Nobody is on duty now. We keep your message.",
	}
}

// ParseTexts reads the file of the option texts: YAML, for each language the
// sentences that differ from the built-in ones. The wiring calls it at the start.
func ParseTexts(file []byte) (Texts, error) {
	var read Texts
	if err := yaml.UnmarshalWithOptions(file, &read, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("texts: %s", yaml.FormatError(err, false, true))
	}
	texts := Texts{}
	for tag, s := range read {
		low := strings.ToLower(tag)
		if locale(low) == "" {
			return nil, fmt.Errorf("texts: %q is no language", tag)
		}
		if _, twice := texts[low]; twice {
			return nil, fmt.Errorf("texts: %q is there twice", low)
		}
		texts[low] = s
	}
	return texts, nil
}

// of returns the sentences for a language: its own, those of the language without
// its region, the file's English ones, the built-in ones.
func (t Texts) of(tag string) Sentences {
	s := defaultSentences()
	tag = strings.ToLower(tag)
	primary, _, _ := strings.Cut(tag, "-")
	for _, tag := range []string{"en", primary, tag} {
		own := t[tag]
		if own.PersonSoon != "" {
			s.PersonSoon = own.PersonSoon
		}
		if own.NobodyOnDuty != "" {
			s.NobodyOnDuty = own.NobodyOnDuty
		}
	}
	return s
}

// localeOf is the language that a person reads, as a tag: the token's claim
// locale, else lang in the query, else the first of Accept-Language; empty if
// nobody says.
func localeOf(p tandem.Principal, r *http.Request) string {
	claim, _ := p.Claims["locale"].(string)
	first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	first, _, _ = strings.Cut(first, ";")
	for _, tag := range []string{claim, r.URL.Query().Get("lang"), first} {
		if tag = locale(tag); tag != "" {
			return tag
		}
	}
	return ""
}

// locale returns s if it can be a language tag (RFC 5646: letters, digits and
// hyphens), with a hyphen where some write "pt_BR"; else nothing.
func locale(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "_", "-")
	if len(s) < 2 || len(s) > 35 || s[0] == '-' {
		return ""
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return ""
		}
	}
	return s
}
