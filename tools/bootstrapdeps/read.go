package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// inputError is an error in the input, with file and line.
type inputError struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Text string `json:"text"`
}

func (e *inputError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

type kit struct {
	releases      []release
	files         []kitFile
	names         []string // of all entries of the folder
	kustomization string   // path of its file
	resources     []string
	resourceLines []int
}

type kitFile struct {
	path, base string
	slotted    bool // the name matches slotName
	releases   int
}

var slotName = regexp.MustCompile(`^([0-9]+)-(.+)\.ya?ml$`)

// fileName returns the name of a slot's file without slot and extension, empty for any other file.
func fileName(path string) string {
	if m := slotName.FindStringSubmatch(filepath.Base(path)); m != nil {
		return m[2]
	}
	return ""
}

// readKit reads the YAML files of a folder, without subfolders.
func readKit(dir string) (kit, error) {
	var k kit
	entries, err := os.ReadDir(dir)
	if err != nil {
		return k, &inputError{File: dir, Text: reason(err)}
	}
	for _, e := range entries {
		name, path := e.Name(), filepath.Join(dir, e.Name())
		k.names = append(k.names, name)
		if ext := filepath.Ext(name); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		docs, err := readYAML(path)
		if err != nil {
			return k, err
		}
		if name == "kustomization.yaml" || name == "kustomization.yml" {
			if err := k.readKustomization(path, docs); err != nil {
				return k, err
			}
			continue
		}
		f := kitFile{path: path, base: name}
		slot := -1
		if m := slotName.FindStringSubmatch(name); m != nil {
			f.slotted = true
			if slot, err = strconv.Atoi(m[1]); err != nil {
				return k, &inputError{File: path, Text: "the slot " + m[1] + " is too large"}
			}
		}
		for _, doc := range docs {
			r, ok, err := releaseOf(doc)
			if err != nil {
				return k, err
			}
			if ok {
				r.Slot, f.releases = slot, f.releases+1
				k.releases = append(k.releases, r)
			}
		}
		k.files = append(k.files, f)
	}
	if k.kustomization == "" {
		return k, &inputError{File: filepath.Join(dir, "kustomization.yaml"), Text: "file does not exist"}
	}
	return k, nil
}

func (k *kit) readKustomization(path string, docs []value) error {
	k.kustomization = path
	for _, doc := range docs {
		list, err := doc.get("resources")
		if err != nil {
			return err
		}
		items, err := list.items()
		if err != nil {
			return err
		}
		for _, item := range items {
			name, err := item.text()
			if err != nil {
				return err
			}
			if name == "" {
				return &inputError{path, item.node.Line, "an empty entry of resources"}
			}
			k.resources = append(k.resources, strings.TrimPrefix(name, "./"))
			k.resourceLines = append(k.resourceLines, item.node.Line)
		}
	}
	return nil
}

// releaseOf reads a HelmRelease; ok is false for any other object.
func releaseOf(doc value) (r release, ok bool, err error) {
	kind, err := doc.path("kind")
	if err != nil {
		return r, false, err
	}
	version, err := doc.path("apiVersion")
	if err != nil {
		return r, false, err
	}
	if kind != "HelmRelease" || !strings.HasPrefix(version, "helm.toolkit.fluxcd.io/") {
		return r, false, nil
	}
	r = release{File: doc.file, line: doc.node.Line, DependsOn: []string{}, lines: map[string]int{}}
	if r.Name, err = doc.path("metadata", "name"); err != nil {
		return r, false, err
	}
	if r.Name == "" {
		return r, false, doc.errorf("HelmRelease without metadata.name")
	}
	namespace, err := doc.path("metadata", "namespace")
	if err != nil {
		return r, false, err
	}
	spec, err := doc.get("spec")
	if err != nil {
		return r, false, err
	}
	dependsOn, err := spec.get("dependsOn")
	if err != nil {
		return r, false, err
	}
	items, err := dependsOn.items()
	if err != nil {
		return r, false, err
	}
	for _, item := range items {
		name, err := item.path("name")
		if err != nil {
			return r, false, err
		}
		if name == "" {
			return r, false, item.errorf("dependsOn entry without name")
		}
		elsewhere, err := item.path("namespace")
		if err != nil {
			return r, false, err
		}
		if elsewhere != "" && elsewhere != namespace {
			name = elsewhere + "/" + name
		}
		if err := r.dependOn(name, item); err != nil {
			return r, false, err
		}
	}
	return r, true, nil
}

func (r *release) dependOn(name string, at value) error {
	if slices.Contains(r.DependsOn, name) {
		return at.errorf("%s waits for %s twice", r.Name, name)
	}
	r.DependsOn = append(r.DependsOn, name)
	r.lines[name] = at.node.Line
	return nil
}

func readDeclared(path string) (out []release, err error) {
	docs, err := readYAML(path)
	if err != nil {
		return nil, err
	}
	if len(docs) != 1 {
		return nil, &inputError{File: path, Text: "want one document with a list of releases"}
	}
	if err := docs[0].only("releases"); err != nil {
		return nil, err
	}
	list, err := docs[0].get("releases")
	if err != nil {
		return nil, err
	}
	items, err := list.items()
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if err := item.only("slot", "name", "depends_on"); err != nil {
			return nil, err
		}
		r := release{File: path, line: item.node.Line, DependsOn: []string{}, lines: map[string]int{}}
		if r.Name, err = item.path("name"); err != nil {
			return nil, err
		}
		slot, err := item.path("slot")
		if err != nil {
			return nil, err
		}
		if r.Slot, err = strconv.Atoi(slot); err != nil || r.Slot < 0 || r.Name == "" {
			return nil, item.errorf("want a name and a number as slot")
		}
		dependsOn, err := item.get("depends_on")
		if err != nil {
			return nil, err
		}
		names, err := dependsOn.items()
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			name, err := n.text()
			if err != nil {
				return nil, err
			}
			if name == "" {
				return nil, n.errorf("depends_on entry without name")
			}
			if err := r.dependOn(name, n); err != nil {
				return nil, err
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// value is a node of a YAML file, with the file's path. A nil node is a missing value.
type value struct {
	file string
	node *yaml.Node
}

var yamlLine = regexp.MustCompile(`line ([0-9]+): `)

func readYAML(path string) (out []value, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &inputError{File: path, Text: reason(err)}
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			e := &inputError{File: path, Text: strings.TrimPrefix(err.Error(), "yaml: ")}
			if m := yamlLine.FindStringSubmatch(e.Text); m != nil {
				e.Line, _ = strconv.Atoi(m[1])
				e.Text = strings.Replace(e.Text, m[0], "", 1)
			}
			return nil, e
		}
		if v := (value{path, doc.Content[0]}); !v.absent() {
			out = append(out, v)
		}
	}
}

func (v value) errorf(format string, args ...any) error {
	return &inputError{v.file, v.node.Line, fmt.Sprintf(format, args...)}
}

func (v value) absent() bool { return v.node == nil || v.node.Tag == "!!null" }

func (v value) get(key string) (found value, err error) {
	found.file = v.file
	if v.absent() {
		return found, nil
	}
	if v.node.Kind != yaml.MappingNode {
		return found, v.errorf("want an object with fields such as %s", key)
	}
	for i := 0; i < len(v.node.Content); i += 2 {
		if v.node.Content[i].Value != key {
			continue
		}
		if found.node != nil {
			return found, value{v.file, v.node.Content[i]}.errorf("duplicate field %s", key)
		}
		found.node = target(v.node.Content[i+1])
	}
	return found, nil
}

// target resolves an alias.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// path returns the text at a path of keys, empty if missing.
func (v value) path(keys ...string) (text string, err error) {
	for _, key := range keys {
		if v, err = v.get(key); err != nil {
			return "", err
		}
	}
	return v.text()
}

func (v value) text() (string, error) {
	if v.absent() {
		return "", nil
	}
	if v.node.Kind != yaml.ScalarNode {
		return "", v.errorf("want a string")
	}
	return v.node.Value, nil
}

func (v value) items() (out []value, err error) {
	if v.absent() {
		return nil, nil
	}
	if v.node.Kind != yaml.SequenceNode {
		return nil, v.errorf("want a list")
	}
	for _, n := range v.node.Content {
		out = append(out, value{v.file, target(n)})
	}
	return out, nil
}

func (v value) only(keys ...string) error {
	if v.node.Kind != yaml.MappingNode {
		return v.errorf("want an object with fields such as %s", keys[0])
	}
	for i := 0; i < len(v.node.Content); i += 2 {
		if key := v.node.Content[i]; !slices.Contains(keys, key.Value) {
			return value{v.file, key}.errorf("unknown field %s; allowed: %s", key.Value, strings.Join(keys, ", "))
		}
	}
	return nil
}

// reason returns the text of err without the path, which an inputError has already.
func reason(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
