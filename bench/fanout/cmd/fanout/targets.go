//go:build linux

package main

import (
	"fmt"
	"io"
)

type target struct {
	text   string
	got    func(*measured) (float64, bool)
	show   string
	atMost bool
	bound  float64
}

func targets() []target {
	var all []target
	atLeast := func(bound float64, text, show string, got func(*measured) (float64, bool)) {
		all = append(all, target{text, got, show, false, bound})
	}
	atMost := func(bound float64, text, show string, got func(*measured) (float64, bool)) {
		all = append(all, target{text, got, show, true, bound})
	}
	for _, path := range []string{portable, fast} {
		atLeast(0.75, path+": ingest, compared with plain", "%.2f×", func(m *measured) (float64, bool) {
			return m.ratio(ingest, path, ingest, plain, postsPerSecond)
		})
		faster, memory := 1.7, 26.0
		if path == fast {
			faster, memory = 12, 4
		}
		atLeast(faster, path+": 1 to 1,000, compared with plain", "%.2f×", func(m *measured) (float64, bool) {
			return m.ratio(oneTo1000, path, oneTo1000, plain, delivered)
		})
		atMost(1.4, path+": p99 at 20 a second to 1,000, compared with limit", "%.2f×", func(m *measured) (float64, bool) {
			return m.ratio(latency, path, latency, limit, p99)
		})
		atMost(memory, path+": KiB of an idle subscriber", "%.1f", func(m *measured) (float64, bool) {
			return m.median(idle, path, idleKiB(m.loads()[idle].Readers))
		})
		atMost(0, path+": snapshots in place of messages, 2,000 a second to 1,000 for 60 s", "%.0f", func(m *measured) (float64, bool) {
			return m.median(sustained, path, resyncs)
		})
		atLeast(1990, path+": accepted messages a second, of 2,000", "%.0f", func(m *measured) (float64, bool) {
			return m.median(sustained, path, postsPerSecond)
		})
		atMost(1.1, path+": p99 with 20 stalled subscribers, compared with none", "%.2f×", func(m *measured) (float64, bool) {
			return m.ratio(beside, path, alone, path, p99)
		})
		atMost(100, path+": ms of a replay of 4,000 to 50 at once", "%.1f", func(m *measured) (float64, bool) {
			return m.median(replayFifty, path, replayed)
		})
		atMost(heartbeatWithin.Seconds(), fmt.Sprintf("%s: longest silence of %d subscribers, s", path, heldReaders), "%.1f", func(m *measured) (float64, bool) {
			if m.loads()[held].Readers < heldReaders {
				return 0, false
			}
			return m.median(held, path, longestGap)
		})
	}
	return all
}

func writeTargets(w io.Writer, m *measured) {
	fmt.Fprint(w, "\n| target | bound | reached | met |\n|---|---|---|---|\n")
	for _, t := range targets() {
		bound := "at least " + fmt.Sprintf(t.show, t.bound)
		if t.atMost {
			bound = "at most " + fmt.Sprintf(t.show, t.bound)
		}
		got, ok := t.got(m)
		if !ok {
			fmt.Fprintf(w, "| %s | %s | not measured | |\n", t.text, bound)
			continue
		}
		met := "no"
		if t.atMost && got <= t.bound || !t.atMost && got >= t.bound {
			met = "yes"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", t.text, bound, fmt.Sprintf(t.show, got), met)
	}
}
