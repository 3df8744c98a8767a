package flow

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Error describes an invalid message, batch or element.
type Error struct {
	Field string // invalid field, such as nodes[3].status; empty if the error is not about a field
	Line  int    // line in the batch, from 1; 0 if the error is not about a line
	Msg   string // what is wrong

	tooLarge bool
}

// Is makes errors.Is(err, ErrTooLarge) true for a message over the size limit.
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

// within adds the name of the enclosing field to the field of an error.
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
	// A field name is input, so the part of it that an error repeats is limited.
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
