// Package app assembles the whole server: the hub, its HTTP surface and the page.
package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/webui"
)

// shutdownTimeout is the time for requests in flight to finish on shutdown.
const shutdownTimeout = 4 * time.Second

// Log is a hub.Log that Serve runs.
type Log interface {
	hub.Log
	// Run feeds the hub until ctx ends. An error ends the server.
	Run(ctx context.Context, h *hub.Hub) error
}

// Config configures Serve. The zero value of a field means its default.
type Config struct {
	Hub         hub.Config
	HTTP        httpapi.Config // Serve overwrites Page, Auth, Loopback and Logger
	TokensFile  string         // callers and their permissions (package auth); empty: no access control, and another address than loopback is an error
	Insecure    bool           // allow other addresses without a tokens file
	TLSCertFile string         // PEM certificate chain; empty: no TLS. Read again when it changes
	TLSKeyFile  string         // its PEM key. Read again when it changes
	StateFile   string         // keeps the flows over a restart; see CheckStateFile. Empty: flows are lost
	Log         Log            // orders and stores changes of flows; not together with StateFile. Nil: flows are in memory
	// FrameAncestors are the pages that may show the server's page in a frame: "none", or "self" and origins such as https://*.example.com. Default: "self".
	FrameAncestors []string
	DrainDelay     time.Duration // time between the end of readiness and the closing of connections
	Logger         *slog.Logger  // default: slog.Default()
}

// Serve serves on a listener until ctx ends, or until the listener or the Log fails, which is the error. Then it drains: readiness ends first, then streams
// end after a whole frame, and requests in flight have shutdownTimeout to finish. It closes the listener, also if it fails to start.
func Serve(ctx context.Context, listener net.Listener, cfg Config) error {
	if cfg.HTTP.BasePath == "" {
		cfg.HTTP.BasePath = "/"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	log := cfg.Logger
	if err := cfg.guard(listener.Addr()); err != nil {
		listener.Close()
		return err
	}
	if cfg.Log != nil {
		cfg.Hub.Log = cfg.Log
	}
	h := hub.New(cfg.Hub)
	cfg.HTTP.Logger, cfg.HTTP.Page = log, webui.Handler(cfg.FrameAncestors)
	api := httpapi.New(h, cfg.HTTP)
	srv := newServer(api, log)
	srv.RegisterOnShutdown(h.Close)
	srv.ConnContext = httpapi.ConnContext
	url := "http://" + reachable(listener.Addr()) + cfg.HTTP.BasePath
	if cfg.TLSCertFile != "" {
		certs := &certificates{certFile: cfg.TLSCertFile, keyFile: cfg.TLSKeyFile, log: log}
		if err := certs.load(); err != nil {
			listener.Close()
			return fmt.Errorf("certificate %s and key %s: %w", cfg.TLSCertFile, cfg.TLSKeyFile, err)
		}
		listener = tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certs.get, NextProtos: []string{"h2", "http/1.1"}})
		url = "https" + strings.TrimPrefix(url, "http")
	}

	state := &stateFile{path: cfg.StateFile, hub: h, maxRequest: cmp.Or(cfg.HTTP.MaxBatchBytes, httpapi.DefaultConfig().MaxBatchBytes), log: log}
	if state.path != "" {
		if err := state.load(); err != nil {
			listener.Close()
			return err
		}
		defer state.save() // after all changes
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	wg.Go(func() { h.Run(background) })
	if state.path != "" {
		wg.Go(func() { state.run(background) })
	}
	wg.Go(func() { cfg.HTTP.Auth.Run(background) })
	failed := make(chan error, 2)
	wg.Go(func() { failed <- fmt.Errorf("serve: %w", srv.Serve(listener)) })
	if cfg.Log != nil {
		wg.Go(func() {
			if err := cfg.Log.Run(background, h); err != nil {
				failed <- err
			}
		})
	}
	api.SetReady(true)
	log.Info("started", "url", url, "version", cfg.HTTP.Version)

	var failure error
	select {
	case failure = <-failed:
	case <-ctx.Done():
	}
	api.SetReady(false)
	log.Info("draining")
	time.Sleep(cfg.DrainDelay)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(bounded); err != nil {
		log.Warn("shutdown timed out, requests cut off", "err", err)
		_ = srv.Close()
	}
	api.Shutdown(bounded)
	log.Info("stopped")
	return failure
}

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),

		DisableGeneralOptionsHandler: true, // the handler answers OPTIONS *
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true) // gateways speak it with prior knowledge
	return srv
}

// guard sets up access control. With neither a tokens file nor Insecure, any other address than loopback is an error.
func (c *Config) guard(addr net.Addr) (err error) {
	c.HTTP.Loopback = c.TokensFile == "" && !c.Insecure
	if c.TokensFile != "" {
		c.HTTP.Auth, err = auth.Load(c.TokensFile, c.Logger)
		return err
	}
	c.HTTP.Auth = auth.Unguarded()
	if c.Insecure {
		c.Logger.Warn("serving without access control: any client may read and write everything", "addr", addr.String())
		return nil
	}
	if tcp, ok := addr.(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return fmt.Errorf("other machines can reach %s, and there is no access control: set FLOW_SERVER_TOKENS_FILE to a tokens file, "+
			"or FLOW_SERVER_INSECURE=true if any client may read and write everything", addr)
	}
	return nil
}

// reachable returns a URL host for a listener's address.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("localhost", fmt.Sprint(tcp.Port))
}
