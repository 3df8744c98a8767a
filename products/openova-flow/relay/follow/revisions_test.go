package follow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/relay/follow"
	"github.com/openova-io/openova/products/openova-flow/relay/notice"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

func hash(digit string) string { return strings.Repeat(digit, 40) }

// sourceNode returns a node of a source as JSON.
func sourceNode(region, kind, name, url, revision, origin string) string {
	return fmt.Sprintf(`{"id":"%[1]s/%[2]s/ns/%[3]s","flowId":"a","label":%[3]q,"status":"succeeded","region":%[1]q,"meta":{"kind":%[2]q,"url":%[4]q,"ref":"branch main","revision":%[5]q,"originRevision":%[6]q}}`,
		region, kind, name, url, revision, origin)
}

// revisionsOf returns a flow with some sources, whose revisions are followed in the region r.
func revisionsOf(t *testing.T, nodes ...string) (*bench, *follow.Flow) {
	b := begin(t)
	b.apply("11", "a", "snapshot", fmt.Sprintf(`{"type":"snapshot","flow":{"id":"a","status":"running","startedAt":1},"nodes":[%s],"relationships":[]}`, strings.Join(nodes, ",")))
	f := b.flows.Get("a")
	f.FollowRevisions(func(region string) bool { return region == "r" })
	if !f.RevisionsOutdated {
		t.Error("the revisions need not be read")
	}
	f.RevisionsOutdated = false
	return b, f
}

// commits returns the notices of revisions by the first digit of the commit.
func commits(t *testing.T, f *follow.Flow) map[string]notice.Notice {
	t.Helper()
	all := make(map[string]notice.Notice)
	for _, n := range f.Find(100_000) {
		if n.Kind == notice.KindRevision {
			if _, twice := all[n.Revision.Commit[:1]]; twice {
				t.Errorf("%s comes twice", n.Key)
			}
			all[n.Revision.Commit[:1]] = n
		}
	}
	return all
}

// listed returns a revision as the server lists it.
func listed(source revision.Source, name, commit string, parts ...revision.Region) revision.Revision {
	return revision.Revision{Source: source, Revision: name, Commit: commit, Regions: parts}
}

func part(sourceID string, state, was revision.State) revision.Region {
	return revision.Region{Region: "r", SourceID: sourceID, State: state, Was: was, FirstSeenAt: 5, EndedAt: flow.At(9)}
}

func TestRevisions_ReadsCommits(t *testing.T) {
	_, f := revisionsOf(t,
		sourceNode("r", "GitRepository", "a", "https://x/a", "main@sha1:"+hash("1"), ""), sourceNode("r", "OCIRepository", "b", "oci://x/b", "latest@sha256:"+hash("7"), "main@sha1:"+hash("2")),
		sourceNode("r", "GitRepository", "c", "https://x/c", "main@sha1:0123", ""), sourceNode("r", "OCIRepository", "d", "oci://x/d", "latest@sha1:"+hash("8"), ""),
		sourceNode("evil", "GitRepository", "e", "https://x/a", "main@sha1:"+hash("3"), ""), sourceNode("r", "Bucket", "f", "https://x/f", "main@sha1:"+hash("4"), ""),
		sourceNode("r", "GitRepository", "g", "", "main@sha1:"+hash("5"), ""), sourceNode("r", "GitRepository", "h", "https://x/h", "sha256:"+strings.Repeat("6", 64), ""))
	got := commits(t, f)
	if len(got) != 3 || got["1"].Revision.Source != "https://x/a" || got["2"].Revision.Source != "oci://x/b" || len(got["6"].Revision.Commit) != 64 {
		t.Errorf("%+v", got)
	}
	if n := got["1"]; n.Revision.Results["r"].Result != "pending" || n.Until != 0 || n.Late {
		t.Errorf("%+v", n)
	}
}

