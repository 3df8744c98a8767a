package flow

import "strings"

// EachField calls f for each field of a JSON object, in order, with the text of its value. Use it to read a few fields of a node's Meta
// without decoding all of it. Values are not validated again, since Decode has done that. If object is not valid JSON, the result is undefined.
func EachField(object Object, f func(key, value string)) {
	w := walk{s: string(object)}
	for more := w.is('{'); more; more = w.is(',') {
		key, ok := w.key()
		if !ok {
			return
		}
		value := w.value()
		if value == "" {
			return
		}
		f(key, value)
	}
}

// EachElement calls f with the text of each element of a JSON array, in order, until f returns false. Like EachField it does not validate.
// It does not call f for JSON that is not an array.
func EachElement(array string, f func(value string) bool) {
	w := walk{s: array}
	for more := w.is('['); more; more = w.is(',') {
		if value := w.value(); value == "" || !f(value) {
			return
		}
	}
}

// Text returns the decoded value of a JSON string, empty for any other JSON. Without escapes it is a substring of
// value.
func Text(value string) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	p := scanner{s: value}
	text, err := p.str()
	if err != nil {
		return ""
	}
	return text
}

// Keep returns previous if it equals s, otherwise a copy of s. Use it to store a part of a message: without the copy the whole message would stay in
// memory.
func Keep(s, previous string) string {
	if s == previous {
		return previous
	}
	return strings.Clone(s)
}

// walk scans JSON that is known to be valid. On any other input it terminates, with an undefined result.
type walk struct {
	s   string
	pos int
}

func (w *walk) space() {
	for w.pos < len(w.s) && (w.s[w.pos] == ' ' || w.s[w.pos] == '\t' || w.s[w.pos] == '\n' || w.s[w.pos] == '\r') {
		w.pos++
	}
}

// is skips white space, and c if it comes next. It reports whether c came next.
func (w *walk) is(c byte) bool {
	w.space()
	if w.pos == len(w.s) || w.s[w.pos] != c {
		return false
	}
	w.pos++
	return true
}

func (w *walk) key() (string, bool) {
	text := w.value()
	return Text(text), text != "" && text[0] == '"' && w.is(':')
}

// value scans a value and returns its text, empty if there is none.
func (w *walk) value() string {
	w.space()
	start := w.pos
	for depth := 0; w.pos < len(w.s); {
		switch w.s[w.pos] {
		case '"':
			w.text()
			if depth == 0 {
				return w.s[start:w.pos]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				w.pos++
				return w.s[start:w.pos]
			}
			if depth < 0 {
				return w.s[start:w.pos]
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return w.s[start:w.pos]
			}
		}
		w.pos++
	}
	return w.s[start:]
}

// text scans a string. It ends at a quote with an even number of backslashes before it.
func (w *walk) text() {
	start := w.pos
	for w.pos++; ; {
		n := strings.IndexByte(w.s[w.pos:], '"')
		if n < 0 {
			w.pos = len(w.s)
			return
		}
		at := w.pos + n
		w.pos = at + 1
		escapes := 0
		for at-1-escapes > start && w.s[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return
		}
	}
}
