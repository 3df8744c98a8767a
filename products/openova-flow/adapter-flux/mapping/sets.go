package mapping

import (
	"maps"
	"slices"
)

// join adds a member to the set at a key.
func join[K comparable](m map[K]map[key]bool, at K, member key) {
	if m[at] == nil {
		m[at] = map[key]bool{}
	}
	m[at][member] = true
}

// drop removes a member from the set at a key, and the set if it is empty then.
func drop[K comparable](m map[K]map[key]bool, at K, member key) {
	delete(m[at], member)
	if len(m[at]) == 0 {
		delete(m, at)
	}
}

func sorted[V any](set map[key]V) []key {
	return slices.SortedFunc(maps.Keys(set), func(a, b key) int {
		return slices.Compare([]string{a.namespace, a.name, a.kind}, []string{b.namespace, b.name, b.kind})
	})
}
