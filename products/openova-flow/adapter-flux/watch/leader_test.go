package watch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/kubernetes/typed/coordination/v1/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
)

// candidate is a running Leader, with its log.
type candidate struct {
	leader *watch.Leader
	log    *logged
	stop   func()

	mu sync.Mutex
	leadership
}

// leadership has the last call of Changed, and the number of terms.
type leadership struct {
	epoch int64
	leads bool
	terms int
}

func (c *candidate) current() leadership {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leadership
}

func startCandidate(t *testing.T, client *fake.FakeCoordinationV1, name string, change ...func(*watch.LeaderConfig)) *candidate {
	c := &candidate{log: &logged{}}
	cfg := watch.LeaderConfig{
		Client: client, Namespace: "flux-system", Name: watch.LeaseName(flowID, "r"), Identity: name,
		Logger: slog.New(slog.NewTextHandler(c.log, nil)),
		Changed: func(epoch int64, leading bool) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if leading {
				c.terms++
			}
			c.epoch, c.leads = epoch, leading
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	c.leader = watch.NewLeader(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.leader.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	c.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(c.stop)
	return c
}

// advance advances fake time and waits until all goroutines are idle.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// newClient returns a client that, like an API server, gives created objects a creation time and refuses updates of old versions.
func newClient() *fake.FakeCoordinationV1 {
	// A client of this one group: kubernetes/fake compiles those of all groups.
	client := &fake.FakeCoordinationV1{Fake: &k8stesting.Fake{}}
	tracker := k8stesting.NewObjectTracker(scheme.Scheme, scheme.Codecs.UniversalDecoder())
	client.AddReactor("*", "*", k8stesting.ObjectReaction(tracker))
	version := 0
	var mu sync.Mutex
	client.PrependReactor("create", "leases", func(a k8stesting.Action) (bool, runtime.Object, error) {
		o := a.(k8stesting.CreateAction).GetObject().(metav1.Object)
		o.SetCreationTimestamp(metav1.Now())
		return false, nil, nil
	})
	client.PrependReactor("update", "leases", func(a k8stesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		o := a.(k8stesting.UpdateAction).GetObject().(metav1.Object)
		now, err := tracker.Get(a.GetResource(), a.GetNamespace(), o.GetName())
		if err != nil {
			return true, nil, err
		}
		if now.(metav1.Object).GetResourceVersion() != o.GetResourceVersion() {
			return true, nil, apierrors.NewConflict(a.GetResource().GroupResource(), o.GetName(), errors.New("not the newest"))
		}
		version++
		o.SetResourceVersion(fmt.Sprint("v", version))
		return true, o.(runtime.Object), tracker.Update(a.GetResource(), o.(runtime.Object), a.GetNamespace())
	})
	return client
}

func TestLeader_StoppedLeaderIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		first := startCandidate(t, client, "pod-1")
		synctest.Wait()
		second := startCandidate(t, client, "pod-2")
		advance(time.Minute)
		if !first.current().leads || second.current().leads {
			t.Fatalf("first leads: %v, second leads: %v", first.current().leads, second.current().leads)
		}
		first.stop()
		if first.current().leads {
			t.Error("the first leads after it has stopped")
		}
		advance(2 * time.Second)
		if !second.current().leads || second.current().epoch <= first.current().epoch {
			t.Errorf("second leads: %v, epoch %d after %d", second.current().leads, second.current().epoch, first.current().epoch)
		}
	})
}

// TestLeader_RestartedProcessHasANewEpoch kills a process, so that it does not release its Lease. The new process has the same name.
func TestLeader_RestartedProcessHasANewEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		var refuse atomic.Bool
		client.PrependReactor("*", "leases", func(k8stesting.Action) (bool, runtime.Object, error) {
			return refuse.Load(), nil, errors.New("connection lost")
		})
		first := startCandidate(t, client, "pod-1")
		advance(time.Minute)
		refuse.Store(true)
		first.stop()
		refuse.Store(false)
		second := startCandidate(t, client, "pod-1")
		advance(5 * time.Second)
		if second.current().leads {
			t.Error("the new process leads before the old Lease has expired")
		}
		advance(20 * time.Second)
		if !second.current().leads || second.current().epoch <= first.current().epoch {
			t.Errorf("leads: %v, epoch %d after %d", second.current().leads, second.current().epoch, first.current().epoch)
		}
	})
}

