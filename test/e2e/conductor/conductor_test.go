package conductor_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/test/e2e/conductor"
	"github.com/openova-io/openova/test/e2e/plane"
)

// TestConductor_ObjectFirstSeenWhileItIsDeleted replays an object that is being deleted when a recording begins.
func TestConductor_ObjectFirstSeenWhileItIsDeleted(t *testing.T) {
	var calls []string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls = append(calls, r.Method)
		_, _ = io.WriteString(w, `{"kind":"ConfigMap"}`)
	}))
	defer srv.Close()
	c := conductor.New("fsn1", (&plane.Plane{Addr: strings.TrimPrefix(srv.URL, "https://")}).Admin())
	object := plane.Object{"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "spec": plane.Object{}, "metadata": plane.Object{
		"name": "app", "namespace": "shop", "uid": "1", "finalizers": []any{"finalizers.fluxcd.io"}, "deletionTimestamp": "2026-01-01T00:00:00Z"}}
	for _, want := range [][]string{{"POST", "DELETE"}, {}} {
		if err := c.Apply(t.Context(), conductor.Event{Type: "ADDED", Object: object}); err != nil || !slices.Equal(calls, want) {
			t.Errorf("%q, %v; want %q", calls, err, want)
		}
		calls = nil
	}
}
