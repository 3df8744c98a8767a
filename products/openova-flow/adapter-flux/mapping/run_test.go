package mapping_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

type fields = map[string]any

func TestRun_TimesFollowTheWork(t *testing.T) {
	reconciling := func(at int) cond { return cond{"Reconciling", "True", "Progressing", "", at, 1} }
	ready := func(status, reason string, at int, gen int64) cond { return cond{"Ready", status, reason, "", at, gen} }
	released := func(status, reason string, at int) cond { return cond{"Released", status, reason, "", at, 1} }
	type step struct {
		conds      []cond
		start, end flow.Time
		status     fields // the object's status, besides its conditions
	}
	work := func(status, action string, at int) map[string]any {
		return map[string]any{"version": int64(1), "status": status, "action": action, "lastDeployed": sec(at)}
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"a new generation that only waits continues the previous run", []step{
			{[]cond{ready("Unknown", "Progressing", 10, 1)}, ms(10), flow.Time{}, nil},
			{[]cond{ready("True", "InstallSucceeded", 20, 1), released("True", "InstallSucceeded", 20)}, ms(10), ms(20), nil},
			{[]cond{ready("False", "DependencyNotReady", 30, 2), released("True", "InstallSucceeded", 20)}, ms(10), flow.Time{}, nil},
			{[]cond{ready("True", "InstallSucceeded", 40, 2), released("True", "InstallSucceeded", 20)}, ms(10), ms(20), nil},
		}},
		{"work on a new generation starts a run, also before the first has ended", []step{
			{[]cond{ready("Unknown", "Progressing", 10, 1)}, ms(10), flow.Time{}, nil},
			{[]cond{ready("Unknown", "Progressing", 30, 2)}, ms(30), flow.Time{}, nil},
		}},
		{"work on the same generation after success starts a run", []step{
			{[]cond{ready("True", "InstallSucceeded", 20, 1), reconciling(12)}, ms(12), ms(20), nil},
			{[]cond{ready("Unknown", "Progressing", 90, 1)}, ms(90), flow.Time{}, nil},
		}},
		{"retries belong to the run that they repair", []step{
			{[]cond{ready("Unknown", "Progressing", 10, 1)}, ms(10), flow.Time{}, nil},
			{[]cond{ready("False", "InstallFailed", 20, 1)}, ms(10), ms(20), nil},
			{[]cond{ready("Unknown", "Progressing", 30, 1)}, ms(10), flow.Time{}, nil},
			{[]cond{ready("False", "InstallFailed", 40, 1)}, ms(10), ms(40), nil},
		}},
		{"a rollback is part of the run, and a stall ends it", []step{
			{[]cond{ready("Unknown", "Progressing", 10, 1)}, ms(10), flow.Time{}, nil},
			{[]cond{ready("False", "UpgradeFailed", 20, 1)}, ms(10), ms(20), nil},
			{[]cond{ready("False", "RollbackSucceeded", 25, 1)}, ms(10), flow.Time{}, nil},
			{[]cond{ready("False", "RollbackSucceeded", 25, 1), {"Stalled", "True", "RetriesExceeded", "", 26, 1}}, ms(10), ms(26), nil},
		}},
		{"work after giving up starts a run", []step{
			{[]cond{ready("Unknown", "Progressing", 10, 1)}, ms(10), flow.Time{}, nil},
			{[]cond{ready("False", "InstallFailed", 20, 1), {"Stalled", "True", "RetriesExceeded", "", 20, 1}}, ms(10), ms(20), nil},
			{[]cond{ready("Unknown", "Progressing", 70, 1)}, ms(70), flow.Time{}, nil},
		}},
		{"rejected without running, it has an end but no start", []step{
			{[]cond{{"Stalled", "True", "InvalidCELExpression", "", 5, 1}}, flow.Time{}, ms(5), nil},
		}},
		{"Reconciling during the run changes nothing", []step{
			{[]cond{ready("Unknown", "Progressing", 10, 1)}, ms(10), flow.Time{}, nil},
			{[]cond{ready("Unknown", "Progressing", 10, 1), reconciling(10)}, ms(10), flow.Time{}, nil},
		}},
		{"a record of an earlier attempt does not start a later run", []step{
			{[]cond{ready("Unknown", "Progressing", 10, 1)}, ms(10), flow.Time{}, nil},
			{[]cond{ready("False", "InstallFailed", 20, 1)}, ms(10), ms(20), nil},
			{[]cond{ready("Unknown", "Progressing", 30, 1)}, ms(10), flow.Time{}, nil},
			{[]cond{ready("True", "InstallSucceeded", 50, 2)}, ms(50), ms(50), fields{"history": []any{work("failed", "install", 30)}}},
		}},
		{"a record of an earlier attempt does not start a run that waits for its tests", []step{
			{[]cond{ready("True", "InstallSucceeded", 20, 1), reconciling(12)}, ms(12), ms(20), nil},
			{[]cond{ready("Unknown", "AwaitingTests", 90, 2)}, ms(90), flow.Time{}, fields{"history": []any{work("deployed", "install", 12)}}},
		}},
		{"an unseen upgrade of the same generation is a run", []step{
			{[]cond{ready("True", "InstallSucceeded", 20, 1), reconciling(12)}, ms(12), ms(20), nil},
			{[]cond{ready("True", "UpgradeSucceeded", 95, 1)}, ms(90), ms(95), fields{"history": []any{work("deployed", "upgrade", 90)}}},
		}},
		{"first seen in a retry after a rollback, the run started with the upgrade that was rolled back", []step{
			{[]cond{ready("Unknown", "Progressing", 90, 1)}, ms(40), flow.Time{}, fields{"failures": int64(1), "history": []any{
				work("deployed", "rollback", 60), work("failed", "upgrade", 40), work("superseded", "install", 5),
			}}},
		}},
		{"first seen with the counters of the previous generation, it has just started", []step{
			{[]cond{ready("Unknown", "Progressing", 90, 2)}, ms(90), flow.Time{}, fields{
				"failures": int64(2), "lastAttemptedGeneration": int64(1), "history": []any{work("failed", "install", 40)},
			}},
		}},
		{"first seen after a recovery, its tests show when it succeeded", []step{
			{[]cond{ready("True", "TestSucceeded", 60, 1), {"TestSuccess", "True", "TestSucceeded", "", 30, 1}}, ms(10), ms(30),
				fields{"history": []any{work("deployed", "install", 10)}}},
		}},
		{"first seen waiting after success, its next work is another run", []step{
			{[]cond{ready("False", "DependencyNotReady", 50, 1), released("True", "InstallSucceeded", 20)}, ms(10), flow.Time{},
				fields{"lastAttemptedGeneration": int64(1), "history": []any{work("deployed", "install", 10)}}},
			{[]cond{ready("Unknown", "Progressing", 70, 1), released("True", "InstallSucceeded", 20)}, ms(70), flow.Time{},
				fields{"lastAttemptedGeneration": int64(1), "history": []any{work("deployed", "install", 10)}}},
		}},
		{"first seen waiting after failure, another generation is another run", []step{
			{[]cond{ready("False", "DependencyNotReady", 50, 2)}, ms(10), flow.Time{},
				fields{"lastAttemptedGeneration": int64(1), "history": []any{work("failed", "install", 10)}}},
			{[]cond{ready("Unknown", "Progressing", 70, 2)}, ms(70), flow.Time{},
				fields{"lastAttemptedGeneration": int64(1), "history": []any{work("failed", "install", 10)}}},
		}},
		{"Progressing is work, also with Ready=False as older controllers write it", []step{
			{[]cond{ready("False", "Progressing", 10, 1)}, ms(10), flow.Time{}, nil},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for i, s := range c.steps {
				r := release(t, "bp-a", s.conds...)
				set(r, int64(i+1), "metadata", "resourceVersion")
				for name, v := range s.status {
					set(r, v, "status", name)
				}
				w.put(r)
				n := w.must("fsn1/bp-a")
				if n.StartedAt != s.start || n.EndedAt != s.end {
					t.Fatalf("step %d: run from %s to %s, want %s to %s", i+1, clock(n.StartedAt), clock(n.EndedAt), clock(s.start), clock(s.end))
				}
				if len(w.put(r)) != 0 {
					t.Fatalf("step %d applied again makes changes", i+1)
				}
			}
		})
	}
}

