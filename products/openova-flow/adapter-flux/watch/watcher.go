package watch

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Config configures a Watcher.
type Config struct {
	Client     dynamic.Interface
	Discovery  Discovery
	Namespaces []string // empty: all
	Kinds      []Kind   // default: Kinds; the Watcher is not complete while the first one is forbidden in every namespace, or served only in another version
	KeepUnread bool     // keep annotations and spec.values, which the mapping does not read
	Logger     *slog.Logger
	Metrics    *Metrics // default: not exported

	// OnInfo is called in the goroutine that runs the queue: first when the first request for each kind and for the cluster's identity has ended, even
	// with an error, then after each change of the Info.
	OnInfo func(Info)

	Now func() time.Time // the current time by the cluster's clock, for events; default: this machine's

	FirstRetry  time.Duration // default 500 ms; doubles
	MaxRetry    time.Duration // default 10 s
	Recheck     time.Duration // default 1 min: time between later attempts to list an optional kind that is missing, forbidden or served only in another version
	SettleAfter time.Duration // default 3 s: time after which Complete no longer waits for a kind that is missing, forbidden or served only in another version
	LeasePace   time.Duration // default 30 s: time between two lists of the Leases of Flux's controllers
	LeaseGrace  time.Duration // default 1 min: time after a Lease has expired until its controller counts as down

	AskTimeout  time.Duration // default 10 s: limit of requests with small answers
	ListTimeout time.Duration // default 90 s: limit of lists (an API server's own is a minute), and of the response header of a watch
}

// Watcher watches the objects of one cluster.
type Watcher struct {
	cfg     Config
	board   *board
	turn    chan struct{} // held by the reflector that reads its initial list, for at most turnTime
	retries *retryLimiter
}

// turnTime is the maximum time for which one initial list delays the next.
const turnTime = 5 * time.Second

