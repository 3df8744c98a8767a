// Command openova-flow-proxy serves flows of a flow server under another origin, with its own credentials.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/internal/web"
	"github.com/openova-io/openova/products/openova-flow/server/proxy"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

const (
	shutdownTimeout = 5 * time.Second  // time for requests in flight to finish
	bodyTimeout     = 30 * time.Second // time for the body of a request to arrive
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		terminal.PrintError(os.Stderr, "openova-flow-proxy", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	cfg, err := parseConfig(args, getenv, stderr)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{ReplaceAttr: terminal.Attr}))
	flows, err := proxy.New(proxy.Config{
		Upstream:      cfg.upstream,
		Authorize:     cfg.authorize,
		AuthorizeList: func(*http.Request) error { return nil },
		AllowIngest:   cfg.allowIngest,
		Token:         cfg.token(),
		Transport:     cfg.transport(),
		Logger:        log,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.listenAddr)
	if err != nil {
		return fmt.Errorf("listen on FLOW_PROXY_LISTEN_ADDR %q: %w", cfg.listenAddr, err)
	}
	handler := under(cfg.prefix, flows)
	if addr, ok := listener.Addr().(*net.TCPAddr); ok && addr.IP.IsLoopback() {
		handler = onlyLocal(cfg.hosts, handler)
	}
	return serve(ctx, listener, handler, flows.Close, log)
}

// onlyLocal serves only requests to this machine or a listed host, from programs or pages of these; /healthz is not restricted. The proxy asks its callers
// for no credential. Without this check, a foreign page could use the proxy's credential.
func onlyLocal(hosts []string, next http.Handler) http.Handler {
	check := func(r *http.Request) error {
		if isListed(hosts, &url.URL{Host: r.Host}) {
			return auth.CheckPage(r, listedOrigins(hosts, r)...)
		}
		return auth.CheckLoopback(r)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" && check(r) != nil {
			web.Secure(w.Header())
			web.Problem{Status: http.StatusForbidden, Detail: "on a loopback address the proxy answers only requests to localhost, loopback addresses and the hosts in FLOW_PROXY_HOSTS, and pages of other hosts may only link to it"}.Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isListed(hosts []string, u *url.URL) bool {
	return slices.Contains(hosts, strings.ToLower(u.Hostname()))
}

// listedOrigins returns the origins in Origin and Referer that are of a listed host. Their ports may be any, since a server in front of the proxy may
// forward Host without its port.
func listedOrigins(hosts []string, r *http.Request) (origins []string) {
	for _, page := range slices.Concat(r.Header["Origin"], r.Header["Referer"]) {
		if u, err := url.Parse(page); err == nil && isListed(hosts, u) {
			origins = append(origins, u.Scheme+"://"+u.Host)
		}
	}
	return origins
}

// under serves flows under a prefix, and health at the root.
func under(prefix string, flows http.Handler) http.Handler {
	stripped := http.StripPrefix(strings.TrimSuffix(prefix, "/"), flows)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			_, _ = io.WriteString(w, "ok\n")
			return
		}
		stripped.ServeHTTP(w, r)
	})
}

// timed limits the time for the body of a request to arrive, even if no handler reads the body: net/http reads it before it answers.
func timed(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit))
		}
		next.ServeHTTP(w, r)
	})
}

// serve serves until ctx ends. Then it closes streams and waits for requests in flight, at most shutdownTimeout.
func serve(ctx context.Context, listener net.Listener, h http.Handler, closeStreams func(), log *slog.Logger) error {
	srv := &http.Server{
		Handler:           timed(bodyTimeout, h),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	srv.RegisterOnShutdown(closeStreams)
	var wg sync.WaitGroup
	defer wg.Wait()
	failed := make(chan error, 1)
	wg.Go(func() { failed <- srv.Serve(listener) })
	log.Info("started", "addr", listener.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(bounded); err != nil {
		log.Warn("shutdown timed out, requests cut off", "err", err)
		_ = srv.Close()
	}
	log.Info("stopped")
	return nil
}

// transport returns a transport that trusts the certificates in the CA file, nil without a file.
func (c config) transport() http.RoundTripper {
	if c.roots == nil {
		return nil
	}
	t := proxy.NewTransport()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.roots}
	return t
}

// token returns a function that reads the token file, so that the token may be rotated.
func (c config) token() func() (string, error) {
	if c.tokenFile == "" {
		return nil
	}
	return func() (string, error) {
		text, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return "", err
		}
		token := strings.TrimSpace(string(text))
		if token == "" || strings.ContainsAny(token, " \r\n\t") {
			return "", fmt.Errorf("%s must contain one token and nothing else", c.tokenFile)
		}
		return token, nil
	}
}

func rootsOf(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("no PEM certificate in the file")
	}
	return pool, nil
}
