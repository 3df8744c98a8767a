package emit

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

const (
	maxAnswer     = 64 << 10 // limit of the body of an answer, except for a snapshot, in bytes
	maxHeader     = 64 << 10 // limit of the header of an answer, in bytes
	maxRetryAfter = 5 * time.Minute
	maxServerText = 300 // limit for text of the server in errors and logs, in bytes

	// pingAfter is the time after which a connection without traffic is pinged. It is closed if there is no answer within the same time. A request that
	// times out does not close an HTTP/2 connection, so the next one would use it too.
	pingAfter = 5 * time.Second
)

// client makes the requests to the server. It is not safe for concurrent use.
type client struct {
	base      string // URL of the flow, without a slash at its end
	flowID    string
	region    string
	agent     string
	tokenFile string
	caFile    string
	timeout   time.Duration
	transport http.RoundTripper
	caPEM     []byte // content of the CA file from which transport was made
	answered  func(sent time.Time, head *http.Response)
}

func newClient(cfg Config) *client {
	if cfg.Transport != nil {
		cfg.CAFile = ""
	}
	return &client{
		base:      strings.TrimRight(cfg.URL, "/") + "/v1/flows/" + cfg.FlowID,
		flowID:    cfg.FlowID,
		region:    cfg.Region,
		agent:     "openova-flow-adapter-flux/" + cfg.Version,
		tokenFile: cfg.TokenFile, caFile: cfg.CAFile,
		timeout: cfg.PostTimeout, transport: cfg.Transport, answered: cfg.Answered,
	}
}

type answer struct {
	status      int
	incarnation string
	etag        string
	retryAfter  time.Duration
	problem     problem
	isProblem   bool
	location    string
	body        []byte
}

// problem has the used fields of application/problem+json.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
	Line   int    `json:"line"`
	Holder string `json:"holder"`
}

// cut shortens the server's texts and makes them safe to print in logs, /readyz and terminals.
func (p *problem) cut() {
	for _, text := range []*string{&p.Title, &p.Detail, &p.Field, &p.Holder} {
		*text = terminal.Text(*text, maxServerText)
	}
}

func (c *client) claim(ctx context.Context, region, cluster string, ttl time.Duration) (lease string, a answer, err error) {
	body, _ := json.Marshal(map[string]any{"cluster": cluster, "ttlSeconds": int64(ttl / time.Second)}) // a string and a number always marshal
	h := http.Header{"Content-Type": {"application/json"}}
	a, err = c.do(ctx, http.MethodPut, "/regions/"+url.PathEscape(region), h, body, c.timeout, nil)
	if err != nil || a.status != http.StatusOK {
		return "", a, err
	}
	var got struct {
		Lease string `json:"lease"`
	}
	if json.Unmarshal(a.body, &got) != nil || got.Lease == "" {
		return "", a, errNotAServer
	}
	return got.Lease, a, nil
}

// post sends a batch. After an error it is unknown whether the server has applied the batch.
func (c *client) post(ctx context.Context, b *batch, emitter, lease string) (answer, error) {
	h := http.Header{"Content-Type": {"application/x-ndjson"}, "Flow-Emitter": {emitter}}
	// A header with no value is not sent, but allows the transport to repeat the POST if an idle connection was closed.
	h["Idempotency-Key"] = []string{}
	if b.condition != "" {
		h.Set("Flow-If-Incarnation", b.condition)
	}
	if lease != "" {
		h.Set("Flow-Lease", lease)
	}
	a, err := c.do(ctx, http.MethodPost, "/events", h, b.body, c.timeout, nil)
	if err != nil || a.status != http.StatusOK {
		return a, err
	}
	var got struct {
		Seq *int64 `json:"seq"`
	}
	if json.Unmarshal(a.body, &got) != nil || got.Seq == nil {
		return a, errNotAServer
	}
	return a, nil
}

// probe posts an empty body. A server that accepts POSTs answers 400.
func (c *client) probe(ctx context.Context) (answer, error) {
	return c.do(ctx, http.MethodPost, "/events", http.Header{"Content-Type": {"application/x-ndjson"}}, nil, c.timeout, nil)
}

