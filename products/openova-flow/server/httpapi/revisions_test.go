package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// pushed returns a message with a source, a Kustomization and a release of a region, as they are after the push of a commit.
func pushed(region, commit, status string, generation int) string {
	const source = `"source":{"kind":"GitRepository","namespace":"flux-system","name":"repo"}`
	began := 1_790_000_000_000 + int64(generation)*600_000
	at := fmt.Sprintf(`,"region":%q,"startedAt":%d,"meta":`, region, began)
	return upsert(
		node(region+"/GitRepository/flux-system/repo", "succeeded", at+fmt.Sprintf(`{"kind":"GitRepository","namespace":"flux-system","auxiliary":true,"ready":"True","url":"ssh://git@git.example.com/o/r.git","ref":"branch main","revision":"main@sha1:%s","updatedAt":%d}`, commit, began)),
		node(region+"/Kustomization/flux-system/apps", "succeeded", at+fmt.Sprintf(`{"kind":"Kustomization","namespace":"flux-system","revision":"main@sha1:%[1]s","attemptedRevision":"main@sha1:%[1]s",%s}`, commit, source)),
		node(region+"/web", status, at+fmt.Sprintf(`{"kind":"HelmRelease","namespace":"flux-system","generation":%[1]d,"observedGeneration":%[1]d,"appliedBy":"%[2]s/Kustomization/flux-system/apps"}`, generation, region)),
	)
}

func TestRevisions_NewestFirstWithRegionsAndLinks(t *testing.T) {
	links, err := revision.ParseLinks("https://git.example.com/{path}/-/commit/{commit}")
	if err != nil {
		t.Fatal(err)
	}
	e := start(t, hub.Config{}, httpapi.Config{CommitLinks: links})
	one, other := strings.Repeat("a", 40), strings.Repeat("b", 40)
	for i, commit := range []string{one, other} {
		for _, region := range []string{"r2", "r1"} {
			e.post(pushed(region, commit, []string{"succeeded", "failed"}[i], i+1))
		}
	}
	get := func(query string) (got hub.Revisions) {
		t.Helper()
		a := e.do("GET", "/v1/flows/F/revisions"+query, "")
		if a.status != 200 || a.header.Get("Content-Type") != asJSON || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Flow-Incarnation") == "" {
			t.Fatal(a.status, a.header, a.body)
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	all := get("")
	if len(all.Revisions) != 2 || all.FlowID != "F" || all.Incarnation == "" || all.Seq == 0 || all.At == 0 {
		t.Fatalf("%+v", all)
	}
	newest := all.Revisions[0]
	if newest.Commit != other || newest.CommitURL != "https://git.example.com/o/r/-/commit/"+other || all.Revisions[1].SupersededBy != newest.ID {
		t.Errorf("the newest is %+v", newest)
	}
	if g := newest.Regions; len(g) != 2 || g[0].Region != "r1" || g[1].Region != "r2" || g[0].State != revision.Failed || !slices.Equal(g[0].RootCauses, []string{"r1/web"}) {
		t.Errorf("its regions are %+v", g)
	}
	for query, want := range map[string]int{"?revision=bbbbbbb": 1, "?revision=main@sha1:" + one: 1, "?revision=ccccccc": 0, "?revision=dev@sha1:" + one: 0, "?revision=main": 0, "?limit=1": 1, "?limit=": 2} {
		if got := get(query).Revisions; len(got) != want {
			t.Errorf("%s: %d revisions, want %d", query, len(got), want)
		}
	}
	var rollouts struct {
		Rollouts []struct {
			ID        string
			Revisions []string
		}
	}
	if err := json.Unmarshal([]byte(e.do("GET", "/v1/flows/F/rollouts", "").body), &rollouts); err != nil {
		t.Fatal(err)
	}
	if r := rollouts.Rollouts; len(r) == 0 || !slices.Contains(r[0].Revisions, newest.ID) || !slices.Contains(newest.Rollouts, r[0].ID) {
		t.Errorf("the rollouts are %+v, those of the newest %q", r, newest.Rollouts)
	}
	if got := e.do("GET", "/v1/flows/F/revisions?revision=ccccccc", "").body; !strings.Contains(got, `"revisions":[]`) {
		t.Errorf("without a match: %s, want an empty list", got)
	}
}
