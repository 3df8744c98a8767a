package httpapi

import (
	"net/http"

	"github.com/openova-io/openova/products/openova-flow/server/internal/backlog"
	"github.com/openova-io/openova/products/openova-flow/server/internal/eventstream"
)

// recorder is the ResponseWriter of all handlers. It records values for metrics and logs. Large writes have a deadline that moves with progress, so that
// their data does not stay in memory if the client does not read.
type recorder struct {
	http.ResponseWriter
	pace   backlog.Pace
	route  string              // name of the route
	code   int                 // status code, 0 until WriteHeader is called
	stream *eventstream.Stream // set by a handler; ServeHTTP writes the stream after the handler has returned
}

func (w *recorder) Write(b []byte) (int, error) {
	if len(b) <= backlog.PieceBytes {
		return w.ResponseWriter.Write(b)
	}
	deadline := backlog.NewDeadline(w.ResponseWriter)
	return deadline.Write(w.ResponseWriter, w.pace, b)
}

func (w *recorder) WriteHeader(code int) {
	if w.code == 0 && code >= 200 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
