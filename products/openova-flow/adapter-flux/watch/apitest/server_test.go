package apitest_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch/apitest"
)

var charts = schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "helmcharts"}

// TestAPIServer_WatchDeliversEveryVersion: however a watch ends, it has delivered every version up to its last one, from which the client continues.
func TestAPIServer_WatchDeliversEveryVersion(t *testing.T) {
	for name, end := range map[string]func(*apitest.Server){
		"end":         (*apitest.Server).End,
		"cut":         (*apitest.Server).Cut,
		"compact,cut": func(s *apitest.Server) { s.Compact(); s.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			s := apitest.New("cluster-1")
			defer s.Close()
			s.Serve(charts, "HelmChart")
			object := map[string]any{"metadata": map[string]any{"name": "a", "namespace": "flux-system"}}
			put := func() int {
				s.Put(charts, object)
				v, _ := strconv.Atoi(s.Version())
				return v
			}
			for range 100 {
				from := put()
				r, err := s.Client().Get(fmt.Sprintf("%s/apis/%s/v1/helmcharts?watch=true&resourceVersion=%d", s.URL(), charts.Group, from))
				if err != nil {
					t.Fatal(err)
				}
				before := put()
				end(s)
				after := put()
				last, seen := from, map[int]bool{}
				for in := json.NewDecoder(r.Body); ; {
					var e struct {
						Type   string
						Object struct {
							Metadata struct {
								ResourceVersion int `json:",string"`
							}
						}
					}
					if in.Decode(&e) != nil {
						break
					}
					last = max(last, e.Object.Metadata.ResourceVersion)
					if e.Type == "MODIFIED" {
						seen[e.Object.Metadata.ResourceVersion] = true
					}
				}
				r.Body.Close()
				for _, v := range []int{before, after} {
					if v <= last && !seen[v] {
						t.Fatalf("the watch from %d reached %d without %d", from, last, v)
					}
				}
			}
		})
	}
}
