package emit

import (
	"cmp"
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

// Defaults of a Config, and intervals that are not settings.
const (
	DefaultInterval    = 200 * time.Millisecond
	DefaultPostTimeout = 10 * time.Second
	DefaultBacklog     = 10_000
	DefaultMaxMessage  = 1 << 20
	DefaultMaxBatch    = 4 << 20
	DefaultTTL         = 30 * time.Second

	minTTL = 5 * time.Second // minimum that a server accepts
	maxTTL = time.Hour

	checkPeriod   = 10 * time.Second // between two checks whether the server still has the flow
	comparePeriod = 5 * time.Minute  // between two full comparisons
	flushTime     = 5 * time.Second  // for sending unconfirmed changes after Run's context has ended
)

// Source has the complete state of the region. State is called from the goroutine of Run, never under a lock of the Emitter. Its
// result must include every Put that returned before the call.
type Source interface {
	State() ([]flow.Node, []flow.Relationship)
}

// Config configures an Emitter. URL, FlowID, Region and Source are required.
type Config struct {
	URL    string // URL of the flow server; its path is the base path
	FlowID string
	Region string
	Source Source

	// ClusterUID is the identity of the cluster that claims the region. The claim precedes the first POST. While another cluster has the
	// region, nothing is posted. If the server does not support claims, the UID in the region's node is compared instead. Empty: neither.
	ClusterUID string

	// TTL is the time after which a claim expires without a renewal; 0: DefaultTTL. Each POST renews the claim. Without POSTs, it is renewed
	// after a third of this time, unless the server does not accept changes or SetBlind(true) was called.
	TTL time.Duration

	// Seed, if set, is called once, from the goroutine of Run, with the server's nodes of this region before the first POST: as soon as the
	// server answers, whether this process leads or not. It gets none if they are another cluster's.
	Seed func(previous []flow.Node)

	TokenFile string // file with a bearer token, read for every request; empty: no token
	CAFile    string // file with PEM certificates, read for every request; empty: the system's certificates

	Interval    time.Duration // minimum time between two POSTs under load, down to a tenth of it otherwise; 0: DefaultInterval
	PostTimeout time.Duration // 0: DefaultPostTimeout
	Backlog     int           // number of waiting changes above which they are collapsed, besides those left by the last collapse; 0: DefaultBacklog
	MaxMessage  int           // bytes; 0: DefaultMaxMessage
	MaxBatch    int           // bytes; 0: DefaultMaxBatch

	Name       string                // the emitter's name in Flow-Emitter; empty: "flux-" and the region, escaped as in a URL path
	Version    string                // the program's version, for User-Agent
	Logger     *slog.Logger          // nil: no log
	Registerer prometheus.Registerer // nil: metrics are not registered
	Transport  http.RoundTripper     // nil: its own, which uses CAFile

	// Answered, if set, is called with the header of each answer and the time when the request was sent, from any goroutine.
	Answered func(sent time.Time, head *http.Response)
}

// Validate returns an error that names every invalid field of c, or nil.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch u, err := url.Parse(c.URL); {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		wrong("URL must be http://host or https://host, with an optional port and path")
	case u.User != nil:
		wrong("URL must have no user and password; put a token into a file and set TokenFile")
	case strings.ContainsAny(c.URL, "?#"):
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
		wrong("Name %q must be at most 128 visible ASCII characters without a semicolon; the default is flux- and the escaped region", name)
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
	c.Interval = cmp.Or(c.Interval, DefaultInterval)
	c.PostTimeout = cmp.Or(c.PostTimeout, DefaultPostTimeout)
	c.Backlog = cmp.Or(c.Backlog, DefaultBacklog)
	c.MaxMessage = cmp.Or(c.MaxMessage, DefaultMaxMessage)
	c.MaxBatch = cmp.Or(c.MaxBatch, DefaultMaxBatch)
	c.TTL = cmp.Or(c.TTL, DefaultTTL)
	c.Name = cmp.Or(c.Name, "flux-"+url.PathEscape(c.Region))
	c.Version = cmp.Or(c.Version, "dev")
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler)).With("flow", c.FlowID, "region", c.Region)
	return c
}
