package mapping_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
)

const hour = 3_600_000

// noon is when the objects in testdata/replays were created. Their conditions have the same time, except some in stalled-restart.
const noon = 1795435200000

// later replays a file, and evaluates the flow at a number of milliseconds after noon.
func later(t *testing.T, file string, after int64) (*replay, *insight.View) {
	t.Helper()
	r := play(t, "../replays/"+file, "r1")
	return r, insight.Read(r.held.Snapshot()).At(noon+after, nil)
}

func wantStates(t *testing.T, v *insight.View, want map[string]string) {
	t.Helper()
	for id, w := range want {
		if got := string(v.State(id)); got != w {
			t.Errorf("%s is %q, want %q", id, got, w)
		}
	}
}

func problem(t *testing.T, v *insight.View, root string) insight.Problem {
	t.Helper()
	all := v.Problems()
	if i := slices.IndexFunc(all, func(p insight.Problem) bool { return p.ID == root }); i >= 0 {
		return all[i]
	}
	t.Fatalf("no problem has the root %s: %+v", root, all)
	return insight.Problem{}
}

// TestJudgement_EveryReasonOfAFailureIsBroken: after an hour, a failure of any reason is broken and a problem, and so is an object that its controller has
// not observed.
func TestJudgement_EveryReasonOfAFailureIsBroken(t *testing.T) {
	_, v := later(t, "reasons", hour)
	for _, name := range []string{"tests-failed-at-rest", "tests-failed-retrying", "rollback-failed", "uninstall-remediation-failed", "restclient", "stateerror", "factoryerror",
		"resourcemanager", "configfactory", "reconcileerror", "artifactfailed", "accessdenied", "invalidcel", "missing-rollback", "retry-on-failure", "one-of-four-attempts",
		"retryafter", "pendingrelease", "chartmutate", "valueserror", "rolled-back-at-rest", "new-generation-not-looked-at", "no-controller-on-its-shard"} {
		id := reasonID(t, v, name)
		wantStates(t, v, map[string]string{id: "broken"})
		if p := problem(t, v, id); p.Sentence == "" || len(p.Command) == 0 {
			t.Errorf("%s: sentence %q, command %q", name, p.Sentence, p.Command)
		}
	}
	wantStates(t, v, map[string]string{reasonID(t, v, "drift-warn"): "ready"})
	if id := reasonID(t, v, "drift-warn"); !slices.Contains(v.Marks(id), "drift") {
		t.Errorf("drift is not marked: %q", v.Marks(id))
	}
	for name, final := range map[string]bool{"accessdenied": true, "invalidcel": true, "missing-rollback": true, "rolled-back-at-rest": true, "retry-on-failure": false, "one-of-four-attempts": false, "stateerror": false} {
		if p := problem(t, v, reasonID(t, v, name)); p.Final != final {
			t.Errorf("%s is final: %v", name, p.Final)
		}
	}
}

func reasonID(t *testing.T, v *insight.View, name string) string {
	t.Helper()
	id := "r1/" + name
	if v.State(id) == "" {
		t.Fatalf("no release %s", name)
	}
	return id
}

// TestJudgement_ReleaseUnderAKustomizationIsTheRoot: a Kustomization waits for a failed release, and others wait for the Kustomization; the only root is
// the release.
func TestJudgement_ReleaseUnderAKustomizationIsTheRoot(t *testing.T) {
	r := newReplay(t, "r1")
	for _, ev := range events(t, "../replays/ks-hr") {
		r.apply(ev)
	}
	v := insight.Read(r.held.Snapshot()).At(noon+hour, nil)
	const infra, apps, release = "r1/Kustomization/flux-system/infra", "r1/Kustomization/flux-system/apps", "r1/cert-manager/cert-manager"
	wantStates(t, v, map[string]string{infra: "broken", apps: "waiting", release: "broken"})
	if p := v.Problems(); len(p) != 1 || !slices.Equal(p[0].IDs, []string{release, infra}) || !slices.Equal(p[0].Blocks, []string{apps}) {
		t.Errorf("the problems are %+v", p)
	}
	if by := v.HeldBy(apps); !slices.Equal(by, []string{release}) {
		t.Errorf("apps is blocked by %q", by)
	}
}

