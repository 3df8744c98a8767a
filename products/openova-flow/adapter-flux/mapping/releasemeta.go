package mapping

import (
	"regexp"
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
	deps, err := dependencies(o, c.ReleaseID)
	if err != nil {
		return nil, err
	}
	ready := o.conditions["Ready"]
	e := &entry{
		id: c.ReleaseID(o.namespace, o.name), uid: o.uid, label: o.name, family: family(o),
		status: releaseStatus(o.conditions), deps: deps, meta: commonMeta(o, ready),
	}
	e.remember(past, ready)
	e.run = past.run.next(releaseEvidence(o, e.status))
	put(e.meta, "attempts", e.run.attempts)
	put(e.meta, "startedAtIsLowerBound", e.run.lowerBound)
	put(e.meta, "appliedBy", c.appliedBy(o, e.id))
	if ids := waitingFor(o, ready, c.ReleaseID); len(ids) > 0 {
		e.meta["waitingFor"] = ids
	}
	c.releaseChart(o, e)
	c.releaseHistory(o, e)
	return e, nil
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
		if space, name, ok := strings.Cut(o.status.string("helmChart"), "/"); ok {
			e.chartKey = key{kindHelmChart, space, name}
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

func waitingFor(o object, ready condition, id func(namespace, name string) string) []string {
	if ready.status != "False" || ready.reason != "DependencyNotReady" {
		return nil
	}
	var ids []string
	for _, m := range waits.FindAllStringSubmatch(clip(ready.message), -1) {
		space, name, ok := strings.Cut(m[1]+m[2], "/")
		if !ok {
			space, name = o.namespace, space
		}
		ids = append(ids, id(space, name))
	}
	return ids
}
