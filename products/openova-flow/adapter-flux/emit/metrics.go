package emit

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of an Emitter. Their names and labels are part of the package's interface.
type metrics struct {
	posts     *prometheus.CounterVec // by outcome
	messages  prometheus.Counter
	changes   prometheus.Counter
	dropped   prometheus.Counter
	held      prometheus.Counter
	collapsed prometheus.Counter
	retries   prometheus.Counter
	resyncs   *prometheus.CounterVec // by cause
	backlog   prometheus.Gauge
	success   prometheus.Gauge
	conflict  prometheus.Gauge
	lag       prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const ns = "flow_adapter_"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: ns + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: ns + name, Help: help})
	}
	m := &metrics{
		posts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + "posts_total",
			Help: "POSTs to the flow server, by outcome: ok, refused, conflict, lost, unleased, too_large, limited, denied, error, unanswered."}, []string{"outcome"}),
		messages:  counter("messages_sent_total", "FlowMessages that the server confirmed."),
		changes:   counter("changes_confirmed_total", "Changes of nodes and relationships that the server confirmed."),
		dropped:   counter("changes_dropped_total", "Changes that the server rejected for good. An element is sent again when its value changes."),
		held:      counter("changes_held_total", "Changes that the server rejected at a limit. They are sent again later."),
		collapsed: counter("changes_collapsed_total", "Changes that were replaced by newer ones because too many waited."),
		retries:   counter("post_retries_total", "Repeated POSTs after a failure."),
		resyncs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + "resyncs_total",
			Help: "Comparisons with the server's snapshot, by cause: leading, lost, conflict, periodic."}, []string{"cause"}),
		backlog:  gauge("backlog_changes", "Changes that the server has not confirmed."),
		success:  gauge("last_success_timestamp_seconds", "When a request to the server last succeeded, Unix time."),
		conflict: gauge("cluster_conflict", "1 while another cluster holds this region on the server, and nothing is sent."),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{Name: ns + "confirmation_lag_seconds",
			Help: "Time from when a change was seen until the server confirmed it.", Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 12)}),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.posts, m.messages, m.changes, m.dropped, m.held, m.collapsed, m.retries, m.resyncs, m.backlog, m.success, m.conflict, m.lag} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) confirmed(b *batch, now time.Time) {
	m.messages.Add(float64(len(b.lines)))
	m.changes.Add(float64(len(b.changes)))
	for _, c := range b.changes {
		m.lag.Observe(now.Sub(c.at).Seconds())
	}
}
