package mapping

import "github.com/openova-io/openova/products/openova-flow/server/flow"

// write puts the judgement into a node's meta, with what a later process needs to go on from it.
func (f *facts) write(m map[string]any) {
	j := course(f.judge)
	putList(j, "needs", f.needs())
	putList(j, "named", f.namedNeeds())
	putList(j, "readyWhile", f.readyWhile())
	putList(j, "checks", f.healthOf())
	if f.sourceID != "" {
		j["source"] = f.sourceID
	}
	put(j, "blamesSource", f.blamesSource())
	m["judgement"] = j
	put(m, "readyGeneration", f.readyGeneration)
	put(m, "readyRevision", f.readyRevision)
	put(m, "readySince", f.readySince)
	put(m, "changedSince", f.changedSince)
	put(m, "behindSince", f.behindSince)
	if f.failure.is() {
		failed := map[string]any{"reason": f.failure.reason}
		put(failed, "since", f.failure.since)
		put(failed, "message", clip(f.failure.message))
		put(failed, "generation", f.failure.generation)
		put(failed, "revision", f.failure.revision)
		m["failure"] = failed
	}
}

// remembered reads back what write wrote for a later process.
func remembered(m fields) *facts {
	at := func(f fields, name string) flow.Time {
		if ms, ok := f.int(name); ok {
			return flow.At(ms)
		}
		return flow.Time{}
	}
	f := &facts{readyRevision: m.string("readyRevision"), readySince: at(m, "readySince"), changedSince: at(m, "changedSince"), behindSince: at(m, "behindSince")}
	f.readyGeneration, _ = m.int("readyGeneration")
	if failed := m.object("failure"); failed != nil {
		f.failure = failure{since: at(failed, "since"), reason: failed.string("reason"), message: failed.string("message"), revision: failed.string("revision")}
		f.failure.generation, _ = failed.int("generation")
	}
	return f
}

func putList(m map[string]any, name string, ids []string) {
	if len(ids) > 0 {
		m[name] = ids[:min(len(ids), maxShown)]
	}
}

// waits reports whether the object waits for dependencies.
func (f *facts) waits() bool {
	return f.ready.status == "False" && f.ready.reason == "DependencyNotReady" && f.stalled.status != "True" && !f.suspended && f.deletedAt.IsZero()
}

// needs are the dependencies that it waits for, first those that the message names.
func (f *facts) needs() []string {
	if !f.waits() {
		return nil
	}
	return union(f.named, f.deps)
}

func (f *facts) namedNeeds() []string {
	if !f.waits() {
		return nil
	}
	return f.named
}

func (f *facts) readyWhile() []string {
	if !f.waits() || !f.plainlyWaits() {
		return nil
	}
	return f.deps
}

// healthOf are the nodes whose health it waits for, or that its failed health check names.
func (f *facts) healthOf() []string {
	if f.ready.status == "True" || !f.deletedAt.IsZero() {
		return nil
	}
	return f.checks
}

// blamesSource reports whether what is wrong with it, it says, is its source.
func (f *facts) blamesSource() bool {
	switch {
	case f.ready.status == "True", f.failure.reason != "SourceNotReady" && f.failure.reason != "ArtifactFailed":
		return false
	}
	return !f.read(f.failure.reason, f.failure.message).ownFault()
}

// union lists the members of both, each once, in order.
func union(a, b []string) []string {
	seen := map[string]bool{}
	var all []string
	for _, list := range [][]string{a, b} {
		for _, s := range list {
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	return all
}
