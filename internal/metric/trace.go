package metric

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// SpanName names a span. Names are fixed: what varies is the route pattern and
// the request id, and nothing else is ever put on a span.
type SpanName string

// The spans that Tandem makes, besides one per request, which is named by its
// route pattern.
const (
	SpanTurn  SpanName = "turn"       // one answer, from question to end
	SpanAgent SpanName = "agent.call" // one call of an agent
)

// A Tracer makes spans and sends them to a collector. A nil Tracer makes none:
// every method may be called on it.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// StartTracing sends traces to the OTLP collector at otlpURL
// (http://collector:4318). With an empty URL it returns nil, which makes no
// spans. It does not wait for the collector: one that is away costs spans and
// nothing else. The caller must call [Tracer.Stop].
func StartTracing(ctx context.Context, otlpURL string) (*Tracer, error) {
	if otlpURL == "" {
		return nil, nil
	}
	u, err := url.Parse(otlpURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("otlp: want a URL such as http://collector:4318")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces" // where OTLP over HTTP puts traces
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()))
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "tandem"))),
	)
	return &Tracer{provider, provider.Tracer("tandem")}, nil
}

// Stop sends what is left and ends the Tracer's goroutines; ctx bounds the wait.
func (t *Tracer) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Request begins the span of a request, as a child of the caller's if header
// has a traceparent (W3C Trace Context). The pattern is the route's, never a
// path. The caller calls end once with the status sent.
func (t *Tracer) Request(ctx context.Context, header http.Header, pattern, requestID string) (_ context.Context, end func(status int)) {
	if t == nil {
		return ctx, func(int) {}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(header))
	ctx, span := t.tracer.Start(ctx, pattern, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.route", pattern), attribute.String("request.id", requestID)))
	return ctx, func(status int) {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= 500 {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// Continue begins a span under a traceparent that was kept, such as an event's:
// for work that outlives the request which asked for it. An empty or malformed
// traceparent begins a trace of its own.
func (t *Tracer) Continue(ctx context.Context, traceparent string, name SpanName) (_ context.Context, end func(failed bool)) {
	if t == nil {
		return ctx, func(bool) {}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
	return begin(ctx, t.tracer, name)
}

// Span begins a span below the one in ctx; without one it does nothing, so that
// packages need no Tracer to take part in a trace. The caller calls end once.
// What an error says is not recorded: it may hold a text.
func Span(ctx context.Context, name SpanName) (_ context.Context, end func(failed bool)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(bool) {}
	}
	return begin(ctx, parent.TracerProvider().Tracer("tandem"), name)
}

func begin(ctx context.Context, tracer trace.Tracer, name SpanName) (context.Context, func(failed bool)) {
	ctx, span := tracer.Start(ctx, string(name))
	return ctx, func(failed bool) {
		if failed {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// Traceparent is the W3C traceparent of the span in ctx, to keep with an event
// or to send to an agent; empty without one.
func Traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}
