package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// fine is a correct kit with its declaration, by file.
var fine = map[string]string{
	"kit/01-a.yaml":          "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata:\n  name: bp-a\n---\n" + helmRelease("bp-a"),
	"kit/02-b.yaml":          helmRelease("bp-b", "bp-a"),
	"kit/56-bp-c.yaml":       helmRelease("bp-c", "bp-a", "bp-b"),
	"kit/kustomization.yaml": "kind: Kustomization\nresources:\n  - 01-a.yaml\n  - ./02-b.yaml\n  - 56-bp-c.yaml\n  - ../elsewhere/more.yaml\n",
	"kit/README.md":          "not YAML: : :",
	"kit/more/99-x.yaml":     "not: [read",
	"expected.yaml": `releases:
  - slot: 1
    name: bp-a
    depends_on: []
  - slot: 2
    name: bp-b
    depends_on: [bp-a]
  - slot: 56
    name: bp-c
    depends_on: [bp-b, bp-a]
`,
}

func helmRelease(name string, dependsOn ...string) string {
	text := "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: " + name + "\n  namespace: flux-system\nspec:\n  releaseName: x\n"
	if len(dependsOn) > 0 {
		text += "  dependsOn:\n"
	}
	for _, d := range dependsOn {
		text += "    - name: " + d + "\n"
	}
	return text
}

