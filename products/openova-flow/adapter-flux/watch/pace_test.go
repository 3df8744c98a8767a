package watch_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch/apitest"
)

// without is a Discovery of every kind but one. It counts the requests for that one.
type without struct {
	resource string
	requests *atomic.Int64
}

func (w without) Versions(_ context.Context, r schema.GroupVersionResource) ([]string, error) {
	if r.Resource == w.resource {
		w.requests.Add(1)
		return nil, nil
	}
	return []string{r.Version}, nil
}

func defaults(c *watch.Config) {
	c.FirstRetry, c.MaxRetry, c.Recheck, c.SettleAfter = 0, 0, 0, 0
}

func TestWatch_MissingOptionalKindIsCheckedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		r := start(t, fakeClient(), without{"kustomizations", &requests}, func(c *watch.Config) {
			defaults(c)
			c.Kinds = watch.Kinds[:3]
		})
		defer r.stop()
		advance(time.Minute)
		requests.Store(0)
		advance(10 * time.Minute)
		if n := requests.Load(); n < 9 || n > 11 {
			t.Errorf("%d requests in ten minutes", n)
		}
	})
}

func TestWatch_WaitsSettleAfterForAForbiddenKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fakeClient()
		client.PrependReactor("list", "helmcharts", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "helmcharts"}, "", nil)
		})
		r := start(t, client, everything{}, defaults)
		defer r.stop()
		advance(time.Second)
		if closed(r.watcher.Complete()) {
			t.Error("complete a second after the first 403")
		}
		advance(10 * time.Second)
		if !closed(r.watcher.Complete()) {
			t.Error("not complete though the kind stayed forbidden")
		}
	})
}

// TestWatch_SuccessEndsTheProblemOfAList: a watch that streams its initial list needs no permission to list.
func TestWatch_SuccessEndsTheProblemOfAList(t *testing.T) {
	s := server(t, releases, charts)
	s.Put(releases.Resource, release("flux-system", "a", "1", "True"))
	r := onServer(t, s.Config(), nil)
	done(t, r.watcher.Complete(), "complete")
	ofReleases := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/helmreleases") }
	s.Fail(-1, apitest.Forbidden("list", "helmreleases", "helm.toolkit.fluxcd.io", "at the cluster scope"), func(r *http.Request) bool { return ofReleases(r) && !isWatch(r) })
	s.Fail(2, apitest.Forbidden("watch", "helmreleases", "helm.toolkit.fluxcd.io", "at the cluster scope"), func(r *http.Request) bool { return ofReleases(r) && isWatch(r) })
	before := s.Requests("GET", "/helmreleases?")
	s.Cut()
	eventually(t, func() bool { return s.Requests("GET", "/helmreleases?") >= before+4 }, func() any { return r.log })
	s.Put(releases.Resource, release("flux-system", "a", "1", "False"))
	eventually(t, isStatus(r, "r/a", "failed"), func() any { return r.log })
	eventually(t, func() bool { return len(r.watcher.Problems()) == 0 }, func() any { return r.watcher.Problems() })
	if r.log.lines("class=forbidden", "list helmreleases") == 0 {
		t.Errorf("the list was never refused:\n%s", r.log)
	}
}
