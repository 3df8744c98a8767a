package emit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func (p part) state() *regionState {
	m := newRegionState()
	for _, n := range p.nodes {
		m.set(key{node: n.ID}, n.JSON())
	}
	for _, r := range p.rels {
		m.set(key{rel: r.Key()}, r.JSON())
	}
	return m
}

// clusterUID returns the UID of the cluster in the region's node, empty if there is none.
func clusterUID(region string, nodes []flow.Node) string {
	var meta struct {
		ClusterUID string `json:"clusterUID"`
	}
	if i := slices.IndexFunc(nodes, func(n flow.Node) bool { return n.ID == region }); i >= 0 {
		_ = json.Unmarshal([]byte(nodes[i].Meta), &meta) // a field of another type is ignored
	}
	return meta.ClusterUID
}

// beginCompare must be called before the Source is read, and compare after.
func (o *outbox) beginCompare() { o.putMeanwhile = map[key]bool{} }

// compare sets the confirmed state to the server's state of the region. It appends to the log the changes that are missing to reach the given state, and
// returns their number.
func (o *outbox) compare(server *regionState, nodes []flow.Node, rels []flow.Relationship, now time.Time) int {
	target := map[key]change{}
	for _, n := range nodes {
		target[key{node: n.ID}] = nodeChange(n, now)
	}
	for _, r := range rels {
		target[key{rel: r.Key()}] = change{key: key{rel: r.Key()}, json: r.JSON(), at: now}
	}
	for k, c := range target {
		if had, ok := server.values[k]; ok && had != c.json && sameJSON(had, c.json) {
			server.values[k] = c.json
		}
	}
	for k, h := range o.held {
		if _, put := o.putMeanwhile[k]; !put && (h.json != target[k].json || h.json == server.values[k]) {
			delete(o.held, k)
		}
	}
	o.skipKnown(server)
	o.confirmed, o.want = server, server.clone()
	o.log = slices.DeleteFunc(o.log, func(c change) bool { return !o.want.apply(c) })
	n := o.correct(target, now)
	o.compared, o.putMeanwhile = true, nil
	o.limit = len(o.log) + o.backlog
	return n
}

// correct appends to the log the changes that lead from want to the target, and returns their number. Elements that are held, or were put while the Source was
// read, keep their value in want: for the latter, the log is newer than the target.
func (o *outbox) correct(target map[key]change, now time.Time) int {
	skip := func(k key) bool {
		if _, ok := o.putMeanwhile[k]; ok || o.putMeanwhile[key{node: k.rel.FromID}] || o.putMeanwhile[key{node: k.rel.ToID}] {
			return true
		}
		h, ok := o.held[k]
		return ok && !h.tried && h.json == target[k].json
	}
	deletesNode := func(id string) bool {
		k := key{node: id}
		_, had := o.want.values[k]
		return had && target[k].deletes() && !skip(k)
	}
	var deletions, upserts []change
	for k, v := range o.want.values {
		pruned := k.node == "" && (deletesNode(k.rel.FromID) || deletesNode(k.rel.ToID))
		switch {
		case skip(k) && pruned:
			upserts = append(upserts, change{key: k, json: v, at: now}) // the deletion of a node removes this edge on the server, but the cluster still has it
		case target[k].deletes() && !pruned && !skip(k):
			deletions = append(deletions, change{key: k, at: now})
		}
	}
	before := len(o.log)
	o.fold(deletions)
	for k, c := range target {
		if o.want.values[k] != c.json && !skip(k) {
			upserts = append(upserts, c)
		}
	}
	o.fold(upserts)
	return len(o.log) - before
}

// fold puts changes of different keys into the log, sorted by messageOrder and then by key, and omits those without effect.
func (o *outbox) fold(changes []change) {
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(
			cmp.Compare(slices.Index(messageOrder[:], a.typ()), slices.Index(messageOrder[:], b.typ())),
			cmp.Compare(a.key.node, b.key.node), cmp.Compare(a.key.rel.FromID, b.key.rel.FromID),
			cmp.Compare(a.key.rel.ToID, b.key.rel.ToID), cmp.Compare(a.key.rel.Type, b.key.rel.Type))
	})
	for _, c := range changes {
		if o.want.apply(c) {
			o.log = append(o.log, c)
		}
	}
}

// sameJSON reports whether two JSON texts have the same value. Numbers are compared as text.
func sameJSON(a, b string) bool {
	read := func(s string) (v any) {
		d := json.NewDecoder(bytes.NewReader([]byte(s)))
		d.UseNumber()
		_ = d.Decode(&v) // both are valid
		return v
	}
	return reflect.DeepEqual(read(a), read(b))
}
