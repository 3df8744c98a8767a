package prom

import (
	"cmp"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestWrite_IsTheTextFormat(t *testing.T) {
	var n atomic.Int64
	n.Store(1 << 53)
	h := NewHistogram(time.Millisecond, time.Second)
	for _, d := range []time.Duration{-1, time.Millisecond, 2 * time.Millisecond, time.Minute} {
		h.Observe(d)
	}
	var b strings.Builder
	err := Write(&b, []Family{
		{"a_total", "counter", `A "b" \ c.`, Int(&n)},
		{"b", "gauge", "B.", func(s *Samples) {
			s.Add(0.25, "x", `1"\`+"\n", "y", "é")
			s.Add(1)
		}},
		{"c_seconds", "histogram", "C.", func(s *Samples) { s.Histogram(h, "x", "1") }},
		{"d", "gauge", "D.", func(*Samples) {}},
	})
	want := `# HELP a_total A "b" \\ c.
# TYPE a_total counter
a_total 9007199254740992
# HELP b B.
# TYPE b gauge
b{x="1\"\\\n",y="é"} 0.25
b 1
# HELP c_seconds C.
# TYPE c_seconds histogram
c_seconds_bucket{x="1",le="0.001"} 2
c_seconds_bucket{x="1",le="1"} 3
c_seconds_bucket{x="1",le="+Inf"} 4
c_seconds_sum{x="1"} 60.003
c_seconds_count{x="1"} 4
# HELP d D.
# TYPE d gauge
`
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestVec_MakesEachValueOnce(t *testing.T) {
	var v Vec[string, atomic.Int64]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				v.Of("b").Add(1)
				v.Of("a").Add(1)
			}
		})
	}
	wg.Wait()
	var got []string
	v.Each(cmp.Compare[string], func(key string, n *atomic.Int64) { got = append(got, key+strconv.FormatInt(n.Load(), 10)) })
	if strings.Join(got, " ") != "a800 b800" {
		t.Error(got)
	}
}

// sample returns the value of a sample of Runtime.
func sample(t *testing.T, name string) float64 {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, Runtime()); err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (.*)$`).FindStringSubmatch(b.String())
	if m == nil {
		t.Fatalf("no %s in\n%s", name, b.String())
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRuntime_MeasuresTheProcess(t *testing.T) {
	runtime.GC()
	for _, name := range []string{"go_goroutines", "go_threads", "go_sched_gomaxprocs_threads", "go_gc_duration_seconds_count", "go_memstats_alloc_bytes_total",
		"go_memstats_heap_inuse_bytes", "go_memstats_heap_objects", "go_memstats_next_gc_bytes", "go_memstats_stack_inuse_bytes", "go_memstats_sys_bytes"} {
		if v := sample(t, name); v <= 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	heap := sample(t, "go_memstats_heap_alloc_bytes")
	kept := make([]byte, 64<<20)
	if grown := sample(t, "go_memstats_heap_alloc_bytes") - heap; grown < 60<<20 || grown > 80<<20 {
		t.Errorf("an allocation of 64 MiB shows as %v bytes", grown)
	}
	runtime.KeepAlive(kept)
}

func TestRuntime_MeasuresTheProcessOnLinux(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	if started := time.Since(time.UnixMilli(int64(1000 * sample(t, "process_start_time_seconds")))); started < -2*time.Second || started > time.Hour {
		t.Errorf("the process started %v ago", started)
	}
	cpu := sample(t, "process_cpu_seconds_total")
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
		for n := 0; n < 1e6; n++ {
			_ = n
		}
	}
	if used := sample(t, "process_cpu_seconds_total") - cpu; used <= 0 || used > 10 {
		t.Errorf("100 ms of work are %v s of processor time", used)
	}
	if rss, virtual := sample(t, "process_resident_memory_bytes"), sample(t, "process_virtual_memory_bytes"); rss < 1<<20 || rss > virtual {
		t.Errorf("%v bytes resident, %v virtual", rss, virtual)
	}
	before := sample(t, "process_open_fds")
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if now := sample(t, "process_open_fds"); now != before+1 || now > sample(t, "process_max_fds") {
		t.Errorf("process_open_fds after one more file: %v, before %v", now, before)
	}
}
