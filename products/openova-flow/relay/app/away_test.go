package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/openova-io/openova/products/openova-flow/relay/notice"
)

const commits = "  - {name: commits, channels: [commits], kinds: [revision], regions: [fsn1, hel1, real], after: 0s, resolveAfter: 0s, updateEvery: 1s}\n"

// after returns the index of the first message that was recorded more than d after messages[0].
func after(messages []recorded, d time.Duration) int {
	return slices.IndexFunc(messages, func(r recorded) bool { return r.At > messages[0].At+d.Milliseconds() })
}

// checkOneRollout checks that the webhook got the rollout of a recording in these phases, Slack one message, and the collector one trace.
func checkOneRollout(t *testing.T, s *stage, phases string) {
	t.Helper()
	if got := phasesByObject(s)["rollout"]; got != phases {
		t.Errorf("the webhook got the rollout as %q, want %q", got, phases)
	}
	notices := s.hook.Received()
	if len(notices) == 0 {
		t.Fatal("the webhook got no notices")
	}
	last := notices[len(notices)-1]
	if r := last.Rollout; r == nil || r.Outcome != "succeeded" || r.Done != 24 {
		t.Errorf("the last notice is %+v", last)
	}
	rollouts := 0
	for _, m := range s.slack.Messages() {
		if strings.HasPrefix(m.Text, last.Title()+": "+last.Status()) {
			rollouts++
		}
	}
	if rollouts != 1 {
		t.Errorf("Slack has %d messages of the rollout: %+v", rollouts, s.slack.Messages())
	}
	traces := s.traces.Traces()
	if len(traces) != 1 {
		t.Fatalf("%d traces", len(traces))
	}
	for _, span := range traces[0] {
		if span.ParentSpanId == nil && span.Status.Code != tracepb.Status_STATUS_CODE_OK {
			t.Errorf("the root of the trace is %v", span)
		}
	}
}

// TestRelay_AwayWhileARolloutEnds stops the relay in the middle of a recorded rollout, or before it begins, and starts it minutes after its end.
func TestRelay_AwayWhileARolloutEnds(t *testing.T) {
	messages := recording(t, "kit-fsn1")
	for _, c := range []struct {
		name   string
		stopAt int // message of the recording
		phases string
	}{{"MidRollout", after(messages, 3*time.Minute), "opened updated resolved"}, {"BeforeItBegins", 0, "resolved"}} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, time.UnixMilli(messages[0].At).Add(-time.Minute), func(s *stage) {
				stop := s.relay(everything)
				time.Sleep(5 * time.Second)
				s.play(messages[:c.stopAt])
				stop()
				s.play(messages[c.stopAt:])
				time.Sleep(20 * time.Minute)
				for range 2 { // the second one finds nothing new
					stop = s.relay(everything)
					time.Sleep(5 * time.Minute)
					stop()
				}
				checkOneRollout(t, s, c.phases)
				for key, phases := range phasesByObject(s) {
					if key != "rollout" && !strings.HasSuffix(phases, "resolved") {
						t.Errorf("%s is %s", key, phases)
					}
				}
				if s.alerts.Firing() != 0 {
					t.Errorf("%+v", s.alerts.Alerts())
				}
			})
		})
	}
}

// TestRelay_CursorOlderThanTheRing cuts the relay off from the server until the ring does not hold the missed messages any more.
func TestRelay_CursorOlderThanTheRing(t *testing.T) {
	messages := recording(t, "kit-fsn1")
	inBubble(t, time.UnixMilli(messages[0].At), func(s *stage) {
		s.limits.RingCapacity, s.limits.JournalEntries = 10, 10
		s.restartServer()
		s.relay(everything)
		half := after(messages, 3*time.Minute)
		s.play(messages[:half])
		s.cut(true)
		s.play(messages[half:])
		time.Sleep(10 * time.Minute)
		s.cut(false)
		time.Sleep(10 * time.Minute)
		checkOneRollout(t, s, "opened updated resolved")
	})
}

