package watch

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
)

// Info has facts about a region that do not come from its objects.
type Info struct {
	ClusterUID string // UID of the namespace kube-system; empty if unknown
	Gaps       []Gap  // in a stable order
	Down       []mapping.Controller
	Blind      bool // the API server gives no usable answer for a required kind, so its state may be outdated
}

// Gap is a kind that is not watched, for a reason that lasts until somebody changes the cluster.
type Gap struct {
	Kind      string
	Namespace string // where the kind is forbidden; empty: in all, or for another reason
	Class     Class
	Why       string
}

// target is something that is requested from the API server: a kind in a namespace, or the identity of the cluster.
type target struct {
	kind      Kind
	namespace string

	// The fields below are guarded by the board's mutex.
	problems map[string]Problem // by verb
	answered bool               // the first request has ended, with a result or an error
	class    Class              // class of the last logged problem; empty: none
	since    time.Time          // when class began
	synced   bool               // the initial list is folded
}

// problem returns the problem of the latest step in following a kind: discover, get or list, watch.
func (t *target) problem() (Problem, bool) {
	for _, verb := range []string{"watch", "list", "get", "discover"} {
		if p, ok := t.problems[verb]; ok {
			return p, true
		}
	}
	return Problem{}, false
}

// settled reports whether the target is listed, or cannot be listed without a change in the cluster. A problem counts only after some time, since an API
// server that is starting may lack kinds and permissions for a moment.
func (t *target) settled(now time.Time, after time.Duration) bool {
	return t.synced || t.class.lasting() && now.Sub(t.since) >= after
}

// board has the state of all targets. It is safe for concurrent use.
type board struct {
	logger      *slog.Logger
	metrics     *Metrics
	settleAfter time.Duration
	changed     func(Info) // called with the mutex held, in order
	completed   func()     // called once, like changed
	identified  chan struct{}
	complete    chan struct{}

	mu          sync.Mutex
	targets     []*target
	uid         string
	down        []mapping.Controller
	published   *Info // argument of the last call of changed
	wasComplete bool  // completed was called
}

func (b *board) outcome(t *target, verb string, err error) {
	p := problemOf(err, verb, t.kind, t.namespace)
	if p == nil && err != nil {
		return // the request was cancelled
	}
	b.record(t, verb, p)
}

// record records the problem of a verb; nil: success.
func (b *board) record(t *target, verb string, p *Problem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p != nil:
		b.metrics.watchErrors.WithLabelValues(t.kind.Name, string(p.Class)).Inc()
		if verb == "list" { // the previous watch has ended
			delete(t.problems, "watch")
		}
		t.problems[verb] = *p
	case verb == "watch": // a watch requires all other steps
		clear(t.problems)
	default:
		delete(t.problems, verb)
	}
	t.answered = true
	b.logProblem(t)
	b.review()
}

func (b *board) synced(t *target) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.synced = true
	b.review()
}

func (b *board) identify(t *target, uid string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(t.problems)
	t.answered, t.synced, b.uid = true, true, uid
	b.logProblem(t)
	b.review()
}

func (b *board) setDown(down []mapping.Controller) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.Equal(b.down, down) {
		return
	}
	for _, d := range down {
		if !slices.Contains(b.down, d) {
			log := b.logger.With("lease", d.Lease)
			if ms, ok := d.Renewed.Get(); ok {
				log = log.With("renewed", time.UnixMilli(ms).UTC())
			}
			log.Warn("controller does not renew its Lease")
		}
	}
	b.down = down
	b.review()
}

// logProblem updates the class of the target's problem, and logs the problem if the class has changed.
func (b *board) logProblem(t *target) {
	now, _ := t.problem()
	if now.Class == t.class {
		return
	}
	before := t.class
	t.class, t.since = now.Class, time.Now()
	log := b.logger.With("kind", t.kind.Name, "namespace", t.namespace)
	switch {
	case now.Class == "":
		log.Info("watch recovered", "was", string(before))
	case now.Class == Expired:
		log.Info("watch expired, listing again", "class", string(now.Class), "why", now.Text)
	case t.kind.Uncommon && now.Class != Forbidden:
		log.Debug("kind is not watched", "class", string(now.Class), "why", now.Text)
	case t.kind.Required:
		log.Warn("cannot watch", "class", string(now.Class), "why", now.Text)
	default:
		log.Info("kind is not watched", "class", string(now.Class), "why", now.Text)
	}
}

// review closes identified when the identity is settled. After the first request for each target, it calls changed if the Info has changed, and then
// completed, once, if isComplete. b.mu is held.
func (b *board) review() {
	for _, t := range b.targets {
		if t.kind == identity && t.settled(time.Now(), b.settleAfter) {
			closeOnce(b.identified)
		}
	}
	for _, t := range b.targets {
		if !t.answered {
			return
		}
	}
	info := Info{ClusterUID: b.uid, Gaps: b.gaps(), Down: b.down}
	for _, t := range b.targets {
		info.Blind = info.Blind || t.kind.Required && t.class.blinds()
	}
	if b.published == nil || b.published.ClusterUID != info.ClusterUID || b.published.Blind != info.Blind || !slices.Equal(b.published.Gaps, info.Gaps) || !slices.Equal(b.published.Down, info.Down) {
		b.published = &info
		b.changed(info)
	}
	if !b.wasComplete && b.isComplete() {
		b.wasComplete = true
		b.completed()
	}
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// isComplete reports whether the fold has everything that can be listed. A kind that is forbidden in a namespace is omitted. It is false if every
// namespace forbids the first kind, or the cluster has it in another version.
func (b *board) isComplete() bool {
	now, known := time.Now(), false
	for _, t := range b.targets {
		if !t.settled(now, b.settleAfter) {
			return false
		}
		if t.kind == b.targets[0].kind && (t.synced || t.class == NotServed) {
			known = true
		}
	}
	return known
}

func (b *board) gaps() []Gap {
	var gaps []Gap
	for _, t := range b.targets {
		if p, ok := t.problem(); ok && p.Class.lasting() && !(t.kind.Uncommon && p.Class != Forbidden) {
			gap := Gap{Kind: t.kind.Name, Class: p.Class, Why: p.Text}
			if p.Class == Forbidden {
				gap.Namespace = t.namespace
			}
			gaps = append(gaps, gap)
		}
	}
	slices.SortFunc(gaps, func(a, b Gap) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Why, b.Why)) })
	return slices.Compact(gaps) // a gap that is independent of the namespace occurs once for each namespace
}

// problems returns sentences, without duplicates: for required targets with a problem, for other targets until their initial list is folded or they have a
// lasting problem, and for the identity until it is settled.
func (b *board) problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, t := range b.targets {
		p, bad := t.problem()
		switch {
		case t.kind == identity && t.settled(time.Now(), b.settleAfter):
		case t.kind == identity && bad:
			out = append(out, "the cluster is not identified yet: "+p.Text)
		case t.kind == identity:
			out = append(out, "the cluster is not identified yet")
		case bad && (t.kind.Required || !t.synced && !p.Class.lasting()):
			out = append(out, p.Text)
		case !bad && !t.synced:
			out = append(out, "the initial list of "+t.kind.Resource.Resource+where(t.namespace)+" is not complete yet")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sleep waits for d, and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
