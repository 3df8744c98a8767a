package terminal

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// LogLimit is the limit of Attr for a value, in bytes.
const LogLimit = 4 << 10

// Attr is a slog.HandlerOptions.ReplaceAttr that makes the message and the values of a log line safe to print. The handlers of slog escape only
// some control characters, and cut nothing.
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

// errorLimit is the limit of PrintError for an error, in bytes.
const errorLimit = 2 << 10

// PrintError writes the name of a program and an error on one line. If err is of errors.Join, each of its errors gets its own line.
func PrintError(w io.Writer, program string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var texts []string
		for _, one := range joined.Unwrap() {
			texts = append(texts, one.Error())
		}
		if strings.Join(texts, "\n") == err.Error() { // errors.Join, not fmt.Errorf with a text of its own
			for _, one := range joined.Unwrap() {
				PrintError(w, program, one)
			}
			return
		}
	}
	fmt.Fprintf(w, "%s: %s\n", program, Text(err.Error(), errorLimit))
}
