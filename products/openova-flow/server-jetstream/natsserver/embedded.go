// Package natsserver runs a NATS server with JetStream inside of this process, that nobody else can reach.
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

// Config says how to run it. The zero value of a field means its default.
type Config struct {
	Dir          string        // where it keeps its files; must be given. Of one process at a time
	SyncInterval time.Duration // how often files are synced to disk; 0: each entry before it is acknowledged
	MaxPayload   int32         // bytes of one entry; 1 MiB
	Logger       *slog.Logger  // slog.Default()
}

// Server is one that runs.
type Server struct{ server *server.Server }

// startWait is how long a server that has read its files may take until it can be connected to.
const startWait = 2 * time.Second

// Start starts a server and returns once it can be connected to.
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
			if !s.ReadyForConnections(startWait) {
				s.Shutdown()
				return nil, errors.New("NATS does not start; the log says why")
			}
		default:
		}
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		return nil, errors.New("NATS has started without JetStream; the log says why")
	}
	return &Server{s}, nil
}

// Connect returns a connection to it, which does not leave the process.
func (s *Server) Connect() (*nats.Conn, error) {
	return nats.Connect("", nats.InProcessServer(s.server), nats.Name("openova-flow-server"), nats.MaxReconnects(-1))
}

// Stop ends it and waits until its files are written.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// logger passes on what the server says, with its level.
type logger struct{ to *slog.Logger }

func (l logger) Noticef(format string, v ...any) { l.to.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l logger) Errorf(format string, v ...any)  { l.to.Error("nats: " + fmt.Sprintf(format, v...)) }
func (l logger) Fatalf(format string, v ...any)  { l.to.Error("nats: " + fmt.Sprintf(format, v...)) }

func (l logger) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Maximum payloads over") { // of connections; here there is none
		return
	}
	l.to.Warn("nats: " + fmt.Sprintf(format, v...))
}

func (l logger) Debugf(string, ...any) {}
func (l logger) Tracef(string, ...any) {}
