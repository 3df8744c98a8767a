package mapping

import (
	"encoding/json"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// A Cluster uses its cluster's time; only times in the nodes that it returns are the flow server's. A node with moved times has the offset, so that a later
// process can restore them.

// moved converts a time to a clock that is offset milliseconds ahead.
func moved(at flow.Time, offset int64) flow.Time {
	if at.IsZero() {
		return at
	}
	return flow.At(at.Ms() + offset)
}

// moveAll returns a copy of v, the content of a meta, with all times moved.
func moveAll(v any, offset int64) any {
	switch v := v.(type) {
	case flow.Time:
		return moved(v, offset)
	case map[string]any:
		all := make(map[string]any, len(v))
		for name, field := range v {
			all[name] = moveAll(field, offset)
		}
		return all
	case []any:
		all := make([]any, len(v))
		for i, element := range v {
			all[i] = moveAll(element, offset)
		}
		return all
	}
	return v
}

// instant reads a time from the meta of a node, and undoes the offset.
func (f fields) instant(name string, offset int64) flow.Time {
	ms, ok := f.int(name)
	if !ok {
		return flow.Time{}
	}
	return flow.At(ms - offset)
}

// ClockOffset returns the offset, in milliseconds, by which the times of a region's nodes were moved, from the region's own node; 0 if that is missing
// or has none.
func ClockOffset(region string, nodes []flow.Node) int64 {
	for _, n := range nodes {
		var m fields
		if n.ID == region && json.Unmarshal([]byte(n.Meta), &m) == nil {
			offset, _ := m.int("clockOffset")
			return offset
		}
	}
	return 0
}
