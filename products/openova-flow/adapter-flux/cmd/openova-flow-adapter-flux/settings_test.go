package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/terminal/terminaltest"
)

var update = flag.Bool("update", false, "update the tables of the documentation")

// good returns an environment of valid settings, though the kubeconfig does not exist, and with the variable name, if given, set to value.
func good(name, value string) map[string]string {
	env := map[string]string{"FLOW_SERVER_URL": "http://127.0.0.1:1", "FLOW_ID": "F", "HEALTH_LISTEN_ADDR": "127.0.0.1:0", "KUBECONFIG": "/nowhere/kubeconfig"}
	if name != "" {
		env[name] = value
	}
	return env
}

func TestSettings_ErrorsNameSettingValueAndAllowed(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"FLOW_SERVER_URL", ""}, {"FLOW_SERVER_URL", "flow:8080"}, {"FLOW_SERVER_URL", "ftp://flow"}, {"FLOW_SERVER_URL", "http://"},
		{"FLOW_ID", ""}, {"FLOW_ID", "a/b"}, {"FLOW_ID", strings.Repeat("x", 129)},
		{"REGION_KEY", "a/b"}, {"REGION_KEY", "-a"}, {"REGION_KEY", "FSN1"},
		{"NAMESPACE_FILTER", "a,,b"}, {"NAMESPACE_FILTER", "A"},
		{"EMIT_INTERVAL", "200"}, {"EMIT_INTERVAL", "-1s"}, {"POST_TIMEOUT", "0s"}, {"REGION_TTL", "4s"}, {"REGION_TTL", "7500ms"},
		{"HEALTH_LISTEN_ADDR", "8081"}, {"HEALTH_LISTEN_ADDR", ":99999"},
		{"LEADER_ELECTION", "yes"}, {"POD_NAMESPACE", "a/b"}, {"LOG_FORMAT", "xml"}, {"LOG_LEVEL", "loud"},
	} {
		t.Run(c.name+"="+c.value[:min(len(c.value), 10)], func(t *testing.T) {
			_, _, err := call(t, good(c.name, c.value), "", "run")
			if err == nil {
				t.Fatal("accepted")
			}
			allowed := settings[slices.IndexFunc(settings, func(s setting) bool { return s.env == c.name })].allowed
			for _, want := range []string{c.name, fmt.Sprintf("%q", c.value), allowed} {
				if want != `""` && !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line for one mistake: %v", err)
			}
		})
	}
}

func TestSettings_ErrorNamesTheUnreadableKubeconfig(t *testing.T) {
	_, _, err := call(t, good("KUBECONFIG", "/nowhere"), "", "run")
	if err == nil || !strings.Contains(err.Error(), "KUBECONFIG") || !strings.Contains(err.Error(), `"/nowhere"`) {
		t.Errorf("got %v", err)
	}
}

func TestSettings_ErrorsHideURLs(t *testing.T) {
	for _, url := range []string{"https://me:hidden@flow", "https://me:hidden@flow:x/", "https://flow/?token=hidden", "https://flow/#hidden", "https://flow/?", "https://flow#"} {
		env := good("FLOW_SERVER_URL", url)
		_, err := newReader("run", func(name string) (string, bool) { v, ok := env[name]; return v, ok }).read(nil)
		if err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "FLOW_SERVER_URL") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestSettings_ErrorsRepeatNoSecret gives each setting, and each command, a URL with a secret.
func TestSettings_ErrorsRepeatNoSecret(t *testing.T) {
	for _, value := range terminaltest.SecretURLs {
		for _, s := range settings {
			if err := s.set(new(config), value); err == nil && s.env == "FLOW_SERVER_URL" {
				t.Errorf("%s accepts %q", s.env, value)
			}
			env := good("FLOW_SERVER_URL", "http://127.0.0.1:1")
			env[s.env] = value
			_, err := newReader("run", func(name string) (string, bool) { v, ok := env[name]; return v, ok }).read(nil)
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("%s %q: %v", s.env, value, err)
			}
		}
		for _, args := range [][]string{{value}, {"run", value}, {"record", value}, {"replay", value}, {"run", "--flow-server-url=" + value}, {"run", "--flow-server-url", value, value},
			{"run", "--" + value}, {"replay", "--dry-run=" + value}} {
			out, stderr, err := call(t, good("FLOW_ID", "F"), "", args...)
			if strings.Contains(out+stderr, "hidden") || err == nil || strings.Contains(err.Error(), "hidden") {
				t.Errorf("%q: %v: %s", args, err, out+stderr)
			}
		}
	}
}

