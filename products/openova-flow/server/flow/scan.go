package flow

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is the maximum nesting of arrays and objects. The message itself is level 1.
const maxDepth = 64

// manyKeys is the number of keys of an object from which a map finds duplicates faster than comparing all pairs.
const manyKeys = 24

// scanner reads JSON (RFC 8259) from a string of valid UTF-8. It returns substrings of the input unless they have escapes,
// so it rarely allocates.
type scanner struct {
	s     string
	pos   int
	depth int
	space bool     // there was insignificant white space
	valid bool     // the input is known to be valid, without duplicate keys
	keys  []string // keys of the open objects, at most manyKeys of each, the innermost object last
}

func (p *scanner) syntax(format string, args ...any) error {
	return &Error{Msg: "not JSON: " + fmt.Sprintf(format, args...) + " at byte " + strconv.Itoa(p.pos+1)}
}

func (p *scanner) unexpected(want string) error {
	if p.pos >= len(p.s) {
		return p.syntax("it ends where %s is expected", want)
	}
	r, _ := utf8.DecodeRuneInString(p.s[p.pos:])
	return p.syntax("%q where %s is expected", r, want)
}

// peek skips white space and returns the next byte, or 0 at the end.
func (p *scanner) peek() byte {
	for p.pos < len(p.s) {
		switch c := p.s[p.pos]; c {
		case ' ', '\t', '\n', '\r':
			p.space = true
			p.pos++
		default:
			return c
		}
	}
	return 0
}

func (p *scanner) open() error {
	if p.depth == maxDepth {
		return &Error{Msg: fmt.Sprintf("nested deeper than %d levels", maxDepth)}
	}
	p.depth++
	p.pos++
	return nil
}

// object is an object during scanning.
type object struct {
	base int                 // index of its first key in scanner.keys
	n    int                 // number of keys so far
	seen map[string]struct{} // its keys, if it has more than manyKeys
}

func (p *scanner) begin() (object, error) {
	if p.peek() != '{' {
		return object{}, p.unexpected("an object")
	}
	return object{base: len(p.keys)}, p.open()
}

// next reads the next key of an object and the colon. The caller then reads the value. At the end of the object, next reads the
// closing brace and ok is false. A duplicate key is an error, unless p.valid is set.
func (p *scanner) next(o *object) (key string, ok bool, err error) {
	c := p.peek()
	if c == '}' {
		p.pos++
		p.depth--
		p.keys = p.keys[:o.base]
		return "", false, nil
	}
	if o.n > 0 {
		if c != ',' {
			return "", false, p.unexpected("',' or '}'")
		}
		p.pos++
		c = p.peek()
	}
	if c != '"' {
		return "", false, p.unexpected("a key")
	}
	if key, err = p.str(); err != nil {
		return "", false, err
	}
	if err = p.remember(key, o); err != nil {
		return "", false, err
	}
	if p.peek() != ':' {
		return "", false, p.unexpected("':'")
	}
	p.pos++
	o.n++
	return key, true, nil
}

func (p *scanner) remember(key string, o *object) error {
	if p.valid {
		return nil
	}
	mine := p.keys[o.base:]
	duplicate := false
	switch {
	case o.seen != nil:
		_, duplicate = o.seen[key]
		o.seen[key] = struct{}{}
	case len(mine) == manyKeys:
		o.seen = make(map[string]struct{}, 4*manyKeys)
		for _, k := range mine {
			o.seen[k] = struct{}{}
		}
		return p.remember(key, o)
	default:
		for _, k := range mine {
			if k == key {
				duplicate = true
				break
			}
		}
		p.keys = append(p.keys, key)
	}
	if duplicate {
		return &Error{Field: cutField(key), Msg: "appears twice in one object"}
	}
	return nil
}

func (p *scanner) beginArray() error {
	if p.peek() != '[' {
		return p.unexpected("an array")
	}
	return p.open()
}

// more reports whether an array has an element after the first i. The caller then reads it. At the end of the array, more reads
// the closing bracket and returns false.
func (p *scanner) more(i int) (bool, error) {
	c := p.peek()
	switch {
	case c == ']':
		p.pos++
		p.depth--
		return false, nil
	case i == 0:
		return true, nil
	case c != ',':
		return false, p.unexpected("',' or ']'")
	}
	p.pos++
	return true, nil
}

