// Command openova-flow-relay follows a flow server and notifies other services of rollouts, root causes, failing sources, stale regions and revisions.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // quiet hours name time zones, and images have none

	"github.com/openova-io/openova/products/openova-flow/relay/app"
	"github.com/openova-io/openova/products/openova-flow/relay/rules"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// version is set by the linker in release builds.
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, app.ErrNotTaken):
		os.Exit(1)
	default:
		terminal.PrintError(os.Stderr, "openova-flow-relay", err)
		os.Exit(2)
	}
}

const usage = `openova-flow-relay follows a flow server and notifies other services of rollouts, root causes, failing sources, stale regions and revisions.

  openova-flow-relay [run] --config F         relay until SIGTERM
  openova-flow-relay run --config F --dry-run RECORDING
                                              print the notices that would be sent for a recording: a saved answer of
                                              GET /v1/flows/{flowId}/events, or - for standard input
  openova-flow-relay test --config F          send a notice of each kind except revisions to each channel that takes it, and
                                              print the results: exit 0, or 1 if a channel did not take one
  openova-flow-relay check --config F         check the configuration
  openova-flow-relay version

`

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	command := "run"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	if command == "help" {
		_, err := io.WriteString(stdout, usage)
		return err
	}
	if command == "version" {
		_, err := fmt.Fprintln(stdout, buildVersion())
		return err
	}
	if command != "run" && command != "test" && command != "check" {
		return fmt.Errorf("unknown command %s; allowed: run (the default), test, check, version, help", terminal.Argument(command))
	}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors of the flag package repeat their input unescaped
	config := flags.String("config", "", "the configuration file")
	outboxFile := flags.String("outbox", "relay.db", "the file that keeps sent and queued notices")
	queue := flags.Int("queue", 0, "how many notices may wait for each channel (default 1000)")
	listen := flags.String("listen-addr", "127.0.0.1:8083", "address of /healthz, /readyz and /metrics")
	level := flags.String("log-level", "info", "debug, info, warn or error")
	dryRun := flags.String("dry-run", "", "print the notices that would be sent for this recording")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stderr, usage)
		flags.SetOutput(stderr)
		flags.PrintDefaults()
		return err
	} else if err != nil {
		return fmt.Errorf("%w (openova-flow-relay -h lists the flags)", terminal.FlagError(err))
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %s", terminal.Argument(flags.Arg(0)))
	}
	if command != "run" {
		var foreign error
		flags.Visit(func(f *flag.Flag) {
			if f.Name != "config" {
				foreign = fmt.Errorf("--%s is a flag of run; %s has only --config", f.Name, command)
			}
		})
		if foreign != nil {
			return foreign
		}
	}
	if *config == "" {
		return errors.New("--config is required")
	}
	if command != "run" {
		c, err := rules.Read(*config)
		if err != nil {
			return err
		}
		if command == "check" {
			_, err := fmt.Fprintf(stdout, "valid: %d channels, %d rules\n", len(c.Channels), len(c.Rules))
			return err
		}
		return app.Probe(ctx, c, nil, stdout)
	}
	if *dryRun != "" {
		return printDryRun(*config, *dryRun, stdin, stdout)
	}
	if *queue < 0 {
		return fmt.Errorf("invalid --queue %d; allowed: a positive number, or 0 for the default", *queue)
	}
	var logLevel slog.Level
	if err := logLevel.UnmarshalText([]byte(*level)); err != nil {
		return fmt.Errorf("invalid --log-level %.100q; allowed: debug, info, warn, error", *level)
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("--listen-addr: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: logLevel, ReplaceAttr: terminal.Attr}))
	return app.Run(ctx, app.Config{File: *config, Outbox: *outboxFile, Queue: *queue, Listener: l, Version: buildVersion(), Log: log})
}

// printDryRun prints the notices for a recording; - is stdin.
func printDryRun(config, recording string, stdin io.Reader, stdout io.Writer) error {
	c, err := rules.Read(config)
	if err != nil {
		return err
	}
	if recording == "-" {
		return app.DryRun(c, stdin, stdout)
	}
	f, err := os.Open(recording)
	if err != nil {
		return fmt.Errorf("--dry-run: %w", err)
	}
	defer f.Close()
	return app.DryRun(c, f, stdout)
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