func TestLeader_ContinuesAfterALostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		var refuse atomic.Bool
		client.PrependReactor("*", "leases", func(k8stesting.Action) (bool, runtime.Object, error) {
			return refuse.Load(), nil, apierrors.NewForbidden(schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}, "", errors.New("no"))
		})
		c := startCandidate(t, client, "pod-1")
		advance(10 * time.Second)
		before := c.current().epoch
		refuse.Store(true)
		advance(15 * time.Second)
		if c.current().leads {
			t.Error("the process leads though others may take the Lease")
		}
		if p := c.leader.Problems(); len(p) != 1 || !strings.Contains(p[0], "leases.coordination.k8s.io") || !strings.Contains(p[0], "flux-system") {
			t.Errorf("problems: %q", p)
		}
		advance(10 * time.Minute)
		if n := c.log.lines("leader election unavailable", "class=forbidden"); n != 1 {
			t.Errorf("%d log lines, want 1:\n%s", n, c.log)
		}
		refuse.Store(false)
		advance(20 * time.Second)
		if !c.current().leads || c.current().terms != 2 || c.current().epoch < before {
			t.Errorf("leads: %v, terms: %d, epoch %d after %d", c.current().leads, c.current().terms, c.current().epoch, before)
		}
		if p := c.leader.Problems(); len(p) != 0 {
			t.Errorf("problems: %q", p)
		}
	})
}

// TestLeader_EpochIncreasesWithARecreatedLease deletes the Lease, so that its leaseTransitions start at 0 again.
func TestLeader_EpochIncreasesWithARecreatedLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		var last int64
		for i := range 5 {
			c := startCandidate(t, client, "pod-1")
			advance(20 * time.Second)
			if !c.current().leads || c.current().epoch <= last || c.current().epoch >= 1<<53 {
				t.Errorf("%d: leads: %v, epoch %d after %d", i, c.current().leads, c.current().epoch, last)
			}
			last = c.current().epoch
			c.stop()
			if i == 2 {
				if err := client.Leases("flux-system").Delete(context.Background(), watch.LeaseName(flowID, "r"), metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestEpoch_GrowsWithTimeAndStaysAnExactJSONNumber(t *testing.T) {
	start := time.Date(2026, 11, 30, 23, 59, 59, 999_999_000, time.UTC)
	for _, later := range []time.Duration{time.Microsecond, time.Millisecond, time.Second, 100 * 365 * 24 * time.Hour} {
		if a, b := watch.Epoch(start), watch.Epoch(start.Add(later)); b <= a || b >= 1<<53 {
			t.Errorf("%d, and %v later %d", a, later, b)
		}
	}
}

// TestLeader_EpochsWithAndWithoutALeaseAreComparable: a process without an election may follow one with an election, and the other way round.
func TestLeader_EpochsWithAndWithoutALeaseAreComparable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		with := startCandidate(t, client, "pod-1")
		advance(time.Minute)
		with.stop()
		without := watch.Epoch(time.Now())
		if without <= with.current().epoch {
			t.Errorf("without a Lease %d after %d", without, with.current().epoch)
		}
		advance(time.Minute)
		again := startCandidate(t, client, "pod-2")
		advance(time.Minute)
		if got := again.current(); !got.leads || got.epoch <= without {
			t.Errorf("with a Lease again: leads %v, epoch %d after %d", got.leads, got.epoch, without)
		}
	})
}

func TestLeader_EpochIncreasesThoughTheNextClockIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		leases, name := client.Leases("flux-system"), watch.LeaseName(flowID, "r")
		first := startCandidate(t, client, "pod-1")
		advance(time.Minute)
		first.stop()
		lease, err := leases.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ahead := metav1.NewMicroTime(time.Now().Add(time.Hour).Truncate(time.Microsecond))
		lease.Spec.AcquireTime = &ahead
		if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		second := startCandidate(t, client, "pod-2")
		advance(time.Minute)
		if got := second.current(); !got.leads || got.epoch <= watch.Epoch(ahead.Time) {
			t.Errorf("leads %v, epoch %d after %d", got.leads, got.epoch, watch.Epoch(ahead.Time))
		}
		epoch := second.current().epoch
		advance(time.Minute)
		if lease, err = leases.Get(t.Context(), name, metav1.GetOptions{}); err != nil || watch.Epoch(lease.Spec.AcquireTime.Time) != epoch {
			t.Errorf("after some renewals acquireTime is %v (%v), epoch %d", lease.Spec.AcquireTime, err, epoch)
		}
	})
}

func TestLeader_YieldsToAProcessThatCanDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		var cut, reaches [3]atomic.Bool
		var calls atomic.Int64
		pod := func(i int) *candidate {
			return startCandidate(t, client, fmt.Sprint("pod-", i), func(c *watch.LeaderConfig) {
				c.Undelivered = func(time.Time) bool { return cut[i].Load() }
				c.Reaches = func(context.Context) bool { calls.Add(1); return reaches[i].Load() }
			})
		}
		first := pod(0)
		advance(time.Minute)
		second, third := pod(1), pod(2)
		advance(time.Minute)
		if calls.Load() != 0 {
			t.Error("Reaches was called though the leader delivers")
		}
		cut[0].Store(true)
		advance(2 * time.Minute)
		if !first.current().leads || first.current().terms != 1 {
			t.Error("the leader lost the Lease though no other process can deliver")
		}
		reaches[2].Store(true)
		advance(2 * time.Second)
		if got := third.current(); !got.leads || got.epoch <= first.current().epoch || second.current().leads {
			t.Errorf("two seconds after the third can deliver, it leads: %v, epoch %d after %d", got.leads, got.epoch, first.current().epoch)
		}
		advance(10 * time.Second)
		if first.current().leads {
			t.Error("the first leads too")
		}
		cut[0].Store(false)
		reaches[0].Store(true)
		advance(2 * time.Minute)
		if third.current().terms != 1 || first.current().leads {
			t.Error("a leader that delivers lost the Lease")
		}
	})
}

// TestLeader_TakesOverThoughReachesIsSlow has the holder renew its Lease while the other process waits for the result of Reaches.
func TestLeader_TakesOverThoughReachesIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		var cut atomic.Bool
		var calls atomic.Int64
		first := startCandidate(t, client, "pod-1", func(c *watch.LeaderConfig) {
			c.Undelivered = func(time.Time) bool { return cut.Load() }
			c.Reaches = func(context.Context) bool { return false }
		})
		synctest.Wait()
		second := startCandidate(t, client, "pod-2", func(c *watch.LeaderConfig) {
			c.Undelivered = func(time.Time) bool { return false }
			c.Reaches = func(context.Context) bool { calls.Add(1); time.Sleep(1900 * time.Millisecond); return true }
		})
		advance(time.Minute)
		cut.Store(true)
		advance(10 * time.Second)
		if !second.current().leads || calls.Load() != 1 {
			t.Errorf("the second leads: %v, after %d calls of Reaches", second.current().leads, calls.Load())
		}
		first.stop()
	})
}

// TestLeader_TakesNoLeaseThatIsNoLongerOffered has the holder deliver again while the other process waits for the result of Reaches.
func TestLeader_TakesNoLeaseThatIsNoLongerOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		var cut atomic.Bool
		with := func(c *watch.LeaderConfig) {
			c.Undelivered = func(time.Time) bool { return cut.Load() }
			c.Reaches = func(context.Context) bool { cut.Store(false); time.Sleep(1900 * time.Millisecond); return true }
		}
		first := startCandidate(t, client, "pod-1", with)
		synctest.Wait()
		second := startCandidate(t, client, "pod-2", with)
		advance(time.Minute)
		cut.Store(true)
		advance(time.Minute)
		if !first.current().leads || second.current().terms != 0 {
			t.Error("the Lease was taken from a holder that delivers")
		}
	})
}

