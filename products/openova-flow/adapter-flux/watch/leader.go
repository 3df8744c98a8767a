package watch

import (
	"cmp"
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

	// Undelivered reports, while this process leads, whether another one should take over that can deliver. Reaches reports whether this
	// process could. Default: a Lease is kept as long as it can be renewed.
	Undelivered func() bool
	Reaches     func(context.Context) bool

	LeaseDuration time.Duration // default 15 s: how long after a leader's last word another one takes over
	RenewDeadline time.Duration // default 10 s: how long a leader that cannot renew goes on
	RetryPeriod   time.Duration // default 750 ms: how often it is renewed, and, up to 2.2 times as long, looked whether it is free
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
	setDefault(&cfg.RetryPeriod, 750*time.Millisecond)
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	if cfg.Undelivered == nil || cfg.Reaches == nil {
		cfg.Undelivered, cfg.Reaches = func() bool { return false }, func(context.Context) bool { return true }
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

// undelivered is the annotation of a Lease whose holder cannot reach the flow server and offers the Lease to others.
const undelivered = "openova.io/undelivered"

// reachTime is how long a process that could take over waits for the flow server's answer.
const reachTime = 2 * time.Second

// offered returns the Lease as free when its holder leaves it to others and this process is one that can deliver.
func (l *Leader) offered(ctx context.Context, lease *coordinationv1.Lease) *coordinationv1.Lease {
	if _, offers := lease.Annotations[undelivered]; !offers || holds(lease, l.cfg.Identity) {
		return lease
	}
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	if !l.cfg.Reaches(ctx) {
		return lease
	}
	l.cfg.Logger.Info("leader does not reach the flow server, taking over", "lease", l.cfg.Name, "leader", *cmp.Or(lease.Spec.HolderIdentity, new(string)))
	lease = lease.DeepCopy()
	lease.Spec.HolderIdentity = new(string)
	return lease
}

// fill completes a Lease that is about to be written with this process as its holder: whether it leaves the Lease to others, and the time at
// which it took it, which is after that of the holder before, whose clock may have been ahead.
func (l *Leader) fill(lease *coordinationv1.Lease) {
	if !holds(lease, l.cfg.Identity) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(lease.Annotations, undelivered)
	if l.held && l.cfg.Undelivered() {
		metav1.SetMetaDataAnnotation(&lease.ObjectMeta, undelivered, "true")
	}
	if lease.Spec.AcquireTime != nil {
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
			l.epoch, l.held = Epoch(at), true
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
	if err == nil {
		lease = s.leader.offered(ctx, lease)
	}
	return lease, err
}

func (s seenLease) Create(ctx context.Context, l *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error) {
	s.leader.fill(l)
	lease, err := s.LeaseInterface.Create(ctx, l, o)
	s.leader.seen("create", lease, err)
	return lease, err
}

func (s seenLease) Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	s.leader.fill(l)
	lease, err := s.LeaseInterface.Update(ctx, l, o)
	s.leader.seen("update", lease, err)
	return lease, err
}
