package watch_test

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch/apitest"
)

func TestWatcher_WatchesAKindInstalledLater(t *testing.T) {
	s := server(t)
	r := onServer(t, s.Config(), nil)
	eventually(t, r.hasGaps("HelmChart  not-served", "HelmRelease  not-served"), func() any { return r.gaps() })
	if problems := r.watcher.Problems(); len(problems) != 2 {
		t.Errorf("problems: %q, want one for each kind", problems)
	}
	done(t, r.watcher.Complete(), "a cluster without the kinds is complete")
	s.Serve(releases.Resource, releases.Name)
	s.Serve(charts.Resource, charts.Name)
	s.Put(releases.Resource, release("flux-system", "a", "1", "True"))
	eventually(t, isStatus(r, "r/a", "succeeded"), func() any { return r.log })
	eventually(t, func() bool { return len(r.watcher.Problems()) == 0 }, func() any { return r.watcher.Problems() })
	if n := r.log.lines("cannot watch", "not-served", "kind=HelmRelease"); n != 1 {
		t.Errorf("%d log lines while the kind was missing, want 1:\n%s", n, r.log)
	}
}

// TestWatcher_NamesTheServedVersions has a CRD without the required version.
func TestWatcher_NamesTheServedVersions(t *testing.T) {
	old := releases
	old.Resource.Version = "v2beta2"
	s := server(t, charts, old)
	r := onServer(t, s.Config(), nil)
	eventually(t, r.hasGaps("HelmRelease  other-version"), func() any { return r.gaps() })
	eventually(t, func() bool { return hasProblem(r, old.Resource.Version) }, func() any { return r.watcher.Problems() })
	eventually(t, func() bool { _, m := r.node("r"); return m["notWatched"] != nil }, func() any { return r.log })
	if closed(r.watcher.Complete()) {
		t.Error("complete without the releases")
	}
}

// TestWatcher_WatchesThePermittedNamespace: a dependency in the other namespace must not count as one that does not exist.
func TestWatcher_WatchesThePermittedNamespace(t *testing.T) {
	s := server(t, releases, charts)
	one := release("a", "one", "1", "True")
	one["spec"].(map[string]any)["dependsOn"] = []any{map[string]any{"name": "two", "namespace": "b"}}
	s.Put(releases.Resource, one)
	s.Put(releases.Resource, release("b", "two", "2", "True"))
	grant := s.Fail(-1, apitest.Forbidden("list", "helmreleases", "helm.toolkit.fluxcd.io", `in the namespace "b"`), func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/namespaces/b/helmreleases")
	})
	r := onServer(t, s.Config(), func(c *watch.Config) { c.Namespaces = []string{"a", "b"} })
	done(t, r.watcher.Complete(), "all permitted objects are listed")
	eventually(t, isStatus(r, "r/a/one", "succeeded"), func() any { return r.statuses() })
	eventually(t, r.hasGaps("HelmRelease b forbidden"), func() any { return r.gaps() })
	problems := r.watcher.Problems()
	if len(problems) != 1 {
		t.Fatalf("problems: %q, want one", problems)
	}
	_, meta := r.node("r")
	if got, want := meta["notWatched"], []any{map[string]any{"kind": "HelmRelease", "why": problems[0]}}; !reflect.DeepEqual(got, want) {
		t.Errorf("notWatched: %v, want %v", got, want)
	}
	if _, m := r.node("r/a/one"); !reflect.DeepEqual(m["dependsOnUnwatched"], []any{"b/two"}) {
		t.Errorf("dependsOnUnwatched: %v", m["dependsOnUnwatched"])
	}
	if r.log.lines("cannot watch", "forbidden", "namespace=b") != 1 {
		t.Errorf("log:\n%s", r.log)
	}
	grant()
	eventually(t, isStatus(r, "r/b/two", "succeeded"), func() any { return r.statuses() })
	eventually(t, func() bool { _, m := r.node("r"); return m["notWatched"] == nil }, func() any { return r.log })
	if _, m := r.node("r/a/one"); m["dependsOnUnwatched"] != nil {
		t.Errorf("dependsOnUnwatched: %v", m["dependsOnUnwatched"])
	}
}

