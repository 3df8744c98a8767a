package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// Exit codes of wait.
const (
	waitFailed   = ExitCode(1)
	waitTimedOut = ExitCode(2)
)

// waiting is what wait is asked for.
type waiting struct {
	url, flow, region string
	since             time.Time
	timeout, settle   time.Duration
	tokenFile         string
	poll              time.Duration
}

// wait blocks until every release of a flow has succeeded, something has failed for good, or the time is up.
func wait(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	w := waiting{poll: time.Second}
	fs := flag.NewFlagSet("wait", flag.ContinueOnError)
	fs.StringVar(&w.url, "url", "", "base `URL` of the server (required)")
	fs.StringVar(&w.flow, "flow", "", "`id` of the flow (required)")
	fs.StringVar(&w.region, "region", "", "wait for this region only")
	since := fs.String("since", "", "an `instant` (RFC 3339, or `now`): wait for a run that starts then or later, and do not count what failed before it")
	fs.DurationVar(&w.timeout, "timeout", 30*time.Minute, "how long to wait")
	fs.DurationVar(&w.settle, "settle", 10*time.Second, "how long a result must stand: a failed release may be retried, a succeeded one may be followed by another")
	fs.StringVar(&w.tokenFile, "token-file", "", "`file` with a bearer token")
	if err := parseFlags(fs, args, stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return ExitCode(3)
	}
	if err := w.validate(*since); err != nil {
		terminal.PrintError(stderr, "wait", err)
		return ExitCode(3)
	}
	return w.run(ctx, stdout, stderr)
}

func (w *waiting) validate(since string) error {
	u, err := url.Parse(w.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("invalid --url %q; allowed: an absolute http or https URL", terminal.Text(w.url, shownName))
	}
	w.url = strings.TrimSuffix(w.url, "/")
	if !flow.ValidID(w.flow) {
		return fmt.Errorf("invalid --flow %q; allowed: %s", terminal.Text(w.flow, shownName), flow.IDSyntax)
	}
	switch since {
	case "":
	case "now":
		w.since = time.Now()
	default:
		if w.since, err = time.Parse(time.RFC3339, since); err != nil {
			return fmt.Errorf("invalid --since %q; allowed: now, or an instant such as 2006-01-02T15:04:05Z", terminal.Text(since, shownName))
		}
	}
	return nil
}

func (w *waiting) run(ctx context.Context, stdout, stderr io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	client := &http.Client{Timeout: 30 * time.Second}
	var (
		etag, lastLine, lastErr string
		now                     = assessment{}
		heard                   bool
		verdict                 string
		stood                   time.Time
	)
	tick := time.NewTicker(w.poll)
	defer tick.Stop()
	for {
		state, tag, err := w.fetch(ctx, client, etag)
		switch {
		case err != nil:
			verdict, etag, heard = "", "", heard && !errors.Is(err, errNoFlow) // what is not confirmed any more does not count
			now.unconfirmed = true
			if ctx.Err() == nil && err.Error() != lastErr {
				lastErr = err.Error()
				terminal.PrintError(stderr, "wait", fmt.Errorf("%w; trying again", err))
			}
		case state != nil:
			etag, heard, lastErr = tag, true, ""
			now = assess(state, w.region, w.since)
		}
		if heard && now.line() != lastLine {
			lastLine = now.line()
			fmt.Fprintln(stdout, lastLine)
		}
		if v := now.verdict(); v != verdict && !now.unconfirmed {
			verdict, stood = v, time.Now()
		}
		if heard && verdict != "" && time.Since(stood) >= w.settle {
			if verdict == flow.StatusFailed {
				now.printFailed(stdout)
				return waitFailed
			}
			return nil
		}
		select {
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return ExitCode(130)
			}
			now.printOpen(stdout, heard)
			return waitTimedOut
		case <-tick.C:
		}
	}
}

