package metric_test

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed4677ff1f/tandem/internal/metric"
)

var update = flag.Bool("update", false, "write testdata/names.txt anew")

func scrape(t *testing.T, set *metric.Set) string {
	t.Helper()
	rec := httptest.NewRecorder()
	set.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// Dashboards and alerts are written against these names: a change of one is a
// change that operators must be told of. Seen to fail by renaming one.
func TestSet_keepsTheNamesThatDashboardsUse(t *testing.T) {
	set := metric.New()
	set.Agent("bot")
	set.Route("GET /healthz")
	help := regexp.MustCompile(`(?m)^# HELP (tandem_.*)$`)
	var names strings.Builder
	for _, m := range help.FindAllStringSubmatch(scrape(t, set), -1) {
		names.WriteString(m[1] + "\n")
	}
	if *update {
		if err := os.WriteFile("testdata/names.txt", []byte(names.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	if names.String() != string(want) {
		t.Errorf("names differ from testdata/names.txt (go test -update writes it):\n%s", names.String())
	}
}

func TestSet_countsWhatItIsTold(t *testing.T) {
	set := metric.New()
	set.Store.Batch.Observe(64)
	set.Store.Commit.Observe(3 * time.Millisecond)
	set.Store.Refusals.Of("held").Inc()
	set.Hub.Streams.Of("chat").Add(2)
	set.Hub.CommitToSocket.Of("events").Observe(200 * time.Microsecond)
	set.Turn.Ended.Of("stop").Inc()
	set.Chat.Frames.Of("chat").Inc()
	set.Agent("bot").Breaker.Set(2)
	set.Agent("bot").Retries.Inc()
	set.Agent("bot").Retries.Inc()
	route := set.Route("GET /api/conversation/{id}")
	route.Done(200, time.Millisecond)
	route.Done(204, time.Millisecond)
	route.Done(500, time.Millisecond)
	route.Done(0, time.Millisecond)
	route.Done(999, time.Millisecond)

	got := scrape(t, set)
	for _, line := range []string{
		"tandem_store_batch_appends_sum 64",
		`tandem_store_commit_seconds_bucket{le="0.0025"} 0`,
		`tandem_store_commit_seconds_bucket{le="0.005"} 1`,
		`tandem_store_refusals_total{reason="held"} 1`,
		`tandem_streams{face="chat"} 2`,
		`tandem_commit_to_socket_seconds_count{face="events"} 1`,
		`tandem_turns_ended_total{finish="stop"} 1`,
		`tandem_chat_frames_total{type="chat"} 1`,
		`tandem_agent_breaker_state{agent="bot"} 2`,
		`tandem_agent_retries_total{agent="bot"} 2`,
		`tandem_http_requests_total{route="GET /api/conversation/{id}",status="2xx"} 2`,
		`tandem_http_requests_total{route="GET /api/conversation/{id}",status="5xx"} 1`,
		`tandem_http_requests_total{route="GET /api/conversation/{id}",status="gone"} 2`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

// A client chooses the type of its frames; it must not choose our labels. Seen
// to fail by letting By.Of ask the vector for whatever it is given.
func TestBy_countsUnlistedValuesAsOther(t *testing.T) {
	set := metric.New()
	before := strings.Count(scrape(t, set), "tandem_chat_frames_total{")
	for _, typ := range []string{"", "evil\n", strings.Repeat("x", 1000), "CHAT"} {
		set.Chat.Frames.Of(typ).Inc()
	}
	got := scrape(t, set)
	if after := strings.Count(got, "tandem_chat_frames_total{"); after != before {
		t.Errorf("%d series became %d", before, after)
	}
	if !strings.Contains(got, `tandem_chat_frames_total{type="other"} 4`) {
		t.Error("unlisted types were not counted as other")
	}
}

func TestSet_sharesNothingWithAnother(t *testing.T) {
	one, two := metric.New(), metric.Discard()
	one.Hub.Rings.Inc()
	if !strings.Contains(scrape(t, two), "\ntandem_hub_rings_total 0\n") {
		t.Error("a ring of one set was counted by another")
	}
}
