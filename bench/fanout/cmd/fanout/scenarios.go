//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/openova-io/openova/bench/fanout/load"
)

const (
	ingest      = "ingest"
	oneTo100    = "1-to-100"
	oneTo1000   = "1-to-1000"
	eightTo1000 = "8-to-1000"
	latency     = "20-a-second"
	idle        = "idle"
	replayOne   = "replay-1"
	replayFifty = "replay-50"
	sustained   = "sustained"
	alone       = "unstalled"
	beside      = "stalled"
	held        = "held"
	allFlows    = "all-flows"
)

type scenario struct {
	name     string
	load     load.Scenario
	rounds   int
	oursOnly bool    // only for builds of the flow server
	portable float64 // rate on the portable path; 0: load.Rate
	resumes  bool    // only for servers with resume and a stream of all flows
}

// heartbeatWithin is the heartbeat interval plus a margin for a busy machine.
const heartbeatWithin = 16 * time.Second

// portableRate is a rate at which the portable path keeps up with 1,000 readers on two cores shared with the generator.
const portableRate = 300

// heldReaders is the target for simultaneous readers.
const heldReaders = 50_000

// scenarios returns all scenarios. Those with readers and without a rate have fewer messages than the ring holds, so that no reader gets a snapshot in place
// of messages.
func scenarios(quick bool) []scenario {
	all := []scenario{
		{name: ingest, rounds: 3, load: load.Scenario{Kind: load.Fanout, Publishers: 16, Warm: 2000, Messages: 40_000}},
		{name: oneTo100, rounds: 3, load: load.Scenario{Kind: load.Fanout, Readers: 100, Messages: 2000}},
		{name: oneTo1000, rounds: 3, load: load.Scenario{Kind: load.Fanout, Readers: 1000, Messages: 1000}},
		{name: eightTo1000, rounds: 3, load: load.Scenario{Kind: load.Fanout, Readers: 1000, Publishers: 8, Messages: 1000}},
		{name: latency, rounds: 5, load: load.Scenario{Kind: load.Fanout, Readers: 1000, Warm: 20, Messages: 100, Rate: 20}},
		{name: allFlows, rounds: 3, resumes: true, load: load.Scenario{Kind: load.Fanout, Readers: 200, Flows: 10_000, Publishers: 4, Messages: 2000}},
		{name: idle, rounds: 3, load: load.Scenario{Kind: load.Idle, Readers: 10_000, Hold: 4 * time.Second}},
		{name: replayOne, rounds: 3, resumes: true, load: load.Scenario{Kind: load.Replay, Readers: 1, Messages: 4000}},
		{name: replayFifty, rounds: 3, resumes: true, load: load.Scenario{Kind: load.Replay, Readers: 50, Messages: 4000}},
		{name: sustained, rounds: 1, oursOnly: true, load: load.Scenario{Kind: load.Fanout, Readers: 1000, Publishers: 4, Rate: 2000, Messages: 120_000, Within: 65 * time.Second}},
		// The next two differ only in the stalled readers.
		{name: alone, rounds: 3, oursOnly: true, portable: portableRate, load: load.Scenario{Kind: load.Fanout, Readers: 1000, Publishers: 4, Rate: 2000, Messages: 20_000, Within: 10 * time.Second}},
		{name: beside, rounds: 3, oursOnly: true, portable: portableRate, load: load.Scenario{Kind: load.Fanout, Readers: 1000, Stalled: 20, Publishers: 4, Rate: 2000, Messages: 20_000, Within: 10 * time.Second}},
		{name: held, rounds: 1, oursOnly: true, load: load.Scenario{Kind: load.Idle, Readers: heldReaders, Hold: 50 * time.Second}},
	}
	if quick {
		for i := range all {
			small(&all[i])
		}
	}
	return all
}

// small shortens a scenario to about a second.
func small(s *scenario) {
	s.rounds = 1
	s.load.Readers = min(s.load.Readers, 100)
	s.load.Stalled = min(s.load.Stalled, 3)
	s.load.Warm = min(s.load.Warm, 10)
	s.load.Messages = min(s.load.Messages, 300)
	s.load.Flows = min(s.load.Flows, 100)
	s.load.Hold = min(s.load.Hold, 10*time.Millisecond)
	if s.load.Rate > 0 {
		s.load.Rate, s.portable = 400, 0
	}
}

