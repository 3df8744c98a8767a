package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/app"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
)

// config is everything that can be set.
type config struct {
	listenAddr string
	logFormat  string
	logLevel   slog.Level
	app        app.Config
}

// setting is one environment variable and the flag of the same name.
type setting struct {
	env, def, allowed, help string
	set                     func(*config, string) error
}

func (s setting) flag() string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(s.env, "FLOW_SERVER_")), "_", "-")
}

// settings is the one place that says what can be set of every server; help and documentation come from it.
var settings = []setting{
	{"FLOW_SERVER_LISTEN_ADDR", "127.0.0.1:8080", "host:port; an empty host means every address", "where to listen", func(c *config, v string) error {
		_, port, err := net.SplitHostPort(v)
		if err != nil {
			return err
		}
		c.listenAddr = v
		_, err = strconv.ParseUint(port, 10, 16)
		return err
	}},
	{"FLOW_SERVER_BASE_PATH", "/", "a path that starts and ends with /", "prefix that everything is served under, behind a gateway that does not strip it", func(c *config, v string) error {
		c.app.HTTP.BasePath = v
		if !strings.HasPrefix(v, "/") || !strings.HasSuffix(v, "/") || strings.Contains(v, "//") {
			return errors.New("no such path")
		}
		return nil
	}},
	{"FLOW_SERVER_TLS_CERT_FILE", "", "a file with a PEM certificate chain, with FLOW_SERVER_TLS_KEY_FILE; none: no TLS", "certificate; read again when the file changes", func(c *config, v string) error {
		c.app.TLSCertFile = v
		return readable(v)
	}},
	{"FLOW_SERVER_TLS_KEY_FILE", "", "a file with a PEM private key, with FLOW_SERVER_TLS_CERT_FILE; none: no TLS", "the certificate's key; read again when the file changes", func(c *config, v string) error {
		c.app.TLSKeyFile = v
		return readable(v)
	}},
	{"FLOW_SERVER_TOKENS_FILE", "", "a JSON file as the README's section on access has it; none: only loopback may be listened on", "who may read and write what; read again when the file changes", func(c *config, v string) error {
		c.app.TokensFile = v
		return readable(v)
	}},
	{"FLOW_SERVER_INSECURE", "false", "true or false", "without a tokens file, listen on other addresses than loopback too: whoever reaches the server may then read and write everything", func(c *config, v string) error {
		c.app.Insecure = v == "true"
		if v != "true" && v != "false" {
			return errors.New("neither")
		}
		return nil
	}},
	{"FLOW_SERVER_CORS_ORIGINS", "", "origins such as https://console.example.com, with commas between", "pages elsewhere that may read the API, with tokens of their own", func(c *config, v string) (err error) {
		c.app.HTTP.Origins, err = parseOrigins(v)
		return err
	}},
	number("FLOW_SERVER_RING_CAPACITY", 4096, 1, 1<<20, "messages of a flow held for resume", func(c *config, n int64) { c.app.Hub.RingCapacity = int(n) }),
	number("FLOW_SERVER_RING_BYTES", 8<<20, 1<<10, 1<<30, "bytes of a flow's messages held for resume", func(c *config, n int64) { c.app.Hub.RingBytes = int(n) }),
	number("FLOW_SERVER_MAX_MESSAGE_BYTES", 1<<20, 1<<10, 64<<20, "bytes of one message", func(c *config, n int64) { c.app.HTTP.MaxMessageBytes = n }),
	number("FLOW_SERVER_MAX_BATCH_BYTES", 16<<20, 1<<10, 1<<30, "bytes of one NDJSON body", func(c *config, n int64) { c.app.HTTP.MaxBatchBytes = n }),
	number("FLOW_SERVER_MAX_INGEST_BYTES", 128<<20, 1<<20, 1<<40, "bytes of all bodies being read at one moment", func(c *config, n int64) { c.app.HTTP.MaxIngestBytes = n }),
	number("FLOW_SERVER_MAX_FLOWS", 10_000, 1, 1<<30, "flows", func(c *config, n int64) { c.app.Hub.MaxFlows = int(n) }),
	number("FLOW_SERVER_MAX_NODES", 20_000, 1, 1<<30, "nodes of a flow", func(c *config, n int64) { c.app.Hub.MaxNodes = int(n) }),
	number("FLOW_SERVER_MAX_RELATIONSHIPS", 100_000, 1, 1<<30, "relationships of a flow", func(c *config, n int64) { c.app.Hub.MaxRelationships = int(n) }),
	number("FLOW_SERVER_MAX_META_BYTES", 64<<10, 1, 16<<20, "bytes of a node's meta", func(c *config, n int64) { c.app.Hub.MaxMetaBytes = int(n) }),
	number("FLOW_SERVER_MAX_FLOW_BYTES", 256<<20, 1<<20, 1<<40, "bytes that the state and ring of a flow take, about", func(c *config, n int64) { c.app.Hub.MaxFlowBytes = n }),
	number("FLOW_SERVER_MAX_STATE_BYTES", 2<<30, 1<<20, 1<<50, "bytes that the states and rings of all flows take, about", func(c *config, n int64) { c.app.Hub.MaxStateBytes = n }),
	number("FLOW_SERVER_MAX_SUBSCRIBERS", 20_000, 1, 1<<30, "open streams", func(c *config, n int64) { c.app.Hub.MaxSubscribers = int(n) }),
	number("FLOW_SERVER_MAX_EMITTERS", 1024, 1, 1<<30, "emitter names that a flow remembers", func(c *config, n int64) { c.app.Hub.MaxEmitters = int(n) }),
	number("FLOW_SERVER_MAX_REGIONS", 256, 1, 1<<20, "regions of a flow that are claimed", func(c *config, n int64) { c.app.Hub.MaxRegions = int(n) }),
	duration("FLOW_SERVER_IDLE_TIMEOUT", "72h", time.Minute, 10*365*24*time.Hour, "how long a flow stays without a message and without a word from an emitter", func(c *config, d time.Duration) { c.app.Hub.IdleTimeout = d }),
	{"FLOW_SERVER_STATE_FILE", "", "a file in a directory that the server may write to; none: nothing is kept", "keeps the flows over a restart: written every minute and on shutdown, read at the start", func(c *config, v string) error {
		c.app.StateFile = v
		return nil
	}},
	duration("FLOW_SERVER_WRITE_TIMEOUT", "30s", time.Second, time.Hour, "how long a stream may take no bytes before it is cut", func(c *config, d time.Duration) { c.app.HTTP.WriteTimeout = d }),
	duration("FLOW_SERVER_READ_TIMEOUT", "30s", time.Second, time.Hour, "how long a request's body may take to arrive", func(c *config, d time.Duration) { c.app.HTTP.ReadTimeout = d }),
	duration("FLOW_SERVER_DRAIN_DELAY", "1s", 0, 5*time.Second, "how long /readyz says no before connections are closed on shutdown", func(c *config, d time.Duration) { c.app.DrainDelay = d }),
	{"FLOW_SERVER_STREAM_MODE", "auto", "auto or portable", "how streams are written: auto takes HTTP/1.1 connections without TLS away from net/http on Linux, portable never does", func(c *config, v string) error {
		c.app.HTTP.StreamMode = v
		if v != httpapi.StreamAuto && v != httpapi.StreamPortable {
			return errors.New("no such mode")
		}
		return nil
	}},
	{"FLOW_SERVER_LOG_FORMAT", "text", "text or json", "format of the log", func(c *config, v string) error {
		c.logFormat = v
		if v != "text" && v != "json" {
			return errors.New("no such format")
		}
		return nil
	}},
	{"FLOW_SERVER_LOG_LEVEL", "info", "debug, info, warn or error", "least level of the log", func(c *config, v string) error {
		return c.logLevel.UnmarshalText([]byte(v))
	}},
}

