//go:build linux

package load

import (
	"math/bits"
	"time"
)

// subBits gives 128 steps for each power of two: the error of a quantile is less than 1 %.
const subBits = 7

// histogram counts durations in steps that grow with them.
type histogram struct {
	count [(64 - subBits) << subBits]int64
	n     int64
	most  int64
}

func (h *histogram) add(ns int64) {
	ns = max(ns, 0)
	h.count[step(ns)]++
	h.n++
	h.most = max(h.most, ns)
}

func (h *histogram) merge(other *histogram) {
	for i, c := range other.count {
		h.count[i] += c
	}
	h.n += other.n
	h.most = max(h.most, other.most)
}

// quantile returns the p-quantile of all durations, 0 without any.
func (h *histogram) quantile(p float64) time.Duration {
	want := max(1, int64(p*float64(h.n)+0.5))
	for i, c := range h.count {
		if want -= c; want <= 0 {
			return time.Duration(min(stepEnd(i), h.most))
		}
	}
	return time.Duration(h.most)
}

func step(v int64) int {
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - subBits - 1
	return shift<<subBits + int(v>>shift)
}

func stepEnd(i int) int64 {
	if i < 1<<(subBits+1) {
		return int64(i)
	}
	shift := i>>subBits - 1
	return int64(i-shift<<subBits+1)<<shift - 1
}
