// Package clock measures how far the clock of a flow server is ahead of the cluster's clock, by the Date headers of their answers. Both are compared
// with this machine's clock, whose error cancels out.
package clock

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	tolerance = 5 * time.Second // largest difference of two clocks that agree
	period    = time.Minute     // duration of one measurement
	slow      = 2 * time.Second // maximum duration of a request; the Date of a slower one is too inexact
)

// Offset is how far the flow server's clock is ahead of the cluster's, in whole seconds. It begins with the value of Resume. It is measured every minute, and
// kept until it is wrong by more than five seconds, so that it does not change with small errors of measurement. A new value of at most five seconds counts
// as 0. Its methods may be called from any goroutine.
type Offset struct {
	// Changed is called with each new value, one call at a time, while other calls of Offset's methods wait. It must not call Offset. Set it before the
	// first answer and before Resume.
	Changed func(time.Duration)

	mu              sync.Mutex
	cluster, server reading
	began           time.Time // start of the current measurement
	resumed         bool
	soon            bool // decide as soon as both clocks are known, before the end of the measurement
	value           time.Duration
	clusterAhead    time.Duration // how far the cluster's clock is ahead of this machine's; settled with each answer
}

// reading is how far a clock was ahead of this machine's during a measurement: between least and most. If a clock is set meanwhile, or several machines with
// different clocks answer, least and most are far apart, and a value between them stays.
type reading struct {
	least, most time.Duration
	known       bool
}

// add adds the Date of an answer to a request that took from sent to received. The best estimate is that the Date was made in the middle. A Date has no
// fractions of seconds; in the difference of two clocks this error cancels out, except for less than a second.
func (r *reading) add(date, sent, received time.Time) {
	ahead := date.Sub(sent.Add(received.Sub(sent) / 2))
	if !r.known {
		*r = reading{ahead, ahead, true}
	}
	r.least, r.most = min(r.least, ahead), max(r.most, ahead)
}

// settle returns the value to use after a measurement between least and most. value is the current one.
func settle(value, least, most time.Duration) time.Duration {
	if least-tolerance <= value && value <= most+tolerance {
		return value
	}
	if d := ((least + most) / 2).Round(time.Second); d.Abs() > tolerance {
		return d
	}
	return 0
}

// Server measures with an answer of the flow server: its head, and when the request was sent.
func (o *Offset) Server(sent time.Time, head *http.Response) { o.answered(&o.server, sent, head) }

// Cluster returns a RoundTripper that measures with the answers of the API server.
func (o *Offset) Cluster(next http.RoundTripper) http.RoundTripper { return &dated{next, o} }

type dated struct {
	http.RoundTripper
	offset *Offset
}

func (d *dated) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := time.Now()
	res, err := d.RoundTripper.RoundTrip(req)
	if err == nil {
		d.offset.answered(&d.offset.cluster, sent, res)
	}
	return res, err
}

// WrappedRoundTripper lets client-go find the transport, so that it can close idle connections.
func (d *dated) WrappedRoundTripper() http.RoundTripper { return d.RoundTripper }

func (o *Offset) answered(r *reading, sent time.Time, head *http.Response) {
	received := time.Now()
	date, err := http.ParseTime(head.Header.Get("Date"))
	good := head.StatusCode < http.StatusMultipleChoices || head.StatusCode == http.StatusNotModified // other answers may be from a gateway
	if err != nil || !good || received.Sub(sent) > slow {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if received.Sub(o.began) >= period {
		o.decide()
		o.soon = o.soon || !o.server.known // this process may have started to lead: before, it sent no requests to the flow server
		o.cluster, o.server, o.began = reading{}, reading{}, received
	}
	r.add(date, sent, received)
	if o.cluster.known {
		o.clusterAhead = settle(o.clusterAhead, o.cluster.least, o.cluster.most)
	}
	if o.soon {
		o.decide()
	}
}

// decide sets the value by the current measurement, if that has both clocks and Resume was called. o.mu is held.
func (o *Offset) decide() {
	if !o.resumed || !o.cluster.known || !o.server.known {
		return
	}
	o.soon = false
	o.set(settle(o.value, o.server.least-o.cluster.most, o.server.most-o.cluster.least))
}

func (o *Offset) set(value time.Duration) {
	if value != o.value {
		o.value = value
		o.Changed(value)
	}
}

// Resume sets the value that the previous process used for the region on the flow server. Until then the value is 0.
func (o *Offset) Resume(value time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.set(value)
	o.resumed, o.soon = true, true
	o.decide()
}

// Now returns the time by the cluster's clock, up to five seconds wrong like the offset, or by this machine's while the cluster's is unknown.
func (o *Offset) Now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Now().Add(o.clusterAhead)
}

// Metric returns the metric of the value.
func (o *Offset) Metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "flow_adapter_clock_offset_seconds", Help: "How far the flow server's clock is ahead of the cluster's; kept until it is wrong by more than 5 s. Times of the region's nodes are corrected by it.",
	}, func() float64 {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.value.Seconds()
	})
}
