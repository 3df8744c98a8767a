package mapping_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// never means an absent time in seconds.
const never = -1

// span is a run in seconds since the recording began.
type span struct{ start, end int }

func (r *replay) second(at flow.Time) int {
	if at.IsZero() {
		return never
	}
	return int((at.Ms() - r.t0) / 1000)
}

// runs returns the runs of a node, each with the last end that it has had.
func (r *replay) runs(name string) []span {
	var all []span
	for _, n := range r.nodes[r.region+"/"+name] {
		s := span{r.second(n.StartedAt), r.second(n.EndedAt)}
		if s.start == never {
			continue
		}
		if len(all) == 0 || all[len(all)-1].start != s.start {
			all = append(all, s)
		} else if s.end != never {
			all[len(all)-1].end = s.end
		}
	}
	return all
}

func (r *replay) statuses(name string) []string {
	var all []string
	for _, n := range r.nodes[r.region+"/"+name] {
		if len(all) == 0 || all[len(all)-1] != n.Status {
			all = append(all, n.Status)
		}
	}
	return all
}

func TestRecordings_HaveTheDescribedRuns(t *testing.T) {
	replays := map[string]*replay{}
	for _, rec := range recordings {
		replays[rec.region] = play(t, rec.file, rec.region)
	}
	for _, c := range []struct {
		region, name string
		runs         []span
	}{
		{"fsn1", "bp-cilium", []span{{2, 13}}},
		{"fsn1", "bp-seaweedfs", []span{{91, 162}, {172, 178}}},               // two attempts, then the repair
		{"fsn1", "bp-keycloak", []span{{39, 54}, {218, 295}, {310, 320}}},     // install, two rolled back upgrades, the repair
		{"fsn1", "bp-gitea", []span{{69, 89}}},                                // waiting again while keycloak was down
		{"fsn1", "bp-grafana", []span{{201, 206}, {212, 217}}},                // an upgrade, then waiting again
		{"fsn1", "bp-loki", []span{{181, 201}}},                               // waited for seaweedfs
		{"hel1", "bp-powerdns", []span{{43, 120}, {212, 242}}},                // four attempts
		{"hel1", "bp-external-dns", []span{{245, 261}}},                       // waited for powerdns
		{"hel1", "bp-loki", []span{{176, 181}}},                               // suspended before it ever ran
		{"hel1", "bp-valkey", []span{{79, 104}}},                              // deleted at 200; a deletion is not a run
		{"scenarios", "demo2/good", []span{{2, 3}, {47, 48}}},                 // install, upgrade
		{"scenarios", "demo2/drift", []span{{15, 15}, {60, 61}}},              // the correction of a drift is work
		{"scenarios", "demo2/to-suspend", []span{{5, 5}}},                     // suspended and resumed
		{"scenarios", "demo2/upfail", []span{{5, 5}, {46, 59}, {108, 108}}},   // the repair found nothing to do
		{"scenarios", "demo2/upfail-stay", []span{{5, 5}, {47, 48}}},          // failed, and deleted while failed
		{"scenarios", "demo2/retry-strategy", []span{{4, 19}}},                // retried by an upgrade
		{"scenarios", "demo2/test-hook", []span{{6, 21}}},                     // installed, its test failed
		{"scenarios", "demo2/slow-timeout", []span{{4, 45}}},                  // two attempts
		{"scenarios", "demo2/slowbase", []span{{3, 28}, {73, 85}, {99, 111}}}, // the second and third begin with an uninstall
		{"scenarios", "demo2/dependent", []span{{86, 86}}},
		{"scenarios", "demo2/tplfail", []span{{3, 63}, {74, 74}}},
		{"scenarios", "demo2/nochart", nil},
		{"scenarios", "demo2/dep-missing", nil},
		{"scenarios", "demo2/suspended", nil},
	} {
		if got := replays[c.region].runs(c.name); !slices.Equal(got, c.runs) {
			t.Errorf("%s/%s ran %v, want %v", c.region, c.name, got, c.runs)
		}
	}
}

