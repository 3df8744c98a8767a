package mapping_test

import (
	"fmt"
	"runtime"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
)

// grown returns a cluster of n releases, which name the same HelmRepository, and the objects. Release i depends on release i/2, the first on none.
func grown(b *testing.B, n int) (*mapping.Cluster, []*unstructured.Unstructured) {
	c := mapping.NewCluster(mapping.Config{FlowID: "f", Region: "r"})
	all := make([]*unstructured.Unstructured, n)
	for i := range all {
		u := release(b, fmt.Sprint("r", i), cond{"Ready", "True", "InstallSucceeded", "done", i % 1000, 1})
		if i > 0 {
			set(u, []any{map[string]any{"name": fmt.Sprint("r", i/2)}}, "spec", "dependsOn")
		}
		all[i] = u
		if _, err := c.Apply(mapping.Event{Type: mapping.Added, Object: u}); err != nil {
			b.Fatal(err)
		}
	}
	return c, all
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{50, 5000} {
		b.Run(fmt.Sprintf("changed,releases=%d", n), func(b *testing.B) {
			c, all := grown(b, n)
			i := 0
			for b.Loop() {
				u := all[i%n]
				set(u, conditionList(cond{"Ready", []string{"Unknown", "True"}[i/n%2], "Progressing", "now", 1000 + i, 1}), "status", "conditions")
				if _, err := c.Apply(mapping.Event{Type: mapping.Modified, Object: u}); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
		b.Run(fmt.Sprintf("same,releases=%d", n), func(b *testing.B) {
			c, all := grown(b, n)
			i := 0
			for b.Loop() {
				if changes, err := c.Apply(mapping.Event{Type: mapping.Modified, Object: all[i%n]}); err != nil || len(changes) > 0 {
					b.Fatal(err, len(changes))
				}
				i++
			}
		})
	}
}

// BenchmarkCluster_Memory measures the heap of a region's state, including memory that it shares with the objects.
func BenchmarkCluster_Memory(b *testing.B) {
	const n = 5000
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		c, _ := grown(b, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(c)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "heap-B/release")
}
