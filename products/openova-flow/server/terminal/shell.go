package terminal

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	// program matches names and paths of programs, never an assignment.
	program = regexp.MustCompile(`^[A-Za-z0-9._/][A-Za-z0-9._/-]*$`)
	option  = regexp.MustCompile(`^--?[A-Za-z0-9][A-Za-z0-9-]*(=|$)`)
	// plain matches arguments that no shell changes.
	plain = regexp.MustCompile(`^[A-Za-z0-9._:/@,-][A-Za-z0-9._:/@,=-]*$`)
	// key stays outside of the quotes, for readability.
	key = regexp.MustCompile(`^[A-Za-z0-9-]+=`)
)

// maxArgument is the limit for an argument, in bytes. No name in a cluster is longer.
const maxArgument = 1024

// Shell returns a line that makes a POSIX shell run exactly argv, for a person to copy. Arguments that are not plain are in single quotes. It returns
// false if no line is safe to paste: an argument has control or invisible characters or invalid UTF-8, is longer than 1,024 bytes, or begins with a dash but
// is not an option, or argv[0] is not a program name. It does not reject the shell's own words, such as if: callers only run kubectl and flux.
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
