package httpapi

import (
	"net/http"

	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n"))
}

// loading describes a server that has not loaded its flows yet.
func loading(status hub.LogStatus) string {
	if status.Err == nil {
		return "the server is loading its flows"
	}
	return "the server cannot load its flows: " + status.Err.Error()
}

// readyz answers 503 while the server starts, loads or shuts down, or while its log accepts no changes.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	status := s.hub.LogStatus()
	switch {
	case !s.ready.Load() || !status.Loaded:
		detail := "the server is starting or shutting down"
		if !status.Loaded {
			detail = loading(status)
		}
		writeProblem(w, problem{Status: http.StatusServiceUnavailable, Detail: detail, RetryAfter: 1})
		return
	case status.Err != nil:
		writeProblem(w, problem{Status: http.StatusServiceUnavailable, Detail: "changes are rejected, reads and streams continue: " + status.Err.Error(), RetryAfter: retryAfterLog})
		return
	}
	s.healthz(w, r)
}
