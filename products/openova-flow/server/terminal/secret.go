package terminal

import (
	"fmt"
	"strings"
)

// HiddenSecret is what an error says in place of a value that Secret reports on.
const HiddenSecret = "seems to hold a secret, so it is not shown here"

// Argument returns what an error says of an argument: its beginning, quoted, unless it may hold a secret.
func Argument(value string) string {
	if Secret(value) {
		return "(it " + HiddenSecret + ")"
	}
	return fmt.Sprintf("%.200q", value)
}

// Secret reports whether what a program was given, as a setting or an argument, may hold a secret that no error and no log may repeat: something
// before an @, as a URL has its user and password, or a URL with a query or a fragment.
func Secret(value string) bool {
	return strings.Contains(value, "@") || strings.Contains(value, "%40") || strings.Contains(value, ":") && strings.ContainsAny(value, "?#")
}
