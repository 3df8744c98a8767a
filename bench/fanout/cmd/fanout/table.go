//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/openova-io/openova/bench/fanout/load"
)

// values returns a figure of a server by round. If a file of stored runs has a round twice, the later run counts.
func (m *measured) values(scenario, server string, of func(load.Result) float64) map[int]float64 {
	values := map[int]float64{}
	for _, r := range m.runs {
		if r.Scenario == scenario && r.Server == server {
			values[r.Round] = of(r.Result)
		}
	}
	return values
}

func (m *measured) median(scenario, server string, of func(load.Result) float64) (v float64, ok bool) {
	var all []float64
	for _, v := range m.values(scenario, server, of) {
		all = append(all, v)
	}
	return medianOf(all)
}

// ratio returns the median over rounds of the ratio of two figures of the same round: other load on the machine affects it least.
func (m *measured) ratio(scenarioA, serverA, scenarioB, serverB string, of func(load.Result) float64) (v float64, ok bool) {
	b := m.values(scenarioB, serverB, of)
	var all []float64
	for round, a := range m.values(scenarioA, serverA, of) {
		if b[round] > 0 {
			all = append(all, a/b[round])
		}
	}
	return medianOf(all)
}

// medianOf sorts all and returns its median; ok is false if it is empty.
func medianOf(all []float64) (v float64, ok bool) {
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2, true
}

// loads returns the load of each scenario's last run, by the scenario's name.
func (m *measured) loads() map[string]load.Scenario {
	loads := map[string]load.Scenario{}
	for _, r := range m.runs {
		loads[r.Scenario] = r.Load
	}
	return loads
}

// servers returns the names of the measured servers, the known ones first.
func (m *measured) servers() []string {
	names := []string{limit, floor, plain, portable, fast}
	for _, r := range m.runs {
		if !slices.Contains(names, r.Server) {
			names = append(names, r.Server)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return !slices.ContainsFunc(m.runs, func(r single) bool { return r.Server == name })
	})
}

func writeTable(w io.Writer, m *measured) {
	servers := m.servers()
	fmt.Fprint(w, "| |")
	for _, s := range servers {
		fmt.Fprintf(w, " %s |", s)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(servers)))
	for _, f := range figures(m.loads()) {
		row, any := fmt.Sprintf("| %s |", f.label), false
		for _, s := range servers {
			v, ok := m.median(f.scenario, s, f.of)
			if !ok {
				row += " |"
				continue
			}
			any = true
			row += " " + f.show(v)
			if ratio, ok := m.ratio(f.scenario, s, f.scenario, f.ratioTo, f.of); ok && s != f.ratioTo {
				row += fmt.Sprintf(" (%.2f×)", ratio)
			}
			row += " |"
		}
		if any {
			fmt.Fprintln(w, row)
		}
	}
	fmt.Fprintln(w, "\nMedians. In brackets: the median of the ratios of each round, to plain, for latencies to limit.")
}
