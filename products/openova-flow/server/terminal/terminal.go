// Package terminal makes text of unknown origin safe to print: on a terminal, in a log file and in the log of a CI job.
package terminal

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const ellipsis = "…"

// Text returns s as one line of at most limit bytes that is safe to print. Printable characters stay, so most texts are unchanged. All others are
// escaped like strconv.Quote does, without the quotes: control characters and escape sequences, line breaks, bidirectional controls, invisible
// characters, invalid UTF-8. A colon at the start, also after spaces, and a number sign after another one are escaped too: CI systems run lines such as
// "::error::" and "##vso[task.setvariable]" as commands.
//
// A text that is too long is cut, never within a character or an escape, and ends in an ellipsis if limit has space for one. Text is idempotent for one limit.
func Text(s string, limit int) string {
	var b strings.Builder
	fits := 0                // length of b that leaves space for the ellipsis
	last, blank := ' ', true // blank: only spaces so far
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		shown := s[i : i+size]
		switch {
		case r == utf8.RuneError && size == 1:
			shown = escapeByte(s[i])
		case r == ':' && blank, r == '#' && last == '#':
			shown = escapeByte(s[i])
		case !visible(r):
			quoted := strconv.QuoteRuneToASCII(r)
			shown = quoted[1 : len(quoted)-1]
		}
		if b.Len()+len(shown) > limit {
			if limit < len(ellipsis) {
				return ""
			}
			return b.String()[:fits] + ellipsis
		}
		b.WriteString(shown)
		if b.Len() <= limit-len(ellipsis) {
			fits = b.Len()
		}
		last, blank = r, blank && r == ' '
		i += size
	}
	return b.String()
}

// visible reports whether a terminal shows r. Some letters and marks are printable according to Go, but invisible.
func visible(r rune) bool {
	return strconv.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func escapeByte(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{'\\', 'x', digits[b>>4], digits[b&15]})
}
