//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/openova-io/openova/bench/fanout/load"
)

// profiledScenarios are long enough for a profile.
var profiledScenarios = []scenario{
	{name: ingest, load: load.Scenario{Kind: load.Fanout, Publishers: 16, Warm: 2000, Messages: 150_000}},
	{name: eightTo1000, load: load.Scenario{Kind: load.Fanout, Readers: 1000, Publishers: 8, Messages: 3500}},
	{name: latency, load: load.Scenario{Kind: load.Fanout, Readers: 1000, Messages: 300, Rate: 20}},
}

// writeProfiles profiles the server in some scenarios and writes the functions that took most CPU time.
func writeProfiles(ctx context.Context, dir string, o options, log io.Writer) error {
	if err := goBuild(ctx, ".", dir, "./cmd/profiled"); err != nil {
		return err
	}
	if err := os.MkdirAll(o.into, 0o755); err != nil {
		return err
	}
	binary, raw := filepath.Join(dir, "profiled"), filepath.Join(dir, "cpu.out")
	for _, s := range profiledScenarios {
		p, err := start(ctx, server{binary: binary, args: func(addr string) []string { return []string{"-listen", addr, "-cpuprofile", raw} }})
		if err != nil {
			return err
		}
		result, err := load.Run(load.Server{Addr: p.addr, PID: p.cmd.Process.Pid}, s.load)
		if err != nil {
			p.kill()
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := p.end(); err != nil {
			return fmt.Errorf("profiled: %w", err)
		}
		path := filepath.Join(o.into, s.name+"-"+o.profile+".txt")
		if err := writeTop(ctx, path, binary, raw); err != nil {
			return err
		}
		fmt.Fprintf(log, "%s: %s\n", path, s.brief(result))
	}
	return nil
}

// writeTop writes the functions with the most CPU time, without and with the functions that they call.
func writeTop(ctx context.Context, path, binary, raw string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for _, order := range []string{"-flat", "-cum"} {
		cmd := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", order, "-nodecount=40", binary, raw)
		var problems strings.Builder
		cmd.Stdout, cmd.Stderr = file, &problems
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go tool pprof of %s: %w\n%s", raw, err, &problems)
		}
	}
	return file.Close()
}
