package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/gate"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
	"github.com/openova-io/openova/test/e2e/plane"
)

// maxDelay is the longest allowed delay of an answer after the last write of an object.
const maxDelay = 2 * time.Second

// writeInterval is the time between two writes of a controller. It is longer than the interval in which an adapter collects changes.
const writeInterval = 250 * time.Millisecond

func commitOf(digit string) string { return strings.Repeat(digit, 40) }

// written returns a commit in Flux's format for revisions.
func written(digit string) string { return "main@sha1:" + commitOf(digit) }

// waiting is a running gate.
type waiting struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}

	// These are set once done is closed.
	result string
	at     time.Time // of the answer
	line   string
}

// wait starts a gate for a revision in all regions, without a repository.
func (s *stage) wait(name, revision string) *waiting {
	ctx, cancel := context.WithCancel(s.ctx)
	w := &waiting{name: name, cancel: cancel, done: make(chan struct{})}
	f := gate.Follower{URL: "http://" + s.addr, Flow: flowID, Settle: time.Second, Poll: 100 * time.Millisecond}
	go func() {
		defer close(w.done)
		answer, err := f.Follow(ctx, gate.New(gate.Ask{Revision: revision}))
		if w.at = time.Now(); answer != nil {
			w.result, w.line = answer.Result, answer.Line()
		}
		if err != nil {
			w.result = insight.Pending
		}
	}()
	s.t.Cleanup(func() { cancel(); <-w.done })
	return w
}

// checkAnswers checks that gates answer with result, not earlier than before, and at most maxDelay later than after.
func (s *stage) checkAnswers(result string, before, after time.Time, gates ...*waiting) {
	s.t.Helper()
	for _, w := range gates {
		select {
		case <-w.done:
		case <-time.After(soon):
			s.t.Errorf("%s does not answer", w.name)
			continue
		}
		if w.result != result || w.at.Before(before) || w.at.Sub(after) > maxDelay {
			s.t.Errorf("%s: %s %v after the write, want %s: %s", w.name, w.result, w.at.Sub(after), result, w.line)
		}
	}
}

func (s *stage) checkWaiting(gates ...*waiting) {
	s.t.Helper()
	for _, w := range gates {
		select {
		case <-w.done:
			s.t.Errorf("%s has answered %s: %s", w.name, w.result, w.line)
		default:
		}
	}
}

func (s *stage) revision(name string) (revision.Revision, map[string]revision.Region) {
	s.t.Helper()
	body, err := get("http://" + s.addr + "/v1/flows/" + flowID + "/revisions?revision=" + name)
	s.must(err)
	var answer hub.Revisions
	s.must(json.Unmarshal([]byte(body), &answer))
	if len(answer.Revisions) != 1 {
		return revision.Revision{}, nil
	}
	regions := make(map[string]revision.Region)
	for _, g := range answer.Revisions[0].Regions {
		regions[g.Region] = g
	}
	return answer.Revisions[0], regions
}