func number(env string, def, low, high int64, help string, set func(*config, int64)) setting {
	return setting{env, strconv.FormatInt(def, 10), fmt.Sprintf("an integer from %d to %d", low, high), help, func(c *config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < low || n > high {
			return errors.New("out of range")
		}
		set(c, n)
		return nil
	}}
}

func duration(env, def string, low, high time.Duration, help string, set func(*config, time.Duration)) setting {
	return setting{env, def, fmt.Sprintf("a duration such as 90s or 72h, from %s to %s", low, high), help, func(c *config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < low || d > high {
			return errors.New("out of range")
		}
		set(c, d)
		return nil
	}}
}

// parseOrigins reads a list of origins, each as a browser writes it.
func parseOrigins(list string) (origins []string, err error) {
	for origin := range strings.SplitSeq(list, ",") {
		origin = strings.TrimSpace(origin)
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) {
			return nil, errors.New("no origin")
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// parse takes flags, else the environment, else defaults. The error names the variable, its value and what is allowed.
func (p Program) parse(args []string, getenv func(string) string, stderr io.Writer) (config, error) {
	var c config
	fs := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	settings := p.settings()
	values := make([]*string, len(settings))
	for i, s := range settings {
		values[i] = fs.String(s.flag(), "", s.help)
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			p.usage(stderr)
		}
		return c, err
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q; settings are flags such as --listen-addr=:8080", fs.Arg(0))
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for i, s := range settings {
		name, value := s.env, getenv(s.env)
		if given[s.flag()] {
			name, value = "--"+s.flag(), *values[i]
		} else if value == "" {
			value = s.def
		}
		if value == "" {
			continue
		}
		if err := s.set(&c, value); errors.Is(err, ErrSecret) {
			return c, fmt.Errorf("%s %w; allowed: %s", name, err, s.allowed)
		} else if err != nil {
			return c, fmt.Errorf("%s is %q; allowed: %s", name, value, s.allowed)
		}
	}
	if (c.app.TLSCertFile == "") != (c.app.TLSKeyFile == "") {
		return c, errors.New("FLOW_SERVER_TLS_CERT_FILE and FLOW_SERVER_TLS_KEY_FILE go together; set both or neither")
	}
	if c.app.TokensFile != "" && c.app.Insecure {
		return c, errors.New("FLOW_SERVER_TOKENS_FILE and FLOW_SERVER_INSECURE=true say opposite things; set one of them")
	}
	if c.app.HTTP.MaxBatchBytes < c.app.HTTP.MaxMessageBytes {
		return c, fmt.Errorf("FLOW_SERVER_MAX_BATCH_BYTES is %d; allowed: at least FLOW_SERVER_MAX_MESSAGE_BYTES, which is %d", c.app.HTTP.MaxBatchBytes, c.app.HTTP.MaxMessageBytes)
	}
	if c.app.HTTP.MaxIngestBytes < c.app.HTTP.MaxBatchBytes {
		return c, fmt.Errorf("FLOW_SERVER_MAX_INGEST_BYTES is %d; allowed: at least FLOW_SERVER_MAX_BATCH_BYTES, which is %d", c.app.HTTP.MaxIngestBytes, c.app.HTTP.MaxBatchBytes)
	}
	return c, nil
}

// settingsText lists the settings for help.
func settingsText(settings []setting) string {
	var b strings.Builder
	for _, s := range settings {
		fmt.Fprintf(&b, "  --%s (%s", s.flag(), s.env)
		if s.def != "" {
			b.WriteString(", default " + s.def)
		}
		fmt.Fprintf(&b, ")\n        %s; allowed: %s\n", s.help, s.allowed)
	}
	return b.String()
}
