package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/gate"
	"github.com/openova-io/openova/products/openova-flow/server/insight"
	"github.com/openova-io/openova/products/openova-flow/server/internal/reportpage"
	"github.com/openova-io/openova/products/openova-flow/server/revision"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// Exit codes of wait.
const (
	waitFailed      = ExitCode(1)
	waitTimedOut    = ExitCode(2)
	waitMisused     = ExitCode(3)
	waitInterrupted = ExitCode(130)
)

// recordTimeout limits how long wait fetches the recording for a report, after it has its answer.
const recordTimeout = 30 * time.Second

// errorLimit is the limit for the last error of a wait without an answer, in bytes.
const errorLimit = 2 << 10

// waiting has the flags of wait.
type waiting struct {
	follower gate.Follower
	ask      gate.Ask
	timeout  time.Duration
	output   string // text or json
	reports  []report
	page     *os.File // of --report; nil: the flag is not set
}

// report is a file that the answer is written to.
type report struct {
	file  *os.File
	write func(a *gate.Answer, w io.Writer, flowID string) error
}

// wait runs the command wait: it blocks until the requested state is reached or has failed, the time is up, or ctx ends.
func wait(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var w waiting
	fs := flag.NewFlagSet("wait", flag.ContinueOnError)
	fs.StringVar(&w.follower.URL, "url", "", "base `URL` of the server (required)")
	fs.StringVar(&w.follower.Flow, "flow", "", "`id` of the flow (required)")
	fs.StringVar(&w.ask.Region, "region", "", "wait for this region only")
	fs.Func("revision", "wait for this `revision`: a commit (7 digits or more), branch@sha1:commit, an OCI digest or tag, or with --release a chart version", func(v string) error {
		w.ask.Revision = v
		_, err := revision.ParseName(v) // reject an empty revision too: it comes from an unset variable
		return err
	})
	repo := fs.String("repo", "", "`folder` of a Git repository with the revision and its successors (default: the working directory if it is in one)")
	fs.Func("kustomization", "wait for this Kustomization and what it applies, as `NAMESPACE/NAME`; repeatable", func(v string) error {
		n, err := gate.ParseName(v)
		w.ask.Kustomizations = append(w.ask.Kustomizations, n)
		return err
	})
	fs.Func("release", "wait for this release, as `NAMESPACE/NAME`, or for a chart version, as NAMESPACE/NAME=VERSION; repeatable", func(v string) error {
		r, err := gate.ParseRelease(v)
		w.ask.Releases = append(w.ask.Releases, r)
		return err
	})
	since := fs.String("since", "", "a `time` (RFC 3339, or now): wait for a run that begins then or later; not needed with a revision, or with a version for each object")
	fs.DurationVar(&w.timeout, "timeout", 30*time.Minute, "how long to wait")
	fs.DurationVar(&w.follower.Settle, "settle", gate.DefaultSettle, "how long a result must not change; at most 1s for a success with --revision, or with a version for each object")
	tokenFile := fs.String("token-file", "", "`file` with a bearer token")
	fs.StringVar(&w.output, "output", "text", "text, or json: one object at the end, and progress on stderr")
	junit := fs.String("junit", "", "`file` for a JUnit report")
	markdown := fs.String("markdown", "", "`file` to which a summary in Markdown is appended")
	page := fs.String("report", "", "`file` for a report as one HTML page that contains the recording and needs no network")
	if err := parseFlags(fs, args, stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return waitMisused
	}
	err := w.validate(*since, *repo, stderr)
	if fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %s; every argument of wait is a flag", terminal.Argument(fs.Arg(0)))
	}
	if err == nil && *tokenFile != "" {
		w.follower.Token = readToken(*tokenFile)
		_, err = w.follower.Token()
	}
	if err == nil {
		err = w.open("junit", *junit, os.O_TRUNC, (*gate.Answer).WriteJUnit)
	}
	if err == nil {
		err = w.open("markdown", *markdown, os.O_APPEND, (*gate.Answer).WriteMarkdown)
	}
	if err == nil && *page != "" {
		w.page, err = os.Create(*page)
		err = fileError("report", *page, err)
	}
	if err != nil {
		terminal.PrintError(stderr, "wait", err)
		return waitMisused
	}
	return w.run(ctx, stdout, stderr)
}