func TestRecordings_HaveTheExpectedStatuses(t *testing.T) {
	replays := map[string]*replay{}
	for _, rec := range recordings {
		replays[rec.region] = play(t, rec.file, rec.region)
	}
	for _, c := range []struct {
		region, name string
		want         []string
	}{
		{"fsn1", "bp-cilium", []string{"pending", "running", "succeeded"}},
		{"fsn1", "bp-seaweedfs", []string{"pending", "running", "failed", "running", "failed", "running", "succeeded"}},
		{"fsn1", "bp-keycloak", []string{"pending", "running", "succeeded", "running", "failed", "running", "failed", "running", "succeeded"}},
		{"fsn1", "bp-gitea", []string{"pending", "running", "succeeded", "running", "succeeded"}},
		{"hel1", "bp-loki", []string{"pending", "running", "succeeded"}},
		{"scenarios", "demo2/suspended", []string{"pending"}},
	} {
		if got := replays[c.region].statuses(c.name); !slices.Equal(got, c.want) {
			t.Errorf("%s/%s was %v, want %v", c.region, c.name, got, c.want)
		}
	}
}

// TestRecordings_TimesAreConsistentAtEveryMoment checks the times in every version of every node against the time of its event.
func TestRecordings_TimesAreConsistentAtEveryMoment(t *testing.T) {
	const slack = 2000      // times in Flux are whole seconds, and an event follows a moment later
	const uninstall = 10000 // slowbase shows only after its uninstall that a run has started
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			before := map[string]flow.Node{}
			r := play(t, rec.file, rec.region)
			for _, s := range r.sent {
				for _, id := range s.message.IDs {
					delete(before, id) // a later node with this id is of another object
				}
				for _, n := range s.message.Nodes {
					if n.ID == rec.region {
						continue
					}
					past, m := before[n.ID], meta(t, n)
					final := n.Status == "succeeded" || n.Status == "failed"
					if final == n.EndedAt.IsZero() {
						t.Errorf("%s is %s with endedAt %s", n.ID, n.Status, clock(n.EndedAt))
					}
					if begun := past.ID == "" && n.StartedAt.Ms() < r.t0; !begun && n.StartedAt != past.StartedAt && s.at-n.StartedAt.Ms() > slack+uninstall {
						t.Errorf("%s has startedAt %s at %s", n.ID, clock(n.StartedAt), clock(flow.At(s.at)))
					}
					if n.StartedAt.Ms() > s.at || n.EndedAt.Ms() > s.at {
						t.Errorf("%s runs from %s to %s, at %s", n.ID, clock(n.StartedAt), clock(n.EndedAt), clock(flow.At(s.at)))
					}
					if final && past.Status == "running" && past.EndedAt.IsZero() && n.StartedAt != past.StartedAt && s.at-n.EndedAt.Ms() > slack {
						t.Errorf("%s has endedAt %s at %s", n.ID, clock(n.EndedAt), clock(flow.At(s.at)))
					}
					if past.StartedAt.IsZero() && m["waitingFor"] != nil && !n.StartedAt.IsZero() {
						t.Errorf("%s only waits, but has startedAt %s", n.ID, clock(n.StartedAt))
					}
					namesNone := strings.Contains(fmt.Sprint(m["message"]), "failed to evaluate the CEL expression")
					if (m["reason"] == "DependencyNotReady") != (m["waitingSince"] != nil) || (m["waitingSince"] != nil && !namesNone) != (m["waitingFor"] != nil) {
						t.Errorf("%s waits for %v since %v, with reason %v", n.ID, m["waitingFor"], m["waitingSince"], m["reason"])
					}
					before[n.ID] = n
				}
			}
		})
	}
}

// TestRegion_SpansItsMembers: a region has the earliest start of its members and, once all have succeeded, the latest end.
func TestRegion_SpansItsMembers(t *testing.T) {
	for _, c := range []struct {
		file, region string
		want         span
	}{{"kit-fsn1", "fsn1", span{2, 320}}, {"kit-hel1", "hel1", span{2, 261}}, {"scenarios", "scenarios", span{3, never}}} {
		r := play(t, c.file, c.region)
		all := r.nodes[c.region]
		n := all[len(all)-1]
		if got := (span{r.second(n.StartedAt), r.second(n.EndedAt)}); got != c.want {
			t.Errorf("%s runs %v, want %v", c.region, got, c.want)
		}
	}
}

