package main

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/internal/settings"
	"github.com/openova-io/openova/products/openova-flow/server/proxy"
)

type config struct {
	listenAddr  string
	upstream    *url.URL
	hosts       []string
	prefix      string
	flows       []string
	allowIngest bool
	tokenFile   string
	roots       *x509.CertPool
}

func (c *config) settings() []settings.Setting {
	return []settings.Setting{
		{Env: "FLOW_PROXY_UPSTREAM_URL", Allowed: "an absolute URL, http://host or https://host, without user, query and fragment", Help: "URL of the flow server; required", Set: func(v string) (err error) {
			if c.upstream, err = url.Parse(v); err != nil {
				return err
			}
			_, err = proxy.New(proxy.Config{Upstream: c.upstream, Authorize: c.authorize})
			return err
		}},
		{Env: "FLOW_PROXY_FLOWS", Allowed: `flow ids or patterns such as "prod-*", separated by commas`, Help: "flows that the proxy serves; required", Set: func(v string) error {
			for _, pattern := range strings.Split(v, ",") {
				pattern = strings.TrimSpace(pattern)
				if _, err := path.Match(pattern, ""); err != nil {
					return fmt.Errorf("%q: %w", pattern, err)
				}
				if pattern == "" {
					return errors.New("an empty pattern")
				}
				c.flows = append(c.flows, pattern)
			}
			return nil
		}},
		{Env: "FLOW_PROXY_LISTEN_ADDR", Default: "127.0.0.1:8082", Allowed: "host:port; an empty host means all addresses", Help: "address to listen on; on loopback the proxy serves flows only under loopback addresses, localhost and FLOW_PROXY_HOSTS, and pages of other hosts can only link to them", Set: func(v string) error {
			c.listenAddr = v
			return settings.CheckListen(v)
		}},
		{Env: "FLOW_PROXY_HOSTS", Allowed: "host names without ports, separated by commas", Help: "host names that a server on the same machine forwards in Host, and others whose pages may send requests", Set: func(v string) error {
			for _, host := range strings.Split(v, ",") {
				host = strings.ToLower(strings.TrimSpace(host))
				if host == "" || strings.ContainsAny(host, ":/*") {
					return fmt.Errorf("%q is not a host name", host)
				}
				c.hosts = append(c.hosts, host)
			}
			return nil
		}},
		{Env: "FLOW_PROXY_PREFIX", Default: "/", Allowed: "a path that starts and ends with /", Help: "path prefix of the served flows: PREFIXv1/flows/…", Set: func(v string) error {
			c.prefix = v
			return settings.CheckBasePath(v)
		}},
		{Env: "FLOW_PROXY_ALLOW_INGEST", Default: "false", Allowed: "true or false", Help: "whether the proxy forwards POST of events and PUT of regions", Set: func(v string) (err error) {
			c.allowIngest, err = settings.Bool(v)
			return err
		}},
		{Env: "FLOW_PROXY_TOKEN_FILE", Allowed: "a file with a bearer token", Help: "token for the flow server; read for each request", Set: func(v string) error {
			c.tokenFile = v
			_, err := c.token()()
			return err
		}},
		{Env: "FLOW_PROXY_CA_FILE", Allowed: "a file with PEM certificates", Help: "certificate authorities for the flow server's certificate; default: those of the system", Set: func(v string) (err error) {
			c.roots, err = rootsOf(v)
			return err
		}},
	}
}

// authorize allows the flows that match a pattern of FLOW_PROXY_FLOWS.
func (c *config) authorize(_ *http.Request, flowID string) error {
	for _, pattern := range c.flows {
		if ok, _ := path.Match(pattern, flowID); ok {
			return nil
		}
	}
	return proxy.ErrNotFound
}

func parseConfig(args []string, getenv func(string) string, stderr io.Writer) (config, error) {
	var c config
	err := settings.Parse(c.settings(), args, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stderr)
	case err != nil:
	case c.upstream == nil:
		err = errors.New("FLOW_PROXY_UPSTREAM_URL is not set; set it to the URL of the flow server, such as http://openova-flow-server:8080")
	case c.flows == nil:
		err = errors.New(`FLOW_PROXY_FLOWS is not set; set it to the flows to serve, such as "prod-*"`)
	}
	return c, err
}

func usage(w io.Writer) {
	_, _ = io.WriteString(w, "openova-flow-proxy serves flows of a flow server under another origin.\n\n"+settings.Usage(new(config).settings()))
}