// snapshot gets the region's part of the folded state. If etag is still current, the part is empty and the status 304.
func (c *client) snapshot(ctx context.Context, etag, emitter string) (p part, a answer, err error) {
	// A snapshot may be large, so it has a longer timeout.
	a, err = c.get(ctx, etag, emitter, 3*c.timeout, func(body io.Reader) (err error) {
		p, err = readPart(c.flowID, c.region, body)
		return err
	})
	return p, a, err
}

// check is like snapshot, but does not read the snapshot.
func (c *client) check(ctx context.Context, etag, emitter string) (answer, error) {
	return c.get(ctx, etag, emitter, c.timeout, func(io.Reader) error { return nil })
}

func (c *client) get(ctx context.Context, etag, emitter string, timeout time.Duration, read func(io.Reader) error) (answer, error) {
	h := http.Header{"Accept": {"application/json"}}
	if emitter != "" {
		h.Set("Flow-Emitter", emitter)
	}
	if etag != "" {
		h.Set("If-None-Match", etag)
	}
	return c.do(ctx, http.MethodGet, "/snapshot?region="+url.QueryEscape(c.region), h, nil, timeout, read)
}

// do sends a request. If read is not nil, it reads the body of an answer with status 200. Any other body becomes part of the answer, up to maxAnswer.
func (c *client) do(ctx context.Context, method, path string, h http.Header, body []byte, timeout time.Duration, read func(io.Reader) error) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header = h
	req.Header.Set("User-Agent", c.agent)
	if err := c.authorize(req); err != nil {
		return answer{}, err
	}
	rt, err := c.roundTripper()
	if err != nil {
		return answer{}, err
	}
	// Not http.Client: a redirect must not turn a POST into a successful GET.
	sent := time.Now()
	res, err := rt.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	if c.answered != nil {
		c.answered(sent, res)
	}
	a := answer{
		status:      res.StatusCode,
		incarnation: res.Header.Get("Flow-Incarnation"),
		etag:        res.Header.Get("ETag"),
		location:    terminal.Text(shownURL(res.Header.Get("Location")), maxServerText),
		retryAfter:  retryAfter(res.Header.Get("Retry-After"), time.Now()),
	}
	if a.status == http.StatusOK && read != nil {
		if err := read(res.Body); err != nil {
			return answer{}, err
		}
		return a, nil
	}
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") {
		a.isProblem = json.Unmarshal(a.body, &a.problem) == nil
		a.problem.cut()
	}
	return a, nil
}

func (c *client) authorize(req *http.Request) error {
	if c.tokenFile == "" {
		return nil
	}
	b, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return &fileError{setting: "FLOW_TOKEN_FILE", err: err}
	}
	token := string(bytes.TrimSpace(b))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return &fileError{setting: "FLOW_TOKEN_FILE", err: errors.New(c.tokenFile + " must contain one token and nothing else")}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// roundTripper returns the transport. It makes a new one if the CA file has changed.
func (c *client) roundTripper() (http.RoundTripper, error) {
	if c.caFile == "" {
		if c.transport == nil {
			c.transport = newTransport(nil)
		}
		return c.transport, nil
	}
	pem, err := os.ReadFile(c.caFile)
	if err != nil {
		return nil, &fileError{setting: "FLOW_CA_FILE", err: err}
	}
	if c.caPEM != nil && bytes.Equal(pem, c.caPEM) {
		return c.transport, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &fileError{setting: "FLOW_CA_FILE", err: errors.New(c.caFile + " has no PEM certificate")}
	}
	c.close()
	c.transport, c.caPEM = newTransport(pool), pem
	return c.transport, nil
}

func newTransport(pool *x509.CertPool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	t.ForceAttemptHTTP2 = true
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter}
	t.MaxResponseHeaderBytes = maxHeader
	return t
}

func (c *client) close() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// retryAfter parses the header, in seconds or as a date. It returns 0 if it is missing, invalid or in the past, and at most maxRetryAfter.
func retryAfter(v string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseInt(v, 10, 32); err == nil || errors.Is(err, strconv.ErrRange) { // n is then the nearest int32
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// shownURL returns a URL without user, query and fragment, since these may have a secret; empty if it is invalid.
func shownURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
