// Command profiled is the server with a CPU profile, written when it ends. The server itself has no endpoint for profiles.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"github.com/openova-io/openova/products/openova-flow/server/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "profiled: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	addr := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	out := flag.String("cpuprofile", "cpu.out", "file for the profile")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	file, err := os.Create(*out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return app.Serve(ctx, listener, app.Config{Logger: quiet})
}
