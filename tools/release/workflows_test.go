package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pinned matches an action with the digest of its commit and its version in a comment, or a workflow of this repository.
var pinned = regexp.MustCompile(`^(\./\S+|[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$`)

func TestWorkflows_PinActionsAndGrantNoDefaultPermissions(t *testing.T) {
	files, err := filepath.Glob("../../.github/workflows/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no workflows: ", err)
	}
	versions := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			_, uses, ok := strings.Cut(strings.TrimSpace(line), "uses: ")
			if !ok {
				continue
			}
			if !pinned.MatchString(uses) {
				t.Errorf("%s uses %s: pin it by the 40 digits of its commit, with the version as a comment", file, uses)
			}
			if action, version, ok := strings.Cut(uses, "@"); ok {
				if other := versions[action]; other != "" && other != version {
					t.Errorf("%s uses %s at %s, and at %s elsewhere", file, action, version, other)
				}
				versions[action] = version
			}
		}
		if !strings.Contains(string(text), "\npermissions: {}\n") {
			t.Errorf("%s grants permissions to all jobs: begin with permissions: {}", file)
		}
	}
}

type job struct{ name, text string }

func (j job) has(parts ...string) bool {
	for _, part := range parts {
		if strings.Contains(j.text, part) {
			return true
		}
	}
	return false
}

func (j job) needs() []string {
	m := regexp.MustCompile(`(?m)^    needs: \[?([\w, -]+)\]?$`).FindStringSubmatch(j.text)
	if m == nil {
		return nil
	}
	return strings.Split(strings.ReplaceAll(m[1], " ", ""), ",")
}

func jobsOf(t *testing.T, file string) map[string]job {
	t.Helper()
	text, err := os.ReadFile("../../.github/workflows/" + file)
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := bytes.Cut(text, []byte("\njobs:\n"))
	if !ok {
		t.Fatal("no jobs in ", file)
	}
	jobs := map[string]job{}
	for _, m := range regexp.MustCompile(`(?m)^  ([\w-]+):\n((?:    .*\n|\n)*)`).FindAllStringSubmatch(string(text), -1) {
		jobs[m[1]] = job{m[1], m[2]}
	}
	return jobs
}

func TestRelease_TakesOnlyCommitsOfMain(t *testing.T) {
	jobs := jobsOf(t, "release.yml")
	if first := jobs["version"]; !first.has("run: git merge-base --is-ancestor \"$GITHUB_SHA\" refs/remotes/origin/main\n") || !first.has("fetch-depth: 0") || first.needs() != nil {
		t.Error("the first job does not check that the commit is in main")
	}
	for name, j := range jobs {
		var seen []string
		for todo := []string{name}; len(todo) > 0; todo = todo[1:] {
			if !slices.Contains(seen, todo[0]) {
				seen = append(seen, todo[0])
				todo = append(todo, jobs[todo[0]].needs()...)
			}
		}
		if !slices.Contains(seen, "version") {
			t.Errorf("the job %s does not wait for the first job", j.name)
		}
	}
}

func TestRelease_SigningJobRunsNoReleasedCode(t *testing.T) {
	jobs := jobsOf(t, "release.yml")
	permissions := map[string][]string{
		"version": {"contents: read"},
		"gate":    {"contents: read"},
		"build":   {"contents: read"},
		"push":    {"contents: read", "packages: write"},
		"sign":    {"id-token: write", "packages: write"},
		"publish": {"contents: write"},
	}
	for name, j := range jobs {
		var got []string
		for _, m := range regexp.MustCompile(`(?m)^      ((?:[a-z-]+): (?:read|write))(?: #.*)?$`).FindAllStringSubmatch(j.text, -1) {
			got = append(got, m[1])
		}
		if !slices.Equal(got, permissions[name]) {
			t.Errorf("the job %s has the permissions %q, want %q", name, got, permissions[name])
		}
		if j.has(": write") && !j.has("\n    environment: release\n") {
			t.Errorf("the job %s has write permissions outside of the environment release, which requires a review", name)
		}
		if (name == "sign" || name == "publish") && (j.has("actions/checkout", "setup-go", "make ", "go run", "scripts/") || !j.has("sha256sum --check --strict <<<\"$SHA256  ") || !j.has("SHA256: ${{ needs.build.outputs.sha256 }}")) {
			t.Errorf("the job %s runs code of the release, or uses a build without checking its digest", name)
		}
	}
	if len(jobs) != len(permissions) {
		t.Errorf("%d jobs, want %d", len(jobs), len(permissions))
	}
}

func TestWorkflows_UseNoUnsafeFeatures(t *testing.T) {
	for _, file := range []string{"release.yml", "ci.yml"} {
		text, err := os.ReadFile("../../.github/workflows/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"pull_request_target", "workflow_run", "self-hosted", "inherit", "secrets.", "write-all", "GITHUB_ENV", "GITHUB_PATH", "continue-on-error"} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%s has %s", file, bad)
			}
		}
		for name, j := range jobsOf(t, file) {
			if !j.has("\n    uses: ./") && !j.has("    timeout-minutes: ") {
				t.Errorf("%s: the job %s has no timeout", file, name)
			}
			if n := strings.Count(j.text, "actions/checkout@"); n != strings.Count(j.text, "persist-credentials: false") {
				t.Errorf("%s: the job %s keeps the token in the checkout", file, name)
			}
			if n := strings.Count(j.text, "actions/setup-go@"); n != strings.Count(j.text, " cache: false")+strings.Count(j.text, " cache: ${{ github.ref_type != 'tag' }}") {
				t.Errorf("%s: the job %s reads a cache in a release", file, name)
			}
			// The script of a run is one line, or an indented block.
			for _, m := range regexp.MustCompile(`(?m)^( +)(?:- )?run: (.*\n(?:^          .*\n)*)`).FindAllStringSubmatch(j.text, -1) {
				if strings.Contains(m[2], "${{") {
					t.Errorf("%s: the job %s uses an expression in a script: %s", file, name, m[2])
				}
			}
		}
	}
}

// A tag with characters that make or a shell interprets could change the build.
func TestRelease_TagMustBeAVersion(t *testing.T) {
	_, steps, _ := strings.Cut(jobsOf(t, "release.yml")["version"].text, "    steps:\n")
	m := regexp.MustCompile(`^(?: +#.*\n)* +- name: .*\n +run: '(.*)'\n`).FindStringSubmatch(steps)
	if m == nil {
		t.Fatal("the first step of the job version checks no tag")
	}
	for tag, ok := range map[string]bool{
		"v0.1.0": true, "v12.0.3": true, "v1.0.0-rc.1": true,
		"v1.0.0;id": false, "v1.0.0$$(id)": false, "v1.0.0`id`": false, "v1.0.0|id": false, "v1.0.0-$(MAKE)": false, "v1.0.0&id": false, "v1.0": false, "v": false, "v1.0.0-": false,
	} {
		cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", m[1])
		cmd.Env = append(os.Environ(), "GITHUB_REF_NAME="+tag)
		if err := cmd.Run(); (err == nil) != ok {
			t.Errorf("%s: %v", tag, err)
		}
	}
}
