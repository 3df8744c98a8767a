package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/openova-io/openova/products/openova-flow/server/app"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/settings"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// config is the result of parsing the settings.
type config struct {
	listenAddr string
	logFormat  string
	logLevel   slog.Level
	app        app.Config
}

// common is a setting of all servers.
type common struct {
	env, def, allowed, help string
	set                     func(*config, string) error
}

// The defaults of settings that the hub and the API define.
var (
	hubDefault  = hub.DefaultConfig()
	httpDefault = httpapi.DefaultConfig()
)

const stateFileAllowed = "a file in a directory that the server may write to"

// commonSettings defines the settings of all servers. Help and docs/configuration.md are generated from it.
var commonSettings = []common{
	{"FLOW_SERVER_LISTEN_ADDR", "127.0.0.1:8080", "host:port; an empty host means all addresses", "address to listen on", func(c *config, v string) error {
		c.listenAddr = v
		return settings.CheckListen(v)
	}},
	{"FLOW_SERVER_BASE_PATH", "/", "a path that starts and ends with /", "path prefix of all URLs, for a gateway that does not strip it", func(c *config, v string) error {
		c.app.HTTP.BasePath = v
		return settings.CheckBasePath(v)
	}},
	{"FLOW_SERVER_TLS_CERT_FILE", "", "a file with a PEM certificate chain, together with FLOW_SERVER_TLS_KEY_FILE", "certificate for TLS; reloaded when the file changes; without it the server speaks plain HTTP", func(c *config, v string) error {
		c.app.TLSCertFile = v
		return readable(v)
	}},
	{"FLOW_SERVER_TLS_KEY_FILE", "", "a file with a PEM private key, together with FLOW_SERVER_TLS_CERT_FILE", "private key of the certificate; reloaded when the file changes", func(c *config, v string) error {
		c.app.TLSKeyFile = v
		return readable(v)
	}},
	{"FLOW_SERVER_TOKENS_FILE", "", "a JSON file as described in docs/access.md", "callers and their permissions; reloaded when the file changes; without it the server listens on loopback only, unless FLOW_SERVER_INSECURE is true", func(c *config, v string) error {
		c.app.TokensFile = v
		return readable(v)
	}},
	{"FLOW_SERVER_INSECURE", "false", "true or false", "allow other addresses than loopback without a tokens file: any client may read and write everything", func(c *config, v string) (err error) {
		c.app.Insecure, err = settings.Bool(v)
		return err
	}},
	{"FLOW_SERVER_CORS_ORIGINS", "", "origins such as https://console.example.com, separated by commas", "origins of other pages that may call the API, with tokens of their own", func(c *config, v string) (err error) {
		c.app.HTTP.Origins, err = parseOrigins(v)
		return err
	}},
	{"FLOW_SERVER_FRAME_ANCESTORS", "self", "none; or self and origins such as https://grafana.example.com or https://*.example.com, separated by commas", "pages that may show this page in a frame", func(c *config, v string) (err error) {
		c.app.FrameAncestors, err = parseAncestors(v)
		return err
	}},
	{"FLOW_SERVER_COMMIT_URL_TEMPLATE", "", "an https URL with {commit}, and {host} and {path} of the repository, such as https://git.example.com/{path}/-/commit/{commit}", "links to commits of other hosts than github.com, gitlab.com, codeberg.org, gitea.com and bitbucket.org", func(c *config, v string) (err error) {
		c.app.HTTP.CommitLinks, err = revision.ParseLinks(v)
		return err
	}},
	number("FLOW_SERVER_RING_CAPACITY", hubDefault.RingCapacity, 1, 1<<20, "messages of each flow kept for resume", func(c *config, n int64) { c.app.Hub.RingCapacity = int(n) }),
	number("FLOW_SERVER_RING_BYTES", hubDefault.RingBytes, 1<<10, 1<<30, "bytes of each flow's messages kept for resume", func(c *config, n int64) { c.app.Hub.RingBytes = int(n) }),
	number("FLOW_SERVER_JOURNAL_ENTRIES", hubDefault.JournalEntries, 16, 1<<20, "changes of all flows kept for streams of several flows", func(c *config, n int64) { c.app.Hub.JournalEntries = int(n) }),
	number("FLOW_SERVER_JOURNAL_BYTES", hubDefault.JournalBytes, 1<<10, 1<<30, "bytes of the changes kept for streams of several flows", func(c *config, n int64) { c.app.Hub.JournalBytes = int(n) }),
	number("FLOW_SERVER_MAX_MESSAGE_BYTES", httpDefault.MaxMessageBytes, 1<<10, 64<<20, "limit for one message, in bytes", func(c *config, n int64) { c.app.HTTP.MaxMessageBytes = n }),
	number("FLOW_SERVER_MAX_BATCH_BYTES", httpDefault.MaxBatchBytes, 1<<10, 1<<30, "limit for one NDJSON body, in bytes", func(c *config, n int64) { c.app.HTTP.MaxBatchBytes = n }),
	number("FLOW_SERVER_MAX_INGEST_BYTES", httpDefault.MaxIngestBytes, 1<<20, 1<<40, "limit for all bodies being read at the same time, in bytes", func(c *config, n int64) { c.app.HTTP.MaxIngestBytes = n }),
	number("FLOW_SERVER_MAX_ANSWER_BYTES", httpDefault.MaxAnswerBytes, 1<<20, 1<<40, "limit for all large responses and stream deliveries that clients have not received yet, in bytes", func(c *config, n int64) { c.app.HTTP.MaxAnswerBytes = n }),
	number("FLOW_SERVER_MAX_FLOWS", hubDefault.MaxFlows, 1, 1<<30, "limit for flows", func(c *config, n int64) { c.app.Hub.MaxFlows = int(n) }),
	number("FLOW_SERVER_MAX_NODES", hubDefault.MaxNodes, 1, 1<<30, "limit for nodes of one flow", func(c *config, n int64) { c.app.Hub.MaxNodes = int(n) }),
	number("FLOW_SERVER_MAX_RELATIONSHIPS", hubDefault.MaxRelationships, 1, 1<<30, "limit for relationships of one flow", func(c *config, n int64) { c.app.Hub.MaxRelationships = int(n) }),
	number("FLOW_SERVER_MAX_META_BYTES", hubDefault.MaxMetaBytes, 1, 16<<20, "limit for the meta of one node, in bytes", func(c *config, n int64) { c.app.Hub.MaxMetaBytes = int(n) }),
	number("FLOW_SERVER_MAX_FLOW_BYTES", hubDefault.MaxFlowBytes, 1<<20, 1<<40, "limit for the state and ring of one flow, in bytes, approximate", func(c *config, n int64) { c.app.Hub.MaxFlowBytes = n }),
	number("FLOW_SERVER_MAX_STATE_BYTES", hubDefault.MaxStateBytes, 1<<20, 1<<50, "limit for the states and rings of all flows, in bytes, approximate", func(c *config, n int64) { c.app.Hub.MaxStateBytes = n }),
	number("FLOW_SERVER_MAX_SUBSCRIBERS", hubDefault.MaxSubscribers, 1, 1<<30, "limit for open streams", func(c *config, n int64) { c.app.Hub.MaxSubscribers = int(n) }),
	number("FLOW_SERVER_MAX_EMITTERS", hubDefault.MaxEmitters, 1, 1<<30, "emitter names that a flow remembers, for each set of regions of a token", func(c *config, n int64) { c.app.Hub.MaxEmitters = int(n) }),
	number("FLOW_SERVER_MAX_REGIONS", hubDefault.MaxRegions, 1, 1<<20, "limit for claimed regions of one flow", func(c *config, n int64) { c.app.Hub.MaxRegions = int(n) }),
	duration("FLOW_SERVER_IDLE_TIMEOUT", hubDefault.IdleTimeout, time.Minute, 10*365*24*time.Hour, "time after which a flow without messages and renewals is deleted", func(c *config, d time.Duration) { c.app.Hub.IdleTimeout = d }),
	{"FLOW_SERVER_STATE_FILE", "", stateFileAllowed, "file that keeps the flows over a restart: written every minute and on shutdown, read at the start", func(c *config, v string) error {
		c.app.StateFile = v
		return nil
	}},
	duration("FLOW_SERVER_WRITE_TIMEOUT", httpDefault.WriteTimeout, time.Second, time.Hour, "time after which a client that receives nothing of a stream or a large answer is disconnected", func(c *config, d time.Duration) { c.app.HTTP.WriteTimeout = d }),
	duration("FLOW_SERVER_READ_TIMEOUT", httpDefault.ReadTimeout, time.Second, time.Hour, "limit for receiving a request's body", func(c *config, d time.Duration) { c.app.HTTP.ReadTimeout = d }),
	duration("FLOW_SERVER_DRAIN_DELAY", time.Second, 0, 5*time.Second, "time between /readyz answering 503 and the closing of connections on shutdown", func(c *config, d time.Duration) { c.app.DrainDelay = d }),
	{"FLOW_SERVER_STREAM_MODE", "auto", "auto or portable", "how streams are written: auto uses the fast path for HTTP/1 without TLS on Linux, portable always uses net/http", func(c *config, v string) error {
		c.app.HTTP.StreamMode = v
		if v != httpapi.StreamAuto && v != httpapi.StreamPortable {
			return ErrNotAllowed
		}
		return nil
	}},
	{"FLOW_SERVER_LOG_FORMAT", "text", "text or json", "log format", func(c *config, v string) error {
		c.logFormat = v
		if v != "text" && v != "json" {
			return ErrNotAllowed
		}
		return nil
	}},
	{"FLOW_SERVER_LOG_LEVEL", "info", "debug, info, warn or error", "least severe level that is logged", func(c *config, v string) error {
		return c.logLevel.UnmarshalText([]byte(v))
	}},
}

