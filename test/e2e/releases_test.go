package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/test/e2e/conductor"
	"github.com/openova-io/openova/test/e2e/plane"
)

func TestRecordedReleases_ShowEveryStatus(t *testing.T) {
	scenario(t, "22 recorded releases with all kinds of failures and recoveries, every status seen", func(t *testing.T) string {
		s := newStage(t)
		for _, r := range s.both() {
			r.startAdapter().ready()
		}
		s.play(10, map[string]string{"hel1": "scenarios"})()
		s.converge()
		s.checkShown()
		s.complete()
		return ""
	})
}

func TestReleases_ShowEveryChange(t *testing.T) {
	s := newStage(t)
	for _, r := range s.both() {
		r.startAdapter().ready()
	}
	r := s.regions["fsn1"]
	put := func(releases ...conductor.Release) {
		s.t.Helper()
		for _, rel := range releases {
			s.must(r.conductor.Put(s.ctx, rel))
		}
		s.converge()
	}
	play := func(name string, f func(t *testing.T)) {
		scenario(t, name, func(t *testing.T) string {
			before := s.t
			s.t = t
			defer func() { s.t = before }()
			f(t)
			s.converge()
			return ""
		})
	}
	play("a failed install that is repaired, so that its dependents continue", func(t *testing.T) {
		put(app("store", "Unknown", "Progressing"), app("logs", "False", "DependencyNotReady", "store"))
		put(app("store", "False", "InstallFailed"))
		put(app("store", "Unknown", "Progressing"))
		put(app("store", "True", "InstallSucceeded"), app("logs", "Unknown", "Progressing", "store"), app("logs", "True", "InstallSucceeded", "store"))
	})
	play("retries exceeded", func(t *testing.T) {
		stalled := app("dns", "False", "InstallFailed")
		put(stalled)
		stalled.Stalled = true
		put(stalled)
		stalled.Reason = "RollbackSucceeded"
		put(stalled)
	})
	play("suspended and resumed", func(t *testing.T) {
		rel := app("cache", "True", "InstallSucceeded")
		put(rel)
		rel.Suspend = true
		put(rel)
		s.until("the release is suspended", soon, func() bool { return s.meta("fsn1/cache")["suspended"] == true })
		rel.Suspend = false
		put(rel)
		s.until("the release is resumed", soon, func() bool { return s.meta("fsn1/cache")["suspended"] == nil })
	})
	play("a dependency added and removed, and one on a missing release", func(t *testing.T) {
		put(app("web", "True", "InstallSucceeded"))
		put(app("web", "True", "InstallSucceeded", "cache", "nobody"))
		put(app("web", "True", "InstallSucceeded", "nobody"))
		put(app("web", "True", "InstallSucceeded"))
	})
	play("a release deleted while others depend on it, and created again", func(t *testing.T) {
		rel := app("base", "True", "InstallSucceeded")
		rel.UID, rel.Finalizers = "1", []string{"finalizers.fluxcd.io"}
		put(rel, app("top", "True", "InstallSucceeded", "base"))
		s.must(r.conductor.Apply(s.ctx, conductor.Event{Type: "MODIFIED", Object: deleting(rel)}))
		s.until("the release is being deleted", soon, func() bool { return s.meta("fsn1/base")["deletingSince"] != nil })
		s.must(r.conductor.Delete(s.ctx, rel))
		s.converge()
		rel.UID, rel.Ready = "2", ""
		put(rel)
		rel.Ready = "True"
		put(rel)
		rel.UID, rel.Ready = "3", "Unknown" // deleted and created in one step
		put(rel)
	})
	play("two releases with one name in two namespaces", func(t *testing.T) {
		put(app("twin", "True", "InstallSucceeded"), conductor.Release{Namespace: "team-a", Name: "twin", Ready: "False", Reason: "InstallFailed"})
		s.must(r.conductor.Delete(s.ctx, app("twin", "", "")))
	})
	play("a chart that cannot be fetched", func(t *testing.T) {
		rel := app("report", "False", "SourceNotReady")
		put(rel)
		s.must(r.conductor.Apply(s.ctx, conductor.Event{Type: "ADDED", Object: plane.Object{
			"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart",
			"metadata": plane.Object{"namespace": "flux-system", "name": "flux-system-report"},
			"spec":     plane.Object{"chart": "report", "interval": "1m", "sourceRef": plane.Object{"kind": "HelmRepository", "name": "charts"}},
			"status": plane.Object{"conditions": []any{plane.Object{"type": "Ready", "status": "False", "reason": "ChartPullError",
				"message": "no chart version found for report-1.0.0", "lastTransitionTime": "2026-01-01T00:00:00Z"}}}}}))
		s.until("the release has the status of its chart", soon, func() bool {
			chart, _ := s.meta("fsn1/report")["chart"].(map[string]any)
			return chart["ready"] == "False" && chart["reason"] == "ChartPullError"
		})
	})
	s.checkShown()
	s.complete()
}

