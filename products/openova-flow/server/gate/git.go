package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// Repository is a local Git repository. It is read only, and nothing is fetched into it. It is not safe for
// concurrent use.
type Repository struct {
	dir     string
	shallow bool
	known   map[[3]string]knownOrder // by first commit, other commit and branch
}

type knownOrder struct {
	order order
	at    time.Time // when git answered
}

// order says whether a commit comes after another one.
type order int

const (
	unknown order = iota
	later
	notLater
)

// unknownTTL is how long an unknown order is cached: a fetch may bring the commit.
const unknownTTL = 5 * time.Second

// ErrNoRepository is in the error of OpenRepository for a folder outside of any repository.
var ErrNoRepository = errors.New("not in a Git repository")

// OpenRepository opens the repository that contains a folder. It runs the program git.
func OpenRepository(dir string) (*Repository, error) {
	r := &Repository{dir: dir, known: make(map[[3]string]knownOrder)}
	out, err := r.git("rev-parse", "--is-shallow-repository")
	if err != nil {
		if strings.Contains(err.Error(), "not a git repository") {
			err = ErrNoRepository
		}
		return nil, fmt.Errorf("open the Git repository of %s: %w", dir, err)
	}
	r.shallow = out == "true"
	return r, nil
}

// Shallow reports whether the repository was a shallow clone when it was opened. Such a clone lacks commits, so it cannot show that a commit is not later than
// another one.
func (r *Repository) Shallow() bool { return r.shallow }

// Commit returns the full hash of the commit with a name or an abbreviation, empty if the repository does not have it or git fails.
func (r *Repository) Commit(name string) string {
	out, err := r.git("rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	if err != nil || !revision.IsDigest(out) { // for ^main, git prints ^ before the commit
		return ""
	}
	return out
}

// order returns whether commit comes after first and is still on its branch. After a forced rollback, the removed commits are later but not on the branch;
// the order is then unknown. Both commits are hexadecimal; branch may be empty.
func (r *Repository) order(first, commit, branch string) order {
	key := [3]string{first, commit, branch}
	if k, ok := r.known[key]; ok && (k.order != unknown || time.Since(k.at) < unknownTTL) {
		return k.order
	}
	k := knownOrder{r.compare(first, commit, branch), time.Now()}
	r.known[key] = k
	return k.order
}

func (r *Repository) compare(first, commit, branch string) order {
	_, err := r.git("merge-base", "--is-ancestor", first, commit)
	switch exit := new(exec.ExitError); {
	case err == nil && r.onBranch(commit, branch):
		return later
	case errors.As(err, &exit) && exit.ExitCode() == 1 && !r.shallow:
		return notLater
	}
	return unknown
}

// onBranch reports whether a branch contains a commit. It looks at the remote branches of this name, else at the local one, else at all branches.
func (r *Repository) onBranch(commit, branch string) bool {
	all, err := r.git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes")
	if err != nil {
		return false
	}
	have, _ := r.git("for-each-ref", "--format=%(refname)", "--contains="+commit, "refs/heads", "refs/remotes")
	remote := func(ref string) bool {
		name, ok := strings.CutPrefix(ref, "refs/remotes/")
		_, name, _ = strings.Cut(name, "/")
		return ok && name == branch
	}
	local := func(ref string) bool { return ref == "refs/heads/"+branch }
	for _, named := range []func(string) bool{remote, local} {
		if anyLine(all, named) {
			return anyLine(have, named)
		}
	}
	return have != ""
}

func anyLine(lines string, fits func(string) bool) bool {
	for line := range strings.Lines(lines) {
		if fits(strings.TrimSpace(line)) {
			return true
		}
	}
	return false
}

// gitTimeout is how long a git command may run.
var gitTimeout = 30 * time.Second

func (r *Repository) git(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), gitTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, "git", append([]string{"-C", r.dir}, args...)...)
	c.Env = append(os.Environ(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0")
	var out, stderr strings.Builder
	c.Stdout, c.Stderr = &out, &stderr
	if err := c.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no result after %s: %w", gitTimeout, err)
		}
		return "", fmt.Errorf("git %s: %w: %.300s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(out.String()), nil
}
