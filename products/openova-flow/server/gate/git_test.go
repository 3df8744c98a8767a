package gate_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/gate"
)

// git runs git in a folder, without the configuration of the machine.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"}, args...)...)
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// history is a repository with the commits before, a and b on main, and before and c on the branch side. The tag v1 is at a.
type history struct{ dir, before, a, b, c string }

func newHistory(t *testing.T) history {
	h := history{dir: t.TempDir()}
	git(t, h.dir, "init", "-q")
	add := func(name string) string {
		git(t, h.dir, "commit", "-q", "--allow-empty", "-m", name)
		return git(t, h.dir, "rev-parse", "HEAD")
	}
	h.before, h.a = add("before"), add("a")
	git(t, h.dir, "tag", "v1")
	git(t, h.dir, "checkout", "-q", "-b", "side", h.before)
	h.c = add("c")
	git(t, h.dir, "checkout", "-q", "main")
	h.b = add("b")
	return h
}

func (h history) ask(t *testing.T, dir, revision string) gate.Ask {
	r, err := gate.OpenRepository(dir)
	if err != nil {
		t.Fatal(err)
	}
	return gate.Ask{Revision: revision, Repository: r}
}

func onMain(commit string) string { return "main@sha1:" + commit }

func runs(commit string) cluster {
	return region("one", onMain(commit), at(onMain(commit), onMain(commit), ready), nil)
}

func TestRepository_DescendantsCount(t *testing.T) {
	h := newHistory(t)
	for _, revision := range []string{h.a, h.a[:8], onMain(h.a), "v1", "main~1"} {
		w := watch(t, h.ask(t, h.dir, revision))
		w.want(pending, runs(h.before))
		w.want(pending, runs(h.c))
		w.want(passed, runs(h.b)) // the gate never saw a
		w.want(passed, runs(h.a))
	}
	watch(t, h.ask(t, h.dir, h.b)).want(pending, runs(h.a))
	watch(t, gate.Ask{Revision: h.a}).want(pending, runs(h.b)) // without a repository

	// The tag is a commit, not the version of a chart.
	ask := h.ask(t, h.dir, "v1")
	ask.Releases = []gate.Release{{Name: gate.Name{Namespace: "shop", Name: "web"}}}
	watch(t, ask).want(passed, region("one", onMain(h.a), at(onMain(h.a), onMain(h.a), ready), units{"web": {`,"versionApplied":"1.0.0"`, ready, ""}}))
}

func TestRepository_CommitIsFetchedLater(t *testing.T) {
	h := newHistory(t)
	work := t.TempDir()
	git(t, work, "clone", "-q", "--single-branch", "--branch=side", "file://"+h.dir, "clone")
	clone := filepath.Join(work, "clone")
	w := watch(t, h.ask(t, clone, h.a))
	git(t, clone, "fetch", "-q", "origin", "main:refs/remotes/origin/main")
	w.want(passed, runs(h.b))
}

func TestRepository_VersionOfAnArtifact(t *testing.T) {
	h := newHistory(t)
	digest := "@sha256:" + strings.Repeat("d", 64)
	artifact := cluster{name: "one", sourceKind: "OCIRepository", ref: "semver 1.x", source: "1.2.3" + digest, kustomization: units{"apps": at("1.2.3"+digest, "1.2.3"+digest, ready)}}
	watch(t, h.ask(t, h.dir, "1.2.3"+digest)).want(passed, artifact)
	watch(t, h.ask(t, h.dir, "1.2.4"+digest)).want(pending, artifact)
}

// A revision that names no existing branch counts if any branch has its commit.
func TestRepository_RevisionsWithoutBranch(t *testing.T) {
	h := newHistory(t)
	shown := func(revision string) cluster { return region("one", revision, at(revision, revision, ready), nil) }
	for _, ref := range []string{"", "v2@", "refs/heads/main@"} {
		watch(t, h.ask(t, h.dir, h.a)).want(passed, shown(ref+"sha1:"+h.b))
		watch(t, h.ask(t, h.dir, h.before)).want(passed, shown(ref+"sha1:"+h.c)) // on another branch
	}
	git(t, h.dir, "reset", "-q", "--hard", h.a)
	watch(t, h.ask(t, h.dir, h.a)).want(pending, shown("v2@sha1:"+h.b)) // on none
	watch(t, h.ask(t, h.dir, h.a)).want(pending, shown("v2@md5:"+h.b))
}

// A Kustomization's originRevision counts, even if the gate has not seen the artifact in the source.
func TestRepository_BuiltFromTheCommit(t *testing.T) {
	h := newHistory(t)
	digest := func(digit string) string { return "latest@sha256:" + strings.Repeat(digit, 64) }
	for tried, want := range map[string]string{digest("1"): passed, digest("2"): passed, digest("0"): pending} {
		apps := at(digest("1"), tried, failed)
		apps.meta += `,"originRevision":"` + onMain(h.a) + `"`
		if tried == digest("1") {
			apps.judgement = behind
		}
		watch(t, h.ask(t, h.dir, h.a)).want(want, cluster{name: "one", sourceKind: "OCIRepository", ref: "tag latest", source: digest("2"), origin: onMain(h.b), kustomization: units{"apps": apps}})
	}
}

