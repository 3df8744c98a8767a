package gate_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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

// history is a repository with commits a and, on main, b after a; c is another child of a.
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
}

// The branch is forced back: a, b, a again.
func TestRepository_RollbackByForce(t *testing.T) {
	h := newHistory(t)
	work := t.TempDir()
	git(t, h.dir, "reset", "-q", "--hard", h.a)
	git(t, work, "clone", "-q", h.dir, "clone")
	clone := filepath.Join(work, "clone")
	git(t, clone, "fetch", "-q", h.dir, h.b+":refs/stray") // the clone has b
	for _, dir := range []string{h.dir, clone} {
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

// A shallow clone, which CI systems make, does not have later commits. Then the revisions that the gate has
// seen decide.
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
	for _, shown := range []string{"main@sha1:--output=" + strings.Repeat("x", 31), "main@sha1:" + h.b + "^{commit}", "--help@sha1:" + h.b[:39] + ";", "@", "main@sha1:"} {
		w := watch(t, h.ask(t, h.dir, h.a))
		w.want(pending, region("one", shown, at(shown, shown, ready), nil))
	}
	if files, _ := filepath.Glob(filepath.Join(h.dir, "[^.]*")); len(files) > 0 {
		t.Errorf("git wrote %v", files)
	}
}

func TestOpenRepository_OutsideOfARepository(t *testing.T) {
	if _, err := gate.OpenRepository(t.TempDir()); !errors.Is(err, gate.ErrNoRepository) {
		t.Error(err)
	}
	if _, err := gate.OpenRepository(filepath.Join(t.TempDir(), "nothing")); err == nil {
		t.Error("a folder that does not exist is a repository")
	}
}
