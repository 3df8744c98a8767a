package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// healthcheck checks whether the server with these settings is ready. It is for probes in containers without
// a shell.
func (p Program) healthcheck(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	cfg, err := p.parse(args, getenv, stderr)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(cfg.listenAddr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if cfg.app.TLSCertFile != "" {
		scheme = "https"
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	// The certificate names the public host, not this address. No secret is sent.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Do(req)
	if err != nil {
		terminal.PrintError(stderr, p.Name, fmt.Errorf("not reachable: %w", err))
		return ExitCode(1)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		terminal.PrintError(stderr, p.Name, fmt.Errorf("not ready: %s", resp.Status))
		return ExitCode(1)
	}
	return nil
}
