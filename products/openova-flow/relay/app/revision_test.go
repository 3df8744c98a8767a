package app_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// applied returns an upsert of a Git source at commit, and of its Kustomization: state "ready" has applied the commit, state "working" has not.
func applied(region, state string) string {
	status, revision := "succeeded", commit
	if state == "working" {
		status, revision = "running", "89abcdef0123456789abcdef0123456789abcdef"
	}
	return fmt.Sprintf(`{"type":"upsert-nodes","nodes":[
{"id":"%[1]s/GitRepository/flux-system/fleet","flowId":"bootstrap","label":"fleet","status":"succeeded","region":"%[1]s","meta":{"kind":"GitRepository","namespace":"flux-system","auxiliary":true,
 "url":"https://github.com/acme/fleet","revision":"main@sha1:%[2]s","ref":"branch main","judgement":{"state":"ready"}}},
{"id":"%[1]s/Kustomization/flux-system/apps","flowId":"bootstrap","label":"apps","status":"%[3]s","region":"%[1]s","meta":{"kind":"Kustomization","namespace":"flux-system","ready":"True",
 "revision":"main@sha1:%[4]s","attemptedRevision":"main@sha1:%[4]s","source":{"kind":"GitRepository","namespace":"flux-system","name":"fleet"},
 "generation":1,"observedGeneration":1,"readyGeneration":1,"judgement":{"state":"%[5]s","gate":"%[6]s"}}}]}`,
		region, commit, status, revision, state, map[string]string{"working": "wait", "ready": ""}[state])
}

// TestRelay_CommitStatusOfARevision has two regions of a rule apply a commit, one after the other. A third region, which the rule does not name, does not count.
func TestRelay_CommitStatusOfARevision(t *testing.T) {
	inBubble(t, someDay, func(s *stage) {
		s.relay("\nrules:\n  - {name: commits, channels: [commits], kinds: [revision], regions: [fsn1, hel1], after: 0s, updateEvery: 1s}\n")
		post := func(region, state string) { s.postBatch(applied(region, state)) }
		post("evil", "working")
		post("fsn1", "working")
		post("hel1", "working")
		time.Sleep(time.Minute)
		post("fsn1", "ready")
		time.Sleep(time.Minute)
		post("hel1", "ready")
		time.Sleep(time.Minute)
		var states []string
		for _, c := range s.github.Statuses() {
			states = append(states, c.SHA[:4]+" "+c.State)
		}
		if want := []string{"0123 pending", "0123 success"}; !slices.Equal(states, want) {
			t.Errorf("%q", states)
		}
		d := s.github.Deployments()
		if len(d) != 2 {
			t.Fatalf("%+v", d)
		}
		for i, region := range []string{"fsn1", "hel1"} {
			if d[i].Environment != region || !slices.Equal(d[i].States, []string{"in_progress", "success"}) {
				t.Errorf("%+v", d[i])
			}
		}
	})
}