func TestWatcher_IncompleteWithoutPermissionForReleases(t *testing.T) {
	s := server(t, releases, charts)
	s.Fail(-1, apitest.Forbidden("list", "helmreleases", "helm.toolkit.fluxcd.io", "at the cluster scope"), func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/helmreleases")
	})
	r := onServer(t, s.Config(), func(c *watch.Config) { c.Namespaces = nil })
	eventually(t, r.hasGaps("HelmRelease  forbidden"), func() any { return r.gaps() })
	before := s.Requests("GET", "/helmreleases")
	eventually(t, func() bool { return s.Requests("GET", "/helmreleases") > before+20 }, func() any { return r.log })
	if closed(r.watcher.Complete()) {
		t.Error("complete without the releases")
	}
}

// TestWatcher_ChangeCountsFromItsArrival: a change is dated by its arrival, not by the newest time in the object, which may be old.
func TestWatcher_ChangeCountsFromItsArrival(t *testing.T) {
	s := server(t, releases, charts)
	u := release("flux-system", "a", "1", "True")
	s.Put(releases.Resource, u)
	r := onServer(t, s.Config(), nil)
	done(t, r.watcher.Complete(), "complete")
	began := time.Now().UnixMilli()
	u["metadata"].(map[string]any)["generation"] = int64(2)
	s.Put(releases.Resource, u)
	since := func() float64 { _, m := r.node("r/a"); at, _ := m["changedSince"].(float64); return at }
	eventually(t, func() bool { return since() > 0 }, func() any { return r.statuses() })
	if at := int64(since()); at < began || at > time.Now().UnixMilli() {
		t.Errorf("changed since %s", time.UnixMilli(at))
	}
}

// TestControllers_LeaseThatExpiresMakesANode: the node exists until the Lease is renewed. Without permission to list Leases there is no node.
func TestControllers_LeaseThatExpiresMakesANode(t *testing.T) {
	s := server(t, releases, charts)
	s.Put(releases.Resource, release("flux-system", "a", "1", "True"))
	leases := schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	s.Serve(leases, "Lease")
	renew := func(at string) {
		s.Put(leases, map[string]any{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
			"metadata": map[string]any{"name": "helm-controller-leader-election", "namespace": "flux-system"},
			"spec":     map[string]any{"renewTime": at}})
	}
	renew("2026-03-01T12:05:00.000000Z")
	revoke := func() (grant func()) {
		return s.Fail(-1, apitest.Forbidden("list", "leases", "coordination.k8s.io", `in the namespace "flux-system"`), func(r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/leases")
		})
	}
	grant := revoke()
	r := onServer(t, s.Config(), func(c *watch.Config) { c.LeasePace, c.LeaseGrace = 5*time.Millisecond, 50*time.Millisecond })
	const node = "r/Controller/flux-system/helm-controller"
	eventually(t, func() bool { return s.Requests("/leases") > 2 }, func() any { return r.log })
	if r.statuses()[node] != "" {
		t.Error("there is a node without permission to list Leases")
	}
	grant()
	eventually(t, isStatus(r, node, "failed"), func() any { return r.statuses() })
	if r.log.lines("controller does not renew its Lease", "lease=helm-controller-leader-election", "renewed=2026-03-01T12:05:00.000Z") != 1 {
		t.Errorf("log:\n%s", r.log)
	}
	grant = revoke()
	eventually(t, func() bool { return r.statuses()[node] == "" }, func() any { return r.statuses() })
	grant()
	eventually(t, isStatus(r, node, "failed"), func() any { return r.statuses() })
	renew("2026-03-01T12:10:00.000000Z")
	eventually(t, func() bool { return r.statuses()[node] == "" }, func() any { return r.statuses() })
}

// TestWatcher_NamesTheMissingVerb allows list but not watch.
func TestWatcher_NamesTheMissingVerb(t *testing.T) {
	s := server(t, releases, charts)
	s.Put(releases.Resource, release("flux-system", "a", "1", "True"))
	s.Fail(-1, apitest.Forbidden("watch", "helmreleases", "helm.toolkit.fluxcd.io", `in the namespace "flux-system"`), func(r *http.Request) bool {
		return isWatch(r) && strings.HasSuffix(r.URL.Path, "/helmreleases")
	})
	r := onServer(t, s.Config(), nil)
	eventually(t, isStatus(r, "r/a", "succeeded"), func() any { return r.log })
	eventually(t, r.hasGaps("HelmRelease flux-system forbidden"), func() any { return r.gaps() })
	eventually(t, func() bool { return hasProblem(r, "watch helmreleases.helm.toolkit.fluxcd.io") }, func() any { return r.watcher.Problems() })
	eventually(t, func() bool { return s.Requests("/helmreleases", "watch=", "resourceVersion=1") > 1 }, func() any { return r.log })
	if n := r.log.lines("cannot watch"); n != 1 {
		t.Errorf("%d log lines, want 1:\n%s", n, r.log)
	}
}

