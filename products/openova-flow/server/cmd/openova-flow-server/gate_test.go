package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// waiter is a process of the program that runs wait.
type waiter struct {
	t         *testing.T
	cmd       *exec.Cmd
	out, errs *log
	end       chan error
}

func waitFor(t *testing.T, url, dir string, args ...string) *waiter {
	t.Helper()
	w := &waiter{t: t, cmd: command(t), out: newLog(), errs: newLog(), end: make(chan error, 1)}
	w.cmd.Args = append([]string{w.cmd.Path, "wait", "--url=" + url, "--flow=F"}, args...)
	w.cmd.Dir, w.cmd.Stdout, w.cmd.Stderr = dir, w.out, w.errs
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { w.end <- w.cmd.Wait() }()
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	return w
}

// exit waits until the process ends, and compares its exit code.
func (w *waiter) exit(want int) {
	w.t.Helper()
	select {
	case <-w.end:
	case <-time.After(time.Minute):
		w.t.Fatalf("%v has not exited", w.cmd.Args)
	}
	if got := w.cmd.ProcessState.ExitCode(); got != want {
		w.t.Errorf("%v: exit %d, want %d\n%s%s", w.cmd.Args, got, want, w.out, w.errs)
	}
}

// rollout returns a message with a region: a source with its revision, a Kustomization with the applied revision and its judgement, and the judgement of a release.
func rollout(source, applied, kustomization, release string) string {
	return `{"type":"upsert-nodes","nodes":[` + strings.Join([]string{
		nodeJSON("r1/GitRepository/n/s", "r1", "succeeded", fmt.Sprintf(`,"meta":{"kind":"GitRepository","auxiliary":true,"namespace":"n","url":"https://x/y","ref":"branch main","revision":%q,"judgement":{"state":"ready","gate":"pass"}}`, source)),
		nodeJSON("r1/Kustomization/n/k", "r1", "running", fmt.Sprintf(`,"meta":{"kind":"Kustomization","namespace":"n","ready":"True","revision":%q,"attemptedRevision":%q,"source":{"kind":"GitRepository","namespace":"n","name":"s"},"judgement":{%s}}`, applied, applied, kustomization)),
		nodeJSON("r1/n/web", "r1", "running", fmt.Sprintf(`,"meta":{"kind":"HelmRelease","namespace":"n","appliedBy":"r1/Kustomization/n/k","judgement":{%s}}`, release)),
	}, ",") + `]}`
}

const (
	isReady  = `"state":"ready","gate":"pass"`
	isBusy   = `"state":"working","gate":"wait"`
	isBroken = `"state":"broken","problem":true,"final":true,"cause":{"class":"given-up","sentence":"web was given up."},"command":["flux","reconcile","helmrelease","web","-n","n"]`
)

