package flow

import "strings"

// EachField calls f for each field of a JSON object, in the order in which they stand, with the text of its value. It is a way
// to read a few fields of a node's Meta without decoding all of it: what stands in the values is passed over and not checked again, since
// what a message brought has been. Of an object that is not valid JSON there is no telling which fields there are.
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

// EachElement calls f with the text of each element of a JSON array, in their order, until f returns false. It reads like EachField does, no
// further than it is asked to, and finds nothing in what is no array.
func EachElement(array string, f func(value string) bool) {
	w := walk{s: array}
	for more := w.is('['); more; more = w.is(',') {
		if value := w.value(); value == "" || !f(value) {
			return
		}
	}
}

// Text returns what a JSON string means, empty for any other value. Where nothing is escaped it is a part of value.
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

// walk goes through JSON that is known to be valid. Of any other it makes something, and ends.
type walk struct {
	s   string
	pos int
}

func (w *walk) space() {
	for w.pos < len(w.s) && (w.s[w.pos] == ' ' || w.s[w.pos] == '\t' || w.s[w.pos] == '\n' || w.s[w.pos] == '\r') {
		w.pos++
	}
}

// is passes over c, after white space, and reports whether it stood there.
func (w *walk) is(c byte) bool {
	w.space()
	if w.pos == len(w.s) || w.s[w.pos] != c {
		return false
	}
	w.pos++
	return true
}

// key reads a key and the colon after it.
func (w *walk) key() (string, bool) {
	text := w.value()
	return Text(text), text != "" && text[0] == '"' && w.is(':')
}

// value passes over a value and returns its text, empty where there is none.
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

// text passes over a string. A quote ends it unless the backslashes before it are odd in number.
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
