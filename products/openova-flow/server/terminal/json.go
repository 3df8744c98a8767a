package terminal

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON makes a JSON text safe to print, like Text, but with JSON escapes and without a limit: the value stays the same. Between values, line feeds and tabs
// stay, and carriage returns become spaces.
func JSON(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == '#' || r == utf8.RuneError || !layout(r) && !visible(r) }) {
		return s
	}
	var b strings.Builder
	var last rune
	for _, r := range s { // invalid UTF-8 becomes the replacement character, as it does for decoders
		switch {
		case r == '\r': // between values
			b.WriteByte(' ')
		case layout(r) || visible(r) && (r != '#' || last != '#'):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		last = r
	}
	return b.String()
}

// layout reports whether r is a line feed or a tab, which JSON has only between values.
func layout(r rune) bool { return r == '\n' || r == '\t' }

// JSONWriter returns a writer that writes JSON(p) to w for each p. Each p must be a whole JSON text, or several.
func JSONWriter(w io.Writer) io.Writer { return jsonWriter{w} }

type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(j.w, JSON(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
