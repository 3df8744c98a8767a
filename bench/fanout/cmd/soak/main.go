// Command soak puts the server under load for a while and fails on any fault.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/openova-io/openova/bench/fanout/soak"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "soak: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	duration := flag.Duration("time", 20*time.Minute, "duration of the load")
	rate := flag.Int("rate", 2000, "messages a second")
	subscribers := flag.Int("subscribers", 500, "number of subscribers")
	program := flag.String("server", "", "path of the server; empty: build it")
	flag.Parse()
	if *program == "" {
		dir, err := os.MkdirTemp("", "soak")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		*program = filepath.Join(dir, "openova-flow-server")
		if err := soak.Build(ctx, *program); err != nil {
			return err
		}
	}
	return soak.Run(ctx, soak.Config{Program: *program, Time: *duration, Rate: *rate, Flows: 10, Subscribers: *subscribers, Ring: 4096, Pause: 45 * time.Second,
		WriteTimeout: 30 * time.Second, DeleteOneIn: 5000, Log: os.Stdout})
}
