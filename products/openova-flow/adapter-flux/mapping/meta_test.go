package mapping_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
)

// full is a release that shows everything that a release can show.
const full = `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease",
	"metadata":{"name":"bp-a","namespace":"flux-system","uid":"u-1","generation":4,
		"deletionTimestamp":"2026-03-01T12:10:00Z","finalizers":["finalizers.fluxcd.io"],
		"labels":{"kustomize.toolkit.fluxcd.io/name":"apps","kustomize.toolkit.fluxcd.io/namespace":"flux-system"}},
	"spec":{"suspend":true,"dependsOn":[{"name":"bp-b"}],
		"chart":{"spec":{"chart":"a","version":"2.0.0","sourceRef":{"kind":"HelmRepository","name":"charts"}}}},
	"status":{"observedGeneration":3,"failures":2,"installFailures":1,"upgradeFailures":1,"lastAttemptedGeneration":3,
		"lastAttemptedRevision":"2.0.0","lastAttemptedReleaseAction":"upgrade","helmChart":"flux-system/flux-system-bp-a",
		"history":[{"version":7,"status":"failed","chartVersion":"2.0.0","action":"upgrade","lastDeployed":"2026-03-01T12:05:00Z"},
			{"version":6,"status":"deployed","chartVersion":"1.0.0","action":"install","lastDeployed":"2026-03-01T12:00:00Z"}],
		"conditions":[
			{"type":"Stalled","status":"True","reason":"RetriesExceeded","message":"gave up","lastTransitionTime":"2026-03-01T12:06:00Z"},
			{"type":"Ready","status":"False","reason":"DependencyNotReady","message":"dependency 'flux-system/bp-b' is not ready",
				"lastTransitionTime":"2026-03-01T12:07:00Z","observedGeneration":3}]}}`

const fullChart = `{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":"HelmChart",
	"metadata":{"name":"flux-system-bp-a","namespace":"flux-system","uid":"c-1","generation":1},
	"spec":{"chart":"a","version":"2.0.0","sourceRef":{"kind":"HelmRepository","name":"charts"}},
	"status":{"artifact":{"revision":"2.0.0"},"conditions":[{"type":"Ready","status":"True","reason":"ChartPullSucceeded","message":"pulled"}]}}`

const fullSource = `{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":"HelmRepository",
	"metadata":{"name":"charts","namespace":"flux-system","uid":"s-1","generation":1},"spec":{"url":"https://example.com"},
	"status":{"artifact":{"revision":"sha256:1"},"conditions":[{"type":"Ready","status":"True","reason":"Succeeded","message":"stored"}]}}`

const fullKustomization = `{"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization",
	"metadata":{"name":"apps","namespace":"flux-system","uid":"k-1","generation":2,
		"deletionTimestamp":"2026-03-01T12:10:00Z","finalizers":["finalizers.fluxcd.io"],
		"labels":{"kustomize.toolkit.fluxcd.io/name":"flux-system","kustomize.toolkit.fluxcd.io/namespace":"flux-system"}},
	"spec":{"suspend":true,"path":"./apps","dependsOn":[{"name":"infra"}],"sourceRef":{"kind":"GitRepository","name":"fleet"}},
	"status":{"observedGeneration":1,"lastAppliedRevision":"main@sha1:1","conditions":[
		{"type":"Stalled","status":"True","reason":"InvalidCELExpression","message":"no"},
		{"type":"Ready","status":"False","reason":"DependencyNotReady","message":"dependency 'flux-system/infra' is not ready","lastTransitionTime":"2026-03-01T12:07:00Z","observedGeneration":1}]}}`

const fullGit = `{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":"GitRepository",
	"metadata":{"name":"fleet","namespace":"flux-system","uid":"g-1","generation":1},"spec":{"url":"ssh://example.com"},
	"status":{"artifact":{"revision":"main@sha1:1"},"conditions":[{"type":"Ready","status":"False","reason":"GitOperationFailed","message":"no route"}]}}`

// earlierKustomization is fullKustomization while all was well.
const earlierKustomization = `{"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization",
	"metadata":{"name":"apps","namespace":"flux-system","uid":"k-1","generation":1},"spec":{},
	"status":{"observedGeneration":1,"history":[{"lastReconciledStatus":"ReconciliationSucceeded","firstReconciled":"2026-03-01T12:00:00Z"}],"conditions":[
		{"type":"Ready","status":"True","reason":"ReconciliationSucceeded","lastTransitionTime":"2026-03-01T12:01:00Z","observedGeneration":1}]}}`

