package insight

import (
	"regexp"
	"slices"
	"strings"
)

// verbs lists the subcommands that a node's command may use: they read, or make Flux retry or resume.
var verbs = map[string][]string{
	"kubectl": {"auth", "describe", "events", "get", "logs"},
	"flux":    {"debug", "get", "logs", "reconcile", "resume", "tree"},
}

var options = regexp.MustCompile(`^(-n|-A|-o|--for|--reset|--force|--with-source|--tail=\d{1,6}|--raw=/readyz\?verbose|--as=[^-].*)$`)

// allowedCommand returns argv if its program, subcommand and options are among those that the adapter uses, else nil: a caller that may write a node must
// not be able to suggest arbitrary commands to people.
func allowedCommand(argv []string) []string {
	if len(argv) < 2 {
		return nil
	}
	rest := argv[1:]
	for _, a := range rest {
		if strings.HasPrefix(a, "-") && !options.MatchString(a) {
			return nil
		}
	}
	verb := rest[0]
	if verb == "-n" && len(rest) > 2 {
		verb = rest[2]
	}
	if !slices.Contains(verbs[argv[0]], verb) {
		return nil
	}
	return argv
}
