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

// local reports whether this process serves the page itself: outside of a cluster, with contexts and without a flow server.
func (c config) local() bool { return c.server == "" && c.context != "" && !c.inCluster }

// perContext returns a configuration for each context of c, each a region of one flow on server, without election and health endpoint. isSet reports whether
// a setting was set explicitly: the region key is kept only then, and only if there is one context.
func (c config) perContext(server string, isSet func(flag string) bool) []config {
	names := contextNames(c.context)
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
		if !isSet("region-key") || len(names) > 1 {
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

// contextNames returns the names in a list separated by commas, each once.
func contextNames(list string) (names []string) {
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func regionOf(context string) string {
	key := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(context), "-"), "-")
	if key == "" {
		return "primary"
	}
	return key
}

// runLocal runs a server on loopback and an adapter for each context of c, all in this process, until ctx is done or one of them fails.
func runLocal(ctx context.Context, c config, r *reader, s std) error {
	listener, err := listenLocal()
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()
	lines := &lineWriter{w: s.err}
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // lineWriter prints the same problems
	var adapters []*adapter
	var regions []string
	configs := c.perContext(base, r.isSet)
	for _, v := range configs {
		k8s, err := connect(v)
		if err != nil {
			listener.Close()
			return err
		}
		logger := slog.New(plain{lines, v.region, nil})
		if r.isSet("log-format") || r.isSet("log-level") {
			logger = v.logger(s.err)
		}
		a := newAdapter(v, k8s, logger)
		a.missing = func(gaps []string) { lines.write(v.region, gaps) }
		adapters, regions = append(adapters, a), append(regions, v.region)
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	var server sync.WaitGroup
	server.Go(func() {
		served <- app.Serve(serving, listener, app.Config{HTTP: httpapi.Config{Version: buildVersion()}, Logger: slog.New(plain{lines, "the server", nil})})
	})
	defer server.Wait()
	defer stop() // after the adapters have sent their last changes

	page := base + "/?flow=" + url.QueryEscape(configs[0].flowID)
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

// listenLocal listens on loopback: on the usual port, or on any other if that fails.
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

// lineWriter writes sentences about regions for a person.
type lineWriter struct {
	w    io.Writer
	mu   sync.Mutex
	last map[string]string
}

// write writes the sentences about a region, unless the last ones about it were the same.
func (s *lineWriter) write(region string, sentences []string) {
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

// plain is a slog.Handler that writes warnings and errors as plain lines, except for lasting problems.
type plain struct {
	out    *lineWriter
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
	read := func(a slog.Attr) bool {
		switch a.Key {
		case "why", "err":
			why = ": " + a.Value.String()
		case "class":
			// adapter.missing prints these problems.
			lasting = slices.Contains([]string{"not-served", "other-version", "forbidden"}, a.Value.String())
		}
		return true
	}
	for _, a := range p.attrs {
		read(a)
	}
	r.Attrs(read)
	if !lasting {
		p.out.write(p.region, []string{r.Message + why})
	}
	return nil
}
