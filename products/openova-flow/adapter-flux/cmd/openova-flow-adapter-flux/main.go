// Command openova-flow-adapter-flux reports the Flux objects of a cluster to a flow server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// version is set at link time; see buildVersion.
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr); err != nil {
		terminal.PrintError(os.Stderr, "openova-flow-adapter-flux", err)
		stop()
		os.Exit(1)
	}
}

type std struct {
	in       io.Reader
	out, err io.Writer
}

// run runs the command in args until it is done or ctx ends.
func run(ctx context.Context, args []string, getenv func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) error {
	s := std{stdin, stdout, stderr}
	command := "run"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	var err error
	switch command {
	case "run":
		err = runCommand(ctx, args, getenv, s)
	case "record":
		err = recordCommand(ctx, args, getenv, s)
	case "replay":
		err = replayCommand(ctx, args, getenv, s)
	case "version":
		_, err = fmt.Fprintln(stdout, buildVersion())
	case "help":
		err = help(args, stdout)
	default:
		err = fmt.Errorf("unknown command %s; allowed: run, record, replay, version, help", terminal.Argument(command))
	}
	if errors.Is(err, errHelp) {
		return help(nil, stdout)
	}
	return err
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
