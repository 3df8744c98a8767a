package main

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/openova-io/openova/products/openova-flow/server/proxy"
)

// config is everything that can be set.
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

// setting is one environment variable and the flag of the same name.
type setting struct {
	env, def, allowed, help string
	set                     func(*config, string) error
}

func (s setting) flag() string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(s.env, "FLOW_PROXY_")), "_", "-")
}

var settings = []setting{
	{"FLOW_PROXY_UPSTREAM_URL", "", "an absolute URL, http://host or https://host, without user, query and fragment", "the flow server; required", func(c *config, v string) (err error) {
		if c.upstream, err = url.Parse(v); err != nil {
			return err
		}
		_, err = proxy.New(proxy.Config{Upstream: c.upstream, Authorize: c.authorize})
		return err
	}},
	{"FLOW_PROXY_FLOWS", "", `flow ids or patterns such as "prod-*", with commas between`, "the flows that may be reached; required", func(c *config, v string) error {
		for _, pattern := range strings.Split(v, ",") {
			pattern = strings.TrimSpace(pattern)
			if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
				return errors.New("no such pattern")
			}
			c.flows = append(c.flows, pattern)
		}
		return nil
	}},
	{"FLOW_PROXY_LISTEN_ADDR", "127.0.0.1:8082", "host:port; an empty host means every address", "where to listen; on a loopback address only requests to that, to localhost and to hosts are answered", func(c *config, v string) error {
		_, port, err := net.SplitHostPort(v)
		if err != nil {
			return err
		}
		c.listenAddr = v
		_, err = strconv.ParseUint(port, 10, 16)
		return err
	}},
	{"FLOW_PROXY_HOSTS", "", "names without ports, with commas between", "names that a server on the same machine passes requests on for, as they are in Host", func(c *config, v string) error {
		for _, host := range strings.Split(v, ",") {
			host = strings.ToLower(strings.TrimSpace(host))
			if host == "" || strings.ContainsAny(host, ":/*") {
				return errors.New("no such name")
			}
			c.hosts = append(c.hosts, host)
		}
		return nil
	}},
	{"FLOW_PROXY_PREFIX", "/", "a path that starts and ends with /", "what flows are served under: PREFIXv1/flows/…", func(c *config, v string) error {
		c.prefix = v
		if !strings.HasPrefix(v, "/") || !strings.HasSuffix(v, "/") || strings.Contains(v, "//") {
			return errors.New("no such path")
		}
		return nil
	}},
	{"FLOW_PROXY_ALLOW_INGEST", "false", "true or false", "whether POST events passes, and PUT of a region with it", func(c *config, v string) (err error) {
		c.allowIngest, err = strconv.ParseBool(v)
		return err
	}},
	{"FLOW_PROXY_TOKEN_FILE", "", "a file with a bearer token; none: no token", "credentials for the flow server; read for each request", func(c *config, v string) error {
		c.tokenFile = v
		_, err := c.token()()
		return err
	}},
	{"FLOW_PROXY_CA_FILE", "", "a file of PEM certificates; none: the system's", "who may have signed the flow server's certificate", func(c *config, v string) (err error) {
		c.roots, err = rootsOf(v)
		return err
	}},
}

// authorize lets the flows pass that are listed.
func (c config) authorize(_ *http.Request, flowID string) error {
	for _, pattern := range c.flows {
		if ok, _ := path.Match(pattern, flowID); ok {
			return nil
		}
	}
	return proxy.ErrNotFound
}

// parseConfig takes flags, else the environment, else defaults. The error names the variable, its value and what is allowed.
func parseConfig(args []string, getenv func(string) string, stderr io.Writer) (config, error) {
	var c config
	fs := flag.NewFlagSet("openova-flow-proxy", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	given := map[string]string{}
	for _, s := range settings {
		fs.Func(s.flag(), s.help, func(v string) error { given[s.flag()] = v; return nil })
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			usage(stderr)
		}
		return c, err
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q; settings are flags such as --listen-addr=:8082", fs.Arg(0))
	}
	for _, s := range settings {
		name, value := s.env, getenv(s.env)
		if v, ok := given[s.flag()]; ok {
			name, value = "--"+s.flag(), v
		} else if value == "" {
			value = s.def
		}
		if value == "" && !strings.HasSuffix(s.help, "required") {
			continue
		}
		if err := s.set(&c, value); err != nil {
			return c, fmt.Errorf("%s is %q; allowed: %s", name, redact(s.env, value), s.allowed)
		}
	}
	return c, nil
}

// redact keeps a password that somebody put into a URL out of the log.
func redact(env, value string) string {
	if u, err := url.Parse(value); env == "FLOW_PROXY_UPSTREAM_URL" && err == nil {
		return u.Redacted()
	}
	return value
}

func usage(w io.Writer) {
	fmt.Fprint(w, "openova-flow-proxy serves flows of a flow server under another origin.\n\n")
	for _, s := range settings {
		fmt.Fprintf(w, "  --%s (%s", s.flag(), s.env)
		if s.def != "" {
			fmt.Fprint(w, ", default "+s.def)
		}
		fmt.Fprintf(w, ")\n        %s; allowed: %s\n", s.help, s.allowed)
	}
}