func TestWatcher_OptionalKindsAreWatchedWhenServed(t *testing.T) {
	s := server(t, releases, charts)
	s.Fail(-1, apitest.Forbidden("get", "namespaces", "", "at the cluster scope"), func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/kube-system")
	})
	r := onServer(t, s.Config(), func(c *watch.Config) { c.Kinds = watch.Kinds })
	done(t, r.watcher.Complete(), "complete")
	if problems := r.watcher.Problems(); len(problems) > 0 {
		t.Errorf("problems: %q", problems)
	}
	_, meta := r.node("r")
	var kinds []string
	for _, gap := range meta["notWatched"].([]any) {
		kinds = append(kinds, gap.(map[string]any)["kind"].(string))
	}
	if want := []string{"GitRepository", "HelmRepository", "Kustomization", "Namespace", "OCIRepository"}; !slices.Equal(kinds, want) {
		t.Errorf("not watched: %q, want %q", kinds, want)
	}
	if meta["clusterUID"] != nil {
		t.Errorf("clusterUID: %v", meta["clusterUID"])
	}
	for _, k := range watch.Kinds[2:] {
		if k.Uncommon {
			continue
		}
		if n := r.log.lines("not watched", "kind="+k.Name); n != 1 {
			t.Errorf("%d log lines about %s, want 1", n, k.Name)
		}
	}
	kustomization := watch.Kinds[2]
	s.Serve(kustomization.Resource, kustomization.Name)
	s.Put(kustomization.Resource, map[string]any{
		"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
		"metadata": map[string]any{"name": "apps", "namespace": "flux-system", "uid": "k1", "generation": int64(1)}, "spec": map[string]any{"path": "./apps"},
	})
	eventually(t, isStatus(r, "r/Kustomization/flux-system/apps", "pending"), func() any { return r.statuses() })
}

// TestGaps_UncommonKindsAreReportedOnlyIfForbidden: a cluster may lack an uncommon kind, but a missing permission for it is reported.
func TestGaps_UncommonKindsAreReportedOnlyIfForbidden(t *testing.T) {
	kinds := map[string]watch.Kind{}
	for _, k := range watch.Kinds {
		kinds[k.Name] = k
	}
	bucket, set := kinds["Bucket"], kinds["ResourceSet"]
	s := server(t, releases, charts, bucket, set)
	s.Fail(-1, apitest.Forbidden("list", "buckets", "source.toolkit.fluxcd.io", `in the namespace "flux-system"`), func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/buckets")
	})
	r := onServer(t, s.Config(), func(c *watch.Config) {
		c.Kinds = []watch.Kind{releases, charts, bucket, set, kinds["ArtifactGenerator"], kinds["FluxInstance"]}
	})
	done(t, r.watcher.Complete(), "complete")
	_, meta := r.node("r")
	eventually(t, r.hasGaps("Bucket flux-system forbidden"), func() any { return r.gaps() })
	if got, _ := meta["notWatched"].([]any); len(got) != 1 || got[0].(map[string]any)["kind"] != "Bucket" {
		t.Errorf("not watched: %v, want only Bucket", got)
	}
	s.Put(set.Resource, map[string]any{
		"apiVersion": "fluxcd.controlplane.io/v1", "kind": "ResourceSet",
		"metadata": map[string]any{"name": "apps", "namespace": "flux-system", "uid": "k1", "generation": int64(1)}, "spec": map[string]any{},
	})
	eventually(t, isStatus(r, "r/ResourceSet/flux-system/apps", "running"), func() any { return r.statuses() })
}

