package metric_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed4677ff1f/tandem/internal/metric"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is an OTLP endpoint that keeps what it is sent.
type collector struct {
	*httptest.Server
	mu    sync.Mutex // guards paths and body
	paths []string
	body  strings.Builder
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.paths = append(c.paths, r.URL.Path)
		c.body.Write(body)
	}))
	t.Cleanup(c.Close)
	return c
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Seen to fail by leaving the Extract out, and by naming the span by the path.
func TestTracer_sendsRouteAndRequestIdUnderTheCallersTrace(t *testing.T) {
	c := newCollector(t)
	tracer, err := metric.StartTracing(t.Context(), c.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := tracer.Request(t.Context(), http.Header{"Traceparent": {parent}}, "GET /api/conversation/{id}", "req-7")
	kept := metric.Traceparent(ctx)
	_, endAgent := metric.Span(ctx, metric.SpanAgent)
	endAgent(false)
	end(200)
	later, endTurn := tracer.Continue(t.Context(), kept, metric.SpanTurn)
	endTurn(true)
	for _, traceparent := range []string{kept, metric.Traceparent(later)} {
		if !strings.Contains(traceparent, "0af7651916cd43dd8448eb211c80319c") {
			t.Errorf("traceparent %q is not of the caller's trace", traceparent)
		}
	}
	if err := tracer.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, want := range []string{"GET /api/conversation/{id}", "req-7", "agent.call", "turn"} {
		if !strings.Contains(c.body.String(), want) {
			t.Errorf("the collector was not sent %q", want)
		}
	}
	if c.paths[0] != "/v1/traces" {
		t.Errorf("sent to %s", c.paths[0])
	}
}

func TestTracer_isOffWithoutAnAddress(t *testing.T) {
	tracer, err := metric.StartTracing(t.Context(), "")
	if err != nil || tracer != nil {
		t.Fatal(tracer, err)
	}
	ctx, end := tracer.Request(t.Context(), http.Header{"Traceparent": {parent}}, "GET /", "req-1")
	end(200)
	ctx, endTurn := tracer.Continue(ctx, parent, metric.SpanTurn)
	endTurn(false)
	ctx, endSpan := metric.Span(ctx, metric.SpanAgent)
	endSpan(false)
	if got := metric.Traceparent(ctx); got != "" {
		t.Errorf("made traceparent %q", got)
	}
	if err := tracer.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestStartTracing_refusesWhatIsNoAddress(t *testing.T) {
	for _, bad := range []string{"collector:4318", "grpc://collector", "http://", "://", "/v1/traces"} {
		if tracer, err := metric.StartTracing(t.Context(), bad); err == nil {
			t.Errorf("%q was accepted", bad)
			tracer.Stop(t.Context())
		}
	}
}
