package prom

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"time"
)

// Runtime returns the metrics of the process and the Go runtime, with the names of Prometheus' Go client.
func Runtime() []Family {
	return append(slices.Clone(runtimeFamilies), processFamilies...)
}

var runtimeFamilies = []Family{
	{"go_info", "gauge", "Always 1; the label says the version of Go.", func(s *Samples) { s.Add(1, "version", runtime.Version()) }},
	{"go_goroutines", "gauge", "Goroutines.", Value(runtime.NumGoroutine)},
	{"go_threads", "gauge", "Threads of the operating system that were created.", Value(func() int { n, _ := runtime.ThreadCreateProfile(nil); return n })},
	{"go_sched_gomaxprocs_threads", "gauge", "GOMAXPROCS: threads that may run Go code at one time.", read("/sched/gomaxprocs:threads")},
	{"go_gc_duration_seconds", "summary", "Pauses of garbage collection: minimum, quartiles and maximum.", pauses},
	{"go_gc_gogc_percent", "gauge", "GOGC: how much the heap may grow before it is collected.", read("/gc/gogc:percent")},
	{"go_gc_gomemlimit_bytes", "gauge", "GOMEMLIMIT.", read("/gc/gomemlimit:bytes")},
	{"go_memstats_alloc_bytes_total", "counter", "Bytes allocated on the heap since the start.", read("/gc/heap/allocs:bytes")},
	{"go_memstats_heap_alloc_bytes", "gauge", "Bytes of heap objects that are live or not yet collected.", read("/memory/classes/heap/objects:bytes")},
	{"go_memstats_heap_inuse_bytes", "gauge", "Bytes of heap spans that have objects.", read("/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes")},
	{"go_memstats_heap_released_bytes", "gauge", "Bytes of heap given back to the operating system.", read("/memory/classes/heap/released:bytes")},
	{"go_memstats_heap_objects", "gauge", "Heap objects.", read("/gc/heap/objects:objects")},
	{"go_memstats_next_gc_bytes", "gauge", "Size of the heap at which the next collection starts.", read("/gc/heap/goal:bytes")},
	{"go_memstats_stack_inuse_bytes", "gauge", "Bytes of goroutines' stacks.", read("/memory/classes/heap/stacks:bytes")},
	{"go_memstats_sys_bytes", "gauge", "Bytes obtained from the operating system.", read("/memory/classes/total:bytes")},
}

// read returns a Collect for the sum of some metrics of package runtime/metrics.
func read(names ...string) func(*Samples) {
	return func(s *Samples) {
		samples := make([]metrics.Sample, len(names))
		for i, name := range names {
			samples[i].Name = name
		}
		metrics.Read(samples)
		sum := uint64(0)
		for _, one := range samples {
			sum += one.Value.Uint64()
		}
		s.Add(float64(sum))
	}
}

func pauses(s *Samples) {
	stats := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&stats)
	for i, pause := range stats.PauseQuantiles {
		s.Add(pause.Seconds(), "quantile", strconv.FormatFloat(float64(i)/4, 'f', -1, 64))
	}
	s.add("_sum", stats.PauseTotal.Seconds(), nil)
	s.add("_count", float64(stats.NumGC), nil)
}
