package watch_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch/apitest"
)

func isWatch(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }
func isList(r *http.Request) bool {
	return r.Method == http.MethodGet && !isWatch(r) && strings.HasSuffix(r.URL.Path, "s") && strings.Count(r.URL.Path, "/") > 3
}

func write(s *apitest.Server, e mapping.Event) {
	if e.Type == mapping.Deleted {
		s.Delete(resource(e.Object.GetKind()), e.Object.GetNamespace(), e.Object.GetName(), false)
	} else {
		s.Put(resource(e.Object.GetKind()), e.Object.Object)
	}
}

// TestWatcher_EndsWithTheStateOfAFailingAPIServer replays recorded bootstraps through an API server, and injects each fault after a third and after two
// thirds of the events.
func TestWatcher_EndsWithTheStateOfAFailingAPIServer(t *testing.T) {
	faults := []struct {
		name   string
		inject func(*apitest.Server)
	}{
		{"nothing", func(*apitest.Server) {}},
		{"watches end with bookmarks", func(s *apitest.Server) { s.End() }},
		{"watches break within an event", func(s *apitest.Server) { s.Cut() }},
		{"versions expire while there is no watch", func(s *apitest.Server) { s.Compact(); s.Cut() }},
		{"the list expires too", func(s *apitest.Server) { s.Fail(1, apitest.ListExpired, isList); s.Compact(); s.Cut() }},
		{"storage initializes", func(s *apitest.Server) { s.Fail(3, apitest.Initializing, isWatch); s.Cut() }},
		{"credentials are unknown for a moment", func(s *apitest.Server) {
			s.Fail(2, apitest.Unauthorized, func(r *http.Request) bool { return isWatch(r) || isList(r) })
			s.Cut()
		}},
		{"the kind is unknown for a moment", func(s *apitest.Server) { s.Fail(2, apitest.NotFound, isWatch); s.Cut() }},
	}
	for streamed, file := range map[string]string{"streamed lists": "kit-fsn1", "lists": "kit-hel1"} {
		for _, f := range faults {
			t.Run(streamed+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				events, want := recorded(t, file), truths(t, file)
				s := server(t, releases, charts)
				s.NoStreamedLists = streamed == "lists"
				r := onServer(t, s.Config(), nil)
				done(t, r.watcher.Complete(), "complete")
				for i, e := range events {
					write(s, e)
					if i == len(events)/3 || i == 2*len(events)/3 {
						f.inject(s)
					}
				}
				eventually(t, func() bool { return maps.Equal(r.statuses(), want) }, func() any { return []any{r.statuses(), r.log} })
				r.stop()
				if problems := r.watcher.Problems(); len(problems) > 0 && f.name == "nothing" {
					t.Errorf("problems: %q", problems)
				}
			})
		}
	}
}

func TestWatcher_EndsWithTheStateOfTheFakeClient(t *testing.T) {
	for _, file := range []string{"kit-fsn1", "kit-hel1"} {
		t.Run(file, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events, want := recorded(t, file), truths(t, file)
				client := fakeClient()
				r := start(t, client, everything{}, nil)
				<-r.watcher.Complete()
				for _, e := range events {
					track(t, client, e)
					synctest.Wait() // the fake client buffers only a hundred events
				}
				if got := r.statuses(); !maps.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		})
	}
}

func fakeClient() *fake.FakeDynamicClient {
	kinds := map[schema.GroupVersionResource]string{{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}: "LeaseList"}
	for _, k := range watch.Kinds {
		kinds[k.Resource] = k.Name + "List"
	}
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "kube-system", "uid": "cluster-1"},
	}})
}

