package metric

import "github.com/prometheus/client_golang/prometheus"

// The buckets, in seconds. What happens inside the server is fast, what waits
// for a model is slow.
var (
	fast = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .015, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	slow = []float64{.01, .025, .05, .1, .25, .5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300}
)

// Face labels, as tandem.Face.String writes them.
var faces = []string{"events", "session", "conversation", "chat", "board", "feed"}

// A maker makes metrics and registers them; two of one name are a mistake in
// this file and panic at the first start.
type maker struct{ in *prometheus.Registry }

func (m maker) store() Store {
	return Store{
		Batch:   m.histogram("tandem_store_batch_appends", "Appends committed in one transaction.", prometheus.ExponentialBuckets(1, 2, 10)),
		Commit:  m.seconds("tandem_store_commit_seconds", "Time to write and commit one batch.", fast),
		Appends: m.counter("tandem_store_appends_total", "Appends that were committed."),
		Refusals: m.counterBy("tandem_store_refusals_total", "Appends refused, by reason.", "reason",
			"mismatch", "held", "conflict", "not-found", "too-large", "disk-full", "failed"),
		DiskFull: m.gauge("tandem_store_disk_full", "1 while writes are refused because the disk is full."),
		Trimmed:  m.counter("tandem_store_trimmed_events_total", "Events removed by retention."),
	}
}

func (m maker) hub() Hub {
	return Hub{
		Rings:          m.counter("tandem_hub_rings_total", "Threads told of as changed."),
		Deltas:         m.counter("tandem_hub_deltas_total", "Token deltas that came in."),
		DeltasLost:     m.counter("tandem_hub_deltas_lost_total", "Token deltas that a follower got from the log instead."),
		TailMisses:     m.counter("tandem_hub_tail_misses_total", "Reads that the tail in memory could not serve."),
		Streams:        m.gaugeBy("tandem_streams", "Open streams and sockets, by face.", "face", faces...),
		Heartbeats:     m.counter("tandem_heartbeats_total", "Heartbeats written."),
		Stalled:        m.counter("tandem_streams_stalled_total", "Streams closed because they took no byte for too long."),
		CommitToSocket: m.secondsBy("tandem_commit_to_socket_seconds", "Time from an event's commit until its frame was written, by face.", fast, "face", faces...),
	}
}

func (m maker) turn() Turn {
	return Turn{
		Queued:  m.gauge("tandem_turns_queued", "Questions that wait for their turn."),
		Running: m.gauge("tandem_turns_running", "Answers being written."),
		Ended: m.counterBy("tandem_turns_ended_total", "Answers ended, by how.", "finish",
			"stop", "cancelled", "error", "interrupted", "failed", "later"),
	}
}

func (m maker) auth() Auth {
	return Auth{
		Failures: m.counterBy("tandem_auth_failures_total", "Credentials refused, by reason.", "reason",
			"none", "malformed", "signature", "expired", "not-yet", "revoked", "issuer", "audience", "tenant", "role", "ticket", "unknown", "password", "forbidden"),
	}
}

func (m maker) http() HTTP {
	return HTTP{
		Limited: m.counterBy("tandem_rate_limited_total", "Requests and frames refused by a limit.", "limit",
			"requests", "posts", "streams", "address", "logins", "key", "body"),
		Posts: m.counterBy("tandem_posts_total", "Posts accepted, by message type.", "type",
			"chat", "data", "handoff", "file", "reasoning", "tool", "session"),
	}
}

func (m maker) chat() Chat {
	return Chat{
		Frames: m.counterBy("tandem_chat_frames_total", "Frames from chat clients, by type.", "type",
			"chat", "human-escalation", "ping", "cancel", "typing", "read", "feedback", "resume", "auth", "invalid"),
	}
}

func (m maker) counter(name, help string) Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.in.MustRegister(c)
	return c
}

func (m maker) gauge(name, help string) Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	m.in.MustRegister(g)
	return g
}

func (m maker) histogram(name, help string, buckets []float64) Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.in.MustRegister(h)
	return h
}

func (m maker) seconds(name, help string, buckets []float64) Seconds {
	return Seconds{m.histogram(name, help, buckets)}
}

func (m maker) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.in.MustRegister(v)
	return v
}

func (m maker) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.in.MustRegister(v)
	return v
}

func (m maker) secondsVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.in.MustRegister(v)
	return v
}

func (m maker) counterBy(name, help, label string, values ...string) By[Counter] {
	v := m.counterVec(name, help, label)
	return by(values, func(value string) Counter { return v.WithLabelValues(value) })
}

func (m maker) gaugeBy(name, help, label string, values ...string) By[Gauge] {
	v := m.gaugeVec(name, help, label)
	return by(values, func(value string) Gauge { return v.WithLabelValues(value) })
}

func (m maker) secondsBy(name, help string, buckets []float64, label string, values ...string) By[Seconds] {
	v := m.secondsVec(name, help, buckets, label)
	return by(values, func(value string) Seconds { return Seconds{v.WithLabelValues(value)} })
}

func by[M any](values []string, of func(string) M) By[M] {
	b := By[M]{each: make(map[string]M, len(values)), other: of("other")}
	for _, value := range values {
		b.each[value] = of(value)
	}
	return b
}