// waitRevision waits until a revision has the wanted progress in each region that has it, such as "fsn1 done 1/1 2": its state, that 1 of 1 Kustomization has
// applied it, and that 2 releases have changed.
func (s *stage) waitRevision(name string, want ...string) {
	s.t.Helper()
	s.must(plane.Wait(s.ctx, maxDelay, func() error {
		var got []string
		_, regions := s.revision(name)
		for _, region := range []string{"fsn1", "hel1"} {
			if g, ok := regions[region]; ok {
				state := string(g.State)
				if g.Was != "" {
					state += "/" + string(g.Was)
				}
				got = append(got, fmt.Sprintf("%s %s %d/%d %d", region, state, g.Applied, g.Of, g.Changed))
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("revision %.7s is %q, want %q", name, got, want)
		}
		return nil
	}))
}

// newFlux makes first the applied revision of both regions, and starts their adapters.
func newFlux(s *stage, kind, url, first string) (fsn1, hel1 *flux) {
	s.t.Helper()
	var all []*flux
	for _, r := range s.both() {
		f := &flux{region: r, kind: kind, url: url}
		f.settle(first)
		r.startAdapter().ready()
		all = append(all, f)
	}
	s.converge()
	return all[0], all[1]
}

func (s *stage) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// start rolls out a fetched revision in regions, until the Kustomization has applied it and the upgrade of the changed release has begun.
func (s *stage) start(revision string, regions ...*flux) {
	s.t.Helper()
	for _, do := range []func(*flux){func(f *flux) { f.try(revision) }, func(f *flux) { f.change(revision) }, (*flux).apply, (*flux).upgrade} {
		for _, f := range regions {
			do(f)
		}
		s.pause(writeInterval)
	}
}

// TestGates_AnswerForEachCommit pushes commits one after another to two regions that follow the same repository. Gates start before, during and after each push.
func TestGates_AnswerForEachCommit(t *testing.T) {
	scenario(t, "revisions and gates: superseded, failed and repaired commits, a failing source, a suspended Kustomization", func(t *testing.T) string {
		s := newStage(t)
		fsn1, hel1 := newFlux(s, "GitRepository", "ssh://git@github.com/o/fleet.git", written("0"))
		both := []*flux{fsn1, hel1}
		s.waitRevision(commitOf("0"), "fsn1 done 1/1 0", "hel1 done 1/1 0")
		page := s.openRevisions()
		page.shows("00000000 | done in T | done in T")
		early := map[string]*waiting{}
		for _, c := range []string{"a", "b", "c", "d", "e"} {
			early[c] = s.wait(c+" before", commitOf(c)[:12])
		}
		s.pause(20 * time.Second)
		for _, w := range early {
			s.checkWaiting(w)
		}

		// a is done in fsn1, and superseded by b in hel1.
		for _, f := range both {
			f.fetch(written("a"), "")
		}
		during := s.wait("a during", written("a"))
		s.waitRevision(commitOf("a"), "fsn1 fetched 0/1 0", "hel1 fetched 0/1 0")
		page.shows("aaaaaaaa | fetched | fetched", "00000000 → aaaaaaaa | done in T | done in T")
		s.start(written("a"), fsn1)
		fsn1.upgraded()
		s.waitRevision(commitOf("a"), "fsn1 done 1/1 1", "hel1 fetched 0/1 0")
		hel1.try(written("a"))
		s.waitRevision(commitOf("a"), "fsn1 done 1/1 1", "hel1 applying 0/1 0")
		page.shows("aaaaaaaa | done in T | applying 0 of 1")
		s.checkWaiting(early["a"], during)
		for _, f := range both {
			f.fetch(written("b"), "")
		}
		duringB := s.wait("b during", commitOf("b"))
		s.waitRevision(commitOf("a"), "fsn1 done 1/1 1", "hel1 overtaken/applying 0/1 0")
		afterA := s.wait("a after", commitOf("a"))
		page.shows("bbbbbbbb | fetched | fetched", "aaaaaaaa → bbbbbbbb | done in T | overtaken by bbbbbbbb")
		s.start(written("b"), both...)
		s.waitRevision(commitOf("b"), "fsn1 rolling-out 1/1 1", "hel1 rolling-out 1/1 1")
		page.shows("bbbbbbbb | rolling out 0 of 1 | rolling out 0 of 1", "aaaaaaaa → bbbbbbbb | done in T | overtaken by bbbbbbbb")
		s.pause(1500 * time.Millisecond)
		s.checkWaiting(early["a"], during, early["b"], duringB)
		fsn1.upgraded()
		before := time.Now()
		hel1.upgraded()
		after := time.Now()
		s.waitRevision(commitOf("b"), "fsn1 done 1/1 1", "hel1 done 1/1 1")
		s.checkAnswers(insight.Passed, before, after, early["a"], during, early["b"], duringB)
		began := time.Now()
		s.checkAnswers(insight.Passed, began, began, s.wait("b after", commitOf("b")))
		s.checkWaiting(afterA) // no object has commit a, or shows that b superseded it
		afterA.cancel()
		page.shows("bbbbbbbb | done in T | done in T", "aaaaaaaa → bbbbbbbb | done in T | overtaken by bbbbbbbb")
		a, _ := s.revision(commitOf("a"))
		b, _ := s.revision(commitOf("b"))
		if a.SupersededBy != b.ID || b.SupersededBy != "" || b.CommitURL != "https://github.com/o/fleet/commit/"+commitOf("b") || len(b.Rollouts) == 0 {
			t.Errorf("a is superseded by %q, b is %+v", a.SupersededBy, b)
		}

		// c fails in hel1, and d repairs it.
		for _, f := range both {
			f.fetch(written("c"), "")
		}
		during = s.wait("c during", commitOf("c"))
		s.start(written("c"), both...)
		fsn1.upgraded()
		s.checkWaiting(early["c"], during)
		before = time.Now()
		hel1.giveUp()
		after = time.Now()
		s.waitRevision(commitOf("c"), "fsn1 done 1/1 1", "hel1 failed 1/1 1")
		s.checkAnswers(insight.Failed, before, after, early["c"], during)
		began = time.Now()
		s.checkAnswers(insight.Failed, began, began, s.wait("c after", commitOf("c")))
		if _, regions := s.revision(commitOf("c")); !slices.Equal(regions["hel1"].RootCauses, []string{"hel1/web"}) {
			t.Errorf("root causes of c are %q", regions["hel1"].RootCauses)
		}
		page.shows("cccccccc | done in T | failed: web", "bbbbbbbb → cccccccc | done in T | done in T")
		for _, f := range both {
			f.fetch(written("d"), "")
		}
		during = s.wait("d during", commitOf("d"))
		s.start(written("d"), both...)
		s.waitRevision(commitOf("c"), "fsn1 done 1/1 1", "hel1 overtaken/failed 1/1 1")
		fsn1.upgraded()
		s.checkWaiting(early["d"], during)
		before = time.Now()
		hel1.upgraded()
		after = time.Now()
		s.waitRevision(commitOf("d"), "fsn1 done 1/1 1", "hel1 done 1/1 1")
		s.checkAnswers(insight.Passed, before, after, early["d"], during)
		began = time.Now()
		s.checkAnswers(insight.Passed, began, began, s.wait("d after", commitOf("d")))
		page.shows("dddddddd | done in T | done in T", "cccccccc → dddddddd | done in T | overtaken by dddddddd")

		// e does not reach hel1, where the source fails.
		hel1.failFetch(written("d"))
		fsn1.fetch(written("e"), "")
		during = s.wait("e during", commitOf("e"))
		s.start(written("e"), fsn1)
		s.checkWaiting(early["e"], during)
		before = time.Now()
		fsn1.upgraded()
		after = time.Now()
		s.waitRevision(commitOf("e"), "fsn1 done 1/1 1")
		s.checkAnswers(insight.Failed, before, after, early["e"], during)
		began = time.Now()
		s.checkAnswers(insight.Failed, began, began, s.wait("e after", commitOf("e")))
		page.shows("eeeeeeee | done in T | not seen", "dddddddd | done in T | done in T")

		// The source works again, and the Kustomization is suspended at d.
		hel1.suspend(true)
		before = time.Now()
		hel1.fetch(written("e"), "")
		after = time.Now()
		s.waitRevision(commitOf("e"), "fsn1 done 1/1 1", "hel1 fetched 0/1 0")
		s.checkAnswers(insight.Failed, before, after, s.wait("e while suspended", commitOf("e")))
		if _, regions := s.revision(commitOf("e")); !slices.Equal(regions["hel1"].Kustomizations, []string{"hel1/Kustomization/flux-system/apps"}) {
			t.Errorf("Kustomizations without e are %q", regions["hel1"].Kustomizations)
		}
		page.shows("eeeeeeee | done in T | fetched", "dddddddd → eeeeeeee | done in T | done in T")
		hel1.suspend(false)
		s.until("the Kustomization is resumed", soon, func() bool { return s.meta("hel1/Kustomization/flux-system/apps")["suspended"] == nil })
		resumed := s.wait("e resumed", commitOf("e"))
		s.start(written("e"), hel1)
		s.checkWaiting(resumed)
		before = time.Now()
		hel1.upgraded()
		after = time.Now()
		s.waitRevision(commitOf("e"), "fsn1 done 1/1 1", "hel1 done 1/1 1")
		s.checkAnswers(insight.Passed, before, after, resumed)
		page.shows("eeeeeeee | done in T | done in T")
		return ""
	})
}

func TestGates_AnswerForOCIArtifactByDigestAndCommit(t *testing.T) {
	scenario(t, "gates for an OCI artifact, by digest and by the commit that it was built from", func(t *testing.T) string {
		s := newStage(t)
		digest := func(digit string) string { return "latest@sha256:" + strings.Repeat(digit, 64) }
		fsn1, hel1 := newFlux(s, "OCIRepository", "oci://ghcr.io/o/fleet", digest("0"))
		gates := []*waiting{s.wait("digest", "sha256:"+strings.Repeat("1", 64)), s.wait("commit", commitOf("b")[:7])}
		for _, f := range []*flux{fsn1, hel1} {
			f.fetch(digest("1"), written("b"))
		}
		s.start(digest("1"), fsn1, hel1)
		fsn1.upgraded()
		s.pause(1500 * time.Millisecond)
		s.checkWaiting(gates...)
		before := time.Now()
		hel1.upgraded()
		after := time.Now()
		s.waitRevision(commitOf("b"), "fsn1 done 1/1 1", "hel1 done 1/1 1")
		s.checkAnswers(insight.Passed, before, after, gates...)
		if one, _ := s.revision(strings.Repeat("1", 64)); one.Commit != commitOf("b") || one.OriginRevision != written("b") || one.CommitURL != "" {
			t.Errorf("built from %s, %s, with the URL %q", one.Commit, one.OriginRevision, one.CommitURL)
		}
		return ""
	})
}
