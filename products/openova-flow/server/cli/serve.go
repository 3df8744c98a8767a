package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/openova-io/openova/products/openova-flow/server/app"
	"github.com/openova-io/openova/products/openova-flow/server/internal/settings"
	"github.com/openova-io/openova/products/openova-flow/server/terminal"
)

func (p Program) serve(ctx context.Context, cfg config, getenv func(string) string, stderr io.Writer) error {
	cfg.app.Logger = newLogger(cfg, stderr)
	cfg.app.HTTP.Version = p.version()
	if f := cfg.app.StateFile; f != "" {
		if err := app.CheckStateFile(f); err != nil {
			return settings.Invalid("FLOW_SERVER_STATE_FILE", f, stateFileAllowed, err)
		}
	}
	if p.Prepare != nil {
		release, err := p.Prepare(ctx, &cfg.app)
		if err != nil {
			return err
		}
		if release != nil {
			defer release()
		}
	}
	if cfg.app.StateFile != "" && cfg.app.Log != nil {
		return errors.New("FLOW_SERVER_STATE_FILE is set, but this program stores flows in a log; unset it")
	}
	listener, err := net.Listen("tcp", cfg.listenAddr)
	if err != nil {
		return fmt.Errorf("listen on FLOW_SERVER_LISTEN_ADDR %q: %w", cfg.listenAddr, err)
	}
	app.TuneMemory(getenv, cfg.app.Logger)
	return app.Serve(ctx, listener, cfg.app)
}

func newLogger(cfg config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.logLevel, ReplaceAttr: terminal.Attr}
	if cfg.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
