// Package settings reads the settings of a program from its flags and its environment.
package settings

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// Setting is one environment variable, and its flag.
type Setting struct {
	Env, Default, Allowed, Help string

	// Set stores a value, never an empty one. The error of Parse contains the error of Set, unless that is ErrNotAllowed. For a value that may contain
	// a secret (terminal.Secret), it contains only the cause in an *fs.PathError.
	Set func(value string) error
}

// ErrNotAllowed is the error of Set for a value that is not one of Setting.Allowed, if there is no other cause to report.
var ErrNotAllowed = errors.New("not allowed")

// Flag returns the name of the flag.
func (s Setting) Flag() string {
	name := strings.TrimPrefix(strings.TrimPrefix(s.Env, "FLOW_SERVER_"), "FLOW_PROXY_")
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}

// Parse sets each setting from its flag in args, else from the environment, else to its default. An empty variable counts as unset; an empty flag means the
// default, and an empty default sets nothing. The error for an invalid value has the variable or flag, the value and the cause unless these may contain a
// secret, and the allowed values. The error is flag.ErrHelp if args ask for help.
func Parse(all []Setting, args []string, getenv func(string) string) error {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	given := map[string]string{}
	for _, s := range all {
		flags.Func(s.Flag(), s.Help, func(v string) error { given[s.Flag()] = v; return nil })
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w (the command help lists the flags)", terminal.FlagError(err))
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %s; settings are flags such as --listen-addr=:8080", terminal.Argument(flags.Arg(0)))
	}
	for _, s := range all {
		name, value := s.Env, getenv(s.Env)
		if v, ok := given[s.Flag()]; ok {
			name, value = "--"+s.Flag(), v
		}
		if value == "" {
			value = s.Default
		}
		if value == "" {
			continue
		}
		if err := s.Set(value); err != nil {
			return Invalid(name, value, s.Allowed, err)
		}
	}
	return nil
}

// Invalid returns the error for an invalid value of a variable or flag, as Parse does. err is the cause.
func Invalid(name, value, allowed string, err error) error {
	var file *fs.PathError
	switch {
	case terminal.Secret(value) && errors.As(err, &file):
		return fmt.Errorf("invalid %s: the value %s: %w; allowed: %s", name, terminal.HiddenSecret, file.Err, allowed)
	case terminal.Secret(value):
		return fmt.Errorf("invalid %s: the value %s; allowed: %s", name, terminal.HiddenSecret, allowed)
	case errors.Is(err, ErrNotAllowed):
		return fmt.Errorf("invalid %s %.200q; allowed: %s", name, value, allowed)
	}
	return fmt.Errorf("invalid %s %.200q: %w; allowed: %s", name, value, err, allowed)
}

// Usage lists the settings for help.
func Usage(all []Setting) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "  --%s (%s", s.Flag(), s.Env)
		if s.Default != "" {
			b.WriteString(", default " + s.Default)
		}
		fmt.Fprintf(&b, ")\n        %s; allowed: %s\n", s.Help, s.Allowed)
	}
	return b.String()
}

// Bool reads true or false.
func Bool(v string) (bool, error) {
	if v != "true" && v != "false" {
		return false, ErrNotAllowed
	}
	return v == "true", nil
}

// CheckListen checks an address to listen on.
func CheckListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return nil
}

// CheckBasePath checks a path prefix of all URLs.
func CheckBasePath(path string) error {
	if !strings.HasPrefix(path, "/") || !strings.HasSuffix(path, "/") || strings.Contains(path, "//") {
		return ErrNotAllowed
	}
	return nil
}
