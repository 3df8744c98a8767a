// Command openova-flow-server folds FlowMessages into flows and streams them to any number of viewers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// version is set by the linker in release builds.
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	var exit exitCode
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &exit):
		os.Exit(int(exit))
	default:
		fmt.Fprintln(os.Stderr, "openova-flow-server: "+err.Error())
		os.Exit(2)
	}
}

// exitCode ends the process with a code of its own, everything having been said already.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	command := "serve"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	switch command {
	case "serve":
		cfg, err := parseConfig(args, getenv, stderr)
		if err != nil {
			return err
		}
		return serve(ctx, cfg, stderr)
	case "healthcheck":
		return healthcheck(ctx, args, getenv, stderr)
	case "token":
		return token(args, stdout, stderr)
	case "wait":
		return wait(ctx, args, stdout, stderr)
	case "version":
		_, err := fmt.Fprintln(stdout, buildVersion())
		return err
	case "help":
		usage(stdout)
		return nil
	}
	return fmt.Errorf("%q is no command; there are serve (the default), healthcheck, token, wait, version and help", command)
}

// buildVersion returns the release version, else what the Go toolchain recorded.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

func usage(w io.Writer) {
	fmt.Fprint(w, `openova-flow-server folds FlowMessages into flows and streams them by Server-Sent Events.

  openova-flow-server [serve] [flags]     serve; every flag is an environment variable too
  openova-flow-server healthcheck         exit 0 when the server on FLOW_SERVER_LISTEN_ADDR is ready
  openova-flow-server token new [--name N] [--scopes read,ingest] [--flows prod-*] [--regions fsn1]
                                          print a new token, and the entry for FLOW_SERVER_TOKENS_FILE
  openova-flow-server wait --url U --flow F [--region R] [--since T] [--timeout D]
                                          wait until all has succeeded: exit 0; failed: 1; timed out: 2
  openova-flow-server version

`)
	_, _ = w.Write([]byte(settingsText()))
}