func deleting(r conductor.Release) plane.Object {
	o := r.Object()
	o["metadata"].(plane.Object)["deletionTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	return o
}

func (s *stage) meta(id string) map[string]any {
	s.t.Helper()
	n, _ := s.node(id)
	var m map[string]any
	if len(n.Meta) > 0 {
		s.must(json.Unmarshal([]byte(n.Meta), &m))
	}
	return m
}

func TestCRDs_InstalledLateAreWatched(t *testing.T) {
	scenario(t, "Flux's CRDs installed only after the adapter is up", func(t *testing.T) string {
		s := newStage(t)
		r := s.regions["hel1"]
		s.regions["fsn1"].startAdapter().ready()
		s.must(r.removeCRDs(s.ctx))
		t.Cleanup(func() {
			if err := errors.Join(installCRDs(context.Background(), r.plane), established(context.Background(), r.plane)); err != nil {
				t.Error(err)
			}
		})
		r.startAdapter()
		missing := func() bool { return s.meta("hel1")["notWatched"] != nil }
		s.until("the region exists and reports the unwatched kinds", soon, missing)
		met, before := 0, r.tooManyRequests()
		install := func() time.Duration {
			s.must(installCRDs(s.ctx, r.plane))
			s.must(plane.Wait(s.ctx, soon, func() error { return r.conductor.Put(s.ctx, app("cni", "True", "InstallSucceeded")) }))
			return s.converge()
		}
		took := install()
		s.small()
		s.converge()
		met += r.tooManyRequests() - before
		s.must(established(s.ctx, r.plane))
		// The adapter keeps running while the CRDs are removed and installed again.
		s.must(r.removeCRDs(s.ctx))
		r.conductor.RecordLoss()
		s.converge()
		before = r.tooManyRequests()
		again := install()
		met += r.tooManyRequests() - before
		s.checkShown()
		return fmt.Sprintf("converged in %v, and in %v when removed and installed again; 429 received %d times",
			took.Round(100*time.Millisecond), again.Round(100*time.Millisecond), met)
	})
}

// tooManyRequests returns how many requests for Flux's kinds the plane's API server has answered with 429.
func (r *region) tooManyRequests() (n int) {
	r.stage.t.Helper()
	metrics, err := r.api.Text(r.stage.ctx, "/metrics")
	r.stage.must(err)
	for l := range strings.Lines(metrics) {
		name, value, _ := strings.Cut(strings.TrimSpace(l), "} ")
		if strings.HasPrefix(name, "apiserver_request_total{") && strings.Contains(name, `code="429"`) && strings.Contains(name, "toolkit.fluxcd.io") {
			f, err := strconv.ParseFloat(value, 64)
			r.stage.must(err)
			n += int(f)
		}
	}
	return n
}

// removeCRDs removes Flux's CRDs, and returns when they no longer exist.
func (r *region) removeCRDs(ctx context.Context) error {
	list, err := r.api.List(ctx, "CustomResourceDefinition")
	if err != nil {
		return err
	}
	for _, crd := range list {
		name := crd["metadata"].(plane.Object)["name"].(string)
		if _, err := r.api.Do(ctx, http.MethodDelete, plane.Path("CustomResourceDefinition", "", name), "", nil); err != nil {
			return err
		}
	}
	return plane.Wait(ctx, 2*time.Minute, func() error { // the API server deletes the objects of a CRD first
		list, err := r.api.List(ctx, "CustomResourceDefinition")
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("%d CRDs still exist", len(list))
		}
		return err
	})
}
