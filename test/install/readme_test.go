package install

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
)

// commands returns the first shell block of a chart's README.
func commands(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir(name), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("no commands in the README of ", name)
	}
	return string(block[1])
}

// typed runs commands in a shell with the programs in dir, and with stubs of kubectl and helm that record their calls. It returns these calls.
func typed(t *testing.T, dir, text string) (calls [][]string) {
	t.Helper()
	const note = "#!/bin/sh\nprintf '%s\\037' \"${0##*/}\" \"$@\" >>\"$CALLS\"\nprintf '\\036' >>\"$CALLS\"\n"
	for _, name := range []string{"kubectl", "helm"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(note), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(t.TempDir(), "calls")
	cmd := exec.Command("sh", "-eu", "-c", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "CALLS="+log)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	written, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range strings.Split(strings.TrimSuffix(string(written), "\x1e"), "\x1e") {
		calls = append(calls, strings.Split(strings.TrimSuffix(call, "\x1f"), "\x1f"))
	}
	return calls
}

// outcome returns the Secrets that the calls create, by name/key, and the workload of the chart that they install.
func outcome(t *testing.T, calls [][]string) (secrets map[string]string, installed object) {
	t.Helper()
	secrets = map[string]string{}
	for _, call := range calls {
		line := strings.Join(call, " ")
		switch {
		case line == "kubectl create namespace openova-flow":
		case strings.HasPrefix(line, "kubectl --namespace openova-flow create secret generic "):
			for _, arg := range call[6:] {
				key, value, ok := strings.Cut(strings.TrimPrefix(arg, "--from-literal="), "=")
				if ok {
					secrets[call[6]+"/"+key] = value
				}
			}
		case strings.HasPrefix(line, "helm install ") && strings.Contains(line, " --namespace openova-flow"):
			name := filepath.Base(filepath.Dir(call[3]))
			if call[3] != "platform/"+name+"/chart" {
				t.Errorf("%s is not a chart of this repository", call[3])
			}
			files, err := render(load(t, name), values(t, sets(call)...), call[2], true)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range objects(t, files) {
				if o.Spec["template"] != nil {
					installed = o
				}
			}
		default:
			t.Errorf("unknown call %q", line)
		}
	}
	return secrets, installed
}

func sets(call []string) (all []string) {
	for i, arg := range call {
		if arg == "--set" {
			all = append(all, call[i+1])
		}
	}
	return all
}

// TestREADME_CommandsLeadToAWorkingEmitter runs the commands of both charts' READMEs, and checks the created Secrets, as the pods mount them, with the server's access
// control.
func TestREADME_CommandsLeadToAWorkingEmitter(t *testing.T) {
	dir := t.TempDir()
	compile(t, dir, "server", "openova-flow-server")
	secrets, serving := outcome(t, typed(t, dir, commands(t, server)))
	file := filepath.Join(t.TempDir(), "tokens.json")
	if err := os.WriteFile(file, []byte(secrets[mounted(t, serving, "FLOW_SERVER_TOKENS_FILE")]), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := auth.Load(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	given, emitting := outcome(t, typed(t, dir, commands(t, emitter)))
	g, err := a.Check(t.Context(), auth.Bearer(given[mounted(t, emitting, "FLOW_TOKEN_FILE")]))
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Join(environment(t, emitting, "file"), "\n") + "\n"
	for _, line := range []string{"FLOW_ID=prod\n", "REGION_KEY=fsn1\n"} {
		if !strings.Contains(env, line) {
			t.Errorf("no %sin\n%s", line, env)
		}
	}
	if !g.CanIngest("prod") || !g.CanRead("prod") || !g.OwnsNode("fsn1/a") || g.OwnsNode("hel1/a") || g.CanIngest("other") {
		t.Errorf("%s has other permissions", g.Name())
	}
	people, err := os.ReadFile(filepath.Join(dir, "people"))
	if err != nil {
		t.Fatal(err)
	}
	token, _, _ := strings.Cut(string(people), "\n")
	if g, err := a.Check(t.Context(), auth.Bearer(token)); err != nil || !g.CanAdmin("prod") || g.Bound() {
		t.Errorf("the people's token is no admin: %v", err)
	}
}