// skip reads any value and returns its bytes. It validates the value, unless p.valid is set.
func (p *scanner) skip() (string, error) {
	c := p.peek()
	start := p.pos
	if p.valid {
		w := walk{s: p.s, pos: p.pos}
		value := w.value()
		p.pos = w.pos
		return value, nil
	}
	var err error
	switch {
	case c == '{':
		err = p.skipObject()
	case c == '[':
		err = p.skipArray()
	case c == '"':
		_, err = p.str()
	case c == '-' || c >= '0' && c <= '9':
		_, _, err = p.number()
	case c == 't':
		err = p.literal("true")
	case c == 'f':
		err = p.literal("false")
	case c == 'n':
		err = p.literal("null")
	default:
		err = p.unexpected("a value")
	}
	if err != nil {
		return "", err
	}
	return p.s[start:p.pos], nil
}

func (p *scanner) skipObject() error {
	o, err := p.begin()
	if err != nil {
		return err
	}
	for {
		key, ok, err := p.next(&o)
		if err != nil || !ok {
			return err
		}
		if _, err := p.skip(); err != nil {
			return within(key, err)
		}
	}
}

func (p *scanner) skipArray() error {
	if err := p.beginArray(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		ok, err := p.more(i)
		if err != nil || !ok {
			return err
		}
		if _, err := p.skip(); err != nil {
			return withinIndex(i, err)
		}
	}
}

func (p *scanner) literal(word string) error {
	if !strings.HasPrefix(p.s[p.pos:], word) {
		return p.unexpected("a value")
	}
	p.pos += len(word)
	return nil
}

// number reads a number and reports whether it has the form of an integer.
func (p *scanner) number() (text string, integer bool, err error) {
	start := p.pos
	if p.at() == '-' {
		p.pos++
	}
	if p.at() == '0' {
		p.pos++
	} else if !p.digits() {
		return "", false, p.unexpected("a digit")
	}
	integer = true
	if p.at() == '.' {
		integer = false
		p.pos++
		if !p.digits() {
			return "", false, p.unexpected("a digit")
		}
	}
	if c := p.at(); c == 'e' || c == 'E' {
		integer = false
		p.pos++
		if c := p.at(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return "", false, p.unexpected("a digit")
		}
	}
	return p.s[start:p.pos], integer, nil
}

func (p *scanner) at() byte {
	if p.pos < len(p.s) {
		return p.s[p.pos]
	}
	return 0
}

func (p *scanner) digits() bool {
	start := p.pos
	for p.pos < len(p.s) && p.s[p.pos] >= '0' && p.s[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}

// str reads a string, from its opening quote, and returns its decoded value.
func (p *scanner) str() (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.s) {
		switch c := p.s[p.pos]; {
		case c == '"':
			p.pos++
			return p.s[start : p.pos-1], nil
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return "", p.syntax("control character %#02x in a string", c)
		}
		p.pos++
	}
	return "", p.unexpected("the end of a string")
}

// escaped reads the rest of a string that begins at start and has an escape at the scanner's position.
func (p *scanner) escaped(start int) (string, error) {
	var b strings.Builder
	b.WriteString(p.s[start:p.pos])
	for p.pos < len(p.s) {
		c := p.s[p.pos]
		switch {
		case c == '"':
			p.pos++
			return b.String(), nil
		case c < ' ':
			return "", p.syntax("control character %#02x in a string", c)
		case c != '\\':
			b.WriteByte(c)
			p.pos++
		default:
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		}
	}
	return "", p.unexpected("the end of a string")
}

// escape reads one escape sequence, or two that form a surrogate pair.
func (p *scanner) escape() (rune, error) {
	p.pos++
	c := p.at()
	p.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := p.hex4()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if strings.HasPrefix(p.s[p.pos:], `\u`) {
			p.pos += 2
			low, err := p.hex4()
			if err != nil {
				return 0, err
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				return r, nil
			}
		}
		return 0, &Error{Msg: "unpaired surrogate in a string at byte " + strconv.Itoa(p.pos)}
	}
	p.pos -= 2
	return 0, p.syntax("an unknown escape in a string")
}

func (p *scanner) hex4() (rune, error) {
	var r rune
	for range 4 {
		c := p.at()
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, p.unexpected("a hexadecimal digit")
		}
		r = r<<4 | rune(c)
		p.pos++
	}
	return r, nil
}

// compact returns s, which is valid JSON, without insignificant white space.
func compact(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	inString := false
	start := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == ' ' || c == '\n' || c == '\r' || c == '\t'):
			b.WriteString(s[start:i])
			start = i + 1
		}
	}
	b.WriteString(s[start:])
	return b.String()
}
