package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/openova-io/openova/products/openova-flow/relay/channel"
	"github.com/openova-io/openova/products/openova-flow/relay/outbox"
	"github.com/openova-io/openova/products/openova-flow/relay/rules"
)

// reloadEvery is how often the configuration file is read to see whether it has changed.
const reloadEvery = 5 * time.Second

// Config configures Run. File and Outbox are required.
type Config struct {
	File     string       // the configuration (package rules)
	Outbox   string       // the file of the outbox
	Queue    int          // most deliveries in the queue of each channel; default outbox.DefaultLimit
	Listener net.Listener // for probes and metrics; default: they are not served
	Version  string
	Log      *slog.Logger // default slog.Default()
	Server   *http.Client // for the flow server; default channel.NewStreamClient()
	Channels *http.Client // for the services of the channels; default channel.NewClient()
}

// Run relays until ctx ends, and then returns nil. It applies a changed configuration file within seconds. If the change is invalid, the earlier
// configuration stays in use.
func Run(ctx context.Context, c Config) error {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Server == nil {
		c.Server = channel.NewStreamClient()
	}
	if c.Channels == nil {
		c.Channels = channel.NewClient()
	}
	config, text, err := read(c.File)
	if err != nil {
		return err
	}
	box, err := outbox.Open(c.Outbox, c.Queue)
	if err != nil {
		return err
	}
	defer box.Close()
	m := newMetrics(c.Version)
	m.addQueueLengths(box.Lengths)
	m.configValid.Set(1)
	caller := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	if c.Listener != nil {
		wg.Go(func() { serve(ctx, cancel, c.Listener, m.handler()) })
	}
	c.Log.Info("started", "version", c.Version, "server", config.Server.URL, "channels", len(config.Channels), "rules", len(config.Rules))
	for ctx.Err() == nil {
		session := &session{config: config, box: box, client: c.Server, send: c.Channels, metrics: m, log: c.Log}
		sessionCtx, stop := context.WithCancel(ctx)
		var next *rules.Config
		var watching sync.WaitGroup
		watching.Go(func() {
			defer stop()
			next, text = c.awaitChange(sessionCtx, text, m)
		})
		err := session.run(sessionCtx)
		stop()
		watching.Wait()
		if err != nil {
			return err
		}
		if next != nil {
			config = next
			c.Log.Info("configuration reloaded", "channels", len(config.Channels), "rules", len(config.Rules))
		}
	}
	if caller.Err() == nil {
		return context.Cause(ctx)
	}
	c.Log.Info("stopped")
	return nil
}

func read(file string) (*rules.Config, []byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	config, err := rules.Parse(text)
	if err != nil {
		return nil, text, fmt.Errorf("configuration %s: %w", file, err)
	}
	return config, text, nil
}

// awaitChange waits for a valid configuration with another text than used, and returns it with its text. When ctx ends, it returns nil and used.
func (c *Config) awaitChange(ctx context.Context, used []byte, m *metrics) (*rules.Config, []byte) {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	logged := ""
	for {
		select {
		case <-ctx.Done():
			return nil, used
		case <-tick.C:
		}
		config, text, err := read(c.File)
		switch {
		case err != nil:
			m.configValid.Set(0)
			if logged != err.Error() {
				c.Log.Error("configuration invalid, keeping the earlier one", "err", err)
			}
			logged = err.Error()
		case bytes.Equal(text, used):
			m.configValid.Set(1)
			logged = ""
		default:
			m.configValid.Set(1)
			return config, text
		}
	}
}

func serve(ctx context.Context, cancel context.CancelCauseFunc, l net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); err != nil && ctx.Err() == nil {
		cancel(fmt.Errorf("serve probes and metrics: %w", err))
	}
}
