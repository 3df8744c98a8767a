package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/webui"
)

// shutdownTimeout bounds how long requests in flight may take to finish once connections are being closed.
const shutdownTimeout = 4 * time.Second

// serve runs the server until ctx ends, then drains it: readiness off first, streams end at a frame's boundary, requests in
// flight finish.
func serve(ctx context.Context, cfg config, stderr io.Writer) error {
	log := newLogger(cfg, stderr)
	h := hub.New(cfg.hub)
	cfg.http.Logger, cfg.http.Version, cfg.http.Page = log, buildVersion(), webui.Handler()
	api := httpapi.New(h, cfg.http)

	srv := &http.Server{
		Handler:           underPath(cfg.basePath, api),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true) // gateways speak it with prior knowledge
	srv.RegisterOnShutdown(h.Close)
	listener, err := net.Listen("tcp", cfg.listenAddr)
	if err != nil {
		return fmt.Errorf("FLOW_SERVER_LISTEN_ADDR is %q, which can't be listened on: %w", cfg.listenAddr, err)
	}
	scheme := "http"
	if cfg.tlsCert != "" {
		scheme = "https"
		certs := &certificates{certFile: cfg.tlsCert, keyFile: cfg.tlsKey, log: log}
		if err := certs.load(); err != nil {
			return errors.Join(fmt.Errorf("FLOW_SERVER_TLS_CERT_FILE and FLOW_SERVER_TLS_KEY_FILE: %w", err), listener.Close())
		}
		listener = tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certs.get, NextProtos: []string{"h2", "http/1.1"}})
	}

	var wg sync.WaitGroup
	defer wg.Wait()
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	wg.Go(func() { h.Run(background) })
	failed := make(chan error, 1)
	wg.Go(func() { failed <- srv.Serve(listener) })
	api.SetReady(true)
	log.Info("started", "url", scheme+"://"+reachable(listener.Addr())+cfg.basePath, "version", buildVersion())

	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	api.SetReady(false)
	log.Info("draining")
	time.Sleep(cfg.drainDelay)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(bounded); err != nil {
		log.Warn("requests were cut off", "err", err)
		_ = srv.Close()
	}
	log.Info("stopped")
	return nil
}

// underPath serves a handler under a prefix. Health and metrics are at the root besides, where kubelet and Prometheus look.
func underPath(prefix string, h http.Handler) http.Handler {
	if prefix == "/" {
		return h
	}
	stripped := http.StripPrefix(strings.TrimSuffix(prefix, "/"), h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz", "/readyz", "/metrics":
			h.ServeHTTP(w, r)
		case strings.TrimSuffix(prefix, "/"):
			http.Redirect(w, r, prefix, http.StatusPermanentRedirect)
		default:
			stripped.ServeHTTP(w, r)
		}
	})
}

// reachable turns a listener's address into one that a person can open.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("localhost", fmt.Sprint(tcp.Port))
}

func newLogger(cfg config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.logLevel}
	if cfg.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// certificates serves a key pair from files that may be rotated in place.
type certificates struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	stamp   [2]fileStamp
	checked time.Time
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// recheck is how often the files are looked at, at most.
const recheck = time.Second

func (c *certificates) stat() (s [2]fileStamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return s, err
		}
		s[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return s, nil
}

// load reads the pair when the files have changed. Until both fit together the old pair stays.
func (c *certificates) load() error {
	stamp, err := c.stat()
	if err != nil || stamp == c.stamp {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair, c.stamp = &pair, stamp
	return nil
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= recheck {
		c.checked = now
		old := c.pair
		if err := c.load(); err != nil {
			c.log.Warn("certificate not reloaded", "err", err)
		} else if c.pair != old {
			c.log.Info("certificate reloaded")
		}
	}
	return c.pair, nil
}
