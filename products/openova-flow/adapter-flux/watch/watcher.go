package watch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Config says what a Watcher watches.
type Config struct {
	Client     dynamic.Interface
	Discovery  Discovery
	Namespaces []string // empty for all
	Kinds      []Kind   // default: Kinds; the first is the one that a flow consists of
	KeepUnread bool     // keep what of the objects the mapping does not read: annotations and spec.values
	Logger     *slog.Logger
	Metrics    *Metrics // default: counted and shown nowhere

	// OnInfo is called on the goroutine that runs the queue, when every kind has got an answer and then each time that the Info changes.
	OnInfo func(Info)

	FirstRetry  time.Duration // default 500 ms; doubles
	MaxRetry    time.Duration // default 10 s
	Recheck     time.Duration // default 1 min: how often an optional kind that is missing is looked for
	SettleAfter time.Duration // default 3 s: how long a refusal has to stand before it is taken for the truth
}

// Watcher watches the objects of one cluster.
type Watcher struct {
	cfg   Config
	board *board
	turn  chan struct{} // held by the informer that takes its initial list
	gate  *gate
}

// turnTime is how long one initial list may keep the others waiting.
const turnTime = 5 * time.Second

// New returns a Watcher that has not started.
func New(cfg Config) *Watcher {
	setDefault(&cfg.FirstRetry, 500*time.Millisecond)
	setDefault(&cfg.MaxRetry, 10*time.Second)
	setDefault(&cfg.Recheck, time.Minute)
	setDefault(&cfg.SettleAfter, 3*time.Second)
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
	b := &board{logger: cfg.Logger, metrics: cfg.Metrics, settleAfter: cfg.SettleAfter,
		identified: make(chan struct{}), complete: make(chan struct{})}
	for _, k := range cfg.Kinds {
		for _, ns := range cfg.Namespaces {
			b.targets = append(b.targets, &target{kind: k, namespace: ns, problems: map[string]Problem{}})
		}
	}
	return &Watcher{cfg, b, make(chan struct{}, 1), newGate(min(time.Second, cfg.MaxRetry))}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Identified is closed once ClusterUID is known as far as it can be.
func (w *Watcher) Identified() <-chan struct{} { return w.board.identified }

// ClusterUID is the UID of the namespace kube-system, empty while it is not known.
func (w *Watcher) ClusterUID() string {
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	return w.board.uid
}

// Complete is closed once all that there is to see in the cluster has been folded: what may be listed is, what is missing or forbidden has
// been so for a moment, and the cluster's identity is known as far as it can be. It stays closed.
func (w *Watcher) Complete() <-chan struct{} { return w.board.complete }

// Problems returns a sentence for each thing that keeps a required kind from being watched now.
func (w *Watcher) Problems() []string { return w.board.problems() }

// Run watches until ctx is done and hands every version of every object to q. It returns when all that it started has ended. Run once.
func (w *Watcher) Run(ctx context.Context, q *Queue) {
	// What reflectors say is either in the outcomes that are told anyway, or of no use to anybody.
	ctx = klog.NewContext(ctx, logr.Discard())
	cluster := &target{kind: identity, namespace: metav1.NamespaceSystem, problems: map[string]Problem{}}
	w.board.mu.Lock()
	w.board.changed = func(i Info) { q.Call(func() { w.cfg.OnInfo(i) }) }
	w.board.completed = func() { q.Call(func() { close(w.board.complete) }) }
	follow := w.board.targets
	w.board.targets = append(follow[:len(follow):len(follow)], cluster)
	w.board.mu.Unlock()

	var wg sync.WaitGroup
	for _, t := range follow {
		wg.Go(func() {
			if w.await(ctx, t, w.ask) {
				w.inform(ctx, q, t)
			}
		})
	}
	wg.Go(func() { w.await(ctx, cluster, w.identify) })
	wg.Wait()
}

// await calls ask until nothing stands in the way, and reports whether that is so; otherwise ctx is done.
func (w *Watcher) await(ctx context.Context, t *target, ask func(context.Context, *target) (verb string, p *Problem)) bool {
	for delay := w.cfg.FirstRetry; ; delay = min(2*delay, w.cfg.MaxRetry) {
		answered := w.gate.next()
		verb, p := ask(ctx, t)
		if ctx.Err() != nil {
			return false
		}
		if p == nil {
			w.gate.open()
			return true
		}
		w.board.note(t, verb, p)
		if p.Class.away() {
			if !w.gate.wait(ctx, answered) {
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

// ask finds out whether t can be listed.
func (w *Watcher) ask(ctx context.Context, t *target) (string, *Problem) {
	if p := served(ctx, w.cfg.Discovery, t.kind); p != nil {
		return "discover", p
	}
	w.board.note(t, "discover", nil)
	_, err := w.cfg.Client.Resource(t.kind.Resource).Namespace(t.namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return "list", problemOf(err, "list", t.kind, t.namespace)
	}
	w.board.note(t, "list", nil)
	return "list", nil
}

// identity stands for the object that identifies a cluster.
var identity = Kind{Name: "Namespace", Resource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}}

func (w *Watcher) identify(ctx context.Context, t *target) (string, *Problem) {
	ns, err := w.cfg.Client.Resource(t.kind.Resource).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		p := problemOf(err, "get", t.kind, t.namespace)
		if p != nil && p.Class == Forbidden {
			p.Text = "no right to get the namespace kube-system, whose UID tells clusters apart"
		} else if p != nil && p.Class == NotFound {
			p.Class, p.Text = NotServed, "the cluster has no namespace kube-system, whose UID tells clusters apart"
		}
		return "get", p
	}
	w.board.identify(t, string(ns.GetUID()))
	return "get", nil
}

// inform runs an informer on t.
func (w *Watcher) inform(ctx context.Context, q *Queue, t *target) {
	client := observed{w.cfg.Client, w.gate, func(verb string, err error) {
		if ctx.Err() == nil {
			w.board.outcome(t, verb, err)
		}
	}}
	informer := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, t.namespace, nil).ForResource(t.kind.Resource).Informer()
	// The errors are those that the observed client told already. Setters fail only on an informer that runs.
	_ = informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {})
	_ = informer.SetTransform(lighten(w.cfg.KeepUnread))
	registration, err := informer.AddEventHandler(handler(t.kind, q, w.cfg.Metrics))
	if err != nil {
		w.cfg.Logger.Error("cannot add a handler to an informer", "kind", t.kind.Name, "err", err)
		return
	}
	// One after the other: whole lists of several kinds at once are most of the memory that this process ever needs.
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	synced := registration.HasSyncedChecker().Done()
	var wg sync.WaitGroup
	wg.Go(func() {
		timer := time.NewTimer(turnTime)
		defer timer.Stop()
		select {
		case <-synced:
		case <-timer.C:
		case <-ctx.Done():
		}
		<-w.turn
		select {
		case <-synced:
			q.Call(func() { w.board.synced(t) })
		case <-ctx.Done():
		}
	})
	informer.RunWithContext(ctx)
	wg.Wait()
}