func TestReleaseMeta(t *testing.T) {
	w := newWorld(t)
	for _, o := range []string{fullChart, full, fullSource} {
		w.put(object(t, "%s", o))
	}
	n := w.must("fsn1/bp-a")
	wantMeta(t, n, map[string]any{
		"kind": "HelmRelease", "namespace": "flux-system", "uid": "u-1",
		"ready": "False", "reason": "DependencyNotReady", "message": "dependency 'flux-system/bp-b' is not ready", "reasonSince": ms(7 * 60),
		"stalled": true, "stalledReason": "RetriesExceeded", "stalledMessage": "gave up",
		"waitingFor": []string{"fsn1/bp-b"}, "waitingSince": ms(7 * 60),
		"suspended": true, "deletingSince": ms(10 * 60), "finalizers": []string{"finalizers.fluxcd.io"},
		"chart": map[string]any{
			"name": "a", "version": "2.0.0", "ready": "True", "reason": "ChartPullSucceeded", "message": "pulled", "revision": "2.0.0",
		},
		"source": map[string]any{
			"kind": "HelmRepository", "name": "charts", "namespace": "flux-system",
			"ready": "True", "reason": "Succeeded", "message": "stored", "revision": "sha256:1",
		},
		"versionWanted": "2.0.0", "versionApplied": "1.0.0", "revision": "2.0.0", "helmRevision": 7, "action": "upgrade",
		"attempts": 2, "failures": 2, "installFailures": 1, "upgradeFailures": 1, "generation": 4, "observedGeneration": 3,
		"runGeneration": 3, "startedAtIsLowerBound": true, "appliedBy": "fsn1/Kustomization/flux-system/apps",
	})
	if n.Status != "failed" {
		t.Errorf("it is %s", n.Status)
	}
}

func TestKustomizationMeta(t *testing.T) {
	w := newWorld(t)
	w.put(object(t, "%s", fullKustomization))
	w.put(object(t, "%s", fullGit))
	n := w.must("fsn1/Kustomization/flux-system/apps")
	wantMeta(t, n, map[string]any{
		"kind": "Kustomization", "namespace": "flux-system", "uid": "k-1",
		"ready": "False", "reason": "DependencyNotReady", "reasonSince": ms(7 * 60), "stalled": true, "stalledReason": "InvalidCELExpression",
		"waitingFor": []string{"fsn1/Kustomization/flux-system/infra"}, "waitingSince": ms(7 * 60), "suspended": true,
		"revision": "main@sha1:1", "path": "./apps", "source": map[string]any{
			"kind": "GitRepository", "name": "fleet", "namespace": "flux-system",
			"ready": "False", "reason": "GitOperationFailed", "message": "no route", "revision": "main@sha1:1",
		},
		"generation": 2, "observedGeneration": 1, "appliedBy": "fsn1/Kustomization/flux-system/flux-system",
	})
	if n.Label != "apps" || n.Status != "failed" {
		t.Errorf("label %q, status %q", n.Label, n.Status)
	}
	wantEdges(t, w.edges(), "fsn1/Kustomization/flux-system/infra finish-to-start fsn1/Kustomization/flux-system/apps")
}

func TestMetaLeavesOutWhatIsNotThere(t *testing.T) {
	w := newWorld(t)
	w.put(object(t, `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"bp-a"},"spec":{}}`))
	if got := string(w.must("fsn1//bp-a").Meta); got != `{"kind":"HelmRelease"}` {
		t.Errorf("meta is %s", got)
	}
}

func TestMessageIsCutBetweenCharacters(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a", cond{"Ready", "False", "InstallFailed", strings.Repeat("ü", 4000), 1, 1}))
	got, _ := meta(t, w.must("fsn1/bp-a"))["message"].(string)
	if got != strings.Repeat("ü", 2048) {
		t.Errorf("a message of 8000 bytes is cut at %d", len(got))
	}
	w.put(release(t, "bp-a", cond{"Ready", "False", "InstallFailed", "x" + strings.Repeat("ü", 4000), 1, 1}))
	if got, _ = meta(t, w.must("fsn1/bp-a"))["message"].(string); got != "x"+strings.Repeat("ü", 2047) {
		t.Errorf("a message of 8001 bytes is cut at %d", len(got))
	}
}