// TestRelay_ProblemsRepairedWhileAway has three problems that are repaired while the relay is away: one that was sent before, one that was not due yet, and
// one that began while the relay was away.
func TestRelay_ProblemsRepairedWhileAway(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		stop := s.relay(everything)
		s.post(failing("fsn1", "sent", time.Now(), "It could not be installed."))
		time.Sleep(2 * time.Minute)
		s.post(failing("fsn1", "seen", time.Now(), "It could not be installed."))
		time.Sleep(30 * time.Second) // it is not due yet
		stop()
		s.post(failing("fsn1", "brief", time.Now(), "It could not be installed."))
		time.Sleep(30 * time.Second)
		for _, name := range []string{"sent", "seen", "brief"} {
			s.post(ready("fsn1", name))
		}
		time.Sleep(10 * time.Minute)
		s.relay(everything)
		time.Sleep(5 * time.Minute)
		if got := s.phases(); got != "sent opened, sent resolved" {
			t.Errorf("%s", got)
		}
		if s.alerts.Firing() != 0 {
			t.Errorf("%+v", s.alerts.Alerts())
		}
	})
}

// TestRelay_RestartsKeepAlertsFiring restarts the relay more often than open alerts are sent again.
func TestRelay_RestartsKeepAlertsFiring(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		stop := s.relay(everything)
		s.post(failing("fsn1", "db", time.Now(), "It could not be installed."))
		time.Sleep(2 * time.Minute)
		for range 20 {
			stop()
			stop = s.relay(everything)
			time.Sleep(30 * time.Second)
		}
		if all := s.alerts.Alerts(); s.alerts.Firing() != 1 || all[0].Firing != 1 {
			t.Errorf("%d fire: %+v", s.alerts.Firing(), all)
		}
	})
}

// revisions returns an upsert of a Git source at the commit has, and of its Kustomization, whose applied commit is applied.
func revisions(region, has, applied string) string {
	status, judgement := "succeeded", `"judgement":{"state":"ready"}`
	if has != applied {
		status, judgement = "running", `"judgement":{"state":"working","gate":"wait"}`
	}
	now := time.Now().UnixMilli()
	return fmt.Sprintf(`{"type":"upsert-nodes","nodes":[
{"id":"%[1]s/GitRepository/flux-system/fleet","flowId":"bootstrap","label":"fleet","status":"succeeded","region":"%[1]s","meta":{"kind":"GitRepository","namespace":"flux-system","auxiliary":true,
 "url":"https://github.com/acme/fleet","revision":"main@sha1:%[2]s","ref":"branch main","ready":"True","generation":1,"observedGeneration":1,"updatedAt":%[6]d,"judgement":{"state":"ready"}}},
{"id":"%[1]s/Kustomization/flux-system/apps","flowId":"bootstrap","label":"apps","status":"%[4]s","region":"%[1]s","startedAt":%[6]d,"meta":{"kind":"Kustomization","namespace":"flux-system","ready":"True",
 "revision":"main@sha1:%[3]s","attemptedRevision":"main@sha1:%[2]s","source":{"kind":"GitRepository","namespace":"flux-system","name":"fleet"},
 "generation":1,"observedGeneration":1,"readyGeneration":1,%[5]s}}]}`, region, has, applied, status, judgement, now)
}

// hash returns a commit hash that repeats one digit.
func hash(digit string) string { return strings.Repeat(digit, 40) }

// statuses returns the states of the statuses of each commit on GitHub, by its first digit.
func (s *stage) statuses() map[string]string {
	all := make(map[string]string)
	for _, c := range s.github.Statuses() {
		all[c.SHA[:1]] = strings.TrimSpace(all[c.SHA[:1]] + " " + c.State)
	}
	return all
}

func (s *stage) deployments() map[string]string {
	all := make(map[string]string)
	for _, d := range s.github.Deployments() {
		all[d.SHA[:1]+" "+d.Environment] = strings.Join(d.States, " ")
	}
	return all
}

func check(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestRelay_CommitsAppliedWhileAway pushes commit 1 before the relay stops, and commits 2 and 3 while it is away. Commits 1 and 2 are applied while it is away;
// commit 3 is not applied when it starts again.
func TestRelay_CommitsAppliedWhileAway(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		post := func(has, applied string) {
			s.postBatch(revisions("fsn1", hash(has), hash(applied)))
			time.Sleep(time.Minute)
		}
		post("0", "0")
		stop := s.relay("\nrules:\n" + commits)
		time.Sleep(time.Minute)
		post("1", "0")
		stop()
		post("1", "1")
		post("2", "1")
		post("2", "2")
		post("3", "2")
		for range 2 {
			stop = s.relay("\nrules:\n" + commits)
			time.Sleep(2 * time.Minute)
			stop()
		}
		check(t, "statuses", s.statuses(), map[string]string{"0": "success", "1": "pending success", "2": "success", "3": "pending"})
		check(t, "deployments", s.deployments(), map[string]string{"0 fsn1": "success", "1 fsn1": "in_progress success", "2 fsn1": "success", "3 fsn1": "in_progress"})
	})
}

