package mapping_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

const minute = 60_000

// What is said of an object at an instant after its last version was seen, by all versions of it and of what it uses.
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
	every := func(u *unstructured.Unstructured, interval string) *unstructured.Unstructured {
		return set(u, interval, "spec", "interval")
	}
	for name, c := range map[string]struct {
		versions []*unstructured.Unstructured
		after    int64 // milliseconds
		state    string
		says     string
	}{
		"ready and stalled": {
			[]*unstructured.Unstructured{release(t, "app", ready("True", "UpgradeSucceeded", "done", 1), cond{"Stalled", "True", "RetriesExceeded", "no more", 1, 1})},
			0, "ready", ""},
		"stalled in the middle of a try": {
			[]*unstructured.Unstructured{release(t, "app", ready("Unknown", "Progressing", "Running 'upgrade' action with timeout of 5m0s", 1), cond{"Stalled", "True", "InvalidCELExpression", "the expression is wrong", 1, 1})},
			0, "broken", "the expression is wrong"},
		"not looked at for ten minutes, every hour": {
			[]*unstructured.Unstructured{every(release(t, "app"), "1h")}, 10 * minute, "not-started", ""},
		"not looked at for twelve minutes, every hour": {
			[]*unstructured.Unstructured{every(release(t, "app"), "1h")}, 12 * minute, "broken", "its controller has not looked at it"},
		"seen first long ago, and not looked at": {
			[]*unstructured.Unstructured{every(release(t, "app"), "1m"), set(every(release(t, "app"), "1m"), "x", "metadata", "annotations", "note")},
			0, "broken", "its controller has not looked at it"},
		"at the digest of its source as far as is known": {
			[]*unstructured.Unstructured{oci, byReference(release(t, "app", ready("True", "UpgradeSucceeded", "done", 1)))},
			minute, "ready", ""},
		"at another digest than its source": {
			[]*unstructured.Unstructured{oci, set(byReference(release(t, "app", ready("True", "UpgradeSucceeded", "done", 1))), "sha256:"+strings.Repeat("a", 64), "status", "lastAttemptedRevisionDigest")},
			0, "waiting", "has not taken up"},
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
				if j["state"] != c.state || !strings.Contains(sentence, c.says) {
					t.Errorf("it is %v", j)
				}
				return
			}
			t.Fatal("there is no fsn1/app")
		})
	}
}

// Stalled stands over a look of the controller: what was ready before is not ready.
func TestJudgement_StalledWhileItIsLookedAtAgain(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "app", cond{"Ready", "True", "InstallSucceeded", "done", 1, 1}))
	w.put(release(t, "app", cond{"Ready", "Unknown", "Progressing", "Fulfilling prerequisites", 2, 1}, cond{"Stalled", "True", "InvalidCELExpression", "wrong", 2, 1}))
	if n := w.must("fsn1/app"); n.Status != flow.StatusFailed {
		t.Errorf("it is %s", n.Status)
	}
}

// A failure after another try is a new end, also where no version in between was seen.
func TestJudgement_FailureAfterAnotherTryEndsLater(t *testing.T) {
	failed := func(at int) *unstructured.Unstructured {
		u := release(t, "app", cond{"Ready", "False", "RollbackSucceeded", "put back", at, 1}, cond{"Stalled", "True", "RetriesExceeded", "no more", at, 1})
		return set(u, []any{map[string]any{"version": int64(at), "status": "deployed", "action": "rollback", "lastDeployed": sec(at - 5)}}, "status", "history")
	}
	w := newWorld(t)
	w.put(failed(20))
	w.put(failed(40))
	if n := w.must("fsn1/app"); n.EndedAt != ms(40) {
		t.Errorf("it ended at %s", clock(n.EndedAt))
	}
}

// What is being deleted waits for nobody's health.
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
			t.Errorf("deleted %v: it checks: %v", deleted, checks)
		}
	}
}