// TestWaitProgram_FollowsARevision has the real program wait for a commit at a real server, with a real repository.
func TestWaitProgram_FollowsARevision(t *testing.T) {
	server := spawn(t, command(t))
	dir := t.TempDir()
	git := func(args ...string) string {
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"}, args...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	var commits, revisions []string
	for _, name := range []string{"before", "a", "b"} {
		git("commit", "-q", "--allow-empty", "-m", name)
		commits = append(commits, git("rev-parse", "HEAD"))
		revisions = append(revisions, "main@sha1:"+commits[len(commits)-1])
	}
	before, a, b := revisions[0], revisions[1], revisions[2]
	post(t, server.url, rollout(before, before, isReady, isReady))
	w := waitFor(t, server.url, dir, "--revision", commits[1][:9])
	w.out.wait(t, "no source has the revision yet")
	post(t, server.url, rollout(a, before, isBusy, isReady))
	w.out.wait(t, "changed: r1/Kustomization/n/k: working")
	post(t, server.url, rollout(a, a, isReady, isBusy))
	w.out.wait(t, "changed: r1/n/web: working")
	post(t, server.url, rollout(a, a, isReady, isReady))
	w.exit(0)

	post(t, server.url, rollout(b, b, isReady, isReady)) // superseded
	waitFor(t, server.url, dir, "--revision", commits[1]).exit(0)
	waitFor(t, server.url, t.TempDir(), "--revision", commits[1], "--repo", dir).exit(0)
	waitFor(t, server.url, t.TempDir(), "--revision", commits[1], "--timeout=2s").exit(2)
	git("reset", "-q", "--hard", commits[1]) // rolled back
	w = waitFor(t, server.url, dir, "--revision", commits[1], "--timeout=2s")
	w.exit(2)
	w.out.wait(t, "timed out: r1/GitRepository/n/s has "+b)

	post(t, server.url, rollout(a, a, isReady, isBroken))
	junit, markdown, report := filepath.Join(dir, "junit.xml"), filepath.Join(dir, "summary.md"), filepath.Join(dir, "report.html")
	w = waitFor(t, server.url, dir, "--revision", commits[1], "--output=json", "--junit", junit, "--markdown", markdown, "--report", report)
	w.exit(1)
	var answer struct {
		Exit     int
		Result   string
		Problems []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(w.out.String()), &answer); err != nil || answer.Exit != 1 || answer.Result != "failed" || len(answer.Problems) != 1 || answer.Problems[0].ID != "r1/n/web" {
		t.Errorf("%v, %+v", err, answer)
	}
	var suites struct {
		Failures int `xml:"failures,attr"`
	}
	text, err := os.ReadFile(junit)
	if err := errors.Join(err, xml.Unmarshal(text, &suites)); err != nil || suites.Failures != 1 {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err := os.ReadFile(markdown); err != nil || !bytes.Contains(text, []byte("      flux reconcile helmrelease web -n n\n")) {
		t.Errorf("%v\n%s", err, text)
	}
	checkReport(t, report)
}

// checkReport checks the content of the report of a failed wait.
func checkReport(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	_, rest, _ := bytes.Cut(text, []byte(`<script type="application/json" id="report">`))
	inner, _, _ := bytes.Cut(rest, []byte("</script>"))
	var c struct {
		Flow         string
		Exit         int
		Began, Ended int64
		Answer       struct{ Problems []struct{ ID string } }
		Recording    struct {
			Pages               []struct{ Events []json.RawMessage }
			Rollouts, Revisions json.RawMessage
			Missing             []string
		}
	}
	if err := errors.Join(err, json.Unmarshal(inner, &c)); err != nil {
		t.Fatal(err)
	}
	if c.Flow != "F" || c.Exit != 1 || c.Began == 0 || c.Ended < c.Began || len(c.Answer.Problems) != 1 || c.Answer.Problems[0].ID != "r1/n/web" {
		t.Errorf("%+v", c)
	}
	if r := c.Recording; len(r.Pages) != 1 || len(r.Pages[0].Events) != 7 || len(r.Missing) != 0 || len(r.Rollouts) < 10 || len(r.Revisions) < 10 {
		t.Errorf("recording %s", inner)
	}
}

func TestWaitProgram_ReportWithoutServer(t *testing.T) {
	report := filepath.Join(t.TempDir(), "report.html")
	waitFor(t, "http://127.0.0.1:1", t.TempDir(), "--report", report, "--timeout=1s").exit(2)
	text, err := os.ReadFile(report)
	_, content, _ := bytes.Cut(text, []byte(`id="report">`))
	if err != nil || !bytes.Contains(content, []byte(`"exit":2`)) || !bytes.Contains(content, []byte(`"noRecord":"`)) || !bytes.Contains(content, []byte(`"recording":null`)) {
		t.Errorf("%v, %d bytes", err, len(text))
	}
	if bytes.Contains(content, []byte("127.0.0.1")) {
		t.Errorf("the report has the address of the server: %s", content)
	}
}

// TestWaitProgram_StaleRegion waits for a flow whose nodes are all ready and whose region is stale.
func TestWaitProgram_StaleRegion(t *testing.T) {
	server := spawn(t, command(t))
	post(t, server.url, rollout("main@sha1:1", "main@sha1:1", isReady, isReady))
	req, err := http.NewRequest(http.MethodPut, server.url+"/v1/flows/F/regions/r1", strings.NewReader(`{"cluster":"c","ttlSeconds":5}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	waitFor(t, server.url, t.TempDir(), "--settle=0s").exit(0)
	for state := ""; !strings.Contains(state, `"stale"`); time.Sleep(200 * time.Millisecond) { // the claim expires in another process
		_, state = get(t, http.DefaultClient, server.url+"/v1/flows/F/regions")
	}
	w := waitFor(t, server.url, t.TempDir(), "--settle=0s", "--timeout=1s")
	w.exit(2)
	w.out.wait(t, "timed out: region r1 is stale, last seen at ")
}

func TestWaitProgram_Misuse(t *testing.T) {
	twoLines := filepath.Join(t.TempDir(), "token") // the output of token new
	if err := os.WriteFile(twoLines, []byte("ofl_a\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--revision="}, {"--revision=-x"}, {"--revision=a b"}, {"--release=web"}, {"--release=n/web="}, {"--kustomization=n/k/x"}, {"--repo=/nothing"}, {"--output=yaml"},
		{"--junit=/nothing/x"}, {"--token-file=/nothing/x"}, {"--token-file=/dev/null"}, {"--token-file=" + twoLines}, {"--report=/nothing/x"}, {"--revision=1.0.0", "--release=n/web=1.0.0"}, {"--since=yesterday"}, {"now"},
	} {
		w := waitFor(t, "http://127.0.0.1:1", t.TempDir(), append(args, "--timeout=1s")...)
		w.exit(3)
	}
}

// commitIn makes a repository with one commit.
func commitIn(t *testing.T, dir string) (commit string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q"}, {"commit", "-q", "--allow-empty", "-m", "first"}, {"rev-parse", "HEAD"}} {
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"}, args...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		commit = strings.TrimSpace(string(out))
	}
	return commit
}

// pipeline is a CI job: a checkout, a token, the program, and a server with a flow that has applied the commit.
type pipeline struct {
	t   *testing.T
	dir string
	env []string
}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	p := &pipeline{t: t, dir: t.TempDir()}
	commit, path := commitIn(t, p.dir), filepath.Join(t.TempDir(), "tokens.json")
	admin, adminEntry := newToken(t, "--name=admin", "--scopes=admin")
	viewer, viewerEntry := newToken(t, "--name=ci")
	cmd := command(t, "--tokens-file="+tokensFile(t, path, adminEntry, viewerEntry))
	server := spawn(t, cmd)
	revision := "main@sha1:" + commit
	body := strings.NewReplacer(`"flowId":"F"`, `"flowId":"prod"`, "r1", "fsn1", "/n/k", "/flux-system/apps", `"label":"fsn1/Kustomization/flux-system/apps"`, `"label":"apps"`, "/n/web", "/shop/web").Replace(
		`{"type":"upsert-nodes","nodes":[` + strings.Join([]string{
			nodeJSON("r1/GitRepository/n/s", "r1", "succeeded", fmt.Sprintf(`,"meta":{"kind":"GitRepository","auxiliary":true,"namespace":"n","url":"https://x/y","ref":"branch main","revision":%q,"judgement":{"state":"ready","gate":"pass"}}`, revision)),
			strings.Replace(nodeJSON("r1/Kustomization/n/k", "r1", "succeeded", fmt.Sprintf(`,"startedAt":1800000000000,"meta":{"kind":"Kustomization","namespace":"flux-system","ready":"True","revision":%q,"attemptedRevision":%q,"source":{"kind":"GitRepository","namespace":"n","name":"s"},"judgement":{"state":"ready","gate":"pass"}}`, revision, revision)),
				`"label":"r1/Kustomization/n/k"`, `"label":"apps"`, 1),
			strings.Replace(nodeJSON("r1/n/web", "r1", "succeeded", `,"meta":{"kind":"HelmRelease","namespace":"shop","appliedBy":"r1/Kustomization/n/k","versionApplied":"1.4.2","judgement":{"state":"ready","gate":"pass"}}`),
				`"label":"r1/n/web"`, `"label":"web"`, 1),
		}, ",") + `]}`)
	req, err := http.NewRequest(http.MethodPost, server.url+"/v1/flows/prod/events", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+admin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	token := filepath.Join(p.dir, "flow.token")
	if err := os.WriteFile(token, []byte(viewer), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env = append(os.Environ(), "PATH="+filepath.Dir(cmd.Path)+":"+os.Getenv("PATH"), "FLOW_URL="+server.url, "FLOW_ID=prod", "FLOW_TOKEN="+viewer, "FLOW_TOKEN_FILE="+token,
		"GITHUB_SHA="+commit, "CI_COMMIT_SHA="+commit, "GITHUB_STEP_SUMMARY="+filepath.Join(p.dir, "summary.md"))
	return p
}

// run runs a script as CI systems do.
func (p *pipeline) run(script string, env ...string) (out string, exit int) {
	c := exec.CommandContext(p.t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
	c.Dir, c.Env = p.dir, append(p.env, env...)
	text, err := c.CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		p.t.Fatal(err)
	}
	return string(text), c.ProcessState.ExitCode()
}

// scripts returns the scripts in a YAML text: each "run: |" with the indented lines below it, and each list item that is a command of the program.
func scripts(text string) (all []string) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(lines[i], " ")
		if command, ok := strings.CutPrefix(line, "- openova-flow-server "); ok {
			all = append(all, "openova-flow-server "+command)
		}
		if line != "run: |" {
			continue
		}
		indent := len(lines[i]) - len(line)
		var script []string
		for ; i+1 < len(lines) && (lines[i+1] == "" || strings.HasPrefix(lines[i+1], strings.Repeat(" ", indent+1))); i++ {
			script = append(script, lines[i+1])
		}
		all = append(all, strings.Join(script, "\n"))
	}
	return all
}

// TestDocs_CIGate runs every command of docs/ci-gate.md unchanged.
func TestDocs_CIGate(t *testing.T) {
	text, err := os.ReadFile(docs("ci-gate.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := scripts(string(text))
	for _, part := range strings.Split(string(text), "```sh\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		commands = append(commands, strings.Split(strings.TrimSpace(block), "\n")...)
	}
	if len(commands) != 6 {
		t.Fatalf("%d commands: %q", len(commands), commands)
	}
	p := newPipeline(t)
	for _, command := range commands {
		if out, exit := p.run(command); exit != 0 || !strings.Contains(out, "done, 0 working") {
			t.Errorf("%s: exit %d\n%s", command, exit, out)
		}
	}
	for file, want := range map[string]string{"summary.md": "## Flow prod: passed", "rollout.xml": `<testsuite name="fsn1" tests="2"`, "rollout.html": `"flow":"prod","exit":0`} {
		if text, err := os.ReadFile(filepath.Join(p.dir, file)); err != nil || !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s: %v\n%s", file, err, text)
		}
	}
	help, _ := p.run("openova-flow-server wait -h 2>&1")
	var flags []string
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(help, -1) {
		flags = append(flags, m[1])
	}
	var rows []string
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, m[1])
	}
	slices.Sort(flags)
	slices.Sort(rows)
	if !slices.Equal(flags, rows) || len(rows) < 10 {
		t.Errorf("the flags are %v, the table has %v", flags, rows)
	}
}

