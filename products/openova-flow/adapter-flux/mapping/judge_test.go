package mapping_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const minute = 60_000

// TestJudgement_Rules checks the judgement of an object some time after its last version, from all versions of it and of the objects that it
// uses.
func TestJudgement_Rules(t *testing.T) {
	ready := func(status, reason, message string, at int) cond {
		return cond{"Ready", status, reason, message, at, 1}
	}
	byReference := func(u *unstructured.Unstructured) *unstructured.Unstructured {
		spec := u.Object["spec"].(map[string]any)
		delete(spec, "chart")
		spec["chartRef"] = map[string]any{"kind": "OCIRepository", "name": "charts"}
		return set(u, "1.0.0", "status", "lastAttemptedRevision")
	}
	oci := set(artifact(t, "OCIRepository", "flux-system", "charts", "True", "Succeeded"), "2.0.0@sha256:"+strings.Repeat("b", 64), "status", "artifact", "revision")
	chart := func(ready, revision string) *unstructured.Unstructured {
		return set(artifact(t, "HelmChart", "flux-system", "flux-system-app", ready, "X"), revision, "status", "artifact", "revision")
	}
	at := func(u *unstructured.Unstructured, revision string) *unstructured.Unstructured {
		return set(u, revision, "status", "lastAttemptedRevision")
	}
	every := func(u *unstructured.Unstructured, interval string) *unstructured.Unstructured {
		return set(u, interval, "spec", "interval")
	}
	for name, c := range map[string]struct {
		versions []*unstructured.Unstructured
		after    int64 // milliseconds
		state    string
		wantPart string
	}{
		"ready and stalled": {
			[]*unstructured.Unstructured{release(t, "app", ready("True", "UpgradeSucceeded", "done", 1), cond{"Stalled", "True", "RetriesExceeded", "no more", 1, 1})},
			0, "ready", ""},
		"stalled during an attempt": {
			[]*unstructured.Unstructured{release(t, "app", ready("Unknown", "Progressing", "Running 'upgrade' action with timeout of 5m0s", 1), cond{"Stalled", "True", "InvalidCELExpression", "the expression is wrong", 1, 1})},
			0, "broken", "the expression is wrong"},
		"unobserved for ten minutes, interval of an hour": {
			[]*unstructured.Unstructured{every(release(t, "app"), "1h")}, 10 * minute, "not-started", ""},
		"unobserved for twelve minutes, interval of an hour": {
			[]*unstructured.Unstructured{every(release(t, "app"), "1h")}, 12 * minute, "broken", "its controller has not looked at it"},
		"created long ago, and unobserved": {
			[]*unstructured.Unstructured{every(release(t, "app"), "1m"), set(every(release(t, "app"), "1m"), "x", "metadata", "annotations", "note")},
			0, "broken", "its controller has not looked at it"},
		"at the digest of its source, as far as known": {
			[]*unstructured.Unstructured{oci, byReference(release(t, "app", ready("True", "UpgradeSucceeded", "done", 1)))},
			minute, "ready", ""},
		"at another digest than its source, which is not ready": {
			[]*unstructured.Unstructured{set(artifact(t, "OCIRepository", "flux-system", "charts", "False", "OCIArtifactPullFailed"), "2.0.0@sha256:"+strings.Repeat("b", 64), "status", "artifact", "revision"),
				set(byReference(release(t, "app", ready("True", "UpgradeSucceeded", "done", 1))), "sha256:"+strings.Repeat("a", 64), "status", "lastAttemptedRevisionDigest")},
			0, "ready", ""},
		"at the version of its chart except for build metadata": {
			[]*unstructured.Unstructured{chart("True", "1.0.0+chart"), at(release(t, "app", ready("True", "UpgradeSucceeded", "done", 1)), "1.0.0+release")},
			0, "ready", ""},
		"at another version than its chart": {
			[]*unstructured.Unstructured{chart("True", "2.0.0"), at(release(t, "app", ready("True", "UpgradeSucceeded", "done", 1)), "1.0.0")},
			0, "waiting", "2.0.0"},
		"at another version than its chart, which is not ready": {
			[]*unstructured.Unstructured{chart("False", "2.0.0"), at(release(t, "app", ready("True", "UpgradeSucceeded", "done", 1)), "1.0.0")},
			0, "ready", ""},
		"released at an older generation, and reconciled again": {
			[]*unstructured.Unstructured{set(release(t, "app", cond{"Ready", "Unknown", "Progressing", "Fulfilling prerequisites", 2, 2}, cond{"Released", "True", "InstallSucceeded", "", 1, 1}), int64(2), "metadata", "generation")},
			0, "working", ""},
		"tested after its values were wrong for a long time": {
			[]*unstructured.Unstructured{release(t, "app", ready("False", "ValuesError", "no such key", 1)), release(t, "app", ready("Unknown", "AwaitingTests", "", 60*60))},
			0, "working", "waits for its tests"},
		"cannot load a chart that is ready": {
			[]*unstructured.Unstructured{chart("True", "1.0.0"), release(t, "app", ready("False", "ArtifactFailed", "no space left on device", 1))},
			0, "broken", "no space left on device"},
		"waits for a chart that is ready": {
			[]*unstructured.Unstructured{chart("True", "1.0.0"), release(t, "app", ready("False", "SourceNotReady", "no artifact", 1))},
			0, "broken", "has its chart 1.0.0"},
		"corrects a drift": {
			[]*unstructured.Unstructured{release(t, "app", ready("Unknown", "Progressing", "correcting cluster drift", 1))},
			0, "working", "differs from what was deployed"},
		"uninstalled after a failed install": {
			[]*unstructured.Unstructured{release(t, "app", ready("False", "UninstallSucceeded", "uninstalled", 2), cond{"Released", "False", "InstallFailed", "no pods for the chart", 1, 1})},
			0, "broken", "no pods for the chart"},
		"at another digest than its source": {
			[]*unstructured.Unstructured{oci, set(byReference(release(t, "app", ready("True", "UpgradeSucceeded", "done", 1))), "sha256:"+strings.Repeat("a", 64), "status", "lastAttemptedRevisionDigest")},
			0, "waiting", "has not applied"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for i, u := range c.versions {
				_, err := w.Apply(mapping.Event{Type: mapping.Modified, Object: u, At: flow.At(ms(60 * 60 * i).Ms())})
				if err != nil {
					t.Fatal(err)
				}
			}
			nodes, _ := w.State()
			for _, n := range nodes {
				if n.ID != "fsn1/app" {
					continue
				}
				j := segmentAt(t, n, ms(60*60*(len(c.versions)-1)).Ms()+c.after)
				sentence, _ := j["cause"].(map[string]any)["sentence"].(string)
				if j["state"] != c.state || !strings.Contains(sentence, c.wantPart) {
					t.Errorf("judgement %v", j)
				}
				return
			}
			t.Fatal("no node fsn1/app")
		})
	}
}

