// Package clock measures how far the clock of a flow server is ahead of that of a cluster, by the Date headers of their answers. The clock of this
// machine, which is the same for both, cancels out.
package clock

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	tolerance = 5 * time.Second // two clocks agree up to this
	period    = time.Minute     // of one measurement
	slow      = 2 * time.Second // how long an answer may take; the Date of a slower one says too little
)

// Offset is how far the flow server's clock is ahead of the cluster's: 0 until both are known, and while they agree within five seconds, else whole
// seconds. It is measured again every minute, and kept until it is wrong by more than five seconds, so it does not change with the weather. Its methods
// may be called from any goroutine.
type Offset struct {
	// Changed is called with each new value, one call at a time, before Offset answers anything else. It must not call Offset. Set it before the first
	// answer.
	Changed func(time.Duration)

	mu              sync.Mutex
	cluster, server reading
	began           time.Time // of the present measurement
	resumed         bool
	soon            bool // decide before the measurement is over, once both clocks are known
	value           time.Duration
	own             time.Duration // how far the cluster's clock is ahead of this machine's, by the same rule
}

// reading is how far a clock was ahead of this machine's during a measurement: between least and most by all answers. When a clock is set meanwhile, or
// several machines whose clocks differ answer, the two are far apart, and the value stays.
type reading struct {
	least, most time.Duration
	known       bool
}

// add takes the Date of an answer, which was made between the two instants, in the middle as far as is known. A Date has no fractions of seconds. In the
// difference of two clocks that cancels out too.
func (r *reading) add(date, sent, received time.Time) {
	ahead := date.Sub(sent.Add(received.Sub(sent) / 2))
	if !r.known {
		*r = reading{ahead, ahead, true}
	}
	r.least, r.most = min(r.least, ahead), max(r.most, ahead)
}

// settle returns the difference of two clocks to go on with, after a measurement that found it between least and most.
func settle(now, least, most time.Duration) time.Duration {
	if least-tolerance <= now && now <= most+tolerance {
		return now
	}
	if d := ((least + most) / 2).Round(time.Second); d.Abs() > tolerance {
		return d
	}
	return 0
}

// Server takes the head of an answer of the flow server to a request that was sent then.
func (o *Offset) Server(sent time.Time, head *http.Response) { o.answered(&o.server, sent, head) }

// Cluster returns a RoundTripper that takes the answers of the API server.
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

// WrappedRoundTripper lets client-go find the transport, whose idle connections it closes.
func (d *dated) WrappedRoundTripper() http.RoundTripper { return d.RoundTripper }

func (o *Offset) answered(r *reading, sent time.Time, head *http.Response) {
	received := time.Now()
	date, err := http.ParseTime(head.Header.Get("Date"))
	good := head.StatusCode < http.StatusMultipleChoices || head.StatusCode == http.StatusNotModified // another answer may be that of a gateway
	if err != nil || !good || received.Sub(sent) > slow {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if received.Sub(o.began) >= period {
		o.decide()
		o.soon = o.soon || !o.server.known // a process that begins to lead has not asked the flow server for long
		o.cluster, o.server, o.began = reading{}, reading{}, received
	}
	r.add(date, sent, received)
	if o.cluster.known {
		o.own = settle(o.own, o.cluster.least, o.cluster.most)
	}
	if o.soon {
		o.decide()
	}
}

// decide settles the value by the present measurement, if that has both clocks.
func (o *Offset) decide() {
	if !o.resumed || !o.cluster.known || !o.server.known {
		return
	}
	o.soon = false
	o.use(settle(o.value, o.server.least-o.cluster.most, o.server.most-o.cluster.least))
}

func (o *Offset) use(value time.Duration) {
	if value != o.value {
		o.value = value
		o.Changed(value)
	}
}

// Resume goes on from the value that the region has on the flow server. Before it the value is 0.
func (o *Offset) Resume(value time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.use(value)
	o.resumed, o.soon = true, true
	o.decide()
}

// Now is the time by the cluster's clock, as far as that is known.
func (o *Offset) Now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Now().Add(o.own)
}

// Metric returns the metric of o.
func (o *Offset) Metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "flow_adapter_clock_offset_seconds", Help: "How far the flow server's clock is ahead of the cluster's. The times of the region's nodes are moved by it. 0 up to 5 s.",
	}, func() float64 {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.value.Seconds()
	})
}
