package terminal

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON returns a JSON text that means the same as s, and in whose strings nothing stands that Text would escape. Escapes are
// those of JSON; nothing is cut. Line feeds and tabs between the values stay.
func JSON(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == '#' || r == utf8.RuneError || !layout(r) && !visible(r) }) {
		return s
	}
	var b strings.Builder
	var last rune
	for _, r := range s { // invalid UTF-8 becomes the replacement character, as it does for decoders
		switch {
		case r == '\r': // between values, as layout
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

// layout reports whether r may stand between JSON values, and then not in them.
func layout(r rune) bool { return r == '\n' || r == '\t' }

// JSONWriter returns a writer that passes JSON on to w as JSON makes it safe. Each Write must have whole characters.
func JSONWriter(w io.Writer) io.Writer { return jsonWriter{w} }

type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(j.w, JSON(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
