package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	shellBlock  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	programCall = regexp.MustCompile(`(?:^|[\s(;|])(?:bin/)?(openova-flow-[a-z-]+)\b((?:\s+(?:"[^"]*"|'[^']*'|[^\s;|&)#"']+)+)*)`)
	makeCall    = regexp.MustCompile(`(?:^|\s)make ([a-z][a-z0-9-]*)`)
	flagName    = regexp.MustCompile(`^--?([a-z][a-z-]*)`)
)

// pages returns the Markdown files for users and contributors, by path from the root of the repository.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "bench/*.md", "infra/*/*.md", "platform/*/chart/*.md", "products/openova-flow/*/*.md"} {
		files, _ := filepath.Glob("../../" + pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found[strings.TrimPrefix(file, "../../")] = string(text)
		}
	}
	if len(found) < 15 {
		t.Fatal("only ", len(found), " pages")
	}
	return found
}

// TestDocs_CommandsExist checks make targets, and subcommands and flags of our programs, in shell blocks.
func TestDocs_CommandsExist(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	modules := map[string]string{"openova-flow-server": "server", "openova-flow-proxy": "server", "openova-flow-server-jetstream": "server-jetstream", "openova-flow-adapter-flux": "adapter-flux", "openova-flow-relay": "relay"}
	helps := map[string]string{} // by program and subcommand
	help := func(program, command string) string {
		at := program + " " + command
		if helps[at] == "" {
			binary := filepath.Join(dir, program)
			if _, err := os.Stat(binary); err != nil {
				compile(t, dir, modules[program], program)
			}
			args := append(strings.Fields(command), "--help")
			out, err := exec.Command(binary, args...).CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", at, err, out)
			}
			helps[at] = string(out)
		}
		return helps[at]
	}
	calls := 0
	for page, text := range pages(t) {
		for _, block := range shellBlock.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
				line, _, _ = strings.Cut(line, " #")
				for _, m := range makeCall.FindAllStringSubmatch(line, -1) {
					calls++
					if !strings.Contains("\n"+string(makefile), "\n"+m[1]+":") {
						t.Errorf("%s: no target %s in the Makefile", page, m[1])
					}
				}
				for _, m := range programCall.FindAllStringSubmatch(line, -1) {
					if modules[m[1]] == "" || strings.Contains(line, "helm ") || strings.Contains(line, "kubectl") {
						continue // a release or a workload has the program's name
					}
					calls++
					args := strings.Fields(m[2])
					var command []string
					for len(args) > 0 && !strings.HasPrefix(args[0], "-") && regexp.MustCompile(`^[a-z]+$`).MatchString(args[0]) {
						command, args = append(command, args[0]), args[1:]
					}
					known := help(m[1], strings.Join(command, " "))
					for _, arg := range args {
						if f := flagName.FindStringSubmatch(arg); f != nil && !regexp.MustCompile(`[\s\[]--?`+f[1]+`\b`).MatchString(known) {
							t.Errorf("%s: %s %s has no flag %s", page, m[1], strings.Join(command, " "), f[1])
						}
					}
				}
			}
		}
	}
	if calls < 30 {
		t.Errorf("only %d commands were found", calls)
	}
}

// TestREADME_InstallsLikeTheChartsREADMEs compares the Secrets that the pods mount.
func TestREADME_InstallsLikeTheChartsREADMEs(t *testing.T) {
	_, section, ok := strings.Cut(pages(t)["README.md"], "## Install it in clusters\n")
	block := shellBlock.FindStringSubmatch(section)
	if !ok || block == nil {
		t.Fatal("no commands")
	}
	dir := t.TempDir()
	calls := typed(t, dir, block[1])
	if len(calls) != 2 {
		t.Fatal(calls)
	}
	variables := []string{"FLOW_SERVER_TOKENS_FILE", "FLOW_TOKEN_FILE"}
	compile(t, dir, "server", "openova-flow-server")
	for i, name := range []string{server, emitter} {
		_, got := outcome(t, calls[i:i+1])
		_, want := outcome(t, typed(t, dir, commands(t, name)))
		if a, b := mounted(t, got, variables[i]), mounted(t, want, variables[i]); a != b {
			t.Errorf("%s mounts %s, want %s", name, a, b)
		}
	}
}
