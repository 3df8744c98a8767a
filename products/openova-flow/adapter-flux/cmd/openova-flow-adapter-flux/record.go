package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/klog/v2"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/mapping"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/recording"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/redact"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

func recordCommand(ctx context.Context, args []string, getenv func(string) (string, bool), s std) (err error) {
	r := newReader("record", getenv)
	path := r.String("o", "", "the file to write, stdout when empty")
	redacted := r.Bool("redact", false, "remove possible secrets: values, substitutes, patches, annotations other than Flux's, and quotes of these in messages")
	c, err := r.read(args)
	if err != nil {
		return err
	}
	if r.NArg() > 0 {
		return fmt.Errorf("record takes no arguments, only flags; unexpected %s", terminal.Argument(r.Arg(0)))
	}
	k8s, err := connect(c)
	if err != nil {
		return err
	}
	out := s.out
	if *path != "" {
		f, createErr := os.Create(*path)
		if createErr != nil {
			return fmt.Errorf("-o is %q: %w", *path, createErr)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	logger := c.logger(s.err)
	klog.SetSlogLogger(logger)
	var gaps []watch.Gap
	watcher := watch.New(watch.Config{
		Client: k8s.dynamic, Discovery: k8s.discovery, Namespaces: c.namespaces, KeepUnread: true, Logger: logger,
		OnInfo: func(i watch.Info) { gaps = i.Gaps },
	})
	written, err := record(ctx, watcher, terminal.JSONWriter(out), *redacted)
	for _, g := range gaps {
		logger.Warn("kind is not in the recording", "kind", g.Kind, "why", g.Why)
	}
	logger.Info("recorded", "events", written, "namespaces", cmp.Or(strings.Join(c.namespaces, ","), "all"))
	return err
}

// record writes the watcher's events, redacted if asked for, until ctx ends or a write fails. It returns the number of events that it has written.
func record(ctx context.Context, watcher *watch.Watcher, out io.Writer, redacted bool) (written int, failed error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching part
	var queue watch.Queue
	watching.start(func(own context.Context) { watcher.Run(own, &queue) })
	defer watching.stop()

	writer := recording.NewWriter(out)
	queue.Run(ctx, func(e mapping.Event) {
		if failed != nil {
			return
		}
		if redacted {
			e.Object = redact.Object(e.Object)
		}
		if failed = writer.Write(e); failed != nil {
			failed = fmt.Errorf("write the recording: %w", failed)
			cancel()
			return
		}
		written++
	})
	return written, failed
}
