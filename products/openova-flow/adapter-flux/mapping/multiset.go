package mapping

import (
	"container/heap"
	"maps"
	"slices"
)

// multiset is a collection of integers that knows its minimum. A change takes amortized logarithmic time.
type multiset struct {
	count map[int64]int
	least intHeap // every counted value, and some that were removed; some more than once
}

func (x *multiset) add(v int64) {
	if x.count == nil {
		x.count = map[int64]int{}
	}
	x.count[v]++
	if x.count[v] > 1 {
		return
	}
	if len(x.least) > 2*len(x.count)+16 { // most values were removed, and may never reach the top
		x.least = slices.Collect(maps.Keys(x.count))
		heap.Init(&x.least)
		return
	}
	heap.Push(&x.least, v)
}

func (x *multiset) remove(v int64) {
	if x.count[v]--; x.count[v] <= 0 {
		delete(x.count, v)
	}
}

// min returns the least value, and whether there is one.
func (x *multiset) min() (int64, bool) {
	for len(x.least) > 0 {
		if x.count[x.least[0]] > 0 {
			return x.least[0], true
		}
		heap.Pop(&x.least)
	}
	return 0, false
}

type intHeap []int64

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(v any)        { *h = append(*h, v.(int64)) }
func (h *intHeap) Pop() any {
	last := len(*h) - 1
	v := (*h)[last]
	*h = (*h)[:last]
	return v
}
