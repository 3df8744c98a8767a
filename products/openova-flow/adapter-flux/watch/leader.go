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

// LeaderConfig configures a Leader.
type LeaderConfig struct {
	Client    coordination.LeasesGetter
	Namespace string
	Name      string // see LeaseName
	Identity  string // identity of this pod; NewLeader makes it unique, so that a restarted process is a new leader with a new epoch
	Logger    *slog.Logger
	Metrics   *Metrics // default: not exported

	// Changed is called, one call at a time, when this process starts or stops leading. The epoch increases with every change of leader.
	Changed func(epoch int64, leading bool)

	// Undelivered is called while this process holds the Lease. It returns true if delivery will have failed for too long by the given time, so that a
	// process that can deliver should take over. It must not call the Leader. Reaches reports whether this process could deliver. Unless both are
	// set, the Lease is kept as long as it can be renewed.
	Undelivered func(by time.Time) bool
	Reaches     func(context.Context) bool

	LeaseDuration time.Duration // default 15 s: time after a leader's last renewal until another process may take over
	RenewDeadline time.Duration // default 10 s: time for which a leader that cannot renew continues
	RetryPeriod   time.Duration // default 750 ms: time between renewals; others check for a free Lease every 1 to 2.2 periods
}

// LeaseName is the name of the Lease for a region of a flow: adapters of other flows or regions in the same cluster do not compete for it.
func LeaseName(flowID, region string) string {
	sum := sha256.Sum256([]byte(flowID + "/" + region))
	return "openova-flow-adapter-flux-" + hex.EncodeToString(sum[:5])
}

// Leader takes part in the election of the process that reports its cluster.
type Leader struct {
	cfg LeaderConfig

	mu       sync.Mutex
	problems map[string]Problem // by verb of the request for the Lease
	logged   Class              // of the last logged problem; empty: none
	epoch    int64              // epoch of the Lease as this process last wrote it as its holder
	held     bool               // this process has held the Lease in this term
	after    time.Time          // minimum acquireTime of this process, later than that of the previous holder
}

// NewLeader returns a Leader that does not take part in the election yet.
func NewLeader(cfg LeaderConfig) *Leader {
	cfg.LeaseDuration = cmp.Or(cfg.LeaseDuration, 15*time.Second)
	cfg.RenewDeadline = cmp.Or(cfg.RenewDeadline, 10*time.Second)
	cfg.RetryPeriod = cmp.Or(cfg.RetryPeriod, 750*time.Millisecond)
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	if cfg.Undelivered == nil || cfg.Reaches == nil {
		cfg.Undelivered, cfg.Reaches = func(time.Time) bool { return false }, func(context.Context) bool { return true }
	}
	cfg.Identity += "_" + rand.Text()[:10]
	return &Leader{cfg: cfg, problems: map[string]Problem{}}
}

// Problems returns one sentence if this process cannot take part, none otherwise.
func (l *Leader) Problems() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.problem(); ok {
		return []string{p.Text}
	}
	return nil
}

// problem returns the problem of a write, otherwise that of a read.
func (l *Leader) problem() (Problem, bool) {
	for _, verb := range []string{"update", "create", "get"} {
		if p, ok := l.problems[verb]; ok {
			return p, true
		}
	}
	return Problem{}, false
}

// Run takes part in the election until ctx ends, and then releases the Lease, so that another process can take it at once. Losing the
// Lease is not an error: the process waits for it again.
func (l *Leader) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, logr.Discard())
	for ctx.Err() == nil {
		if err := l.term(ctx); err != nil {
			return err
		}
	}
	return nil
}

// term waits for the Lease, holds it as long as possible, and returns when it is lost or ctx ends.
func (l *Leader) term(ctx context.Context) error {
	l.mu.Lock()
	l.held = false
	l.mu.Unlock()
	ended := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: l.cfg.Namespace, Name: l.cfg.Name},
			Client:     observedLeases{l.cfg.Client, l},
			LockConfig: resourcelock.ResourceLockConfig{Identity: l.cfg.Identity},
		},
		LeaseDuration: l.cfg.LeaseDuration, RenewDeadline: l.cfg.RenewDeadline, RetryPeriod: l.cfg.RetryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			// This runs in a goroutine for which the elector does not wait.
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
		l.cfg.Logger.Info("became leader", "lease", l.cfg.Name, "epoch", e)
	} else {
		l.cfg.Logger.Info("stopped leading", "lease", l.cfg.Name)
	}
	l.cfg.Changed(e, leading)
}

// Epoch returns the epoch of a process that has led since a time: that time in units of 2^-20 s, so that it is below 2^53. since is when
// the process took the Lease or, without an election, when it started, so that epochs with and without a Lease are comparable.
func Epoch(since time.Time) int64 {
	return max(since.Unix(), 0)<<20 + int64(since.Nanosecond())<<20/int64(time.Second)
}

// undelivered is the annotation with which a holder that cannot reach the flow server offers the Lease to others.
const undelivered = "openova.io/undelivered"

