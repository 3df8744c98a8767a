package mapping

// Instants returns the number of start and end times that a Cluster keeps to know the first start and the last end.
func (c *Cluster) Instants() int { return len(c.members.starts.least) + len(c.members.ends.least) }

// Held returns the sizes, by name, of maps that must be empty after all objects are deleted.
func (c *Cluster) Held() map[string]int {
	return map[string]int{
		"entries": len(c.entries), "artifacts": len(c.artifacts), "charts": len(c.charts), "users": len(c.users), "applied": len(c.applied),
		"needed": len(c.needed), "makers": len(c.makers), "starts": len(c.members.starts.count), "ends": len(c.members.ends.count),
	}
}
