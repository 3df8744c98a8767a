package mapping

// write puts the judgement into a node's meta, and the facts that remembered restores in a later process.
func (f *facts) write(m map[string]any) {
	j := timeline(f.judge)
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
	if f.failure.exists() {
		failed := map[string]any{"reason": f.failure.reason}
		put(failed, "since", f.failure.since)
		put(failed, "message", clip(f.failure.message))
		put(failed, "generation", f.failure.generation)
		put(failed, "revision", f.failure.revision)
		m["failure"] = failed
	}
}

// remembered restores the facts that write put into the meta of a node. offset is the node's clock offset.
func remembered(m fields, offset int64) *facts {
	f := &facts{
		readyRevision: m.string("readyRevision"),
		readySince:    m.instant("readySince", offset), changedSince: m.instant("changedSince", offset), behindSince: m.instant("behindSince", offset),
	}
	f.readyGeneration, _ = m.int("readyGeneration")
	if failed := m.object("failure"); failed != nil {
		f.failure = failure{since: failed.instant("since", offset), reason: failed.string("reason"), message: failed.string("message"), revision: failed.string("revision")}
		f.failure.generation, _ = failed.int("generation")
	}
	return f
}

// putList sets a list, of maxShown entries at most, unless it is empty.
func putList(m map[string]any, name string, list []string) {
	if len(list) > 0 {
		m[name] = list[:min(len(list), maxShown)]
	}
}

// waits reports whether the object waits for dependencies.
func (f *facts) waits() bool {
	return f.ready.status == "False" && f.ready.reason == "DependencyNotReady" && f.stalled.status != "True" && !f.suspended && f.deletedAt.IsZero()
}

// needs returns the dependencies that it waits for; those in the message come first.
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
	if !f.waits() || !f.mayWaitForRoutine() {
		return nil
	}
	return f.deps
}

// healthOf returns the nodes whose health it waits for or that its failed health check names, and its controller if the controller is down and the object
// waits only for it.
func (f *facts) healthOf() []string {
	var ids []string
	if f.ready.status != "True" && f.deletedAt.IsZero() {
		ids = f.checks
	}
	if f.controllerID != "" && f.awaitsController() {
		ids = union([]string{f.controllerID}, ids)
	}
	return ids
}

// blamesSource reports whether its failure is caused by its source.
func (f *facts) blamesSource() bool {
	if f.ready.status == "True" || f.failure.reason != "SourceNotReady" && f.failure.reason != "ArtifactFailed" {
		return false
	}
	return !f.read(f.failure.reason, f.failure.message).ownFault()
}

// union returns the elements of both, in order and without duplicates.
func union[T comparable](a, b []T) []T {
	seen := map[T]bool{}
	var all []T
	for _, list := range [][]T{a, b} {
		for _, s := range list {
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	return all
}
