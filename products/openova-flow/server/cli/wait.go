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
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
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

// wait blocks until package insight's verdict on a flow stands, or the time is up.
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
	switch {
	case terminal.Secret(w.url):
		return errors.New("invalid --url: it " + terminal.HiddenSecret + "; allowed: an absolute http or https URL, without user, query and fragment")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("invalid --url %.200q; allowed: an absolute http or https URL", w.url)
	}
	w.url = strings.TrimSuffix(w.url, "/")
	if !flow.ValidID(w.flow) {
		return fmt.Errorf("invalid --flow %.200q; allowed: %s", w.flow, flow.IDSyntax)
	}
	switch since {
	case "":
	case "now":
		w.since = time.Now()
	default:
		if w.since, err = time.Parse(time.RFC3339, since); err != nil {
			return fmt.Errorf("invalid --since %.200q; allowed: now, or an instant such as 2006-01-02T15:04:05Z", since)
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
		graph                   *insight.Graph
		now                     assessment
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
			if ctx.Err() == nil && err.Error() != lastErr {
				lastErr = err.Error()
				terminal.PrintError(stderr, "wait", fmt.Errorf("%w; trying again", err))
			}
		case state != nil:
			etag, heard, lastErr = tag, true, ""
			graph = insight.Read(state)
		}
		if graph != nil {
			now = assess(graph.At(time.Now().UnixMilli(), nil), w.region, w.since)
		}
		if heard && now.line() != lastLine {
			lastLine = now.line()
			fmt.Fprintln(stdout, lastLine)
		}
		if v := now.result(); v != verdict && err == nil {
			verdict, stood = v, time.Now()
		}
		if heard && err == nil && (time.Since(stood) >= w.settle || now.verdict.Final) {
			switch verdict {
			case insight.Failed:
				now.printFailed(stdout)
				return waitFailed
			case insight.Passed:
				return nil
			}
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
	if u := new(url.Error); errors.As(err, &u) { // its text has the URL, which may be one that the server has redirected to
		return nil, "", fmt.Errorf("get the flow from %s: %w", req.URL.Host, u.Err)
	}
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
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSnapshot+1))
	if err != nil {
		return nil, "", err
	}
	if len(body) > maxSnapshot {
		return nil, "", fmt.Errorf("the server's snapshot has more than %d bytes; wait for one region with --region, or keep the flow smaller", maxSnapshot)
	}
	m, err := flow.Decode(w.flow, body)
	return m, resp.Header.Get("ETag"), err
}

// maxSnapshot is how many bytes of a snapshot wait reads: more than the limits of a server let a flow have.
const maxSnapshot = 512 << 20

var errNoFlow = errors.New("does not exist (yet)")

// assessment is how far a flow, or a region of it, is.
type assessment struct {
	view                                             *insight.View
	verdict                                          insight.Verdict
	total, done, working, waiting, failed, suspended int  // auxiliary nodes are not among them
	started                                          bool // a run has started since the instant that is waited from
}

// assess judges a region of a flow, or all of it, without what had failed before an instant. Instants count by whole seconds, as Kubernetes has them.
func assess(v *insight.View, region string, since time.Time) assessment {
	a := assessment{view: v, started: since.IsZero()}
	before := func(at flow.Time) bool { return !since.IsZero() && !at.IsZero() && at.Ms()/1000 < since.Unix() }
	a.verdict = v.Verdict(func(n *flow.Node) bool {
		state := v.State(n.ID)
		switch {
		case region != "" && n.Region != region:
			return false
		case v.Auxiliary(n.ID):
			return state != insight.Broken || !before(v.Since(n.ID))
		}
		a.started = a.started || !n.StartedAt.IsZero() && !before(n.StartedAt)
		if state == insight.Broken && (before(n.EndedAt) || n.EndedAt.IsZero() && before(v.Since(n.ID))) {
			return false
		}
		a.total++
		switch state {
		case insight.Ready:
			a.done++
		case insight.Waiting:
			a.waiting++
		case insight.Broken:
			a.failed++
		case insight.Suspended:
			a.suspended++
		default:
			a.working++
		}
		return true
	})
	return a
}

// result is the verdict, but nothing has passed of which there is nothing, or no run since it is waited for.
func (a assessment) result() string {
	if a.verdict.Result == insight.Passed && (a.total == 0 || !a.started) {
		return insight.Pending
	}
	return a.verdict.Result
}

func (a assessment) line() string {
	line := fmt.Sprintf("%d of %d done, %d working, %d waiting, %d failed", a.done, a.total, a.working, a.waiting, a.failed)
	if a.suspended > 0 {
		line += fmt.Sprintf(", %d suspended", a.suspended)
	}
	if !a.started {
		line += "; no run has started yet"
	}
	return line
}

const (
	// Bytes shown of what a flow or a server says.
	shownName    = 256 // ids, reasons, statuses
	shownMessage = 1 << 10
	// shownLines is how many problems, and how many nodes that are waited for, get a line.
	shownLines = 50
)

func (a assessment) printFailed(w io.Writer) {
	for _, p := range a.verdict.Problems[:min(shownLines, len(a.verdict.Problems))] {
		line := "failed: " + terminal.Text(p.ID, shownName) + ": " + terminal.Text(cmp.Or(p.Sentence, p.Class, string(p.State)), shownMessage)
		if len(p.Blocks) > 0 {
			line += fmt.Sprintf(" Blocks %d.", len(p.Blocks))
		}
		if command, ok := terminal.Shell(p.Command); ok {
			line += " Run: " + command
		}
		fmt.Fprintln(w, line)
	}
	printMore(w, len(a.verdict.Problems))
	for _, id := range a.verdict.Unfit {
		if a.view.State(id) == insight.Suspended {
			fmt.Fprintf(w, "failed: %s: It is suspended, and not as it should be.\n", terminal.Text(id, shownName))
		}
	}
}

func printMore(w io.Writer, of int) {
	if of > shownLines {
		fmt.Fprintf(w, "and %d more\n", of-shownLines)
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
	for _, ids := range [][]string{a.verdict.Open, a.verdict.Unfit} {
		for _, id := range ids[:min(shownLines, len(ids))] {
			if a.view.State(id) == insight.Suspended { // it has a line already
				continue
			}
			line := "timed out waiting for: " + terminal.Text(id, shownName) + ": " + string(a.view.State(id))
			if marks := a.view.Marks(id); len(marks) > 0 {
				line += " (" + terminal.Text(strings.Join(marks, ", "), shownName) + ")"
			}
			if held := a.view.HeldBy(id); len(held) > 0 {
				line += ", held by " + terminal.Text(strings.Join(held, ", "), shownMessage)
			}
			fmt.Fprintln(w, line)
		}
		printMore(w, len(ids))
	}
}