// reasonSince is kept while the reason is the same, though Flux moves lastTransitionTime with every new message.
func TestReasonSinceOutlivesItsMessage(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a", cond{"Ready", "False", "DependencyNotReady", "dependency 'flux-system/bp-b' is not ready", 10, 1}))
	w.put(release(t, "bp-a", cond{"Ready", "False", "DependencyNotReady", "dependency 'shop/c' is not ready", 90, 1}))
	wantMeta(t, w.must("fsn1/bp-a"), map[string]any{"reasonSince": ms(10), "waitingSince": ms(10), "waitingFor": []string{"fsn1/shop/c"}})
	w.put(release(t, "bp-a", cond{"Ready", "False", "SourceNotReady", "no", 95, 1}))
	wantMeta(t, w.must("fsn1/bp-a"), map[string]any{"reasonSince": ms(95), "waitingSince": nil, "waitingFor": nil})
}

func TestWaitingForAMissingDependency(t *testing.T) {
	w := newWorld(t)
	const message = `unable to get 'demo2/nothere' dependency: helmreleases.helm.toolkit.fluxcd.io "nothere" not found`
	w.put(release(t, "bp-a", cond{"Ready", "False", "DependencyNotReady", message, 10, 1}))
	wantMeta(t, w.must("fsn1/bp-a"), map[string]any{"waitingFor": []string{"fsn1/demo2/nothere"}})
	w.put(release(t, "bp-a", cond{"Ready", "False", "DependencyNotReady", "something else entirely", 10, 1}))
	wantMeta(t, w.must("fsn1/bp-a"), map[string]any{"waitingFor": nil, "waitingSince": ms(10)})
}

// docs/meta.md has a row for every key that is ever written, and for no other.
func TestMetaPageNamesEveryKey(t *testing.T) {
	w := newWorld(t)
	w.take(w.SetInfo(mapping.RegionInfo{ClusterUID: "c", NotWatched: []mapping.NotWatched{{Kind: "Kustomization", Why: "no rights"}}}))
	for _, o := range []string{fullChart, full, fullSource, earlierKustomization, fullKustomization, fullGit} {
		w.put(object(t, "%s", o))
	}
	sections := map[string]string{"Release": "fsn1/bp-a", "Kustomization": "fsn1/Kustomization/flux-system/apps", "Region": "fsn1"}
	page, err := os.ReadFile("../../../../docs/meta.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-zA-Z.]+)` \\| ([a-z ]+) \\|")
	seen := map[string]bool{}
	for _, part := range strings.Split(string(page), "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		id, ok := sections[title]
		if !ok {
			continue
		}
		seen[title] = true
		written := map[string]string{}
		types(written, "", meta(t, w.must(id)))
		documented := map[string]string{}
		for _, m := range row.FindAllStringSubmatch(body, -1) {
			documented[m[1]] = m[2]
		}
		for _, k := range slices.Sorted(maps.Keys(written)) {
			if documented[k] != written[k] {
				t.Errorf("%s: %s is %s, the page says %q", title, k, written[k], documented[k])
			}
		}
		for _, k := range slices.Sorted(maps.Keys(documented)) {
			if written[k] == "" {
				t.Errorf("%s: the page has %s, which is never written", title, k)
			}
		}
	}
	if len(seen) != len(sections) {
		t.Errorf("the page has the sections %v", slices.Sorted(maps.Keys(seen)))
	}
}

// types lists the keys of a meta object with the types that the page gives them.
func types(into map[string]string, prefix string, m map[string]any) {
	for k, v := range m {
		switch v := v.(type) {
		case string:
			into[prefix+k] = "string"
		case bool:
			into[prefix+k] = "true"
		case float64:
			into[prefix+k] = "integer"
			if strings.HasSuffix(k, "Since") {
				into[prefix+k] = "time"
			}
		case []any:
			into[prefix+k] = "strings"
			if len(v) > 0 {
				if _, ok := v[0].(map[string]any); ok {
					into[prefix+k] = "objects"
				}
			}
		case map[string]any:
			into[prefix+k] = "object"
			types(into, prefix+k+".", v)
		}
	}
}

func TestMetaIsOneLineOfJSON(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a", cond{"Ready", "False", "InstallFailed", "two\nlines & <tags>", 1, 1}))
	raw := w.must("fsn1/bp-a").Meta
	if !json.Valid([]byte(raw)) || strings.Contains(string(raw), "\n") || !strings.Contains(string(raw), `two\nlines & <tags>`) {
		t.Errorf("meta is %s", raw)
	}
}
