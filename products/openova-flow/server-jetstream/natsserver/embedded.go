// Package natsserver runs a NATS server with JetStream inside the process. It has no listener: only this process can connect.
package natsserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Config configures a Server. The zero value of a field means its default.
type Config struct {
	Dir          string        // for the files of JetStream; required. Only one process may use it at a time
	SyncInterval time.Duration // between syncs to disk; 0: each entry is synced before it is acknowledged
	MaxPayload   int32         // limit for one entry, in bytes; default 1 MiB
	Logger       *slog.Logger  // default slog.Default()
}

// Server is a running NATS server.
type Server struct{ server *server.Server }

// startTimeout is the limit for a server to accept connections after it has read its files.
const startTimeout = 2 * time.Second

// Start starts a server and waits until it accepts connections.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.MaxPayload == 0 {
		cfg.MaxPayload = 1 << 20
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "openova-flow", DontListen: true, NoSigs: true, JetStream: true, StoreDir: cfg.Dir,
		SyncAlways: cfg.SyncInterval == 0, SyncInterval: cfg.SyncInterval, MaxPayload: cfg.MaxPayload, NoSystemAccount: false,
	})
	if err != nil {
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	s.SetLoggerV2(logger{cfg.Logger}, false, false, false)
	started := make(chan struct{})
	go func() { defer close(started); s.Start() }()
	for !s.ReadyForConnections(100 * time.Millisecond) {
		select {
		case <-ctx.Done():
			s.Shutdown()
			return nil, ctx.Err()
		case <-started:
			if !s.ReadyForConnections(startTimeout) {
				s.Shutdown()
				return nil, errors.New("start NATS: it accepts no connections; see its log lines above")
			}
		default:
		}
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		return nil, errors.New("start NATS: JetStream is off; see its log lines above")
	}
	return &Server{s}, nil
}

// Connect returns a connection inside the process.
func (s *Server) Connect() (*nats.Conn, error) {
	return nats.Connect("", nats.InProcessServer(s.server), nats.Name("openova-flow-server"), nats.MaxReconnects(-1))
}

// Stop stops the server and waits until its files are written.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// logger forwards log lines of the NATS server.
type logger struct{ to *slog.Logger }

func (l logger) log(level slog.Level, format string, v []any) {
	l.to.Log(context.Background(), level, "NATS server", "text", fmt.Sprintf(format, v...))
}

func (l logger) Noticef(format string, v ...any) { l.log(slog.LevelDebug, format, v) }
func (l logger) Errorf(format string, v ...any)  { l.log(slog.LevelError, format, v) }
func (l logger) Fatalf(format string, v ...any)  { l.log(slog.LevelError, format, v) }

func (l logger) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Maximum payloads over") { // concerns network connections; there are none
		return
	}
	l.log(slog.LevelWarn, format, v)
}

func (l logger) Debugf(string, ...any) {}
func (l logger) Tracef(string, ...any) {}