// A commit to which a source moves counts as later, unless the repository shows that it is not.
func TestRepository_MovedToAnUnknownCommit(t *testing.T) {
	h := newHistory(t)
	w := watch(t, h.ask(t, h.dir, h.a))
	w.want(pending, region("one", onMain(h.a), at(onMain(h.before), onMain(h.before), behind), nil))
	w.want(passed, runs(commit("f")))
}

func TestRepository_UnknownOrderIsAskedAgain(t *testing.T) {
	h := newHistory(t)
	work := t.TempDir()
	git(t, work, "clone", "-q", "--single-branch", "--branch=v1", "file://"+h.dir, "clone")
	clone := filepath.Join(work, "clone")
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, h.ask(t, clone, h.a))
		w.want(pending, runs(h.b))
		git(t, clone, "fetch", "-q", "origin", "main:refs/remotes/origin/main")
		time.Sleep(5*time.Second - time.Nanosecond)
		w.want(pending, runs(h.b))
		time.Sleep(time.Nanosecond)
		w.want(passed, runs(h.b))
		git(t, clone, "update-ref", "-d", "refs/remotes/origin/main")
		time.Sleep(time.Hour)
		w.want(passed, runs(h.b)) // a known order stays cached
	})
}

// The branch is forced back: a, b, a again.
func TestRepository_RollbackByForce(t *testing.T) {
	h := newHistory(t)
	work := t.TempDir()
	git(t, h.dir, "reset", "-q", "--hard", h.a)
	git(t, work, "clone", "-q", h.dir, "clone")
	clone := filepath.Join(work, "clone")
	git(t, clone, "fetch", "-q", h.dir, h.b+":refs/stray") // the clone has b
	git(t, work, "clone", "-q", h.dir, "remote")
	remote := filepath.Join(work, "remote")
	git(t, remote, "checkout", "-q", "--detach")
	git(t, remote, "branch", "-q", "-D", "main")
	git(t, remote, "fetch", "-q", h.dir, h.b+":refs/remotes/origin/other") // the remote branch main does not have b
	for _, dir := range []string{h.dir, clone, remote} {
		w := watch(t, h.ask(t, dir, h.a))
		w.want(pending, runs(h.b))
		w.want(pending, region("one", onMain(h.a), at(onMain(h.b), onMain(h.b), behind), nil))
		w.want(passed, runs(h.a))
	}
}

func TestRepository_MovedToACommitWithoutIt(t *testing.T) {
	h := newHistory(t)
	w := watch(t, h.ask(t, h.dir, h.a))
	w.want(pending, region("one", onMain(h.a), at(onMain(h.before), onMain(h.before), behind), nil))
	w.want(failing, region("one", onMain(h.c), at(onMain(h.c), onMain(h.c), ready), nil))
}

// A shallow clone, which CI systems make, lacks commits. Where it shows no order, the revisions that the gate has seen decide.
func TestRepository_Shallow(t *testing.T) {
	h := newHistory(t)
	work := t.TempDir()
	git(t, work, "clone", "-q", "--depth=1", "--branch=v1", "file://"+h.dir, "clone")
	clone := filepath.Join(work, "clone")
	ask := h.ask(t, clone, h.a)
	if !ask.Repository.Shallow() {
		t.Error("not shallow")
	}
	watch(t, ask).want(pending, runs(h.b))
	w := watch(t, h.ask(t, clone, h.a))
	w.want(pending, region("one", onMain(h.a), at(onMain(h.before), onMain(h.before), behind), nil))
	w.want(passed, runs(h.b))
	git(t, clone, "fetch", "-q", "--depth=1", "origin", "main")
	w = watch(t, h.ask(t, clone, h.a)) // the clone now has b, but not the commits between
	w.want(pending, region("one", onMain(h.a), at(onMain(h.before), onMain(h.before), behind), nil))
	w.want(passed, runs(h.b))
}

func TestRepository_HostileRevisions(t *testing.T) {
	h := newHistory(t)
	for _, shown := range []string{"main@sha1:--output=" + strings.Repeat("x", 31), "main@sha1:" + h.b + "^{commit}", "--help@sha1:" + h.b[:39] + ";", "@", "main@sha1:",
		"main@sha1:heads/main" + strings.Repeat("~0", 15)} {
		w := watch(t, h.ask(t, h.dir, h.a))
		w.want(pending, region("one", shown, at(shown, shown, ready), nil))
	}
	if files, _ := filepath.Glob(filepath.Join(h.dir, "[^.]*")); len(files) > 0 {
		t.Errorf("git wrote %v", files)
	}
}

func TestRepository_CommitRejectsExclusions(t *testing.T) {
	h := newHistory(t)
	r := h.ask(t, h.dir, h.a).Repository
	if got := r.Commit("main"); got != h.b {
		t.Errorf("main is %q, want %s", got, h.b)
	}
	if got := r.Commit("^main"); got != "" {
		t.Errorf("^main is %q", got)
	}
}

func TestOpenRepository_OutsideOfARepository(t *testing.T) {
	if _, err := gate.OpenRepository(t.TempDir()); !errors.Is(err, gate.ErrNoRepository) {
		t.Error(err)
	}
	if _, err := gate.OpenRepository(filepath.Join(t.TempDir(), "nothing")); err == nil || errors.Is(err, gate.ErrNoRepository) {
		t.Errorf("a folder that does not exist: %v", err)
	}
}
