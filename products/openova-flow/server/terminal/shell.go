package terminal

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	// program is what a program is found by, never an assignment.
	program = regexp.MustCompile(`^[A-Za-z0-9._/][A-Za-z0-9._/-]*$`)
	option  = regexp.MustCompile(`^--?[A-Za-z0-9][A-Za-z0-9-]*(=|$)`)
	// plain is what every shell takes as it stands after the name of a program.
	plain = regexp.MustCompile(`^[A-Za-z0-9._:/@,-][A-Za-z0-9._:/@,=-]*$`)
	// key stays outside of the quotes, since it is easier to read so.
	key = regexp.MustCompile(`^[A-Za-z0-9-]+=`)
)

// maxArgument is the bytes of an argument beyond which it names nothing that a cluster has.
const maxArgument = 1024

// Shell returns the line that makes a POSIX shell run exactly argv, for a person to copy: what is not plain is in single quotes. It reports
// false where no line is safe to paste: an argument has control or invisible characters, is longer than 1,024 bytes, or begins with a dash
// and is no option; or the first is no name of a program.
func Shell(argv []string) (string, bool) {
	if len(argv) == 0 || !program.MatchString(argv[0]) {
		return "", false
	}
	words := make([]string, 0, len(argv))
	for _, a := range argv {
		if len(a) > maxArgument || !utf8.ValidString(a) || strings.ContainsFunc(a, func(r rune) bool { return !visible(r) }) || strings.HasPrefix(a, "-") && !option.MatchString(a) {
			return "", false
		}
		if !plain.MatchString(a) {
			k := key.FindString(a)
			a = k + "'" + strings.ReplaceAll(a[len(k):], "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " "), true
}
