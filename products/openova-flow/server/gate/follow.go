package gate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

const (
	// DefaultPoll is the default of Follower.Poll.
	DefaultPoll = 500 * time.Millisecond
	// DefaultSettle is a good value for Follower.Settle.
	DefaultSettle = 10 * time.Second
	// ExactSettle limits Follower.Settle for a success of an exact question. It is not 0, because an adapter watches each kind separately, so changes of two
	// kinds may arrive in another order.
	ExactSettle = time.Second
)

// maxSnapshot limits a response with status 200, in bytes. It is above the default limit of a server for one flow.
const maxSnapshot = 512 << 20

// ErrNoFlow is in the error of a request for a flow that does not exist, perhaps not yet.
var ErrNoFlow = errors.New("does not exist (yet)")

// ErrNoResponse is in the error of a request that got no whole response. The text of that error has the address of the server.
var ErrNoResponse = errors.New("no response")

// noResponse is err, which is also ErrNoResponse.
type noResponse struct{ error }

func (e noResponse) Unwrap() []error { return []error{e.error, ErrNoResponse} }

// Follower looks at a flow of a server until an answer is conclusive. It is not safe for concurrent use.
type Follower struct {
	URL    string       // base URL of the server, without a slash at the end
	Flow   string       // id of the flow
	Client *http.Client // nil: a client that limits each request to 30 s
	// Token returns the bearer token for a request; nil: no token.
	Token func() (string, error)
	// Settle is how long a result, passed or failed, must stay the same; ExactSettle may shorten it, and a final failure need not settle. Poll is the time
	// between two looks, DefaultPoll if 0.
	Settle, Poll time.Duration
	// OnAnswer, if not nil, is called after each look, except one that fails after the context has ended. It gets the last answer, perhaps nil, which it must
	// not change, and the error if the look failed.
	OnAnswer func(*Answer, error)

	etag  string
	state *State
}

// Follow returns the conclusive answer, passed or failed. If ctx ends first, it returns the error of ctx and the last answer: nil if no look has
// succeeded since the start, or since the flow last did not exist.
func (f *Follower) Follow(ctx context.Context, g *Gate) (*Answer, error) {
	var last *Answer
	var result string
	var since time.Time // when result was first seen
	tick := time.NewTicker(cmp.Or(f.Poll, DefaultPoll))
	defer tick.Stop()
	for {
		look, err := f.look(ctx)
		if err == nil {
			last = g.Look(look)
			if last.Result != result {
				result, since = last.Result, time.Now()
			}
		} else {
			result = "" // an answer that the next look did not confirm does not count
			if errors.Is(err, ErrNoFlow) {
				last = nil
			}
		}
		if f.OnAnswer != nil && (err == nil || ctx.Err() == nil) {
			f.OnAnswer(last, err)
		}
		if err == nil && result != insight.Pending {
			settle := f.Settle
			if result == insight.Passed && g.ask.Exact() {
				settle = min(settle, ExactSettle)
			}
			if last.Final || time.Since(since) >= settle {
				return last, nil
			}
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-tick.C:
		}
	}
}

// look reads the claims before the snapshot, so that the snapshot is not older than them.
func (f *Follower) look(ctx context.Context) (Look, error) {
	l := Look{At: time.Now().UnixMilli()}
	var regions struct {
		At      int64
		Regions map[string]struct {
			State string
			Heard int64
		}
	}
	resp, err := f.get(ctx, "regions", "")
	if err != nil {
		return l, err
	}
	switch resp.status {
	case http.StatusOK:
		if err := json.Unmarshal(resp.body, &regions); err != nil {
			return l, fmt.Errorf("read the claims of flow %s: %w", f.Flow, err)
		}
	case http.StatusNotFound, http.StatusMethodNotAllowed: // no flow, or an older server without claims
	default:
		return l, resp.problem()
	}
	l.At = cmp.Or(regions.At, l.At)
	l.Claims = make(map[string]Claim, len(regions.Regions))
	for region, r := range regions.Regions {
		l.Claims[region] = Claim{Stale: r.State != "fresh", LastSeen: r.Heard}
	}
	resp, err = f.get(ctx, "snapshot", f.etag)
	if err != nil {
		return l, err
	}
	switch resp.status {
	case http.StatusNotModified:
		if f.state == nil { // If-None-Match was not sent
			return l, resp.problem()
		}
	case http.StatusNotFound:
		f.state, f.etag = nil, ""
		return l, fmt.Errorf("flow %s: %w", f.Flow, ErrNoFlow)
	case http.StatusOK:
		m, err := flow.Decode(f.Flow, resp.body)
		if err != nil {
			return l, fmt.Errorf("decode the snapshot of flow %s: %w", f.Flow, err)
		}
		f.state, f.etag = Read(m), resp.etag
	default:
		return l, resp.problem()
	}
	l.State = f.state
	return l, nil
}

type response struct {
	status int
	text   string // of the status line
	etag   string
	body   []byte
}

// problem returns the error for a response without a result.
func (r *response) problem() error {
	var p struct{ Detail string }
	_ = json.Unmarshal(r.body, &p) // ignore a body that is not a problem document
	return fmt.Errorf("the server answers %s: %s", terminal.Text(r.text, 256), cmp.Or(terminal.Text(p.Detail, 1<<10), "no detail in the response"))
}

func (f *Follower) get(ctx context.Context, what, etag string) (*response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL+"/v1/flows/"+f.Flow+"/"+what, nil)
	if err != nil {
		return nil, err
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	if f.Token != nil {
		token, err := f.Token()
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := f.client().Do(req)
	if u := new(url.Error); errors.As(err, &u) { // its text has the URL, perhaps that of a redirect with a secret
		return nil, noResponse{fmt.Errorf("get the flow from %s: %w", req.URL.Host, u.Err)}
	}
	if err != nil {
		return nil, noResponse{err}
	}
	defer resp.Body.Close()
	most := int64(maxSnapshot)
	if resp.StatusCode != http.StatusOK {
		most = 64 << 10
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return nil, noResponse{fmt.Errorf("read the response of %s: %w", req.URL.Host, err)}
	}
	if len(body) > maxSnapshot {
		return nil, fmt.Errorf("the server's response has more than %d bytes; keep the flow smaller", maxSnapshot)
	}
	return &response{resp.StatusCode, resp.Status, resp.Header.Get("ETag"), body}, nil
}

// client returns f.Client, which it sets to one with a timeout for each request if it is nil.
func (f *Follower) client() *http.Client {
	if f.Client == nil {
		f.Client = &http.Client{Timeout: 30 * time.Second}
	}
	return f.Client
}