// TestRevisions_FormerCommits has sources at commits 9 and 7, and the server's list with earlier commits.
func TestRevisions_FormerCommits(t *testing.T) {
	_, f := revisionsOf(t, sourceNode("r", "GitRepository", "a", "https://x/a", "main@sha1:"+hash("9"), ""), sourceNode("r", "GitRepository", "b", "https://x/a", "main@sha1:"+hash("9"), ""),
		sourceNode("r", "OCIRepository", "o", "oci://x/b", "latest@sha256:"+hash("7"), ""))
	const a, b, o = "r/GitRepository/ns/a", "r/GitRepository/ns/b", "r/OCIRepository/ns/o"
	spelled := revision.Source{Kind: "GitRepository", URL: "ssh://evil@X/a.git", Ref: "branch main"} // as another region spells it
	evil := part("evil/GitRepository/ns/a", revision.Done, "")
	evil.Region = "evil"
	f.Revisions = []revision.Revision{
		listed(spelled, "main@sha1:"+hash("1"), hash("1"), part(a, revision.Done, ""), part(b, revision.Done, ""), evil),
		listed(spelled, "main@sha1:"+hash("2"), hash("2"), part(a, revision.Overtaken, revision.Failed), part(b, revision.Done, "")),
		listed(spelled, "main@sha1:"+hash("3"), hash("3"), part(b, revision.Done, ""), part(a, revision.Overtaken, revision.Applying)),
		listed(spelled, "main@sha1:"+hash("4"), hash("4"), part("r/GitRepository/ns/gone", revision.Overtaken, revision.Applying)),
		listed(spelled, "main@sha1:"+hash("5"), hash("5"), part(a, revision.RollingOut, "")), // the list is outdated
		listed(spelled, "main@sha1:"+hash("6"), hash("6"), evil),
		listed(spelled, "main@sha1:"+hash("9"), hash("9"), part(a, revision.Done, "")),                                                                          // the source still has it
		listed(revision.Source{Kind: "OCIRepository", URL: "oci://x/b", Ref: "branch main"}, "latest@sha256:"+hash("7"), hash("7"), part(o, revision.Done, "")), // reported by another region
		listed(revision.Source{Kind: "OCIRepository", URL: "oci://x/b", Ref: "branch main"}, "latest@sha256:0", hash("8"), part(o, revision.Done, "")),
		listed(spelled, "main", "", part(a, revision.Done, "")),
	}
	got := commits(t, f)
	for commit, want := range map[string]struct {
		result, by string
		until      int64
		late       bool
	}{
		"1": {"passed", "", 9, false}, "2": {"failed", "", 9, false}, "3": {"pending", hash("9"), 0, true}, "4": {notice.Unknown, "", 9, false}, "8": {"passed", "", 9, true}, "9": {"pending", "", 0, false},
	} {
		n := got[commit]
		if n.Revision == nil {
			t.Errorf("%s is missing", commit)
			continue
		}
		if r := n.Revision.Results["r"]; len(n.Revision.Results) != 1 || r.Result != want.result || r.OvertakenBy != want.by || n.Until != want.until || n.Late != want.late {
			t.Errorf("%s: %+v, %+v", commit, n, n.Revision)
		}
	}
	if len(got) != 6 || got["1"].Revision.Source != "https://x/a" || got["2"].Severity != notice.Critical || got["1"].Since != 5 {
		t.Errorf("%+v", got)
	}
}

// TestRevisions_FormerCommitStaysUntilTheListIsRead has a source move on from a commit.
func TestRevisions_FormerCommitStaysUntilTheListIsRead(t *testing.T) {
	b, f := revisionsOf(t, sourceNode("r", "GitRepository", "a", "https://x/a", "main@sha1:"+hash("1"), ""))
	if got := commits(t, f); len(got) != 1 || f.RevisionsOutdated {
		t.Errorf("%v, revisions outdated %v", got, f.RevisionsOutdated)
	}
	b.apply("12", "a", "upsert-nodes", `{"type":"upsert-nodes","nodes":[`+sourceNode("r", "GitRepository", "a", "https://x/a", "main@sha1:"+hash("2"), "")+`]}`)
	if got := commits(t, f); len(got) != 2 || !f.RevisionsOutdated {
		t.Errorf("%v, revisions outdated %v", got, f.RevisionsOutdated)
	}
	f.RevisionsOutdated, f.Reading = false, true
	if got := commits(t, f); len(got) != 2 {
		t.Errorf("%v", got)
	}
	f.Reading = false
	if got := commits(t, f); len(got) != 1 || got["2"].Key == "" {
		t.Errorf("%v", got)
	}
}

func TestRevisions_CommitsOfARegionAreBounded(t *testing.T) {
	var nodes []string
	for i := range 300 {
		nodes = append(nodes, sourceNode("r", "GitRepository", fmt.Sprint("n", i), fmt.Sprint("https://x/", i), "main@sha1:"+fmt.Sprintf("%040x", i), ""))
	}
	_, f := revisionsOf(t, nodes...)
	if got := f.Find(100_000); len(got) != 50 {
		t.Errorf("%d notices", len(got))
	}
}
