package main

import (
	"cmp"
	"slices"
)

type release struct {
	Slot      int      `json:"slot"`
	Name      string   `json:"name"`
	DependsOn []string `json:"dependsOn"`
	File      string   `json:"file"`

	line  int
	lines map[string]int // of each dependency
}

// byName returns the first release of each name.
func byName(releases []release) map[string]release {
	out := map[string]release{}
	for _, r := range releases {
		if _, ok := out[r.Name]; !ok {
			out[r.Name] = r
		}
	}
	return out
}

// tiers puts every release one tier above its highest dependency. Releases in a cycle, and those that depend on them, are in no tier. Missing
// dependencies are ignored.
func tiers(releases []release) (out [][]string) {
	graph := byName(releases)
	placed := map[string]bool{}
	for {
		var tier []string
		for name, r := range graph {
			ready := !placed[name] && !slices.ContainsFunc(r.DependsOn, func(d string) bool {
				_, exists := graph[d]
				return exists && !placed[d]
			})
			if ready {
				tier = append(tier, name)
			}
		}
		if len(tier) == 0 {
			return out
		}
		slices.SortFunc(tier, func(a, b string) int {
			return cmp.Or(cmp.Compare(graph[a].Slot, graph[b].Slot), cmp.Compare(a, b))
		})
		for _, name := range tier {
			placed[name] = true
		}
		out = append(out, tier)
	}
}

// cycles returns one cycle for each set of releases that depend on each other, starting and ending with the least name.
func cycles(releases []release) (out [][]string) {
	graph := byName(releases)
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range graph {
			if !yield(name) {
				return
			}
		}
	})
	taken := map[string]bool{}
	for _, name := range names {
		if taken[name] {
			continue
		}
		if cycle := shortest(graph, name); cycle != nil {
			out = append(out, cycle)
			for _, n := range names {
				if reaches(graph, name, n) && reaches(graph, n, name) {
					taken[n] = true
				}
			}
		}
	}
	return out
}

// shortest returns the shortest path from a release back to itself, nil for none.
func shortest(graph map[string]release, start string) []string {
	from := map[string]string{}
	queue := []string{start}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, d := range slices.Sorted(slices.Values(graph[name].DependsOn)) {
			if d == start {
				path := []string{start}
				for n := name; n != start; n = from[n] {
					path = append(path, n)
				}
				path = append(path, start)
				slices.Reverse(path)
				return path
			}
			if _, seen := from[d]; !seen {
				from[d] = name
				queue = append(queue, d)
			}
		}
	}
	return nil
}

func reaches(graph map[string]release, start, end string) bool {
	seen := map[string]bool{}
	stack := []string{start}
	for len(stack) > 0 {
		name := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if name == end {
			return true
		}
		if !seen[name] {
			seen[name] = true
			stack = append(stack, graph[name].DependsOn...)
		}
	}
	return false
}
