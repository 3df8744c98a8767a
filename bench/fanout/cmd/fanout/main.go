//go:build linux

// Command fanout compares the server with a plain net/http fan-out and a server that only writes, in turns, and prints a table. It fails when a server
// loses, repeats or reorders messages, but not when one misses a target. Run it in the folder of its module.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/bench/fanout/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "fanout: "+err.Error())
		os.Exit(1)
	}
}

type options struct {
	quick   bool
	check   bool
	rounds  int
	servers []string
	only    []string
	also    []string
	record  string
	from    string
	profile string
	into    string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("fanout", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.quick, "quick", false, "few messages and readers: look for faults, do not measure speed")
	flags.BoolVar(&o.check, "check", false, "print which targets are met")
	flags.IntVar(&o.rounds, "rounds", 0, "rounds of each scenario; 0: the scenario's own number")
	list := func(name, usage string, to *[]string) {
		flags.Func(name, usage, func(s string) error { *to = append(*to, strings.Split(s, ",")...); return nil })
	}
	list("servers", "comma-separated servers to measure: limit, floor, plain, portable, fast; default: all but floor", &o.servers)
	list("only", "comma-separated scenarios; default: all", &o.only)
	list("also", "name=binary: another build of the server to measure too; may be repeated", &o.also)
	flags.StringVar(&o.record, "json", "", "file to append a JSON line for each run to")
	flags.StringVar(&o.from, "from", "", "measure nothing, and show the runs in this file written with -json")
	flags.StringVar(&o.profile, "profile", "", "write CPU profiles of the server, with this text in their names, and measure nothing else")
	flags.StringVar(&o.into, "into", "../profiles", "folder for the profiles")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.quick && o.check {
		return o, errors.New("-check and -quick exclude each other: a quick run is too short for the targets")
	}
	known := names(scenarios(o.quick))
	for _, s := range o.only {
		if !slices.Contains(known, s) {
			return o, fmt.Errorf("unknown scenario %q; allowed: %s", s, strings.Join(known, ", "))
		}
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fanout")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.profile != "" {
		return writeProfiles(ctx, dir, o, stderr)
	}
	if o.from != "" {
		return showRecord(stdout, o)
	}
	servers, err := build(ctx, dir, o.servers, o.also)
	if err != nil {
		return err
	}
	m := measured{}
	if o.record != "" {
		file, err := os.OpenFile(o.record, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer file.Close()
		m.record = json.NewEncoder(file)
	}
	faults, err := m.all(ctx, o, servers, stderr)
	if o.quick {
		fmt.Fprintf(stdout, "%d runs, each with a few messages to a few readers\n", len(m.runs))
	} else {
		m.show(stdout, o)
	}
	if err != nil {
		return fmt.Errorf("the measurement is incomplete: %w", err)
	}
	if len(faults) > 0 {
		return fmt.Errorf("faults of servers:\n%s", strings.Join(faults, "\n"))
	}
	return nil
}

type measured struct {
	runs   []single
	record *json.Encoder
}

type single struct {
	At       time.Time     `json:"at"`
	Scenario string        `json:"scenario"`
	Server   string        `json:"server"`
	Round    int           `json:"round"`
	Load     load.Scenario `json:"load"`
	Result   load.Result   `json:"result"`
}

// all runs the selected scenarios. In each round every server has its turn; the order of servers rotates.
func (m *measured) all(ctx context.Context, o options, servers []server, log io.Writer) (faults []string, err error) {
	for _, s := range scenarios(o.quick) {
		if len(o.only) > 0 && !slices.Contains(o.only, s.name) {
			continue
		}
		rounds := s.rounds
		if o.rounds > 0 {
			rounds = o.rounds
		}
		others := s.load.Connections() - s.load.Readers
		if possible, err := load.RaiseFiles(s.load.Connections()); err != nil {
			if possible <= others {
				return faults, err
			}
			fmt.Fprintf(log, "%s: %d readers instead of %d: %v\n", s.name, possible-others, s.load.Readers, err)
			s.load.Readers = possible - others
		}
		for round := range rounds {
			for i := range servers {
				w, err := m.one(ctx, s, round, servers[(i+round)%len(servers)], log)
				if err != nil {
					return faults, err
				}
				faults = append(faults, w...)
			}
		}
	}
	return faults, nil
}

// one runs a scenario on a server, unless it does not apply.
func (m *measured) one(ctx context.Context, s scenario, round int, server server, log io.Writer) (faults []string, err error) {
	if s.oursOnly && !server.ours || s.resumes && !server.resumes || server.silent && s.name != idle {
		return nil, nil
	}
	if server.name == portable && s.portable > 0 {
		s.load.Rate = s.portable
	}
	result, err := runOne(ctx, server, s.load)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", s.name, server.name, err)
	}
	r := single{time.Now().UTC(), s.name, server.name, round, s.load, result}
	m.runs = append(m.runs, r)
	if m.record != nil {
		if err := m.record.Encode(r); err != nil {
			return nil, err
		}
	}
	if w := result.Wrong(); w != "" {
		faults = append(faults, fmt.Sprintf("%s of %s: %s", s.name, server.name, w))
	}
	if server.name == fast && s.load.Readers > 0 && result.Chunked {
		fmt.Fprintf(log, "%s: %s answered in chunks, so it did not use the fast path\n", s.name, server.name)
	}
	fmt.Fprintf(log, "%s, round %d, %s: %s\n", s.name, round+1, server.name, s.brief(result))
	return faults, nil
}

func (m *measured) show(w io.Writer, o options) {
	writeTable(w, m)
	if o.check {
		writeTargets(w, m)
	}
}

func showRecord(w io.Writer, o options) error {
	file, err := os.Open(o.from)
	if err != nil {
		return err
	}
	defer file.Close()
	var m measured
	for in := json.NewDecoder(file); ; {
		var r single
		if err := in.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("%s: %w", o.from, err)
		}
		m.runs = append(m.runs, r)
	}
	m.show(w, o)
	return nil
}