func TestAction(t *testing.T) {
	text, err := os.ReadFile(docs("../action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	steps := scripts(string(text))
	if len(steps) != 2 {
		t.Fatalf("%d steps", len(steps))
	}
	install, wait := steps[0], steps[1]
	p := newPipeline(t)
	commit := ""
	for _, v := range p.env {
		if c, ok := strings.CutPrefix(v, "GITHUB_SHA="); ok {
			commit = c
		}
	}
	inputs := []string{"REVISION=" + commit, "TIMEOUT=20s"}
	for _, tt := range []struct {
		env  []string
		exit int
		part string
	}{
		{nil, 0, "2 of 2 done"},
		{[]string{"REGION=fsn1", "KUSTOMIZATIONS=flux-system/apps", "RELEASES=shop/web\n", "JUNIT=junit.xml", "REPORT=action.html"}, 0, "2 of 2 done"},
		{[]string{"RELEASES=shop/web=1.4.2"}, 0, "1 of 1 done"},
		{[]string{"RELEASES=shop/web=1.4.3", "TIMEOUT=1s"}, 2, "1.4.3"},
		{[]string{"RELEASES=shop/web=1.4.2", "REVISION=1.4.2"}, 3, "revision"},
		{[]string{"REVISION="}, 3, "revision"},
		{[]string{"REVISION=$(touch hacked)", "KUSTOMIZATIONS=a/b; touch hacked"}, 3, "revision"},
		{[]string{"FLOW_TOKEN=", "TIMEOUT=1s"}, 2, "401"},
	} {
		env := append(slices.Clone(inputs), "REGION=", "KUSTOMIZATIONS=", "RELEASES=", "JUNIT=", "REPORT=")
		out, exit := p.run(wait, append(env, tt.env...)...)
		if exit != tt.exit || !strings.Contains(out, tt.part) {
			t.Errorf("%v: exit %d\n%s", tt.env, exit, out)
		}
	}
	if _, err := os.Stat(filepath.Join(p.dir, "action.html")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "hacked")); err == nil {
		t.Error("an input was executed as shell code")
	}

	// A release, packed as tools/release does.
	const name = "openova-flow_1.2.3_linux_amd64"
	release := t.TempDir()
	if out, exit := p.run(`mkdir -p "$R/v1.2.3/`+name+`" && cd "$R/v1.2.3" && echo 'echo installed' >`+name+`/openova-flow-server && chmod +x `+name+`/openova-flow-server &&
		tar -czf `+name+`.tar.gz `+name+` && sha256sum `+name+`.tar.gz >SHA256SUMS`, "R="+release); exit != 0 {
		t.Fatal(out)
	}
	env := []string{"DOWNLOADS=file://" + release, "RUNNER_TEMP=" + t.TempDir(), "RUNNER_OS=Linux", "RUNNER_ARCH=X64", "GITHUB_PATH=" + filepath.Join(release, "path")}
	if out, exit := p.run(install, append(env, "VERSION=v1.2.3")...); exit != 0 {
		t.Errorf("install: exit %d\n%s", exit, out)
	}
	if out, exit := p.run(`sh "$(cat "$GITHUB_PATH")/openova-flow-server"`, env...); exit != 0 || out != "installed\n" {
		t.Errorf("installed: exit %d, %q", exit, out)
	}
	if out, exit := p.run(install, append(env, "VERSION=0123456789abcdef")...); exit != 3 {
		t.Errorf("no release: exit %d\n%s", exit, out)
	}
	if out, exit := p.run(`echo x >>"$R/v1.2.3/`+name+`.tar.gz"`, "R="+release); exit != 0 {
		t.Fatal(out)
	}
	if out, exit := p.run(install, append(env, "VERSION=1.2.3")...); exit == 0 {
		t.Errorf("an archive with a wrong checksum: exit %d\n%s", exit, out)
	}
}