// TestJudgement_DeletionOfASuspendedObjectHasNoGate: a suspended object does not change by itself, so no gate waits for its deletion.
func TestJudgement_DeletionOfASuspendedObjectHasNoGate(t *testing.T) {
	for _, suspended := range []bool{false, true} {
		w := newWorld(t)
		u := set(release(t, "app", cond{"Ready", "True", "InstallSucceeded", "", 1, 1}), sec(2), "metadata", "deletionTimestamp")
		w.put(set(u, suspended, "spec", "suspend"))
		j := judgements(t, w.must("fsn1/app"))[0]
		if gate, ok := j["gate"]; j["state"] != "terminating" || ok == suspended || (j["marks"] != nil) != suspended {
			t.Errorf("suspended %t: %v, gate %v, marks %v", suspended, j["state"], gate, j["marks"])
		}
	}
}

// TestJudgement_SuspendedKustomizationIsObservedOnlyIfReady: kustomize-controller records the generation of a suspended object only if it is Ready, so
// that of another one stays behind by the suspension itself.
func TestJudgement_SuspendedKustomizationIsObservedOnlyIfReady(t *testing.T) {
	for ready, want := range map[string]any{"True": []any{"not-observed"}, "Unknown": nil} {
		w := newWorld(t)
		k := kustomization(t, 1, "", "", cond{"Ready", ready, "Progressing", "", 1, 1})
		w.put(set(set(k, int64(2), "metadata", "generation"), true, "spec", "suspend"))
		if j := judgements(t, w.must("fsn1/Kustomization/flux-system/apps"))[0]; j["state"] != "suspended" || fmt.Sprint(j["marks"]) != fmt.Sprint(want) {
			t.Errorf("Ready is %s: %v, marks %v, want %v", ready, j["state"], j["marks"], want)
		}
	}
}

