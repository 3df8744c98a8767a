package watch

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func TestControllers_DownAfterTheLeaseExpiredWhileWatched(t *testing.T) {
	lease := func(name, renewed string) unstructured.Unstructured {
		return unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": map[string]any{"name": name, "namespace": "flux-system"},
			"spec": map[string]any{"holderIdentity": "helm-controller-7d9f_0b7c", "leaseDurationSeconds": int64(35), "leaseTransitions": int64(2),
				"acquireTime": "2026-03-01T10:00:00.000000Z", "renewTime": renewed},
		}}
	}
	released := func(name string) unstructured.Unstructured {
		l := lease(name, "2026-03-01T12:00:00.000000Z")
		l.Object["spec"].(map[string]any)["holderIdentity"] = ""
		return l
	}
	const helm, other = "helm-controller-leader-election", "cert-manager-controller"
	c := controllers{grace: time.Minute}
	start := time.Now()
	at := func(seconds int, list ...unstructured.Unstructured) []mapping.Controller {
		return c.observe(start.Add(time.Duration(seconds)*time.Second), list)
	}
	const first, second = "2026-03-01T12:05:00.123456Z", "2026-03-01T12:05:05.123456Z"
	for _, step := range []struct {
		name    string
		seconds int
		list    []unstructured.Unstructured
		down    string // last renewal of the controller that is down; empty: none is
	}{
		{"seen first, with an old renewal by this clock", 0, []unstructured.Unstructured{lease(helm, first), lease(other, first)}, ""},
		{"within duration and grace", 95, []unstructured.Unstructured{lease(helm, first), lease(other, first)}, ""},
		{"beyond", 96, []unstructured.Unstructured{lease(helm, first), lease(other, first)}, first},
		{"renewed", 100, []unstructured.Unstructured{lease(helm, second)}, ""},
		{"beyond again", 196, []unstructured.Unstructured{lease(helm, second)}, second},
		{"a removed shard releases its Lease", 197, []unstructured.Unstructured{released(helm + "-1a2b3c"), lease(helm, second)}, second},
		{"and later", 500, []unstructured.Unstructured{released(helm + "-1a2b3c"), lease(helm, second)}, second},
		{"gone", 501, nil, ""},
		{"created again", 502, []unstructured.Unstructured{lease(helm, second)}, ""},
	} {
		var want []mapping.Controller
		if step.down != "" {
			renewed, err := time.Parse(time.RFC3339, step.down)
			if err != nil {
				t.Fatal(err)
			}
			want = []mapping.Controller{{Lease: helm, Renewed: flow.At(renewed.UnixMilli())}}
		}
		if got := at(step.seconds, step.list...); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", step.name, got, want)
		}
	}
}
