package mapping

import (
	"cmp"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// releaseStatus maps the Ready and Stalled conditions of a HelmRelease (helm.toolkit.fluxcd.io/v2, status.conditions) to a status.
func releaseStatus(c conditions) string {
	ready, exists := c["Ready"]
	switch {
	case ready.status == "True":
		return flow.StatusSucceeded
	case c.is("Stalled"):
		return flow.StatusFailed
	case !exists:
		return flow.StatusPending
	case ready.status == "False" && releaseFailed[ready.reason]:
		return flow.StatusFailed
	}
	return flow.StatusRunning
}

// releaseFailed are the reasons of Ready=False that are failures. Older controllers write RetriesExhausted.
var releaseFailed = map[string]bool{"InstallFailed": true, "UpgradeFailed": true, "RetriesExhausted": true}

// actions are the first parts of reasons such as InstallSucceeded and InstallFailed, which Ready has after an action of helm-controller.
var actions = []string{"Install", "Upgrade", "Test", "Rollback", "Uninstall", "Reconciliation"}

func actionEnded(reason string) bool {
	for _, a := range actions {
		if rest, ok := strings.CutPrefix(reason, a); ok && (rest == "Succeeded" || rest == "Failed") {
			return true
		}
	}
	return reason == "RetriesExhausted"
}

// historyEntry is one entry of status.history (HelmRelease v2 Snapshot).
type historyEntry struct {
	version      int64
	status       string
	chartVersion string
	action       string
	deployed     flow.Time // lastDeployed: when this version's action began
}

// history returns status.history, which has the newest entry first.
func history(o object) []historyEntry {
	var all []historyEntry
	for _, entry := range o.status.list("history") {
		m, _ := entry.(map[string]any)
		f := fields(m)
		s := historyEntry{
			status: f.string("status"), chartVersion: f.string("chartVersion"), action: f.string("action"), deployed: f.time("lastDeployed"),
		}
		s.version, _ = f.int("version")
		all = append(all, s)
	}
	return all
}

func releaseEvidence(o object, status string) evidence {
	ready := o.conditions["Ready"]
	past := history(o)
	e := evidence{
		stalled: o.stalled(), since: ready.since,
		gen: cmp.Or(ready.generation, o.generation),
	}
	attempted, known := o.status.int("lastAttemptedGeneration")
	if !known || attempted == e.gen { // otherwise the counters are of an earlier generation
		e.failures, _ = o.status.int("failures")
	}
	e.phase = releasePhase(o)
	e.began, e.exact = workBegan(o, ready, past)
	e.earliest = e.began
	switch {
	case e.phase == idle:
		e.earliest = flow.Time{}
		if len(past) > 0 {
			e.earliest = past[0].deployed
			e.gen = attempted
			if released := o.conditions["Released"]; released.status == "True" {
				e.outcome, e.ended = flow.StatusSucceeded, released.since
			}
		}
	case ready.status == "True":
		e.outcome, e.ended = flow.StatusSucceeded, succeededAt(o.conditions)
	case e.failures > 0 || status == flow.StatusFailed:
		e.earliest = earlier(e.began, firstAttempt(past, e.failures))
	}
	if e.phase == done && status == flow.StatusFailed {
		e.outcome, e.ended = flow.StatusFailed, ready.since
		if !releaseFailed[ready.reason] {
			e.ended = o.conditions["Stalled"].since
		}
	}
	return e
}

func releasePhase(o object) phase {
	ready := o.conditions["Ready"]
	switch {
	case !o.deletedAt.IsZero(): // an uninstall is not a run
		return idle
	case ready.status == "True", o.stalled(), ready.status == "False" && actionEnded(ready.reason):
		return done
	case ready.status == "Unknown", ready.reason == "Progressing":
		return acting
	}
	return idle
}

// workBegan returns when the newest action began, and whether that time is exact. During the action Ready has it. In the event that ends the action,
// only Reconciling still has it; status.history has it one event later.
func workBegan(o object, ready condition, past []historyEntry) (began flow.Time, exact bool) {
	reconciling := o.conditions["Reconciling"]
	inProgress := reconciling.status == "True" && !after(reconciling.since, ready.since)
	if ready.status != "True" && ready.reason == "Progressing" {
		return ready.since, true
	}
	if len(past) > 0 {
		began = past[0].deployed
	}
	if inProgress && after(reconciling.since, began) {
		return reconciling.since, true
	}
	if began.IsZero() && ready.status == "Unknown" {
		return ready.since, false
	}
	return began, false
}

// succeededAt returns when Ready=True was reached. If the release has waited since, Ready has its old reason with a new time, but the
// condition of the action keeps its time.
func succeededAt(c conditions) flow.Time {
	ready := c["Ready"]
	for _, name := range []string{"Released", "TestSuccess"} {
		action := c[name]
		if action.status == "True" && action.reason == ready.reason && !action.since.IsZero() {
			return earlier(action.since, ready.since)
		}
	}
	return ready.since
}

// firstAttempt returns when the first of the latest failed attempts began, as far as status.history has them. An entry that succeeded and was not a
// rollback belongs to an earlier run.
func firstAttempt(past []historyEntry, failures int64) flow.Time {
	var first flow.Time
	for _, s := range past {
		succeeded := s.status == "deployed" || s.status == "superseded"
		if succeeded && s.action != "rollback" {
			break
		}
		first = earlier(first, s.deployed)
		if !succeeded {
			if failures--; failures <= 0 {
				break
			}
		}
	}
	return first
}
