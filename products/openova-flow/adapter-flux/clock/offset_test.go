package clock_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/clock"
)

// rig is an Offset in fake time, and two machines with clocks that the test sets.
type rig struct {
	*clock.Offset
	cluster, server time.Duration // how far their clocks are ahead of this machine's
	took            time.Duration // duration of an answer
	status          int
	changes         []time.Duration
}

func newRig() *rig {
	r := &rig{Offset: &clock.Offset{}, status: http.StatusOK}
	r.Changed = func(d time.Duration) { r.changes = append(r.changes, d) }
	return r
}

// RoundTrip answers like the cluster's API server, with a Date from the middle of the answer's duration.
func (r *rig) RoundTrip(*http.Request) (*http.Response, error) { return r.answer(r.cluster), nil }

func (r *rig) answer(ahead time.Duration) *http.Response {
	time.Sleep(r.took / 2)
	date := time.Now().Add(ahead).UTC().Format(http.TimeFormat)
	time.Sleep(r.took - r.took/2)
	return &http.Response{StatusCode: r.status, Header: http.Header{"Date": {date}}}
}

func (r *rig) askCluster() { _, _ = r.Cluster(r).RoundTrip(nil) }

func (r *rig) askServer() {
	sent := time.Now()
	r.Server(sent, r.answer(r.server))
}

// run sends a request to both a little more than every ten seconds, so that answers come at any fraction of a second.
func (r *rig) run(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10*time.Second + 130*time.Millisecond) {
		r.askCluster()
		r.askServer()
	}
}

func (r *rig) want(t *testing.T, changes ...time.Duration) {
	t.Helper()
	if !slices.Equal(r.changes, changes) {
		t.Errorf("changed to %v, want %v", r.changes, changes)
	}
}

func near(a, b time.Duration) bool { return (a - b).Abs() < time.Second }

func TestOffset_IsKnownWithTheFirstAnswersAndInWholeSeconds(t *testing.T) {
	for _, c := range []struct{ cluster, server, want time.Duration }{
		{0, 0, 0},
		{-10 * time.Minute, 0, 10 * time.Minute},
		{10 * time.Minute, 0, -10 * time.Minute},
		{0, time.Hour, time.Hour},
		{time.Hour, time.Hour, 0}, // only this machine's clock is wrong
		{time.Hour, time.Hour + 8*time.Second, 8 * time.Second},
		{0, 3500 * time.Millisecond, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig()
			r.cluster, r.server = c.cluster, c.server
			r.Resume(0)
			r.askServer()
			r.want(t)
			r.askCluster()
			if c.want == 0 {
				r.want(t)
			} else {
				r.want(t, c.want)
			}
			if got := testutil.ToFloat64(r.Metric()); got != c.want.Seconds() {
				t.Errorf("the metric is %v", got)
			}
		})
	}
}

func TestOffset_TakesTheRoundTripIntoAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server, r.took = 7*time.Second, 2*time.Second // an answer arrives one second after it was made
		r.Resume(0)
		r.askServer()
		r.took = 0
		time.Sleep(time.Second)
		r.askCluster()
		r.want(t, 7*time.Second)
	})
}

func TestOffset_KeepsAValueWithinTheTolerance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server = 8 * time.Second
		r.Resume(0)
		r.run(3 * time.Minute)
		r.want(t, 8*time.Second)
		for _, ahead := range []time.Duration{4, 11, 6, 12} {
			r.server = ahead * time.Second
			r.run(5 * time.Minute)
		}
		r.want(t, 8*time.Second)
		r.server = 15 * time.Second
		r.run(3 * time.Minute)
		if len(r.changes) != 2 || !near(r.changes[1], r.server) || r.changes[1]%time.Second != 0 {
			t.Errorf("changed to %v", r.changes)
		}
		r.server = time.Second
		r.run(3 * time.Minute)
		if len(r.changes) != 3 || r.changes[2] != 0 {
			t.Errorf("changed to %v, want 0 in the end", r.changes)
		}
		r.server = 4 * time.Second
		r.run(10 * time.Minute)
		if len(r.changes) != 3 {
			t.Errorf("changed to %v", r.changes)
		}
	})
}

// TestOffset_FollowsAClockThatIsSet expects one change of the offset each time that a clock is set, the first after at most two measurements.
func TestOffset_FollowsAClockThatIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.Resume(0)
		r.run(10*time.Minute + 17*time.Second)
		r.want(t)
		r.cluster = -10 * time.Minute
		r.run(2*time.Minute + 10*time.Second)
		if len(r.changes) != 1 || !near(r.changes[0], 10*time.Minute) {
			t.Fatalf("changed to %v", r.changes)
		}
		r.cluster = 0
		r.run(10 * time.Minute)
		r.want(t, r.changes[0], 0)
	})
}

