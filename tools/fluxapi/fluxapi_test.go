package fluxapi

import (
	"bufio"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// apis are the compared API modules, each with its status types.
var apis = []struct {
	module, folder string
	statuses       []string
}{
	{"github.com/fluxcd/helm-controller/api", "v2", []string{"HelmReleaseStatus"}},
	{"github.com/fluxcd/kustomize-controller/api", "v1", []string{"KustomizationStatus"}},
	{"github.com/fluxcd/source-controller/api", "v1", []string{
		"BucketStatus", "ExternalArtifactStatus", "GitRepositoryStatus", "HelmChartStatus", "HelmRepositoryStatus", "OCIRepositoryStatus",
	}},
	{"github.com/fluxcd/pkg/apis/meta", ".", nil},
}

const mapping = "../../products/openova-flow/adapter-flux/mapping"

type source struct {
	constants map[string]string          // value by name
	structs   map[string]*ast.StructType // by name
	lists     map[string]ast.Expr        // named slices and maps, by name
	literals  map[string]bool            // string literals
}

// read adds the declarations of the package in a folder to s.
func read(t *testing.T, s *source, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go")
	})
	if len(entries) == 0 {
		t.Fatalf("%s has no Go files", dir)
	}
	for _, e := range entries {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, s.visit)
	}
}

func (s *source) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if i < len(n.Values) {
				if v, ok := text(n.Values[i]); ok {
					s.constants[name.Name] = v
				}
			}
		}
	case *ast.TypeSpec:
		switch typ := n.Type.(type) {
		case *ast.StructType:
			s.structs[n.Name.Name] = typ
		case *ast.ArrayType, *ast.MapType:
			s.lists[n.Name.Name] = typ
		}
	case *ast.BasicLit:
		if v, ok := text(n); ok {
			s.literals[v] = true
		}
	}
	return true
}

func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	v, err := strconv.Unquote(lit.Value)
	return v, err == nil
}

// fields adds the JSON paths of a struct's fields, and of the structs in it.
func (s *source) fields(st *ast.StructType, path string, into map[string]bool) {
	for _, f := range st.Fields.List {
		tag := ""
		if f.Tag != nil {
			raw, _ := strconv.Unquote(f.Tag.Value)
			tag = reflect.StructTag(raw).Get("json")
		}
		name, _, _ := strings.Cut(tag, ",")
		inner := s.structs[s.typeName(f.Type)]
		switch {
		case name == "-":
		case name == "" && inner != nil: // inline
			s.fields(inner, path, into)
		case name == "":
		default:
			into[path+"."+name] = true
			if inner != nil && strings.Count(path, ".") < 3 { // a limit, since a type may contain itself
				s.fields(inner, path+"."+name, into)
			}
		}
	}
}

// typeName returns the name of a type, or of the elements of a slice or map.
func (s *source) typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		if list := s.lists[e.Name]; list != nil {
			return s.typeName(list)
		}
		return e.Name
	case *ast.StarExpr:
		return s.typeName(e.X)
	case *ast.ArrayType:
		return s.typeName(e.Elt)
	case *ast.MapType:
		return s.typeName(e.Value)
	case *ast.SelectorExpr:
		return s.typeName(e.Sel)
	}
	return ""
}

func leftOut(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open("leftout.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, why, _ := strings.Cut(line, " ")
		if why = strings.TrimSpace(why); why == "" || out[name] != "" {
			t.Errorf("leftout.txt: %q is listed twice, or without a reason", name)
		}
		out[name] = why
	}
	return out
}

// download returns the folder with the source of a module that go.mod requires. It downloads the module, since no build needs it.
func download(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", module).Output()
	if err != nil {
		t.Fatalf("download %s: %v\n%s", module, err, out)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("download %s: %v", module, err)
	}
	return m.Dir
}

func newSource() *source {
	return &source{constants: map[string]string{}, structs: map[string]*ast.StructType{}, lists: map[string]ast.Expr{}, literals: map[string]bool{}}
}

// TestMapping_KnowsEveryConditionReasonAndStatusField fails for names of a newer Flux. Map them, or list them in leftout.txt with the reason.
func TestMapping_KnowsEveryConditionReasonAndStatusField(t *testing.T) {
	readOne := func(dir string) *source { // of one package
		s := newSource()
		read(t, s, dir)
		return s
	}
	mapped := readOne(mapping).literals
	names := map[string]bool{} // conditions and reasons by value, fields by path
	shared := newSource()
	var packages []*source
	for _, api := range apis {
		s := readOne(filepath.Join(download(t, api.module), api.folder))
		maps.Copy(shared.structs, s.structs)
		maps.Copy(shared.lists, s.lists)
		packages = append(packages, s)
		for name, value := range s.constants {
			if strings.HasSuffix(name, "Reason") || strings.HasSuffix(name, "Condition") {
				names[value] = true
			}
		}
	}
	for i, api := range apis {
		s := &source{structs: maps.Clone(shared.structs), lists: maps.Clone(shared.lists)}
		maps.Copy(s.structs, packages[i].structs)
		maps.Copy(s.lists, packages[i].lists)
		for _, status := range api.statuses {
			if s.structs[status] == nil {
				t.Fatalf("%s has no %s", api.module, status)
			}
			s.fields(s.structs[status], status, names)
		}
	}
	if len(names) < 100 {
		t.Fatalf("found only %d names", len(names))
	}
	left, used := leftOut(t), map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		last := name[strings.LastIndex(name, ".")+1:]
		as := name
		if last != name {
			as = "*." + last
		}
		_, out := left[as]
		used[as] = true
		if known := mapped[last]; known == out {
			t.Errorf("%s: mapped: %t, %s in leftout.txt: %t; want exactly one", name, known, as, out)
		}
	}
	for name := range left {
		if !used[name] {
			t.Errorf("leftout.txt: Flux has no %s", name)
		}
	}
}
