package cli

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// token runs the command `token new`. It prints two lines to stdout: a new token, which is stored nowhere, and its entry for the tokens file, which has the
// token's hash.
func token(args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 || args[0] != "new" {
		return errors.New("token has one command: token new")
	}
	made := auth.NewToken()
	e := auth.Entry{SHA256: auth.Hash(made)}
	fs := flag.NewFlagSet("token new", flag.ContinueOnError)
	fs.StringVar(&e.Name, "name", "token-"+e.SHA256[:8], "`name` of the caller in the log")
	scopes := fs.String("scopes", "read", "comma-separated `list` of read, ingest and admin")
	flows := fs.String("flows", "*", "comma-separated `list` of flow ids, in which * stands for any characters")
	regions := fs.String("regions", "", "comma-separated `list` of the regions that the token may write (default: all)")
	if err := parseFlags(fs, args[1:], stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return ExitCode(2)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %s", terminal.Argument(fs.Arg(0)))
	}
	e.Scopes, e.Flows, e.Regions = split(*scopes), split(*flows), split(*regions)
	limited := false
	fs.Visit(func(f *flag.Flag) { limited = limited || f.Name == "regions" })
	if limited && e.Regions == nil { // an unset variable must not allow all regions
		return errors.New("token new: --regions is empty; list regions, or leave the flag out for all")
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("token new: %w", err)
	}
	entry, err := json.Marshal(e)
	if err != nil {
		return err
	}
	fmt.Fprintln(stderr, "The token, which is shown only once, and its entry for the tokens file:")
	_, err = fmt.Fprintf(stdout, "%s\n%s\n", made, entry)
	return err
}

// split returns the parts of a comma-separated list, trimmed, without empty ones.
func split(list string) (parts []string) {
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