// TestRun_StartIsALowerBound: first seen during the second attempt, the run started no later than the first attempt in status.history.
func TestRun_StartIsALowerBound(t *testing.T) {
	r := release(t, "bp-a", cond{"Ready", "Unknown", "Progressing", "", 90, 1})
	set(r, []any{map[string]any{"version": int64(1), "status": "failed", "action": "install", "lastDeployed": sec(40)}}, "status", "history")
	set(r, int64(1), "status", "failures")
	set(r, int64(1), "status", "lastAttemptedGeneration")
	w := newWorld(t)
	w.put(r)
	wantTimes(t, w.must("fsn1/bp-a"), ms(40), flow.Time{})
	wantMeta(t, w.must("fsn1/bp-a"), map[string]any{"startedAtIsLowerBound": true, "attempts": 2, "failures": 1})
	set(r, int64(5), "metadata", "resourceVersion")
	set(r, conditionList(cond{"Ready", "False", "InstallFailed", "", 130, 1}), "status", "conditions")
	set(r, []any{map[string]any{"version": int64(1), "status": "failed", "action": "install", "lastDeployed": sec(90)}}, "status", "history")
	set(r, int64(2), "status", "failures")
	w.put(r)
	wantTimes(t, w.must("fsn1/bp-a"), ms(40), ms(130))
	// Resetting the counters does not change the run.
	set(r, int64(6), "metadata", "resourceVersion")
	set(r, conditionList(cond{"Ready", "Unknown", "Progressing", "", 140, 1}), "status", "conditions")
	set(r, int64(0), "status", "failures")
	w.put(r)
	wantMeta(t, w.must("fsn1/bp-a"), map[string]any{"attempts": 2, "failures": nil})
}