// TestRelay_OvertakenCommits pushes commit 2 before all regions have applied commit 1. Commit 1 succeeds when commit 2 does.
func TestRelay_OvertakenCommits(t *testing.T) {
	for _, away := range []bool{false, true} {
		inBubble(t, someDay, func(s *stage) {
			rule := "\nrules:\n" + commits
			stop := s.relay(rule)
			post := func(region, has, applied string) {
				s.postBatch(revisions(region, hash(has), hash(applied)))
				time.Sleep(20 * time.Second)
			}
			for _, region := range []string{"fsn1", "hel1"} {
				post(region, "0", "0")
				post(region, "1", "0")
			}
			if away {
				stop()
			}
			post("fsn1", "2", "0")
			post("hel1", "1", "1")
			if away {
				s.relay(rule)
			}
			post("hel1", "2", "2")
			if got := s.statuses()["1"]; got != "pending pending" {
				t.Errorf("away %v: statuses of 1 while 2 is on its way: %s", away, got)
			}
			post("fsn1", "2", "2")
			time.Sleep(2 * time.Minute)
			check(t, "statuses", s.statuses(), map[string]string{"0": "success", "1": "pending pending success", "2": "pending success"})
			check(t, "deployments", s.deployments(), map[string]string{"0 fsn1": "success", "0 hel1": "success", "1 fsn1": "in_progress inactive", "1 hel1": "in_progress success",
				"2 fsn1": "in_progress success", "2 hel1": "success"})
		})
	}
}

// TestRelay_CommitOfADeletedSource deletes the source of a commit that is not applied: its status becomes an error.
func TestRelay_CommitOfADeletedSource(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		stop := s.relay("\nrules:\n" + commits)
		s.postBatch(revisions("fsn1", hash("1"), hash("0")))
		time.Sleep(time.Minute)
		stop()
		s.post(`{"type":"delete-nodes","ids":["fsn1/GitRepository/flux-system/fleet","fsn1/Kustomization/flux-system/apps"]}`)
		s.relay("\nrules:\n" + commits)
		time.Sleep(time.Minute)
		check(t, "statuses", s.statuses(), map[string]string{"1": "pending error"})
		check(t, "deployments", s.deployments(), map[string]string{"1 fsn1": "in_progress inactive"})
	})
}

// TestRelay_AwayWhileARecordedCommitIsApplied stops the relay after a minute of a recorded bootstrap by real controllers, and starts it after its end.
func TestRelay_AwayWhileARecordedCommitIsApplied(t *testing.T) {
	messages := recording(t, "real-a-bootstrap")
	inBubble(t, time.UnixMilli(messages[0].At), func(s *stage) {
		rules := "\nrules:\n  - {name: all, channels: [hook, traces], kinds: [rollout]}\n" + commits
		stop := s.relay(rules)
		half := after(messages, time.Minute)
		s.play(messages[:half])
		stop()
		s.play(messages[half:])
		time.Sleep(10 * time.Minute)
		s.relay(rules)
		time.Sleep(2 * time.Minute)
		if got := s.statuses(); len(got) != 1 || !strings.HasSuffix(got["0"], "pending success") {
			t.Errorf("statuses: %v", got)
		}
		if got := s.deployments(); len(got) != 1 || !strings.HasSuffix(got["0 real"], "in_progress success") {
			t.Errorf("deployments: %v", got)
		}
		if len(s.traces.Traces()) != 1 {
			t.Errorf("%d traces", len(s.traces.Traces()))
		}
		ended := 0
		for _, n := range s.hook.Received() {
			if n.Phase == notice.Resolved {
				ended++
			}
		}
		if ended != 1 {
			t.Errorf("%d rollouts ended", ended)
		}
	})
}
