package turn

import "unicode/utf8"

// A joiner makes whole runes of text that was cut anywhere. What can be no rune
// becomes U+FFFD, one for each byte, so that the result does not depend on where
// the cuts were.
type joiner struct {
	part [utf8.UTFMax]byte // the beginning of a rune
	n    int
}

// add returns the whole runes that there are with s, and keeps the rest.
func (j *joiner) add(s string) string {
	if j.n > 0 {
		s = string(j.part[:j.n]) + s
	}
	j.n = copy(j.part[:], s[len(s)-partial(s):])
	return whole(s[:len(s)-j.n])
}

// rest returns what is left at the end of the text.
func (j *joiner) rest() string {
	s := string(j.part[:j.n])
	j.n = 0
	return whole(s)
}

// partial is how many bytes at the end of s begin a rune that more bytes could
// make whole.
func partial(s string) int {
	for n := 1; n < utf8.UTFMax && n <= len(s); n++ {
		if tail := s[len(s)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRuneInString(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

func whole(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// prefix is the longest part of s in whole runes that is at most max bytes long.
func prefix(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}