func track(t *testing.T, client *fake.FakeDynamicClient, e mapping.Event) {
	t.Helper()
	objects, r := client.Tracker(), resource(e.Object.GetKind())
	var err error
	switch ns := e.Object.GetNamespace(); e.Type {
	case mapping.Added:
		err = objects.Create(r, e.Object, ns)
	case mapping.Modified:
		err = objects.Update(r, e.Object, ns)
	default:
		err = objects.Delete(r, ns, e.Object.GetName())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestWatcher_RelistDeletesReleases deletes a release without an event: the next list lacks it.
func TestWatcher_RelistDeletesReleases(t *testing.T) {
	s := server(t, releases, charts)
	s.Put(releases.Resource, release("flux-system", "a", "1", "True"))
	s.Put(releases.Resource, release("flux-system", "b", "2", "True"))
	r := onServer(t, s.Config(), nil)
	eventually(t, isStatus(r, "r/a", "succeeded"), func() any { return r.statuses() })
	s.Delete(releases.Resource, "flux-system", "a", true)
	s.Cut()
	eventually(t, isStatus(r, "r/a", ""), func() any { return r.statuses() })
	if got := r.statuses()["r/b"]; got != "succeeded" {
		t.Errorf("b is %q", got)
	}
}

// TestWatcher_RelistFindsRecreatedReleases deletes and recreates a release while there is no watch: it is another object, not a changed one.
func TestWatcher_RelistFindsRecreatedReleases(t *testing.T) {
	s := server(t, releases, charts)
	s.Put(releases.Resource, release("flux-system", "a", "1", "True"))
	r := onServer(t, s.Config(), nil)
	eventually(t, isStatus(r, "r/a", "succeeded"), func() any { return r.statuses() })
	before := s.Requests("/helmreleases?")
	serve := s.Fail(-1, apitest.Initializing, func(r *http.Request) bool { return isWatch(r) || isList(r) })
	s.Cut()
	eventually(t, func() bool { return s.Requests("/helmreleases?") > before }, func() any { return r.log }) // the watch has ended
	s.Delete(releases.Resource, "flux-system", "a", true)
	s.Put(releases.Resource, release("flux-system", "a", "2", ""))
	s.Compact()
	serve()
	eventually(t, isStatus(r, "r/a", "pending"), func() any { return r.statuses() })
	r.stop()
	deleted := false
	for _, c := range r.seen {
		deleted = deleted || c.DeleteNode == "r/a"
	}
	if !deleted {
		t.Error("the node of the first release was never deleted")
	}
}

func TestPump_SkipsAMalformedRelease(t *testing.T) {
	s := server(t, releases, charts)
	bad := release("flux-system", "bad", "1", "True")
	delete(bad, "spec")
	s.Put(releases.Resource, bad)
	worse := release("flux-system", "worse", "2", "True")
	worse["status"] = map[string]any{"conditions": "none"}
	s.Put(releases.Resource, worse)
	s.Put(releases.Resource, release("flux-system", "good", "3", "True"))
	r := onServer(t, s.Config(), nil)
	eventually(t, isStatus(r, "r/good", "succeeded"), func() any { return r.log })
	done(t, r.watcher.Complete(), "complete")
	for _, name := range []string{"bad", "worse"} {
		if n := r.log.lines("object skipped", "name="+name); n != 1 {
			t.Errorf("%d log lines about %s, want 1:\n%s", n, name, r.log)
		}
	}
}

func TestWatcher_ProblemsNameAnOptionalKindThatDelaysComplete(t *testing.T) {
	optional := watch.Kinds[2]
	s := server(t, releases, charts, optional)
	repair := s.Fail(-1, apitest.Unauthorized, func(r *http.Request) bool {
		return isList(r) && strings.HasSuffix(r.URL.Path, "/"+optional.Resource.Resource)
	})
	r := onServer(t, s.Config(), func(c *watch.Config) { c.Kinds = watch.Kinds[:3] })
	named := func() bool {
		p := r.watcher.Problems()
		return len(p) == 1 && strings.Contains(p[0], "(401)") && strings.Contains(p[0], optional.Resource.Resource)
	}
	eventually(t, named, func() any { return r.watcher.Problems() })
	if closed(r.watcher.Complete()) {
		t.Error("complete without the list of an optional kind")
	}
	repair()
	done(t, r.watcher.Complete(), "complete")
	if p := r.watcher.Problems(); len(p) != 0 {
		t.Errorf("problems: %q", p)
	}
}

// everything is a Discovery that serves every kind in the required version.
type everything struct{}

func (everything) Versions(_ context.Context, r schema.GroupVersionResource) ([]string, error) {
	return []string{r.Version}, nil
}
