//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openova-io/openova/bench/fanout/load"
)

func TestRun_EveryServerDeliversEachMessageOnce(t *testing.T) {
	t.Chdir("../..")
	record := filepath.Join(t.TempDir(), "runs.jsonl")
	var out, log bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-servers", "limit,floor,plain,portable,fast", "-json", record}, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	var table bytes.Buffer
	if err := run(t.Context(), []string{"-from", record, "-check"}, &table, &log); err != nil || !strings.Contains(table.String(), "| | limit | floor | plain | portable | fast |") {
		t.Errorf("-from: %v\n%s", err, table.String())
	}
	file, err := os.Open(record)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	done := map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var r single
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		done[r.Scenario+" of "+r.Server] = true
		s, got := r.Load, r.Result
		want := int64(s.Readers * s.Messages)
		if got.Resyncs > 0 || got.Delivered != want || got.Accepted != int64(s.Messages) {
			t.Errorf("%s of %s: %d of %d deliveries, %d resyncs", r.Scenario, r.Server, got.Delivered, want, got.Resyncs)
		}
		if r.Server == portable && s.Readers > 0 && !got.Chunked {
			t.Errorf("%s of %s was not answered in chunks", r.Scenario, r.Server)
		}
		if got.ServerCPU <= 0 && s.Kind != load.Idle {
			t.Errorf("%s of %s took no CPU time", r.Scenario, r.Server)
		}
	}
	for _, s := range scenarios(true) {
		for _, server := range []string{limit, floor, plain, portable, fast} {
			left := s.oursOnly && server != portable && server != fast || s.resumes && server == limit || server == floor && s.name != idle
			if done[s.name+" of "+server] == left {
				t.Errorf("%s of %s was run: %v, want %v", s.name, server, left, !left)
			}
		}
	}
}

func TestWriteTable_MediansAndRatiosToPlain(t *testing.T) {
	m := &measured{}
	add := func(scenario, server string, round int, r load.Result) {
		m.runs = append(m.runs, single{Scenario: scenario, Server: server, Round: round, Result: r})
	}
	for round, perSecond := range []int64{100, 300, 200} {
		add(oneTo1000, plain, round, load.Result{Delivered: perSecond, DeliverSeconds: 1})
		add(oneTo1000, fast, round, load.Result{Delivered: perSecond * 13, DeliverSeconds: 1})
		add(oneTo1000, portable, round, load.Result{Delivered: perSecond, DeliverSeconds: 1})
	}
	var table, targets strings.Builder
	writeTable(&table, m)
	if want := "| 1 publisher to 1,000: deliveries/s | 200 | 200 (1.00×) | 2600 (13.00×) |\n"; !strings.Contains(table.String(), want) {
		t.Errorf("no %q in\n%s", want, table.String())
	}
	if strings.Contains(table.String(), "ingest") {
		t.Errorf("an empty row in\n%s", table.String())
	}
	writeTargets(&targets, m)
	for _, want := range []string{
		"| fast: 1 to 1,000, compared with plain | at least 12.00× | 13.00× | yes |\n",
		"| portable: 1 to 1,000, compared with plain | at least 1.70× | 1.00× | no |\n",
		"| fast: ingest, compared with plain | at least 0.75× | not measured | |\n",
	} {
		if !strings.Contains(targets.String(), want) {
			t.Errorf("no %q in\n%s", want, targets.String())
		}
	}
}

func TestRun_RejectsInvalidFlags(t *testing.T) {
	for _, tt := range []struct{ args, wantPart string }{
		{"-only nothing", `"nothing"; allowed: ingest, `},
		{"-servers nothing", `"nothing"; allowed: limit, `},
		{"-also nothing", "name=binary"},
		{"-quick -check", "-check and -quick"},
		{"-from .", "is a directory"},
	} {
		var out, log bytes.Buffer
		err := run(t.Context(), strings.Fields(tt.args), &out, &log)
		if err == nil || !strings.Contains(err.Error(), tt.wantPart) {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.wantPart)
		}
	}
}
