package mapping

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// family groups nodes: by the label of the platform, by the one that Kubernetes recommends, or by name.
func family(o object) string {
	for _, label := range []string{"catalyst.openova.io/family", "app.kubernetes.io/part-of"} {
		if f := o.labels.string(label); f != "" {
			return f
		}
	}
	return orElse(strings.TrimPrefix(o.name, "bp-"), o.name)
}

// release reads a HelmRelease (helm.toolkit.fluxcd.io/v2).
func (c Config) release(o object, past *entry) (*entry, error) {
	deps, unwatched, err := c.dependencies(o)
	if err != nil {
		return nil, err
	}
	ready := o.conditions["Ready"]
	f := commonFacts(o)
	f.deps = deps
	f.attempted, f.digest = o.status.string("lastAttemptedRevision"), o.status.string("lastAttemptedRevisionDigest")
	f.named = c.waitingFor(o, ready)
	f.routine = f.wasReady(past)
	shown := o
	if f.routine && ready.status == "Unknown" && past.ready.status == "True" && strings.HasPrefix(ready.message, "Fulfilling prerequisites") {
		ready = past.ready // its controller looks at it again and has done nothing
		shown.conditions = maps.Clone(o.conditions)
		shown.conditions["Ready"] = ready
	}
	e := &entry{
		key: o.key, id: c.ReleaseID(o.namespace, o.name), uid: o.uid, label: o.name, family: family(o), facts: f,
		status: releaseStatus(shown.conditions), deps: deps, applier: appliedBy(o), meta: commonMeta(o, ready),
	}
	e.remember(past, ready)
	e.run = past.run.next(releaseEvidence(shown, e.status))
	put(e.meta, "attempts", e.run.attempts)
	put(e.meta, "startedAtIsLowerBound", e.run.lowerBound)
	if len(f.named) > 0 {
		e.meta["waitingFor"] = f.named
	}
	if len(unwatched) > 0 {
		e.meta["dependsOnUnwatched"] = unwatched
	}
	c.releaseChart(o, e)
	c.releaseHistory(o, e)
	c.releaseFacts(o, e)
	return e, nil
}

// releaseFacts reads what a release is judged by: its limits, retries, target.
func (c Config) releaseFacts(o object, e *entry) {
	f := e.facts
	past := history(o)
	f.installed = slices.ContainsFunc(past, func(s snapshot) bool { return s.status == "deployed" })
	f.action = action(f.ready.message)
	if f.action == "" {
		f.action = action(f.reconciling.message)
	}
	if f.action == "" {
		f.action = orElse(o.status.string("lastAttemptedReleaseAction"), "install")
	}
	of := o.spec.object(f.action)
	f.limit = duration(of, "timeout", duration(o.spec, "timeout", 5*60_000))
	if d, ok := parseAfter(withTimeout, f.ready.message); ok {
		f.limit = d
	} else if d, ok := parseAfter(withTimeout, f.reconciling.message); ok {
		f.limit = d
	}
	f.retryInterval = longestBackoff
	if f.action == "install" || f.action == "upgrade" {
		f.tries = e.run.attempts
		if retries, ok := of.object("remediation").int("retries"); ok && retries >= 0 {
			f.most = retries + 1
		}
	}
	kubeConfig := o.spec.object("kubeConfig")
	f.remote = orElse(kubeConfig.object("secretRef").string("name"), kubeConfig.object("configMapRef").string("name"))
	put(e.meta, "targetCluster", f.remote)
	put(e.meta, "targetNamespace", o.spec.string("targetNamespace"))
	put(e.meta, "releaseName", o.spec.string("releaseName"))
	put(e.meta, "driftDetection", o.spec.object("driftDetection").string("mode"))
	if f.drifted.status == "True" {
		put(e.meta, "drift", words(f.drifted.message, 600))
	}
}

// releaseChart reads where the chart comes from: spec.chart.spec, or spec.chartRef.
func (c Config) releaseChart(o object, e *entry) {
	wanted := o.status.string("lastAttemptedRevision")
	if ref := o.spec.object("chartRef"); ref.string("name") != "" {
		from := key{ref.string("kind"), orElse(ref.string("namespace"), o.namespace), ref.string("name")}
		if from.kind == kindHelmChart {
			e.chartKey = from
		} else {
			e.source = from
		}
	} else if spec := o.spec.object("chart").object("spec"); spec != nil {
		e.chart = map[string]any{}
		put(e.chart, "name", spec.string("chart"))
		put(e.chart, "version", spec.string("version"))
		wanted = orElse(spec.string("version"), wanted)
		ref := spec.object("sourceRef")
		space := orElse(ref.string("namespace"), o.namespace)
		if ref.string("name") != "" {
			e.source = key{ref.string("kind"), space, ref.string("name")}
		}
		e.chartKey = key{kindHelmChart, space, o.namespace + "-" + o.name}
		switch part := strings.Split(o.status.string("helmChart"), "/"); {
		case o.spec.object("chart").string("kind") == kindOCIRepository: // helm-controller makes one for the release, and no HelmChart
			e.chartKey, e.source = key{}, key{kindOCIRepository, o.namespace, o.namespace + "-" + o.name}
			if len(part) == 3 {
				e.source = key{part[0], part[1], part[2]}
			}
		case len(part) == 2:
			e.chartKey = key{kindHelmChart, part[0], part[1]}
		}
	}
	put(e.meta, "versionWanted", wanted)
	put(e.meta, "revision", o.status.string("lastAttemptedRevision"))
}

// releaseHistory reads what was done: status.history, and the counters and the last action of status.
func (c Config) releaseHistory(o object, e *entry) {
	past := history(o)
	if len(past) > 0 {
		put(e.meta, "helmRevision", past[0].version)
	}
	for _, s := range past {
		if s.status == "deployed" {
			put(e.meta, "versionApplied", s.chartVersion)
			break
		}
	}
	put(e.meta, "action", o.status.string("lastAttemptedReleaseAction"))
	for _, counter := range []string{"failures", "installFailures", "upgradeFailures"} {
		n, _ := o.status.int(counter)
		put(e.meta, counter, n)
	}
}

// waits finds the dependencies that a DependencyNotReady names.
var waits = regexp.MustCompile(`dependency '([^']+)'|'([^']+)' dependency`)

// waitingFor are the node ids of the dependencies that the message names, of those that are watched.
func (c Config) waitingFor(o object, ready condition) []string {
	if ready.status != "False" || ready.reason != "DependencyNotReady" {
		return nil
	}
	var ids []string
	for _, m := range waits.FindAllStringSubmatch(clip(ready.message), -1) {
		space, name, ok := strings.Cut(m[1]+m[2], "/")
		if !ok {
			space, name = o.namespace, space
		}
		if c.Watches(space) {
			ids = append(ids, c.id(key{o.kind, space, name}))
		}
	}
	return ids
}
