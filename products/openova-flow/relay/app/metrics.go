package app

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/relay/outbox"
)

// metrics counts what the relay does. Its methods may be called from any goroutine.
type metrics struct {
	registry *prometheus.Registry
	ready    atomic.Bool // the relay has looked at all flows once
	lastLost atomic.Pointer[error]

	connected, flows, configValid prometheus.Gauge
	notices, deliveries, full     *prometheus.CounterVec
	delivered                     *prometheus.GaugeVec
}

func newMetrics(version string) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "openova_flow_relay_" + name, Help: help})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "openova_flow_relay_" + name, Help: help}, labels)
	}
	m := &metrics{
		registry:    prometheus.NewRegistry(),
		connected:   gauge("connected", "1 while the stream of the server is open and all flows are known."),
		flows:       gauge("flows", "Flows that are followed."),
		configValid: gauge("config_valid", "0 if the configuration file has become invalid or unreadable, so that the earlier configuration is in use."),
		notices:     counter("notices_total", "Notices that were put into the queue of a channel.", "rule", "kind", "phase"),
		deliveries:  counter("deliveries_total", "Attempts to deliver a notice, by outcome: delivered, failed (it is tried again) or dropped.", "channel", "outcome"),
		full:        counter("queue_full_total", "Failed attempts to put notices into the queue of a channel because it was full: about one a second for each rule whose notices wait.", "channel"),
		delivered: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "openova_flow_relay_last_delivery_timestamp_seconds",
			Help: "When a notice was last delivered to a channel."}, []string{"channel"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "openova_flow_relay_build_info", Help: "1, with the version of the build.", ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build, m.connected, m.flows, m.configValid, m.notices, m.deliveries, m.full, m.delivered)
	return m
}

func (m *metrics) addQueueLengths(length func() map[string]int) {
	m.registry.MustRegister(queueCollector{
		desc:   prometheus.NewDesc("openova_flow_relay_queue_length", "Notices that wait to be delivered to a channel.", []string{"channel"}, nil),
		length: length,
	})
}

type queueCollector struct {
	desc   *prometheus.Desc
	length func() map[string]int
}

func (c queueCollector) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

func (c queueCollector) Collect(out chan<- prometheus.Metric) {
	for channel, n := range c.length() {
		out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), channel)
	}
}

func (m *metrics) following(complete bool, flows int) {
	m.connected.Set(0)
	if complete {
		m.connected.Set(1)
	}
	m.flows.Set(float64(flows))
}

func (m *metrics) noticeQueued(d *desk, n *notice.Notice) {
	m.notices.WithLabelValues(d.rule.Name, string(n.Kind), string(n.Phase)).Inc()
}

func (m *metrics) queueFull(channel string) { m.full.WithLabelValues(channel).Inc() }

func (m *metrics) attempt(channel string, _ *notice.Notice, outcome outbox.Outcome, _ error) {
	m.deliveries.WithLabelValues(channel, string(outcome)).Inc()
	if outcome == outbox.Delivered {
		m.delivered.WithLabelValues(channel).Set(float64(time.Now().Unix()))
	}
}

// lost keeps the error of the newest lost connection for readyz.
func (m *metrics) lost(err error) { m.lastLost.Store(&err) }

func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !m.ready.Load() {
			text := "the flows of the server are not known yet"
			if err := m.lastLost.Load(); err != nil {
				text += ": " + (*err).Error()
			}
			http.Error(w, text, http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}