// TestOffset_StaysWhenTheOwnClockIsSet sets this machine's clock, which also happens after a suspend: answers from before and after it must not be compared.
func TestOffset_StaysWhenTheOwnClockIsSet(t *testing.T) {
	for first := range 7 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig()
			r.Resume(0)
			r.run(time.Duration(first) * 9 * time.Second)
			r.cluster, r.server = time.Hour, time.Hour
			r.askCluster()
			r.run(5 * time.Minute)
			r.want(t)
		})
	}
}

// TestOffset_StaysWhileSeveralClocksAnswer has servers with different clocks behind one address.
func TestOffset_StaysWhileSeveralClocksAnswer(t *testing.T) {
	for _, other := range []time.Duration{30 * time.Second, -30 * time.Second} {
		for _, which := range []func(*rig) *time.Duration{func(r *rig) *time.Duration { return &r.cluster }, func(r *rig) *time.Duration { return &r.server }} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.Resume(0)
				r.run(time.Minute)
				for i := range 101 {
					*which(r) = time.Duration(i%2) * other
					r.run(5 * time.Second)
				}
				r.want(t)
			})
		}
	}
}

func TestOffset_IgnoresUnsuitableAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.Resume(0)
		r.askCluster()
		r.server = time.Hour
		for _, status := range []int{302, 401, 404, 409, 500, 502, 503} {
			r.status = status
			r.askServer()
		}
		r.status, r.took = http.StatusOK, 3*time.Second
		r.askServer()
		r.Server(time.Now(), &http.Response{StatusCode: 200})
		r.Server(time.Now(), &http.Response{StatusCode: 200, Header: http.Header{"Date": {"yesterday"}}})
		r.want(t)
		r.took, r.status = 0, http.StatusNotModified
		r.askServer()
		if len(r.changes) != 1 {
			t.Errorf("a 304 was ignored")
		}
	})
}

// TestOffset_ResumesTheValueOfTheRegion: a new process keeps the offset of the previous one, so that the region is not sent again for a small difference.
func TestOffset_ResumesTheValueOfTheRegion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.server = 600 * time.Second
		r.askCluster()
		r.askServer()
		r.want(t) // nothing is decided before Resume
		r.Resume(603 * time.Second)
		r.run(10 * time.Minute)
		r.want(t, 603*time.Second)
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.askCluster()
		r.askServer()
		r.Resume(600 * time.Second)
		r.want(t, 600*time.Second, 0)
	})
}

// TestOffset_IsCheckedWhenAProcessBeginsToLead has a process that waits for the Lease for a day, without requests to the flow server.
func TestOffset_IsCheckedWhenAProcessBeginsToLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.Resume(0)
		r.askCluster()
		r.askServer()
		for range 24 * 60 {
			time.Sleep(time.Minute)
			r.askCluster()
		}
		r.cluster = -10 * time.Minute
		for range 3 {
			time.Sleep(time.Minute)
			r.askCluster()
		}
		r.want(t)
		r.askServer()
		if len(r.changes) != 1 || !near(r.changes[0], 10*time.Minute) {
			t.Errorf("changed to %v", r.changes)
		}
	})
}

func TestOffset_NowIsTheClustersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		if got := time.Until(r.Now()); got != 0 {
			t.Errorf("Now is %v ahead before any answer", got)
		}
		r.cluster = 3 * time.Second
		r.askCluster()
		if got := time.Until(r.Now()); got != 0 {
			t.Errorf("Now is %v ahead though the clocks agree", got)
		}
		time.Sleep(time.Minute)
		r.cluster = -10 * time.Minute
		r.askCluster()
		if got := time.Until(r.Now()); !near(got, -10*time.Minute) {
			t.Errorf("Now is %v ahead, want -10m", got)
		}
	})
}

func TestOffset_IsMeasuredOverHTTP(t *testing.T) {
	serve := func(ahead time.Duration) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if ahead != 0 {
				w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			}
		}))
		t.Cleanup(s.Close)
		return s
	}
	get := func(rt http.RoundTripper, s *httptest.Server) *http.Response {
		req, err := http.NewRequest(http.MethodGet, s.URL, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		res, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	r := newRig()
	r.Resume(0)
	get(r.Cluster(http.DefaultTransport), serve(-10*time.Minute))
	sent := time.Now()
	r.Server(sent, get(http.DefaultTransport, serve(0)))
	if len(r.changes) != 1 || (r.changes[0]-10*time.Minute).Abs() > time.Second {
		t.Errorf("changed to %v, want 10m0s", r.changes)
	}
}
