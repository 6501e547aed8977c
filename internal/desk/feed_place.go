package desk

import (
	"strconv"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// Place is the id that a client comes back with.
func (f *Feed) Place() string {
	at := int64(0)
	if !f.place.IsZero() {
		at = f.place.UnixMicro()
	}
	return "f" + strconv.FormatInt(at, 10) + "-" + string(f.address.Root().Tag())
}

// parse reads a place. One of another feed, or of a time to come, is none of ours.
func (f *Feed) parse(place string) (at time.Time, ok bool) {
	digits, tag, _ := strings.Cut(strings.TrimPrefix(place, "f"), "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || tandem.Tag(tag) != f.address.Root().Tag() || place != "f"+strconv.FormatInt(n, 10)+"-"+tag {
		return time.Time{}, false
	}
	if n == 0 {
		return time.Time{}, true
	}
	if at = time.UnixMicro(n).UTC(); at.After(f.desk.clock().Add(feedOverlap)) {
		return time.Time{}, false
	}
	return at, true
}

// quiet reports whether nothing can have come since the last look, so that the
// place moves without one. What rings in this moment is within the overlap; what
// rang before, while the reader was stuck in its socket, was not told yet.
func (f *Feed) quiet() bool {
	return !f.desk.hub.Lossy() && !f.stirred && f.scan == nil && len(f.todo) == 0 && f.watch.LastNotice() == f.noticed
}
