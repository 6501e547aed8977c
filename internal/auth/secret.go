package auth

import (
	"fmt"
	"log/slog"
	"regexp"
)

// redacted stands where a credential would have been printed.
const redacted = "[redacted]"

// A Secret is a string that must never be printed: however it is formatted,
// logged or encoded, it shows as [redacted]. Only [Secret.Reveal] gives it away.
type Secret string

// Reveal returns the secret itself, to hand it to whom it belongs.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string { return redacted }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return redacted }

// Format hides the secret from every verb, the wrong ones too.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the secret from encoders: a struct that holds one by mistake
// is harmless, and one that must show it has to call Reveal.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// credentials finds what looks like a credential inside of other text.
var credentials = regexp.MustCompile(`\b(?:sk|tk|ln)-[A-Za-z0-9_-]{8,}|\beyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*`)

// Redact replaces everything in s that has the form of a credential.
func Redact(s string) string { return credentials.ReplaceAllString(s, redacted) }

// RedactAttr is for [slog.HandlerOptions].ReplaceAttr: the last fence, for
// credentials inside of texts and errors that come from elsewhere.
func RedactAttr(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(Redact(a.Value.String()))
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			a.Value = slog.StringValue(Redact(v.Error()))
		case fmt.Stringer:
			a.Value = slog.StringValue(Redact(v.String()))
		case string:
			a.Value = slog.StringValue(Redact(v))
		case []byte:
			a.Value = slog.StringValue(Redact(string(v)))
		}
	}
	return a
}