func TestRun_AnotherUIDHasNoEarlierRun(t *testing.T) {
	w := newWorld(t)
	w.put(release(t, "bp-a", cond{"Ready", "True", "InstallSucceeded", "", 20, 1}, cond{"Reconciling", "True", "Progressing", "", 10, 1}))
	w.put(dependingOn(t, "bp-b", "bp-a"))
	again := set(release(t, "bp-a"), "uid-2", "metadata", "uid")
	changes := w.put(again)
	if len(changes) == 0 || changes[0].DeleteNode != "fsn1/bp-a" {
		t.Errorf("the first change is not the deletion of the former node: %+v", changes)
	}
	n := w.must("fsn1/bp-a")
	wantTimes(t, n, flow.Time{}, flow.Time{})
	wantMeta(t, n, map[string]any{"uid": "uid-2", "reason": nil})
	want := []string{"fsn1/bp-a contains fsn1", "fsn1/bp-a finish-to-start fsn1/bp-b", "fsn1/bp-b contains fsn1"}
	if got := w.edges(); !slices.Equal(got, want) {
		t.Errorf("edges are %q, want %q", got, want)
	}
	seeded := newWorld(t)
	seeded.Seed([]flow.Node{{ID: "fsn1/bp-a", Status: "succeeded", StartedAt: ms(1), EndedAt: ms(2), Meta: flow.Object(`{"uid":"uid-1"}`)}})
	seeded.put(again)
	wantTimes(t, seeded.must("fsn1/bp-a"), flow.Time{}, flow.Time{})
}

// TestRun_AnHourOfReconcilingIsNoChange reconciles a ready release and a ready Kustomization every minute for an hour. Only the judgement may change
// meanwhile.
func TestRun_AnHourOfReconcilingIsNoChange(t *testing.T) {
	w := newWorld(t)
	r := release(t, "bp-a", cond{"Ready", "True", "InstallSucceeded", "done", 20, 1})
	k := object(t, `{"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization",
		"metadata":{"name":"apps","namespace":"flux-system","uid":"k","generation":1},"spec":{"path":"./apps"},
		"status":{"observedGeneration":1,"lastAppliedRevision":"main@sha1:1","lastAttemptedRevision":"main@sha1:1"}}`)
	set(k, conditionList(cond{"Ready", "True", "ReconciliationSucceeded", "Applied revision: main@sha1:1", 30, 1}), "status", "conditions")
	w.put(r)
	w.put(k)
	before := w.must("fsn1/Kustomization/flux-system/apps")
	for minute := range 60 {
		at := 60 * (minute + 1)
		for _, rec := range []struct {
			u     string
			conds []cond
		}{
			{"r", []cond{{"Reconciling", "True", "Progressing", "", at, 1}, {"Ready", "True", "InstallSucceeded", "done", 20, 1}}},
			{"r", []cond{{"Ready", "True", "InstallSucceeded", "done", 20, 1}}},
			{"k", []cond{{"Reconciling", "True", "Progressing", "Building manifests", at, 1}, {"Ready", "Unknown", "Progressing", "Reconciliation in progress", at, 1}}},
			{"k", []cond{{"Ready", "True", "ReconciliationSucceeded", "Applied revision: main@sha1:1", at, 1}}},
		} {
			u := map[string]*mapping.Event{"r": {Object: r}, "k": {Object: k}}[rec.u].Object
			set(u, conditionList(rec.conds...), "status", "conditions")
			set(u, at, "metadata", "resourceVersion")
			for _, c := range w.put(u) { // during a reconciliation, the judgement has the time until which it may last
				if rec.u == "r" || c.Node == nil || c.Node.Status != "succeeded" || c.Node.EndedAt != ms(30) || meta(t, *c.Node)["judgement"].(map[string]any)["state"] != "ready" {
					t.Fatalf("minute %d changes %s", minute+1, c.Node.JSON())
				}
			}
		}
		if now := w.must("fsn1/Kustomization/flux-system/apps"); minute > 0 && now.Meta != before.Meta {
			t.Fatalf("after minute %d the meta is %s, before it was %s", minute+1, now.Meta, before.Meta)
		}
		before = w.must("fsn1/Kustomization/flux-system/apps")
	}
	wantTimes(t, w.must("fsn1/Kustomization/flux-system/apps"), flow.Time{}, ms(30))
}
