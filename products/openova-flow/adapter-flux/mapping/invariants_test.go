package mapping_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// shown has the fields of an object, read without the mapping.
type shown struct {
	kind, id           string
	ready, stalled     map[string]any
	generation         any
	revision, deployed string
	applies            bool // a new revision is being applied
}

func (r *replay) shows(ev mapping.Event) shown {
	u := ev.Object
	s := shown{kind: u.GetKind(), generation: fmt.Sprint(u.GetGeneration())}
	status, _ := u.Object["status"].(map[string]any)
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		switch m := c.(map[string]any); m["type"] {
		case "Ready":
			s.ready = m
		case "Stalled":
			s.stalled = m
		}
	}
	config := mapping.Config{FlowID: "bootstrap", Region: r.region}
	attempted, _ := status["lastAttemptedRevision"].(string)
	switch s.kind {
	case "HelmRelease":
		s.id, s.revision = config.ReleaseID(u.GetNamespace(), u.GetName()), attempted
		if history, _ := status["history"].([]any); len(history) > 0 {
			newest := history[0].(map[string]any)
			s.deployed = fmt.Sprint(newest["version"], newest["lastDeployed"])
		}
	case "Kustomization":
		s.id = config.KustomizationID(u.GetNamespace(), u.GetName())
		s.revision, _ = status["lastAppliedRevision"].(string)
		s.applies = attempted != s.revision
	case "HelmChart":
	default:
		s.id = r.region + "/" + s.kind + "/" + u.GetNamespace() + "/" + u.GetName()
	}
	return s
}

func (s shown) is(status string) bool { return s.ready != nil && s.ready["status"] == status }

// fails reports whether the conditions show a failure. A wait, a running attempt and a cancelled check are none.
func (s shown) fails() bool {
	if s.stalled != nil && s.stalled["status"] == "True" && !s.is("True") {
		return true
	}
	switch {
	case !s.is("False"), s.ready["reason"] == "DependencyNotReady", s.ready["reason"] == "Progressing", s.ready["reason"] == "HealthCheckCanceled":
		return false
	}
	return true
}

// TestJudgement_BrokenOnlyAfterAFailure: a node is broken only after its conditions have shown a failure, or with a class for slow work.
func TestJudgement_BrokenOnlyAfterAFailure(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			r, failed := newReplay(t, rec.region), map[string]bool{}
			for _, ev := range events(t, rec.file) {
				r.apply(ev)
				s := r.shows(ev)
				switch {
				case ev.Type == mapping.Deleted, s.is("True"), s.is("False") && s.ready["reason"] == "DependencyNotReady" && !s.fails():
					delete(failed, s.id)
				case s.fails():
					failed[s.id] = true
				}
				nodes, _ := r.cluster.State()
				for _, n := range nodes {
					if n.ID == rec.region || failed[n.ID] {
						continue
					}
					j := segmentAt(t, n, ev.At.Ms())
					class := j["cause"].(map[string]any)["class"]
					if j["state"] == "broken" && class != "overdue" && class != "not-picked-up" {
						t.Fatalf("at %s %s is broken (%s) and had not failed: %s", clock(ev.At), n.ID, class, n.JSON())
					}
				}
			}
		})
	}
}

// TestJudgement_WaitingHasAReason: a waiting node names the nodes that it waits for, or waits for its controller. Each judgement has a cause.
func TestJudgement_WaitingHasAReason(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			for id, versions := range play(t, rec.file, rec.region).nodes {
				if id == rec.region {
					continue
				}
				for _, n := range versions {
					all := judgements(t, n)
					for _, j := range all {
						cause, _ := j["cause"].(map[string]any)
						if cause["class"] == nil || cause["sentence"] == nil || j["state"] == nil {
							t.Fatalf("%s has no cause: %s", id, n.JSON())
						}
						if needs, _ := all[0]["needs"].([]any); j["state"] == "waiting" && len(needs) == 0 && cause["class"] != "old-revision" && cause["class"] != "not-observed" {
							t.Fatalf("%s waits for nothing: %s", id, n.JSON())
						}
					}
				}
			}
		})
	}
}

// TestRun_RoutineReconciliationChangesNoRun: only work of the controller starts and ends a run. While an object is ready, or reconciled without an action, at
// the same generation, revision and newest entry of Helm's history, its status is succeeded and its start does not change.
func TestRun_RoutineReconciliationChangesNoRun(t *testing.T) {
	for _, rec := range recordings {
		t.Run(rec.file, func(t *testing.T) {
			r, checked := newReplay(t, rec.region), 0
			type run struct {
				shown
				start flow.Time
			}
			ready := map[string]run{}
			for _, ev := range events(t, rec.file) {
				r.apply(ev)
				s := r.shows(ev)
				if s.kind != "HelmRelease" && s.kind != "Kustomization" || ev.Type == mapping.Deleted {
					delete(ready, s.id)
					continue
				}
				versions := r.nodes[s.id]
				n := versions[len(versions)-1]
				before, known := ready[s.id]
				same := known && before.generation == s.generation && before.revision == s.revision && before.deployed == s.deployed
				acts := s.applies || strings.HasPrefix(fmt.Sprint(s.ready["message"]), "Running '") || s.ready["message"] == "correcting cluster drift"
				switch {
				case same && (s.is("True") || s.is("Unknown") && !acts):
					if n.Status != "succeeded" || n.StartedAt != before.start {
						t.Fatalf("at %s a reconciliation of %s, which started at %s, results in %s", clock(ev.At), s.id, clock(before.start), n.JSON())
					}
					checked++
				case s.is("True"):
					ready[s.id] = run{s, n.StartedAt}
				default:
					delete(ready, s.id)
				}
			}
			if checked == 0 {
				t.Error("no reconciliation was checked")
			}
		})
	}
}