// TestLeader_AnotherLeadsWithinTwoSeconds varies when, between two renewals, the leader should yield.
func TestLeader_AnotherLeadsWithinTwoSeconds(t *testing.T) {
	for range 4 { // checks for a free Lease come at random times
		for after := time.Duration(0); after < 750*time.Millisecond; after += 70 * time.Millisecond {
			synctest.Test(t, func(t *testing.T) {
				client := newClient()
				due := time.Now().Add(3*time.Second + after)
				with := func(c *watch.LeaderConfig) {
					c.Undelivered = func(by time.Time) bool { return !by.Before(due) }
					c.Reaches = func(context.Context) bool { time.Sleep(100 * time.Millisecond); return true }
				}
				first := startCandidate(t, client, "pod-1", with)
				synctest.Wait()
				second := startCandidate(t, client, "pod-2", with)
				advance(time.Until(due.Add(-750*time.Millisecond)) - time.Millisecond)
				if second.current().leads {
					t.Error("the other leads too early")
				}
				advance(time.Until(due.Add(1800 * time.Millisecond)))
				if !second.current().leads {
					t.Errorf("%v after a renewal: the other does not lead in time", after)
				}
				first.stop()
			})
		}
	}
}

func TestLeader_KeepsTheLeaseAfterRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		var cut, reaches atomic.Bool
		with := func(c *watch.LeaderConfig) {
			c.Undelivered, c.Reaches = func(time.Time) bool { return cut.Load() }, func(context.Context) bool { return reaches.Load() }
		}
		first := startCandidate(t, client, "pod-1", with)
		advance(time.Minute)
		second := startCandidate(t, client, "pod-2", with)
		cut.Store(true)
		advance(time.Minute)
		cut.Store(false)
		advance(time.Minute)
		reaches.Store(true)
		advance(time.Minute)
		if !first.current().leads || second.current().terms != 0 {
			t.Error("the leader lost the Lease")
		}
	})
}

func TestLeader_DoesNotTakeItsOwnOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		var updates, calls atomic.Int64
		client.PrependReactor("update", "leases", func(k8stesting.Action) (bool, runtime.Object, error) {
			return updates.Add(1)%5 == 0, nil, errors.New("connection lost") // the elector then reads the Lease again
		})
		c := startCandidate(t, client, "pod-1", func(c *watch.LeaderConfig) {
			c.Undelivered = func(time.Time) bool { return true }
			c.Reaches = func(context.Context) bool { calls.Add(1); return true }
		})
		advance(time.Minute)
		lease, err := client.Leases("flux-system").Get(t.Context(), watch.LeaseName(flowID, "r"), metav1.GetOptions{})
		if err != nil || watch.Epoch(lease.Spec.AcquireTime.Time) != c.current().epoch || *lease.Spec.LeaseTransitions != 0 || calls.Load() != 0 {
			t.Errorf("%v, epoch %d, %d calls of Reaches, %v", lease.Spec, c.current().epoch, calls.Load(), err)
		}
	})
}

// TestLeader_TakesAReleasedOfferWithoutAsking has a holder offer its Lease, and then release it.
func TestLeader_TakesAReleasedOfferWithoutAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		first := startCandidate(t, client, "pod-1", func(c *watch.LeaderConfig) {
			c.Undelivered, c.Reaches = func(time.Time) bool { return true }, func(context.Context) bool { return true }
		})
		advance(time.Minute)
		first.stop()
		var calls atomic.Int64
		second := startCandidate(t, client, "pod-2", func(c *watch.LeaderConfig) {
			c.Undelivered, c.Reaches = func(time.Time) bool { return false }, func(context.Context) bool { calls.Add(1); return true }
		})
		advance(2 * time.Second)
		if !second.current().leads || calls.Load() != 0 {
			t.Errorf("the second leads: %v, after %d calls of Reaches", second.current().leads, calls.Load())
		}
	})
}

func TestLeader_ReportsAMissingNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient()
		client.PrependReactor("create", "leases", func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "flux-system")
		})
		c := startCandidate(t, client, "pod-1")
		advance(10 * time.Second)
		if p := c.leader.Problems(); len(p) != 1 || !strings.Contains(p[0], "namespace flux-system") {
			t.Errorf("problems: %q", p)
		}
		if n := c.log.lines("leader election unavailable", "class=not-found"); n != 1 {
			t.Errorf("%d log lines, want 1:\n%s", n, c.log)
		}
	})
}

func TestLeader_FlowsAndRegionsHaveTheirOwnLeases(t *testing.T) {
	seen := map[string]bool{}
	for _, flow := range []string{"a", "b"} {
		for _, region := range []string{"a", "b"} {
			seen[watch.LeaseName(flow, region)] = true
		}
	}
	if len(seen) != 4 {
		t.Errorf("names: %v", seen)
	}
}