// TestJudgement_RetryAfterAFailureIsNotRoutine: an object that failed after it was ready is not ready while its controller tries again, and is ready since
// its recovery afterwards.
func TestJudgement_RetryAfterAFailureIsNotRoutine(t *testing.T) {
	again := cond{"Ready", "Unknown", "Progressing", "Reconciliation in progress", 80, 1}
	git := func(c cond) *unstructured.Unstructured {
		u := artifact(t, "GitRepository", "flux-system", "fleet", "True", "Succeeded")
		return set(u, conditionList(c), "status", "conditions")
	}
	for id, c := range map[string]struct {
		reason string
		at     func(cond) *unstructured.Unstructured
	}{
		"fsn1/app": {"UpgradeFailed", func(c cond) *unstructured.Unstructured { return release(t, "app", c) }},
		"fsn1/Kustomization/flux-system/apps": {"HealthCheckFailed", func(c cond) *unstructured.Unstructured {
			return kustomization(t, 1, "main@sha1:1", "main@sha1:1", c)
		}},
		"fsn1/GitRepository/flux-system/fleet": {"GitOperationFailed", git},
	} {
		w := newWorld(t)
		w.put(c.at(cond{"Ready", "True", "Succeeded", "", 1, 1}))
		w.put(c.at(cond{"Ready", "False", c.reason, "no", 10, 1}))
		w.put(c.at(again))
		if j := segmentAt(t, w.must(id), ms(85).Ms()); j["state"] != "broken" || j["gate"] == "pass" {
			t.Errorf("%s, tried again: %v, gate %v", id, j["state"], j["gate"])
		}
		w.put(c.at(cond{"Ready", "True", "Succeeded", "", 90, 1}))
		if j := judgements(t, w.must(id))[0]; j["state"] != "ready" || j["since"] != float64(ms(90).Ms()) {
			t.Errorf("%s, recovered: %v since %v", id, j["state"], j["since"])
		}
	}
}

func TestJudgement_ReconcilingThatIsFalseRetriesNothing(t *testing.T) {
	for status, want := range map[string]any{"True": []any{"retrying"}, "False": nil} {
		w := newWorld(t)
		w.put(release(t, "app", cond{"Ready", "False", "UpgradeFailed", "no", 1, 1}, cond{"Reconciling", status, "ProgressingWithRetry", "retrying", 1, 1}))
		if got := judgements(t, w.must("fsn1/app"))[0]["marks"]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("Reconciling is %s: marks %v, want %v", status, got, want)
		}
	}
}

func TestJudgement_StalledWithoutRollbackTargetIsReset(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "app", cond{"Ready", "False", "UpgradeFailed", "no", 1, 1}, cond{"Stalled", "True", "MissingRollbackTarget", "none", 1, 1}))
	j := judgements(t, w.must("fsn1/app"))[0]
	if got, want := fmt.Sprint(j["command"]), "[flux reconcile helmrelease app -n flux-system --reset]"; got != want || j["final"] != true {
		t.Errorf("the command is %s, want %s; final: %v", got, want, j["final"])
	}
}

func TestJudgement_InvalidTimeoutIsTheDefaultLimit(t *testing.T) {
	for _, timeout := range []string{"0s", "-1m", "soon"} {
		w := newWorld(t)
		w.put(set(release(t, "app", cond{"Ready", "Unknown", "Progressing", "", 1, 1}), timeout, "spec", "timeout"))
		if got := judgements(t, w.must("fsn1/app"))[0]["limit"]; got != float64(5*minute) {
			t.Errorf("timeout %s: the limit is %v ms", timeout, got)
		}
	}
}

// TestJudgement_LimitOfAKustomization: the default timeout of a Kustomization is its interval minus 30 seconds. kustomize-controller raises any timeout below 30
// seconds to that.
func TestJudgement_LimitOfAKustomization(t *testing.T) {
	for _, c := range []struct {
		interval, timeout string
		want              float64
	}{
		{"10m", "", 570_000}, {"40s", "", 30_000}, {"10m", "2m", 120_000}, {"10m", "10s", 30_000},
	} {
		w := newWorld(t)
		u := set(kustomization(t, 1, "", "", cond{"Ready", "Unknown", "Progressing", "", 1, 1}), c.interval, "spec", "interval")
		if c.timeout != "" {
			set(u, c.timeout, "spec", "timeout")
		}
		w.put(u)
		if got := judgements(t, w.must("fsn1/Kustomization/flux-system/apps"))[0]["limit"]; got != c.want {
			t.Errorf("interval %s, timeout %q: the limit is %v ms, want %v", c.interval, c.timeout, got, c.want)
		}
	}
}

