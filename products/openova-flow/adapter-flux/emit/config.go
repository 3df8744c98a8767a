package emit

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

// The defaults of a Config, and the periods that are not for users to set.
const (
	DefaultInterval    = 200 * time.Millisecond
	DefaultPostTimeout = 10 * time.Second
	DefaultBacklog     = 10_000
	DefaultMaxMessage  = 1 << 20
	DefaultMaxBatch    = 4 << 20
	DefaultTTL         = 30 * time.Second

	minTTL = 5 * time.Second // what a server takes
	maxTTL = time.Hour

	checkPeriod   = 10 * time.Second // between two looks whether the server still has the flow
	comparePeriod = 5 * time.Minute  // between two full comparisons
	flushTime     = 5 * time.Second  // for what is left when Run's context ends
)

// Source knows the whole state of the region. State is called from the goroutine of Run, never under a lock of the Emitter. What
// it returns must be no older than the last Put that returned before the call.
type Source interface {
	State() ([]flow.Node, []flow.Relationship)
}

// Config says where an Emitter posts, and as whom. URL, FlowID, Region and Source are required.
type Config struct {
	URL    string // of the flow server; a path is kept as a prefix
	FlowID string
	Region string
	Source Source

	// ClusterUID identifies the cluster that speaks for the region: its claim of the region is made with it before anything is sent,
	// and renewed while all goes well. While another cluster has the region, nothing is sent. A server that knows no claims is asked
	// whose UID the region's node carries. Empty: the region is not claimed, and neither is checked.
	ClusterUID string

	// TTL is how long the server takes the region for heard of without a word; 0: DefaultTTL. A word is due three times as often.
	TTL time.Duration

	// Seed, when set, is called once, from the goroutine of Run, with this region's nodes as the server had them before
	// anything was sent. It is called as soon as the server answers, whether this process leads or not.
	Seed func(previous []flow.Node)

	TokenFile string // a bearer token, read for every request; empty: none
	CAFile    string // PEM certificates to trust in place of the system's, read for every request; empty: the system's

	Interval    time.Duration // the least time between two POSTs under load, a tenth of it else; 0: DefaultInterval
	PostTimeout time.Duration // 0: DefaultPostTimeout
	Backlog     int           // how many changes wait in order before they are collapsed; 0: DefaultBacklog
	MaxMessage  int           // bytes; 0: DefaultMaxMessage
	MaxBatch    int           // bytes; 0: DefaultMaxBatch

	Name       string                // of the emitter, as the server knows it; empty: "flux-" and the region
	Version    string                // of the program, for User-Agent
	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: metrics are not registered
	Transport  http.RoundTripper     // nil: one of its own. CAFile is for that alone
}

// Validate reports everything that is wrong with c, in the names of its fields.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch u, err := url.Parse(c.URL); {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		wrong("URL must be http://host or https://host, with an optional port and path")
	case u.User != nil:
		wrong("URL must not hold a user or password; put a token into a file and name that")
	case u.RawQuery != "" || u.Fragment != "":
		wrong("URL must have no query and no fragment")
	}
	if !flow.ValidID(c.FlowID) {
		wrong("FlowID %q must be %s", c.FlowID, flow.IDSyntax)
	}
	if c.Region == "" {
		wrong("Region must not be empty")
	}
	if c.Source == nil {
		wrong("Source must be set")
	}
	if name := c.withDefaults().Name; len(name) > 128 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ';' }) {
		wrong("Name %q, which is flux- and the region when it is not set, must be at most 128 visible ASCII characters without a semicolon", name)
	}
	if c.Interval < 0 || c.PostTimeout < 0 || c.Backlog < 0 || c.MaxMessage < 0 || c.MaxBatch < 0 {
		wrong("Interval, PostTimeout, Backlog, MaxMessage and MaxBatch must not be negative")
	}
	if ttl := c.withDefaults().TTL; ttl < minTTL || ttl > maxTTL || ttl%time.Second != 0 {
		wrong("TTL %s must be whole seconds, from %s to %s", ttl, minTTL, maxTTL)
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	orElse(&c.Interval, DefaultInterval)
	orElse(&c.PostTimeout, DefaultPostTimeout)
	orElse(&c.Backlog, DefaultBacklog)
	orElse(&c.MaxMessage, DefaultMaxMessage)
	orElse(&c.MaxBatch, DefaultMaxBatch)
	orElse(&c.TTL, DefaultTTL)
	orElse(&c.Name, "flux-"+url.PathEscape(c.Region))
	orElse(&c.Version, "devel")
	orElse(&c.Logger, slog.New(slog.DiscardHandler))
	c.Logger = c.Logger.With("flow", c.FlowID, "region", c.Region)
	return c
}

func orElse[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}