func TestWatcher_ReportsThatTheClusterIsUnknown(t *testing.T) {
	s := server(t, releases, charts)
	over := s.Fail(-1, apitest.Unauthorized, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/kube-system") })
	r := onServer(t, s.Config(), nil)
	eventually(t, func() bool {
		p := r.watcher.Problems()
		return len(p) == 1 && strings.Contains(p[0], "401") && strings.Contains(p[0], "kube-system")
	}, func() any { return r.watcher.Problems() })
	if closed(r.watcher.Identified()) || closed(r.watcher.Complete()) {
		t.Error("identified or complete")
	}
	over()
	done(t, r.watcher.Complete(), "complete")
	if problems := r.watcher.Problems(); len(problems) > 0 {
		t.Errorf("problems: %q", problems)
	}
}

func TestWatcher_IdentifiesTheCluster(t *testing.T) {
	s := server(t, releases, charts)
	r := onServer(t, s.Config(), nil)
	done(t, r.watcher.Identified(), "identified")
	if got := r.watcher.ClusterUID(); got != "cluster-1" {
		t.Errorf("UID %q", got)
	}
	done(t, r.watcher.Complete(), "complete")
	if _, meta := r.node("r"); meta["clusterUID"] != "cluster-1" || meta["notWatched"] != nil {
		t.Errorf("meta: %v", meta)
	}
}

// TestWatcher_IdentifiesTheClusterBeforeComplete: when Complete is closed, the cluster's identity is folded, even if it was the last answer.
func TestWatcher_IdentifiesTheClusterBeforeComplete(t *testing.T) {
	s := server(t, releases, charts)
	over := s.Fail(-1, apitest.Unauthorized, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/kube-system") })
	var folded atomic.Bool
	fold := make(chan struct{})
	r := onServer(t, s.Config(), func(c *watch.Config) {
		c.OnInfo = func(i watch.Info) {
			if i.ClusterUID != "" {
				<-fold
				folded.Store(true)
			}
		}
	})
	eventually(t, func() bool { return len(r.watcher.Problems()) == 1 }, func() any { return r.watcher.Problems() })
	over()
	done(t, r.watcher.Identified(), "identified")
	if r.watcher.ClusterUID() == "" || closed(r.watcher.Complete()) {
		t.Errorf("UID %q, complete: %t, with the identity not folded", r.watcher.ClusterUID(), closed(r.watcher.Complete()))
	}
	close(fold)
	done(t, r.watcher.Complete(), "complete")
	if !folded.Load() {
		t.Error("complete before the identity is folded")
	}
}

func TestProblems_NameTheCauseOfAConnectionError(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	unknown := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(apitest.Unauthorized.Status)
		_, _ = w.Write([]byte(apitest.Unauthorized.Body))
	}))
	defer unknown.Close()
	plainHTTP := strings.Replace(unknown.URL, "http:", "https:", 1)
	for _, c := range []struct{ name, url, class, cause string }{
		{"certificate of an unknown authority", secure.URL, "class=tls", "(" + secure.URL + "): x509: certificate signed by unknown authority"},
		{"connection refused", "http://127.0.0.1:1", "class=refused", "(http://127.0.0.1:1)"},
		{"plain HTTP behind https", plainHTTP, "class=tls", "(" + plainHTTP + ")"},
		{"unknown token", unknown.URL, "class=unauthorized", "401"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := onServer(t, &rest.Config{Host: c.url, QPS: -1}, nil)
			eventually(t, func() bool { return bothContain(r.watcher.Problems(), c.cause) }, func() any { return r.watcher.Problems() })
			if r.log.lines("cannot watch", c.class, "kind=HelmRelease") != 1 || closed(r.watcher.Complete()) {
				t.Errorf("log:\n%s", r.log)
			}
			r.stop()
		})
	}
}

func hasProblem(r *rig, text string) bool {
	return slices.ContainsFunc(r.watcher.Problems(), func(p string) bool { return strings.Contains(p, text) })
}

// bothContain reports whether there are two problems besides that of the cluster's identity, and both contain text.
func bothContain(problems []string, text string) bool {
	problems = slices.DeleteFunc(problems, func(p string) bool { return strings.Contains(p, "not identified") })
	return len(problems) == 2 && !slices.ContainsFunc(problems, func(p string) bool { return !strings.Contains(p, text) })
}

// TestWatcher_StopsAtOnceWithoutAServer: a reflector that waits for its next attempt must not delay the end.
func TestWatcher_StopsAtOnceWithoutAServer(t *testing.T) {
	s := server(t, releases, charts)
	r := onServer(t, s.Config(), func(c *watch.Config) { c.FirstRetry, c.MaxRetry = 2*time.Second, 20*time.Second })
	done(t, r.watcher.Complete(), "complete")
	s.Close()
	eventually(t, func() bool { return bothContain(r.watcher.Problems(), "("+s.URL()+")") }, func() any { return r.watcher.Problems() })
	ended := make(chan struct{})
	go func() {
		r.stop()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
		t.Error("still running 2 s after stop")
		<-ended
	}
}
