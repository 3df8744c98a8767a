//go:build linux

// Command load runs one scenario on a running server and prints the result as JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/openova-io/openova/bench/fanout/load"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load: "+err.Error())
		os.Exit(1)
	}
}

func run() error {
	var server load.Server
	var s load.Scenario
	flag.StringVar(&server.Addr, "addr", "127.0.0.1:8080", "address of the server, IPv4 loopback")
	flag.StringVar(&server.Flow, "flow", "bench", "flow to post to and to read")
	flag.IntVar(&server.PID, "pid", 0, "process id of the server, for its CPU time and memory; 0: not measured")
	flag.StringVar((*string)(&s.Kind), "kind", string(load.Fanout), "fanout, idle or replay")
	flag.IntVar(&s.Flows, "flows", 0, "flows that get the messages of a fanout in turn, and that each reader follows; 0: one flow, followed alone")
	flag.IntVar(&s.Readers, "readers", 100, "readers")
	flag.IntVar(&s.Stalled, "stalled", 0, "additional readers of a fanout that read nothing")
	flag.IntVar(&s.Publishers, "publishers", 1, "keep-alive connections that post")
	flag.IntVar(&s.Messages, "messages", 1000, "messages")
	flag.IntVar(&s.Warm, "warm", 0, "unmeasured messages of a fanout before the measured ones")
	flag.IntVar(&s.Size, "size", 400, "bytes of a message")
	flag.Float64Var(&s.Rate, "rate", 0, "messages a second; 0: each connection posts as soon as it is answered")
	flag.DurationVar(&s.Within, "within", 0, "stop posting after this time; 0: post all")
	flag.DurationVar(&s.Hold, "hold", 0, "idle time of connected readers before memory is read")
	flag.DurationVar(&s.Quiet, "quiet", 0, "silence after which missing messages count as lost; default 5s")
	flag.Parse()
	result, err := load.Run(server, s)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(result); err != nil {
		return err
	}
	if wrong := result.Wrong(); wrong != "" {
		return fmt.Errorf("faults of the server: %s", wrong)
	}
	return nil
}
