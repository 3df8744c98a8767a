// Command bootstrapdeps compares the bootstrap kit with its declared dependencies.
//
// Exit codes: 0 equal, 1 drift, 2 a cycle of dependencies, 3 invalid arguments or input.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const (
	exitFine = iota
	exitDrift
	exitCycle
	exitUnreadable
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

type report struct {
	Releases []release  `json:"releases"`
	Tiers    [][]string `json:"tiers"`
	Drift    []finding  `json:"drift"`
	Cycles   [][]string `json:"cycles"`
	Summary  struct {
		Drift  int `json:"drift"`
		Cycles int `json:"cycles"`
	} `json:"summary"`
}

func run(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("check-bootstrap-deps.sh", flag.ContinueOnError)
	fs.SetOutput(stderr)
	kitDir := fs.String("kit-dir", "clusters/_template/bootstrap-kit", "the folder of the kit")
	expected := fs.String("expected", "scripts/expected-bootstrap-deps.yaml", "the file that declares the graph")
	asJSON := fs.Bool("json", false, "print JSON")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return exitFine
	}
	if err != nil {
		return exitUnreadable
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "unexpected argument %q\n", fs.Arg(0))
		return exitUnreadable
	}
	r, err := check(*kitDir, *expected)
	if err != nil {
		if *asJSON {
			printJSON(stdout, map[string]error{"error": err})
		}
		fmt.Fprintln(stderr, err)
		return exitUnreadable
	}
	if *asJSON {
		printJSON(stdout, r)
	} else {
		r.print(stdout)
	}
	switch {
	case len(r.Cycles) > 0:
		return exitCycle
	case len(r.Drift) > 0:
		return exitDrift
	}
	return exitFine
}

func check(kitDir, expected string) (report, error) {
	k, err := readKit(kitDir)
	if err != nil {
		return report{}, err
	}
	declared, err := readDeclared(expected)
	if err != nil {
		return report{}, err
	}
	r := report{Releases: k.releases, Tiers: tiers(k.releases), Drift: audit(k, declared), Cycles: cycles(k.releases)}
	for _, c := range cycles(declared) {
		if !slices.ContainsFunc(r.Cycles, func(other []string) bool { return slices.Equal(c, other) }) {
			r.Cycles = append(r.Cycles, c)
		}
	}
	// Empty lists instead of null in JSON.
	r.Releases, r.Tiers, r.Drift, r.Cycles = list(r.Releases), list(r.Tiers), list(r.Drift), list(r.Cycles)
	r.Summary.Drift, r.Summary.Cycles = len(r.Drift), len(r.Cycles)
	return r, nil
}

func list[E any](s []E) []E { return append([]E{}, s...) }

func (r report) print(w io.Writer) {
	graph := byName(r.Releases)
	for i, tier := range r.Tiers {
		for _, name := range tier {
			fmt.Fprintf(w, "tier %d  %02d %s", i, graph[name].Slot, name)
			if d := graph[name].DependsOn; len(d) > 0 {
				fmt.Fprintf(w, " <- %s", strings.Join(d, ", "))
			}
			fmt.Fprintln(w)
		}
	}
	for _, c := range r.Cycles {
		fmt.Fprintf(w, "cycle: %s\n", strings.Join(c, " -> "))
	}
	for _, f := range r.Drift {
		fmt.Fprintf(w, "drift: %s\n", (&inputError{f.File, f.Line, f.Text}).Error())
	}
	fmt.Fprintf(w, "drift=%d cycles=%d\n", r.Summary.Drift, r.Summary.Cycles)
}

func printJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
}
