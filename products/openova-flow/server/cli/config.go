package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/app"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/internal/settings"
)

// config is everything that can be set.
type config struct {
	listenAddr string
	logFormat  string
	logLevel   slog.Level
	app        app.Config
}

// common is a Setting that every server has.
type common struct {
	env, def, allowed, help string
	set                     func(*config, string) error
}

// commonSettings is the one place that says what can be set of every server; help and documentation come from it.
var commonSettings = []common{
	{"FLOW_SERVER_LISTEN_ADDR", "127.0.0.1:8080", "host:port; an empty host means every address", "where to listen", func(c *config, v string) error {
		c.listenAddr = v
		return settings.CheckListen(v)
	}},
	{"FLOW_SERVER_BASE_PATH", "/", "a path that starts and ends with /", "prefix that everything is served under, behind a gateway that does not strip it", func(c *config, v string) error {
		c.app.HTTP.BasePath = v
		return settings.CheckBasePath(v)
	}},
	{"FLOW_SERVER_TLS_CERT_FILE", "", "a file with a PEM certificate chain, with FLOW_SERVER_TLS_KEY_FILE; none: no TLS", "certificate; read again when the file changes", func(c *config, v string) error {
		c.app.TLSCertFile = v
		return readable(v)
	}},
	{"FLOW_SERVER_TLS_KEY_FILE", "", "a file with a PEM private key, with FLOW_SERVER_TLS_CERT_FILE; none: no TLS", "the certificate's key; read again when the file changes", func(c *config, v string) error {
		c.app.TLSKeyFile = v
		return readable(v)
	}},
	{"FLOW_SERVER_TOKENS_FILE", "", "a JSON file as docs/access.md has it; none: only loopback may be listened on", "who may read and write what; read again when the file changes", func(c *config, v string) error {
		c.app.TokensFile = v
		return readable(v)
	}},
	{"FLOW_SERVER_INSECURE", "false", "true or false", "without a tokens file, listen on other addresses than loopback too: whoever reaches the server may then read and write everything", func(c *config, v string) error {
		c.app.Insecure = v == "true"
		if v != "true" && v != "false" {
			return ErrNotAllowed
		}
		return nil
	}},
	{"FLOW_SERVER_CORS_ORIGINS", "", "origins such as https://console.example.com, with commas between", "pages elsewhere that may read the API, with tokens of their own", func(c *config, v string) (err error) {
		c.app.HTTP.Origins, err = parseOrigins(v)
		return err
	}},
	number("FLOW_SERVER_RING_CAPACITY", 4096, 1, 1<<20, "messages of a flow held for resume", func(c *config, n int64) { c.app.Hub.RingCapacity = int(n) }),
	number("FLOW_SERVER_RING_BYTES", 8<<20, 1<<10, 1<<30, "bytes of a flow's messages held for resume", func(c *config, n int64) { c.app.Hub.RingBytes = int(n) }),
	number("FLOW_SERVER_JOURNAL_ENTRIES", 16<<10, 16, 1<<20, "changes of all flows held for streams of several", func(c *config, n int64) { c.app.Hub.JournalEntries = int(n) }),
	number("FLOW_SERVER_JOURNAL_BYTES", 8<<20, 1<<10, 1<<30, "bytes of their messages", func(c *config, n int64) { c.app.Hub.JournalBytes = int(n) }),
	number("FLOW_SERVER_MAX_MESSAGE_BYTES", 1<<20, 1<<10, 64<<20, "bytes of one message", func(c *config, n int64) { c.app.HTTP.MaxMessageBytes = n }),
	number("FLOW_SERVER_MAX_BATCH_BYTES", 16<<20, 1<<10, 1<<30, "bytes of one NDJSON body", func(c *config, n int64) { c.app.HTTP.MaxBatchBytes = n }),
	number("FLOW_SERVER_MAX_INGEST_BYTES", 128<<20, 1<<20, 1<<40, "bytes of all bodies being read at one moment", func(c *config, n int64) { c.app.HTTP.MaxIngestBytes = n }),
	number("FLOW_SERVER_MAX_ANSWER_BYTES", 256<<20, 1<<20, 1<<40, "bytes of all large answers and deliveries that readers have not taken yet", func(c *config, n int64) { c.app.HTTP.MaxAnswerBytes = n }),
	number("FLOW_SERVER_MAX_FLOWS", 10_000, 1, 1<<30, "flows", func(c *config, n int64) { c.app.Hub.MaxFlows = int(n) }),
	number("FLOW_SERVER_MAX_NODES", 20_000, 1, 1<<30, "nodes of a flow", func(c *config, n int64) { c.app.Hub.MaxNodes = int(n) }),
	number("FLOW_SERVER_MAX_RELATIONSHIPS", 100_000, 1, 1<<30, "relationships of a flow", func(c *config, n int64) { c.app.Hub.MaxRelationships = int(n) }),
	number("FLOW_SERVER_MAX_META_BYTES", 64<<10, 1, 16<<20, "bytes of a node's meta", func(c *config, n int64) { c.app.Hub.MaxMetaBytes = int(n) }),
	number("FLOW_SERVER_MAX_FLOW_BYTES", 256<<20, 1<<20, 1<<40, "bytes that the state and ring of a flow take, about", func(c *config, n int64) { c.app.Hub.MaxFlowBytes = n }),
	number("FLOW_SERVER_MAX_STATE_BYTES", 2<<30, 1<<20, 1<<50, "bytes that the states and rings of all flows take, about", func(c *config, n int64) { c.app.Hub.MaxStateBytes = n }),
	number("FLOW_SERVER_MAX_SUBSCRIBERS", 20_000, 1, 1<<30, "open streams", func(c *config, n int64) { c.app.Hub.MaxSubscribers = int(n) }),
	number("FLOW_SERVER_MAX_EMITTERS", 1024, 1, 1<<30, "emitter names that a flow remembers, for each set of regions that tokens are bound to", func(c *config, n int64) { c.app.Hub.MaxEmitters = int(n) }),
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
			return ErrNotAllowed
		}
		return nil
	}},
	{"FLOW_SERVER_LOG_FORMAT", "text", "text or json", "format of the log", func(c *config, v string) error {
		c.logFormat = v
		if v != "text" && v != "json" {
			return ErrNotAllowed
		}
		return nil
	}},
	{"FLOW_SERVER_LOG_LEVEL", "info", "debug, info, warn or error", "least level of the log", func(c *config, v string) error {
		return c.logLevel.UnmarshalText([]byte(v))
	}},
}

func number(env string, def, low, high int64, help string, set func(*config, int64)) common {
	return common{env, strconv.FormatInt(def, 10), fmt.Sprintf("an integer from %d to %d", low, high), help, func(c *config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < low || n > high {
			return ErrNotAllowed
		}
		set(c, n)
		return nil
	}}
}

func duration(env, def string, low, high time.Duration, help string, set func(*config, time.Duration)) common {
	return common{env, def, fmt.Sprintf("a duration such as 90s or 72h, from %s to %s", low, high), help, func(c *config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < low || d > high {
			return ErrNotAllowed
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
			return nil, fmt.Errorf("%q is no origin", origin)
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

// parse takes flags, else the environment, else defaults.
func (p Program) parse(args []string, getenv func(string) string, stderr io.Writer) (config, error) {
	var c config
	if err := settings.Parse(p.settings(&c), args, getenv); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			p.usage(stderr)
		}
		return c, err
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
