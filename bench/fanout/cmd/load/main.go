//go:build linux

// Command load does one scenario to a server that runs already and prints what came of it as JSON.
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
	flag.StringVar(&server.Addr, "addr", "127.0.0.1:8080", "the server: a loopback IPv4 address and a port")
	flag.StringVar(&server.Flow, "flow", "bench", "the flow to post to and to read")
	flag.IntVar(&server.PID, "pid", 0, "the server's process, to read its CPU time and memory; 0: don't")
	flag.StringVar((*string)(&s.Kind), "kind", string(load.Fanout), "fanout, idle or replay")
	flag.IntVar(&s.Readers, "readers", 100, "readers")
	flag.IntVar(&s.Stalled, "stalled", 0, "further readers that take nothing")
	flag.IntVar(&s.Publishers, "publishers", 1, "keep-alive connections that post")
	flag.IntVar(&s.Messages, "messages", 1000, "messages")
	flag.IntVar(&s.Warm, "warm", 0, "messages before them that are not measured")
	flag.IntVar(&s.Size, "size", 400, "bytes of a message")
	flag.Float64Var(&s.Rate, "rate", 0, "messages a second; 0: each connection posts as soon as it is answered")
	flag.DurationVar(&s.Within, "within", 0, "post what can be posted by then and no more; 0: all")
	flag.DurationVar(&s.Hold, "hold", 0, "how long connected readers are left alone before memory is read")
	flag.DurationVar(&s.Quiet, "quiet", 0, "give up on what is missing when nothing came for so long; 5s")
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
		return fmt.Errorf("the server got it wrong: %s", wrong)
	}
	return nil
}
