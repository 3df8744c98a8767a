package mapping

import "container/heap"

// extent keeps the least of a changing collection of integers. Each change costs the logarithm of its size.
type extent struct {
	count map[int64]int
	least intHeap // every counted value, and some that are no longer counted
}

func (x *extent) add(v int64) {
	if x.count == nil {
		x.count = map[int64]int{}
	}
	x.count[v]++
	if x.count[v] == 1 {
		heap.Push(&x.least, v)
	}
}

func (x *extent) remove(v int64) {
	if x.count[v]--; x.count[v] <= 0 {
		delete(x.count, v)
	}
}

// min returns the least value, and whether there is one.
func (x *extent) min() (int64, bool) {
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