func number[T int | int64](env string, def T, low, high int64, help string, set func(*config, int64)) common {
	return common{env, strconv.FormatInt(int64(def), 10), fmt.Sprintf("an integer from %d to %d", low, high), help, func(c *config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return errors.Unwrap(err) // the message of settings.Parse already has the value
		}
		if n < low || n > high {
			return ErrNotAllowed
		}
		set(c, n)
		return nil
	}}
}

func duration(env string, def, low, high time.Duration, help string, set func(*config, time.Duration)) common {
	return common{env, shortened(def), fmt.Sprintf("a duration such as 90s or 72h, from %s to %s", low, high), help, func(c *config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil {
			return err
		}
		if d < low || d > high {
			return ErrNotAllowed
		}
		set(c, d)
		return nil
	}}
}

// shortened returns a duration without zero parts at its end: 72h and not 72h0m0s.
func shortened(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// parseOrigins parses a comma-separated list of origins. One that differs from what browsers send would never match.
func parseOrigins(list string) (origins []string, err error) {
	for origin := range strings.SplitSeq(list, ",") {
		origin = strings.TrimSpace(origin)
		u, err := url.Parse(origin)
		if err != nil {
			return nil, err
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) {
			return nil, fmt.Errorf("%q is not an origin", origin)
		}
		if strings.ContainsFunc(origin, func(r rune) bool { return r > unicode.MaxASCII }) {
			return nil, fmt.Errorf("browsers send the host of %q in punycode", origin)
		}
		if port := u.Port(); port == map[string]string{"http": "80", "https": "443"}[u.Scheme] || strings.HasSuffix(origin, ":") {
			return nil, fmt.Errorf("browsers send the origin %q without the port", origin)
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

// ancestor matches one entry of FLOW_SERVER_FRAME_ANCESTORS: a wildcard is allowed for subdomains only. No character is
// allowed that would end the directive.
var ancestor = regexp.MustCompile(`^(self|https?://(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?)$`)

func parseAncestors(list string) (sources []string, err error) {
	if list == "none" {
		return []string{list}, nil
	}
	for source := range strings.SplitSeq(list, ",") {
		if source = strings.TrimSpace(source); !ancestor.MatchString(source) {
			return nil, ErrNotAllowed
		}
		sources = append(sources, source)
	}
	return sources, nil
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// parse reads each setting from its flag, its environment variable or its default, in this order.
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
		return c, errors.New("FLOW_SERVER_TOKENS_FILE and FLOW_SERVER_INSECURE=true contradict each other; set one of them")
	}
	if c.app.HTTP.MaxBatchBytes < c.app.HTTP.MaxMessageBytes {
		return c, fmt.Errorf("FLOW_SERVER_MAX_BATCH_BYTES is %d; allowed: at least FLOW_SERVER_MAX_MESSAGE_BYTES, which is %d", c.app.HTTP.MaxBatchBytes, c.app.HTTP.MaxMessageBytes)
	}
	if c.app.HTTP.MaxIngestBytes < c.app.HTTP.MaxBatchBytes {
		return c, fmt.Errorf("FLOW_SERVER_MAX_INGEST_BYTES is %d; allowed: at least FLOW_SERVER_MAX_BATCH_BYTES, which is %d", c.app.HTTP.MaxIngestBytes, c.app.HTTP.MaxBatchBytes)
	}
	return c, nil
}