// New returns a Watcher that has not started.
func New(cfg Config) *Watcher {
	cfg.FirstRetry = cmp.Or(cfg.FirstRetry, 500*time.Millisecond)
	cfg.MaxRetry = cmp.Or(cfg.MaxRetry, 10*time.Second)
	cfg.Recheck = cmp.Or(cfg.Recheck, time.Minute)
	cfg.SettleAfter = cmp.Or(cfg.SettleAfter, 3*time.Second)
	cfg.LeasePace = cmp.Or(cfg.LeasePace, 30*time.Second)
	cfg.LeaseGrace = cmp.Or(cfg.LeaseGrace, time.Minute)
	cfg.AskTimeout = cmp.Or(cfg.AskTimeout, 10*time.Second)
	cfg.ListTimeout = cmp.Or(cfg.ListTimeout, 90*time.Second)
	if cfg.Kinds == nil {
		cfg.Kinds = Kinds
	}
	if len(cfg.Namespaces) == 0 {
		cfg.Namespaces = []string{metav1.NamespaceAll}
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	if cfg.OnInfo == nil {
		cfg.OnInfo = func(Info) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	b := &board{logger: cfg.Logger, metrics: cfg.Metrics, settleAfter: cfg.SettleAfter,
		identified: make(chan struct{}), complete: make(chan struct{})}
	for _, k := range cfg.Kinds {
		for _, ns := range cfg.Namespaces {
			b.targets = append(b.targets, &target{kind: k, namespace: ns, problems: map[string]Problem{}})
		}
	}
	return &Watcher{cfg, b, make(chan struct{}, 1), newRetryLimiter(min(time.Second, cfg.MaxRetry))}
}

// Identified returns a channel that is closed when ClusterUID is known, or known to be unreadable.
func (w *Watcher) Identified() <-chan struct{} { return w.board.identified }

// ClusterUID returns the UID of the namespace kube-system, empty if unknown.
func (w *Watcher) ClusterUID() string {
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	return w.board.uid
}

// Complete returns a channel that is closed when Identified is closed, all lists are folded, and each kind without a list has been missing, forbidden or
// served only in another version for SettleAfter. Of the first kind a list is needed, unless the cluster does not serve it.
func (w *Watcher) Complete() <-chan struct{} { return w.board.complete }

// Problems returns a sentence for each reason why a required kind is not watched, why an initial list is not folded yet, and why the cluster is not
// identified yet. A lasting problem of an optional kind is in Info.Gaps instead; of an uncommon kind, only a missing permission.
func (w *Watcher) Problems() []string { return w.board.problems() }

// Run watches until ctx ends, and pushes every version of every object to q. It returns when all its goroutines have ended. Call it once.
func (w *Watcher) Run(ctx context.Context, q *Queue) {
	// The board logs problems, so the reflectors must not.
	ctx = klog.NewContext(ctx, logr.Discard())
	cluster := &target{kind: identity, namespace: metav1.NamespaceSystem, problems: map[string]Problem{}}
	w.board.mu.Lock()
	w.board.changed = func(i Info) { q.Call(func() { w.cfg.OnInfo(i) }) }
	w.board.completed = func() { q.Call(func() { close(w.board.complete) }) }
	targets := w.board.targets
	w.board.targets = append(targets[:len(targets):len(targets)], cluster)
	w.board.mu.Unlock()

	var wg sync.WaitGroup
	for _, t := range targets {
		wg.Go(func() {
			if w.await(ctx, t, w.ask) {
				w.follow(ctx, q, t)
			}
		})
	}
	wg.Go(func() { w.await(ctx, cluster, w.identify) })
	wg.Go(func() { w.watchControllers(ctx) })
	wg.Wait()
}

// await calls ask until it succeeds, and returns true, or false if ctx ends.
func (w *Watcher) await(ctx context.Context, t *target, ask func(context.Context, *target) (verb string, p *Problem)) bool {
	for delay := w.cfg.FirstRetry; ; delay = min(2*delay, w.cfg.MaxRetry) {
		answered := w.retries.next()
		asking, cancel := context.WithTimeout(ctx, w.cfg.AskTimeout)
		verb, p := ask(asking, t)
		cancel()
		if ctx.Err() != nil {
			return false
		}
		if p == nil {
			w.retries.answer()
			return true
		}
		w.board.record(t, verb, p)
		if p.Class.unanswered() {
			if !w.retries.wait(ctx, answered) {
				return false
			}
			continue
		}
		pause := delay
		if !t.kind.Required && p.Class.lasting() && delay > w.cfg.SettleAfter {
			pause = w.cfg.Recheck
		}
		if !sleep(ctx, pause) {
			return false
		}
	}
}

// ask checks whether t can be listed.
func (w *Watcher) ask(ctx context.Context, t *target) (string, *Problem) {
	if p := served(ctx, w.cfg.Discovery, t.kind); p != nil {
		return "discover", p
	}
	w.board.record(t, "discover", nil)
	_, err := w.cfg.Client.Resource(t.kind.Resource).Namespace(t.namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return "list", problemOf(err, "list", t.kind, t.namespace)
	}
	w.board.record(t, "list", nil)
	return "list", nil
}

// identity is the kind of the object that identifies a cluster.
var identity = Kind{Name: "Namespace", Resource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}}

func (w *Watcher) identify(ctx context.Context, t *target) (string, *Problem) {
	ns, err := w.cfg.Client.Resource(t.kind.Resource).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		p := problemOf(err, "get", t.kind, t.namespace)
		if p != nil && p.Class == Forbidden {
			p.Text = "no permission to get the namespace kube-system, whose UID identifies the cluster"
		} else if p != nil && p.Class == NotFound {
			p.Class, p.Text = NotServed, "the cluster has no namespace kube-system, whose UID identifies the cluster"
		}
		return "get", p
	}
	w.board.identify(t, string(ns.GetUID()))
	return "get", nil
}

// follow lists and watches t until ctx ends.
func (w *Watcher) follow(ctx context.Context, q *Queue, t *target) {
	// Initial lists start one after the other, since several at once would dominate the peak memory of this process.
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	next := sync.OnceFunc(func() { <-w.turn })
	defer next()
	defer time.AfterFunc(turnTime, next).Stop()
	objects := &store{kind: t.kind, queue: q, now: w.cfg.Now, metrics: w.cfg.Metrics, keepUnread: w.cfg.KeepUnread, known: map[types.NamespacedName]version{}, synced: func() {
		next()
		q.Call(func() { w.board.synced(t) })
	}}
	from := source{w.cfg.Client.Resource(t.kind.Resource).Namespace(t.namespace), w.cfg.ListTimeout, w.retries, func(verb string, err error) {
		if ctx.Err() == nil {
			w.board.outcome(t, verb, err)
		}
	}}
	reflector := cache.NewReflectorWithOptions(from.listerWatcher(w.cfg.Client), &unstructured.Unstructured{}, objects, cache.ReflectorOptions{
		Name:    t.kind.Name,
		Backoff: &wait.Backoff{Duration: w.cfg.FirstRetry, Factor: 2, Cap: w.cfg.MaxRetry, Jitter: 1, Steps: 30},
	})
	reflector.RunWithContext(ctx)
}
