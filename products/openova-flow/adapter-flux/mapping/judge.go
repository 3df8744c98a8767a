package mapping

import (
	"regexp"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// Milliseconds.
const (
	grace          = 60_000      // how long an error may last in a healthy install: controllers check waiting objects every 30 s
	longestBackoff = 15 * 60_000 // longest pause of helm-controller between two attempts
	longestPickUp  = 10 * 60_000 // limit for the interval in pickUp, and the default interval
	stuckDeletion  = 5 * 60_000
)

// failedAttempts are the reasons of Ready=False after a failed attempt. Other errors have grace.
var failedAttempts = map[string]bool{
	"InstallFailed": true, "UpgradeFailed": true, "TestFailed": true, "RollbackFailed": true, "RollbackSucceeded": true,
	"UninstallFailed": true, "UninstallSucceeded": true, "RetriesExhausted": true,
	"BuildFailed": true, "ReconciliationFailed": true, "PruneFailed": true, "HealthCheckFailed": true,
}

// resettable are the reasons of Stalled that a reset clears, so that Flux retries. Any other reason requires a change of the input.
var resettable = map[string]bool{"RetriesExceeded": true, "RetriesExhausted": true, "MissingRollbackTarget": true}

// attemptFailed reports whether a reason means a failed attempt. A source has no attempts: it is fetched regularly, so each of its errors has
// grace.
func (f *facts) attemptFailed(reason string) bool {
	switch f.kind {
	case kindHelmRelease, kindKustomization, kindResourceSet, kindFluxInstance:
		return failedAttempts[reason]
	}
	return false
}

// underWay are the reasons of Ready=False during work.
var underWay = map[string]bool{"Progressing": true, "ProgressingWithRetry": true, "HealthCheckCanceled": true}

// facts are the input of a judgement. Durations are in milliseconds.
type facts struct {
	subject
	generation, observed int64
	hasObserved          bool
	created, deletedAt   flow.Time
	finalizers           []string
	suspended, static    bool

	ready, reconciling, stalled, released, drifted condition

	interval, retryInterval, limit int64  // limit is the timeout of the current work
	installed                      bool   // Helm has a deployed version
	applied, attempted             string // revisions
	action                         string // the running Helm action
	remote                         string // the Secret or ConfigMap with the kubeconfig of another cluster
	path                           string
	tries, maxTries                int64

	deps, named  []string // node ids of watched objects in spec.dependsOn, and in the message
	unwatched    []string // entries of spec.dependsOn that are not watched: namespace/name, after the kind if that differs
	checking     bool     // it waits for the health of what it applied
	checks       []string // node ids whose health it waits for, or that its failed health check names
	otherChecks  []string // Kind namespace/name of the other objects in spec.healthChecks
	sourceID     string
	controllerID string // node id of its controller, if that is down

	shard    string // value of the label sharding.fluxcd.io/key
	unserved bool   // controllers have observed objects of its kind, but none of its shard

	down   string   // sentence about a controller that is down
	lookAt []string // command that shows the controller

	digest string // digest of the last attempted chart

	readyGeneration int64 // newest generation that is known to have been Ready, and its revision
	readyRevision   string
	readySince      flow.Time
	routine         bool // is not Ready now, but was at this generation and revision, and shows no failure
	failure         failure
	changedSince    flow.Time // when the generation became newer than the observed one
	behindSince     flow.Time // when the source got another revision than the object

	chart, source artifact // last seen artifacts
	wanted        string   // revision of the source that the object has not applied

	explained explanation // cache of read
}

func (f *facts) judge(c *clock) judgement {
	j := f.state(c)
	if f.remote != "" {
		j.marks = append(j.marks, "remote:"+f.remote)
	}
	if f.drifted.status == "True" {
		j.marks = append(j.marks, "drift")
	}
	return j
}

// state returns the judgement without the marks for drift and another cluster. The first matching rule decides.
func (f *facts) state(c *clock) judgement {
	ready, reason := f.ready.status, f.ready.reason
	switch {
	case f.kind == kindController:
		return f.controllerDown()
	case !f.deletedAt.IsZero():
		return f.terminating(c)
	case f.stalled.status == "True" && ready != "True", ready == "False" && f.attemptFailed(reason):
		return f.broken(c)
	case f.suspended:
		return f.suspension()
	case ready == "True" && f.outdated():
		return f.outdatedReady(c)
	case ready == "True", f.static:
		return judgement{state: stateReady, since: f.readySince, gate: gatePass, cause: cause{class: class(reason), sentence: f.sentence(reason)}}
	case ready == "Unknown" && reason == "Progressing" && f.routine && !runsAction(f.ready.message):
		return f.readyRoutine(c)
	case ready == "False" && reason == "DependencyNotReady":
		return f.waiting()
	case ready == "False" && !underWay[reason]:
		return f.faulty(c)
	case ready != "" && f.failure.exists():
		return f.retried(c)
	case ready != "":
		return f.working(c)
	}
	return f.notStarted(c)
}

func (f *facts) terminating(c *clock) judgement {
	j := judgement{state: stateTerminating, since: f.deletedAt, gate: gateWait, cause: cause{class: "terminating", sentence: f.label + " is being deleted.", command: f.describe()}}
	if f.suspended {
		j.marks, j.gate, j.cause.command = []string{"suspended"}, "", f.resume()
	}
	if c.past(f.deletedAt, stuckDeletion) {
		j.problem, j.gate, j.cause.class = true, "", "deletion-stuck"
		j.cause.sentence = f.label + " is still being deleted after five minutes"
		if len(f.finalizers) > 0 {
			j.cause.sentence += ", held by " + strings.Join(f.finalizers, ", ")
		}
		if f.ready.status == "False" && f.ready.reason != "UninstallSucceeded" {
			why := f.read(f.ready.reason, f.ready.message)
			j.cause.object = why.object
			j.cause.sentence += ": " + why.why()
		}
		j.cause.sentence += "."
	}
	return j
}

// broken judges an object with a failed attempt, or one that Flux has given up.
func (f *facts) broken(c *clock) judgement {
	since, reason, message := f.failure.since, f.ready.reason, f.ready.message
	if since.IsZero() {
		since = f.ready.since
	}
	stalled := f.stalled.status == "True"
	if stalled && (f.ready.status == "" || f.ready.status == "Unknown") {
		reason, message = f.stalled.reason, f.stalled.message
	}
	if reason == "RollbackSucceeded" || reason == "UninstallSucceeded" { // Released has the cause
		if f.released.status == "False" {
			message = f.released.message
		}
	}
	why := f.read(reason, message)
	j := judgement{state: stateBroken, since: since, problem: true, attempts: f.tries, of: f.maxTries, cause: why.toCause(reason)}
	switch {
	case f.suspended:
		j.marks, j.final = []string{"suspended"}, true
		j.cause.sentence += " It is suspended, so nothing happens until it is resumed."
		j.cause.command = f.resume()
	case stalled:
		j.final = true
		j.cause.sentence += f.givenUp()
		if why.command == nil && resettable[f.stalled.reason] {
			j.cause.command = f.reset(why)
		}
	default:
		f.plan(c, &j, why, later(f.ready.since, f.reconciling.since))
	}
	return j
}

// retried judges an attempt after a failure at the same generation and revision.
func (f *facts) retried(c *clock) judgement {
	why := f.read(f.failure.reason, f.failure.message)
	if !f.attemptFailed(f.failure.reason) && !c.past(f.failure.since, grace) {
		return f.working(c)
	}
	j := judgement{state: stateBroken, since: f.failure.since, problem: true, attempts: f.tries, of: f.maxTries, cause: why.toCause(f.failure.reason), limit: f.limit}
	if c.past(f.ready.since, f.limit+grace) {
		j.marks = []string{"overdue"}
		j.cause.sentence += " The try that is under way takes longer than its limit of " + span(f.limit) + "."
		f.stillWorking(c, &j, why.helps())
		return j
	}
	j.marks = []string{"retrying"}
	j.cause.sentence += " Flux is trying again" + f.try() + "."
	if why.helps() {
		j.gate = gateWait
	}
	return j
}

// stillWorking makes a gate wait for a release that works for up to three times its limit: Helm allows each hook the whole limit, and the verdict of a
// gate is final.
func (f *facts) stillWorking(c *clock, j *judgement, helps bool) {
	if f.kind == kindHelmRelease && helps && !c.past(f.ready.since, 3*f.limit+grace) {
		j.gate = gateWait
	}
}

// plan adds when Flux retries after a failure, or that the retry is late.
func (f *facts) plan(c *clock, j *judgement, why explanation, failed flow.Time) {
	rc := f.reconciling
	acting := runsAction(rc.message)
	if rc.status != "True" || !(rc.reason == "ProgressingWithRetry" || acting || after(rc.since, f.ready.since)) {
		return
	}
	due, stated := f.retryInterval, false
	if d, ok := parseAfter(retryingAfter, rc.message); ok {
		due, stated = d, true
	} else if acting {
		due = 0
	}
	if stated {
		j.nextTry = flow.At(failed.Ms() + due)
	}
	if c.past(failed, due+f.limit+grace) {
		j.marks = []string{"overdue"}
		j.cause.sentence += " Flux should have tried again, and has not."
		return
	}
	j.marks = []string{"retrying"}
	switch {
	case stated:
		j.cause.sentence += " Flux tries again " + span(due) + " after it failed" + f.try() + "."
	case acting:
		j.cause.sentence += " Flux is working on it: " + action(rc.message) + " is under way."
	default:
		j.cause.sentence += " Flux tries again" + f.try() + "."
	}
	if why.helps() {
		j.gate = gateWait
	}
}

func (f *facts) suspension() judgement {
	j := judgement{state: stateSuspended, since: f.ready.since, cause: cause{class: "suspended", sentence: f.label + " is suspended.", command: f.resume()}}
	// Before version 2.2, Flux does not observe suspended objects, so a missing observedGeneration means nothing. kustomize-controller observes them only
	// if they are Ready.
	if (f.kind != kindKustomization || f.ready.status == "True") && f.hasObserved && f.observed > 0 && f.generation > f.observed {
		j.marks, j.since = append(j.marks, "not-observed"), f.changedSince
		j.cause.sentence = f.label + " is suspended and has a change that is not applied."
	}
	if f.wanted != "" {
		j.marks = append(j.marks, "old-revision")
		j.cause.sentence = f.label + " is suspended at " + short(f.current()) + "; its source has " + short(f.wanted) + "."
	}
	if f.ready.status == "True" && len(j.marks) == 0 {
		j.gate = gatePass
	}
	return j
}

// outdated reports whether the newest generation is not observed, or the source's revision not applied.
func (f *facts) outdated() bool {
	return f.generation > f.observed && f.hasObserved || f.wanted != ""
}

// outdatedReady judges an outdated Ready=True.
func (f *facts) outdatedReady(c *clock) judgement {
	unobserved := f.generation > f.observed && f.hasObserved
	since := f.behindSince
	if unobserved {
		since = f.changedSince
	}
	acting := f.reconciling.status == "True" || unobserved && f.ready.generation == f.generation
	j := judgement{state: stateWaiting, since: since, gate: gateWait, cause: cause{class: "old-revision", command: f.reconcile()}}
	j.cause.sentence = f.label + " is at " + short(f.current()) + " and has not applied " + short(f.wanted) + " of its source yet."
	if f.wanted != "" {
		j.marks = append(j.marks, "old-revision")
	}
	if unobserved {
		j.cause.class, j.cause.sentence = "not-observed", f.label+" has a change that its controller has not looked at yet."
		if !acting || f.reconciling.status != "True" && c.past(since, grace) {
			j.marks = append(j.marks, "not-observed")
		}
	}
	allowed := f.pickUp()
	if acting {
		j.state, j.limit, allowed = stateWorking, f.limit, f.limit+grace
		if unobserved && f.ready.generation == f.generation && f.reconciling.status != "True" {
			j.cause.sentence = f.label + " is done, but its controller has not recorded that it looked at this change; what depends on it stays blocked."
		} else {
			j.cause.sentence = f.label + " is applying a change."
		}
	}
	if c.past(since, allowed) {
		j.state, j.problem, j.gate = stateBroken, true, ""
		if acting && f.reconciling.status == "True" {
			j.marks = append(j.marks, "overdue")
			j.cause.sentence = f.label + " has been applying a change for longer than its limit of " + span(f.limit) + "."
		}
	}
	return j
}

// readyRoutine judges an object that was ready and is reconciled again, as at every interval.
func (f *facts) readyRoutine(c *clock) judgement {
	j := judgement{state: stateReady, since: f.readySince, gate: gatePass, cause: cause{class: "routine", sentence: f.label + " is ready; its controller looks at it again."}}
	if c.past(f.ready.since, f.limit+grace) {
		j.state, j.since, j.problem, j.marks, j.limit, j.gate = stateBroken, f.ready.since, true, []string{"overdue"}, f.limit, ""
		j.cause = cause{class: "overdue", command: f.force(), sentence: f.label + " was ready, and its controller has been looking at it again for longer than its limit of " + span(f.limit) + "."}
	}
	return j
}

func (f *facts) waiting() judgement {
	j := judgement{state: stateWaiting, since: f.ready.since, cause: f.read(f.ready.reason, f.ready.message).toCause(f.ready.reason)}
	switch {
	case strings.Contains(f.ready.message, "readyExpr"), strings.Contains(f.ready.message, "CEL expression"):
		j.cause.class, j.marks = "dependency-expr", []string{"ready-expr"}
	case strings.Contains(f.ready.message, "revision is not up to date"):
		j.cause.class = "dependency-revision"
	}
	return j
}

// mayWaitForRoutine reports whether a routine reconciliation of a dependency may be the only reason of the wait.
func (f *facts) mayWaitForRoutine() bool {
	return f.routine && f.ready.reason == "DependencyNotReady" && strings.HasSuffix(f.ready.message, "is not ready")
}

// faulty judges a Ready=False that may pass within grace.
func (f *facts) faulty(c *clock) judgement {
	why := f.explain()
	since := f.failure.since
	if since.IsZero() {
		since = f.ready.since
	}
	j := judgement{state: stateWorking, since: since, gate: gateWait, cause: why.toCause(f.ready.reason)}
	if c.past(since, grace) {
		j.state, j.problem, j.gate = stateBroken, true, ""
		f.plan(c, &j, why, later(f.ready.since, f.reconciling.since))
	}
	return j
}

func (f *facts) working(c *clock) judgement {
	j := judgement{state: stateWorking, since: f.ready.since, limit: f.limit, gate: gateWait, attempts: f.tries, of: f.maxTries, cause: cause{class: class(f.ready.reason), sentence: f.inProgress()}}
	if c.past(f.ready.since, f.limit+grace) {
		j.state, j.problem, j.marks, j.gate = stateBroken, true, []string{"overdue"}, ""
		j.cause = f.overdue()
		f.stillWorking(c, &j, true)
	}
	return j
}

func (f *facts) notStarted(c *clock) judgement {
	j := judgement{state: stateNotStarted, since: f.created, gate: gateWait, cause: cause{class: "not-started", sentence: f.label + " has not been looked at by its controller yet."}}
	if c.past(f.created, f.pickUp()) {
		j.state, j.problem, j.gate = stateBroken, true, ""
		j.cause.class, j.cause.command = "not-picked-up", f.controller()
		j.cause.sentence = f.label + " was made and its controller has not looked at it. Check that the controller runs and serves this object."
		if f.unserved {
			j.cause.class, j.cause.command = "shard-not-served", f.kubectl("get", f.resource(), f.name, "-o", "jsonpath={.metadata.labels}")
			j.cause.sentence = f.label + " belongs to shard " + oneLine(f.shard, 63) + ", and no " + controllerOf[f.kind] + " looks at objects of that shard."
		}
	}
	return j
}

// pickUp is the time that a controller has to observe a change. A queue of minutes is normal.
func (f *facts) pickUp() int64 { return min(f.interval, longestPickUp) + grace }

var (
	withTimeout   = regexp.MustCompile(`with (?:a )?timeout of ([0-9hms.µn]+)`)
	retryingAfter = regexp.MustCompile(`retrying after ([0-9hms.µn]+)`)
	running       = regexp.MustCompile(`Running '(\w+)' action`)
)

func runsAction(message string) bool { return running.MatchString(message) }

func action(message string) string {
	if m := running.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return ""
}

// parseAfter returns the duration, in milliseconds, that a pattern finds in a message.
func parseAfter(pattern *regexp.Regexp, message string) (int64, bool) {
	m := pattern.FindStringSubmatch(message)
	if m == nil {
		return 0, false
	}
	d, err := time.ParseDuration(m[1])
	return d.Milliseconds(), err == nil
}

// span formats milliseconds like durations in Flux specs: 5m, 29m30s.
func span(ms int64) string {
	s := (time.Duration(ms) * time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// short shortens the digest of a revision to 12 characters.
func short(revision string) string {
	if before, digest, ok := strings.Cut(revision, ":"); ok && len(digest) > 12 {
		return before + ":" + digest[:12]
	}
	return revision
}

// duration returns a duration field of a spec, in milliseconds; fallback if it is absent, invalid or not positive.
func duration(f fields, name string, fallback int64) int64 {
	d, err := time.ParseDuration(f.string(name))
	if err != nil || d <= 0 {
		return fallback
	}
	return d.Milliseconds()
}

// commonFacts returns the facts that every Flux object has.
func commonFacts(o object) *facts {
	f := &facts{
		subject:    subject{kind: o.kind, namespace: o.namespace, name: o.name, label: o.name},
		generation: o.generation, observed: o.observed, hasObserved: o.hasObserved,
		created: o.meta.time("creationTimestamp"), deletedAt: o.deletedAt, finalizers: o.finalizers, suspended: o.spec.bool("suspend"),
		ready: o.conditions["Ready"], reconciling: o.conditions["Reconciling"], stalled: o.conditions["Stalled"], released: o.conditions["Released"], drifted: o.conditions["Drifted"],
		interval: duration(o.spec, "interval", longestPickUp), shard: o.labels.string("sharding.fluxcd.io/key"),
	}
	for _, c := range []*condition{&f.ready, &f.reconciling, &f.stalled, &f.released} {
		c.message = clip(c.message)
	}
	return f
}
