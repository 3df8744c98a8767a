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

// full is a release with most of the fields that are mapped.
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
	"status":{"artifact":{"revision":"2.0.0"},"observedSourceArtifactRevision":"main@sha1:1","conditions":[{"type":"Ready","status":"True","reason":"ChartPullSucceeded","message":"pulled"}]}}`

const fullSource = `{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":"HelmRepository",
	"metadata":{"name":"charts","namespace":"flux-system","uid":"s-1","generation":1},"spec":{"url":"https://example.com"},
	"status":{"artifact":{"revision":"sha256:1"},"conditions":[{"type":"Ready","status":"True","reason":"Succeeded","message":"stored"}]}}`

const fullKustomization = `{"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization",
	"metadata":{"name":"apps","namespace":"flux-system","uid":"k-1","generation":2,
		"deletionTimestamp":"2026-03-01T12:10:00Z","finalizers":["finalizers.fluxcd.io"],
		"labels":{"kustomize.toolkit.fluxcd.io/name":"flux-system","kustomize.toolkit.fluxcd.io/namespace":"flux-system"}},
	"spec":{"suspend":true,"path":"./apps","dependsOn":[{"name":"infra"}],"sourceRef":{"kind":"GitRepository","name":"fleet"}},
	"status":{"observedGeneration":1,"lastAppliedRevision":"main@sha1:1","lastAttemptedRevision":"main@sha1:2","lastAppliedOriginRevision":"main@sha1:0","conditions":[
		{"type":"Stalled","status":"True","reason":"InvalidCELExpression","message":"no"},
		{"type":"Ready","status":"False","reason":"DependencyNotReady","message":"dependency 'flux-system/infra' is not ready","lastTransitionTime":"2026-03-01T12:07:00Z","observedGeneration":1}]}}`

const fullGit = `{"apiVersion":"source.toolkit.fluxcd.io/v1","kind":"GitRepository",
	"metadata":{"name":"fleet","namespace":"flux-system","uid":"g-1","generation":1},"spec":{"url":"ssh://git:secret@example.com/fleet?token=secret#x","interval":"1m0s","ref":{"branch":"main","tag":"v1"}},
	"status":{"artifact":{"revision":"main@sha1:1","lastUpdateTime":"2026-03-01T12:00:00Z","metadata":{"org.opencontainers.image.revision":"main@sha1:0"}},"conditions":[{"type":"Ready","status":"False","reason":"GitOperationFailed","message":"no route"}]}}`

// earlierKustomization is fullKustomization before its failure.
const earlierKustomization = `{"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization",
	"metadata":{"name":"apps","namespace":"flux-system","uid":"k-1","generation":1},"spec":{},
	"status":{"observedGeneration":1,"history":[{"lastReconciledStatus":"ReconciliationSucceeded","firstReconciled":"2026-03-01T12:00:00Z"}],"conditions":[
		{"type":"Ready","status":"True","reason":"ReconciliationSucceeded","lastTransitionTime":"2026-03-01T12:01:00Z","observedGeneration":1}]}}`

func TestRelease_MetaHasTheMappedFields(t *testing.T) {
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
		"source":        map[string]any{"kind": "HelmRepository", "name": "charts", "namespace": "flux-system"},
		"versionWanted": "2.0.0", "versionApplied": "1.0.0", "revision": "2.0.0", "helmRevision": 7, "action": "upgrade",
		"attempts": 2, "failures": 2, "installFailures": 1, "upgradeFailures": 1, "generation": 4, "observedGeneration": 3,
		"runGeneration": 3, "startedAtIsLowerBound": true, "appliedBy": "fsn1/Kustomization/flux-system/apps",
	})
	if n.Status != "failed" {
		t.Errorf("status %s", n.Status)
	}
}

func TestKustomization_MetaHasTheMappedFields(t *testing.T) {
	w := newWorld(t)
	w.put(object(t, "%s", fullKustomization))
	w.put(object(t, "%s", fullGit))
	n := w.must("fsn1/Kustomization/flux-system/apps")
	wantMeta(t, n, map[string]any{
		"kind": "Kustomization", "namespace": "flux-system", "uid": "k-1",
		"ready": "False", "reason": "DependencyNotReady", "reasonSince": ms(7 * 60), "stalled": true, "stalledReason": "InvalidCELExpression",
		"waitingFor": []string{"fsn1/Kustomization/flux-system/infra"}, "waitingSince": ms(7 * 60), "suspended": true,
		"revision": "main@sha1:1", "attemptedRevision": "main@sha1:2", "originRevision": "main@sha1:0", "path": "./apps", "source": map[string]any{"kind": "GitRepository", "name": "fleet", "namespace": "flux-system"},
		"generation": 2, "observedGeneration": 1, "appliedBy": "fsn1/Kustomization/flux-system/flux-system",
	})
	if n.Label != "apps" || n.Status != "failed" {
		t.Errorf("label %q, status %q", n.Label, n.Status)
	}
	wantEdges(t, w.edges(), "fsn1/GitRepository/flux-system/fleet finish-to-start fsn1/Kustomization/flux-system/apps",
		"fsn1/Kustomization/flux-system/infra finish-to-start fsn1/Kustomization/flux-system/apps")
}

func TestSource_MetaHasTheMappedFields(t *testing.T) {
	w := newWorld(t)
	w.put(object(t, "%s", fullGit))
	wantMeta(t, w.must("fsn1/GitRepository/flux-system/fleet"), map[string]any{
		"url": "ssh://example.com/fleet", "ref": "tag v1", "interval": 60_000, "revision": "main@sha1:1", "originRevision": "main@sha1:0", "updatedAt": ms(0),
	})
}

// stalledGit is fullGit, stalled and applied by a Kustomization.
var stalledGit = strings.NewReplacer(`"uid":"g-1",`, `"uid":"g-1","labels":{"kustomize.toolkit.fluxcd.io/name":"flux-system","kustomize.toolkit.fluxcd.io/namespace":"flux-system"},`,
	`"message":"no route"}`, `"message":"no route","lastTransitionTime":"2026-03-01T12:00:00Z"},{"type":"Stalled","status":"True","reason":"URLInvalid","message":"no"}`).Replace(fullGit)

const waitingResourceSet = `{"apiVersion":"fluxcd.controlplane.io/v1","kind":"ResourceSet",
	"metadata":{"name":"apps","namespace":"flux-system","uid":"r-1","generation":1},
	"spec":{"dependsOn":[{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","name":"db","namespace":"infra"}]},
	"status":{"conditions":[{"type":"Ready","status":"False","reason":"DependencyNotReady","message":"no","lastTransitionTime":"2026-03-01T12:00:00Z"}]}}`

func TestMeta_LeavesOutAbsentFields(t *testing.T) {
	w := newWorld(t)
	w.put(object(t, `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease","metadata":{"name":"bp-a"},"spec":{}}`))
	got := meta(t, w.must("fsn1//bp-a"))
	delete(got, "judgement")
	if len(got) != 1 || got["kind"] != "HelmRelease" {
		t.Errorf("meta is %v", got)
	}
}

func TestMeta_MessageIsCutBetweenCharacters(t *testing.T) {
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

// TestMeta_ReasonSinceIsKeptWithANewMessage: Flux changes lastTransitionTime with every new message, but reasonSince changes only with the
// reason.
func TestMeta_ReasonSinceIsKeptWithANewMessage(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a", cond{"Ready", "False", "DependencyNotReady", "dependency 'flux-system/bp-b' is not ready", 10, 1}))
	w.put(release(t, "bp-a", cond{"Ready", "False", "DependencyNotReady", "dependency 'shop/c' is not ready", 90, 1}))
	wantMeta(t, w.must("fsn1/bp-a"), map[string]any{"reasonSince": ms(10), "waitingSince": ms(10), "waitingFor": []string{"fsn1/shop/c"}})
	w.put(release(t, "bp-a", cond{"Ready", "False", "SourceNotReady", "no", 95, 1}))
	wantMeta(t, w.must("fsn1/bp-a"), map[string]any{"reasonSince": ms(95), "waitingSince": nil, "waitingFor": nil})
}

func TestMeta_NamesAMissingDependency(t *testing.T) {
	w := newWorld(t)
	const message = `unable to get 'demo2/nothere' dependency: helmreleases.helm.toolkit.fluxcd.io "nothere" not found`
	w.put(release(t, "bp-a", cond{"Ready", "False", "DependencyNotReady", message, 10, 1}))
	wantMeta(t, w.must("fsn1/bp-a"), map[string]any{"waitingFor": []string{"fsn1/demo2/nothere"}})
	w.put(release(t, "bp-a", cond{"Ready", "False", "DependencyNotReady", "something else entirely", 10, 1}))
	wantMeta(t, w.must("fsn1/bp-a"), map[string]any{"waitingFor": nil, "waitingSince": ms(10)})
}

// TestDocs_MetaPageNamesEveryKey: docs/meta.md has a row with the type of every key that is written, and no rows for other keys.
func TestDocs_MetaPageNamesEveryKey(t *testing.T) {
	w := newWorld(t, "flux-system")
	w.take(w.SetInfo(mapping.RegionInfo{ClusterUID: "c", Down: []mapping.Controller{{Lease: "helm-controller-leader-election", Renewed: ms(1)}}, NotWatched: []mapping.NotWatched{{Kind: "Bucket", Why: "no permission"}}}))
	w.take(w.SetClockOffset(600_000))
	judged := map[string]string{}
	sections := map[string][]string{
		"Release": {"fsn1/bp-a"}, "Kustomization": {"fsn1/Kustomization/flux-system/apps"}, "Region": {"fsn1"},
		"Source":     {"fsn1/GitRepository/flux-system/fleet", "fsn1/HelmRepository/flux-system/charts", "fsn1/ResourceSet/flux-system/apps"},
		"Controller": {"fsn1/Controller/flux-system/helm-controller"},
	}
	written := map[string]map[string]string{"Judgement": judged}
	for _, o := range pageObjects {
		w.put(object(t, "%s", strings.Replace(o, `"dependsOn":[`, `"dependsOn":[{"name":"db","namespace":"infra"},`, 1)))
		for title, ids := range sections {
			if written[title] == nil {
				written[title] = map[string]string{}
			}
			for _, id := range ids {
				if n := w.node(id); n != nil {
					m := meta(t, *n)
					judgementTypes(judged, m["judgement"])
					delete(m, "judgement")
					types(written[title], "", m)
				}
			}
		}
	}
	page, err := os.ReadFile("../../../../docs/meta.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-zA-Z.]+)` \\| ([a-z ]+) \\|")
	seen := map[string]bool{}
	for _, part := range strings.Split(string(page), "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		if written[title] == nil {
			continue
		}
		seen[title] = true
		written := written[title]
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
	if len(seen) != len(written) {
		t.Errorf("the page has the sections %v", slices.Sorted(maps.Keys(seen)))
	}
}

// pageObjects together have every key in their meta.
var pageObjects = []string{
	strings.Replace(fullChart, "HelmRepository", "GitRepository", 1), full, fullChart, fullSource, earlierKustomization, fullKustomization, fullGit,
	// a generation that is not observed, a source with a newer revision
	strings.NewReplacer(`"uid":"k-1","generation":1`, `"uid":"k-1","generation":2`).Replace(earlierKustomization),
	strings.NewReplacer(`"status":"False","reason":"GitOperationFailed","message":"no route"`, `"status":"True","reason":"Succeeded","message":"","lastTransitionTime":"2026-03-01T12:00:00Z"`, "main@sha1:1", "main@sha1:2").Replace(fullGit),
	strings.NewReplacer(`"spec":{},`, `"spec":{"sourceRef":{"kind":"GitRepository","name":"fleet"}},`, `"observedGeneration":1,"history"`, `"observedGeneration":1,"lastAppliedRevision":"main@sha1:1","history"`).Replace(earlierKustomization),
	strings.NewReplacer(`"spec":{},`, `"spec":{"targetNamespace":"t","kubeConfig":{"secretRef":{"name":"spoke"}}},`, `"status":"True","reason":"ReconciliationSucceeded"`,
		`"status":"False","reason":"HealthCheckFailed","message":"timeout waiting for: [HelmRelease/a/b status: 'Failed']"`).Replace(earlierKustomization),
	strings.NewReplacer(`"deletionTimestamp":"2026-03-01T12:10:00Z",`, "", `"suspend":true,`, "", `"type":"Stalled","status":"True"`, `"type":"Stalled","status":"False"`).Replace(full),
	strings.NewReplacer(`"deletionTimestamp":"2026-03-01T12:10:00Z",`, "", `"suspend":true,`, `"suspend":true,"targetNamespace":"t","releaseName":"r","driftDetection":{"mode":"warn"},"kubeConfig":{"secretRef":{"name":"spoke"}},`,
		`"type":"Stalled","status":"True"`, `"type":"Drifted","status":"True"`, `"status":"False","reason":"DependencyNotReady"`, `"status":"True","reason":"UpgradeSucceeded"`).Replace(full),
	strings.NewReplacer(`"deletionTimestamp":"2026-03-01T12:10:00Z",`, "", `"suspend":true,`, `"upgrade":{"remediation":{"retries":3}},`, `"type":"Stalled","status":"True","reason":"RetriesExceeded","message":"gave up"`,
		`"type":"Reconciling","status":"True","reason":"ProgressingWithRetry","message":"retrying after 5m0s"`, `"reason":"DependencyNotReady","message":"dependency 'flux-system/bp-b' is not ready"`,
		`"reason":"UpgradeFailed","message":"timeout waiting for: [Deployment/a/b status: 'InProgress']"`).Replace(full),
	strings.NewReplacer(`"deletionTimestamp":"2026-03-01T12:10:00Z",`, "", `"suspend":true,`, "", `"type":"Stalled","status":"True"`, `"type":"Stalled","status":"False"`,
		`"status":"False","reason":"DependencyNotReady","message":"dependency 'flux-system/bp-b' is not ready"`, `"status":"Unknown","reason":"Progressing","message":"Running 'upgrade' action with timeout of 5m0s"`).Replace(full),
	strings.NewReplacer(`"deletionTimestamp":"2026-03-01T12:10:00Z",`, "", `"suspend":true,`, "", `"type":"Stalled","status":"True"`, `"type":"Stalled","status":"False"`,
		`"reason":"DependencyNotReady","message":"dependency 'flux-system/bp-b' is not ready"`, `"reason":"SourceNotReady","message":"HelmChart 'flux-system/x' is not ready: no artifact available for HelmRepository source 'charts'"`).Replace(full),
	strings.NewReplacer(`"uid":"s-1","generation":1`, `"uid":"s-1","generation":2,"deletionTimestamp":"2026-03-01T12:10:00Z","finalizers":["finalizers.fluxcd.io"]`, `"url":"https://example.com"`, `"suspend":true`,
		`"status":{"artifact"`, `"status":{"observedGeneration":1,"artifact"`, `"message":"stored"`, `"message":"stored","lastTransitionTime":"2026-03-01T12:00:00Z"`).Replace(fullSource),
	// given up; a routine reconciliation; a newer chart; a failure at a revision
	strings.NewReplacer(`"deletionTimestamp":"2026-03-01T12:10:00Z",`, "", `"suspend":true,`, "").Replace(full),
	strings.NewReplacer(`"deletionTimestamp":"2026-03-01T12:10:00Z",`, "", `"suspend":true,`, "", `"type":"Stalled"`, `"type":"Released"`, `"reason":"RetriesExceeded","message":"gave up","lastTransitionTime":"2026-03-01T12:06:00Z"`,
		`"reason":"UpgradeSucceeded","message":"","lastTransitionTime":"2026-03-01T12:06:00Z"`, `"uid":"u-1"`, `"uid":"u-2"`).Replace(full),
	strings.NewReplacer(`"deletionTimestamp":"2026-03-01T12:10:00Z",`, "", `"suspend":true,`, "", `"type":"Stalled","status":"True"`, `"type":"Stalled","status":"False"`,
		`"status":"False","reason":"DependencyNotReady"`, `"status":"True","reason":"UpgradeSucceeded"`, `"lastAttemptedRevision":"2.0.0"`, `"lastAttemptedRevision":"1.0.0"`).Replace(full),
	strings.NewReplacer(`"spec":{},`, `"spec":{"path":"./apps"},`, `"observedGeneration":1,"history"`, `"observedGeneration":1,"lastAttemptedRevision":"main@sha1:2","history"`, `"status":"True","reason":"ReconciliationSucceeded"`,
		`"status":"False","reason":"BuildFailed","message":"no"`).Replace(earlierKustomization),
	stalledGit, waitingResourceSet,
}

// judgementTypes collects the keys of a judgement and of its `then`, with their types.
func judgementTypes(into map[string]string, judgement any) {
	m, ok := judgement.(map[string]any)
	if !ok {
		return
	}
	types(into, "", m)
	then, _ := m["then"].([]any)
	for _, turn := range then {
		t, _ := turn.(map[string]any)
		types(into, "", t)
	}
}

// types collects the keys of a meta object, with the types as on the page.
func types(into map[string]string, prefix string, m map[string]any) {
	for k, v := range m {
		switch v := v.(type) {
		case string:
			into[prefix+k] = "string"
		case bool:
			into[prefix+k] = "true"
		case float64:
			into[prefix+k] = "integer"
			if strings.HasSuffix(k, "Since") || slices.Contains([]string{"since", "at", "nextTry", "renewedAt", "updatedAt"}, k) {
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

func TestMeta_IsOneLineOfJSON(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a", cond{"Ready", "False", "InstallFailed", "two\nlines & <tags>", 1, 1}))
	raw := w.must("fsn1/bp-a").Meta
	if !json.Valid([]byte(raw)) || strings.Contains(string(raw), "\n") || !strings.Contains(string(raw), `two\nlines & <tags>`) {
		t.Errorf("meta is %s", raw)
	}
}
