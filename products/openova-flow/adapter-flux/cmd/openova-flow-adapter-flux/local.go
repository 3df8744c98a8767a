package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"k8s.io/klog/v2"

	"github.com/openova-io/openova/products/openova-flow/server/app"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

// local reports whether to run without a flow server of its own: contexts are set, and no server.
func (c config) local() bool { return c.server == "" && c.context != "" && !c.inCluster }

// views returns a configuration for each context of c. Each is a region of one flow on server. given reports whether a setting was set explicitly; the
// others get the best values for a view from outside.
func (c config) views(server string, given func(flag string) bool) []config {
	var names []string
	for name := range strings.SplitSeq(c.context, ",") {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if c.flowID == "" {
		flowID := regexp.MustCompile(`[^A-Za-z0-9._:-]+`).ReplaceAllString(strings.Join(names, "-"), "-")
		if c.flowID = flowID[:min(len(flowID), 128)]; !flow.ValidID(c.flowID) { // the name of a context can be ".."
			c.flowID = "local"
		}
	}
	c.server, c.leaderElection, c.healthAddr = server, false, ""
	var all []config
	taken := map[string]bool{}
	for _, name := range names {
		v := c
		v.context = name
		if !given("region-key") || len(names) > 1 {
			v.region = regionOf(name)
		}
		for n, base := 2, v.region; taken[v.region]; n++ {
			v.region = fmt.Sprintf("%s-%d", base, n)
		}
		taken[v.region] = true
		all = append(all, v)
	}
	return all
}

// regionOf returns the region key for the name of a context.
func regionOf(context string) string {
	key := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(context), "-"), "-")
	if key == "" {
		return "primary"
	}
	return key
}

// runLocal runs a server on loopback and an adapter for each context of c, all in this process, until ctx is done.
func runLocal(ctx context.Context, c config, r *reader, s std) error {
	listener, err := listenLocal()
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()
	say := &speaker{w: s.err}
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // the same problems are printed as sentences
	var adapters []*adapter
	var regions []string
	views := c.views(base, r.given)
	for _, v := range views {
		k8s, err := connect(v)
		if err != nil {
			listener.Close()
			return err
		}
		logger := slog.New(plain{say, v.region, nil})
		if r.given("log-format") || r.given("log-level") {
			logger = v.logger(s.err)
		}
		a := newAdapter(v, k8s, logger)
		a.missing = func(gaps []string) { say.lines(v.region, gaps) }
		adapters, regions = append(adapters, a), append(regions, v.region)
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	var server sync.WaitGroup
	server.Go(func() {
		served <- app.Serve(serving, listener, app.Config{HTTP: httpapi.Config{Version: buildVersion()}, Logger: slog.New(plain{say, "the server", nil})})
	})
	defer server.Wait()
	defer stop() // after the adapters have sent their last changes

	page := base + "/?flow=" + url.QueryEscape(views[0].flowID)
	fmt.Fprintf(s.out, "OpenovaFlow shows %s at %s until Ctrl-C.\n", strings.Join(regions, ", "), page)
	openPage(ctx, page, r.getenv)
	watching, end := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	failed := make(chan error, len(adapters))
	for _, a := range adapters {
		watchers.Go(func() {
			if err := a.run(watching, nil); err != nil {
				failed <- err
			}
		})
	}
	defer watchers.Wait()
	defer end()
	select {
	case err := <-served:
		return err
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// listenLocal listens on loopback: on the usual port, or on any other if that is in use.
func listenLocal() (net.Listener, error) {
	if l, err := net.Listen("tcp", "127.0.0.1:8080"); err == nil {
		return l, nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// openPage opens a page in the desktop's browser, if there is one. A failure is no error, since the address is printed too.
func openPage(ctx context.Context, page string, getenv func(string) (string, bool)) {
	program, args := "xdg-open", []string{page}
	switch runtime.GOOS {
	case "darwin":
		program = "open"
	case "windows":
		program, args = "rundll32", []string{"url.dll,FileProtocolHandler", page}
	default:
		_, x := getenv("DISPLAY")
		_, wayland := getenv("WAYLAND_DISPLAY")
		if !x && !wayland {
			return
		}
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = os.Environ()
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}

// sentenceBytes is the limit for a sentence, in bytes.
const sentenceBytes = 1 << 10

// speaker writes sentences for a person. It does not repeat the last ones of a region.
type speaker struct {
	w    io.Writer
	mu   sync.Mutex
	last map[string]string
}

// lines writes the sentences about a region, unless they are the same as before.
func (s *speaker) lines(region string, sentences []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	for _, l := range sentences {
		text += terminal.Text(region+": "+l, sentenceBytes) + "\n"
	}
	if s.last == nil {
		s.last = map[string]string{}
	}
	if s.last[region] != text {
		s.last[region] = text
		_, _ = io.WriteString(s.w, text)
	}
}

// plain is a slog.Handler that writes warnings as sentences.
type plain struct {
	say    *speaker
	region string
	attrs  []slog.Attr
}

func (p plain) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (p plain) WithGroup(string) slog.Handler                { return p }
func (p plain) WithAttrs(attrs []slog.Attr) slog.Handler {
	p.attrs = append(slices.Clip(p.attrs), attrs...)
	return p
}

func (p plain) Handle(_ context.Context, r slog.Record) error {
	why, lasting := "", false
	see := func(a slog.Attr) bool {
		switch a.Key {
		case "why", "err":
			why = ": " + a.Value.String()
		case "class":
			// These problems are also in Info, and printed from there.
			lasting = slices.Contains([]string{"not-served", "other-version", "forbidden"}, a.Value.String())
		}
		return true
	}
	for _, a := range p.attrs {
		see(a)
	}
	r.Attrs(see)
	if !lasting {
		p.say.lines(p.region, []string{r.Message + why})
	}
	return nil
}