// readToken returns a function that reads a token from a file, so that the token may be rotated.
func readToken(file string) func() (string, error) {
	token := ""
	return func() (string, error) {
		text, err := os.ReadFile(file)
		token = cmp.Or(strings.TrimSpace(string(text)), token) // a pipe is empty when it is read again
		switch {
		case err != nil:
		case token == "":
			err = errors.New("the file is empty")
		case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
			token, err = "", errors.New("it must contain one token and nothing else")
		}
		if err != nil {
			return "", fileError("token-file", file, fmt.Errorf("read --token-file %.200q: %w", file, err))
		}
		return token, nil
	}
}

// fileError returns err, an error of a file that a flag names, without the path if that may contain a secret: it may be a URL, given by mistake.
func fileError(flag, path string, err error) error {
	if cause := new(os.PathError); terminal.Secret(path) && errors.As(err, &cause) {
		return fmt.Errorf("invalid --%s: the value %s: %w", flag, terminal.HiddenSecret, cause.Err)
	}
	return err
}

// validate checks the flags, and completes the question with since and the Git repository.
func (w *waiting) validate(since, repo string, stderr io.Writer) error {
	u, err := url.Parse(w.follower.URL)
	switch {
	case terminal.Secret(w.follower.URL):
		return errors.New("invalid --url: the value " + terminal.HiddenSecret + "; allowed: an absolute http or https URL, without user, query and fragment")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("invalid --url %.200q; allowed: an absolute http or https URL", w.follower.URL)
	}
	w.follower.URL = strings.TrimSuffix(w.follower.URL, "/")
	if !flow.ValidID(w.follower.Flow) {
		return fmt.Errorf("invalid --flow %s; allowed: %s", terminal.Argument(w.follower.Flow), flow.IDSyntax)
	}
	switch since {
	case "":
	case "now":
		w.ask.SinceStart = true
	default:
		if w.ask.Since, err = time.Parse(time.RFC3339, since); err != nil {
			return fmt.Errorf("invalid --since %s; allowed: now, or a time such as 2006-01-02T15:04:05Z", terminal.Argument(since))
		}
	}
	if !slices.Contains([]string{"text", "json"}, w.output) {
		return fmt.Errorf("invalid --output %s; allowed: text, json", terminal.Argument(w.output))
	}
	if err := w.ask.Validate(); err != nil {
		return err
	}
	if w.ask.Revision == "" && repo == "" {
		return nil
	}
	if _, err := os.Stat(repo); err != nil && terminal.Secret(repo) { // git would print it
		return fileError("repo", repo, err)
	}
	w.ask.Repository, err = gate.OpenRepository(cmp.Or(repo, "."))
	switch {
	case err == nil || repo != "":
		return err
	case !errors.Is(err, gate.ErrNoRepository) && !errors.Is(err, exec.ErrNotFound):
		terminal.PrintError(stderr, "wait", fmt.Errorf("%w; going on without it, so a later commit may not count", err))
	}
	return nil // the working directory need not be in a repository; without one, git cannot say which commits are later
}

// open opens or creates the file of a report, if the flag is set.
func (w *waiting) open(flag, path string, mode int, write func(*gate.Answer, io.Writer, string) error) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|mode, 0o666)
	if err != nil {
		return fileError(flag, path, err)
	}
	w.reports = append(w.reports, report{f, write})
	return nil
}

