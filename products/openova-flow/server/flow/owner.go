package flow

import "strings"

// RegionOf returns the region that an id belongs to: the id itself, or what comes before its first slash.
func RegionOf(id string) string {
	region, _, _ := strings.Cut(id, "/")
	return region
}

// OwnerOf returns the id that decides whose a relationship is: that of who waits, or of who is contained.
func OwnerOf(k RelKey) string {
	if k.Type == Contains {
		return k.FromID
	}
	return k.ToID
}
