package watch

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// LeaderConfig says which Lease makes a leader.
type LeaderConfig struct {
	Client    coordination.LeasesGetter
	Namespace string
	Name      string // see LeaseName
	Identity  string // of this pod; made unique to this process, so that a restarted one is a new leader with a new epoch
	Logger    *slog.Logger
	Metrics   *Metrics // default: counted and shown nowhere

	// Changed is called, one call at a time, when this process begins or ceases to lead. The epoch grows with every change of leader.
	Changed func(epoch int64, leading bool)

	LeaseDuration time.Duration // default 15 s: how long after a leader's last word another one takes over
	RenewDeadline time.Duration // default 10 s: how long a leader that cannot renew goes on
	RetryPeriod   time.Duration // default 2 s
}

// LeaseName is the name of the Lease for a region of a flow: adapters of other flows or regions in the same cluster do not compete with it.
func LeaseName(flowID, region string) string {
	sum := sha256.Sum256([]byte(flowID + "/" + region))
	return "openova-flow-adapter-flux-" + hex.EncodeToString(sum[:5])
}

// Leader takes part in the election of the process that speaks for its cluster.
type Leader struct {
	cfg LeaderConfig

	mu       sync.Mutex
	problems map[string]Problem // with the Lease, by verb
	told     Class              // of the problem that was logged last, "" when there was none
	epoch    int64              // of the Lease as this process wrote it last, as its holder
	held     bool               // it was the holder at some time of this term

	notBefore time.Time // when this process can have taken the Lease at the earliest
}

// NewLeader returns a Leader that does not take part yet.
func NewLeader(cfg LeaderConfig) *Leader {
	setDefault(&cfg.LeaseDuration, 15*time.Second)
	setDefault(&cfg.RenewDeadline, 10*time.Second)
	setDefault(&cfg.RetryPeriod, 2*time.Second)
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	cfg.Identity += "_" + rand.Text()[:10]
	return &Leader{cfg: cfg, problems: map[string]Problem{}}
}

// Problems says why this process cannot take part, in a sentence; none when it can.
func (l *Leader) Problems() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.problem(); ok {
		return []string{p.Text}
	}
	return nil
}

// problem returns what stands in the way, first what comes last in the course of things.
func (l *Leader) problem() (Problem, bool) {
	for _, verb := range []string{"update", "create", "get"} {
		if p, ok := l.problems[verb]; ok {
			return p, true
		}
	}
	return Problem{}, false
}

// Run takes part until ctx is done, and then gives the Lease back, so that another process can take it at once. Losing the Lease is no
// error: it goes on as one that waits.
func (l *Leader) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, logr.Discard())
	for ctx.Err() == nil {
		if err := l.term(ctx); err != nil {
			return err
		}
	}
	return nil
}

// term waits for the Lease, holds it as long as it can, and returns when it is lost.
func (l *Leader) term(ctx context.Context) error {
	l.mu.Lock()
	l.held = false
	l.mu.Unlock()
	ended := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: l.cfg.Namespace, Name: l.cfg.Name},
			Client:     seenLeases{l.cfg.Client, l},
			LockConfig: resourcelock.ResourceLockConfig{Identity: l.cfg.Identity},
		},
		LeaseDuration: l.cfg.LeaseDuration, RenewDeadline: l.cfg.RenewDeadline, RetryPeriod: l.cfg.RetryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			// This one runs on a goroutine of its own, which the elector does not wait for.
			OnStartedLeading: func(term context.Context) {
				defer close(ended)
				l.change(true)
				<-term.Done()
				l.change(false)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return err
	}
	elector.Run(ctx)
	l.mu.Lock()
	held := l.held
	l.mu.Unlock()
	if held {
		<-ended
	}
	return nil
}

func (l *Leader) change(leading bool) {
	l.mu.Lock()
	e := l.epoch
	l.mu.Unlock()
	l.cfg.Metrics.Leading(leading)
	if leading {
		l.cfg.Logger.Info("this process now speaks for its cluster", "lease", l.cfg.Name, "epoch", e)
	} else {
		l.cfg.Logger.Info("this process no longer speaks for its cluster", "lease", l.cfg.Name)
	}
	l.cfg.Changed(e, leading)
}

// Epoch is the epoch of who speaks since an instant: the time in units of 2^-20 s, which stays below 2^53. A process without an election uses its
// start, one with an election when it took the Lease, so that either can follow the other.
func Epoch(since time.Time) int64 {
	return max(since.Unix(), 0)<<20 + int64(since.Nanosecond())<<20/int64(time.Second)
}

// afterOthers moves the time at which this process took the Lease behind that of the holder before, whose clock may have been ahead.
func (l *Leader) afterOthers(lease *coordinationv1.Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if holds(lease, l.cfg.Identity) && lease.Spec.AcquireTime != nil {
		at := lease.Spec.AcquireTime.Truncate(time.Microsecond) // as precise as a Lease is
		if at.Before(l.notBefore) {
			at = l.notBefore
		}
		lease.Spec.AcquireTime = &metav1.MicroTime{Time: at}
	}
}

func holds(lease *coordinationv1.Lease, identity string) bool {
	return lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity == identity
}

// seen notes how a request for the Lease went, and its epoch when it is now this process's own.
func (l *Leader) seen(verb string, lease *coordinationv1.Lease, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && lease.Spec.AcquireTime != nil { // the Lease itself is not kept: the elector goes on writing to it
		at := lease.Spec.AcquireTime.Time
		switch {
		case !holds(lease, l.cfg.Identity):
			l.notBefore = at.Add(time.Microsecond)
		case verb != "get":
			l.notBefore, l.epoch, l.held = at, Epoch(at), true
		}
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		err = nil // somebody else was faster, or nobody was there yet
	}
	k := Kind{Name: "Lease", Resource: coordinationv1.SchemeGroupVersion.WithResource("leases")}
	p := problemOf(err, verb, k, l.cfg.Namespace)
	switch {
	case p == nil && err != nil:
		return // given up
	case p != nil:
		l.problems[verb] = *p
	case verb == "get":
		delete(l.problems, verb)
	default:
		clear(l.problems)
	}
	now, bad := l.problem()
	switch {
	case now.Class == l.told:
		return
	case bad:
		l.cfg.Logger.Warn("cannot take part in the election", "lease", l.cfg.Name, "class", string(now.Class), "why", now.Text)
	default:
		l.cfg.Logger.Info("the lease can be had again", "lease", l.cfg.Name)
	}
	l.told = now.Class
}

// seenLeases is a client for Leases that tells a Leader what it did.
type seenLeases struct {
	coordination.LeasesGetter
	leader *Leader
}

func (s seenLeases) Leases(namespace string) coordination.LeaseInterface {
	return seenLease{s.LeasesGetter.Leases(namespace), s.leader}
}

type seenLease struct {
	coordination.LeaseInterface
	leader *Leader
}

func (s seenLease) Get(ctx context.Context, name string, o metav1.GetOptions) (*coordinationv1.Lease, error) {
	lease, err := s.LeaseInterface.Get(ctx, name, o)
	s.leader.seen("get", lease, err)
	return lease, err
}

func (s seenLease) Create(ctx context.Context, l *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error) {
	s.leader.afterOthers(l)
	lease, err := s.LeaseInterface.Create(ctx, l, o)
	s.leader.seen("create", lease, err)
	return lease, err
}

func (s seenLease) Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	s.leader.afterOthers(l)
	lease, err := s.LeaseInterface.Update(ctx, l, o)
	s.leader.seen("update", lease, err)
	return lease, err
}