// TestJudgement_FailedSourceIsTheRoot has an OCIRepository made for the release, an OCIRepository in its chartRef, and a Bucket.
func TestJudgement_FailedSourceIsTheRoot(t *testing.T) {
	for file, want := range map[string][]string{
		"flux210":  {"r1/OCIRepository/team/team-podinfo", "r1/team/podinfo"},
		"chartref": {"r1/OCIRepository/team/team-podinfo", "r1/team/podinfo"},
		"bucket":   {"r1/Bucket/flux-system/bk", "r1/b"},
	} {
		_, v := later(t, file, hour)
		if p := problem(t, v, want[0]); !slices.Equal(p.IDs, want) {
			t.Errorf("%s: the problem is %q, want %q", file, p.IDs, want)
		}
	}
}

// TestJudgement_OlderGenerationIsNotReady: an object that is ready at an older generation is not ready, and blocks the nodes that wait for it.
func TestJudgement_OlderGenerationIsNotReady(t *testing.T) {
	_, v := later(t, "stale-dep", 30_000)
	wantStates(t, v, map[string]string{"r1/db": "waiting", "r1/app": "waiting"})
	if by := v.HeldBy("r1/app"); !slices.Equal(by, []string{"r1/db"}) {
		t.Errorf("app is blocked by %q", by)
	}
}

// TestJudgement_UnmetReadyExprIsAProblem: a node that waits because of its readyExpr is blocked by a ready dependency, so it is the problem itself.
func TestJudgement_UnmetReadyExprIsAProblem(t *testing.T) {
	_, v := later(t, "readyexpr", hour)
	wantStates(t, v, map[string]string{"r1/db": "ready", "r1/app": "waiting"})
	if p := problem(t, v, "r1/app"); p.Class != "ready-expr" || !slices.Contains(p.Marks, "ready-expr") || !slices.Equal(v.HeldBy("r1/app"), []string{"r1/db"}) {
		t.Errorf("the problem is %+v", p)
	}
}

// TestJudgement_FailureHasTheNextStep: the judgement of a failure says what Flux does next. A gate waits only if Flux retries.
func TestJudgement_FailureHasTheNextStep(t *testing.T) {
	rollback := "Running 'rollback' action with timeout of 5m0s"
	for name, want := range map[string]struct {
		reconciling, sentence, mark, gate string
		nextTry                           float64
	}{
		"one-of-four-attempts": {sentence: "Flux tries again (try 1 of 4).", mark: "retrying", gate: "wait"},
		"retry-on-failure":     {sentence: "Flux tries again 5m after it failed.", mark: "retrying", gate: "wait", nextTry: noon + 300_000},
		"tests-failed-at-rest": {reconciling: rollback, sentence: "Flux is working on it: rollback is under way.", mark: "retrying", gate: "wait"},
		"rolled-back-at-rest":  {sentence: "Flux has given up on it after 2 tries."},
		"missing-rollback":     {sentence: "Flux has given up on it: there is no earlier release to roll back to."},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplay(t, "r1")
			for _, ev := range events(t, "../replays/reasons") {
				if ev.Object.GetName() != name {
					continue
				}
				ev.Object = ev.Object.DeepCopy()
				if want.reconciling != "" {
					status := ev.Object.Object["status"].(map[string]any)
					status["conditions"] = append(status["conditions"].([]any), map[string]any{"type": "Reconciling", "status": "True", "reason": "Progressing",
						"message": want.reconciling, "lastTransitionTime": "2026-11-23T12:00:00Z", "observedGeneration": int64(1)})
				}
				r.apply(ev)
			}
			versions := r.nodes["r1/"+name]
			j := segmentAt(t, versions[len(versions)-1], noon+30_000)
			sentence := j["cause"].(map[string]any)["sentence"].(string)
			marks, _ := j["marks"].([]any)
			gate, _ := j["gate"].(string)
			next, _ := j["nextTry"].(float64)
			if !strings.HasSuffix(sentence, want.sentence) || gate != want.gate || next != want.nextTry || want.mark != "" != slices.Contains(marks, any(want.mark)) {
				t.Errorf("judgement %v", j)
			}
		})
	}
}

