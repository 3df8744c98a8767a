package flow

import (
	"slices"
	"strings"
)

// RegionOf returns the region that an id belongs to: the id itself, or what comes before its first slash.
func RegionOf(id string) string {
	region, _, _ := strings.Cut(id, "/")
	return region
}

// OwnersOf returns the ids that decide which region a relationship belongs to: its toId, whose node waits; of a contains both ends, since
// it says what the one is and what the other is part of.
func OwnersOf(k RelKey) []string {
	if k.Type == Contains {
		return []string{k.FromID, k.ToID}
	}
	return []string{k.ToID}
}

// RegionOfRel returns the region that a relationship belongs to, and whether it belongs to one: its owners may be in different regions.
func RegionOfRel(k RelKey) (region string, ok bool) {
	owners := OwnersOf(k)
	region = RegionOf(owners[0])
	return region, RelInRegions(k, []string{region})
}

// RelInRegions reports whether a relationship belongs to the given regions: all of its owners are in one of them.
func RelInRegions(k RelKey, regions []string) bool {
	for _, id := range OwnersOf(k) {
		if !slices.Contains(regions, RegionOf(id)) {
			return false
		}
	}
	return true
}
