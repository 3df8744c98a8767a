package watch

import "github.com/prometheus/client_golang/prometheus"

// Metrics has the metrics of a Watcher, a Pump and a Leader. It is a prometheus.Collector.
type Metrics struct {
	events, watchErrors *prometheus.CounterVec
	mappingErrors       prometheus.Counter
	leading             prometheus.Gauge
}

// NewMetrics returns unregistered metrics.
func NewMetrics() *Metrics {
	return &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flow_adapter_events_total", Help: "Object versions that the watch delivered.",
		}, []string{"kind", "type"}),
		watchErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flow_adapter_watch_errors_total", Help: "Failed requests for discovery, the cluster's identity, lists and watches, and error events of watches.",
		}, []string{"kind", "class"}),
		mappingErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flow_adapter_mapping_errors_total", Help: "Object versions that could not be read and were skipped.",
		}),
		leading: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "flow_adapter_leader", Help: "1 while this process reports its cluster, else 0.",
		}),
	}
}

// Leading sets whether this process reports its cluster. A Leader calls it. Without a Leader, call it at the start.
func (m *Metrics) Leading(yes bool) {
	m.leading.Set(0)
	if yes {
		m.leading.Set(1)
	}
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.watchErrors, m.mappingErrors, m.leading}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}
