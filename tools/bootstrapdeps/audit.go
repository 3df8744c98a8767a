package main

import (
	"fmt"
	"slices"
	"strings"
)

// finding is a difference between the kit and its declaration, or an error in one of them.
type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Problem string `json:"problem"` // stable, for programs
	Text    string `json:"text"`
}

// audit compares a kit with its declaration. It does no I/O.
func audit(k kit, declared []release) (out []finding) {
	add := func(file string, line int, problem, format string, args ...any) {
		out = append(out, finding{file, line, problem, fmt.Sprintf(format, args...)})
	}
	for what, releases := range map[string][]release{"in the kit": k.releases, "declared": declared} {
		names, slots := map[string]release{}, map[int]release{}
		for _, r := range releases {
			if other, ok := names[r.Name]; ok {
				add(r.File, r.line, "duplicate-name", "%s is %s twice, here and in %s:%d", r.Name, what, other.File, other.line)
			} else if other, ok := slots[r.Slot]; ok && r.Slot >= 0 {
				add(r.File, r.line, "duplicate-slot", "slot %02d is %s twice, for %s and %s", r.Slot, what, other.Name, r.Name)
			}
			names[r.Name], slots[r.Slot] = r, r
		}
	}
	built, wanted := byName(k.releases), byName(declared)
	for _, r := range k.releases {
		for _, d := range r.DependsOn {
			if _, ok := built[d]; !ok {
				add(r.File, r.lines[d], "unknown-dependency", "%s waits for %s, which is not in the kit", r.Name, d)
			}
		}
		if base := fileName(r.File); r.Slot < 0 {
			add(r.File, r.line, "no-slot", "the file name must be the slot and the release, such as %02d-%s.yaml", 10, r.Name)
		} else if base != r.Name && "bp-"+base != r.Name {
			add(r.File, r.line, "file-name", "the file is named after %s but has %s", base, r.Name)
		}
		w, ok := wanted[r.Name]
		if !ok {
			add(r.File, r.line, "undeclared", "%s is not declared", r.Name)
			continue
		}
		if r.Slot >= 0 && r.Slot != w.Slot {
			add(r.File, r.line, "slot", "%s is in slot %02d but declared for slot %02d", r.Name, r.Slot, w.Slot)
		}
		for _, d := range r.DependsOn {
			if !slices.Contains(w.DependsOn, d) {
				add(r.File, r.lines[d], "extra-edge", "%s waits for %s, which is not declared", r.Name, d)
			}
		}
		for _, d := range w.DependsOn {
			if !slices.Contains(r.DependsOn, d) {
				add(r.File, r.line, "missing-edge", "%s does not wait for %s, which is declared", r.Name, d)
			}
		}
	}
	for _, w := range declared {
		if _, ok := built[w.Name]; !ok {
			add(w.File, w.line, "missing", "%s is declared for slot %02d but not in the kit", w.Name, w.Slot)
		}
		for _, d := range w.DependsOn {
			if _, ok := wanted[d]; !ok {
				add(w.File, w.lines[d], "unknown-dependency", "%s is declared to wait for %s, which is not declared", w.Name, d)
			}
		}
	}
	for _, file := range k.files {
		if !slices.Contains(k.resources, file.base) {
			add(file.path, 0, "not-built", "%s does not list %s", k.kustomization, file.base)
		}
		if file.slotted && file.releases == 0 {
			add(file.path, 0, "empty-slot", "the slot has no HelmRelease")
		}
	}
	for i, name := range k.resources {
		if !strings.Contains(name, "/") && !slices.Contains(k.names, name) {
			add(k.kustomization, k.resourceLines[i], "no-file", "%s is listed but does not exist", name)
		}
	}
	slices.SortStableFunc(out, func(a, b finding) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Text, b.Text)
	})
	return out
}