func names(scenarios []scenario) (names []string) {
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

type figure struct {
	scenario string
	label    string
	of       func(load.Result) float64
	show     func(float64) string
	ratioTo  string // server to compare with; empty: no comparison
}

func perSecond(n int64, seconds float64) float64 { return quotient(float64(n), seconds) }

func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

func postsPerSecond(r load.Result) float64 { return perSecond(r.Accepted, r.PublishSeconds) }
func cpuPerPost(r load.Result) float64 {
	return quotient(float64(r.ServerCPU)/1e3, float64(r.Accepted))
}
func delivered(r load.Result) float64 { return perSecond(r.Delivered, r.DeliverSeconds) }
func cpuPerDelivery(r load.Result) float64 {
	return quotient(float64(r.ServerCPU)/1e3, float64(r.Delivered))
}
func p50(r load.Result) float64            { return milliseconds(r.P50) }
func p99(r load.Result) float64            { return milliseconds(r.P99) }
func replayed(r load.Result) float64       { return r.DeliverSeconds * 1e3 }
func resyncs(r load.Result) float64        { return float64(r.Resyncs) }
func connectSeconds(r load.Result) float64 { return r.ConnectSeconds }
func longestGap(r load.Result) float64     { return r.LongestGap.Seconds() }
func idleKiB(readers int) func(load.Result) float64 {
	return func(r load.Result) float64 { return float64(r.IdleBytes) / 1024 / float64(readers) }
}

func thousands(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2fM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1fk", v/1e3)
	}
	return fmt.Sprintf("%.0f", v)
}
func tenths(v float64) string { return fmt.Sprintf("%.1f", v) }
func whole(v float64) string  { return fmt.Sprintf("%.0f", v) }

// figures returns the rows of the table. Some labels have numbers from loads.
func figures(loads map[string]load.Scenario) []figure {
	return []figure{
		{ingest, "ingest, 16 publishers, no subscribers: POST/s", postsPerSecond, thousands, plain},
		{ingest, "CPU µs per POST", cpuPerPost, tenths, ""},
		{oneTo100, "1 publisher to 100 subscribers: deliveries/s", delivered, thousands, plain},
		{oneTo100, "CPU µs per delivery", cpuPerDelivery, tenths, ""},
		{oneTo1000, "1 publisher to 1,000: deliveries/s", delivered, thousands, plain},
		{oneTo1000, "CPU µs per delivery", cpuPerDelivery, tenths, ""},
		{eightTo1000, "8 publishers to 1,000: deliveries/s", delivered, thousands, plain},
		{eightTo1000, "CPU µs per delivery", cpuPerDelivery, tenths, ""},
		{latency, "20 messages a second to 1,000: p50 ms", p50, tenths, limit},
		{latency, "p99 ms", p99, tenths, limit},
		{latency, "CPU µs per delivery", cpuPerDelivery, tenths, ""},
		{allFlows, fmt.Sprintf("4 publishers to %d streams of all of %d flows: deliveries/s", loads[allFlows].Readers, loads[allFlows].Flows), delivered, thousands, plain},
		{allFlows, "CPU µs per delivery", cpuPerDelivery, tenths, ""},
		{allFlows, "until all streams have all flows, s", connectSeconds, tenths, ""},
		{idle, fmt.Sprintf("%d idle subscribers: KiB each", loads[idle].Readers), idleKiB(loads[idle].Readers), tenths, ""},
		{replayOne, "replay of 4,000 to 1: ms", replayed, tenths, plain},
		{replayFifty, "replay of 4,000 to 50 at once: ms", replayed, tenths, plain},
		{sustained, "2,000 messages a second to 1,000 for 60 s: snapshots in place of messages", resyncs, whole, ""},
		{sustained, "accepted messages a second", postsPerSecond, whole, ""},
		{sustained, "p50 ms", p50, tenths, ""},
		{sustained, "p99 ms", p99, tenths, ""},
		{sustained, "CPU µs per delivery", cpuPerDelivery, tenths, ""},
		{alone, fmt.Sprintf("the same for 10 s, %d a second on the portable path: p99 ms", portableRate), p99, tenths, ""},
		{beside, "with 20 stalled subscribers: p99 ms", p99, tenths, ""},
		{held, fmt.Sprintf("%d subscribers: longest silence, s", loads[held].Readers), longestGap, tenths, ""},
		{held, "KiB each", idleKiB(loads[held].Readers), tenths, ""},
	}
}

func (s scenario) brief(r load.Result) string {
	text := ""
	for _, f := range figures(map[string]load.Scenario{s.name: s.load}) {
		if f.scenario == s.name {
			text += fmt.Sprintf("%s %s; ", f.label, f.show(f.of(r)))
		}
	}
	if r.ReaderBusy > 0.9 {
		text += "the generator's reader was the bottleneck; "
	}
	return text[:len(text)-2]
}
