package watch

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Info is what is to be said of a region besides its objects.
type Info struct {
	ClusterUID string // of the namespace kube-system; empty when it may not be read
	Gaps       []Gap  // what is not watched, in a stable order
	Blind      bool   // the API server does not tell what becomes of the required kinds: what was seen before may no longer be so
}

// Gap is a kind that is not watched, for a reason that does not pass by itself.
type Gap struct {
	Kind  string
	Class Class
	Why   string
}

// target is one thing that is asked of the API server: a kind in one namespace, or the identity of the cluster.
type target struct {
	kind      Kind
	namespace string

	// The rest belongs to the board's mutex.
	problems map[string]Problem // by verb
	asked    bool               // there is an answer, of whatever sort
	class    Class              // of the problem that was told last, "" when there was none
	since    time.Time          // when class began
	synced   bool               // all that was there at the start is folded
}

// problem returns what stands in the way, the verb that comes last in the course of things first.
func (t *target) problem() (Problem, bool) {
	for _, verb := range []string{"watch", "list", "get", "discover"} {
		if p, ok := t.problems[verb]; ok {
			return p, true
		}
	}
	return Problem{}, false
}

// settled reports whether waiting longer would not add to what is known of the target. A refusal counts only after it has stood for a
// while: an API server that is just starting denies kinds and rights that it has.
func (t *target) settled(now time.Time, after time.Duration) bool {
	return t.synced || t.class.lasting() && now.Sub(t.since) >= after
}

// board is where the state of all targets is kept. Its methods may be called from anywhere.
type board struct {
	logger      *slog.Logger
	metrics     *Metrics
	settleAfter time.Duration
	changed     func(Info) // called with the mutex held, in order
	completed   func()     // likewise; closes complete behind the last Info
	identified  chan struct{}
	complete    chan struct{}

	mu      sync.Mutex
	targets []*target
	uid     string
	told    *Info
	isWhole bool
}

// outcome notes how a request went.
func (b *board) outcome(t *target, verb string, err error) {
	p := problemOf(err, verb, t.kind, t.namespace)
	if p == nil && err != nil {
		return // the request was given up, so it says nothing
	}
	b.note(t, verb, p)
}

// note notes what stands in the way of verb, nil for nothing.
func (b *board) note(t *target, verb string, p *Problem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p != nil:
		b.metrics.watchErrors.WithLabelValues(t.kind.Name, string(p.Class)).Inc()
		t.problems[verb] = *p
	case verb == "watch": // a watch needs all the rest
		clear(t.problems)
	default:
		delete(t.problems, verb)
	}
	t.asked = true
	b.tell(t)
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
	t.asked, t.synced, b.uid = true, true, uid
	b.tell(t)
	b.review()
}

// tell logs the target's problem when its class is another than before.
func (b *board) tell(t *target) {
	now, _ := t.problem()
	if now.Class == t.class {
		return
	}
	before := t.class
	t.class, t.since = now.Class, time.Now()
	log := b.logger.With("kind", t.kind.Name, "namespace", t.namespace)
	switch {
	case now.Class == "":
		log.Info("problem is over", "was", string(before))
	case now.Class == Expired:
		log.Info("watch has to list again", "class", string(now.Class), "why", now.Text)
	case t.kind.Beside && now.Class != Forbidden:
		log.Debug("kind is not watched", "class", string(now.Class), "why", now.Text)
	case t.kind.Required:
		log.Warn("cannot watch", "class", string(now.Class), "why", now.Text)
	default:
		log.Info("kind is not watched", "class", string(now.Class), "why", now.Text)
	}
}

// review tells a changed Info, and when it is time that the cluster is identified and what was folded is complete.
func (b *board) review() {
	for _, t := range b.targets {
		if t.kind == identity && t.settled(time.Now(), b.settleAfter) {
			closeOnce(b.identified)
		}
	}
	for _, t := range b.targets {
		if !t.asked {
			return
		}
	}
	info := Info{ClusterUID: b.uid, Gaps: b.gaps()}
	for _, t := range b.targets {
		info.Blind = info.Blind || t.kind.Required && t.class.blinds()
	}
	if b.told == nil || b.told.ClusterUID != info.ClusterUID || b.told.Blind != info.Blind || !slices.Equal(b.told.Gaps, info.Gaps) {
		b.told = &info
		b.changed(info)
	}
	if !b.isWhole && b.whole() {
		b.isWhole = true
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

// whole reports whether what was folded can be taken for the truth. A kind that some namespace forbids is left out. When every namespace
// forbids the first kind, or has it in another version, nothing is known.
func (b *board) whole() bool {
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
		if p, ok := t.problem(); ok && p.Class.lasting() && !(t.kind.Beside && p.Class != Forbidden) {
			gaps = append(gaps, Gap{t.kind.Name, p.Class, p.Text})
		}
	}
	slices.SortFunc(gaps, func(a, b Gap) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Why, b.Why)) })
	return slices.Compact(gaps) // a cause outside the namespaces is the same in each of them
}

// problems returns a sentence for each required target that is not watched now, and for what else is still waited for.
func (b *board) problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, t := range b.targets {
		p, bad := t.problem()
		switch {
		case t.kind == identity && t.settled(time.Now(), b.settleAfter):
		case t.kind == identity && bad:
			out = append(out, "it is not known yet which cluster this is: "+p.Text)
		case t.kind == identity:
			out = append(out, "it is not known yet which cluster this is")
		case bad && t.kind.Required:
			out = append(out, p.Text)
		case !bad && !t.synced:
			out = append(out, "the initial list of "+t.kind.Resource.Resource+where(t.namespace)+" is not complete yet")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sleep waits, and reports whether ctx is still live.
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
