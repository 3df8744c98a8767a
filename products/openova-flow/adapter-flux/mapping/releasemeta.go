package mapping

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// family returns the group of a node: the platform's label, else the label that Kubernetes recommends, else the name without
// the prefix bp-.
func family(o object) string {
	for _, label := range []string{"catalyst.openova.io/family", "app.kubernetes.io/part-of"} {
		if f := o.labels.string(label); f != "" {
			return f
		}
	}
	return cmp.Or(strings.TrimPrefix(o.name, "bp-"), o.name)
}

// release reads a HelmRelease (helm.toolkit.fluxcd.io/v2).
func (c Config) release(o object, past *entry) (*entry, error) {
	e, err := c.dependent(o)
	if err != nil {
		return nil, err
	}
	ready, f := o.conditions["Ready"], e.facts
	f.attempted, f.digest = o.status.string("lastAttemptedRevision"), o.status.string("lastAttemptedRevisionDigest")
	f.routine = f.wasReady(past)
	shown := o
	if f.routine && ready.status == "Unknown" && past.ready.status == "True" && strings.HasPrefix(ready.message, "Fulfilling prerequisites") {
		ready = past.ready // a routine reconciliation
		shown.conditions = maps.Clone(o.conditions)
		shown.conditions["Ready"] = ready
	}
	e.status = releaseStatus(shown.conditions)
	e.remember(past, ready)
	e.run = past.run.next(releaseEvidence(shown, e.status))
	e.describe(o, ready)
	put(e.meta, "attempts", e.run.attempts)
	c.releaseChart(o, e)
	c.releaseHistory(o, e)
	c.releaseFacts(o, e)
	return e, nil
}

func (c Config) releaseFacts(o object, e *entry) {
	f := e.facts
	past := history(o)
	f.installed = slices.ContainsFunc(past, func(s historyEntry) bool { return s.status == "deployed" })
	f.action = action(f.ready.message)
	if f.action == "" {
		f.action = action(f.reconciling.message)
	}
	if f.action == "" {
		f.action = cmp.Or(o.status.string("lastAttemptedReleaseAction"), "install")
	}
	actionSpec := o.spec.object(f.action)
	f.limit = duration(actionSpec, "timeout", duration(o.spec, "timeout", 5*60_000))
	if d, ok := parseAfter(withTimeout, f.ready.message); ok {
		f.limit = d
	} else if d, ok := parseAfter(withTimeout, f.reconciling.message); ok {
		f.limit = d
	}
	f.retryInterval = longestBackoff
	if f.action == "install" || f.action == "upgrade" {
		f.tries = e.run.attempts
		if retries, ok := actionSpec.object("remediation").int("retries"); ok && retries >= 0 {
			f.maxTries = retries + 1
		}
	}
	put(e.meta, "releaseName", o.spec.string("releaseName"))
	put(e.meta, "driftDetection", o.spec.object("driftDetection").string("mode"))
	if f.drifted.status == "True" {
		put(e.meta, "drift", oneLine(f.drifted.message, 600))
	}
}

// releaseChart reads the reference to the chart, and its wanted and attempted versions.
func (c Config) releaseChart(o object, e *entry) {
	wanted := o.status.string("lastAttemptedRevision")
	if ref := o.spec.object("chartRef"); ref.string("name") != "" {
		from := o.reference(map[string]any(ref))
		if from.kind == kindHelmChart {
			e.chartKey = from
		} else {
			e.source = from
		}
	} else if spec := o.spec.object("chart").object("spec"); spec != nil {
		e.chart = map[string]any{}
		put(e.chart, "name", spec.string("chart"))
		put(e.chart, "version", spec.string("version"))
		wanted = cmp.Or(spec.string("version"), wanted)
		ref := spec.object("sourceRef")
		namespace := cmp.Or(ref.string("namespace"), o.namespace)
		if ref.string("name") != "" {
			e.source = key{ref.string("kind"), namespace, ref.string("name")}
		}
		e.chartKey = key{kindHelmChart, namespace, o.namespace + "-" + o.name}
		switch part := strings.Split(o.status.string("helmChart"), "/"); {
		case o.spec.object("chart").string("kind") == kindOCIRepository: // helm-controller creates an OCIRepository for the release instead of a HelmChart
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

// releaseHistory reads the Helm versions, the last action and the counters of failures.
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