// released returns a release of this generation with these conditions, and with an install at 9 s in its history.
func released(t *testing.T, generation int, cs ...cond) *unstructured.Unstructured {
	u := set(release(t, "app", cs...), int64(generation), "metadata", "generation")
	return set(u, []any{map[string]any{"version": int64(1), "status": "deployed", "action": "install", "lastDeployed": sec(9)}}, "status", "history")
}

// TestRun_StartThatWasNotSeenIsEstimated does not deliver the start of the second run.
func TestRun_StartThatWasNotSeenIsEstimated(t *testing.T) {
	ready := cond{"Ready", "True", "InstallSucceeded", "", 10, 1}
	for name, c := range map[string]struct {
		second *unstructured.Unstructured
		start  int
		bound  any
	}{
		"rolled back, with an older history": {released(t, 2, cond{"Ready", "False", "RollbackSucceeded", "", 50, 2}), 50, nil},
		"reconciled, and failed once": {
			set(released(t, 2, cond{"Ready", "False", "UpgradeFailed", "", 60, 2}, cond{"Reconciling", "True", "ProgressingWithRetry", "", 55, 2}), int64(1), "status", "failures"), 55, true},
		"reconciled": {
			released(t, 2, cond{"Ready", "False", "UpgradeFailed", "", 60, 2}, cond{"Reconciling", "True", "ProgressingWithRetry", "", 55, 2}), 55, nil},
	} {
		w := newWorld(t)
		w.put(released(t, 1, ready))
		w.put(c.second)
		n := w.must("fsn1/app")
		if n.StartedAt != ms(c.start) {
			t.Errorf("%s: startedAt %s, want %s", name, clock(n.StartedAt), clock(ms(c.start)))
		}
		wantMeta(t, n, map[string]any{"startedAtIsLowerBound": c.bound})
	}
}

func TestRun_UnknownGenerationContinuesTheRun(t *testing.T) {
	w := newWorld(t)
	trying := func(at int) *unstructured.Unstructured {
		return release(t, "app", cond{"Ready", "Unknown", "Progressing", "Running 'install' action with timeout of 5m0s", at, 1})
	}
	w.put(trying(10))
	u := trying(20)
	delete(u.Object["metadata"].(map[string]any), "generation")
	set(u, []any{map[string]any{"type": "Ready", "status": "Unknown", "reason": "Progressing", "message": "Running 'install' action with timeout of 5m0s", "lastTransitionTime": sec(20)}}, "status", "conditions")
	w.put(u)
	wantTimes(t, w.must("fsn1/app"), ms(10), flow.Time{})
}
