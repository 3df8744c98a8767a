package terminal

import (
	"fmt"
	"strings"
)

// HiddenSecret is the text of an error in place of a value for which Secret is true.
const HiddenSecret = "seems to contain a secret and is not shown here"

// Argument returns the beginning of an argument, quoted, for an error; a placeholder if the argument may contain a secret.
func Argument(value string) string {
	if Secret(value) {
		return "(it " + HiddenSecret + ")"
	}
	return fmt.Sprintf("%.200q", value)
}

// Secret reports whether the value of a setting or an argument may contain a secret that must not be logged: something before an @, like the user and
// password of a URL, or a URL's query or fragment.
func Secret(value string) bool {
	return strings.Contains(value, "@") || strings.Contains(value, "%40") || strings.Contains(value, ":") && strings.ContainsAny(value, "?#")
}
