package terminal

import (
	"errors"
	"fmt"
	"strconv"
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

// FlagError returns err, an error of flag.FlagSet.Parse, or one without the flag's name or value if that may contain a secret.
func FlagError(err error) error {
	if err == nil {
		return nil
	}
	for _, before := range []string{"invalid value ", "invalid boolean value "} {
		after, ok := strings.CutPrefix(err.Error(), before)
		quoted, bad := strconv.QuotedPrefix(after)
		if !ok || bad != nil {
			continue
		}
		if value, _ := strconv.Unquote(quoted); !Secret(value) {
			return err
		}
		name, _, _ := strings.Cut(after[len(quoted):], ": ") // such as " for flag -name"
		return fmt.Errorf("invalid value%s (it %s)", name, HiddenSecret)
	}
	if Secret(err.Error()) {
		return errors.New("unknown flag (it " + HiddenSecret + ")")
	}
	return err
}

// Secret reports whether the value of a setting or an argument may contain a secret that must not be logged: something before an @, like the user and
// password of a URL, or a URL's query or fragment.
func Secret(value string) bool {
	return strings.Contains(value, "@") || strings.Contains(value, "%40") || strings.Contains(value, ":") && strings.ContainsAny(value, "?#")
}
