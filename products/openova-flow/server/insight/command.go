package insight

import (
	"regexp"
	"slices"
	"strings"
)

// verbs are what a command that comes with a node may do: look, and tell Flux to try again or to go on.
var verbs = map[string][]string{
	"kubectl": {"auth", "describe", "events", "get", "logs"},
	"flux":    {"debug", "get", "logs", "reconcile", "resume", "tree"},
}

var options = regexp.MustCompile(`^(-n|-A|-o|--for|--reset|--force|--with-source|--tail=\d{1,6}|--raw=/readyz\?verbose|--as=[^-].*)$`)

// offered returns the command if it is one that an adapter offers, else nothing: whoever may write a node could else hand a person any command.
func offered(argv []string) []string {
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