// fetch gets the snapshot, nil when it has not changed.
func (w *waiting) fetch(ctx context.Context, client *http.Client, etag string) (*flow.Message, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/v1/flows/"+w.flow+"/snapshot", nil)
	if err != nil {
		return nil, "", err
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	if w.tokenFile != "" {
		token, err := os.ReadFile(w.tokenFile)
		if err != nil {
			return nil, "", err
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotModified:
		return nil, etag, nil
	case http.StatusNotFound:
		return nil, "", fmt.Errorf("flow %s: %w", w.flow, errNoFlow)
	case http.StatusOK:
	default:
		var p struct{ Detail string }
		_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p) // what is no problem document says nothing
		return nil, "", fmt.Errorf("the server answers %s: %s", terminal.Text(resp.Status, shownName), cmp.Or(terminal.Text(p.Detail, shownMessage), "and does not say why"))
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", err
	}
	m, err := flow.Decode(w.flow, body)
	return m, resp.Header.Get("ETag"), err
}

var errNoFlow = errors.New("does not exist (yet)")

// assessment is how far a flow, or a region of it, is.
type assessment struct {
	total, done  int
	failed, open []waitNode
	suspended    int
	started      bool // a run has started since the instant that is waited from
	blocked      bool // nothing that is open can go on: all of it waits for what failed
	unconfirmed  bool // the server could not be asked since
}

type waitNode struct {
	flow.Node
	reason, message string
	waits           bool
	blocks          int
}

// assess looks at the leaves of a snapshot: regions and other containers follow from them.
func assess(m *flow.Message, region string, since time.Time) assessment {
	state := flow.NewState(m.Flow.ID, 0)
	state.Apply(m)
	a := assessment{started: since.IsZero()}
	var sinceMs int64
	if !since.IsZero() {
		sinceMs = since.UnixMilli()
	}
	working := 0
	for _, n := range m.Nodes {
		if state.IsContainer(n.ID) || region != "" && n.Region != region {
			continue
		}
		facts := map[string]string{}
		flow.EachField(n.Meta, func(key, value string) { facts[key] = value })
		if facts["kind"] == `"Region"` {
			continue
		}
		a.total++
		if n.StartedAt.Ms() >= sinceMs && !n.StartedAt.IsZero() {
			a.started = true
		}
		wn := waitNode{Node: n, reason: text(facts["reason"]), message: text(facts["message"])}
		wn.waits = facts["waitingFor"] != "" && facts["waitingFor"] != "[]" || wn.reason == "DependencyNotReady"
		switch {
		case n.Status == flow.StatusSucceeded:
			a.done++
		case facts["suspended"] == "true":
			a.suspended++
		case n.Status == flow.StatusFailed:
			if ended, ok := n.EndedAt.Get(); ok && ended < sinceMs {
				a.total-- // it failed before what is waited for
				continue
			}
			wn.blocks = downstream(state, n.ID)
			a.failed = append(a.failed, wn)
		default:
			if !wn.waits {
				working++
			}
			a.open = append(a.open, wn)
		}
	}
	a.blocked = working == 0
	slices.SortStableFunc(a.failed, func(x, y waitNode) int { return cmp.Compare(y.blocks, x.blocks) })
	return a
}

// text returns the string that a JSON text stands for, empty when it is none, on one line.
func text(value string) (s string) {
	_ = json.Unmarshal([]byte(value), &s)
	return strings.Join(strings.Fields(s), " ")
}

// downstream counts what can't start before id has succeeded.
func downstream(state *flow.State, id string) int {
	seen := map[string]bool{id: true}
	for queue := []string{id}; len(queue) > 0; queue = queue[1:] {
		state.Successors(queue[0], flow.FinishToStart, func(n flow.Node) {
			if !seen[n.ID] {
				seen[n.ID] = true
				queue = append(queue, n.ID)
			}
		})
	}
	return len(seen) - 1
}

// verdict is succeeded, failed or, while it goes on, empty. It has failed once nothing is left that could still go on.
func (a assessment) verdict() string {
	switch {
	case len(a.failed) > 0 && a.blocked:
		return flow.StatusFailed
	case a.total > 0 && a.started && len(a.open) == 0 && len(a.failed) == 0:
		return flow.StatusSucceeded
	}
	return ""
}

func (a assessment) line() string {
	waits := 0
	for _, n := range a.open {
		if n.waits {
			waits++
		}
	}
	line := fmt.Sprintf("%d of %d done, %d working, %d waiting, %d failed", a.done, a.total, len(a.open)-waits, waits, len(a.failed))
	if a.suspended > 0 {
		line += fmt.Sprintf(", %d suspended", a.suspended)
	}
	if !a.started {
		line += "; no run has started yet"
	}
	return line
}

// Bytes shown of what a flow or a server says.
const (
	shownName    = 256 // ids, reasons, statuses
	shownMessage = 1 << 10
)

// print writes one line about n. What the flow says of it is anybody's text.
func (n waitNode) print(w io.Writer, what, more string) {
	message := ""
	if n.message != "" {
		message = ": " + terminal.Text(n.message, shownMessage)
	}
	fmt.Fprintf(w, "%s: %s: %s%s%s\n", what, terminal.Text(n.ID, shownName), terminal.Text(cmp.Or(n.reason, n.Status), shownName), more, message)
}

func (a assessment) printFailed(w io.Writer) {
	for _, n := range a.failed {
		blocks := ""
		if n.blocks > 0 {
			blocks = fmt.Sprintf(", blocks %d", n.blocks)
		}
		n.print(w, "failed", blocks)
	}
}

func (a assessment) printOpen(w io.Writer, heard bool) {
	if !heard {
		fmt.Fprintln(w, "timed out: the server gave no state of this flow")
		return
	}
	if a.total == 0 {
		fmt.Fprintln(w, "timed out: nothing has been reported yet")
	}
	if !a.started {
		fmt.Fprintln(w, "timed out: no run has started since the instant given")
	}
	a.printFailed(w)
	for _, n := range a.open {
		n.print(w, "timed out waiting for", "")
	}
}