func TestSettings_AllErrorsAreReportedTogether(t *testing.T) {
	_, _, err := call(t, map[string]string{"REGION_KEY": "X"}, "", "run")
	for _, name := range []string{"FLOW_SERVER_URL", "FLOW_ID", "REGION_KEY"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error %v lacks %s", err, name)
		}
	}
}

func TestSettings_DefaultsAndPrecedence(t *testing.T) {
	read := func(env map[string]string, args ...string) config {
		t.Helper()
		c, err := newReader("run", func(name string) (string, bool) { v, ok := env[name]; return v, ok }).read(args)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	env := good("REGION_KEY", "")
	c := read(env)
	if c.region != "primary" || len(c.namespaces) != 0 || c.interval.String() != "200ms" || c.postTimeout.String() != "10s" || c.leaderElection {
		t.Errorf("defaults: %+v", c)
	}
	for _, h := range []struct{ value, host, want string }{
		{"", "", "127.0.0.1:8081"}, {"", "10.0.0.1", ":8081"}, {"off", "", ""}, {"off", "10.0.0.1", ""}, {":9", "", ":9"},
	} {
		env["HEALTH_LISTEN_ADDR"], env["KUBERNETES_SERVICE_HOST"] = h.value, h.host
		if c := read(env); c.healthAddr != h.want {
			t.Errorf("HEALTH_LISTEN_ADDR=%s, in a cluster %t: %q, want %q", h.value, h.host != "", c.healthAddr, h.want)
		}
	}
	delete(env, "KUBERNETES_SERVICE_HOST")
	env["NAMESPACE_FILTER"] = ""
	if c := read(env); len(c.namespaces) != 0 {
		t.Errorf("an empty filter gives %q, want all namespaces", c.namespaces)
	}
	env["NAMESPACE_FILTER"] = "a, b,a"
	if c := read(env); strings.Join(c.namespaces, ",") != "a,b" {
		t.Errorf("got %q", c.namespaces)
	}
	if c := read(env, "--namespaces=c", "--region-key", "x"); strings.Join(c.namespaces, ",") != "c" || c.region != "x" {
		t.Errorf("flags have no precedence: %+v", c)
	}
	env["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"
	if c := read(env); !c.leaderElection {
		t.Error("no leader election in a cluster")
	}
	env["LEADER_ELECTION"] = "false"
	if c := read(env); c.leaderElection {
		t.Error("leader election is on though it was turned off")
	}
}

func TestCall_ErrorsNameUnknownCommandsFlagsAndArguments(t *testing.T) {
	for args, want := range map[string]string{
		"start":                          `"start"`,
		"run now":                        `"now"`,
		"record now":                     `"now"`,
		"run --nope":                     "-nope",
		"replay --dry-run":               "REGION=FILE",
		"replay --dry-run x":             `"x"`,
		"replay --dry-run A=f":           `"A=f"`,
		"replay --dry-run a=/no":         "/no: no such file",
		"replay --dry-run --speed 0 a=-": `--speed "0"`,
		"replay --dry-run --speed max --rebase a=-":   "--rebase",
		"replay --dry-run --stay a=-":                 "--stay",
		"replay --dry-run a=- b=-":                    "stdin",
		"replay --dry-run --speed -1 a=-":             `--speed "-1"`,
		"replay --dry-run --flow-id a/b --speed 2 a=": `"a/b"`,
	} {
		_, _, err := call(t, good("", ""), "", strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
	}
}

func TestHelp_NamesEverySetting(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"run", "-h"}, {"replay", "--help"}} {
		out, _, err := call(t, nil, "", args...)
		if err != nil {
			t.Errorf("%q: %v", args, err)
		}
		for _, s := range settings {
			if !strings.Contains(out, "--"+s.flag) {
				t.Errorf("%q does not name --%s", args, s.flag)
			}
		}
	}
}

func TestDocs_TableOfSettings(t *testing.T) {
	want, _, err := call(t, nil, "", "help", "--markdown")
	if err != nil {
		t.Fatal(err)
	}
	compareTable(t, "configuration.md", "adapter-config", strings.TrimSpace(want)+"\n")
}

// compareTable compares want with the table between the comments <!-- name --> and <!-- /name --> of docs/page. With -update it writes the table.
func compareTable(t *testing.T, page, name, want string) {
	t.Helper()
	path, begin, end := "../../../../../docs/"+page, "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, opened := strings.Cut(string(text), begin)
	table, after, closed := strings.Cut(rest, end)
	switch {
	case !opened || !closed:
		t.Fatalf("%s has no section between %q and %q", path, begin, end)
	case table == want:
	case !*update:
		t.Fatalf("the table in %s differs from the code; run this test with -update. Want:\n%s", path, want)
	default:
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
