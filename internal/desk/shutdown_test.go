package desk_test

import (
	"strings"
	"testing"

	"github.com/seed4677ff1f/tandem/internal/desk"
)

// A server that ends waits for the answers under way; whoever watched one sees
// its end before the stream's, also when both come in the same moment. Broken by
// looking at the end of the stream first, and by waiting for one more bell after it.
func TestShutdown_comesAfterTheEndOfAnAnswer(t *testing.T) {
	feed := make(scripted, 10)
	o := open(t, setup{agents: answeredBy(feed)})
	r, idle := o.follows(chatOf("ann")), o.follows(chatOf("bob"))
	ended := make(chan string)
	go func() { ended <- idle.next().Ended }() // waits, long before anything rings
	o.says("ann", "hi")
	feed <- "Good "
	r.until("Good ")
	feed <- "bye."
	close(feed)
	o.turns.Stop(t.Context())
	if n := o.desk.Shutdown(); n != 2 {
		t.Errorf("%d streams were asked to end", n)
	}
	var b desk.Batch
	for b = r.next(); b.Ended == ""; b = r.next() {
		if b.Frames == nil {
			t.Fatalf("%+v", b)
		}
	}
	if b.Ended != desk.EndShutdown || !strings.HasSuffix(r.seen.String(), "<Good bye.[4 stop]") {
		t.Errorf("ended (%s) after %q", b.Ended, r.seen.String())
	}
	if why := <-ended; why != desk.EndShutdown {
		t.Errorf("who has nothing to see: %q", why)
	}
}
