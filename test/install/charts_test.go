package install

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "update the golden files")

const (
	server  = "openova-flow-server"
	emitter = "openova-flow-emitter"
)

func chartDir(name string) string { return filepath.Join("../../platform", name, "chart") }

func load(t *testing.T, name string) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir(name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// assumedKubernetes is the version that a helm built by go install assumes without a cluster.
const assumedKubernetes = "v1.20.0"

// render works like helm template, but checks values against the schema only if checkSchema. It returns the files that are not empty, NOTES.txt too, by name.
func render(c *chart.Chart, values map[string]any, release string, checkSchema bool) (map[string]string, error) {
	caps := chartutil.DefaultCapabilities.Copy()
	if c.Metadata.KubeVersion != "" && !chartutil.IsCompatibleRange(c.Metadata.KubeVersion, assumedKubernetes) {
		return nil, fmt.Errorf("helm template without a cluster refuses kubeVersion %s", c.Metadata.KubeVersion)
	}
	options := chartutil.ReleaseOptions{Name: release, Namespace: "openova-flow", Revision: 1, IsInstall: true}
	merged, err := chartutil.ToRenderValuesWithSchemaValidation(c, values, options, caps, !checkSchema)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, merged)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for name, text := range files {
		if _, base, _ := strings.Cut(name, "/templates/"); !strings.HasPrefix(base, "_") && strings.TrimSpace(text) != "" {
			out[base] = text
		}
	}
	return out, nil
}

// values parses settings like helm's --set.
func values(t *testing.T, sets ...string) map[string]any {
	t.Helper()
	v := map[string]any{}
	for _, s := range sets {
		if err := strvals.ParseInto(s, v); err != nil {
			t.Fatal(s, err)
		}
	}
	return v
}

type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec  map[string]any   `json:"spec"`
	Rules []map[string]any `json:"rules"`
}

// objects parses the manifests of a render, without notes, and sorts them.
func objects(t *testing.T, files map[string]string) []object {
	t.Helper()
	var out []object
	for name, text := range files {
		if name == "NOTES.txt" {
			continue
		}
		for _, doc := range strings.Split("\n"+text, "\n---") {
			if strings.TrimSpace(doc) == "" {
				continue
			}
			var o object
			if err := yaml.UnmarshalStrict([]byte(doc), &map[string]any{}); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, doc)
			}
			if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, doc)
			}
			if o.Kind == "" || o.Metadata.Name == "" {
				t.Errorf("%s: an object without kind or name:\n%s", name, doc)
			}
			out = append(out, o)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		return a.Kind+"/"+a.Metadata.Namespace+"/"+a.Metadata.Name < b.Kind+"/"+b.Metadata.Namespace+"/"+b.Metadata.Name
	})
	return out
}

func join(files map[string]string) []byte {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	var b bytes.Buffer
	for _, name := range names {
		b.WriteString("--- # " + name + "\n" + strings.TrimSpace(files[name]) + "\n")
	}
	return b.Bytes()
}

// ciFiles returns the values in a chart's folder ci, by name.
func ciFiles(t *testing.T, name string) map[string]map[string]any {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(chartDir(name), "ci", "*-values.yaml"))
	if len(paths) == 0 {
		t.Fatal("no values in ci")
	}
	out := map[string]map[string]any{}
	for _, path := range paths {
		v, err := chartutil.ReadValuesFile(path)
		if err != nil {
			t.Fatal(path, err)
		}
		out[strings.TrimSuffix(filepath.Base(path), "-values.yaml")] = v
	}
	return out
}

func TestCharts_GoldenRenders(t *testing.T) {
	for _, name := range []string{server, emitter} {
		c := load(t, name)
		for ci, v := range ciFiles(t, name) {
			t.Run(name+"/"+ci, func(t *testing.T) {
				files, err := render(c, v, "flow", true)
				if err != nil {
					t.Fatal(err)
				}
				objects(t, files)
				golden(t, filepath.Join("testdata", name, ci+".golden.yaml"), join(files))
			})
		}
	}
}

// golden compares got with a file, which -update writes first.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from %s; in test/install, go test . -update rewrites it\n%s", file, firstDifference(got, want))
	}
}

// firstDifference shows the first different line and the line before it, which may have the name of an environment variable. If one text begins with the other,
// it shows the numbers of lines.
func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n     %s\ngot  %s\nwant %s", i+1, g[max(i-1, 0)], g[i], w[i])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(g), len(w))
}

func TestCharts_PassLint(t *testing.T) {
	for _, name := range []string{server, emitter} {
		for ci, v := range ciFiles(t, name) {
			for _, m := range lint.AllWithKubeVersion(chartDir(name), v, "openova-flow", nil).Messages {
				if m.Severity > support.InfoSev {
					t.Errorf("%s with %s: %v", name, ci, m)
				}
			}
		}
	}
}

// TestCharts_ContainersAreHardened checks the security context, the probes and the memory limit of every container.
func TestCharts_ContainersAreHardened(t *testing.T) {
	for _, name := range []string{server, emitter} {
		c := load(t, name)
		for ci, v := range ciFiles(t, name) {
			files, err := render(c, v, "flow", true)
			if err != nil {
				t.Fatal(err)
			}
			pods := 0
			for _, o := range objects(t, files) {
				template, ok := o.Spec["template"].(map[string]any)
				if !ok {
					continue
				}
				pods++
				spec := template["spec"].(map[string]any)
				want(t, name+"/"+ci, spec, map[string]any{
					"securityContext.runAsNonRoot":        true,
					"securityContext.seccompProfile.type": "RuntimeDefault",
				})
				for _, container := range spec["containers"].([]any) {
					want(t, name+"/"+ci, container.(map[string]any), map[string]any{
						"securityContext.allowPrivilegeEscalation": false,
						"securityContext.readOnlyRootFilesystem":   true,
						"securityContext.capabilities.drop.0":      "ALL",
						"livenessProbe.httpGet.path":               "/healthz",
						"readinessProbe.httpGet.path":              "/readyz",
					})
					if at(container.(map[string]any), "resources.limits.memory") == nil {
						t.Errorf("%s/%s: no memory limit", name, ci)
					}
				}
			}
			expected := 1
			if ci == "relay" {
				expected = 2
			}
			if pods != expected {
				t.Errorf("%s/%s has %d pod templates", name, ci, pods)
			}
		}
	}
}

func want(t *testing.T, what string, in map[string]any, expected map[string]any) {
	t.Helper()
	for path, value := range expected {
		if got := at(in, path); got != value {
			t.Errorf("%s: %s is %v, want %v", what, path, got, value)
		}
	}
}

// at returns the value at a path of names and indexes of one digit, nil if missing.
func at(v any, path string) any {
	for _, step := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			if i := int(step[0] - '0'); len(step) == 1 && i < len(x) {
				v = x[i]
			} else {
				return nil
			}
		default:
			return nil
		}
	}
	return v
}
