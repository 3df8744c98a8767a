package httpapi

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/flowmetrics"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
	"github.com/openova-io/openova/products/openova-flow/server/internal/backlog"
	"github.com/openova-io/openova/products/openova-flow/server/internal/eventstream"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// Config configures a Server. The zero value of a field means its default (withDefaults).
type Config struct {
	MaxMessageBytes int64         // bytes of one message: a JSON body, or a line of an NDJSON body
	MaxBatchBytes   int64         // bytes of one NDJSON body
	MaxIngestBytes  int64         // bytes of memory for all bodies being read and applied
	MaxAnswerBytes  int64         // bytes of memory for large answers and deliveries that clients have not read yet
	StreamMode      string        // StreamAuto or StreamPortable
	Heartbeat       time.Duration // longest silence of a stream
	WriteTimeout    time.Duration // how long a client may read no bytes of a stream or a large answer before it is disconnected
	ReadTimeout     time.Duration // how long a body may take to arrive
	Version         string        // version of the build, for metrics and the description
	BasePath        string        // prefix that everything is served under, starting and ending with /

	Auth     *auth.Authority // authenticates and authorizes callers; default: no access control
	Loopback bool            // check each request with auth.CheckLoopback, for a server without access control
	Origins  []string        // origins of other pages that may read answers, as browsers send them
	Page     http.Handler    // serves GET / and its assets; nil: GET / is the description
	Logger   *slog.Logger    // gets log and audit lines

	CommitLinks revision.Links // URLs of commits; default: the URLs of well-known hosts

	minReadRate int // least bytes a second that a client must read
}

// DefaultConfig returns a Config with each field at its default.
func DefaultConfig() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	c.MaxMessageBytes = cmp.Or(c.MaxMessageBytes, 1<<20)
	c.MaxBatchBytes = cmp.Or(c.MaxBatchBytes, 16<<20)
	c.MaxIngestBytes = cmp.Or(c.MaxIngestBytes, 128<<20)
	c.MaxAnswerBytes = cmp.Or(c.MaxAnswerBytes, 256<<20)
	c.StreamMode = cmp.Or(c.StreamMode, StreamAuto)
	c.Heartbeat = cmp.Or(c.Heartbeat, 15*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 30*time.Second)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, 30*time.Second)
	c.Version = cmp.Or(c.Version, "dev")
	c.BasePath = cmp.Or(c.BasePath, "/")
	c.minReadRate = cmp.Or(c.minReadRate, backlog.DefaultMinRate)
	if c.Auth == nil {
		c.Auth = auth.Unguarded()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Server is an http.Handler over a hub.
type Server struct {
	cfg     Config
	hub     *hub.Hub
	handler http.Handler // the routes within their middleware
	ready   atomic.Bool
	metrics *metrics
	flows   *flowmetrics.Collector

	bodies      quota // bytes of bodies being read and applied
	turns       *turns
	pace        backlog.Pace    // how fast clients must read
	unread      *backlog.Budget // unread bytes of large answers and streams
	subscribers quota           // open streams, if there is access control
	streams     eventstream.Writer

	// Each limits one kind of log line.
	refusals    logLimiters // refused messages
	claims      logLimiters // refused claims
	fullStreams logLimiters // refused streams
	denials     map[auth.Reason]*logLimiters
	revoked     logLimiters // streams closed because of their credential
}

// New returns a Server over a hub. It is not ready until SetReady(true).
func New(h *hub.Hub, cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), hub: h, metrics: newMetrics(), flows: flowmetrics.New(h), turns: newTurns()}
	s.denials = make(map[auth.Reason]*logLimiters)
	for _, reason := range auth.Reasons {
		s.denials[reason] = new(logLimiters)
	}
	s.pace = backlog.Pace{Timeout: s.cfg.WriteTimeout, MinRate: s.cfg.minReadRate}
	s.unread = backlog.NewBudget(s.cfg.MaxAnswerBytes)
	s.streams = s.newStreamWriter()
	s.handler = chain(s.routes(), secured, s.limited, s.underBasePath)
	return s
}

// SetReady sets what /readyz answers.
func (s *Server) SetReady(ready bool) { s.ready.Store(ready) }

// Shutdown waits for the streams of the fast writer, which end after the hub is closed; when ctx is done it disconnects them. Call it after
// http.Server.Shutdown, which does not wait for them.
func (s *Server) Shutdown(ctx context.Context) { s.streams.Shutdown(ctx) }

// ServeHTTP answers a request. A stream is written after the middleware has returned, because its stack frames would take 8 KiB more for each open stream
// of the portable writer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	rec := &recorder{ResponseWriter: w, pace: s.pace, route: noRoute}
	s.handler.ServeHTTP(rec, r)
	if rec.stream != nil {
		s.streams.Write(rec, r, *rec.stream) // counts the request when the stream ends
		return
	}
	s.metrics.request(rec.route, r.Method, rec.status())
	s.metrics.observeDuration(rec.route, rec.status(), time.Since(began))
}