// TestJudgement_SourceWithoutAControllerIsReady: no controller has to set conditions of ExternalArtifacts and of HelmRepositories of OCI charts, so they are
// ready without conditions.
func TestJudgement_SourceWithoutAControllerIsReady(t *testing.T) {
	w := newWorld(t)
	bare := func(kind, kindOf string) *unstructured.Unstructured {
		return object(t, `{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":%q,"metadata":{"name":"bare","namespace":"flux-system","uid":"u","creationTimestamp":%q},"spec":{"type":%q}}`, kind, sec(3), kindOf)
	}
	for _, c := range []struct{ kind, kindOf, state, status string }{
		{"ExternalArtifact", "", "ready", "succeeded"}, {"HelmRepository", "oci", "ready", "succeeded"}, {"HelmRepository", "default", "not-started", "running"}, {"OCIRepository", "oci", "not-started", "running"},
	} {
		w.put(bare(c.kind, c.kindOf))
		n := w.must("fsn1/" + c.kind + "/flux-system/bare")
		if got := judgements(t, n)[0]["state"]; got != c.state || n.Status != c.status {
			t.Errorf("%s of type %q is %v and %s, want %s and %s", c.kind, c.kindOf, got, n.Status, c.state, c.status)
		}
		end := flow.Time{}
		if c.status == "succeeded" {
			end = ms(3)
		}
		wantTimes(t, n, ms(3), end)
	}
}

// TestJudgement_StalledCountsDuringReconciliation: while the controller checks the object again, Stalled counts, and an earlier Ready does not.
func TestJudgement_StalledCountsDuringReconciliation(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "app", cond{"Ready", "True", "InstallSucceeded", "done", 1, 1}))
	w.put(release(t, "app", cond{"Ready", "Unknown", "Progressing", "Fulfilling prerequisites", 2, 1}, cond{"Stalled", "True", "InvalidCELExpression", "wrong", 2, 1}))
	if n := w.must("fsn1/app"); n.Status != flow.StatusFailed {
		t.Errorf("status %s", n.Status)
	}
}

// TestRun_EndsWithItsLastFailure: also if no version between the failures was seen.
func TestRun_EndsWithItsLastFailure(t *testing.T) {
	failed := func(at int) *unstructured.Unstructured {
		u := release(t, "app", cond{"Ready", "False", "RollbackSucceeded", "put back", at, 1}, cond{"Stalled", "True", "RetriesExceeded", "no more", at, 1})
		return set(u, []any{map[string]any{"version": int64(at), "status": "deployed", "action": "rollback", "lastDeployed": sec(at - 5)}}, "status", "history")
	}
	w := newWorld(t)
	w.put(failed(20))
	w.put(failed(40))
	if n := w.must("fsn1/app"); n.EndedAt != ms(40) {
		t.Errorf("endedAt is %s", clock(n.EndedAt))
	}
}

// TestJudgement_DeletedKustomizationChecksNothing: an object that is being deleted waits for no health checks.
func TestJudgement_DeletedKustomizationChecksNothing(t *testing.T) {
	failed := func() *unstructured.Unstructured {
		return kustomization(t, 1, "", "", cond{"Ready", "False", "HealthCheckFailed", "timeout waiting for: [HelmRelease/apps/app status: 'InProgress']", 1, 1})
	}
	w := newWorld(t)
	for _, deleted := range []bool{false, true} {
		u := failed()
		if deleted {
			set(u, sec(2), "metadata", "deletionTimestamp")
		}
		w.put(u)
		if _, checks := judgements(t, w.must("fsn1/Kustomization/flux-system/apps"))[0]["checks"]; checks == deleted {
			t.Errorf("deleted %v: checks: %v", deleted, checks)
		}
	}
}

// TestJudgement_WorkAfterAnErrorIsNotRoutine: an object that could not load its source is not ready again before its health has been checked.
func TestJudgement_WorkAfterAnErrorIsNotRoutine(t *testing.T) {
	w := newWorld(t)
	for _, cs := range [][]cond{
		{{"Ready", "True", "ReconciliationSucceeded", "", 1, 1}},
		{{"Ready", "False", "ArtifactFailed", "no", 10, 1}},
		{{"Ready", "Unknown", "Progressing", "Reconciliation in progress", 80, 1}, {"Reconciling", "True", "Progressing", "Running health checks", 80, 1}},
	} {
		w.put(kustomization(t, 1, "main@sha1:1", "main@sha1:1", cs...))
	}
	if j := judgements(t, w.must("fsn1/Kustomization/flux-system/apps"))[0]; j["state"] != "working" || j["gate"] != "wait" {
		t.Errorf("%v, gate %v", j["state"], j["gate"])
	}
}
