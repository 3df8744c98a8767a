// Package prom writes metrics in the Prometheus text exposition format 0.0.4, those of the process and the Go runtime among them.
package prom

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ContentType is the content type of the output of Write.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Family is one metric, with a sample for each set of labels.
type Family struct {
	Name string
	Type string // counter, gauge, histogram or summary
	Help string // one sentence

	Collect func(*Samples)
}

// Value returns a Collect for a metric with one sample and no labels.
func Value[N int | int64 | float64](f func() N) func(*Samples) {
	return func(s *Samples) { s.Add(float64(f())) }
}

// Int returns a Collect for a counter or gauge whose value is n at the time of the scrape.
func Int(n *atomic.Int64) func(*Samples) { return Value(n.Load) }

// Write writes families in their order.
func Write(w io.Writer, families []Family) error {
	var s Samples
	for _, f := range families {
		s.name = f.Name
		s.b = append(s.b, "# HELP "+f.Name+" "+escapeHelp(f.Help)+"\n# TYPE "+f.Name+" "+f.Type+"\n"...)
		f.Collect(&s)
	}
	_, err := w.Write(s.b)
	return err
}

// Samples takes the samples of one family.
type Samples struct {
	name string
	b    []byte
}

// Add adds a sample. Labels are names and values in turn.
func (s *Samples) Add(value float64, labels ...string) { s.add("", value, labels) }

// Histogram adds the samples of a histogram, in seconds.
func (s *Samples) Histogram(h *Histogram, labels ...string) {
	total := int64(0)
	bucket := append(slices.Clone(labels), "le", "")
	for i := range h.counts {
		total += h.counts[i].Load()
		le := "+Inf"
		if i < len(h.bounds) {
			le = number(h.bounds[i].Seconds())
		}
		bucket[len(bucket)-1] = le
		s.add("_bucket", float64(total), bucket)
	}
	s.add("_sum", time.Duration(h.sum.Load()).Seconds(), labels)
	s.add("_count", float64(total), labels)
}

func (s *Samples) add(suffix string, value float64, labels []string) {
	s.b = append(append(s.b, s.name...), suffix...)
	for i := 0; i < len(labels); i += 2 {
		s.b = append(s.b, "{,"[min(i, 1)])
		s.b = append(s.b, labels[i]+`="`+escape(labels[i+1])+`"`...)
	}
	if len(labels) > 0 {
		s.b = append(s.b, '}')
	}
	s.b = append(append(append(s.b, ' '), number(value)...), '\n')
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

var (
	escape     = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace
	escapeHelp = strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace
)

// Histogram counts durations by upper bounds. It may be used from any goroutine.
type Histogram struct {
	bounds []time.Duration
	counts []atomic.Int64 // of each bucket, the last without a bound
	sum    atomic.Int64   // nanoseconds
}

// NewHistogram returns a histogram with these upper bounds, ascending.
func NewHistogram(bounds ...time.Duration) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Int64, len(bounds)+1)}
}

// Observe counts a duration. A negative one, which a change of the clock can cause, counts as 0.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Vec has a value of type V for each key, made at the first call of Of. It may be used from any goroutine.
type Vec[K comparable, V any] struct {
	New func() *V // nil: new(V)

	mu sync.RWMutex
	m  map[K]*V
}

// Of returns the value of a key.
func (v *Vec[K, V]) Of(key K) *V {
	v.mu.RLock()
	value := v.m[key]
	v.mu.RUnlock()
	if value != nil {
		return value
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if value = v.m[key]; value == nil {
		if value = new(V); v.New != nil {
			value = v.New()
		}
		if v.m == nil {
			v.m = make(map[K]*V)
		}
		v.m[key] = value
	}
	return value
}

// Each calls f for each key and value, in the order of compare. f must not call Of.
func (v *Vec[K, V]) Each(compare func(a, b K) int, f func(K, *V)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	keys := make([]K, 0, len(v.m))
	for key := range v.m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compare)
	for _, key := range keys {
		f(key, v.m[key])
	}
}
