// Package cli has the commands and the settings that the server programs share.
package cli

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

	"github.com/openova-io/openova/products/openova-flow/server/app"
	"github.com/openova-io/openova/products/openova-flow/server/internal/settings"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// Program is a server program.
type Program struct {
	Name    string // name of the binary
	Does    string // one sentence for its help
	Version string // release version; empty: the version that the Go toolchain recorded

	Settings []Setting // in addition to those of every server

	// Prepare completes the configuration before serving starts. If it succeeds, the returned release, which may be nil, is called before Run returns.
	Prepare func(context.Context, *app.Config) (release func(), err error)
}

// Setting is an environment variable and its flag.
type Setting = settings.Setting

// ErrNotAllowed is the error of Setting.Set if the list of allowed values says all that is wrong with the value.
var ErrNotAllowed = settings.ErrNotAllowed

// All returns every setting of the program, for documentation. For a setting of every server, Set only checks the value.
func (p Program) All() []Setting { return p.settings(new(config)) }

// settings returns every setting of the program. Settings of every server store their value in c.
func (p Program) settings(c *config) []Setting {
	var all []Setting
	for _, s := range commonSettings {
		all = append(all, Setting{Env: s.env, Default: s.def, Allowed: s.allowed, Help: s.help, Set: func(v string) error { return s.set(c, v) }})
	}
	return append(all, p.Settings...)
}

// Main runs the program. If it fails, Main ends the process with the code of the ExitCode; without one, with 2 and an error message.
func (p Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := p.Run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	var exit ExitCode
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &exit):
		os.Exit(int(exit))
	default:
		terminal.PrintError(os.Stderr, p.Name, err)
		os.Exit(2)
	}
}

// ExitCode is an error that ends the process with this code, and without an error message.
type ExitCode int

func (c ExitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// Run runs a command until it is done or ctx ends. args[0] is the command, serve by default.
func (p Program) Run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	command := "serve"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	switch command {
	case "serve":
		cfg, err := p.parse(args, getenv, stderr)
		if err != nil {
			return err
		}
		return p.serve(ctx, cfg, getenv, stderr)
	case "healthcheck":
		return p.healthcheck(ctx, args, getenv, stderr)
	case "token":
		return token(args, stdout, stderr)
	case "wait":
		return wait(ctx, args, stdout, stderr)
	case "version":
		_, err := fmt.Fprintln(stdout, p.version())
		return err
	case "help":
		p.usage(stdout)
		return nil
	}
	return fmt.Errorf("unknown command %s; allowed: serve (the default), healthcheck, token, wait, version, help", terminal.Argument(command))
}

// parseFlags parses the flags of a command. It writes errors and help to stderr.
func parseFlags(fs *flag.FlagSet, args []string, stderr io.Writer) error {
	fs.SetOutput(io.Discard) // errors of the flag package repeat their input unescaped
	err := terminal.FlagError(fs.Parse(args))
	if err == nil {
		return nil
	}
	if !errors.Is(err, flag.ErrHelp) {
		terminal.PrintError(stderr, fs.Name(), err)
	}
	fs.SetOutput(stderr)
	fmt.Fprintf(stderr, "Flags of %s:\n", fs.Name())
	fs.PrintDefaults()
	return err
}

// version returns the release version, else the version that the Go toolchain recorded, else dev.
func (p Program) version() string {
	if p.Version != "" {
		return p.Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

func (p Program) usage(w io.Writer) {
	fmt.Fprintf(w, `%[1]s %[2]s

  %[1]s [serve] [flags]     serve; every flag is an environment variable too
  %[1]s healthcheck         exit 0 when the server on FLOW_SERVER_LISTEN_ADDR is ready
  %[1]s token new [--name N] [--scopes read,ingest] [--flows prod-*] [--regions fsn1]
                                          print a new token, and the entry for FLOW_SERVER_TOKENS_FILE
  %[1]s wait --url U --flow F [--revision REV] [--region R] [--timeout D]
                                          wait until a revision is applied and ready, or everything is ready: exit 0; failed: 1; timed out: 2; invalid flags: 3
  %[1]s version

`, p.Name, p.Does)
	_, _ = io.WriteString(w, settings.Usage(p.All()))
}
