package flow

import (
	"strconv"
	"strings"
)

// unknown reads a field that v1 does not know. It is kept, unless it is one of the known in another case: that is a mistake
// which would otherwise lose the field silently.
func (d *decoder) unknown(key string, known []string) error {
	for _, name := range known {
		if strings.EqualFold(key, name) {
			return refuse("", "is the field "+name+" in another case; names match exactly")
		}
	}
	_, err := d.skip()
	return err
}

func (d *decoder) text(want string, nonEmpty bool) (string, error) {
	if d.peek() != '"' {
		return "", d.wrong(want)
	}
	s, err := d.str()
	if err == nil && nonEmpty && s == "" {
		return "", refuse("", "must be "+want+", not an empty one")
	}
	return s, err
}

// flowRef reads a flow id that must be the one of the URL.
func (d *decoder) flowRef() (string, error) {
	id, err := d.text("the flow id of the URL", true)
	if err == nil && id != d.flowID {
		return "", refuse("", quoteShort(id)+" is not the flow that it is posted to, "+strconv.Quote(d.flowID))
	}
	return id, err
}

func (d *decoder) time() (Time, error) {
	ms, err := d.integer()
	if err == nil && !d.stored && (ms > maxTime || ms < -maxTime) {
		err = refuse("", "is beyond ±8.64e15 milliseconds, which no date is")
	}
	return At(ms), err
}

func (d *decoder) integer() (int64, error) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return 0, d.wrong("an integer")
	}
	text, integer, err := d.number()
	if err != nil {
		return 0, err
	}
	if !integer {
		return 0, refuse("", "must be an integer without fraction or exponent")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > MaxInteger || n < -MaxInteger {
		return 0, refuse("", "is beyond ±(2^53 - 1)")
	}
	return n, nil
}

func (d *decoder) meta() (Object, error) {
	if d.peek() != '{' {
		return "", d.wrong("an object")
	}
	s, err := d.skip()
	return Object(s), err
}

// wrong says that a value is of the wrong kind, or that there is none.
func (d *decoder) wrong(want string) error {
	got := "nothing"
	switch c := d.peek(); {
	case c == 0 && d.pos >= len(d.s):
		return d.unexpected(want)
	case c == '{':
		got = "an object"
	case c == '[':
		got = "an array"
	case c == '"':
		got = "a string"
	case c == 't' || c == 'f':
		got = "a boolean"
	case c == 'n':
		got = "null"
	case c == '-' || c >= '0' && c <= '9':
		got = "a number"
	default:
		return d.unexpected(want)
	}
	return refuse("", "must be "+want+", not "+got)
}

// quoteShort quotes a sender's text for an error message, cut to a length that cannot flood it.
func quoteShort(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