func (w *waiting) run(parent context.Context, stdout, stderr io.Writer) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(parent, w.timeout)
	defer cancel()
	p := &progress{out: stdout, errs: stderr, inPlace: isTerminal(stdout)}
	if w.output == "json" {
		p.out, p.inPlace = stderr, isTerminal(stderr)
	}
	w.follower.OnAnswer = p.show
	a, err := w.follower.Follow(ctx, gate.New(w.ask))
	p.end()
	exit := ExitCode(0)
	switch {
	case err == nil && a.Result == insight.Failed:
		exit = waitFailed
	case errors.Is(err, context.DeadlineExceeded):
		exit = waitTimedOut
	case err != nil:
		exit = waitInterrupted
	}
	if a == nil {
		a = &gate.Answer{At: time.Now().UnixMilli(), Result: insight.Pending, Revision: w.ask.Revision, Started: w.ask.Exact() || w.ask.Since.IsZero() && !w.ask.SinceStart,
			Objects: []gate.Object{}, Problems: []gate.Problem{}, Sources: []gate.Source{}, Stale: []gate.Stale{}, Missing: []string{}} // not null in JSON
		if exit == waitTimedOut {
			fmt.Fprintln(p.out, "timed out: the server returned no state of this flow: "+terminal.Text(cmp.Or(p.lastError, "no response"), errorLimit))
		}
	} else if exit == waitFailed || exit == waitTimedOut {
		_ = a.WriteText(p.out, exit == waitTimedOut) // a failed write of output can't be reported
	}
	if err := errors.Join(w.report(a, exit, stdout), w.writePage(parent, a, exit, began)); err != nil {
		terminal.PrintError(stderr, "wait", err)
		exit = cmp.Or(exit, waitMisused)
	}
	if exit != 0 {
		return exit
	}
	return nil
}

// report writes the reports, and with --output json the answer.
func (w *waiting) report(a *gate.Answer, exit ExitCode, stdout io.Writer) error {
	var failures []error
	for _, r := range w.reports {
		failures = append(failures, r.write(a, r.file, w.follower.Flow), r.file.Close())
	}
	if w.output == "json" {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		failures = append(failures, e.Encode(struct {
			Flow string `json:"flow"`
			Exit int    `json:"exit"`
			*gate.Answer
		}{w.follower.Flow, int(exit), a}))
	}
	return errors.Join(failures...)
}

// writePage writes the report as a page. Without a recording, the page says why, but not the server's address.
func (w *waiting) writePage(ctx context.Context, a *gate.Answer, exit ExitCode, began time.Time) error {
	if w.page == nil {
		return nil
	}
	c := reportpage.Content{Flow: w.follower.Flow, Exit: int(exit), Began: began.UnixMilli(), Ended: time.Now().UnixMilli(), Region: w.ask.Region, Line: a.Line(), Answer: a}
	limited, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	var err error
	c.Recording, err = w.follower.Record(limited, 0)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		c.NoRecord = "the wait was interrupted"
	case errors.Is(err, gate.ErrNoResponse):
		c.NoRecord = "the server did not respond"
	default:
		c.NoRecord = terminal.Text(err.Error(), 1<<10)
	}
	return errors.Join(reportpage.Write(w.page, c), w.page.Close())
}

// progress prints answers as they arrive: one line for each change, or on a terminal a line that is updated
// in place.
type progress struct {
	out, errs       io.Writer
	inPlace         bool
	before          *gate.Answer
	line, lastError string
	hinted          string
}

func (p *progress) show(a *gate.Answer, err error) {
	if err != nil {
		if text := err.Error(); text != p.lastError {
			p.lastError = text
			p.end()
			terminal.PrintError(p.errs, "wait", fmt.Errorf("%w; trying again", err))
		}
		return
	}
	p.lastError = ""
	if !p.inPlace {
		for _, line := range a.Changes(p.before) {
			fmt.Fprintln(p.out, "changed: "+line)
		}
	}
	p.before = a
	if line := a.Line(); line != p.line {
		p.line = line
		if p.inPlace {
			fmt.Fprint(p.out, "\r\x1b[2K"+terminal.Text(line, 79))
			return
		}
		fmt.Fprintln(p.out, line)
	}
	p.hint(a)
}

// hint prints a hint for each source without the revision, again when these sources or their revisions change. Where a line is updated in place it prints
// nothing.
func (p *progress) hint(a *gate.Answer) {
	var lines []string
	key := ""
	for i := range a.Sources {
		if s := &a.Sources[i]; !s.Has {
			key += s.ID + " " + s.Revision + "\n"
			lines = append(lines, s.Hint(a.At))
		}
	}
	if key == p.hinted || p.inPlace {
		return
	}
	p.hinted = key
	for _, line := range lines {
		fmt.Fprintln(p.out, "waiting for: "+line)
	}
}

// end finishes the line that is updated in place.
func (p *progress) end() {
	if p.inPlace && p.line != "" {
		p.line = ""
		fmt.Fprintln(p.out)
	}
}

// isTerminal reports whether w is a character device, such as a terminal, and TERM is not dumb.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
