package flow

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Error says why a message is refused.
type Error struct {
	Field string // the offending field, such as nodes[3].status; empty when it is the message as a whole
	Line  int    // the line of a batch, from 1; 0 when there is no batch
	Msg   string // what is wrong and what is allowed

	tooLarge bool
}

// Is makes errors.Is(err, ErrTooLarge) true for a message over the bound.
func (e *Error) Is(target error) bool { return target == ErrTooLarge && e.tooLarge }

func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Msg)
	return b.String()
}

func refuse(field, msg string) error { return &Error{Field: field, Msg: msg} }

// within puts the field that an error names inside of another field.
func within(field string, err error) error {
	var e *Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Field == "":
		e.Field = field
	case e.Field[0] == '[':
		e.Field = field + e.Field
	default:
		e.Field = field + "." + e.Field
	}
	// A field name is the sender's own text; what is echoed of it stays short.
	e.Field = cutField(e.Field)
	return e
}

func cutField(field string) string {
	if len(field) <= maxFieldEcho {
		return field
	}
	return strings.ToValidUTF8(field[:maxFieldEcho], "") + "…"
}

const maxFieldEcho = 200

func withinIndex(i int, err error) error {
	if err == nil {
		return nil
	}
	return within("["+strconv.Itoa(i)+"]", err)
}