// write writes fine with changes into a new folder; an empty text removes a file.
func write(t *testing.T, changes map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files := maps.Clone(fine)
	maps.Copy(files, changes)
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if text == "" {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func audited(dir string, more ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(append([]string{"--kit-dir", filepath.Join(dir, "kit"), "--expected", filepath.Join(dir, "expected.yaml")}, more...), &out, &errs)
	return code, strings.ReplaceAll(out.String(), dir+"/", ""), strings.ReplaceAll(errs.String(), dir+"/", "")
}

func TestAudit_CorrectKitHasNoDrift(t *testing.T) {
	code, out, errs := audited(write(t, nil))
	want := "tier 0  01 bp-a\ntier 1  02 bp-b <- bp-a\ntier 2  56 bp-c <- bp-a, bp-b\ndrift=0 cycles=0\n"
	if code != 0 || out != want || errs != "" {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
}

func TestAudit_FoldersMayBeListed(t *testing.T) {
	code, out, errs := audited(write(t, map[string]string{"kit/kustomization.yaml": fine["kit/kustomization.yaml"] + "  - more\n"}))
	if code != 0 || !strings.Contains(out, "drift=0") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
}

func TestAudit_FindsDrift(t *testing.T) {
	expected := func(old, new string) map[string]string {
		return map[string]string{"expected.yaml": strings.Replace(fine["expected.yaml"], old, new, 1)}
	}
	built := func(files map[string]string, more ...string) map[string]string {
		files["kit/kustomization.yaml"] = fine["kit/kustomization.yaml"] + "  - " + strings.Join(more, "\n  - ") + "\n"
		return files
	}
	for _, tt := range []struct {
		name    string
		changes map[string]string
		want    []string
	}{
		{"a missing edge", map[string]string{"kit/56-bp-c.yaml": helmRelease("bp-c", "bp-a")}, []string{"kit/56-bp-c.yaml:1: bp-c does not wait for bp-b, which is declared"}},
		{"an extra edge", expected("[bp-b, bp-a]", "[bp-b]"), []string{"kit/56-bp-c.yaml:9: bp-c waits for bp-a, which is not declared"}},
		{"an undeclared release", built(map[string]string{"kit/57-d.yaml": helmRelease("bp-d")}, "57-d.yaml"), []string{"kit/57-d.yaml:1: bp-d is not declared"}},
		{"a missing slot", map[string]string{"kit/56-bp-c.yaml": "", "kit/kustomization.yaml": "resources: [01-a.yaml, 02-b.yaml]\n"}, []string{"expected.yaml:8: bp-c is declared for slot 56 but not in the kit"}},
		{"another slot than declared", expected("slot: 56", "slot: 57"), []string{"kit/56-bp-c.yaml:1: bp-c is in slot 56 but declared for slot 57"}},
		{"a file named after another release", map[string]string{"kit/56-bp-c.yaml": "", "kit/56-bp-d.yaml": helmRelease("bp-c", "bp-a", "bp-b"), "kit/kustomization.yaml": "resources: [01-a.yaml, 02-b.yaml, 56-bp-d.yaml]\n"},
			[]string{"kit/56-bp-d.yaml:1: the file is named after bp-d but has bp-c"}},
		{"a file without a slot", map[string]string{"kit/02-b.yaml": "", "kit/b.yaml": fine["kit/02-b.yaml"], "kit/kustomization.yaml": "resources: [01-a.yaml, b.yaml, 56-bp-c.yaml]\n"},
			[]string{"kit/b.yaml:1: the file name must be the slot and the release, such as 10-bp-b.yaml"}},
		{"a slot without a release", built(map[string]string{"kit/03-d.yaml": "kind: Namespace\n"}, "03-d.yaml"), []string{"kit/03-d.yaml: the slot has no HelmRelease"}},
		{"a name twice", built(map[string]string{"kit/57-bp-c.yaml": helmRelease("bp-c", "bp-a", "bp-b")}, "57-bp-c.yaml"),
			[]string{"kit/57-bp-c.yaml:1: bp-c is in slot 57 but declared for slot 56", "kit/57-bp-c.yaml:1: bp-c is in the kit twice, here and in kit/56-bp-c.yaml:1"}},
		{"a slot twice", built(map[string]string{"kit/56-d.yaml": helmRelease("bp-d"), "expected.yaml": fine["expected.yaml"] + "  - {slot: 57, name: bp-d}\n"}, "56-d.yaml"),
			[]string{"kit/56-d.yaml:1: bp-d is in slot 56 but declared for slot 57", "kit/56-d.yaml:1: slot 56 is in the kit twice, for bp-c and bp-d"}},
		{"a name declared twice", map[string]string{"expected.yaml": fine["expected.yaml"] + "  - {slot: 58, name: bp-a}\n"}, []string{"expected.yaml:11: bp-a is declared twice, here and in expected.yaml:2"}},
		{"a slot declared twice", expected("slot: 56", "slot: 2"), []string{"expected.yaml:8: slot 02 is declared twice, for bp-b and bp-c", "kit/56-bp-c.yaml:1: bp-c is in slot 56 but declared for slot 02"}},
		{"an unknown dependency", map[string]string{"kit/02-b.yaml": helmRelease("bp-b", "bp-a", "bp-zzz")},
			[]string{"kit/02-b.yaml:10: bp-b waits for bp-zzz, which is not declared", "kit/02-b.yaml:10: bp-b waits for bp-zzz, which is not in the kit"}},
		{"an unknown dependency declared", expected("[bp-b, bp-a]", "[bp-b, bp-a, bp-zzz]"),
			[]string{"expected.yaml:10: bp-c is declared to wait for bp-zzz, which is not declared", "kit/56-bp-c.yaml:1: bp-c does not wait for bp-zzz, which is declared"}},
		{"a dependency in another namespace", map[string]string{"kit/02-b.yaml": helmRelease("bp-b", "bp-a\n      namespace: other")},
			[]string{"kit/02-b.yaml:1: bp-b does not wait for bp-a, which is declared", "kit/02-b.yaml:9: bp-b waits for other/bp-a, which is not declared", "kit/02-b.yaml:9: bp-b waits for other/bp-a, which is not in the kit"}},
		{"a slot that is not built", map[string]string{"kit/kustomization.yaml": "resources: [01-a.yaml, 02-b.yaml]\n"}, []string{"kit/56-bp-c.yaml: kit/kustomization.yaml does not list 56-bp-c.yaml"}},
		{"a listed file that does not exist", built(map[string]string{}, "58-e.yaml"), []string{"kit/kustomization.yaml:7: 58-e.yaml is listed but does not exist"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := audited(write(t, tt.changes))
			var got []string
			for line := range strings.Lines(out) {
				if text, ok := strings.CutPrefix(line, "drift: "); ok {
					got = append(got, strings.TrimSpace(text))
				}
			}
			if code != 1 || errs != "" || !reflect.DeepEqual(got, tt.want) || !strings.Contains(out, " cycles=0\n") {
				t.Errorf("%d %s\n%s\nwant\n%s", code, errs, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestAudit_DependencyWithOwnNamespaceIsNoDrift(t *testing.T) {
	code, out, _ := audited(write(t, map[string]string{"kit/02-b.yaml": helmRelease("bp-b", "bp-a\n      namespace: flux-system")}))
	if code != 0 {
		t.Error(out)
	}
}

func TestAudit_FindsCycles(t *testing.T) {
	declare := func(a, b, c string) string {
		return "releases:\n  - {slot: 1, name: bp-a, depends_on: " + a + "}\n  - {slot: 2, name: bp-b, depends_on: " + b + "}\n  - {slot: 56, name: bp-c, depends_on: " + c + "}\n"
	}
	for _, tt := range []struct {
		name    string
		changes map[string]string
		want    string
	}{
		{"of three", map[string]string{"kit/01-a.yaml": helmRelease("bp-a", "bp-c"), "kit/56-bp-c.yaml": helmRelease("bp-c", "bp-b"), "expected.yaml": declare("[bp-c]", "[bp-a]", "[bp-b]")},
			"cycle: bp-a -> bp-c -> bp-b -> bp-a\ndrift=0 cycles=1\n"},
		{"of one", map[string]string{"kit/01-a.yaml": helmRelease("bp-a", "bp-a"), "expected.yaml": declare("[bp-a]", "[bp-a]", "[bp-a, bp-b]")}, "cycle: bp-a -> bp-a\ndrift=0 cycles=1\n"},
		{"in the kit alone, which is also drift", map[string]string{"kit/01-a.yaml": helmRelease("bp-a", "bp-b")},
			"cycle: bp-a -> bp-b -> bp-a\ndrift: kit/01-a.yaml:9: bp-a waits for bp-b, which is not declared\ndrift=1 cycles=1\n"},
		{"declared alone", map[string]string{"expected.yaml": declare("[]", "[bp-a, bp-c]", "[bp-a, bp-b]")},
			"tier 0  01 bp-a\ntier 1  02 bp-b <- bp-a\ntier 2  56 bp-c <- bp-a, bp-b\ncycle: bp-b -> bp-c -> bp-b\ndrift: kit/02-b.yaml:1: bp-b does not wait for bp-c, which is declared\ndrift=1 cycles=1\n"},
		{"releases before a cycle have tiers", map[string]string{"kit/02-b.yaml": helmRelease("bp-b", "bp-c"), "expected.yaml": declare("[]", "[bp-c]", "[bp-a, bp-b]")},
			"tier 0  01 bp-a\ncycle: bp-b -> bp-c -> bp-b\ndrift=0 cycles=1\n"},
	} {
		code, out, errs := audited(write(t, tt.changes))
		if code != 2 || out != tt.want || errs != "" {
			t.Errorf("%s: %d\n%s%s", tt.name, code, out, errs)
		}
	}
}

func TestCycles_OneForEachSet(t *testing.T) {
	var releases []release
	for name, d := range map[string][]string{"a": {"b"}, "b": {"a", "c"}, "c": {"b"}, "d": {"e", "a"}, "e": {"d"}, "f": {"d"}} {
		releases = append(releases, release{Name: name, DependsOn: d})
	}
	want := [][]string{{"a", "b", "a"}, {"d", "e", "d"}}
	if got := cycles(releases); !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
}

func TestRun_UnreadableInputNamesFileAndLine(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changes map[string]string
		want    string
	}{
		{"no YAML", map[string]string{"kit/02-b.yaml": "kind: HelmRelease\nmetadata:\n  name: [\n"}, "kit/02-b.yaml:3: "},
		{"a list where fields are expected", map[string]string{"kit/02-b.yaml": "\n- a\n"}, "kit/02-b.yaml:2: want an object with fields such as kind"},
		{"a release without a name", map[string]string{"kit/02-b.yaml": "# b\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n"}, "kit/02-b.yaml:2: HelmRelease without metadata.name"},
		{"dependsOn is no list", map[string]string{"kit/02-b.yaml": helmRelease("bp-b") + "  dependsOn: bp-a\n"}, "kit/02-b.yaml:8: want a list"},
		{"a dependency is no object", map[string]string{"kit/02-b.yaml": helmRelease("bp-b") + "  dependsOn:\n    - bp-a\n"}, "kit/02-b.yaml:9: want an object with fields such as name"},
		{"a dependency without a name", map[string]string{"kit/02-b.yaml": helmRelease("bp-b") + "  dependsOn:\n    - namespace: x\n"}, "kit/02-b.yaml:9: dependsOn entry without name"},
		{"a dependency twice", map[string]string{"kit/02-b.yaml": helmRelease("bp-b", "bp-a", "bp-a")}, "kit/02-b.yaml:10: bp-b waits for bp-a twice"},
		{"a slot that is too large", map[string]string{"kit/99999999999999999999-b.yaml": helmRelease("bp-b")}, "kit/99999999999999999999-b.yaml: the slot 99999999999999999999 is too large"},
		{"a field twice", map[string]string{"kit/02-b.yaml": helmRelease("bp-b", "bp-a") + "  dependsOn: []\n"}, "kit/02-b.yaml:10: duplicate field dependsOn"},
		{"no kustomization", map[string]string{"kit/kustomization.yaml": ""}, "kit/kustomization.yaml: file does not exist"},
		{"an empty resource", map[string]string{"kit/kustomization.yaml": "resources:\n  - 01-a.yaml\n  -\n"}, "kit/kustomization.yaml:3: an empty entry"},
		{"resources are no list", map[string]string{"kit/kustomization.yaml": "resources: {}\n"}, "kit/kustomization.yaml:1: want a list"},
		{"nothing declared", map[string]string{"expected.yaml": ""}, "expected.yaml: no such file or directory"},
		{"an empty declaration", map[string]string{"expected.yaml": "# nothing\n"}, "expected.yaml: want one document with a list of releases"},
		{"an unknown field", map[string]string{"expected.yaml": "releases:\n  - slot: 1\n    name: a\n    dependsOn: []\n"}, "expected.yaml:4: unknown field dependsOn; allowed: slot, name, depends_on"},
		{"an empty declared dependency", map[string]string{"expected.yaml": "releases:\n  - slot: 1\n    name: a\n    depends_on:\n      -\n"}, "expected.yaml:5: depends_on entry without name"},
		{"a slot that is not a number", map[string]string{"expected.yaml": "releases:\n  - {slot: one, name: a}\n"}, "expected.yaml:2: want a name and a number as slot"},
	} {
		dir := write(t, tt.changes)
		code, out, errs := audited(dir)
		if code != 3 || out != "" || !strings.HasPrefix(errs, tt.want) {
			t.Errorf("%s: %d %q %q, want %q", tt.name, code, out, errs, tt.want)
		}
		code, out, _ = audited(dir, "--json")
		var answer struct{ Error inputError }
		if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 3 || !strings.HasPrefix(answer.Error.Error(), tt.want) {
			t.Errorf("%s: %d %v %s", tt.name, code, err, out)
		}
	}
	if code := run([]string{"--kit-dir", "/not/there"}, io.Discard, io.Discard); code != 3 {
		t.Error(code)
	}
	for _, args := range [][]string{{"--kit"}, {"extra"}} {
		if code := run(args, io.Discard, io.Discard); code != 3 {
			t.Error(args, code)
		}
	}
}

func TestRun_JSONHasGraphAndDrift(t *testing.T) {
	_, out, _ := audited(write(t, nil), "--json")
	for _, want := range []string{`"drift": []`, `"cycles": []`, `"summary": {`, `"dependsOn": []`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	code, out, _ := audited(write(t, map[string]string{"kit/56-bp-c.yaml": helmRelease("bp-c", "bp-a")}), "--json")
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 1 {
		t.Fatal(code, err)
	}
	want := []finding{{"kit/56-bp-c.yaml", 1, "missing-edge", "bp-c does not wait for bp-b, which is declared"}}
	if !reflect.DeepEqual(r.Drift, want) || !reflect.DeepEqual(r.Tiers, [][]string{{"bp-a"}, {"bp-b", "bp-c"}}) || r.Summary.Drift != 1 {
		t.Errorf("%+v", r)
	}
}

func TestScript_RunsInAnotherFolder(t *testing.T) {
	script, err := filepath.Abs("../../scripts/check-bootstrap-deps.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, map[string]string{"kit/01-a.yaml": helmRelease("bp-a", "bp-b")})
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 0, "drift=0 cycles=0\n"},
		{[]string{"--kit-dir", "kit", "--expected", "expected.yaml"}, 2, "drift=1 cycles=1\n"},
		{[]string{"--expected", "expected.yaml"}, 1, "cycles=0\n"},
		{[]string{"--kit-dir", "none"}, 3, ""},
	} {
		cmd := exec.Command("bash", append([]string{script}, tt.args...)...)
		cmd.Dir = dir
		out, err := cmd.Output()
		code := 0
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != tt.code || !strings.HasSuffix(string(out), tt.want) {
			t.Errorf("%v: %d\n%s", tt.args, code, out)
		}
	}
}
