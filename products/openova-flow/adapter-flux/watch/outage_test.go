package watch_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch/apitest"
)

// outage makes the requests of a fake client fail for some time.
type outage struct {
	mu       sync.Mutex
	err      error  // error of the requests; nil: no outage
	only     string // the only resource with an outage; empty: all
	open     []apiwatch.Interface
	requests int // failed requests
}

// begin breaks all open watches and makes later requests fail with err. If only is not empty, requests for other resources succeed.
func (o *outage) begin(err error, only string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err, o.only, o.requests = err, only, 0
	for _, w := range o.open {
		w.Stop()
	}
	o.open = nil
}

func (o *outage) end() { o.begin(nil, "") }

// errorOf returns the error of a request, and counts it if there is one.
func (o *outage) errorOf(a clienttesting.Action) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.only != "" && o.only != a.GetResource().Resource {
		return nil
	}
	if o.err != nil {
		o.requests++
	}
	return o.err
}

func (o *outage) unanswered() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.requests
}

func TestWatch_IsCurrentTwoSecondsAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, o := fakeClient(), &outage{}
		client.PrependReactor("*", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
			err := o.errorOf(a)
			return err != nil, nil, err
		})
		client.PrependWatchReactor("*", func(a clienttesting.Action) (bool, apiwatch.Interface, error) {
			if err := o.errorOf(a); err != nil {
				return true, nil, err
			}
			w, err := client.Tracker().Watch(a.GetResource(), a.GetNamespace())
			o.mu.Lock()
			defer o.mu.Unlock()
			o.open = append(o.open, w)
			return true, w, err
		})
		var blind []bool
		r := start(t, client, everything{}, func(c *watch.Config) {
			c.Kinds, c.FirstRetry, c.MaxRetry = watch.Kinds, 500*time.Millisecond, 10*time.Second
			c.OnInfo = func(i watch.Info) { blind = append(blind, i.Blind) }
		})
		defer r.stop()
		o.begin(&url.Error{Op: "Get", URL: "https://k8s", Err: syscall.ECONNREFUSED}, "")
		time.Sleep(time.Minute)
		o.end()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !closed(r.watcher.Complete()) {
			t.Error("not complete two seconds after the API server's first answer")
		}
		change := func(typ mapping.EventType, ready string) {
			track(t, client, mapping.Event{Type: typ, Object: &unstructured.Unstructured{Object: release("flux-system", "a", "1", ready)}})
			synctest.Wait()
		}
		change(mapping.Added, "True")
		o.begin(apierrors.NewServiceUnavailable("no backend"), "")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := o.unanswered(); n > 20*60+len(watch.Kinds) {
			t.Errorf("%d requests in ten minutes to an unavailable API server", n)
		}
		if len(r.watcher.Problems()) == 0 || len(blind) == 0 || !blind[len(blind)-1] {
			t.Errorf("problems %q, blind %v", r.watcher.Problems(), blind)
		}
		o.end()
		time.Sleep(2 * time.Second)
		change(mapping.Modified, "False")
		if got := r.statuses()["r/a"]; got != "failed" {
			t.Errorf("two seconds after the API server is back the release is %q:\n%s", got, r.log)
		}
		if problems := r.watcher.Problems(); len(problems) > 0 || blind[len(blind)-1] {
			t.Errorf("problems %q, blind %v", problems, blind)
		}
		o.begin(apierrors.NewServiceUnavailable("no backend"), "kustomizations")
		time.Sleep(time.Minute)
		synctest.Wait()
		if blind[len(blind)-1] {
			t.Error("blind though only an optional kind is unavailable")
		}
	})
}

func TestWatch_RepeatsRequestsWithoutAnAnswer(t *testing.T) {
	for name, hangs := range map[string]func(*http.Request) bool{
		"discovery":    func(r *http.Request) bool { return strings.Count(r.URL.Path, "/") == 3 },
		"identity":     func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/kube-system") },
		"lists":        isList,
		"watches":      isWatch,
		"all requests": func(*http.Request) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t, releases, charts)
			s.Put(releases.Resource, release("flux-system", "a", "1", "True"))
			s.NoStreamedLists = name == "lists"
			s.Fail(3, apitest.Answer{Never: true}, hangs)
			r := onServer(t, s.Config(), func(c *watch.Config) { c.AskTimeout, c.ListTimeout = 50*time.Millisecond, 50*time.Millisecond })
			eventually(t, isStatus(r, "r/a", "succeeded"), func() any { return r.log })
			done(t, r.watcher.Complete(), "complete")
			s.Put(releases.Resource, release("flux-system", "a", "1", "False"))
			eventually(t, isStatus(r, "r/a", "failed"), func() any { return r.log })
			if name == "identity" {
				return // not a problem of a kind
			}
			if r.log.lines("cannot watch", "class=unreachable") == 0 {
				t.Errorf("log:\n%s", r.log)
			}
		})
	}
}

func TestWatch_SlowListDelaysOthersForALimitedTime(t *testing.T) {
	t.Parallel()
	s := server(t, releases)
	s.NoStreamedLists = true
	slow := func(r *http.Request) bool {
		return isList(r) && strings.HasSuffix(r.URL.Path, "/helmreleases") && r.URL.Query().Get("limit") != "1"
	}
	s.Fail(-1, apitest.Answer{Never: true}, slow)
	r := onServer(t, s.Config(), nil)
	eventually(t, func() bool { return s.Requests("/helmreleases?", "limit=500") > 0 }, func() any { return r.log })
	s.Serve(charts.Resource, charts.Name)
	eventually(t, func() bool { return s.Requests("/helmcharts?", "watch=") > 0 }, func() any { return r.log })
}