// reachTime is how long a process that could take over waits for the flow server's answer.
const reachTime = 2 * time.Second

// offers reports whether another process holds the Lease and offers it.
func (l *Leader) offers(lease *coordinationv1.Lease) bool {
	_, offers := lease.Annotations[undelivered]
	return offers && *cmp.Or(lease.Spec.HolderIdentity, new(string)) != "" && !holds(lease, l.cfg.Identity)
}

// reaches reports whether this process could take over.
func (l *Leader) reaches(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	return l.cfg.Reaches(ctx)
}

// free returns an offered Lease without its holder, so that the elector takes it.
func (l *Leader) free(lease *coordinationv1.Lease) *coordinationv1.Lease {
	l.cfg.Logger.Info("leader does not reach the flow server, taking over", "lease", l.cfg.Name, "leader", *cmp.Or(lease.Spec.HolderIdentity, new(string)))
	lease = lease.DeepCopy()
	lease.Spec.HolderIdentity = new(string)
	return lease
}

// fill completes a Lease that is about to be written with this process as the holder. It sets or removes the offer to others, and makes acquireTime later
// than that of the previous holder, whose clock may have been ahead.
func (l *Leader) fill(lease *coordinationv1.Lease) {
	if !holds(lease, l.cfg.Identity) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(lease.Annotations, undelivered)
	if l.held && l.cfg.Undelivered(time.Now().Add(l.cfg.RetryPeriod)) { // the next renewal would be too late for the offer
		metav1.SetMetaDataAnnotation(&lease.ObjectMeta, undelivered, "true")
	}
	if lease.Spec.AcquireTime != nil {
		at := lease.Spec.AcquireTime.Truncate(time.Microsecond) // the precision of times in a Lease
		if at.Before(l.after) {
			at = l.after
		}
		lease.Spec.AcquireTime = &metav1.MicroTime{Time: at}
	}
}

func holds(lease *coordinationv1.Lease, identity string) bool {
	return lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity == identity
}

// observe records the result of a request for the Lease and, after a write of this process as the holder, the epoch.
func (l *Leader) observe(verb string, lease *coordinationv1.Lease, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && lease.Spec.AcquireTime != nil { // the Lease must not be kept, since the elector changes it
		at := lease.Spec.AcquireTime.Time
		switch {
		case !holds(lease, l.cfg.Identity):
			l.after = at.Add(time.Microsecond)
		case verb != "get":
			l.epoch, l.held = Epoch(at), true
		}
	}
	missing := apierrors.IsNotFound(err)
	if missing && verb != "create" || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		err = nil // another process was faster, or the Lease does not exist yet
	}
	k := Kind{Name: "Lease", Resource: coordinationv1.SchemeGroupVersion.WithResource("leases")}
	p := problemOf(err, verb, k, l.cfg.Namespace)
	if p != nil && missing {
		p.Text = "cannot create leases.coordination.k8s.io: there is no namespace " + l.cfg.Namespace
	}
	switch {
	case p == nil && err != nil:
		return // the request was cancelled
	case p != nil:
		l.problems[verb] = *p
	case verb == "get":
		delete(l.problems, verb)
	default:
		clear(l.problems)
	}
	now, bad := l.problem()
	switch {
	case now.Class == l.logged:
		return
	case bad:
		l.cfg.Logger.Warn("leader election unavailable", "lease", l.cfg.Name, "class", string(now.Class), "why", now.Text)
	default:
		l.cfg.Logger.Info("leader election available again", "lease", l.cfg.Name)
	}
	l.logged = now.Class
}

// observedLeases is a client for Leases that reports its results to a Leader. It fills each Lease before a write, and frees an offered Lease that
// this process can take over.
type observedLeases struct {
	coordination.LeasesGetter
	leader *Leader
}

func (s observedLeases) Leases(namespace string) coordination.LeaseInterface {
	return observedLease{s.LeasesGetter.Leases(namespace), s.leader}
}

type observedLease struct {
	coordination.LeaseInterface
	leader *Leader
}

func (s observedLease) Get(ctx context.Context, name string, o metav1.GetOptions) (*coordinationv1.Lease, error) {
	lease, err := s.LeaseInterface.Get(ctx, name, o)
	s.leader.observe("get", lease, err)
	if err != nil || !s.leader.offers(lease) || !s.leader.reaches(ctx) {
		return lease, err
	}
	// The holder may have renewed it meanwhile. Then an update of the old version would be a conflict.
	lease, err = s.LeaseInterface.Get(ctx, name, o)
	s.leader.observe("get", lease, err)
	if err == nil && s.leader.offers(lease) {
		lease = s.leader.free(lease)
	}
	return lease, err
}

func (s observedLease) Create(ctx context.Context, l *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error) {
	s.leader.fill(l)
	lease, err := s.LeaseInterface.Create(ctx, l, o)
	s.leader.observe("create", lease, err)
	return lease, err
}

func (s observedLease) Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	s.leader.fill(l)
	lease, err := s.LeaseInterface.Update(ctx, l, o)
	s.leader.observe("update", lease, err)
	return lease, err
}
