package terminal

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// LogLimit is the bytes that Attr leaves of a value.
const LogLimit = 4 << 10

// Attr is a slog.HandlerOptions.ReplaceAttr that makes what a log line says safe to print, the message too. The handlers of slog escape
// control characters in part only, and cut nothing.
func Attr(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(Text(a.Value.String(), LogLimit))
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case slog.Level, *slog.Source: // the handler's own
		default:
			a.Value = slog.StringValue(Text(fmt.Sprintf("%+v", v), LogLimit))
		}
	}
	return a
}

// errorLimit is the bytes that PrintError leaves of an error.
const errorLimit = 2 << 10

// PrintError writes why a program ends: its name and the error on one line. What errors.Join has put together gets a line for each.
func PrintError(w io.Writer, program string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var texts []string
		for _, one := range joined.Unwrap() {
			texts = append(texts, one.Error())
		}
		if strings.Join(texts, "\n") == err.Error() { // not one of fmt.Errorf, which has a text of its own
			for _, one := range joined.Unwrap() {
				PrintError(w, program, one)
			}
			return
		}
	}
	fmt.Fprintf(w, "%s: %s\n", program, Text(err.Error(), errorLimit))
}
