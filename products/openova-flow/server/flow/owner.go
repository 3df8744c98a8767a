package flow

import (
	"slices"
	"strings"
)

// RegionOf returns the region of an id: the part before the first slash, or the whole id if it has none.
func RegionOf(id string) string {
	region, _, _ := strings.Cut(id, "/")
	return region
}

// OwnersOf returns the ids whose regions own a relationship: its toId, since that is the dependent node. A `contains` edge has two owners, since it makes
// one node a container and the other its child.
func OwnersOf(k RelKey) []string {
	if k.Type == Contains {
		return []string{k.FromID, k.ToID}
	}
	return []string{k.ToID}
}

// RegionOfRel returns the region that a relationship belongs to. ok is false if its owners are in different regions.
func RegionOfRel(k RelKey) (region string, ok bool) {
	owners := OwnersOf(k)
	region = RegionOf(owners[0])
	return region, RelInRegions(k, []string{region})
}

// RelInRegions reports whether all owners of a relationship are in the given regions.
func RelInRegions(k RelKey, regions []string) bool {
	for _, id := range OwnersOf(k) {
		if !slices.Contains(regions, RegionOf(id)) {
			return false
		}
	}
	return true
}
