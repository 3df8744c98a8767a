package emit

import (
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// key identifies a node (its id) or, if node is empty, a relationship.
type key struct {
	node string
	rel  flow.RelKey
}

func (k key) String() string {
	if k.node != "" {
		return k.node
	}
	return k.rel.FromID + " " + string(k.rel.Type) + " " + k.rel.ToID
}

type change struct {
	key  key
	json string    // the element's JSON; empty: deletion
	uid  string    // UID of the Kubernetes object of a node
	at   time.Time // time of Put, or of the comparison that added it

	beforeTerm bool // put before this process led
}

func (c change) deletes() bool { return c.json == "" }

// regionState has a region's nodes and relationships as JSON, folded as by the server.
type regionState struct {
	values   map[key]string
	touching map[string]map[flow.RelKey]struct{} // by id of either end
}

func newRegionState() *regionState {
	return &regionState{values: map[key]string{}, touching: map[string]map[flow.RelKey]struct{}{}}
}

func (m *regionState) clone() *regionState {
	c := newRegionState()
	for k, v := range m.values {
		c.set(k, v)
	}
	return c
}

// apply folds c, and reports whether it had an effect.
func (m *regionState) apply(c change) bool {
	if !c.deletes() {
		if m.values[c.key] == c.json {
			return false
		}
		m.set(c.key, c.json)
		return true
	}
	_, existed := m.values[c.key]
	m.unset(c.key)
	if c.key.node != "" {
		for rel := range m.touching[c.key.node] {
			m.unset(key{rel: rel})
			existed = true
		}
	}
	return existed
}

func (m *regionState) set(k key, json string) {
	m.values[k] = json
	if k.node != "" {
		return
	}
	for _, end := range []string{k.rel.FromID, k.rel.ToID} {
		if m.touching[end] == nil {
			m.touching[end] = map[flow.RelKey]struct{}{}
		}
		m.touching[end][k.rel] = struct{}{}
	}
}

func (m *regionState) unset(k key) {
	delete(m.values, k)
	if k.node != "" {
		return
	}
	for _, end := range []string{k.rel.FromID, k.rel.ToID} {
		delete(m.touching[end], k.rel)
		if len(m.touching[end]) == 0 {
			delete(m.touching, end)
		}
	}
}