// TestJudgement_RestartOfTheControllerMakesNoNewFailure: a controller that starts removes Stalled and sets it again.
func TestJudgement_RestartOfTheControllerMakesNoNewFailure(t *testing.T) {
	r, _ := later(t, "stalled-restart", hour)
	versions := r.nodes["r1/kc"]
	for _, n := range versions {
		if n.Status != versions[0].Status && n.Status != flow.StatusRunning {
			t.Errorf("kc is %s", n.Status)
		}
		if n.Status == flow.StatusFailed && n.EndedAt != versions[0].EndedAt {
			t.Errorf("kc ended at %v, want %v as before the restart", n.EndedAt, versions[0].EndedAt)
		}
		if j := segmentAt(t, n, noon+6*hour); j["state"] != "broken" || int64(j["since"].(float64)) != noon {
			t.Errorf("kc is %v since %v", j["state"], j["since"])
		}
	}
}

// TestApply_SourceIsNotCopiedIntoItsUsers: a new index of a repository with a thousand users changes only the repository's node.
func TestApply_SourceIsNotCopiedIntoItsUsers(t *testing.T) {
	w := newWorld(t)
	w.put(artifact(t, "HelmRepository", "flux-system", "charts", "True", "Succeeded"))
	for i := range 1000 {
		w.put(release(t, fmt.Sprint("app", i), cond{"Ready", "True", "InstallSucceeded", "ok", 1, 1}))
	}
	changes := w.put(set(artifact(t, "HelmRepository", "flux-system", "charts", "True", "Succeeded"), "rev-2", "status", "artifact", "revision"))
	if len(changes) != 1 || changes[0].Node == nil || changes[0].Node.ID != "fsn1/HelmRepository/flux-system/charts" {
		t.Errorf("%d changes, want the repository's own", len(changes))
	}
}

// TestJudgement_SentencesOfKustomizations checks failures that are easily mistaken for others.
func TestJudgement_SentencesOfKustomizations(t *testing.T) {
	_, v := later(t, "kustomizations", hour)
	for name, want := range map[string]struct{ class, sentence, not, command string }{
		"path-missing":  {"artifact-failed", "its path", "sources", "kubectl -n flux-system describe kustomizations.kustomize.toolkit.fluxcd.io path-missing"},
		"gate":          {"feature-gate-disabled", "not enabled", "namespace", "kubectl -n flux-system describe kustomizations.kustomize.toolkit.fluxcd.io gate"},
		"dir":           {"directory-creation-failed", "no space left", "DirectoryCreationFailed", "kubectl -n flux-system describe kustomizations.kustomize.toolkit.fluxcd.io dir"},
		"dep-notfound":  {"dependency-missing", "Kustomization", "HelmRelease", "kubectl -n flux-system get kustomizations.kustomize.toolkit.fluxcd.io nope"},
		"dep-expr":      {"ready-expr", "readyExpr", "health check", "kubectl -n flux-system get kustomizations.kustomize.toolkit.fluxcd.io dep-expr -o jsonpath={.spec.dependsOn}"},
		"health-failed": {"health-check-failed", "HelmRelease apps/podinfo", "what it applied", "kubectl -n apps describe helmrelease podinfo"},
		"external":      {"artifact-failed", "never been fetched", "artifact-failed", "flux get sources all -A"},
	} {
		p := problem(t, v, "r1/Kustomization/flux-system/"+name)
		if p.Class != want.class || !strings.Contains(p.Sentence, want.sentence) || strings.Contains(p.Sentence, want.not) || strings.Join(p.Command, " ") != want.command {
			t.Errorf("%s: %s %q %q", name, p.Class, p.Sentence, p.Command)
		}
	}
	if p := problem(t, v, "r1/Kustomization/flux-system/ok"); p.Class != "dependency-revision" || !slices.Equal(p.Blocks, []string{"r1/Kustomization/flux-system/dep-rev"}) {
		t.Errorf("the problem is %+v", p)
	}
}
