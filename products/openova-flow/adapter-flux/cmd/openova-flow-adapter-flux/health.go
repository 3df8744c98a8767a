package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// health serves /healthz, /readyz and /metrics.
type health struct {
	mux http.ServeMux

	mu      sync.Mutex
	reasons []func() []string // each returns a sentence for each reason why the process is not ready
	ending  bool
}

func newHealth(metrics prometheus.Gatherer, reasons ...func() []string) *health {
	h := &health{reasons: reasons}
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	h.mux.HandleFunc("GET /readyz", h.ready)
	h.mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return h
}

func (h *health) add(reason func() []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reasons = append(h.reasons, reason)
}

func (h *health) stopping() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ending = true
}

func (h *health) ready(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	reasons, ending := slices.Clone(h.reasons), h.ending
	h.mu.Unlock()
	var why []string
	if ending {
		why = append(why, "the adapter is stopping")
	}
	for _, r := range reasons {
		for _, reason := range r() {
			why = append(why, terminal.Text(reason, sentenceBytes))
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if len(why) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, strings.Join(why, "\n")+"\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// serve serves on the listener until ctx is done.
func (h *health) serve(ctx context.Context, listener net.Listener, logger *slog.Logger) {
	server := &http.Server{Handler: &h.mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, WriteTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		logger.Error("health server failed", "err", err)
	}
}

func sentence(err error) []string {
	if err == nil {
		return nil
	}
	return []string{err.Error()}
}
