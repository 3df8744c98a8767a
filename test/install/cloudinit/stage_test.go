package cloudinit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

const repository = "../../.."

// tools returns the paths that infra-tools.sh prints, by name.
var tools = sync.OnceValues(func() (map[string]string, error) {
	cmd := exec.Command(filepath.Join(repository, "scripts/infra-tools.sh"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("infra-tools.sh: %w", err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, path, _ := strings.Cut(strings.TrimSpace(line), "=")
		found[name] = path
	}
	return found, nil
})

func tool(t *testing.T, name string) string {
	t.Helper()
	found, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	return found[name]
}

type inputs map[string]any

// with returns a copy of in with other values; nil removes one.
func (in inputs) with(other inputs) inputs {
	out := inputs{}
	for _, m := range []inputs{in, other} {
		for name, value := range m {
			out[name] = value
			if value == nil {
				delete(out, name)
			}
		}
	}
	return out
}

func deployment() inputs {
	return inputs{
		"sovereign_fqdn": "example.com",
		"deployment_id":  "4711",
		"regions":        []string{"fsn1", "hel1"},
		"primary_region": "fsn1",
		"k3s_version":    "v1.33.5+k3s1",
		"k3s_sha256":     map[string]string{"amd64": strings.Repeat("a", 64)},
	}
}

type outputs struct {
	UserData map[string]string
	Secrets  map[string]string
	Operator string
	FlowURL  string
}

// workspace is a folder with a configuration that uses the module, and with its state.
type workspace struct {
	dir, settings string
}

func newWorkspace(t *testing.T) *workspace {
	t.Helper()
	w := &workspace{dir: filepath.Join(t.TempDir(), "workspace")}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.settings = filepath.Join(w.dir, "settings.tfrc")
	write(t, w.settings, fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", tool(t, "providers")))
	w.configure(t, deployment())
	if out, err := w.run(t, "init", "-input=false", "-no-color"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return w
}

func (w *workspace) configure(t *testing.T, in inputs) {
	t.Helper()
	here, err := filepath.EvalSymlinks(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	// A module with an absolute path is copied without its surrounding folders.
	source, err := filepath.Rel(here, absolute(t, "infra/hetzner"))
	if err != nil {
		t.Fatal(err)
	}
	values := inputs{}
	for _, name := range []string{"user_data", "secrets", "operator_token", "flow_url"} {
		values[name] = inputs{"value": "${module.deployment." + name + "}", "sensitive": name != "flow_url"}
	}
	// Tokens are passed outside of the configuration, since messages quote it.
	module, variables, secret := in.with(inputs{"source": source}), inputs{}, inputs{}
	for _, name := range []string{"ingest_tokens", "operator_token"} {
		secret[name], variables[name], module[name] = in[name], inputs{"sensitive": true}, "${var."+name+"}"
	}
	write(t, filepath.Join(w.dir, "main.tf.json"), encode(t, inputs{"module": inputs{"deployment": module}, "variable": variables, "output": values}))
	write(t, filepath.Join(w.dir, "terraform.tfvars.json"), encode(t, secret))
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (w *workspace) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(tool(t, "tofu"), args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+w.settings, "TF_IN_AUTOMATION=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// apply applies the module with these inputs, and returns its outputs and the printed text.
func (w *workspace) apply(t *testing.T, in inputs) (outputs, string) {
	t.Helper()
	w.configure(t, in)
	printed, err := w.run(t, "apply", "-auto-approve", "-input=false", "-no-color")
	if err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	text, err := w.run(t, "output", "-json")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var answer struct {
		UserData struct{ Value map[string]string } `json:"user_data"`
		Secrets  struct{ Value map[string]string } `json:"secrets"`
		Operator struct{ Value string }            `json:"operator_token"`
		FlowURL  struct{ Value string }            `json:"flow_url"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return outputs{answer.UserData.Value, answer.Secrets.Value, answer.Operator.Value, answer.FlowURL.Value}, printed
}

type cloudConfig struct {
	Packages   []string `json:"packages"`
	WriteFiles []struct {
		Path        string `json:"path"`
		Permissions string `json:"permissions"`
		Content     string `json:"content"`
	} `json:"write_files"`
	RunCmd [][]string `json:"runcmd"`
}

func parse(t *testing.T, userData string) cloudConfig {
	t.Helper()
	var c cloudConfig
	if err := yaml.UnmarshalStrict([]byte(userData), &c); err != nil {
		t.Fatalf("%v\n%s", err, userData)
	}
	return c
}

func (c cloudConfig) file(t *testing.T, path string) string {
	t.Helper()
	for _, f := range c.WriteFiles {
		if f.Path == path {
			return f.Content
		}
	}
	t.Fatal("no file ", path)
	return ""
}

// manifests returns the objects that k3s applies, by Kind/name.
func (c cloudConfig) manifests(t *testing.T) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for _, f := range c.WriteFiles {
		if !strings.HasPrefix(f.Path, "/var/lib/rancher/k3s/server/manifests/") {
			continue
		}
		if f.Permissions != "0600" || filepath.Ext(f.Path) != ".yaml" {
			t.Errorf("%s has permissions %s, want a .yaml file with 0600", f.Path, f.Permissions)
		}
		for name, o := range objects(t, f.Content) {
			if out[name] != nil {
				t.Error(name, " exists twice")
			}
			out[name] = o
		}
	}
	return out
}

func objects(t *testing.T, text string) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for doc := range bytes.SplitSeq([]byte(text), []byte("\n---\n")) {
		var o map[string]any
		if err := yaml.UnmarshalStrict(doc, &o); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		out[at(o, "kind").(string)+"/"+at(o, "metadata", "name").(string)] = o
	}
	return out
}

// at returns the value at a path of names, nil if missing.
func at(v any, path ...string) any {
	for _, step := range path {
		m, _ := v.(map[string]any)
		v = m[step]
	}
	return v
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
